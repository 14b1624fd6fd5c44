const banner = Buffer.from('ESP-ROM:');

/** A board that was reset by the opening of its port says so within this time (R01). */
export const resetOnOpenWindowUs = 3_000_000;

/** Looks for the first line of a boot in what arrives, wherever it is cut. */
export class BootBanner {
  /** How much of the banner has been seen at the end of the last piece. */
  #matched = 0;

  /** @returns whether the banner was completed by these bytes */
  push(bytes: Uint8Array): boolean {
    for (const byte of bytes) {
      // No byte of the banner but the first is an `E`, so a mismatch begins anew there.
      if (byte === banner[this.#matched]) this.#matched += 1;
      else this.#matched = byte === banner[0] ? 1 : 0;
      if (this.#matched === banner.length) {
        this.#matched = 0;
        return true;
      }
    }
    return false;
  }
}
