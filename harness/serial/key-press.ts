/**
 * K0 without a finger: on boards behind a USB-UART bridge, DTR on with RTS off pulls GPIO0 low, and GPIO0 is K0
 * (EchoKit device protocol reference, section 8.1).
 */
import type { Clock } from '../clock/clock.ts';
import type { BoardPort } from './board-port.ts';
import { noLines } from './reset-run.ts';
import { SerialError } from './serial-error.ts';

/** How the USB socket in use is connected to the chip. */
export type BoardWiring = 'bridge' | 'usb-jtag';

export interface KeyPress {
  readonly asked: 'short' | 'long';
  /** By the width that was measured; `uncertain` when the machine was too slow to tell. */
  readonly happened: 'short' | 'long' | 'uncertain';
  readonly atUs: number;
  /** The board saw the key down for at least and at most this long. */
  readonly heldAtLeastUs: number;
  readonly heldAtMostUs: number;
}

/** Section 8.1: longer than 20 ms and shorter than 1 s is a short press, longer is a long one. */
const shortMinimumUs = 20_000;
const longMinimumUs = 1_000_000;

/** In the middle of what is allowed, and above it. */
const holdUs = { short: 200_000, long: 1_300_000 } as const;

export interface KeyPressOptions {
  readonly port: BoardPort;
  readonly clock: Clock;
  readonly wiring: BoardWiring;
  readonly press: 'short' | 'long';
  readonly signal?: AbortSignal;
}

/**
 * Presses K0 and lets it go, also when it is aborted in between.
 *
 * @throws {SerialError} `SERIAL_KEY_BY_HAND` on native USB, where DTR does not reach the pin;
 *   `SERIAL_NO_LINES`, `SERIAL_GONE`
 */
export async function pressK0(options: KeyPressOptions): Promise<KeyPress> {
  const { port, clock, wiring, press, signal } = options;
  if (!port.carriesLines) throw noLines(port, 'K0 cannot be pressed from here');
  if (wiring === 'usb-jtag') {
    throw new SerialError(
      'SERIAL_KEY_BY_HAND',
      `K0 cannot be pressed through ${port.address}: it is the native USB port of the chip, whose DTR does not reach GPIO0.`,
      'Press K0 by hand, or plug the cable into the USB socket of the UART bridge.',
    );
  }
  signal?.throwIfAborted();
  const atUs = clock.nowUs();
  let downUs: number;
  let releaseUs: number;
  try {
    await port.setLines({ dtr: true, rts: false });
    downUs = clock.nowUs();
    await clock.sleep(holdUs[press], signal);
  } finally {
    releaseUs = clock.nowUs();
    await port.setLines({ dtr: false, rts: false });
  }
  const heldAtLeastUs = releaseUs - downUs;
  const heldAtMostUs = clock.nowUs() - atUs;
  return {
    asked: press,
    happened: whatHappened(heldAtLeastUs, heldAtMostUs),
    atUs,
    heldAtLeastUs,
    heldAtMostUs,
  };
}

function whatHappened(atLeastUs: number, atMostUs: number): KeyPress['happened'] {
  if (atLeastUs >= longMinimumUs) return 'long';
  return atLeastUs >= shortMinimumUs && atMostUs < longMinimumUs ? 'short' : 'uncertain';
}
