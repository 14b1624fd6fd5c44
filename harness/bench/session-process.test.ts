import test from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { addedLatencies, type SeenSessions, Sessions } from './session-process.ts';
import { SessionRole } from './session-roles.ts';

const seen = (changes: Partial<SeenSessions> = {}): SeenSessions => ({
  arrivals: [{ board: 3, turn: 1, atUs: 9_000 }],
  frames: [
    { board: 3, turn: 1, connection: 2, behindBytes: 400, arrivedUs: 6_000, framedUs: 8_500 },
  ],
  writes: [
    { connection: 1, toBytes: 9_999, atUs: 100 },
    { connection: 2, toBytes: 400, atUs: 2_000 },
    { connection: 2, toBytes: 700, atUs: 5_500 },
    { connection: 2, toBytes: 1_000, atUs: 5_900 },
  ],
  waits: [[], []],
  ...changes,
});

test('what is added counts from the first write behind the bytes that had been read before', (t) => {
  t.deepEqual(addedLatencies(seen()), [
    { wholeUs: 3_500, ownUs: undefined, toServerUs: 500, inServerUs: 2_500, toBoardUs: 500 },
  ]);
  // Both writes came in one read: it is not told which completed the frame, so the earlier one counts.
  const together = { ...seen().frames[0]!, behindBytes: 399 };
  t.is(addedLatencies(seen({ frames: [together] }))[0]?.wholeUs, 7_000);
});

test('answers without audio, and frames of another board or turn, are not counted', (t) => {
  t.deepEqual(addedLatencies(seen({ arrivals: [{ board: 3, turn: 1, atUs: Number.NaN }] })), []);
  t.deepEqual(addedLatencies(seen({ arrivals: [{ board: 3, turn: 2, atUs: 9_000 }] })), []);
  t.deepEqual(addedLatencies(seen({ writes: [] })), []);
});

test('waiting for a processor on the way is taken off, in the server and in the boards', (t) => {
  const server = [
    [4_000, 100],
    [6_000, 600],
    [8_500, 1_100],
    [20_000, 50_000],
  ] as const;
  const boards = [
    [5_000, 0],
    [9_000, 250],
  ] as const;
  t.is(addedLatencies(seen({ waits: [server, boards] }))[0]?.ownUs, 3_500 - 1_000 - 250);
});

test('answers over real sockets are followed from the provider to the board', async (t) => {
  t.timeout(60_000);
  const clock = new SystemClock();
  const roles: SessionRole[] = [];
  const open = () => {
    const role = new SessionRole(clock.startNs);
    roles.push(role);
    return { ask: role.answer.bind(role), stop: () => {} };
  };
  for (const name of ['stream_gsv', 'cosyvoice']) {
    const entry = builtInProviders.find((one) => one.name === name)!;
    const sessions = await Sessions.open(open, entry, 2);
    const added = await sessions.talk({ sessions: 2, everyMs: 0, forMs: 300 });
    t.true(added.length >= 2, `${name}: ${added.length}`);
    for (const one of added) {
      t.is(one.wholeUs, one.toServerUs + one.inServerUs + one.toBoardUs);
      // Bytes are not there before they are written.
      t.true(one.toServerUs >= 0 && one.inServerUs > 0 && one.toBoardUs >= 0, JSON.stringify(one));
      t.true(one.ownUs === undefined || one.ownUs <= one.wholeUs);
    }
    sessions.stop();
  }
  for (const role of roles.toReversed()) await role.answer({ kind: 'close' });
});
