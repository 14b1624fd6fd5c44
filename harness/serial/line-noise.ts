/** A bad line: bytes that are wrong, lost or doubled on their way between a board and this program. */
import type { Random } from '../random/random.ts';
import type { BoardPort } from './board-port.ts';

/** Chances for each byte, 0 to 1. */
export interface LineNoise {
  /** One of its bits is wrong. */
  readonly flip?: number;
  /** It does not arrive: a receiver that was not fast enough. */
  readonly lose?: number;
  /** Another byte stands before it. */
  readonly insert?: number;
}

/**
 * The port with noise on its line, in both directions.
 *
 * @param noise asked for each piece; undefined: the line is good
 */
export function noisyPort(
  port: BoardPort,
  random: Random,
  noise: () => LineNoise | undefined,
): BoardPort {
  const spoil = (bytes: Uint8Array): Uint8Array => {
    const now = noise();
    return now === undefined ? bytes : spoiled(bytes, now, random);
  };
  return {
    address: port.address,
    carriesLines: port.carriesLines,
    onBytes: (listener) => port.onBytes((bytes, atUs) => listener(spoil(bytes), atUs)),
    onGone: (listener) => port.onGone(listener),
    write: (bytes) => port.write(spoil(bytes)),
    setLines: (lines) => port.setLines(lines),
    setBaudRate: (baud) => port.setBaudRate(baud),
    close: () => port.close(),
  };
}

function spoiled(
  bytes: Uint8Array,
  { flip = 0, lose = 0, insert = 0 }: LineNoise,
  random: Random,
): Uint8Array {
  const out: number[] = [];
  for (const byte of bytes) {
    if (insert > 0 && random.next() < insert) out.push(random.integer(0, 255));
    if (lose > 0 && random.next() < lose) continue;
    out.push(flip > 0 && random.next() < flip ? byte ^ (1 << random.integer(0, 7)) : byte);
  }
  return Uint8Array.from(out);
}
