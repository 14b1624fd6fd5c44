/** What there is instead, where a serial link was expected, and what to do about it. */
import { serialLinkTiming } from '../../firmware-protocol/index.ts';
import type { ConsoleCounts } from './console-reader.ts';
import { SerialError } from './serial-error.ts';

/**
 * A host that has called at 0, 0.25, 0.75, 1.75, 3.75 and 5.75 s without an answer: so long after the port was opened or the
 * board has reset, which is when its application begins.
 */
export const linkLimitUs =
  serialLinkTiming.helloUs.reduce((sum, us) => sum + us, 0) + serialLinkTiming.helloUs[3] + 250_000;

/** A board that resets again and again is not waited for without end. */
export const linkMostUs = 3 * linkLimitUs;

/** @param baud null on native USB */
export function noLink(
  address: string,
  counts: Pick<ConsoleCounts, 'bytes' | 'lines' | 'unprintable'>,
  baud: number | null,
): SerialError {
  const seconds = Math.round(linkLimitUs / 1_000_000);
  const at = baud === null ? '' : ` at ${baud} baud`;
  if (counts.bytes === 0) {
    return new SerialError(
      'SERIAL_NO_LINK',
      `Nothing came from ${address}${at} within ${seconds} s: no answer to the serial link, and no console either.`,
      'Check the cable and the power of the board, restart it (--reset, or its button), and name its rate with --baud.',
    );
  }
  if (counts.unprintable * 2 > counts.bytes) {
    return new SerialError(
      'SERIAL_NO_LINK',
      `What comes from ${address}${at} is noise, and nothing answers the serial link.`,
      'Name the rate of the firmware with --baud: 115200 is usual, 921600 with the link.',
    );
  }
  return new SerialError(
    'SERIAL_NO_LINK',
    `The board at ${address} prints its console (${counts.lines} lines) and does not answer the serial link${at}: its firmware has none.`,
    'Flash a firmware with the serial link (firmware-protocol/serial-link/README.md). Over Wi-Fi this board needs none: "run --board", and "monitor" for its console.',
  );
}
