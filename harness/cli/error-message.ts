import { ProblemsError } from '../toml/problem.ts';
import { CommandError, exitCode } from './exit-code.ts';

interface Described {
  readonly code?: unknown;
  readonly hint?: unknown;
}

/** Codes of errors that are the surroundings' fault, by their first word. */
const environmentCodes =
  /^(BUNDLE|EXPORT|FFMPEG|NETWORK|OFFLINE_VOICE|OPUS|OUTPUT|DEVICE_UNREACHABLE|PTY|RECORDING|SERIAL|SOUND|BOARD|WAV)/;
const usageCodes =
  /^(SCENARIO|USAGE|TLS|BASELINE|COMPARISON|CONFIG|HARNESS_CONFIG|STAND_IN|SERIAL_ADDRESS|OUTPUT_(FOLDER_MISSING|IS_FOLDER)|SERIAL_RESET_STRATEGY|BOARD_(UNKNOWN|AMBIGUOUS|REGISTRY|ENTRY|PROFILE))/;

/** The last words of a command that failed: what, what to try next, and the exit code. */
export function describeError(error: unknown, version: string): { text: string; exit: number } {
  if (!(error instanceof Error)) return { text: String(error), exit: exitCode.defect };
  const { code, hint } = error as Error & Described;
  const lines = [`${error.message}${codes(error)}`];
  if (typeof hint === 'string') lines.push(`hint: ${hint}`);
  if (code === 'COMPARISON_NOTHING_IN_COMMON') {
    return { text: lines.join('\n'), exit: exitCode.nothingMatched };
  }
  if (error instanceof CommandError) return { text: lines.join('\n'), exit: error.exitCode };
  if (typeof code === 'string' && usageCodes.test(code)) {
    return { text: lines.join('\n'), exit: exitCode.usage };
  }
  if (typeof code === 'string' && (environmentCodes.test(code) || isFileError(error))) {
    return { text: lines.join('\n'), exit: exitCode.environment };
  }
  return {
    text: `This is a defect of echokit-harness ${version} (Node ${process.version}):\n${error.stack ?? error.message}`,
    exit: exitCode.defect,
  };
}

/** A folder that cannot be made, a full disk: the system refused a file that the user has named. */
function isFileError(error: Error): boolean {
  const { code, syscall, path } = error as NodeJS.ErrnoException;
  return /^E[A-Z]+$/.test(code ?? '') && typeof syscall === 'string' && typeof path === 'string';
}

/** Behind a one-line message its code, below a list of problems all their codes. */
function codes(error: Error): string {
  if (error instanceof ProblemsError) {
    const all = new Set(error.problems.map((problem) => problem.code));
    return `\n\n[${[...all].join(', ')}]`;
  }
  const { code } = error as Error & Described;
  return typeof code === 'string' ? `  [${code}]` : '';
}
