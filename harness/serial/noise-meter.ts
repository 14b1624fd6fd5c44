/**
 * Tells a port at the wrong baud rate from a board that talks: how many of the last bytes cannot be text.
 * It works on bytes, since noise may hold no line end for a long time (pitfalls catalogue, R09).
 */

/** Bytes that are looked back on. */
const windowBytes = 256;
/** A few stray bytes when a port opens are normal. */
const leastBytes = 96;
/** Text has none; a wrong rate makes a quarter and more. */
const noisyShare = 0.15;
/** Below it the noise is over. */
const quietShare = 0.02;

export interface Noise {
  /** Share of the last {@link bytes} that cannot be text. */
  readonly share: number;
  readonly bytes: number;
}

export class NoiseMeter {
  /** Ring of the last bytes: 1 for one that cannot be text. */
  readonly #bad = new Uint8Array(windowBytes);
  #next = 0;
  #seen = 0;
  #badSeen = 0;
  #badTotal = 0;
  #noisy = false;
  /** Bytes of the current UTF-8 character that are still to come. */
  #following = 0;

  /** All bytes so far that could not be text. */
  get unprintable(): number {
    return this.#badTotal;
  }

  get noisy(): boolean {
    return this.#noisy;
  }

  /** @returns the noise when it begins with these bytes */
  push(bytes: Uint8Array): Noise | null {
    let begun: Noise | null = null;
    for (const byte of bytes) {
      const bad = this.#isBad(byte) ? 1 : 0;
      this.#badTotal += bad;
      this.#badSeen += bad - (this.#seen < windowBytes ? 0 : this.#bad[this.#next]!);
      this.#bad[this.#next] = bad;
      this.#next = (this.#next + 1) % windowBytes;
      this.#seen = Math.min(windowBytes, this.#seen + 1);
      const share = this.#badSeen / this.#seen;
      if (!this.#noisy && this.#seen >= leastBytes && share >= noisyShare) {
        this.#noisy = true;
        begun = { share, bytes: this.#seen };
      } else if (this.#noisy && this.#seen === windowBytes && share <= quietShare) {
        this.#noisy = false;
      }
    }
    return begun;
  }

  /** What came before is not looked back on: another baud rate, another port. */
  forget(): void {
    this.#seen = 0;
    this.#badSeen = 0;
    this.#next = 0;
    this.#noisy = false;
    this.#following = 0;
  }

  #isBad(byte: number): boolean {
    if (byte >= 0x80 && byte < 0xc0) {
      if (this.#following === 0) return true;
      this.#following--;
      return false;
    }
    const broken = this.#following > 0;
    this.#following = byte < 0xc2 || byte > 0xf4 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    if (byte >= 0xc0) return this.#following === 0 || broken;
    // Tab, LF, CR and ESC are text.
    if (byte < 0x20) return ![0x09, 0x0a, 0x0d, 0x1b].includes(byte);
    return byte === 0x7f || broken;
  }
}
