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
