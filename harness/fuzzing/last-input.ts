/**
 * The input that is being decoded, on disk. A decoder can end its process at once (V8 out of memory, a crash of native
 * code), and nothing in the process can tell what did it then; what was written before is still there.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

/** The length of the input, in front of it: a shorter input leaves the end of a longer one behind. */
const headBytes = 4;

export class LastInput {
  readonly #file: number;
  readonly #bytes: Buffer;

  /** @param file is made, or emptied */
  constructor(file: string, longestBytes: number) {
    this.#file = openSync(file, 'w');
    this.#bytes = Buffer.alloc(headBytes + longestBytes);
  }

  /** An input begins. */
  note(input: Uint8Array): void {
    this.#bytes.writeUInt32LE(input.length);
    this.#bytes.set(input, headBytes);
    writeSync(this.#file, this.#bytes, 0, headBytes + input.length, 0);
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** @returns undefined: none had begun */
export function readLastInput(file: string): Uint8Array | undefined {
  const bytes = readFileSync(file);
  if (bytes.length < headBytes) return undefined;
  return bytes.subarray(headBytes, headBytes + bytes.readUInt32LE());
}
