import { type Problem, ProblemsError } from '../toml/problem.ts';

export type HarnessConfigErrorCode =
  | 'HARNESS_CONFIG_NOT_FOUND' // the file that was named is not there
  | 'HARNESS_CONFIG_SYNTAX' // not TOML, or not text
  | 'HARNESS_CONFIG_UNKNOWN_KEY'
  | 'HARNESS_CONFIG_WRONG_TYPE'
  | 'HARNESS_CONFIG_MISSING_KEY'
  | 'HARNESS_CONFIG_BAD_VALUE'; // the right type, but not possible: also a name or a path that does not exist

export type HarnessConfigProblem = Problem<HarnessConfigErrorCode>;

/** An `echokit-harness.toml` that cannot be used. Holds every problem found. */
export class HarnessConfigError extends ProblemsError<HarnessConfigErrorCode> {
  override readonly name = 'HarnessConfigError';
}
