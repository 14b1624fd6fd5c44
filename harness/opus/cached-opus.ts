/**
 * The codec with a memory: a packet that was made before, from the same samples behind the same packets, is not made
 * again. What comes out is the same to the byte; only the time it takes is not.
 */
import { createHash } from 'node:crypto';
import type { Opus, OpusDecoder, OpusEncoder } from './opus-codec.ts';
import { PacketStore } from './packet-store.ts';

/** Kept in memory of each kind: packets of about four hours, and the sound of half an hour. */
const memoryBytesMax = 64 * 1024 * 1024;

/**
 * @param folder where packets are kept between runs; absent: in memory only. What is decoded is never written, because
 *   decoding is as quick as reading.
 */
export function cachedOpus(opus: Opus, folder?: string): CachedOpus {
  const packets = new PacketStore(memoryBytesMax, folder && { folder, version: opus.version });
  const sounds = new PacketStore(memoryBytesMax);
  return {
    version: opus.version,
    counts: { packets: packets.counts, sounds: sounds.counts },
    createEncoder: (options) => {
      const encoder = opus.createEncoder(options);
      const { frameSamples } = encoder;
      return new RememberedEncoder(encoder, `${opus.version} ${frameSamples}`, packets);
    },
    createDecoder: () => new RememberedDecoder(opus.createDecoder(), opus.version, sounds),
  };
}

export interface CachedOpus extends Opus {
  readonly counts: {
    readonly packets: PacketStore['counts'];
    readonly sounds: PacketStore['counts'];
  };
}

/**
 * What a codec has been given since it was new. The next output depends on all of it, so the digest of it is the key.
 */
class History {
  readonly #seed: Buffer;
  #digest: Buffer;

  constructor(seed: string) {
    this.#seed = createHash('sha256').update(seed).digest();
    this.#digest = this.#seed;
  }

  reset(): void {
    this.#digest = this.#seed;
  }

  /** The key of what comes out when `bytes` go in. */
  add(bytes: Uint8Array): string {
    this.#digest = createHash('sha256').update(this.#digest).update(bytes).digest();
    return this.#digest.toString('latin1');
  }
}

class RememberedEncoder implements OpusEncoder {
  readonly frameSamples: number;
  readonly #encoder: OpusEncoder;
  readonly #history: History;
  readonly #packets: PacketStore;
  /** Frames whose packets were known, so that the encoder has not had them yet. */
  readonly #unseen: Int16Array[] = [];

  constructor(encoder: OpusEncoder, seed: string, packets: PacketStore) {
    this.frameSamples = encoder.frameSamples;
    this.#encoder = encoder;
    this.#history = new History(seed);
    this.#packets = packets;
  }

  encode(samples: Int16Array): Uint8Array {
    // A frame of a wrong length is refused, and changes nothing.
    if (samples.length !== this.frameSamples) return this.#encoder.encode(samples);
    const key = this.#history.add(bytesOf(samples));
    const known = this.#packets.get(key);
    if (known !== undefined) {
      this.#unseen.push(samples.slice());
      return known.slice();
    }
    for (const frame of this.#unseen.splice(0)) this.#encoder.encode(frame);
    const packet = this.#encoder.encode(samples);
    this.#packets.put(key, packet.slice());
    return packet;
  }

  reset(): void {
    this.#history.reset();
    this.#unseen.length = 0;
    this.#encoder.reset();
  }
}

class RememberedDecoder implements OpusDecoder {
  readonly #decoder: OpusDecoder;
  readonly #history: History;
  readonly #sounds: PacketStore;
  readonly #unseen: Uint8Array[] = [];
  /** It has refused a packet; what that did to it is its own affair. */
  #upset = false;

  constructor(decoder: OpusDecoder, seed: string, sounds: PacketStore) {
    this.#decoder = decoder;
    this.#history = new History(seed);
    this.#sounds = sounds;
  }

  decode(packet: Uint8Array): Int16Array {
    if (this.#upset) return this.#decoder.decode(packet);
    // The length tells an empty packet from none.
    const key = this.#history.add(Buffer.concat([Buffer.from(`${packet.length} `), packet]));
    const known = this.#sounds.get(key);
    if (known !== undefined) {
      this.#unseen.push(packet.slice());
      return new Int16Array(known.slice().buffer);
    }
    for (const earlier of this.#unseen.splice(0)) this.#decoder.decode(earlier);
    this.#upset = true;
    const samples = this.#decoder.decode(packet);
    this.#upset = false;
    this.#sounds.put(key, new Uint8Array(samples.slice().buffer));
    return samples;
  }

  reset(): void {
    this.#history.reset();
    this.#unseen.length = 0;
    this.#upset = false;
    this.#decoder.reset();
  }
}

function bytesOf(samples: Int16Array): Uint8Array {
  return new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
}
