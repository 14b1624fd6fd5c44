/** What a caller asked for that the device protocol cannot carry. */
export type ProtocolErrorCode =
  | 'FP_VOWEL_OUT_OF_RANGE'
  | 'FP_CHOICE_INDEX_OUT_OF_RANGE'
  | 'FP_ODD_BYTE_COUNT'
  | 'FP_SERVER_URL_TOO_LONG'
  | 'FP_DEVICE_ID_INVALID'
  | 'FP_SERIAL_LINK_SETTING'
  | 'FP_SERIAL_LINK_FIELD'
  | 'FP_SERIAL_LINK_NOT_CONNECTED'
  | 'FP_SERIAL_LINK_DIRECTION'
  | 'FP_SERIAL_LINK_NOT_OFFERED'
  | 'FP_SERIAL_LINK_TOO_LONG';

/**
 * A mistake of the calling program: something the protocol cannot express was to be encoded.
 * Messages that arrive never throw; the decoders return a result with the reason.
 */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code: ProtocolErrorCode;

  constructor(code: ProtocolErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
