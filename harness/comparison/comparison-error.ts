/** Why two things cannot be compared. */
export type ComparisonErrorCode =
  /** They differ in what must be the same. */
  | 'COMPARISON_DIFFERENT'
  /** No scenario was run with the same provider, board, network and server on both sides. */
  | 'COMPARISON_NOTHING_IN_COMMON'
  /** A baseline that is not there, not one, or of a newer version. */
  | 'BASELINE_NOT_FOUND'
  | 'BASELINE_INVALID';

export class ComparisonError extends Error {
  override readonly name = 'ComparisonError';
  readonly code: ComparisonErrorCode;
  /** What to try next. */
  readonly hint: string;

  constructor(code: ComparisonErrorCode, message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.hint = hint;
  }
}
