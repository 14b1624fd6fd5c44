/**
 * The obligations of the `SpeechAdapter` port as tests, in virtual time, against a scripted server
 * that speaks the platform's wire protocol. Every adapter passes the same suite.
 */
import type { TestFn } from 'ava';
import fc from 'fast-check';
import { SimulatedClock } from '../harness/clock/simulated-clock.ts';
import { SystemClock } from '../harness/clock/system-clock.ts';
import type { LinkProfile } from '../harness/network/link.ts';
import { MemoryNetwork } from '../harness/network/memory-network.ts';
import { SocketNetwork } from '../harness/network/socket-network.ts';
import { createRandom } from '../harness/random/random.ts';
import { SpeechNormalizer } from './audio/speech-normalizer.ts';
import {
  type ScriptedWire,
  steadyScript,
  voiceBytes,
  type WireScript,
} from './scripted-wire.contract.ts';
import type {
  AdapterClock,
  AdapterDeps,
  SpeechAdapter,
  SpeechAudioEvent,
  SpeechEvent,
  SpeechSession,
  WireObservation,
} from './speech-adapter.ts';
import { SpeechError } from './speech-error.ts';
import { targetOf } from './transport/dial.ts';

export interface ContractSubject<Config extends { readonly url: string }> {
  readonly adapter: SpeechAdapter<Config>;
  readonly config: Config;
  /** Rate at which the wire's voice is sent. */
  readonly rateHz: number;
  /** The credential in `config`, which must appear nowhere. Absent: the platform has none. */
  readonly secret?: string;
  /** What the wire calls a refused key; absent: `invalid_api_key`. */
  readonly refusalCode?: string;
  wire(clock: AdapterClock, script: WireScript): ScriptedWire;
}

const latencyUs = 5_000;
const connectUs = 40_000;
const pieces = ['The moon is far. ', 'It has no air.'];
const stopReason = new Error('stopped by the test');

