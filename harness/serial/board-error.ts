export type BoardErrorCode =
  /** No port looks like a board, or not the one that was meant. */
  | 'BOARD_NOT_FOUND'
  /** Several ports could be meant. */
  | 'BOARD_AMBIGUOUS'
  /** The registry has no board of that name. */
  | 'BOARD_UNKNOWN'
  /** Another board answers than the one that was meant. */
  | 'BOARD_MISMATCH'
  /** `boards.toml` cannot be used. */
  | 'BOARD_REGISTRY'
  /** A board cannot be entered as it was asked. */
  | 'BOARD_ENTRY';

/** A board that cannot be told, found or entered. The codes are listed in `harness/README.md`. */
export class BoardError extends Error {
  override readonly name = 'BoardError';
  readonly code: BoardErrorCode;
  /** What to try next. */
  readonly hint: string;

  constructor(code: BoardErrorCode, message: string, hint: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.hint = hint;
  }
}
