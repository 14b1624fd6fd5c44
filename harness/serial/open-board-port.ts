/**
 * Opens the port of a board, whatever kind it is, with both lines off, and tells when the board was reset by
 * that all the same (pitfalls catalogue, R01).
 */
import type { Clock } from '../clock/clock.ts';
import type { Dialer } from '../network/network.ts';
import { parseBoardAddress } from './board-address.ts';
import type { BoardPort, ModemLines } from './board-port.ts';
import { BootBanner, resetOnOpenWindowUs } from './boot-banner.ts';
import { type LocalPortOptions, openLocalPort } from './local-port.ts';
import type { PortEvent } from './port-event.ts';
import type { PortInbox } from './port-inbox.ts';
import { Rfc2217Port } from './rfc2217-port.ts';
import { StreamPort } from './stream-port.ts';

export interface OpenBoardPortOptions extends Pick<LocalPortOptions, 'load' | 'system'> {
  readonly clock: Clock;
  /** Reaches the hosts of network addresses; what it refuses is not reached. */
  readonly dialer: Dialer;
  /** 115200, unless the board prints at another rate. */
  readonly baud?: number;
  readonly signal?: AbortSignal;
  /** What happens beside the bytes. MUST NOT throw. */
  observe?(event: PortEvent): void;
}

export const firmwareBaud = 115_200;

/**
 * @param address a local path, `rfc2217://host:port` or `socket://host:port`
 * @throws {SerialError} every code but `SERIAL_RESET_STRATEGY` and `SERIAL_KEY_BY_HAND`; {NetworkError} of the dialer
 */
export async function openBoardPort(
  address: string,
  options: OpenBoardPortOptions,
): Promise<BoardPort> {
  const parsed = parseBoardAddress(address);
  const { clock, dialer, signal, baud = firmwareBaud } = options;
  const fromUs = clock.nowUs();
  if (parsed.kind === 'local') {
    const port = await openLocalPort(parsed.path, { ...options, baud });
    return watched(port, fromUs, options);
  }
  const stream = await dialer.dial({ ...parsed.endpoint, secure: false }, signal);
  if (parsed.kind === 'socket') {
    return watched(new StreamPort(address, stream, clock, baud), fromUs, options);
  }
  return watched(await Rfc2217Port.open(address, stream, { ...options, baud }), fromUs, options);
}

/** Looks for a boot that nobody asked for, until it is too late for one or somebody moves a line. */
function watched<Port extends BoardPort & { readonly inbox: PortInbox }>(
  port: Port,
  fromUs: number,
  { observe }: OpenBoardPortOptions,
): BoardPort {
  const banner = new BootBanner();
  let over = false;
  port.inbox.tap((bytes, atUs) => {
    const afterUs = atUs - fromUs;
    if (over || afterUs > resetOnOpenWindowUs) return;
    over = banner.push(bytes);
    if (over) observe?.({ type: 'resetOnOpen', atUs, afterUs });
  });
  const setLines = port.setLines.bind(port);
  port.setLines = (lines: ModemLines) => {
    port.inbox.tap(undefined);
    return setLines(lines);
  };
  return port;
}
