/** One line as it arrived, without its line end. */
export interface SplitLine {
  /** Invalid UTF-8 is shown as U+FFFD, NUL bytes are left out. */
  readonly text: string;
  /** Instant at which the first byte arrived. */
  readonly startUs: number;
  /** Instant at which the line end arrived, or what counted as one. */
  readonly endUs: number;
  /**
   * `whole`: it ended with CR LF, LF or CR. `cut`: no line end in 64 KiB. `torn`: a chip reset came in
   * the middle. `closed`: the port ended before the line did.
   */
  readonly end: 'whole' | 'cut' | 'torn' | 'closed';
}

/** What was wrong with the bytes so far. */
export interface ByteCounts {
  readonly bytes: number;
  readonly lines: number;
  /** Sequences that are no UTF-8; each is one U+FFFD. */
  readonly invalidUtf8: number;
  readonly nulBytes: number;
  /** Pieces of lines that were longer than {@link longestLineBytes}. */
  readonly cutLines: number;
  /** Lines that a reset or the end of the port broke off. */
  readonly tornLines: number;
}

/** Longer lines are handed on in pieces, so that noise without a line end costs no memory. */
export const longestLineBytes = 65_536;

/** What the ROM prints first after a reset; it comes in the middle of a line when the chip was printing one. */
const romBanner = 'ESP-ROM:esp32';

const lf = 0x0a;
const cr = 0x0d;

/**
 * Puts the bytes of a port together to lines. Pieces may be cut anywhere, also inside a character or
 * between CR and LF. A line is handed on with the byte that ends it: a CR that ends a piece is not held
 * back to see whether LF follows.
 */
export class ConsoleLineSplitter {
  readonly #strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  readonly #lenient = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #pending = new Uint8Array(longestLineBytes);
  #length = 0;
  #startUs = 0;
  /** The last byte was CR: what follows of CR and LF belongs to the same line end. */
  #afterCr = false;
  readonly #counts = {
    bytes: 0,
    lines: 0,
    invalidUtf8: 0,
    nulBytes: 0,
    cutLines: 0,
    tornLines: 0,
  };

  get counts(): ByteCounts {
    return { ...this.#counts };
  }

  /**
   * @param bytes as they arrived; kept no longer than the call
   * @param atUs when
   */
  push(bytes: Uint8Array, atUs: number): SplitLine[] {
    const lines: SplitLine[] = [];
    this.#counts.bytes += bytes.length;
    for (const byte of bytes) {
      if (byte === lf || byte === cr) {
        if (!this.#afterCr) this.#finish(lines, atUs, 'whole');
        // LF ends the run; further CRs belong to it.
        this.#afterCr = byte === cr;
        continue;
      }
      this.#afterCr = false;
      if (this.#length === longestLineBytes) this.#cut(lines, atUs);
      if (this.#length === 0) this.#startUs = atUs;
      this.#pending[this.#length++] = byte;
    }
    return lines;
  }

  /** The port has ended: what is left is a line without an end. */
  end(atUs: number): SplitLine[] {
    const lines: SplitLine[] = [];
    if (this.#length > 0) this.#finish(lines, atUs, 'closed');
    this.#afterCr = false;
    return lines;
  }

  /** Hands on what is there, up to a whole character. */
  #cut(lines: SplitLine[], atUs: number): void {
    let end = this.#length;
    for (let back = 1; back <= 3; back++) {
      const byte = this.#pending[this.#length - back]!;
      // A byte 10xxxxxx goes on, one 11xxxxxx begins a character.
      if (byte >= 0xc0) end = this.#length - back;
      if (byte < 0x80 || byte >= 0xc0) break;
    }
    const rest = this.#pending.slice(end, this.#length);
    this.#length = end;
    this.#finish(lines, atUs, 'cut');
    this.#pending.set(rest);
    this.#length = rest.length;
    this.#startUs = atUs;
  }

  #finish(lines: SplitLine[], endUs: number, end: SplitLine['end']): void {
    const startUs = this.#length === 0 ? endUs : this.#startUs;
    const text = this.#decode(this.#pending.subarray(0, this.#length));
    this.#length = 0;
    const banner = text.lastIndexOf(romBanner);
    if (banner > 0) {
      // When the banner's first byte came is not known; the line was going on until then.
      this.#add(lines, { text: text.slice(0, banner), startUs, endUs, end: 'torn' });
      this.#add(lines, { text: text.slice(banner), startUs: endUs, endUs, end });
    } else {
      this.#add(lines, { text, startUs, endUs, end });
    }
  }

  #add(lines: SplitLine[], line: SplitLine): void {
    this.#counts.lines++;
    if (line.end === 'cut') this.#counts.cutLines++;
    if (line.end === 'torn' || line.end === 'closed') this.#counts.tornLines++;
    lines.push(line);
  }

  #decode(bytes: Uint8Array): string {
    let text: string;
    try {
      text = this.#strict.decode(bytes);
    } catch {
      text = this.#lenient.decode(bytes);
      this.#counts.invalidUtf8 += count(text, '\ufffd') - plainReplacements(bytes);
    }
    if (!text.includes('\0')) return text;
    this.#counts.nulBytes += count(text, '\0');
    return text.replaceAll('\0', '');
  }
}

function count(text: string, character: string): number {
  return text.split(character).length - 1;
}

/** Replacement characters that the board itself has sent: ef bf bd. */
function plainReplacements(bytes: Uint8Array): number {
  let found = 0;
  for (let i = 0; i + 2 < bytes.length; i++) {
    if (bytes[i] === 0xef && bytes[i + 1] === 0xbf && bytes[i + 2] === 0xbd) found++;
  }
  return found;
}
