import test, { type ExecutionContext } from 'ava';
import { checkAccount } from './behaviour-checker.contract.ts';
import { BehaviourCoverage } from './behaviour-coverage.contract.ts';
import { type Account, type Entry, playBehaviour } from './behaviour-player.contract.ts';
import { describeFailure, shortestBehaviour } from './behaviour-shrinking.contract.ts';
import { bytes } from './device-bench.contract.ts';
import { type DeviceConstants, type DeviceProfile, deviceProfiles, diy } from './device-profile.ts';
import { type QuirkId, quirkIds } from './quirk.ts';
import {
  type Action,
  type Behaviour,
  behaviourUs,
  drawBehaviour,
  type Sending,
  sentenceEvents,
} from './random-behaviour.contract.ts';

/** `-- --seeds=500` plays the seeds 1 to 500, `-- --seed=17` plays one. */
const asked = (name: string): number | undefined => {
  const text = process.argv.find((argument) => argument.startsWith(`--${name}=`));
  return text === undefined ? undefined : Number(text.split('=')[1]);
};
/** As many as `npm test` has the time for. */
const seedsByDefault = 8;
/** From this many on, everything that can be reached must have been. */
const seedsForCoverage = 500;
const oneSeed = asked('seed');
const seedCount = asked('seeds') ?? seedsByDefault;
const seeds =
  oneSeed === undefined ? Array.from({ length: seedCount }, (_, i) => i + 1) : [oneSeed];

test.serial(
  `${seeds.length} boards live for 30 minutes as they may, and every rule holds`,
  async (t) => {
    const coverage = new BehaviourCoverage();
    const failures: string[] = [];
    for (const seed of seeds) {
      const behaviour = drawBehaviour(seed);
      const account = await playBehaviour(behaviour);
      coverage.add(account);
      const violations = checkAccount(account);
      const [first] = violations;
      if (first === undefined) continue;
      const shortest = await shortestBehaviour(behaviour, first.rule, 80);
      failures.push(describeFailure(account, violations, shortest));
    }
    t.log(...(seeds.length >= seedsForCoverage ? coverage.lines() : coverage.lines().slice(0, 1)));
    t.deepEqual(failures, [], failures.join('\n\n'));
    t.deepEqual(coverage.impossibleCells(), []);
    if (seeds.length < seedsForCoverage) return;
    t.deepEqual(coverage.missingCells(), []);
    t.deepEqual(coverage.missingReboots(), []);
    t.deepEqual(coverage.longest, { server: 32, local: 64, socket: 32 });
    for (const quirk of ['Q6', 'Q20', 'Q40', 'Q41']) t.true(coverage.lockedBy(quirk) > 0, quirk);
  },
);

test.serial('the same seed twice is the same life, to the last entry and sample', async (t) => {
  for (const seed of [3, 11]) {
    const [one, two] = [
      await playBehaviour(drawBehaviour(seed)),
      await playBehaviour(drawBehaviour(seed)),
    ];
    t.true(one.entries.length > 1_000);
    t.is(JSON.stringify(one.entries), JSON.stringify(two.entries));
    t.deepEqual(one.pings, two.pings);
    t.true(bytes(one.speaker()).equals(bytes(two.speaker())));
  }
});

// ---- the checker: every rule finds the mistake that is planted for it ----

const second = 1_000_000;
const at = (s: number, action: Record<string, unknown>) =>
  ({ atUs: s * second, ...action }) as Action;
const k0 = (s: number) => at(s, { kind: 'press', key: 'k0', press: 'short' });
const key = (s: number, name: string, press = 'short') =>
  at(s, { kind: 'press', key: name, press });
const speak = (s: number, ms: number) => at(s, { kind: 'speak', ms });
const manner = (s: number, name: string) =>
  at(s, { kind: 'manner', manner: name, afterUs: second });
const send = (s: number, ...sendings: Sending[]) =>
  at(s, { kind: 'send', label: 'planned', sendings });
const answer = (s: number, pieces: number, profile: DeviceProfile = diy) =>
  send(s, { kind: 'events', events: sentenceEvents(profile, pieces) });
const say = (s: number, ...types: ('EndVad' | 'EndResponse')[]) =>
  send(s, { kind: 'events', events: types.map((type) => ({ type })) });

