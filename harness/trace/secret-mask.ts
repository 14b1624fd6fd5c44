/** Values shorter than this keep no secret, and would blot out innocent text. */
const secretCharactersMin = 4;
const star = 0x2a;

/**
 * Takes known secrets out of whatever is about to be written or shown, wherever a service has echoed
 * them: as they are, and as JSON, percent-encoding and Base64 write them.
 */
export class SecretMask {
  readonly #words: readonly string[];
  readonly #bytes: readonly Buffer[];

  constructor(secrets: readonly string[]) {
    const long = secrets.filter((secret) => secret.length >= secretCharactersMin);
    const spellings = long.flatMap((secret) => [
      secret,
      inJson(secret),
      encodeURIComponent(secret),
      Buffer.from(secret).toString('base64'),
    ]);
    // Text may be JSON inside JSON. Longer ones first: one may contain another.
    const words = new Set([...spellings, ...spellings.map(inJson)]);
    this.#words = [...words].sort((a, b) => b.length - a.length);
    this.#bytes = this.#words.map((word) => Buffer.from(word));
  }

  text(text: string): string {
    return this.#words.reduce((rest, word) => rest.replaceAll(word, '[redacted]'), text);
  }

  /**
   * For bytes that arrive in pieces: a secret may be cut by their boundaries.
   *
   * @param write receives all bytes in order, secrets replaced by as many asterisks. Valid during the call.
   */
  stream(write: (bytes: Uint8Array) => void): MaskedStream {
    return new MaskedStream(this.#bytes, write);
  }
}

/** Holds back what may be the beginning of a secret until the next piece shows whether it is. */
export class MaskedStream {
  readonly #secrets: readonly Buffer[];
  readonly #write: (bytes: Uint8Array) => void;
  #held: Buffer = Buffer.alloc(0);

  constructor(secrets: readonly Buffer[], write: (bytes: Uint8Array) => void) {
    this.#secrets = secrets;
    this.#write = write;
  }

  push(piece: Uint8Array): void {
    if (this.#secrets.length === 0) {
      this.#write(piece);
      return;
    }
    const bytes = Buffer.concat([this.#held, piece]);
    for (const secret of this.#secrets) {
      for (let at = bytes.indexOf(secret); at >= 0; at = bytes.indexOf(secret, at)) {
        bytes.fill(star, at, at + secret.length);
      }
    }
    const held = Math.max(...this.#secrets.map((secret) => beginningAtEnd(bytes, secret)));
    this.#held = Buffer.from(bytes.subarray(bytes.length - held));
    if (held < bytes.length) this.#write(bytes.subarray(0, bytes.length - held));
  }

  /** Nothing follows: most of a secret is one as well. */
  end(): void {
    if (this.#held.length >= secretCharactersMin) this.#held.fill(star);
    if (this.#held.length > 0) this.#write(this.#held);
    this.#held = Buffer.alloc(0);
  }
}

/** Length of the longest end of `bytes` with which `secret` begins, short of the whole. */
function beginningAtEnd(bytes: Buffer, secret: Buffer): number {
  for (let length = Math.min(secret.length - 1, bytes.length); length > 0; length--) {
    if (bytes.subarray(bytes.length - length).equals(secret.subarray(0, length))) return length;
  }
  return 0;
}

function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
