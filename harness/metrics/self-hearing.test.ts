import test from 'ava';
import { createRandom } from '../random/random.ts';
import type { TraceEvent } from '../trace/trace-event.ts';
import { measureCell } from './measure.ts';
import type { RecordedCell } from './recorded-cell.ts';

type Unnumbered = TraceEvent extends infer Event
  ? Event extends TraceEvent
    ? Omit<Event, 'seq'>
    : never
  : never;

const speakerStartUs = 7000;
/** The instant at which `samples` of the speaker have been played. */
const instant = (samples: number): number => speakerStartUs + samples * 62.5;

function noise(label: string, samples: number, rms: number): Int16Array {
  const random = createRandom(1, label);
  return Int16Array.from({ length: samples }, () => rms * random.normal());
}

const boot: Unnumbered = {
  source: 'device',
  type: 'boot',
  atUs: 0,
  profile: 'diy',
  firmware: '0.3.2',
  deviceId: 'planted',
  speakerStartUs,
};

const onset = (atUs: number): Unnumbered => ({
  source: 'device',
  type: 'speech',
  atUs,
  active: true,
});

const bargeIn = (atUs: number): Unnumbered => ({
  source: 'device',
  type: 'state',
  atUs,
  from: 'Speaking',
  to: 'Listening',
  cause: 'barge-in',
});

const clip = (turn: number, atUs: number, samples: number): Unnumbered => ({
  source: 'user',
  type: 'speechStart',
  atUs,
  turn,
  text: 'x',
  userOffset: 0,
  samples,
});

function cell(events: readonly Unnumbered[], audio: Partial<RecordedCell> = {}): RecordedCell {
  return {
    header: {
      type: 'header',
      formatVersion: 1,
      scenario: 'planted',
      provider: 'planted',
      device: 'diy',
      network: 'planted',
      seed: 0,
      time: 'virtual',
    },
    events: events.map((event, index) => ({ ...event, seq: index + 1 }) as TraceEvent),
    speaker: new Int16Array(0),
    user: new Int16Array(0),
    sent: new Int16Array(0),
    provider: new Map(),
    ...audio,
  };
}

/** The speaker at the microphone, and something else beside it. */
function mixture(speaker: Int16Array, lag: number, gain: number, otherRms: number): Int16Array {
  const other = noise('other', speaker.length, otherRms);
  return speaker.map((_, i) => gain * (speaker[i - lag] ?? 0) + other[i]!);
}

const speaker = noise('speaker', 48_000, 3000);
const at = instant(40_000);

function correlationOf(microphone: Int16Array, more: readonly Unnumbered[] = []) {
  const { observations, metrics } = measureCell(
    cell([boot, ...more, onset(at)], { speaker, microphone }),
  );
  return { seen: observations['echo_correlation'] ?? [], metrics };
}

for (const lag of [0, 1344, 7999, 8000]) {
  test(`an echo ${lag} samples behind the speaker is found at that lag`, (t) => {
    const { seen, metrics } = correlationOf(mixture(speaker, lag, 0.1, 0));
    t.is(seen.length, 1);
    t.is(seen[0]!.note, `${lag / 16} ms behind the speaker`);
    t.true(seen[0]!.value > 0.99);
    t.is(metrics['echo_correlation.max'], seen[0]!.value);
  });
}

test('the correlation is the share of the echo in what was heard', (t) => {
  // Echo and other sound with the powers 1 : 1 and 1 : 9.
  for (const [otherRms, expected] of [
    [300, Math.SQRT1_2],
    [900, Math.sqrt(0.1)],
  ] as const) {
    const { seen } = correlationOf(mixture(speaker, 2000, 0.1, otherRms));
    t.true(Math.abs(seen[0]!.value - expected) < 0.05, `${seen[0]!.value}`);
    t.is(seen[0]!.note, '125 ms behind the speaker');
  }
  const unlike = correlationOf(noise('other', speaker.length, 900)).seen[0]!.value;
  t.true(unlike > 0 && unlike < 0.15, `${unlike}`);
});

test('nothing is said of onsets of the user, of a silent speaker and of a microphone not recorded', (t) => {
  const echo = mixture(speaker, 1344, 0.1, 0);
  t.is(correlationOf(echo, [clip(1, at - 300_000, 8000)]).seen.length, 0);
  t.is(correlationOf(echo, [clip(1, at - 900_000, 8000)]).seen.length, 1);
  const silent = cell([boot, onset(at)], { speaker: new Int16Array(48_000), microphone: echo });
  t.is(measureCell(silent).metrics['echo_correlation.n'], 0);
  const { metrics } = measureCell(cell([boot, onset(at)], { speaker }));
  t.is(metrics['echo_correlation.n'], 0);
  t.is(metrics['echo_correlation.max'], null);
});

test('a barge-in is unprovoked unless its speech began in a clip, or one chunk behind it', (t) => {
  const count = (...events: Unnumbered[]) =>
    measureCell(cell([boot, ...events])).metrics['interrupts.unprovoked'];
  // 0.5 s of the user from 1 s on.
  const user = clip(1, 1_000_000, 8000);
  t.is(count(user, onset(1_200_000), bargeIn(1_300_000)), 0);
  t.is(count(user, onset(1_532_000), bargeIn(1_700_000)), 0);
  t.is(count(user, onset(1_532_001), bargeIn(1_700_000)), 1);
  t.is(count(onset(999_999), user, bargeIn(1_100_000)), 1);
  t.is(count(onset(400_000), bargeIn(500_000), onset(900_000), bargeIn(1_000_000)), 2);
  t.is(count(user), 0);
  t.is(measureCell(cell([user])).metrics['interrupts.unprovoked'], null);
});

test('an unprovoked interruption belongs to the turn whose answer it cut off', (t) => {
  const { observations } = measureCell(
    cell([
      boot,
      clip(1, 1_000_000, 8000),
      clip(2, 5_000_000, 8000),
      onset(6_000_000),
      bargeIn(6_100_000),
    ]),
  );
  t.like(observations['interrupts.unprovoked'], [{ turn: 2, atUs: 6_100_000, seqs: [5] }]);
});
