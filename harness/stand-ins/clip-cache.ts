import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Samples kept in memory: 64 MiB, half an hour of speech. The oldest go first. */
const memorySamplesMax = 32 * 1024 * 1024;
const digestBytes = 32;

/**
 * Finished clips by content key, in memory and, when a folder is given, on disk.
 *
 * A file holds the SHA-256 of the samples and then the samples, and appears by rename, so readers
 * and parallel writers never meet half a clip. A file that does not match its digest counts as
 * missing and is written again. A folder that cannot be written costs time, never a run.
 */
export class ClipCache {
  readonly #folder: string | undefined;
  readonly #memory = new Map<string, Int16Array>();
  #memorySamples = 0;
  #temporaries = 0;
  readonly counts = { made: 0, memory: 0, disk: 0 };

  constructor(folder?: string) {
    this.#folder = folder;
  }

  /** The clip of `key`, from `make` when it is not there. Shared: callers must not change it. */
  get(key: string, make: () => Int16Array): Int16Array {
    const known = this.#memory.get(key);
    if (known !== undefined) {
      this.counts.memory++;
      return known;
    }
    const file = this.#file(key);
    let clip = file === undefined ? undefined : readClip(file);
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

  #remember(key: string, clip: Int16Array): void {
    this.#memory.set(key, clip);
    this.#memorySamples += clip.length;
    for (const [oldest, samples] of this.#memory) {
      if (this.#memorySamples <= memorySamplesMax || oldest === key) break;
      this.#memory.delete(oldest);
      this.#memorySamples -= samples.length;
    }
  }

  #file(key: string): string | undefined {
    if (this.#folder === undefined) return undefined;
    return path.join(this.#folder, `${createHash('sha256').update(key).digest('hex')}.clip`);
  }

  #write(file: string, clip: Int16Array): void {
    const temporary = `${file}.${process.pid}-${++this.#temporaries}.tmp`;
    const bytes = bytesOf(clip);
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

function readClip(file: string): Int16Array | undefined {
  let content: Buffer;
  try {
    content = readFileSync(file);
  } catch {
    return undefined;
  }
  const bytes = content.subarray(digestBytes);
  if (content.length < digestBytes || bytes.length % 2 !== 0) return undefined;
  if (!digestOf(bytes).equals(content.subarray(0, digestBytes))) return undefined;
  const clip = new Int16Array(bytes.length / 2);
  for (let i = 0; i < clip.length; i++) clip[i] = bytes.readInt16LE(2 * i);
  return clip;
}

/** Samples as s16le. */
export function bytesOf(samples: Int16Array): Buffer {
  const bytes = Buffer.alloc(samples.length * 2);
  for (let i = 0; i < samples.length; i++) bytes.writeInt16LE(samples[i]!, 2 * i);
  return bytes;
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