export function speechAdapterContract<Config extends { readonly url: string }>(
  test: TestFn,
  subject: ContractSubject<Config>,
): void {
  const whole = subject.adapter.capabilities(subject.config).audioOut === 'whole';

  test('events come in order, at the instants of the wire, and the ledger balances', async (t) => {
    const stage = await makeStage(subject, {});
    const events = await stage.clock.run(collect(stage.session.speak(said(...pieces), never())));
    const truth = expected(subject, pieces.join(''));

    t.deepEqual(
      events.filter((event) => event.type !== 'audio').map((event) => event.type),
      ['request', 'responseHead', 'end'],
    );
    t.deepEqual(samplesOf(events), truth.samples);
    t.true(truth.samples.length > 0);
    const end = events.at(-1)!;
    t.like(end, { type: 'end', sourceFrames: truth.frames, samples: truth.samples.length });

    const request = events[0]!;
    t.true(request.type === 'request' && request.reused === false);
    if (request.type !== 'request') return;
    t.is(request.request, 1);
    t.is(request.decidedUs, 0);
    t.true(request.connectedUs >= connectUs);
    t.true(request.atUs >= request.connectedUs);

    const audio = audioOf(events).filter((event) => event.sourceBytes > 0);
    t.deepEqual(
      audio.map((event) => ({ atUs: event.atUs, bytes: event.sourceBytes })),
      stage.wire.log.chunks.map(({ atUs, bytes }) => ({ atUs: atUs + latencyUs, bytes })),
      'one event per chunk, stamped when it arrived',
    );
    t.true(audio.every((event) => event.sourceRateHz === subject.rateHz));
    await stage.finish();
  });

  test('the audio does not depend on how the provider cuts it', async (t) => {
    const truth = expected(subject, 'Mi.', 90);
    for (const chunkBytes of [1, 2, 3, 7, 64, 100_000]) {
      const script = { chunkBytes, samplesPerCharacter: 90, gapUs: chunkBytes < 3 ? 10 : 1_000 };
      const stage = await makeStage(subject, script);
      const events = await stage.clock.run(collect(stage.session.speak(said('Mi.'), never())));
      t.deepEqual(samplesOf(events), truth.samples, `chunks of ${chunkBytes} bytes`);
      await stage.finish();
    }
  });

  test('two runs are identical to the microsecond', async (t) => {
    const run = async (): Promise<SpeechEvent[]> => {
      const stage = await makeStage(subject, {});
      const events = await stage.clock.run(collect(stage.session.speak(said(...pieces), never())));
      await stage.finish();
      return events;
    };
    t.deepEqual(await run(), await run());
  });

  test('an abort at any instant yields nothing more and closes the connection', async (t) => {
    const property = fc.asyncProperty(fc.integer({ min: 0, max: 420_000 }), async (abortUs) => {
      const stage = await makeStage(subject, {});
      const stop = new AbortController();
      let aborted = false;
      let after = 0;
      stage.clock.after(abortUs, () => {
        aborted = true;
        stop.abort(stopReason);
      });
      const taking = (async () => {
        for await (const event of stage.session.speak(said(...pieces), stop.signal)) {
          if (aborted) after++;
          if (event.type === 'end') return 'ended';
        }
        return 'ended';
      })();
      const outcome = await stage.clock.run(taking.catch((error: unknown) => error));
      if (outcome === 'ended') {
        await stage.finish();
        return;
      }
      t.is(outcome, stopReason);
      t.is(stage.clock.nowUs(), abortUs, 'the iteration ends in the instant of the abort');
      await stage.clock.run(stage.clock.sleep(2 * latencyUs + 1_000));
      t.is(after, 0);
      t.is(stage.wire.log.open, 0, `aborted at ${abortUs} µs`);
      const chunks = stage.wire.log.chunks.length;
      await stage.clock.run(stage.clock.sleep(200_000));
      t.true(stage.wire.log.chunks.length <= chunks + 1);
      await stage.finish();
    });
    await fc.assert(property, { numRuns: 30, seed: 1 });
  });

  test('over real sockets it is the same audio, and an abort closes them', async (t) => {
    const clock = new SystemClock();
    const random = createRandom(1, 'sockets');
    const network = new SocketNetwork({ clock, random, outside: [] });
    const wire = subject.wire(clock, { ...steadyScript, gapUs: 2_000, samplesPerCharacter: 90 });
    const endpoint = targetOf(new URL(subject.config.url));
    const listener = await network.impersonate(endpoint, wire.accept);
    const randomBytes = (count: number): Uint8Array => random.bytes(count);
    const session = subject.adapter.open(subject.config, { clock, dialer: network, randomBytes });

    for (const text of pieces) {
      const events = await collect(session.speak(said(text), never()));
      t.deepEqual(samplesOf(events), expected(subject, text, 90).samples);
    }
    const stop = new AbortController();
    const aborted = (async () => {
      for await (const event of session.speak(said(...pieces), stop.signal)) {
        if (event.type === 'responseHead') stop.abort(stopReason);
      }
    })();
    t.is(await aborted.catch((error: unknown) => error), stopReason);
    await session.close();
    // The server hears of it when the system has told it; the test's own time-out is the limit.
    while (wire.log.open > 0) await clock.sleep(1_000);
    await listener.close();
  });

  test('a signal that has aborted already dials nothing', async (t) => {
    const stage = await makeStage(subject, {});
    const signal = AbortSignal.abort(stopReason);
    const error = await stage.clock.run(failure(stage.session.speak(said('Hello.'), signal)));
    t.is(error, stopReason);
    t.is(stage.wire.log.connections, 0);
  });

  test('leaving the iteration closes the connection', async (t) => {
    const stage = await makeStage(subject, { samplesPerCharacter: 2_000 });
    const taking = (async () => {
      for await (const event of stage.session.speak(said(...pieces), never())) {
        if (event.type === 'responseHead') break;
      }
    })();
    await stage.clock.run(taking);
    await stage.clock.run(stage.clock.sleep(50_000));
    t.is(stage.wire.log.open, 0);
  });

  test('an answer that is cut off is an error, never an end', async (t) => {
    const stage = await makeStage(subject, { outcome: 'cut' });
    const { events, error } = await outcomeOf(stage, pieces);
    t.is(error.kind, whole ? 'network' : 'truncated');
    t.true(error.retryable);
    t.is(error.deliveredSamples, samplesOf(events).length);
    t.is(error.deliveredSamples > 0, !whole);
    t.false(events.some((event) => event.type === 'end'));
    await stage.finish();
  });

  test('a provider that never answers is given up after 30 s', async (t) => {
    const stage = await makeStage(subject, { outcome: 'silent' });
    const { events, error } = await outcomeOf(stage, pieces);
    t.is(error.kind, 'timeout');
    t.is(error.code, 'TTS_TIMEOUT');
    t.is(stage.clock.nowUs(), events[0]!.atUs + 30_000_000);
    await stage.clock.run(stage.clock.sleep(50_000));
    t.is(stage.wire.log.open, 0);
  });

  test('a provider that stops in the middle is given up after 15 s', async (t) => {
    const stage = await makeStage(subject, { outcome: 'stall' });
    const { error } = await outcomeOf(stage, ['The moon is far.']);
    t.is(error.kind, 'timeout');
    t.is(stage.clock.nowUs(), stage.wire.log.chunks.at(-1)!.atUs + latencyUs + 15_000_000);
    await stage.clock.run(stage.clock.sleep(50_000));
    t.is(stage.wire.log.open, 0);
  });

  test('a connection that does not come is given up after 10 s', async (t) => {
    const stage = await makeStage(subject, {}, { latencyUs, jitterUs: 0, connectUs: 60_000_000 });
    const { error } = await outcomeOf(stage, pieces);
    t.is(error.kind, 'timeout');
    t.is(stage.clock.nowUs(), 10_000_000);
    t.is(stage.wire.log.connections, 0);
  });

  test('the limits can be set in the configuration', async (t) => {
    const config = { ...subject.config, timeoutMs: { firstByte: 1_234 } };
    const stage = await makeStage({ ...subject, config }, { outcome: 'silent' });
    const { events, error } = await outcomeOf(stage, pieces);
    t.is(error.kind, 'timeout');
    t.is(stage.clock.nowUs(), events[0]!.atUs + 1_234_000);
  });

  test('an address where nobody listens is a network failure', async (t) => {
    const stage = await makeStage(subject, {}, undefined, false);
    const { error } = await outcomeOf(stage, pieces);
    t.is(error.kind, 'network');
    t.true(error.retryable);
    t.true(error.message.includes(new URL(subject.config.url).hostname));
  });

  test('an orderly answer without audio is empty', async (t) => {
    const stage = await makeStage(subject, { outcome: 'empty' });
    const { error } = await outcomeOf(stage, pieces);
    t.is(error.kind, 'empty');
    t.is(error.deliveredSamples, 0);
    await stage.finish();
  });

  test('a text without a word is refused before anything is sent', async (t) => {
    for (const text of [[], [''], [' ', '\n']]) {
      const stage = await makeStage(subject, {});
      const { error } = await outcomeOf(stage, text);
      t.is(error.kind, 'bad-request');
      t.is(stage.wire.log.connections, 0);
    }
  });

  test('an error of the text is passed on and closes the connection', async (t) => {
    const stage = await makeStage(subject, {});
    const broken = new Error('the language model failed');
    const text = (async function* () {
      yield 'The moon is far. ';
      await stage.clock.sleep(100_000);
      throw broken;
    })();
    t.is(await stage.clock.run(failure(stage.session.speak(text, never()))), broken);
    await stage.clock.run(stage.clock.sleep(50_000));
    t.is(stage.wire.log.open, 0);
  });

  test('an abort while the text is still awaited is felt at once', async (t) => {
    const stage = await makeStage(subject, {});
    const stop = new AbortController();
    stage.clock.after(300_000, () => stop.abort(stopReason));
    let closed = false;
    const text: AsyncIterable<string> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return: async () => {
          closed = true;
          return { done: true, value: undefined };
        },
      }),
    };
    const error = await stage.clock.run(failure(stage.session.speak(text, stop.signal)));
    t.is(error, stopReason);
    t.is(stage.clock.nowUs(), 300_000);
    t.true(closed);
  });

  test('calls at the same time do not mix', async (t) => {
    const stage = await makeStage(subject, {});
    const texts = ['The moon.', 'A longer text of another kind.', 'Three'];
    const all = await stage.clock.run(
      Promise.all(texts.map((text) => collect(stage.session.speak(said(text), never())))),
    );
    for (const [i, events] of all.entries()) {
      t.deepEqual(samplesOf(events), expected(subject, texts[i]!).samples);
      t.is(new Set(events.map((event) => event.request)).size, 1);
    }
    t.deepEqual(all.map((events) => events[0]!.request).sort(), [1, 2, 3]);
    await stage.finish();
  });

  test('a second utterance uses the connection again where the platform allows it', async (t) => {
    const stage = await makeStage(subject, {});
    const reuse = subject.adapter.capabilities(subject.config).connectionReuse;
    await stage.clock.run(collect(stage.session.speak(said('One.'), never())));
    await stage.clock.run(stage.clock.sleep(2_000_000));
    const atUs = stage.clock.nowUs();
    const events = await stage.clock.run(collect(stage.session.speak(said('Two.'), never())));
    const request = events[0]!;
    t.true(request.type === 'request');
    if (request.type !== 'request') return;
    t.is(request.reused, reuse);
    t.is(request.decidedUs, atUs);
    t.is(request.connectedUs === atUs, reuse);
    t.is(stage.wire.log.connections, reuse ? 1 : 2);
    t.deepEqual(samplesOf(events), expected(subject, 'Two.').samples);
    await stage.finish();
  });

  test('closing the session fails what runs and leaves nothing open', async (t) => {
    const stage = await makeStage(subject, {});
    stage.clock.after(120_000, () => void stage.session.close());
    const { error } = await outcomeOf(stage, pieces);
    t.is(error.kind, 'network');
    await stage.clock.run(stage.clock.sleep(50_000));
    t.is(stage.wire.log.open, 0);
    const late = await stage.clock.run(failure(stage.session.speak(said('Hello.'), never())));
    t.true(late instanceof SpeechError && late.kind === 'network');
  });

  if (!whole) {
    test('a consumer that does not take makes the provider wait', async (t) => {
      const script = { samplesPerCharacter: 160_000, chunkBytes: 65_536, gapUs: 0 };
      const link = { latencyUs, jitterUs: 0, connectUs, windowBytes: 262_144 };
      const stage = await makeStage(subject, script, link);
      const text = 'Twenty-four characters..';
      const events = stage.session.speak(said(text), never())[Symbol.asyncIterator]();
      await stage.clock.run(events.next());
      await stage.clock.run(stage.clock.sleep(20_000_000));
      const sent = stage.wire.log.chunks.reduce((sum, { bytes }) => sum + bytes, 0);
      t.true(sent > 4_000_000 && sent < 5_200_000, `${sent} bytes were taken from the provider`);
      const rest = await stage.clock.run(collect({ [Symbol.asyncIterator]: () => events }));
      t.is(rest.at(-1)!.type, 'end', 'the slow consumer is not taken for a slow provider');
      const end = rest.at(-1)!;
      t.true(end.type === 'end' && end.sourceFrames === text.length * 160_000);
      await stage.finish();
    });
  }

  const { secret } = subject;
  if (secret !== undefined) {
    test('a refused key is an auth failure, and the key appears nowhere', async (t) => {
      for (const outcome of ['refuse', 'speak'] as const) {
        const stage = await makeStage(subject, { outcome });
        const events: SpeechEvent[] = [];
        const error = await stage.clock.run(
          failure(stage.session.speak(said(...pieces), never()), events),
        );
        if (outcome === 'refuse') {
          t.true(error instanceof SpeechError);
          t.is((error as SpeechError).kind, 'auth');
          t.false((error as SpeechError).retryable);
          t.is((error as SpeechError).status, 401);
          t.is((error as SpeechError).providerCode, subject.refusalCode ?? 'invalid_api_key');
          t.false((error as SpeechError).message.includes(secret));
        }
        t.true(stage.observed.length > 0);
        t.false(stage.observed.some(({ data }) => Buffer.from(data).includes(secret)));
        t.false(JSON.stringify(events).includes(secret));
        await stage.finish();
      }
    });
  }
}

