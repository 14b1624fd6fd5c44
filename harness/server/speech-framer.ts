/**
 * From audio blocks of any size to the payloads of audio events.
 *
 * Opus: packets of 1920 samples (120 ms); the remainder of a block is carried into the next one and
 * the end of a sentence is padded with zeros (EchoKit device protocol reference, section 4.1). Raw
 * PCM, for connections without `opus`: pieces of at most one second (section 4.2).
 */
import type { OpusEncoder } from '../opus/opus-codec.ts';
import { SampleQueue } from './sample-queue.ts';

/** Samples of an opus packet unless the encoder makes others, and the least a raw piece holds before the sentence ends. */
export const packetSamples = 1920;
/** Samples of the largest raw piece: 32 000 bytes. */
export const rawPieceSamples = 16_000;

/** What becomes of the samples beyond the last whole packet of a block. */
export type Framing =
  | { readonly mode: 'carry' }
  /**
   * They are dropped, as the reference server does (section 4.4); raw PCM goes out block by block
   * (section 4.2). With `blockSamples` the audio is first regrouped into blocks of that size.
   */
  | { readonly mode: 'lossy'; readonly blockSamples?: number };

export interface Frame {
  /** An opus packet, or 16-bit little-endian PCM. Owned by the consumer. */
  readonly payload: Uint8Array;
  /** The samples in it, padding included. Owned by the consumer. */
  readonly samples: Int16Array;
}

/** `samplesIn + paddedSamples = samplesOut + lostSamples` once a sentence has ended. */
export interface FramerLedger {
  readonly samplesIn: number;
  /** Samples in frames, padding included. */
  readonly samplesOut: number;
  readonly paddedSamples: number;
  /** Taken in, but in no frame. */
  readonly lostSamples: number;
  /** Lossy framing only, part of `lostSamples`: what of whole blocks filled no packet. */
  readonly remainderSamples?: number;
  /** The same of the last block, which is shorter. */
  readonly tailSamples?: number;
  readonly frames: number;
}

/**
 * Usage per sentence: `begin`, then `push` blocks and `take` frames until it has none, `end` and
 * `take` the last ones; or `abandon` at any point. A frame is encoded when it is taken.
 */
export class SpeechFramer {
  /** Absent: raw PCM. */
  readonly #encoder: OpusEncoder | undefined;
  readonly #framing: Framing;
  readonly #packetSamples: number;
  /** Lossy framing only: what has not filled a block yet. */
  readonly #block = new SampleQueue();
  readonly #pending = new SampleQueue();
  /** Raw pieces of lossy framing: one for each block, none above the largest. */
  readonly #pieces: Int16Array[] = [];
  #ended = false;
  #samplesIn = 0;
  #samplesOut = 0;
  #paddedSamples = 0;
  #lostSamples = 0;
  #remainderSamples = 0;
  #tailSamples = 0;
  #frames = 0;

  constructor(encoder: OpusEncoder | undefined, framing: Framing = { mode: 'carry' }) {
    this.#encoder = encoder;
    this.#framing = framing;
    this.#packetSamples = encoder?.frameSamples ?? packetSamples;
  }

  get ledger(): FramerLedger {
    return {
      samplesIn: this.#samplesIn,
      samplesOut: this.#samplesOut,
      paddedSamples: this.#paddedSamples,
      lostSamples: this.#lostSamples,
      ...(this.#framing.mode === 'lossy' && {
        remainderSamples: this.#remainderSamples,
        tailSamples: this.#tailSamples,
      }),
      frames: this.#frames,
    };
  }

  /** A sentence starts: the encoder is reset, the ledger starts at zero. */
  begin(): void {
    this.#encoder?.reset();
    this.#block.clear();
    this.#pending.clear();
    this.#pieces.length = 0;
    this.#ended = false;
    this.#samplesIn = 0;
    this.#samplesOut = 0;
    this.#paddedSamples = 0;
    this.#lostSamples = 0;
    this.#remainderSamples = 0;
    this.#tailSamples = 0;
    this.#frames = 0;
  }

  /** @param samples given away by the caller. */
  push(samples: Int16Array): void {
    this.#samplesIn += samples.length;
    if (this.#framing.mode === 'carry') {
      this.#pending.push(samples);
    } else if (this.#framing.blockSamples === undefined) {
      this.#remainderSamples += this.#pushLossy(samples);
    } else {
      this.#block.push(samples);
      while (this.#block.length >= this.#framing.blockSamples) {
        this.#remainderSamples += this.#pushLossy(this.#block.take(this.#framing.blockSamples));
      }
    }
  }

  /** Whether {@link take} has one to give. */
  get hasFrame(): boolean {
    if (this.#pieces.length > 0) return true;
    const waiting = this.#pending.length;
    return waiting > 0 && (waiting >= this.#packetSamples || this.#ended);
  }

  /** The next complete frame; after `end` also the padded (opus) or short (raw) last one. */
  take(): Frame | undefined {
    if (!this.hasFrame) return undefined;
    const piece = this.#pieces.shift();
    if (piece !== undefined) return this.#rawFrame(piece);
    if (this.#encoder === undefined) return this.#rawFrame(this.#pending.take(rawPieceSamples));
    this.#frames += 1;
    let samples = this.#pending.take(this.#packetSamples);
    if (samples.length < this.#packetSamples) {
      this.#paddedSamples += this.#packetSamples - samples.length;
      const padded = new Int16Array(this.#packetSamples);
      padded.set(samples);
      samples = padded;
    }
    this.#samplesOut += this.#packetSamples;
    return { payload: this.#encoder.encode(samples), samples };
  }

  /** No more samples will come: what is left becomes the last frame. */
  end(): void {
    if (this.#block.length > 0) {
      this.#tailSamples += this.#pushLossy(this.#block.take(this.#block.length));
    }
    this.#ended = true;
  }

  /** The sentence is given up: what has not been taken is lost. */
  abandon(): void {
    const pieces = this.#pieces.splice(0).reduce((sum, { length }) => sum + length, 0);
    this.#lostSamples += this.#block.clear() + this.#pending.clear() + pieces;
  }

  #rawFrame(samples: Int16Array): Frame {
    this.#frames += 1;
    this.#samplesOut += samples.length;
    return { payload: littleEndian(samples), samples };
  }

  /** @returns samples that were dropped */
  #pushLossy(block: Int16Array): number {
    if (this.#encoder === undefined) {
      for (let at = 0; at < block.length; at += rawPieceSamples) {
        this.#pieces.push(block.slice(at, at + rawPieceSamples));
      }
      return 0;
    }
    const dropped = block.length % this.#packetSamples;
    this.#lostSamples += dropped;
    this.#pending.push(block.subarray(0, block.length - dropped));
    return dropped;
  }
}

function littleEndian(samples: Int16Array): Uint8Array {
  const bytes = new Uint8Array(samples.length * 2);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < samples.length; i++) view.setInt16(2 * i, samples[i]!, true);
  return bytes;
}
