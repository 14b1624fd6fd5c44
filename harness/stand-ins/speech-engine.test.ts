import test from 'ava';
import fc from 'fast-check';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { createRandom } from '../random/random.ts';
import { chunkedFaults } from './planted-fault.ts';
import { ProviderServer } from './provider-server.ts';
import { SpeechEngine } from './speech-engine.ts';
import type { StandInFault } from './stand-in-changes.ts';
import { exactProfile, sharedVoice } from './test-client.ts';
import type { TimingProfile } from './timing-profile.ts';

const rateHz = 16_000;

interface Ask {
  /** When the passage is asked for. */
  readonly atMs: number;
  readonly seconds: number;
  readonly goesOn?: boolean;
  readonly whole?: boolean;
}

interface Sent {
  readonly passage: number;
  readonly atMs: number;
  readonly bytes: number;
}

/** Asks an engine for passages and notes what it sends. */
async function play(profile: TimingProfile, asks: readonly Ask[], fault?: StandInFault) {
  const clock = new SimulatedClock();
  const random = createRandom(1);
  const changes = fault === undefined ? {} : { fault };
  const server = new ProviderServer(
    { platform: 'cosyvoice', voice: await sharedVoice(), clock, random, profile, changes },
    'cosyvoice-v2',
    () => ({ isCounted: () => true, answer: () => {} }),
  );
  const { entry } = server.openTask(
    { messages: [], audioBytes: 0, outcome: 'open' } as never,
    chunkedFaults,
  );
  const engine = new SpeechEngine(server, entry, random);
  const sent: Sent[] = [];
  const ends: { passage: number; atMs: number; fault: string | undefined }[] = [];
  let chunks = 0;
  await clock.run(
    (async () => {
      for (const [passage, ask] of asks.entries()) {
        await clock.sleep(ask.atMs * 1000 - clock.nowUs());
        const clip = Buffer.alloc(2 * Math.round(ask.seconds * rateHz));
        chunks += engine.say(
          {
            clip,
            format: { codec: 'pcm', rateHz },
            profile,
            label: 'passage',
            ...(ask.goesOn === true && { chunksBefore: chunks }),
            ...(ask.whole === true && { whole: true }),
          },
          {
            chunk: (audio) =>
              sent.push({ passage, atMs: clock.nowUs() / 1000, bytes: audio.length }),
            end: () => ends.push({ passage, atMs: clock.nowUs() / 1000, fault: undefined }),
            struck: (fault) => ends.push({ passage, atMs: clock.nowUs() / 1000, fault }),
          },
        );
      }
      await clock.sleep(600e6);
    })(),
  );
  return { sent, ends, entry, engine };
}

test('a passage pays its first byte while another one is sent, and follows it after one gap', async (t) => {
  const { sent, ends } = await play(exactProfile(), [
    { atMs: 0, seconds: 1.5 },
    { atMs: 100, seconds: 0.5 },
    { atMs: 5000, seconds: 0.5 },
  ]);
  t.deepEqual(
    sent.map(({ passage, atMs }) => [passage, atMs]),
    [
      [0, 180],
      [0, 260],
      [0, 340],
      [1, 420],
      [2, 5180],
    ],
  );
  t.deepEqual(
    ends.map(({ atMs }) => atMs),
    [340, 420, 5180],
  );
});

test('a passage that goes on keeps the pace of the stretch, also after a pause', async (t) => {
  const profile = exactProfile({
    cadenceMs: [
      { minimum: 1250, maximum: 1250 },
      { minimum: 300, maximum: 300 },
    ],
  });
  const { sent } = await play(profile, [
    { atMs: 0, seconds: 0.5 },
    { atMs: 500, seconds: 1, goesOn: true },
    { atMs: 9000, seconds: 0.5, goesOn: true },
  ]);
  t.deepEqual(
    sent.map(({ atMs }) => atMs),
    [180, 1430, 1730, 9180],
  );
});

test('a stretch is not produced faster than the engine is', async (t) => {
  const profile = exactProfile({
    speed: 2,
    firstChunkSeconds: 2,
    nextChunkSeconds: [{ minimum: 2, maximum: 2 }],
  });
  const { sent } = await play(profile, [
    { atMs: 0, seconds: 2 },
    { atMs: 1, seconds: 4, goesOn: true },
  ]);
  t.deepEqual(
    sent.map(({ atMs }) => atMs),
    [180, 1180, 2180],
  );
});

test('a passage that is held back leaves all at once, when its last chunk is there', async (t) => {
  const { sent } = await play(exactProfile(), [{ atMs: 0, seconds: 1.5, whole: true }]);
  t.deepEqual(
    sent.map(({ atMs }) => atMs),
    [340, 340, 340],
  );
});

for (const [kind, bytes] of [
  ['cut', 16_000],
  ['early-end', 16_000],
  ['stall', 16_000],
  ['empty', 0],
] as const) {
  test(`the planted fault ${kind} shortens the first passage only`, async (t) => {
    const fault = { kind, afterFraction: 0.5 };
    const asks = [
      { atMs: 0, seconds: 1 },
      { atMs: 5000, seconds: 1 },
    ];
    const { sent, ends, entry } = await play(exactProfile(), asks, fault);
    const of = (n: number) =>
      sent.filter(({ passage }) => passage === n).reduce((sum, chunk) => sum + chunk.bytes, 0);
    t.deepEqual([of(0), of(1)], [bytes, 32_000]);
    t.deepEqual(
      ends.map((end) => end.fault),
      [kind, undefined],
    );
    t.is(entry.fault, kind);
  });
}

test('passages come in order, complete, and never overlap, whenever they are asked for', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          waitMs: fc.integer({ min: 0, max: 2000 }),
          seconds: fc.double({ min: 0, max: 4, noNaN: true }),
          goesOn: fc.boolean(),
          whole: fc.boolean(),
        }),
        { minLength: 1, maxLength: 6 },
      ),
      async (parts) => {
        let atMs = 0;
        const asks = parts.map(({ waitMs, ...ask }) => {
          atMs += waitMs;
          return { atMs, ...ask };
        });
        const { sent, ends, entry, engine } = await play(exactProfile({ speed: 3 }), asks);
        const bytes = asks.map(({ seconds }) => 2 * Math.round(seconds * rateHz));
        const got = bytes.map((_, n) =>
          sent.filter(({ passage }) => passage === n).reduce((sum, chunk) => sum + chunk.bytes, 0),
        );
        const passages = sent.map(({ passage }) => passage);
        return (
          String(got) === String(bytes) &&
          passages.every((passage, i) => passage >= (passages[i - 1] ?? 0)) &&
          ends.length === asks.length &&
          entry.audioBytes === bytes.reduce((sum, n) => sum + n, 0) &&
          !engine.busy
        );
      },
    ),
    { numRuns: 60, seed: 1 },
  );
  t.pass();
});