function planned(actions: readonly Action[], profile: DeviceProfile = diy): Behaviour {
  const network = 'good-wifi';
  return { seed: 1, profile, network, helloPieces: 3, helloPieceBytes: 2048, actions };
}

/** A quiet life in which everything normal happens. */
const life = planned([
  k0(1),
  manner(1, 'normal'),
  speak(3, 2_000),
  key(15, 'volume-up'),
  key(16, 'k0', 'long'),
  answer(18, 40),
  speak(20, 2_000),
  manner(40, 'endVadOnly'),
  speak(45, 1_000),
  k0(140),
  say(150, 'EndResponse'),
]);

test.serial('a planned life breaks no rule', async (t) => {
  t.deepEqual(checkAccount(await playBehaviour(life)), []);
});

interface DifferentBoard {
  readonly rule: string;
  readonly what: string;
  readonly constants?: Partial<DeviceConstants>;
  readonly quirksOff?: readonly QuirkId[];
  readonly behaviour: Behaviour;
}

const door = (s: number, kind: string, more = {}) =>
  at(s, { kind: 'door', door: { kind, ...more } });
const flood = (s: number): Action =>
  send(s, {
    kind: 'events',
    events: [...sentenceEvents(diy, 30), ...sentenceEvents(diy, 80)],
  });

/** Boards that differ from the reference in one constant or quirk, and are checked as if they did not. */
const differentBoards: readonly DifferentBoard[] = [
  {
    rule: 'idle timer',
    what: 'an idle timer of 200 s',
    constants: { idleUs: 200 * second },
    behaviour: planned([k0(1)]),
  },
  {
    rule: 'idle timer',
    what: 'an idle timer of 400 s',
    constants: { idleUs: 400 * second },
    behaviour: planned([k0(1)]),
  },
  {
    rule: 'utterances',
    what: 'the 10 s rule after 11 s',
    constants: { noAsrLimitSamples: 176_000 },
    behaviour: planned([manner(0.5, 'silent'), k0(1), speak(3, 15_000)]),
  },
  {
    rule: 'utterances',
    what: 'frames of 4096 samples',
    constants: { uploadFrameSamples: 4096 },
    behaviour: life,
  },
  {
    rule: 'utterances',
    what: 'an interruption after 1.2 s instead of 0.6 s',
    constants: { interruptSamples: 19_200 },
    behaviour: planned([k0(1), key(3, 'k0', 'long'), answer(5, 60), speak(6, 3_000)]),
  },
  {
    rule: 'tries to connect',
    what: 'a pause of 200 ms between two tries',
    constants: { reconnectPauseUs: 200_000 },
    behaviour: planned([door(1, 'closed'), k0(2)]),
  },
  {
    rule: 'restarts are explained',
    what: 'a restart after two tries',
    constants: { reconnectTries: 2 },
    behaviour: planned([door(1, 'closed'), k0(2)]),
  },
  {
    rule: 'restarts that are due',
    what: 'no restart after three tries (quirk Q7 off)',
    quirksOff: ['Q7'],
    behaviour: planned([door(1, 'closed'), k0(2)]),
  },
  {
    rule: 'transition table',
    what: 'a lost connection that is noticed (quirk Q6 off)',
    quirksOff: ['Q6'],
    behaviour: planned([k0(1), at(4, { kind: 'terminate' }), speak(6, 2_000)]),
  },
  {
    rule: 'boots',
    what: 'a boot of 4 s',
    constants: { bootUs: 4 * second },
    behaviour: planned([door(1, 'closed'), k0(2), door(4, 'open')]),
  },
  {
    rule: 'keys',
    what: 'a long press after half a second',
    constants: { longPressUs: second / 2 },
    behaviour: planned([key(1, 'k0', 'long')]),
  },
  {
    rule: 'keys',
    what: 'a volume counter that starts at 4',
    constants: { volumeAtBoot: 4 },
    behaviour: planned([key(1, 'volume-up')]),
  },
  {
    rule: 'queues',
    what: '40 server events in the queue, read on meanwhile',
    constants: { inboundEvents: 40 },
    behaviour: planned([flood(2)]),
  },
  {
    rule: 'queues',
    what: 'local events without a limit of 64',
    constants: { localEvents: 100 },
    behaviour: planned([door(1, 'slow', { delayUs: 5 * second }), k0(2), speak(2, 6_000)]),
  },
  {
    rule: 'restarts are explained',
    what: 'a restart 20 s after the queue to the socket was full',
    constants: { sendTimeoutUs: 20 * second },
    behaviour: planned([
      manner(0, 'silent'),
      k0(1),
      say(3, 'EndResponse'),
      at(4, { kind: 'freeze' }),
      speak(4, 60_000),
    ]),
  },
  {
    rule: 'limit of waiting',
    what: 'a time limit in Waiting (quirk Q41 off)',
    quirksOff: ['Q41'],
    behaviour: planned([k0(1), say(3, 'EndVad')]),
  },
  {
    rule: 'server events are read',
    what: 'the next sentence read before the last was played (quirk Q16 off)',
    quirksOff: ['Q16'],
    behaviour: planned([flood(2)]),
  },
  {
    rule: 'samples',
    what: 'a hello without its header (quirk Q4 off)',
    quirksOff: ['Q4'],
    behaviour: { ...planned([k0(1)]), helloPieces: 0 },
  },
];

