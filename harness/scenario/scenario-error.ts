import { type Problem, ProblemsError } from '../toml/problem.ts';
import type { ProblemList } from '../toml/problem-list.ts';

export const scenarioErrorCodes = [
  'SCENARIO_SYNTAX', // the file is not TOML, or not text
  'SCENARIO_UNKNOWN_KEY', // a key that no scenario has
  'SCENARIO_WRONG_TYPE', // text where a number belongs, and the like
  'SCENARIO_MISSING_KEY', // something a scenario cannot do without
  'SCENARIO_BAD_VALUE', // the right type, but not possible
  'SCENARIO_UNKNOWN_NAME', // provider, device, network, event or metric that does not exist
  'SCENARIO_MISSING_FILE', // the scenario itself, or a file that it names
  'SCENARIO_BAD_WAV', // a WAV file that cannot be played at the microphone
  'SCENARIO_DUPLICATE', // two scenarios with one name: their recordings would collide
] as const;
export type ScenarioErrorCode = (typeof scenarioErrorCodes)[number];

/** `file` is the scenario file as the user gave it, or `command line`. */
export type ScenarioProblem = Problem<ScenarioErrorCode>;
export type ScenarioProblemList = ProblemList<ScenarioErrorCode>;

/** A scenario that cannot be run. Holds every problem found, file by file in their order. */
export class ScenarioError extends ProblemsError<ScenarioErrorCode> {
  override readonly name = 'ScenarioError';
}
