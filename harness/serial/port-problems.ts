/** Problems that all kinds of ports have, in one wording. */
import { ConsoleRedaction } from './redaction.ts';
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

/** So much of what a server said before it hung up is in the message. */
export const lastWordsCharactersMax = 200;

/** @param said what the server said before, if anything; it may be the console of a board */
export function hungUp(address: string, said: string): SerialError {
  const words = lastWords(said);
  return new SerialError(
    'SERIAL_HUNG_UP',
    `${address} hung up at once${words === '' ? ' and gave no reason' : `; it said: ${words}`}.`,
    'Such a server has one client at a time: most probably somebody else is connected. If nobody is, see whether it has its board.',
  );
}

/** Without passwords. What is cut off ends with …, so that whoever knows secrets finds the beginning of one. */
function lastWords(said: string): string {
  const redaction = new ConsoleRedaction();
  const lines = said.split(/[\r\n]+/);
  const isWhole = /[.\r\n]\s*$/.test(said);
  const words = lines
    .map((line, i) => redaction.read(line, i < lines.length - 1 ? 'whole' : 'torn').text)
    .join(' ')
    .replaceAll(/[\p{Cc}\s]+/gu, ' ')
    .trim();
  const shown = words.slice(0, lastWordsCharactersMax);
  if (shown === '') return '';
  return isWhole && shown === words ? shown.replace(/\.$/, '') : `${shown.trimEnd()}…`;
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
