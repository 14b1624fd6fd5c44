/** The sound that a page keeps: each piece once, however often it is played. */
import { createHash } from 'node:crypto';
import { encodeSound } from './sound-encoder.ts';

/** So many zeros are a pause, which takes no room: 10 ms. */
const pauseSamples = 160;
const rateHz = 16_000;

/**
 * Different sound in a page, and how exact it is then. Speech takes 9.4 bits a sample with shift 0 and one bit less for
 * each step of it, so that sound takes about 12 MB of a page at most.
 */
export const soundLimits: readonly { readonly seconds: number; readonly shift: number }[] = [
  { seconds: 360, shift: 0 },
  { seconds: 600, shift: 3 },
  { seconds: 1000, shift: 5 },
];

export interface PlacedClip {
  /** Index of its first sample in what it is a piece of. */
  readonly at: number;
  readonly clip: number;
}

export class SoundStore {
  readonly #limits: typeof soundLimits;
  #clips: Int16Array[] = [];
  readonly #numbers = new Map<string, number>();
  #samples = 0;

  /** @param limits in ascending order; without any nothing is kept */
  constructor(limits = soundLimits) {
    this.#limits = limits;
  }

  /** Nothing is kept any more: there is more sound than a page can take. */
  get isFull(): boolean {
    return this.#samples > (this.#limits.at(-1)?.seconds ?? -1) * rateHz;
  }

  /** Cuts sound at its pauses and keeps the pieces that are new. */
  keep(sound: Int16Array): PlacedClip[] {
    if (this.isFull) return [];
    return soundedParts(sound).map(([from, to]) => ({
      at: from,
      clip: this.#numberOf(sound.subarray(from, to)),
    }));
  }

  /** In the order of their numbers, encoded; null when {@link isFull}. */
  encoded(): { readonly shift: number; readonly clips: readonly EncodedClip[] } | null {
    const limit = this.#limits.find(({ seconds }) => this.#samples <= seconds * rateHz);
    if (limit === undefined) return null;
    const { shift } = limit;
    return {
      shift,
      clips: this.#clips.map((clip) => ({
        samples: clip.length,
        base64: Buffer.from(encodeSound(clip, shift)).toString('base64'),
      })),
    };
  }

  #numberOf(part: Int16Array): number {
    const bytes = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
    const digest = createHash('sha256').update(bytes).digest('base64');
    const known = this.#numbers.get(digest);
    if (known !== undefined) return known;
    const number = this.#numbers.size;
    this.#numbers.set(digest, number);
    this.#samples += part.length;
    // A copy: the recording that it comes from need not stay in memory.
    if (this.isFull) this.#clips = [];
    else this.#clips.push(part.slice());
    return number;
  }
}

export interface EncodedClip {
  readonly samples: number;
  readonly base64: string;
}

/** From and to of each part that is not a pause. */
function soundedParts(sound: Int16Array): [number, number][] {
  const parts: [number, number][] = [];
  let from = -1;
  let last = -1;
  for (let i = 0; i < sound.length; i++) {
    if (sound[i] === 0) continue;
    if (from >= 0 && i - last > pauseSamples) {
      parts.push([from, last + 1]);
      from = i;
    } else if (from < 0) from = i;
    last = i;
  }
  if (from >= 0) parts.push([from, last + 1]);
  return parts;
}
