import { createHash } from 'node:crypto';
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** A file that has grown beyond this is begun again. */
const fileBytesMax = 64 * 1024 * 1024;
const keyBytes = 32;
const lengthBytes = 4;
const digestBytes = 8;

/**
 * Short pieces of bytes by key, in memory and, when a folder is given, in one file of it.
 *
 * The file is a row of entries, appended as they are made: key (32 bytes), length, bytes, and the beginning of the SHA-256
 * of all three. It is read when the first key is asked for. From the first entry on that does not match its digest (torn by
 * a kill, damaged on the disk) nothing is taken, and the file is written anew without it. Several processes may append: an
 * entry is written in one piece. A folder that cannot be written costs time, never a run.
 */
export class PacketStore {
  readonly #bytesMax: number;
  readonly #file: { readonly path: string; readonly folder: string } | undefined;
  readonly #memory = new Map<string, Uint8Array>();
  #memoryBytes = 0;
  #fileBytes = 0;
  #opened = false;
  /** `dropped`: bytes of the file that were no entries. */
  readonly counts = { made: 0, known: 0, dropped: 0 };

  /**
   * @param bytesMax kept in memory; the oldest go first
   * @param disk `version` of whatever makes the bytes: another one has another file
   */
  constructor(bytesMax: number, disk?: { readonly folder: string; readonly version: string } | '') {
    this.#bytesMax = bytesMax;
    if (!disk) return;
    const name = createHash('sha256').update(disk.version).digest('hex').slice(0, 16);
    this.#file = { folder: disk.folder, path: join(disk.folder, `opus-${name}.packets`) };
  }

  /** Shared: the caller must not change it. */
  get(key: string): Uint8Array | undefined {
    if (!this.#opened) this.#open();
    const known = this.#memory.get(key);
    if (known !== undefined) this.counts.known++;
    return known;
  }

  /**
   * @param key 32 characters of one byte each
   * @param bytes given away by the caller
   */
  put(key: string, bytes: Uint8Array): void {
    this.counts.made++;
    this.#remember(key, bytes);
    if (this.#file === undefined) return;
    const entry = entryOf(key, bytes);
    this.#fileBytes += entry.length;
    try {
      mkdirSync(this.#file.folder, { recursive: true });
      if (this.#fileBytes > fileBytesMax) this.#rewrite(entry);
      else appendFileSync(this.#file.path, entry);
    } catch {
      // It is made again another time.
    }
  }

  #open(): void {
    this.#opened = true;
    if (this.#file === undefined) return;
    let content: Buffer;
    try {
      if (statSync(this.#file.path).size > fileBytesMax) return;
      content = readFileSync(this.#file.path);
    } catch {
      return;
    }
    let at = 0;
    for (let entry = readEntry(content, at); entry !== undefined; entry = readEntry(content, at)) {
      this.#remember(entry.key, entry.bytes);
      at = entry.end;
    }
    this.#fileBytes = at;
    this.counts.dropped = content.length - at;
    if (this.counts.dropped === 0) return;
    try {
      this.#rewrite(content.subarray(0, at));
    } catch {
      // What is behind the damage stays unread.
    }
  }

  #rewrite(content: Uint8Array): void {
    const { path } = this.#file!;
    const temporary = `${path}.${process.pid}.tmp`;
    writeFileSync(temporary, content);
    renameSync(temporary, path);
    this.#fileBytes = content.length;
  }

  #remember(key: string, bytes: Uint8Array): void {
    if (this.#memory.has(key)) return;
    this.#memory.set(key, bytes);
    this.#memoryBytes += keyBytes + bytes.length;
    for (const [oldest, { length }] of this.#memory) {
      if (this.#memoryBytes <= this.#bytesMax || oldest === key) break;
      this.#memory.delete(oldest);
      this.#memoryBytes -= keyBytes + length;
    }
  }
}

function entryOf(key: string, bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(keyBytes + lengthBytes);
  head.write(key, 'latin1');
  head.writeUInt32LE(bytes.length, keyBytes);
  const content = Buffer.concat([head, bytes]);
  return Buffer.concat([content, digestOf(content)]);
}

function readEntry(file: Buffer, at: number) {
  const start = at + keyBytes + lengthBytes;
  if (start > file.length) return undefined;
  const end = start + file.readUInt32LE(at + keyBytes);
  if (end + digestBytes > file.length) return undefined;
  if (!digestOf(file.subarray(at, end)).equals(file.subarray(end, end + digestBytes))) {
    return undefined;
  }
  const key = file.toString('latin1', at, at + keyBytes);
  // A copy: the whole file would stay in memory with it.
  return { key, bytes: Uint8Array.from(file.subarray(start, end)), end: end + digestBytes };
}

function digestOf(content: Uint8Array): Buffer {
  return createHash('sha256').update(content).digest().subarray(0, digestBytes);
}
