import { createHash, timingSafeEqual } from 'node:crypto';

/** Knows the token by its digest only, and takes the same time for every wrong one. */
export class AccessToken {
  readonly #digest: Buffer;

  constructor(token: string) {
    this.#digest = digestOf(token);
  }

  opens(shown: readonly string[]): boolean {
    return shown.filter((token) => timingSafeEqual(digestOf(token), this.#digest)).length > 0;
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
