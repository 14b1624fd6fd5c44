import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Kept in memory by one cache, which is half an hour of speech. The oldest clips go first. */
const memoryBytesMax = 64 * 1024 * 1024;
const digestBytes = 32;

/** What a cache holds and how it looks in a file. */
export interface ClipForm<Clip> {
  toBytes(clip: Clip): Buffer;
  /** Undefined when the bytes are no clip. */
  fromBytes(bytes: Buffer): Clip | undefined;
}

/** 16-bit samples, s16le in a file. */
export const sampleForm: ClipForm<Int16Array> = {
  toBytes: bytesOf,
  fromBytes: (bytes) => (bytes.length % 2 === 0 ? samplesOf(bytes) : undefined),
};

/** Encoded audio. */
export const encodedForm: ClipForm<Buffer> = {
  toBytes: (clip) => clip,
  // A copy: the bytes are a part of a whole file that would stay in memory with them.
  fromBytes: (bytes) => Buffer.from(bytes),
};

/**
 * Finished clips by content key, in memory and, when a folder is given, on disk.
 *
 * A file holds the SHA-256 of the clip's bytes and then the bytes, and appears by rename, so readers
 * and parallel writers never meet half a clip. A file that does not match its digest counts as
 * missing and is written again. A folder that cannot be written costs time, never a run.
 */
export class ClipCache<Clip extends { readonly byteLength: number }> {
  readonly #form: ClipForm<Clip>;
  readonly #folder: string | undefined;
  readonly #memory = new Map<string, Clip>();
  #memoryBytes = 0;
  #temporaries = 0;
  readonly counts = { made: 0, memory: 0, disk: 0 };

  constructor(form: ClipForm<Clip>, folder?: string) {
    this.#form = form;
    this.#folder = folder;
  }

  /** The clip of `key`, from `make` when it is not there. Shared: callers must not change it. */
  get(key: string, make: () => Clip): Clip {
    const known = this.#memory.get(key);
    if (known !== undefined) {
      this.counts.memory++;
      return known;
    }
    const file = this.#file(key);
    let clip = file === undefined ? undefined : this.#read(file);
    if (clip !== undefined) {
      this.counts.disk++;
    } else {
      clip = make();
      this.counts.made++;
      if (file !== undefined) this.#write(file, clip);
    }
    this.#remember(key, clip);
    return clip;
  }

  #remember(key: string, clip: Clip): void {
    this.#memory.set(key, clip);
    this.#memoryBytes += clip.byteLength;
    for (const [oldest, { byteLength }] of this.#memory) {
      if (this.#memoryBytes <= memoryBytesMax || oldest === key) break;
      this.#memory.delete(oldest);
      this.#memoryBytes -= byteLength;
    }
  }

  #file(key: string): string | undefined {
    if (this.#folder === undefined) return undefined;
    return path.join(this.#folder, `${createHash('sha256').update(key).digest('hex')}.clip`);
  }

  #read(file: string): Clip | undefined {
    let content: Buffer;
    try {
      content = readFileSync(file);
    } catch {
      return undefined;
    }
    const bytes = content.subarray(digestBytes);
    if (content.length < digestBytes) return undefined;
    if (!digestOf(bytes).equals(content.subarray(0, digestBytes))) return undefined;
    return this.#form.fromBytes(bytes);
  }

  #write(file: string, clip: Clip): void {
    const temporary = `${file}.${process.pid}-${++this.#temporaries}.tmp`;
    const bytes = this.#form.toBytes(clip);
    try {
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(temporary, Buffer.concat([digestOf(bytes), bytes]));
      renameSync(temporary, file);
    } catch {
      removeIfPossible(temporary);
    }
  }
}

function removeIfPossible(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // Nothing was written there, or nobody may remove it.
  }
}

/** Samples as s16le. */
export function bytesOf(samples: Int16Array): Buffer {
  const bytes = Buffer.alloc(samples.length * 2);
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i]!;
    bytes[2 * i] = sample;
    bytes[2 * i + 1] = sample >> 8;
  }
  return bytes;
}

/** s16le as samples; half a sample at the end is left out. */
export function samplesOf(bytes: Buffer): Int16Array {
  const samples = new Int16Array(bytes.length >> 1);
  for (let i = 0; i < samples.length; i++) samples[i] = bytes[2 * i]! | (bytes[2 * i + 1]! << 8);
  return samples;
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
