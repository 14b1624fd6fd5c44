export type SerialErrorCode =
  /** The optional package `serialport` is not installed. */
  | 'SERIAL_PACKAGE_MISSING'
  /** No address of a board. */
  | 'SERIAL_ADDRESS'
  | 'SERIAL_NOT_FOUND'
  | 'SERIAL_BUSY'
  | 'SERIAL_PERMISSION'
  | 'SERIAL_OPEN_FAILED'
  | 'SERIAL_GONE'
  /** A server at a network address that ends the connection at once: its place is taken. */
  | 'SERIAL_HUNG_UP'
  | 'SERIAL_NO_LINES'
  | 'SERIAL_BAUD_RATE'
  /** A telnet server that does not agree to control a port, or says nothing. */
  | 'SERIAL_RFC2217'
  /** A text that is no reset strategy. */
  | 'SERIAL_RESET_STRATEGY'
  /** K0 cannot be reached through DTR. */
  | 'SERIAL_KEY_BY_HAND'
  /** Nobody at the port speaks the serial link. */
  | 'SERIAL_NO_LINK'
  /** The two ends of a serial link cannot talk: versions, roles or limits. */
  | 'SERIAL_LINK_REFUSED';

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
