export type SerialErrorCode = 'SERIAL_GONE' | 'SERIAL_NO_LINES' | 'SERIAL_BAUD_RATE';

/** A port to a board that could not be had or used. The codes are listed in `harness/README.md`. */
export class SerialError extends Error {
  override readonly name = 'SerialError';
  readonly code: SerialErrorCode;
  /** What to try next. */
  readonly hint: string;

  constructor(code: SerialErrorCode, message: string, hint: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.hint = hint;
  }
}
