/**
 * Interrupting at random instants: every built-in provider's adapter against its stand-in, in virtual
 * time. What a board's user does by speaking in between must leave nothing behind, on either side.
 */
import type { Duplex } from 'node:stream';
import test, { type ExecutionContext } from 'ava';
import type { SpeechEvent, SpeechSession, WireObservation } from '../../adapters/index.ts';
import { adapterFor } from '../../adapters/index.ts';
import { ClockError, SimulatedClock } from '../clock/simulated-clock.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { createRandom } from '../random/random.ts';
import { loadOfflineVoice } from '../stand-ins/offline-voice.ts';
import { createStandIn, type StandIn } from '../stand-ins/stand-in.ts';
import { builtInProviders, type ProviderEntry } from './provider-catalog.ts';

const seeds = 1_000;
const voice = await loadOfflineVoice();
const reason = new Error('the user spoke');
/** Longer than anything that is on its way takes to arrive. */
const settledUs = 1_000_000;

const interrupted = ['It is far. ', 'No air.'];
const beside = ['Wait.'];
const next = ['Yes.'];

/** An adapter, its stand-in, and every stream between them. */
class Stage {
  readonly clock = new SimulatedClock();
  readonly received: WireObservation[] = [];
  readonly #network: MemoryNetwork;
  readonly #dialed: Duplex[] = [];
  readonly #accepted: Duplex[] = [];
  readonly session: SpeechSession;
  readonly standIn: StandIn;

  private constructor(provider: ProviderEntry, seed: number) {
    const { clock } = this;
    const random = createRandom(seed, provider.name);
    const { platform, config } = provider.tts;
    const { personality } = provider;
    this.#network = new MemoryNetwork(clock, random.fork('network'));
    this.standIn = createStandIn({
      platform,
      voice,
      clock,
      random: random.fork('stand-in'),
      ...(personality !== undefined && { personality }),
    });
    const connectUs = this.standIn.connectMs * 1_000;
    this.#network.setLink(provider.endpoint, { latencyUs: 5_000, jitterUs: 0, connectUs });
    this.session = adapterFor(provider.tts).open(config, {
      clock,
      dialer: {
        dial: async (target, signal) => {
          const stream = await this.#network.dial(target, signal);
          this.#dialed.push(stream);
          return stream;
        },
      },
      randomBytes: (count) => random.bytes(count),
      observe: (event) => {
        if (event.direction === 'received')
          this.received.push({ ...event, data: new Uint8Array() });
      },
    });
  }

