import type { ConfigErrorCode, ConfigWarningCode } from '../../adapters/index.ts';
import { formatProblem, inReadingOrder, type Problem, ProblemsError } from '../toml/problem.ts';

export type ConfigFileErrorCode =
  | ConfigErrorCode
  | 'CONFIG_NOT_FOUND' // there is no such file, or it cannot be read
  | 'CONFIG_SYNTAX' // it is no TOML, or no text
  | 'CONFIG_NO_TTS' // it has no provider, and one is needed
  | 'CONFIG_NO_BACKEND'; // EchoKit refuses the file

export type ConfigFileWarningCode =
  | ConfigWarningCode
  | 'CONFIG_BACKEND' // EchoKit takes another backend than meant, or ignores a table
  | 'CONFIG_GEMINI_SUBMIT' // what boards must do with the Gemini backend
  | 'CONFIG_HELLO_WAV' // a hello that is not there, or sounds wrong
  | 'CONFIG_PROVIDER_NAME'; // two providers would have one name

/** The part of a configuration that a problem is about; who does not use the part can go on. */
export type ConfigPart =
  | 'file'
  | 'addr'
  | 'hello_wav'
  | 'record'
  | 'asr'
  | 'asr.vad'
  | 'tts'
  | 'providers'
  | 'llm'
  | 'gemini'
  | 'claude'
  | 'backend';

export interface ConfigFileProblem extends Problem<ConfigFileErrorCode | ConfigFileWarningCode> {
  readonly severity: 'error' | 'warning';
  readonly part: ConfigPart;
}

/** A configuration that cannot be used for what is wanted of it. */
export class EchoKitConfigError extends ProblemsError<ConfigFileErrorCode | ConfigFileWarningCode> {
  override readonly name = 'EchoKitConfigError';
}

/** Place, message and the lines of the file for each, in the order of the file; the code at the end. */
export function formatConfigProblems(
  problems: readonly ConfigFileProblem[],
  label: (problem: ConfigFileProblem) => string = ({ severity }) => severity,
): string {
  return inReadingOrder(problems)
    .map((problem) =>
      formatProblem(
        { ...problem, message: `${problem.message}  [${problem.code}]` },
        label(problem),
      ),
    )
    .join('\n\n');
}
