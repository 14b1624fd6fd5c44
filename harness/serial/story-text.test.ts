import test from 'ava';
import { storyLimits } from './console-story.ts';
import type { StoryEvent } from './story-event.ts';
import { explainStory, heapTrendText } from './story-text.ts';

const at = { atUs: 0 } as const;
const crash = {
  cause: 'exception',
  summary: 'LoadProhibited',
  core: 0,
  registers: {},
  backtrace: [{ pc: 0x42008a19, sp: 0x3fcb1e90 }],
  backtraceEnd: 'corrupted',
  rebooting: true,
} as const;

test('trouble is called trouble, with what to try next', (t) => {
  const events: StoryEvent[] = [
    { ...at, type: 'panic', crash },
    { ...at, type: 'brown-out' },
    { ...at, type: 'download-mode' },
    { ...at, type: 'no-application' },
    { ...at, type: 'failure', reason: 'Failed to send message', causes: [] },
    { ...at, type: 'watchdog', starved: ['IDLE0 (CPU 0)'], running: [], backtrace: [] },
    { ...at, type: 'boot-loop', resets: 3, withinUs: 8_000_000 },
    { ...at, type: 'level-too-low', waitedUs: storyLimits.levelUs, lines: 12 },
    { ...at, type: 'console-dead', silentUs: 5_000_000, applicationLives: true },
    { ...at, type: 'network-stalled', stage: 'association', waitedUs: 17_000_000 },
    { ...at, type: 'wrong-baud', share: 0.4, bytes: 128, baud: 9600 },
    { ...at, type: 'bytes-missing', torn: 3, withinUs: 1_000_000 },
  ];
  for (const event of events) {
    const told = explainStory(event);
    t.is(told?.weight, 'trouble', event.type);
    t.true((told?.hint ?? '').length > 10, event.type);
  }
});

test('a crash names its cause, core, frames and whether the board restarts', (t) => {
  const told = explainStory({ ...at, type: 'panic', crash });
  t.is(
    told?.text,
    'CRASH (CPU exception): LoadProhibited on core 0; 1 frames, corrupted; it restarts',
  );
  t.regex(told!.hint!, /0x42008a19/);
});

test('a reset that was asked for is a note, one by the opening of the port is trouble', (t) => {
  const reset = {
    ...at,
    type: 'reset',
    number: 1,
    name: 'POWERON',
    because: 'x',
    mode: 'run',
    silentUs: null,
  } as const;
  t.deepEqual(explainStory({ ...reset, kind: 'requested' }), {
    weight: 'note',
    text: 'reset 0x1 POWERON: x',
  });
  t.is(explainStory({ ...reset, kind: 'on-open' })?.weight, 'trouble');
});

test('a board is introduced once: its address is told without its id again', (t) => {
  const identity = { mac: '02ec0e000002', ip: '192.0.2.7' };
  const text = (news: 'mac' | 'ip') =>
    explainStory({ ...at, type: 'identity', news, identity })!.text;
  t.is(text('mac'), 'the board has device id 02ec0e000002');
  t.is(text('ip'), 'the board has address 192.0.2.7');
});

test('the heap has its number of pairs and its uncertainty', (t) => {
  const slope = { kibPerPair: -1.4, kibPerHour: -84, standardError: 0.648, lowestKiB: 135 };
  t.is(
    heapTrendText({ n: 4, spanUs: 180_000_000, spiram: slope, internal: slope }),
    'heap over 4 sentences in 180 s: SPIRAM −1.40 ± 0.65 KiB per sentence, −84 KiB/h, lowest 135 KiB; ' +
      'internal −1.40 ± 0.65 KiB per sentence, −84 KiB/h, lowest 135 KiB',
  );
});