  static async open(provider: ProviderEntry, seed: number): Promise<Stage> {
    const stage = new Stage(provider, seed);
    await stage.#network.impersonate(provider.endpoint, (stream) => {
      stage.#accepted.push(stream);
      stage.standIn.accept(stream);
    });
    return stage;
  }

  /** Streams that are open, at the adapter's and at the stand-in's end. */
  get open(): { readonly dialed: number; readonly accepted: number } {
    const count = (streams: readonly Duplex[]): number =>
      streams.filter(({ destroyed }) => !destroyed).length;
    return { dialed: count(this.#dialed), accepted: count(this.#accepted) };
  }

  /** Requests for speech that the stand-in still works on. */
  get openRequests(): number {
    const { log } = this.standIn;
    return log.filter(({ request, outcome }) => request !== undefined && outcome === 'open').length;
  }

  /** Behind an answer that had come to its end, one connection may wait for the next request. */
  get keptConnections(): number {
    const last = this.standIn.log.findLast(({ request }) => request !== undefined);
    return last?.outcome === 'answered' ? Math.min(1, this.open.dialed) : 0;
  }

  sleep(us: number): Promise<void> {
    return this.clock.run(this.clock.sleep(us));
  }

  /** Closes everything; false when an alarm was left that would go off later. */
  async close(): Promise<boolean> {
    await this.session.close();
    await this.sleep(settledUs);
    await this.standIn.close();
    await this.sleep(0);
    try {
      await this.clock.run(new Promise(() => {}), this.clock.nowUs());
    } catch (error) {
      if (error instanceof ClockError) return error.code === 'CLOCK_DEADLOCK';
      throw error;
    }
    return false;
  }
}

/** Text that becomes known bit by bit, as from a language model. */
async function* said(texts: readonly string[], clock: SimulatedClock): AsyncGenerator<string> {
  for (const [i, text] of texts.entries()) {
    if (i > 0) await clock.sleep(150_000);
    yield text;
  }
}

async function speak(
  stage: Stage,
  texts: readonly string[],
  signal = new AbortController().signal,
  take: (event: SpeechEvent) => void = () => {},
): Promise<Buffer> {
  const samples: Buffer[] = [];
  for await (const event of stage.session.speak(said(texts, stage.clock), signal)) {
    take(event);
    if (event.type === 'audio')
      samples.push(
        Buffer.from(
          new Uint8Array(event.samples.buffer, event.samples.byteOffset, event.samples.byteLength),
        ),
      );
  }
  return Buffer.concat(samples);
}

/** How far an utterance had come when it was interrupted. */
type Moment =
  | 'before the request'
  | 'before the answer'
  | 'before audio'
  | 'in the audio'
  | 'too late';

interface Truth {
  /** Audio as bytes. */
  readonly next: Buffer;
  readonly beside: Buffer;
  /** How long the utterance takes that will be interrupted, and how many events it has. */
  readonly durationUs: number;
  readonly events: number;
}

/** What is said when nobody interrupts. */
async function undisturbed(provider: ProviderEntry): Promise<Truth> {
  const alone = async (texts: readonly string[], take?: (event: SpeechEvent) => void) => {
    const stage = await Stage.open(provider, 0);
    const samples = await stage.clock.run(speak(stage, texts, undefined, take));
    const durationUs = stage.clock.nowUs();
    await stage.close();
    return { samples, durationUs };
  };
  let events = 0;
  const { durationUs } = await alone(interrupted, () => events++);
  const [after, along] = [await alone(next), await alone(beside)];
  return { next: after.samples, beside: along.samples, durationUs, events };
}

/** One interruption. Throws what is wrong; returns how far the utterance had come. */
async function interruptOnce(
  t: ExecutionContext,
  provider: ProviderEntry,
  truth: Truth,
  seed: number,
): Promise<Moment> {
  const stage = await Stage.open(provider, seed);
  const { clock } = stage;
  const random = createRandom(seed, 'interruption');
  const label = `seed ${seed}`;
  const stop = new AbortController();
  const company = random.next() < 0.25;
  const companion = company ? speak(stage, beside) : undefined;
  companion?.catch(() => {});

  // Half at any instant, half in the instant of an event, from within its delivery.
  let abortUs: number | undefined;
  const interrupt = (): void => {
    abortUs = clock.nowUs();
    stop.abort(reason);
  };
  const atEvent = random.next() < 0.5 ? random.integer(1, truth.events) : undefined;
  if (atEvent === undefined) {
    clock.after(random.integer(0, Math.round(truth.durationUs * 1.1)), interrupt);
  }
  const taken: SpeechEvent['type'][] = [];
  let request = 0;
  let late = 0;
  const speaking = speak(stage, interrupted, stop.signal, (event) => {
    if (abortUs !== undefined) late++;
    taken.push(event.type);
    request = event.request;
    if (taken.length === atEvent) interrupt();
  });
  const outcome = await clock.run(
    speaking.then(
      () => 'ended' as const,
      (error: unknown) => error,
    ),
  );
  t.is(late, 0, `${label}: an event after the interruption`);
  if (outcome !== 'ended') {
    t.is(outcome, reason, label);
    t.is(
      clock.nowUs(),
      abortUs!,
      `${label}: the utterance ends in the instant of the interruption`,
    );
  }

  if (!company && outcome !== 'ended') {
    await stage.sleep(0);
    t.is(stage.open.dialed, stage.keptConnections, `${label}: not closed at once`);
  }

  // The next utterance, at once or when all is quiet.
  const atOnce = random.next() < 0.5;
  if (!atOnce) {
    await stage.sleep(settledUs);
    if (!company && outcome !== 'ended') {
      const kept = stage.keptConnections;
      t.deepEqual(stage.open, { dialed: kept, accepted: kept }, `${label}: open connections`);
      t.is(stage.openRequests, 0, `${label}: open requests`);
      const sent = stage.standIn.log.map(({ audioBytes }) => audioBytes);
      await stage.sleep(settledUs);
      const later = stage.standIn.log.map(({ audioBytes }) => audioBytes);
      t.deepEqual(later, sent, `${label}: the stand-in goes on sending`);
    }
  }
  t.true(truth.next.equals(await clock.run(speak(stage, next))), `${label}: the next utterance`);
  if (companion !== undefined) {
    t.true(truth.beside.equals(await clock.run(companion)), `${label}: the one beside it`);
  }
  if (outcome !== 'ended' && request > 0) {
    const arrived = stage.received.filter((event) => event.request === request);
    t.true(
      arrived.every(({ atUs }) => atUs <= abortUs!),
      `${label}: read after the interruption`,
    );
  }
  t.true(await stage.close(), `${label}: an alarm is left`);
  t.deepEqual(stage.open, { dialed: 0, accepted: 0 }, `${label}: left open at the end`);
  t.is(stage.openRequests, 0, `${label}: requests left open at the end`);

  if (outcome === 'ended') return 'too late';
  if (!taken.includes('request')) return 'before the request';
  if (!taken.includes('responseHead')) return 'before the answer';
  return taken.includes('audio') ? 'in the audio' : 'before audio';
}

for (const [index, provider] of builtInProviders.entries()) {
  test.serial(
    `${provider.name}: an interruption at any instant leaves nothing behind`,
    async (t) => {
      const truth = await undisturbed(provider);
      t.true(truth.next.length > 2_000 && truth.beside.length > 2_000);
      const moments = new Map<Moment, number>();
      for (let seed = index; seed < seeds; seed += builtInProviders.length) {
        const moment = await interruptOnce(t, provider, truth, seed);
        moments.set(moment, (moments.get(moment) ?? 0) + 1);
      }
      t.log(Object.fromEntries(moments));
      t.true((moments.get('before the request') ?? 0) > 0);
      const { audioOut } = adapterFor(provider.tts).capabilities(provider.tts.config);
      const midway: Moment = audioOut === 'whole' ? 'before audio' : 'in the audio';
      t.true((moments.get(midway) ?? 0) > 0, `interrupted ${midway}`);
    },
  );
}
