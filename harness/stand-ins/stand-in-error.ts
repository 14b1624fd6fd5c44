/** A stand-in that cannot be made as it was asked for. */
export class StandInError extends Error {
  override readonly name = 'StandInError';
  readonly code: StandInErrorCode;

  constructor(code: StandInErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export type StandInErrorCode =
  | 'STAND_IN_UNKNOWN' // no stand-in for the platform
  | 'STAND_IN_NO_PERSONALITY' // no personality of that name for the platform
  | 'STAND_IN_BAD_PERSONALITY'; // a file of personalities/ is not what it must be
