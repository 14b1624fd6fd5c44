/**
 * Conversations on a WebSocket that keep to the letter of a protocol and to nothing else: the same
 * sound cut anywhere, with what carries no audio in between, in any spelling, and with frames of an
 * answer that nobody listens to any more. For tests: every adapter on a socket must make the same
 * audio of all of them (TTS provider protocol reference, sections 2.1, 6.10, 7.3, 9.3).
 */
import type { TestFn } from 'ava';
import fc from 'fast-check';
import type { WebSocket } from 'ws';
import { bytesOf, pcmBytes, wavHeader } from './audio/wav-fixture.contract.ts';
import { webSocketAnswers } from './scripted-wire.contract.ts';
import {
  audioOf,
  type ContractSubject,
  collect,
  failure,
  makeStage,
  never,
  said,
  samplesOf,
} from './speech-adapter.contract.ts';
import type { SpeechAdapter, SpeechEvent } from './speech-adapter.ts';
import { SpeechError } from './speech-error.ts';

export interface HostileSubject<Config extends { readonly url: string }> {
  readonly name: string;
  readonly adapter: SpeechAdapter<Config>;
  readonly config: Config;
  /** Makes JSON of what the adapter sends. */
  readonly decode?: (data: Buffer) => string;
  /** The service's side of a socket. */
  readonly dialect: HostileDialect;
  /** The service says when each character is spoken. */
  readonly marks: boolean;
  /** The service leaves the socket open after its final message. */
  readonly staysOpen: boolean;
}

/** Messages of a service. A pick between 0 and 99 chooses among the legal forms of one. */
export interface HostileDialect {
  /** What a message of the adapter is; `open` is answered with {@link opened}. */
  meaning(message: unknown): 'open' | 'text' | 'end' | 'other';
  /** What names the utterance in later messages; handed to the functions below. */
  idOf?(message: unknown): string;
  opened?(id: string): string | Uint8Array;
  audio(chunk: Buffer, alignment: Alignment | undefined, pick: number): string | Uint8Array;
  /** Carries no audio and ends nothing. */
  noise(id: string, pick: number): string | Uint8Array;
  final(id: string, pick: number): string | Uint8Array;
}

export interface Alignment {
  readonly characters: readonly string[];
  readonly startsMs: readonly number[];
  /** Its parts are of different lengths: it must be left out. */
  readonly mismatched: boolean;
}

/** One answer as the service will give it, whatever the text. */
interface PlantedAnswer {
  readonly samples: Int16Array;
  /** Sizes of the messages in bytes, over and over. */
  readonly cuts: readonly number[];
  /** For each message, over and over: what comes before it, its form, and the wait, in that order. */
  readonly steps: readonly (readonly [noise: boolean, pick: number, waitUs: number])[];
  readonly wavHeader: boolean;
  /** Of every so many messages one has an alignment. */
  readonly alignmentEvery: number;
  /** The service closes cleanly without its final message. */
  readonly finalMissing: boolean;
  /** Audio of this answer that is sent once more behind its end. */
  readonly late: boolean;
}

const answers = (kind: { finalMissing: boolean; late: boolean }): fc.Arbitrary<PlantedAnswer> =>
  fc.record({
    // No sample begins like a container, so its first bytes are not held back.
    samples: fc
      .array(fc.integer({ min: -32_768, max: 32_767 }), { minLength: 1, maxLength: 120 })
      .map((samples) => Int16Array.from([256, ...samples])),
    cuts: fc.oneof(
      fc.constant([1]),
      fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 400 })), {
        minLength: 1,
        maxLength: 8,
      }),
    ),
    steps: fc.array(
      fc.tuple(
        fc.boolean(),
        fc.integer({ min: 0, max: 99 }),
        fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 9_000 })),
      ),
      { minLength: 1, maxLength: 9 },
    ),
    wavHeader: fc.boolean(),
    alignmentEvery: fc.integer({ min: 1, max: 5 }),
    finalMissing: fc.constant(kind.finalMissing),
    late: kind.late ? fc.boolean() : fc.constant(false),
  });

