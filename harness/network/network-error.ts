export type NetworkErrorCode =
  | 'NETWORK_REFUSED'
  | 'NETWORK_NOT_FOUND'
  | 'NETWORK_UNREACHABLE'
  | 'NETWORK_TLS'
  | 'NETWORK_OUTSIDE_FORBIDDEN'
  | 'NETWORK_PORT_TAKEN'
  | 'NETWORK_LISTEN_FAILED';

/** A stream or a listener that could not be had. The codes are listed in `harness/README.md`. */
export class NetworkError extends Error {
  override readonly name = 'NetworkError';
  readonly code: NetworkErrorCode;
  /** What to try next. */
  readonly hint: string;

  constructor(code: NetworkErrorCode, message: string, hint: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.hint = hint;
  }
}
