/**
 * The wire to a board: bytes both ways and, where there are any, the modem lines DTR and RTS.
 *
 * A local port, an RFC 2217 server and a plain TCP socket look the same from above. Whoever opens a port
 * owns it and must {@link close} it, whatever happened in between; closing leaves the lines in run state
 * (both off).
 */
export interface BoardPort {
  /** What the user wrote: `/dev/ttyUSB0`, `rfc2217://host:4000`, `socket://host:5000`. For messages. */
  readonly address: string;

  /**
   * Whether DTR and RTS reach the other end. False for `socket://` and for a pseudo-terminal, which
   * refuses modem lines (ENOTTY).
   */
  readonly carriesLines: boolean;

  /**
   * Called with each piece as it arrives, and at once with what has arrived before. `atUs` is the instant at
   * which this program got it. The bytes belong to the listener. One listener.
   */
  onBytes(listener: (bytes: Uint8Array, atUs: number) => void): void;

  /**
   * Called once when the port is gone without our having closed it: unplugged, reset, hung up; at once when it
   * is gone already. What arrived before has been handed over then. One listener.
   */
  onGone(listener: (problem: Error) => void): void;

  /**
   * Resolves when the bytes have left this program.
   *
   * @throws {SerialError} `SERIAL_GONE`
   */
  write(bytes: Uint8Array): Promise<void>;

  /**
   * Sets the logical ("asserted") state of the lines that are named; a line that is not named stays. Both
   * are set in one step where the system can. Resolves when they are set.
   * EchoKit device protocol reference, section 8.1: both are active-low at the pin.
   *
   * @throws {SerialError} `SERIAL_NO_LINES` where {@link carriesLines} is false, `SERIAL_GONE`
   */
  setLines(lines: ModemLines): Promise<void>;

  /** @throws {SerialError} `SERIAL_BAUD_RATE` when the port cannot do it, `SERIAL_GONE` */
  setBaudRate(baud: number): Promise<void>;

  /** Releases the port with both lines off. Harmless when it is closed or gone already. */
  close(): Promise<void>;
}

/** `true` is asserted. */
export interface ModemLines {
  readonly dtr?: boolean;
  readonly rts?: boolean;
}
