/** Problems that all kinds of ports have, in one wording. */
import { SerialError } from './serial-error.ts';

export function gone(address: string, words: string, cause?: unknown): SerialError {
  return new SerialError(
    'SERIAL_GONE',
    `${address} is gone: ${words}.`,
    'Plug the board in again; a native USB port returns by itself after a reset, possibly under another name.',
    cause,
  );
}

/** A connection to a board elsewhere that ended. */
export function connectionLost(address: string, words: string, cause?: unknown): SerialError {
  return new SerialError(
    'SERIAL_GONE',
    `${address} is gone: ${words}.`,
    'See whether its server runs and has its board; most servers hang up when the board is unplugged.',
    cause,
  );
}

/** @param said what the server said before, if anything */
export function hungUp(address: string, said: string): SerialError {
  const words = said
    .replaceAll(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .replace(/\.$/, '')
    .slice(0, 200);
  return new SerialError(
    'SERIAL_HUNG_UP',
    `${address} hung up at once${words === '' ? ' and gave no reason' : `; it said: ${words}`}.`,
    'Such a server has one client at a time: most probably somebody else is connected. If nobody is, see whether it has its board.',
  );
}

export function closedByUs(address: string): SerialError {
  return new SerialError('SERIAL_GONE', `${address} was closed by this program.`, 'Open it again.');
}

export function baudRefused(address: string, baud: number, words: string): SerialError {
  return new SerialError(
    'SERIAL_BAUD_RATE',
    `${address} cannot do ${baud} baud: ${words}.`,
    'The firmware prints at 115200 baud; take that, or another rate that the adapter knows.',
  );
}

/** @throws {SerialError} `SERIAL_BAUD_RATE` */
export function checkBaud(address: string, baud: number): void {
  if (Number.isInteger(baud) && baud > 0 && baud < 2 ** 31) return;
  throw baudRefused(address, baud, 'it must be a whole number above 0');
}
