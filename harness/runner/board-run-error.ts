export type BoardRunErrorCode =
  | 'BOARD_CRASHED'
  | 'BOARD_RESET'
  | 'BOARD_POWER'
  | 'BOARD_BOOT_LOOP'
  | 'BOARD_DOWNLOAD_MODE'
  | 'BOARD_NO_APPLICATION'
  | 'BOARD_NO_WIFI'
  | 'BOARD_NO_SERVER'
  | 'BOARD_SILENT'
  | 'BOARD_WRONG'
  | 'BOARD_PORT_GONE'
  | 'BOARD_NOT_IDLE'
  | 'BOARD_KEY_WITHOUT_EFFECT'
  | 'BOARD_HEARD_NOTHING'
  | 'BOARD_SERVER_UNKNOWN'
  | 'BOARD_SERVER_ELSEWHERE';

/** A real board, and not what is tested on it, has failed. The codes are listed in `harness/README.md`. */
export class BoardRunError extends Error {
  override readonly name = 'BoardRunError';
  readonly code: BoardRunErrorCode;
  /** What a person has to do next. */
  readonly hint: string;

  constructor(code: BoardRunErrorCode, message: string, hint: string) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}
