import test from 'ava';
import type { TraceCheck } from '../scenario/scenario.ts';
import type { TraceEvent } from '../trace/trace-event.ts';
import { judgeChecks } from './trace-checks.ts';

const at = { file: 'planted.toml', line: 1, column: 1 };
const received = (atUs: number, event: string) =>
  ({
    source: 'device',
    type: 'frameReceived',
    atUs,
    connection: 1,
    frame: 1,
    event,
    bytes: 1,
  }) as const;
const state = (atUs: number, to: 'Idle' | 'Speaking') =>
  ({ source: 'device', type: 'state', atUs, from: 'Listening', to, cause: 'planted' }) as const;
const speech = (atUs: number, turn: number) =>
  ({
    source: 'user',
    type: 'speechStart',
    atUs,
    turn,
    text: '',
    userOffset: 0,
    samples: 1,
  }) as const;
const turnStart = (atUs: number, turn: number) =>
  ({ source: 'harness', type: 'turnStart', atUs, turn }) as const;

const planted = [
  state(500, 'Idle'),
  turnStart(1_000, 1),
  speech(1_500, 1),
  received(2_000, 'StartAudio'),
  state(2_000, 'Speaking'),
  state(3_000, 'Idle'),
  turnStart(4_000, 2),
  speech(4_000, 2),
  received(5_000, 'StartAudio'),
  state(5_999, 'Idle'),
  state(6_000, 'Idle'),
];
const events: TraceEvent[] = planted.map((event, i) => ({ seq: i + 1, ...event }));
const console = [
  { atUs: 1_200, text: 'E (1) a: red' },
  { atUs: 5_200, text: 'I (5) a: red' },
];

function judged(check: Omit<TraceCheck, 'at' | 'operator'> & Partial<TraceCheck>) {
  return judgeChecks([{ operator: '==', at, ...check }], { events, console })[0]!;
}
const idle = (to: string | number = 'Idle'): TraceCheck['of'] => ({
  kind: 'event',
  source: 'device',
  type: 'state',
  with: { to },
});

test('events are counted over everything, in one turn, and from a moment on for a while', (t) => {
  const count = (more: Partial<TraceCheck>) => judged({ of: idle(), value: 0, ...more }).actual;
  t.is(count({}), 4);
  t.is(count({ turn: 1 }), 1);
  t.is(count({ turn: 2 }), 2);
  t.is(count({ turn: 1, after: { event: 'StartAudio', delayMs: 0 } }), 1);
  t.is(count({ turn: 1, after: { event: 'StartAudio', delayMs: 2 } }), 0);
  t.is(
    count({ turn: 2, after: { event: 'StartAudio', delayMs: 0 }, withinMs: 1 }),
    1,
    'until 6 ms',
  );
  t.is(count({ turn: 2, after: { event: 'Speech', delayMs: 1 } }), 2);
});

test('the number is compared, and the evidence says where', (t) => {
  t.like(judged({ of: idle(), operator: '>=', value: 4 }), {
    outcome: 'pass',
    seqs: [1, 6, 10, 11],
  });
  const missed = judged({ of: idle(), value: 0, turn: 1 });
  t.is(missed.outcome, 'fail');
  t.is(missed.evidence, 'device state to=Idle = 1, expected == 0: at 0.003 s');
  t.like(missed.expectation, { turn: 1, at });
});

test('lines of the console are counted by text and level', (t) => {
  const lines = (more: Partial<TraceCheck>, level?: 'E' | 'I') =>
    judged({
      of: { kind: 'console', text: 'red', ...(level && { level }) },
      value: 0,
      ...more,
    }).actual;
  t.is(lines({}), 2);
  t.is(lines({}, 'E'), 1);
  t.is(lines({ turn: 2 }), 1);
  t.is(lines({ turn: 2 }, 'E'), 0);
});

test('what cannot be counted fails, absences too: a moment, a turn or a field that never was', (t) => {
  const reason = (more: Partial<TraceCheck>) => {
    const verdict = judged({ of: idle(), value: 0, ...more });
    t.like(verdict, { outcome: 'fail', actual: null });
    return verdict.evidence;
  };
  t.regex(
    reason({ turn: 1, after: { event: 'EndAudio', delayMs: 0 } }),
    /EndAudio never came in turn 1/,
  );
  t.regex(reason({ turn: 3 }), /turn 3 never began/);
  const of = { kind: 'event', source: 'device', type: 'state', with: { too: 'Idle' } } as const;
  t.regex(reason({ of }), /has a field "too"; seq 1 is one/);
});
