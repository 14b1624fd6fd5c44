/**
 * WAV files of recordings: 16-bit mono 16 kHz, the one format in which the harness keeps audio.
 * Written append-only with a header that says "until the end of the file" until it is closed, so
 * that a recording of a killed run can be read.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { endianness } from 'node:os';

const sampleRateHz = 16_000;
const headerBytes = 44;
const dataSizeOffset = 40;
/** Size fields of a file that is still being written. */
const untilEndOfFile = 0xffff_ffff;

/** A complete file in memory. */
export function encodeWav(samples: Int16Array): Buffer {
  const data = pcmBytes(samples);
  return Buffer.concat([wavHeader(data.length), data]);
}

/** Appends to a file and patches its sizes when closed. Synchronous: recording must not yield. */
export class WavWriter {
  readonly #file: number;
  #dataBytes = 0;

  /** @param path is created or emptied. */
  constructor(path: string) {
    this.#file = openSync(path, 'w');
    writeSync(this.#file, wavHeader(untilEndOfFile));
  }

  /** Samples written so far. */
  get samples(): number {
    return this.#dataBytes / 2;
  }

  write(samples: Int16Array): void {
    if (samples.length === 0) return;
    const data = pcmBytes(samples);
    writeSync(this.#file, data, 0, data.length, headerBytes + this.#dataBytes);
    this.#dataBytes += data.length;
  }

  close(): void {
    writeSync(this.#file, wavHeader(this.#dataBytes), 0, headerBytes, 0);
    closeSync(this.#file);
  }
}

/**
 * Reads a file written by this module; of an unfinished one, whatever is there. Of one that a killed run has left in the
 * middle of its header, that is nothing.
 *
 * @throws {WavFileError} `WAV_FORMAT` when it is anything else than 16-bit mono 16 kHz.
 */
export function readWav(path: string): Int16Array {
  const bytes = readFileSync(path);
  if (wavHeader(untilEndOfFile).subarray(0, bytes.length).equals(bytes)) return new Int16Array(0);
  const fits =
    bytes.length >= headerBytes &&
    bytes.toString('latin1', 0, 4) === 'RIFF' &&
    bytes.toString('latin1', 8, 16) === 'WAVEfmt ' &&
    bytes.readUInt16LE(20) === 1 &&
    bytes.readUInt16LE(22) === 1 &&
    bytes.readUInt32LE(24) === sampleRateHz &&
    bytes.readUInt16LE(34) === 16;
  if (!fits) {
    throw new WavFileError(`${path} is not a recording of the harness (16-bit mono 16 kHz WAV).`);
  }
  const declared = bytes.readUInt32LE(dataSizeOffset);
  const end = Math.min(bytes.length, headerBytes + declared);
  const samples = new Int16Array((end - headerBytes) >> 1);
  const data = Buffer.from(samples.buffer);
  bytes.copy(data, 0, headerBytes, headerBytes + data.length);
  if (endianness() === 'BE') data.swap16();
  return samples;
}

export class WavFileError extends Error {
  override readonly name = 'WavFileError';
  readonly code = 'WAV_FORMAT';
}

function wavHeader(dataBytes: number): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(dataBytes === untilEndOfFile ? untilEndOfFile : dataBytes + 36, 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(sampleRateHz, 24);
  header.writeUInt32LE(2 * sampleRateHz, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(dataBytes, dataSizeOffset);
  return header;
}

function pcmBytes(samples: Int16Array): Buffer {
  const own = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
  const bytes = Buffer.from(own);
  return endianness() === 'BE' ? bytes.swap16() : bytes;
}