for (const { rule, what, constants, quirksOff, behaviour } of differentBoards) {
  test.serial(`planted: ${what} breaks "${rule}"`, async (t) => {
    t.deepEqual(brokenRules(await playBehaviour(behaviour)), [], 'the board itself');
    const { profile } = behaviour;
    const different = {
      ...profile,
      constants: { ...profile.constants, ...constants },
      quirksOff: quirksOff ?? profile.quirksOff,
    };
    const account = await playBehaviour({ ...behaviour, profile: different });
    t.true(brokenRules({ ...account, behaviour }).includes(rule));
  });
}

function brokenRules(account: Account): string[] {
  return [...new Set(checkAccount(account).map((violation) => violation.rule))];
}

interface Forgery {
  readonly rule: string;
  readonly what: string;
  readonly behaviour?: Behaviour;
  forge(account: Account): Account;
}

/** A board that waits in vain for the end of its hello, on and off. */
const lockedUp = planned([
  k0(1),
  answer(3, 80),
  door(4, 'slow', { delayUs: 5 * second }),
  k0(5),
  speak(5, 8_000),
]);

const entriesForged = (account: Account, forge: (entries: Entry[]) => Entry[]): Account => ({
  ...account,
  entries: forge([...account.entries]),
});

function changed<Type extends Entry['type']>(
  account: Account,
  type: Type,
  change: (entry: Extract<Entry, { type: Type }>) => object,
): Account {
  return entriesForged(account, (entries) => {
    const index = entries.findIndex((entry) => entry.type === type);
    const found = entries[index] as Extract<Entry, { type: Type }>;
    return entries.with(index, { ...found, ...change(found) } as Entry);
  });
}

function without(account: Account, drops: (entry: Entry) => boolean): Account {
  return entriesForged(account, (entries) => entries.toSpliced(entries.findIndex(drops), 1));
}