/** @param options `seed` of fast-check, and how many conversations each property has */
export function hostileMessages<Config extends { readonly url: string }>(
  test: TestFn,
  subject: HostileSubject<Config>,
  { seed, numRuns }: { readonly seed: number; readonly numRuns: number },
): void {
  const complete = answers({ finalMissing: false, late: false });
  const pieces = fc.array(fc.constantFrom('New. ', 'News! ', 'New 好。'), {
    minLength: 1,
    maxLength: 3,
  });

  test(`${subject.name}: no legal form of the messages changes the audio`, async (t) => {
    const property = fc.asyncProperty(complete, pieces, async (answer, text) => {
      const sent: SentAnswer[] = [];
      const stage = await makeStage(staged(subject, { New: answer }, sent), {});
      const events = await stage.clock.run(collect(stage.session.speak(said(...text), never())));
      t.deepEqual(samplesOf(events), [...answer.samples]);
      t.is(bytesIn(events), answer.samples.byteLength, 'headers are no audio');
      t.like(events.at(-1)!, { type: 'end', samples: answer.samples.length });
      t.deepEqual(marksIn(events), subject.marks ? sent[0]!.marks : []);
      await stage.finish();
    });
    await fc.assert(property, { seed, numRuns });
  });

  test(`${subject.name}: a clean close instead of the final message keeps the audio and is truncated`, async (t) => {
    const answer = answers({ finalMissing: true, late: false });
    const property = fc.asyncProperty(answer, async (planted) => {
      const stage = await makeStage(staged(subject, { Hi: planted }), {});
      const events: SpeechEvent[] = [];
      const error = await stage.clock.run(
        failure(stage.session.speak(said('Hi.'), never()), events),
      );
      t.true(error instanceof SpeechError && error.kind === 'truncated', String(error));
      t.deepEqual(samplesOf(events), [...planted.samples]);
      await stage.finish();
    });
    await fc.assert(property, { seed, numRuns });
  });

  test(`${subject.name}: nothing of an interrupted or finished answer is heard in the next`, async (t) => {
    let interrupted = 0;
    let finished = 0;
    const property = fc.asyncProperty(
      answers({ finalMissing: false, late: true }),
      complete,
      fc.integer({ min: 0, max: 250_000 }),
      // At once, and when a socket may be used again.
      fc.oneof(fc.integer({ min: 0, max: 20_000 }), fc.integer({ min: 500_000, max: 700_000 })),
      async (first, second, abortUs, pauseUs) => {
        const stage = await makeStage(staged(subject, { Old: first, New: second }), {});
        const stop = new AbortController();
        const reason = new Error('barge-in');
        stage.clock.after(abortUs, () => stop.abort(reason));
        const error = await stage.clock.run(
          failure(stage.session.speak(said('Old.'), stop.signal)),
        );
        if (error === undefined) finished++;
        else {
          interrupted++;
          t.is(error, reason);
        }
        await stage.clock.run(stage.clock.sleep(pauseUs));
        const events: SpeechEvent[] = [];
        const failed = await stage.clock.run(
          failure(stage.session.speak(said('New. '), never()), events),
        );
        // Late audio on a socket that speaks again already is told from the answer, or ends it.
        if (failed === undefined) t.deepEqual(samplesOf(events), [...second.samples]);
        else {
          t.true(first.late && error === undefined, String(failed));
          t.true(failed instanceof SpeechError && failed.kind === 'protocol', String(failed));
          t.deepEqual(samplesOf(events), []);
        }
        await stage.finish();
      },
    );
    await fc.assert(property, { seed, numRuns });
    t.true(interrupted > 5 && finished > 5, `${interrupted} interrupted, ${finished} finished`);
  });
}

/** What the service has said, in terms of the port. */
interface SentAnswer {
  readonly marks: { readonly characters: readonly string[]; readonly startSamples: number[] }[];
}

/**
 * The wire of a service that gives an answer of its own to each text.
 *
 * @param answers by a word of the text; a socket may be dead before it says anything
 */
function staged<Config extends { readonly url: string }>(
  { adapter, config, decode, dialect, staysOpen }: HostileSubject<Config>,
  answers: Readonly<Record<string, PlantedAnswer>>,
  sent: SentAnswer[] = [],
): ContractSubject<Config> {
  return {
    adapter,
    config,
    rateHz: 16_000,
    wire: (clock) => {
      const heard = new WeakMap<WebSocket, { id: string; text: string; voice?: Voice }>();
      return webSocketAnswers((message, socket) => {
        const meaning = dialect.meaning(message);
        let state = heard.get(socket);
        if (state === undefined || meaning === 'open') {
          const id = dialect.idOf?.(message) ?? '';
          if (dialect.opened !== undefined) socket.send(dialect.opened(id));
          state = { id, text: '' };
          heard.set(socket, state);
        }
        state.text += JSON.stringify(message);
        if (state.voice === undefined && meaning === 'text') {
          const word = Object.keys(answers).find((candidate) => state.text.includes(candidate))!;
          state.voice = new Voice(answers[word]!, dialect, state.id, clock, socket, staysOpen);
          sent.push(state.voice);
        }
        if (meaning === 'text') state.voice?.speakSome();
        else if (meaning === 'end') state.voice?.end();
      }, decode);
    },
  };
}

