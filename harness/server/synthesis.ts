/**
 * From the texts of an answer to sentences with audio, through a speech session.
 *
 * Two ways. A session that takes whole texts gets one request per sentence, some of them at the
 * same time, so that the next sentence is there when the current one has been sent. A session that
 * takes pieces gets one request for the whole answer; its audio is cut into sentences where the
 * provider's marks say that a piece begins.
 */
import type {
  SpeechAudioEvent,
  SpeechEvent,
  SpeechSession,
} from '../../adapters/speech-adapter.ts';
import { SpeechError } from '../../adapters/speech-error.ts';
import type { Alarm, Clock } from '../clock/clock.ts';
import { AsyncQueue } from './async-queue.ts';
import { type PieceAudio, PieceBoundaries } from './piece-boundaries.ts';
import type { ProviderEvent, ServerEvent } from './server-event.ts';

/** A sentence on its way to the board. Audio may still be arriving. */
export interface SpokenSentence {
  readonly sentence: number;
  readonly text: string;
  /** Blocks as the adapter yielded them; closed after the last one, also after a failure. */
  readonly audio: AsyncQueue<Int16Array>;
}

export interface SynthesisOptions {
  readonly clock: Clock;
  readonly session: SpeechSession;
  readonly platform: string;
  readonly turn: number;
  /** Number of the first sentence of the answer. */
  readonly firstSentence: number;
  readonly parallelRequests: number;
  /** Aborts when the answer is no longer wanted. */
  readonly signal: AbortSignal;
  report(event: { source: 'server' } & ServerEvent): void;
  report(event: { source: 'provider' } & ProviderEvent): void;
  /** Audio of a request as the adapter yielded it; only valid during the call. */
  onAudio(request: number, samples: Int16Array): void;
  /** A sentence failed; the answer goes on. */
  onFailure(kind: string, message: string): void;
}

/** Samples of one sentence that may wait for the board before its adapter is not read any more. */
const waitingSamplesMax = 2 * 1024 * 1024;

/**
 * Speaks `texts` in order.
 *
 * @returns the sentences in order, and a promise of the end of all work, which rejects with the
 *   reason of `signal` or for a defect, never for a failed synthesis.
 */
export function synthesize(
  texts: AsyncIterable<string>,
  options: SynthesisOptions,
): { readonly sentences: AsyncQueue<SpokenSentence>; readonly done: Promise<void> } {
  const sentences = new AsyncQueue<SpokenSentence>(options.signal);
  const speak = options.session.capabilities.textIn === 'whole' ? speakWhole : speakPieces;
  return { sentences, done: speak(texts, sentences, options).finally(() => sentences.close()) };
}

async function speakWhole(
  texts: AsyncIterable<string>,
  sentences: AsyncQueue<SpokenSentence>,
  options: SynthesisOptions,
): Promise<void> {
  const running = new Set<Promise<void>>();
  let sentence = options.firstSentence;
  try {
    for await (const text of texts) {
      while (running.size >= options.parallelRequests) await Promise.race(running);
      const spoken = newSentence(sentence, text, options);
      sentence += 1;
      sentences.push(spoken);
      const work = speakSentence(spoken, options);
      running.add(work);
      const finished = (): boolean => running.delete(work);
      work.then(finished, finished);
    }
    sentences.close();
    await Promise.all(running);
  } finally {
    // Every request is over, and has said so, before the answer is.
    await Promise.allSettled(running);
  }
}

async function speakSentence(spoken: SpokenSentence, options: SynthesisOptions): Promise<void> {
  const request = new SpeechRequest(options, spoken.sentence);
  await request.run(once(spoken.text), async (event) => {
    if (event.type !== 'audio') return;
    request.reportChunk(event, spoken.sentence);
    if (event.samples.length === 0) return;
    spoken.audio.push(event.samples);
    await spoken.audio.room(waitingSamplesMax);
  });
  spoken.audio.close();
}

async function speakPieces(
  texts: AsyncIterable<string>,
  sentences: AsyncQueue<SpokenSentence>,
  options: SynthesisOptions,
): Promise<void> {
  const boundaries = new PieceBoundaries();
  const pieces: SpokenSentence[] = [];
  const withMarks = options.session.capabilities.marks;
  const request = new SpeechRequest(options, options.firstSentence);

  const source = texts[Symbol.asyncIterator]();
  const first = await source.next();
  if (first.done === true) return;

  // Without marks the audio of all pieces stays in the sentence of the first one.
  const add = (text: string): void => {
    const number = options.firstSentence + (withMarks ? pieces.length : 0);
    boundaries.add(text);
    pieces.push(newSentence(number, text, options));
  };
  async function* spaced(): AsyncGenerator<string, void> {
    for (let next = first; next.done !== true; next = await source.next()) {
      if (next !== first) add(next.value);
      yield `${next.value} `;
    }
  }

  add(first.value);
  let current = 0;
  sentences.push(pieces[0]!);
  const hand = (parts: PieceAudio[]): void => {
    for (const { piece, samples } of parts) {
      for (; current < piece; current += 1) {
        pieces[current]!.audio.close();
        sentences.push(pieces[current + 1]!);
      }
      pieces[piece]!.audio.push(samples);
    }
  };

  // Marks come behind the audio of the same message, so audio is held for the rest of its instant.
  let held: SpeechAudioEvent | undefined;
  let alarm: Alarm | undefined;
  const release = (): void => {
    alarm?.cancel();
    const event = held;
    held = undefined;
    if (event === undefined || options.signal.aborted) return;
    hand(boundaries.split(event.samples));
    request.reportChunk(event, pieces[current]!.sentence);
  };
  await request.run(
    spaced(),
    async (event) => {
      if (event.type === 'mark') boundaries.mark(event.characters, event.startSamples);
      release();
      if (event.type !== 'audio') return;
      held = event;
      alarm = options.clock.after(0, release);
      await pieces[current]!.audio.room(waitingSamplesMax);
    },
    release,
  );
  pieces[current]!.audio.close();
}