const forgeries: readonly Forgery[] = [
  {
    rule: 'transition table',
    what: 'a change of state that the table does not have',
    forge: (account) => changed(account, 'state', () => ({ to: 'Waiting' })),
  },
  {
    rule: 'transition table',
    what: 'a change of state that is missing',
    forge: (account) => without(account, (entry) => entry.type === 'state'),
  },
  {
    rule: 'restarts are explained',
    what: 'a restart for no reason',
    forge: (account) =>
      entriesForged(account, (entries) =>
        entries.toSpliced(-1, 0, { type: 'reboot', atUs: behaviourUs, cause: 'brown-out' }),
      ),
  },
  {
    rule: 'queues',
    what: 'two messages of the server in the wrong order',
    forge: (account) => changed(account, 'frameHandled', ({ frame }) => ({ frame: frame + 1 })),
  },
  {
    rule: 'cycles',
    what: 'a sentence that begins 1 ms after a cycle',
    forge: (account) => changed(account, 'playStart', ({ atUs }) => ({ atUs: atUs + 1_000 })),
  },
  {
    rule: 'samples',
    what: 'one sample too many played',
    forge: (account) =>
      changed(account, 'finished', ({ playedSamples }) => ({ playedSamples: playedSamples + 1 })),
  },
  {
    rule: 'samples',
    what: 'audio that was thrown away in secret',
    forge: (account) => without(account, (entry) => entry.type === 'playerCleared'),
  },
  {
    rule: 'instants',
    what: 'an instant that goes back',
    forge: (account) => changed(account, 'drained', ({ atUs }) => ({ atUs: atUs - 16_000_000 })),
  },
  {
    rule: 'utterances',
    what: 'a frame of the microphone that was never sent',
    forge: (account) => without(account, (entry) => entry.type === 'upload'),
  },
  {
    rule: 'dead-locks have a name',
    what: 'a board that waits for the hello and nothing blocks it',
    behaviour: lockedUp,
    forge: (account) => without(account, (entry) => entry.type === 'playerStalled'),
  },
  {
    rule: 'dead-locks have a name',
    what: 'a board that locks up although it has not the quirk for it',
    behaviour: lockedUp,
    forge: (account) => ({
      ...account,
      behaviour: {
        ...account.behaviour,
        profile: { ...account.behaviour.profile, quirksOff: ['Q20'] },
      },
    }),
  },
  {
    rule: 'queues',
    what: 'a pong while the socket is not read',
    behaviour: planned([flood(2), send(4, { kind: 'ping' })]),
    forge: (account) => ({
      ...account,
      pings: account.pings.map((ping) => ({ ...ping, pongUs: ping.sentUs + 8_000 })),
    }),
  },
  {
    rule: 'crash',
    what: 'an exception',
    forge: (account) => ({ ...account, crash: 'Error: planted' }),
  },
  {
    rule: 'nothing left',
    what: 'an alarm after the end',
    forge: (account) => ({ ...account, left: { alarms: 1, streams: 0 } }),
  },
  {
    rule: 'nothing left',
    what: 'a stream that stays open',
    forge: (account) => ({ ...account, left: { alarms: 0, streams: 1 } }),
  },
];

for (const { rule, what, behaviour = life, forge } of forgeries) {
  test.serial(`planted: ${what} breaks "${rule}"`, async (t) => {
    const account = await playBehaviour(behaviour);
    t.deepEqual(brokenRules(account), [], 'the board itself');
    t.true(brokenRules(forge(account)).includes(rule));
  });
}

test.serial(
  'a failing seed is told with its shortest script and the command that repeats it',
  async (t) => {
    // A board with a longer idle timer, among much that has nothing to do with it.
    const behaviour = planned([
      key(1, 'volume-up'),
      k0(2),
      answer(5, 5),
      key(30, 'volume-down'),
      key(700, 'volume-down'),
    ]);
    const account = await playSlowTimer(behaviour);
    const violations = checkAccount(account);
    t.is(violations[0]!.rule, 'idle timer');
    const shortest = await shortestBehaviour(behaviour, 'idle timer', 40, playSlowTimer);
    t.is(shortest.actions.length, 0, 'switching it on is enough');
    const text = describeFailure(account, violations, shortest);
    t.regex(text, /^seed 1: diy, good-wifi; \d+ times a rule is broken\n {2}idle timer at \d+ µs/);
    t.true(text.endsWith('npx ava harness/device/random-behaviour.test.ts -- --seed=1'));
    t.regex(text, /0 of 5 actions are enough/);
  },
);

async function playSlowTimer(behaviour: Behaviour): Promise<Account> {
  const { profile } = behaviour;
  const constants = { ...profile.constants, idleUs: 400 * second };
  const account = await playBehaviour({ ...behaviour, profile: { ...profile, constants } });
  return { ...account, behaviour };
}

test.serial(
  'what is drawn: every board, firmware and network, all quirks on, all off, and some',
  (t: ExecutionContext) => {
    const drawn = Array.from({ length: 200 }, (_, i) => drawBehaviour(i + 1));
    t.is(
      new Set(drawn.map(({ profile }) => profile.name)).size,
      Object.keys(deviceProfiles).length,
    );
    t.is(new Set(drawn.map(({ network }) => network)).size, 7);
    const kinds = drawn.map(({ profile: { quirksOff } }) => {
      if (quirksOff.length === 0) return 'on';
      return quirksOff.length === quirkIds.length ? 'off' : 'some';
    });
    t.is(new Set(kinds).size, 3);
  },
);
