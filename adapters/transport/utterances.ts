import { speechError } from './provider-failure.ts';
import { SpeechDelivery } from './speech-delivery.ts';

/** The utterances of one session that are being spoken. */
export class Utterances {
  readonly #platform: string;
  readonly #running = new Set<SpeechDelivery>();
  #closed = false;

  constructor(platform: string) {
    this.#platform = platform;
  }

  /** @param produce as in {@link SpeechDelivery} */
  begin(signal: AbortSignal, produce: (delivery: SpeechDelivery) => Promise<void>): SpeechDelivery {
    return new SpeechDelivery(signal, async (delivery) => {
      this.#running.add(delivery);
      try {
        if (this.#closed) throw this.#closedError(delivery);
        await produce(delivery);
      } finally {
        this.#running.delete(delivery);
      }
    });
  }

  /** Those that run fail with kind `network`, and so does every later one. */
  close(): void {
    this.#closed = true;
    for (const delivery of this.#running) delivery.fail(this.#closedError(delivery));
  }

  #closedError(delivery: SpeechDelivery): Error {
    return speechError(
      { kind: 'network', message: `The ${this.#platform} session was closed.`, retryable: false },
      delivery.samples,
    );
  }
}

/**
 * Counts the Unicode code points of a text.
 *
 * @throws {SpeechError} `bad-request` for nothing to say, `too-long` above the limit
 */
export function checkText(platform: string, text: string, charactersMax?: number): number {
  if (text.trim() === '') {
    throw speechError(
      { kind: 'bad-request', message: 'The text is empty: nothing was sent to the provider.' },
      0,
    );
  }
  let characters = 0;
  for (const _ of text) characters++;
  if (charactersMax !== undefined && characters > charactersMax) {
    throw speechError(
      {
        kind: 'too-long',
        message: `The text has ${characters} characters, ${platform} takes ${charactersMax} in one request; nothing was sent. Speak it in shorter pieces.`,
      },
      0,
    );
  }
  return characters;
}