interface Stage {
  readonly clock: SimulatedClock;
  readonly session: SpeechSession;
  readonly wire: ScriptedWire;
  readonly observed: WireObservation[];
  finish(): Promise<void>;
}

/** A session, the server it will meet, and the link between them. */
export async function makeStage<Config extends { readonly url: string }>(
  subject: ContractSubject<Config>,
  script: Partial<WireScript>,
  link: LinkProfile = { latencyUs, jitterUs: 0, connectUs },
  listening = true,
): Promise<Stage> {
  const clock = new SimulatedClock();
  const network = new MemoryNetwork(clock, createRandom(1, 'network'));
  const wire = subject.wire(clock, { ...steadyScript, ...script });
  const endpoint = targetOf(new URL(subject.config.url));
  network.setLink(endpoint, link);
  if (listening) await network.impersonate(endpoint, wire.accept);
  const observed: WireObservation[] = [];
  const random = createRandom(2, 'masks');
  const deps: AdapterDeps = {
    clock,
    dialer: network,
    randomBytes: (count) => random.bytes(count),
    observe: (event) => observed.push({ ...event, data: event.data.slice() }),
  };
  const session = subject.adapter.open(subject.config, deps);
  return {
    clock,
    session,
    wire,
    observed,
    async finish() {
      await session.close();
      await clock.run(clock.sleep(50_000));
      if (wire.log.open !== 0) throw new Error(`${wire.log.open} connections are still open`);
    },
  };
}

