/** A recording that cannot be opened, or not for what is asked of it. */
export class RecordingError extends Error {
  override readonly name = 'RecordingError';
  readonly code:
    | 'RECORDING_NOT_FOUND'
    | 'RECORDING_VERSION'
    | 'RECORDING_DAMAGED'
    | 'RECORDING_WITHOUT_INPUTS'
    | 'RECORDING_WITHOUT_TRAFFIC';
  readonly hint: string;

  constructor(code: RecordingError['code'], message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.hint = hint;
  }
}

/** @param what is wrong with the file, as a half sentence @param line from 1, in a text */
export function damaged(path: string, what: string, line?: number): RecordingError {
  return new RecordingError(
    'RECORDING_DAMAGED',
    `${line === undefined ? path : `${path}:${line}`}: ${what}.`,
    'The recording was finished, so somebody or something has changed it: get it once more from where it was recorded.',
  );
}