function newSentence(sentence: number, text: string, options: SynthesisOptions): SpokenSentence {
  const { clock, turn, signal } = options;
  options.report({ source: 'server', type: 'sentence', atUs: clock.nowUs(), turn, sentence, text });
  return { sentence, text, audio: new AsyncQueue(signal, (block) => block.length) };
}

async function* once(text: string): AsyncGenerator<string, void> {
  yield text;
}

/** One call of `speak`, reported. */
class SpeechRequest {
  readonly #options: SynthesisOptions;
  readonly #firstSentence: number;
  /** Number of the provider request; 0 until one has been written. */
  #request = 0;
  #sentence: number;
  #deliveredSamples = 0;

  constructor(options: SynthesisOptions, sentence: number) {
    this.#options = options;
    this.#firstSentence = sentence;
    this.#sentence = sentence;
  }

  /**
   * Speaks and hands the events on. A failure is reported and ends the run without an error.
   *
   * @param flush is called before a failure is reported, to hand on what `take` held back
   */
  async run(
    text: AsyncIterable<string>,
    take: (event: SpeechEvent) => Promise<void>,
    flush: () => void = () => {},
  ): Promise<void> {
    const { session, signal } = this.#options;
    try {
      for await (const event of session.speak(text, signal)) {
        this.#request = event.request;
        await take(event);
        this.#reportEvent(event);
      }
    } catch (error) {
      if (signal.aborted) {
        this.#reportCancelled();
        throw signal.reason;
      }
      flush();
      this.#reportFailure(error);
    }
  }

  reportChunk(event: SpeechAudioEvent, sentence: number): void {
    this.#sentence = sentence;
    this.#deliveredSamples += event.samples.length;
    this.#options.report({
      source: 'provider',
      type: 'chunk',
      atUs: event.atUs,
      request: event.request,
      sentence,
      sourceBytes: event.sourceBytes,
      sourceRateHz: event.sourceRateHz,
      sourceChannels: event.sourceChannels,
      samples: event.samples.length,
    });
    if (event.samples.length > 0) this.#options.onAudio(event.request, event.samples);
  }

  #reportEvent(event: SpeechEvent): void {
    const { report, turn, platform } = this.#options;
    const { atUs, request } = event;
    switch (event.type) {
      case 'textOptimization':
        report({
          source: 'server',
          type: 'textOptimization',
          atUs,
          turn,
          sentence: this.#firstSentence,
          startedUs: event.startedUs,
          url: event.url,
          text: event.text,
          charactersIn: event.charactersIn,
          charactersOut: event.charactersOut,
        });
        break;
      case 'request':
        report({
          source: 'provider',
          type: 'request',
          atUs,
          request,
          turn,
          sentence: this.#firstSentence,
          platform,
          url: event.url,
          reused: event.reused,
          decidedUs: event.decidedUs,
          connectedUs: event.connectedUs,
          characters: event.characters,
        });
        break;
      case 'responseHead':
        report({
          source: 'provider',
          type: 'responseHead',
          atUs,
          request,
          status: event.status,
          ...(event.contentType === undefined ? {} : { contentType: event.contentType }),
          ...(event.requestId === undefined ? {} : { requestId: event.requestId }),
        });
        break;
      case 'end':
        report({
          source: 'provider',
          type: 'end',
          atUs,
          request,
          sourceFrames: event.sourceFrames,
          samples: event.samples,
          ...(event.usage === undefined ? {} : { usage: event.usage }),
        });
        break;
      case 'audio':
      case 'mark':
        break;
    }
  }

  #reportCancelled(): void {
    const { report, clock, turn } = this.#options;
    report({
      source: 'provider',
      type: 'cancelled',
      atUs: clock.nowUs(),
      request: this.#request,
      turn,
      sentence: this.#sentence,
      deliveredSamples: this.#deliveredSamples,
    });
  }

  #reportFailure(error: unknown): void {
    const { report, clock, turn } = this.#options;
    const failure = describeFailure(error);
    report({
      source: 'provider',
      type: 'failure',
      atUs: clock.nowUs(),
      request: this.#request,
      turn,
      sentence: this.#sentence,
      deliveredSamples: this.#deliveredSamples,
      ...failure,
    });
    this.#options.onFailure(failure.kind, failure.message);
  }
}

type FailureDescription = Pick<
  ProviderEvent & { type: 'failure' },
  'kind' | 'code' | 'message' | 'retryable' | 'status' | 'providerCode' | 'retryAfterMs'
>;

function describeFailure(error: unknown): FailureDescription {
  if (error instanceof SpeechError) {
    return {
      kind: error.kind,
      code: error.code,
      message: error.message,
      retryable: error.retryable,
      ...(error.status === undefined ? {} : { status: error.status }),
      ...(error.providerCode === undefined ? {} : { providerCode: error.providerCode }),
      ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    };
  }
  // An adapter may only throw a SpeechError. Whatever else it is, the board must not wait for ever.
  return {
    kind: 'internal',
    code: 'TTS_INTERNAL',
    message: `The speech adapter failed in an unexpected way: ${String(error)}`,
    retryable: false,
  };
}
