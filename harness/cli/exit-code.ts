/** Exit codes of every command. Listed in `docs/usage.md`. */
export const exitCode = {
  passed: 0,
  expectationFailed: 1,
  usage: 2,
  regression: 3,
  environment: 4,
  nothingMatched: 5,
  defect: 70,
  interrupted: 130,
} as const;

/** What a run with these verdicts ends with. */
export function exitCodeOfVerdicts(verdicts: readonly ('pass' | 'fail' | 'infra')[]): number {
  if (verdicts.includes('fail')) return exitCode.expectationFailed;
  return verdicts.includes('infra') ? exitCode.environment : exitCode.passed;
}

/** A command that ends with a message for the user and an exit code. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code: string;
  readonly exitCode: number;
  /** What to try next. */
  readonly hint: string | undefined;

  constructor(code: string, exit: number, message: string, hint?: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.exitCode = exit;
    this.hint = hint;
  }
}