/** Text that is known at once. */
export async function* said(...text: string[]): AsyncGenerator<string> {
  yield* text;
}

export function never(): AbortSignal {
  return new AbortController().signal;
}

export async function collect(events: AsyncIterable<SpeechEvent>): Promise<SpeechEvent[]> {
  const all: SpeechEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

/** What the iteration throws; undefined when it ends. */
export async function failure(
  events: AsyncIterable<SpeechEvent>,
  taken: SpeechEvent[] = [],
): Promise<unknown> {
  try {
    for await (const event of events) taken.push(event);
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Speaks, expects a {@link SpeechError}, and returns it with the events before it. */
export async function outcomeOf(
  stage: Pick<Stage, 'clock' | 'session'>,
  text: readonly string[],
): Promise<{ events: SpeechEvent[]; error: SpeechError }> {
  const events: SpeechEvent[] = [];
  const error = await stage.clock.run(failure(stage.session.speak(said(...text), never()), events));
  if (!(error instanceof SpeechError)) throw new Error('no SpeechError', { cause: error });
  return { events, error };
}

export function audioOf(events: readonly SpeechEvent[]): SpeechAudioEvent[] {
  return events.filter((event) => event.type === 'audio');
}

export function samplesOf(events: readonly SpeechEvent[]): number[] {
  return audioOf(events).flatMap((event) => [...event.samples]);
}

/** What must come out for a text: the wire's voice, converted in one piece. */
function expected(
  subject: { readonly rateHz: number },
  text: string,
  samplesPerCharacter = steadyScript.samplesPerCharacter,
): { samples: number[]; frames: number } {
  const normalizer = new SpeechNormalizer({
    container: 'pcm',
    rateHz: subject.rateHz,
    channels: 1,
  });
  const head = normalizer.push(voiceBytes(text, samplesPerCharacter)).samples;
  const samples = [...head, ...normalizer.flush().samples];
  return { samples, frames: normalizer.sourceFrames };
}
