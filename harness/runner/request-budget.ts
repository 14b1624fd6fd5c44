/**
 * What a run may ask of providers at most. Requests to a real service cost money, so the limit is
 * checked before anything is sent.
 */
import {
  type SpeechCapabilities,
  SpeechError,
  type SpeechEvent,
  type SpeechSession,
  textParts,
} from '../../adapters/index.ts';

/** Requests to services, and Unicode code points of text to be spoken in them. */
export interface RequestCount {
  readonly requests: number;
  readonly characters: number;
}

export const noRequests: RequestCount = { requests: 0, characters: 0 };

export function sumOf(counts: Iterable<RequestCount>): RequestCount {
  let { requests, characters } = noRequests;
  for (const count of counts) {
    requests += count.requests;
    characters += count.characters;
  }
  return { requests, characters };
}

/**
 * What one call of `speak` with these pieces of text takes: a session of whole texts makes a request
 * for each part that fits into one, a session of pieces makes one for all. A model that rewrites the
 * text before is one more.
 */
export function requestsFor(
  { textIn, charactersMax, requestsBefore = 0 }: SpeechCapabilities,
  pieces: readonly string[],
): RequestCount {
  const parts =
    textIn === 'whole' && charactersMax !== undefined
      ? textParts(pieces.join(''), charactersMax)
      : pieces;
  return {
    requests: (textIn === 'whole' ? Math.max(1, parts.length) : 1) + requestsBefore,
    characters: parts.reduce((sum, part) => sum + [...part].length, 0),
  };
}

/**
 * A limit that several sessions share. What is taken stays taken, unless nothing was sent because there was
 * no connection.
 */
export class RequestBudget {
  readonly limits: RequestCount;
  readonly #refused = new AbortController();
  #requests = 0;
  #characters = 0;

  constructor(limits: RequestCount) {
    this.limits = limits;
  }

  get used(): RequestCount {
    return { requests: this.#requests, characters: this.#characters };
  }

  /** Aborts, with the refusal as reason, when something was refused for the first time. */
  get refused(): AbortSignal {
    return this.#refused.signal;
  }

  /**
   * Takes what is about to be sent.
   *
   * @param deliveredSamples 16 kHz samples that the utterance has yielded so far
   * @throws {SpeechError} kind `budget` when it would pass a limit; then nothing is taken
   */
  take(need: RequestCount, deliveredSamples = 0): void {
    const left = {
      requests: this.limits.requests - this.#requests,
      characters: this.limits.characters - this.#characters,
    };
    if (need.requests <= left.requests && need.characters <= left.characters) {
      this.add(need);
      return;
    }
    const error = new SpeechError({
      kind: 'budget',
      message:
        `The budget is used up: ${describe(need)} would pass the limit of ${describe(this.limits)}, ` +
        `of which ${describe(this.used)} are used. Nothing more was sent.`,
      retryable: false,
      deliveredSamples,
    });
    this.#refused.abort(error);
    throw error;
  }

  /** What was taken has not been sent after all. */
  giveBack({ requests, characters }: RequestCount): void {
    this.#requests -= requests;
    this.#characters -= characters;
  }

  /** Counts what was sent without having been taken. */
  add({ requests, characters }: RequestCount): void {
    this.#requests += requests;
    this.#characters += characters;
  }
}

function describe({ requests, characters }: RequestCount): string {
  const noun = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
  return `${noun(requests, 'request')} and ${noun(characters, 'character')}`;
}

/**
 * The session, asking `budget` before anything is sent. A refused call fails with kind `budget`; one
 * that has begun is stopped as if its consumer had aborted it.
 */
export function withinBudget(session: SpeechSession, budget: RequestBudget): SpeechSession {
  return {
    capabilities: session.capabilities,
    speak: (text, signal) => new BudgetedCall(session, budget, text, signal),
    close: () => session.close(),
  };
}

/** One utterance. Keeps an account of what was taken for it and of what was really sent. */
class BudgetedCall implements AsyncIterableIterator<SpeechEvent> {
  readonly #session: SpeechSession;
  readonly #budget: RequestBudget;
  readonly #refusal = new AbortController();
  readonly #events: AsyncIterator<SpeechEvent>;
  #taken = noRequests;
  #sent = noRequests;
  #deliveredSamples = 0;
  /** Something has been sent, or may have been. */
  #begun = false;

  constructor(
    session: SpeechSession,
    budget: RequestBudget,
    text: AsyncIterable<string>,
    signal: AbortSignal,
  ) {
    this.#session = session;
    this.#budget = budget;
    const admitted =
      session.capabilities.textIn === 'whole' ? this.#admitWhole(text) : this.#admitPieces(text);
    const stop = AbortSignal.any([signal, this.#refusal.signal]);
    this.#events = session.speak(admitted, stop)[Symbol.asyncIterator]();
  }

  async next(): Promise<IteratorResult<SpeechEvent>> {
    try {
      const next = await this.#events.next();
      if (next.done !== true) this.#note(next.value);
      return next;
    } catch (error) {
      this.#giveBackUnsent(error);
      throw error;
    }
  }

  async return(): Promise<IteratorResult<SpeechEvent>> {
    return (await this.#events.return?.()) ?? { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async *#admitWhole(text: AsyncIterable<string>): AsyncGenerator<string, void> {
    const pieces: string[] = [];
    for await (const piece of text) pieces.push(piece);
    this.#take(requestsFor(this.#session.capabilities, pieces));
    yield pieces.join('');
  }

  async *#admitPieces(text: AsyncIterable<string>): AsyncGenerator<string, void> {
    for await (const piece of text) {
      const { requests, characters } = requestsFor(this.#session.capabilities, [piece]);
      this.#take({ requests: this.#taken.requests === 0 ? requests : 0, characters });
      yield piece;
    }
  }

  #take(need: RequestCount): void {
    try {
      this.#budget.take(need, this.#deliveredSamples);
    } catch (error) {
      this.#refusal.abort(error);
      throw error;
    }
    this.#taken = sumOf([this.#taken, need]);
  }

  /** Where there is no connection nothing was asked of the service. */
  #giveBackUnsent(error: unknown): void {
    if (!(error instanceof SpeechError) || error.kind !== 'network' || this.#begun) return;
    this.#budget.giveBack(this.#taken);
    this.#taken = noRequests;
  }

  /** A text that was cut or rewritten on the way may have cost more than was foreseen. */
  #note(event: SpeechEvent): void {
    this.#begun = true;
    if (event.type === 'audio') this.#deliveredSamples += event.samples.length;
    if (event.type !== 'request') return;
    const { textIn, requestsBefore = 0 } = this.#session.capabilities;
    const characters = textIn === 'whole' ? event.characters : 0;
    this.#sent = sumOf([this.#sent, { requests: 1, characters }]);
    const more = {
      requests: Math.max(0, this.#sent.requests + requestsBefore - this.#taken.requests),
      characters: Math.max(0, this.#sent.characters - this.#taken.characters),
    };
    this.#budget.add(more);
    this.#taken = sumOf([this.#taken, more]);
  }
}