/** One answer on its way: some messages for each piece of text, the rest at the end. */
class Voice implements SentAnswer {
  readonly marks: SentAnswer['marks'] = [];
  readonly #answer: PlantedAnswer;
  readonly #dialect: HostileDialect;
  readonly #id: string;
  readonly #clock: Parameters<ContractSubject<never>['wire']>[0];
  readonly #socket: WebSocket;
  readonly #staysOpen: boolean;
  readonly #chunks: Buffer[];
  readonly #headerBytes: number;
  #messages = 0;
  #sentBytes = 0;
  #dueUs = 0;

  constructor(
    answer: PlantedAnswer,
    dialect: HostileDialect,
    id: string,
    clock: Parameters<ContractSubject<never>['wire']>[0],
    socket: WebSocket,
    staysOpen: boolean,
  ) {
    this.#answer = answer;
    this.#dialect = dialect;
    this.#id = id;
    this.#clock = clock;
    this.#socket = socket;
    this.#staysOpen = staysOpen;
    const placeholder = { riffSize: 0xffff_ffff, dataSize: 0xffff_ffff };
    const header = answer.wavHeader ? wavHeader(0, { rateHz: 16_000, ...placeholder }) : [];
    this.#headerBytes = header.length;
    const bytes = Buffer.concat([
      Buffer.from(header),
      Buffer.from(bytesOf(pcmBytes([...answer.samples]))),
    ]);
    this.#chunks = [];
    for (let at = 0; at < bytes.length; at += this.#chunks.at(-1)!.length) {
      const size = answer.cuts[this.#chunks.length % answer.cuts.length]!;
      this.#chunks.push(bytes.subarray(at, at + size));
    }
  }

  speakSome(): void {
    for (let left = this.#answer.cuts.length; left > 0; left--) this.#speakNext();
  }

  end(): void {
    while (this.#chunks.length > 0) this.#speakNext();
    const { late, finalMissing, samples, steps } = this.#answer;
    const [, pick, waitUs] = steps[this.#messages % steps.length]!;
    if (finalMissing) {
      this.#later(waitUs, () => this.#socket.close(1000));
      return;
    }
    this.#send(waitUs, this.#dialect.final(this.#id, pick));
    if (late) {
      const chunk = Buffer.from(bytesOf(pcmBytes([...samples])));
      this.#send(waitUs, this.#dialect.audio(chunk, undefined, pick));
    }
    if (!this.#staysOpen) this.#later(waitUs, () => this.#socket.close(1000));
  }

  #speakNext(): void {
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return;
    const { steps, alignmentEvery } = this.#answer;
    const [noise, pick, waitUs] = steps[this.#messages % steps.length]!;
    const aligned = this.#messages % alignmentEvery === 0;
    this.#messages++;
    if (noise) this.#send(waitUs, this.#dialect.noise(this.#id, pick));
    this.#send(waitUs, this.#dialect.audio(chunk, aligned ? this.#align(pick) : undefined, pick));
    this.#sentBytes += chunk.length;
  }

  #align(pick: number): Alignment {
    const characters = ['x', '好', 'é'].slice(0, 1 + (pick % 3));
    const startsMs = characters.map((_, i) => i * (pick % 7));
    const mismatched = pick % 5 === 0;
    const heard = Math.max(0, this.#sentBytes - this.#headerBytes);
    if (!mismatched) {
      // A sample is two bytes; one that is cut belongs to the message that completes it.
      const startSamples = startsMs.map((ms) => Math.floor(heard / 2) + ms * 16);
      this.marks.push({ characters, startSamples });
    }
    return { characters, startsMs: mismatched ? [...startsMs, 1] : startsMs, mismatched };
  }

  #send(waitUs: number, message: string | Uint8Array): void {
    this.#later(waitUs, () => this.#socket.send(message));
  }

  /** In order, each `waitUs` behind the one before. */
  #later(waitUs: number, action: () => void): void {
    this.#dueUs = Math.max(this.#dueUs, this.#clock.nowUs()) + waitUs;
    this.#clock.after(this.#dueUs - this.#clock.nowUs(), () => {
      if (this.#socket.readyState === this.#socket.OPEN) action();
    });
  }
}

function bytesIn(events: readonly SpeechEvent[]): number {
  return audioOf(events).reduce((sum, { sourceBytes }) => sum + sourceBytes, 0);
}

function marksIn(events: readonly SpeechEvent[]): unknown[] {
  return events.flatMap((event) =>
    event.type === 'mark'
      ? [{ characters: event.characters, startSamples: [...event.startSamples] }]
      : [],
  );
}
