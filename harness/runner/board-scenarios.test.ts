/**
 * The shipped scenarios on virtual boards, in every way in which a board can be reached, against the same conversations
 * with the emulated board. In virtual time, but for the pseudo-terminal. `npm run test:boards` runs every scenario in
 * every way; `npm test` runs each scenario in one or two and each way with one or two.
 */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { createRandom } from '../random/random.ts';
import { loadScenario } from '../scenario/load.ts';
import { planRun } from '../scenario/plan.ts';
import type { Scenario } from '../scenario/scenario.ts';
import type { BoardPort } from '../serial/board-port.ts';
import { SerialLinkBridge } from '../serial/serial-link-bridge.ts';
import { readWav } from '../trace/wav-file.ts';
import { SpeakerTap } from './speaker-tap.ts';
import {
  type BoardRun,
  type BoardRunOptions,
  boardScenario,
  catalog,
  type Means,
  VirtualBench,
} from './virtual-bench.contract.ts';

const hasPty =
  spawnSync('socat', ['-V']).status === 0 &&
  (await import('serialport').then(
    () => true,
    () => false,
  ));

const bench = await VirtualBench.open();
test.after.always(() => bench.remove());

const isAll = process.argv.includes('--all');
const folder = fileURLToPath(new URL('../../scenarios', import.meta.url));
const shipped = filesOf(folder);

function filesOf(of: string): string[] {
  return readdirSync(of)
    .filter((name) => name.endsWith('.toml'))
    .sort();
}

function scenarioOf(of: string, name: string): Scenario {
  const file = join(of, name);
  return loadScenario(readFileSync(file, 'utf8'), file, catalog);
}

/** How far a board and the emulated one may be apart in the same conversation. The README has these figures. */
interface Limits {
  /** From the server's decision that the user has finished to the first audible sample. */
  readonly answerMs: number;
  /** Lines of the board about its playing, and those of its model. */
  readonly playoutMs: number;
  /**
   * The end of turn beyond 512 ms, which a frame of the uplink lasts: where the words begin in a frame depends on when the
   * board has booted. A frame takes its time on the line, too: 16 KiB, or a quarter of it at 115,200 baud.
   */
  readonly uplinkMs: number;
}

const overAir: Limits = { answerMs: 30, playoutMs: 20, uplinkMs: 0 };

/** And what this machine was late by, which the recording has. */
const inRealTime: Limits = { answerMs: 50, playoutMs: 40, uplinkMs: 50 };

interface Way {
  readonly name: string;
  readonly limits: Limits;
  /** In `npm test`. */
  readonly some: readonly string[];
  options(): Promise<BoardRunOptions>;
}

const numbers = createRandom(9, 'sessions of links');

function overLink(baud: number): BoardRunOptions {
  const link = { baud, carriesWords: true, drawBytes: (count: number) => numbers.bytes(count) };
  return {
    network: 'ideal',
    board: { serialLink: { baud } },
    equipment: { link, voice: undefined, serverAddress: undefined },
  };
}

/** Somebody who presses K0 when asked, and not while the board boots. */
function byHand(): BoardRunOptions {
  let press = (): void => {};
  return {
    network: 'good-wifi',
    script: (board, _tries, { clock }) => {
      press = () => {
        if (board.mode !== 'running') {
          clock.after(100_000, press);
          return;
        }
        clock.after(700_000, () => {
          const key = board.holdButton();
          clock.after(150_000, () => key.release());
        });
      };
    },
    equipment: { ask: () => press() },
  };
}

const ways: readonly Way[] = [
  {
    name: 'Wi-Fi, K0 through DTR',
    limits: overAir,
    some: ['network-stall.toml'],
    options: async () => ({ network: 'good-wifi' }),
  },
  {
    name: 'Wi-Fi, over RFC 2217',
    limits: overAir,
    some: ['two-turns.toml'],
    options: async () => ({ network: 'good-wifi', way: 'rfc2217' }),
  },
  {
    name: 'Wi-Fi, K0 by hand',
    limits: overAir,
    some: ['slow-provider.toml'],
    options: async () => ({ ...byHand(), way: 'no lines' }),
  },
  {
    name: 'the serial link at 921,600 baud',
    limits: { answerMs: 30, playoutMs: 20, uplinkMs: 200 },
    some: ['long-answer.toml'],
    options: async () => overLink(921_600),
  },
  {
    name: 'the serial link at 115,200 baud',
    limits: { answerMs: 40, playoutMs: 20, uplinkMs: 400 },
    some: ['mandarin-two-turns.toml'],
    options: async () => overLink(115_200),
  },
];

for (const { name: how, limits, some, options } of ways) {
  for (const name of isAll ? shipped : some) {
    test(`${name} passes over ${how}, and its figures are the emulator's within the limits`, async (t) => {
      const { log, wrong } = await compare(name, await options(), limits);
      t.log(log);
      t.deepEqual(wrong, []);
    });
  }
}

for (const name of isAll ? shipped : ['one-question.toml']) {
  (hasPty ? test.serial : test.serial.skip)(
    `in real time: ${name} passes over a pseudo-terminal, K0 by hand, and its figures are the emulator's within the limits`,
    async (t) => {
      t.timeout(180_000);
      // Free when it was asked for.
      const finder = createServer().listen(0, '127.0.0.1');
      await once(finder, 'listening');
      const { port } = finder.address() as AddressInfo;
      await new Promise((resolve) => finder.close(resolve));
      const { equipment, ...hand } = byHand();
      const serverAddress = { host: '127.0.0.1', port };
      const options: BoardRunOptions = {
        ...hand,
        network: 'ideal',
        way: 'pty',
        equipment: { ...equipment, serverAddress },
      };
      const { log, wrong } = await compare(name, options, inRealTime);
      t.log(log);
      t.deepEqual(wrong, []);
    },
  );
}

/** What is wrong, in words; nothing when board and emulator agree. */
async function compare(
  name: string,
  options: BoardRunOptions,
  limits: Limits,
): Promise<{ readonly log: string; readonly wrong: readonly string[] }> {
  const scenario = scenarioOf(folder, name);
  const run = await bench.run(scenario, options);
  const emulated = await bench.emulate(scenario, { network: options.network! });
  const lag = run.recorded.events.find((event) => event.type === 'lag');
  const lagMs = lag?.type === 'lag' ? lag.maxUs / 1000 : 0;
  const wrong: string[] = [];
  const check = (holds: boolean, words: string): void => {
    if (!holds) wrong.push(words);
  };
  check(
    run.verdict.outcome === 'pass',
    JSON.stringify([run.verdict.failures, run.board?.failures]),
  );
  check(run.earlierTries === undefined, 'a second try was needed');
  check(run.leftOpen === 0, 'a port is left open');
  check(run.board!.twin.parting === null, JSON.stringify(run.board!.twin.parting));
  check(run.board!.twin.matched > 15, `${run.board!.twin.matched} lines of both`);
  const figures = run.measurement.turns.map((turn, i) => {
    const other = emulated.measurement.turns[i]!;
    const answerMs = ({ audibleAtSpeakerUs, spans }: typeof turn) =>
      (audibleAtSpeakerUs! - spans.endOfTurn!) / 1000;
    const answer = answerMs(turn) - answerMs(other);
    const endOfTurn = (turn.spans.endOfTurn! - other.spans.endOfTurn!) / 1000;
    check(
      Math.abs(answer) <= limits.answerMs + lagMs,
      `turn ${turn.turn}: answer ${answer} ms apart`,
    );
    check(
      Math.abs(endOfTurn) <= 512 + limits.uplinkMs + lagMs,
      `turn ${turn.turn}: end of turn ${endOfTurn} ms apart`,
    );
    return `answer ${answer.toFixed(1)} ms and end of turn ${endOfTurn.toFixed(0)} ms apart`;
  });
  const apart = Math.abs(underrunsMs(run) - underrunsMs(emulated));
  check(apart <= 32 + lagMs, `underruns: ${underrunsMs(run)} and ${underrunsMs(emulated)} ms`);
  const playout = run.board!.playoutError!;
  check(playout.p95Ms <= limits.playoutMs + lagMs, `playout: ${playout.p95Ms} ms`);
  // What left the speaker of the board is what the model says, sample by sample.
  check(
    equal(sounding(run.played), sounding(run.recorded.speaker)),
    'the speaker of the board has not played what the model says',
  );
  if (options.equipment?.link !== undefined) wrong.push(...tapProblems(run, options));
  const told = [...figures, `playout p95 ${playout.p95Ms} ms`];
  if (lag !== undefined) told.push(`the machine was late by at most ${lagMs.toFixed(0)} ms`);
  return { log: told.join('; '), wrong };
}

function underrunsMs({ measurement }: Pick<BoardRun, 'measurement'>): number {
  return measurement.underruns
    .flatMap(({ underruns }) => underruns)
    .reduce((sum, { durationUs }) => sum + durationUs / 1000, 0);
}

/** What the link has handed out, and what the board has really played: the same, or on a slow line nearly so. */
function tapProblems({ path, played }: BoardRun, { board }: BoardRunOptions): string[] {
  const tapped = readWav(join(path, 'board-speaker.wav'));
  let error = 0;
  let power = 0;
  for (let i = 0; i < played.length; i++) {
    error += ((tapped[i] ?? 0) - played[i]!) ** 2;
    power += played[i]! ** 2;
  }
  if (board!.serialLink!.baud > 460_000) return error === 0 ? [] : ['the tap is another sound'];
  const db = 10 * Math.log10(power / error);
  return db > 15 ? [] : [`the tap is ${db.toFixed(1)} dB above its error`];
}

/** Without the silence, in cycles of the player. */
function sounding(samples: Int16Array): Int16Array {
  const cycle = 256;
  const kept: number[] = [];
  for (let at = 0; at + cycle <= samples.length; at += cycle) {
    const piece = samples.subarray(at, at + cycle);
    if (piece.some((sample) => sample !== 0)) kept.push(...piece);
  }
  return Int16Array.from(kept);
}

function equal(one: Int16Array, other: Int16Array): boolean {
  return one.length === other.length && one.every((sample, i) => sample === other[i]);
}

const oneTurn = boardScenario(
  'one-turn',
  '[[turn]]\nsay = "Hello there."\nreply = "Hi. How are you?"\n',
);

test('with --link, a board without the serial link makes the cell infra and says what to do', async (t) => {
  const run = await bench.run(oneTurn, { ...overLink(115_200), board: {} });
  t.is(run.verdict.outcome, 'infra');
  const failures = run.board!.failures;
  t.deepEqual(
    failures.map(({ code }) => code),
    ['SERIAL_NO_LINK'],
  );
  t.regex(failures[0]!.message, /prints its console/);
});

for (const left of ['starting', 'listening'] as const) {
  test(`a board that cannot be reset and was left ${left} is idle before the conversation begins`, async (t) => {
    let plugged: Means | undefined;
    const { link, ...equipment } = overLink(921_600).equipment!;
    const states: string[] = [];
    const openPort = async (): Promise<BoardPort> => {
      const { clock, ports } = plugged!;
      if (left === 'listening') {
        // Whoever used it before has let it connect, has pressed K0, and has gone.
        const port = await ports.open('tty0', 921_600);
        const before = new SerialLinkBridge({
          port,
          clock,
          dial: (_target, listener) => {
            void clock.after(1000, () => listener.onOpen());
            return { send() {}, hold() {}, close() {}, drop() {} };
          },
          settings: { newSession: () => 7, bytesPerSecond: 92_160 },
          onEvent: (event) => {
            if (event.kind !== 'link' || event.event.kind !== 'message') return;
            const { message } = event.event;
            if (message.type !== 'board-state' || states.at(-1) === message.state) return;
            states.push(message.state);
            if (message.state !== 'idle') return;
            // The main loop takes keys a moment later.
            clock.after(2_000_000, () => {
              before.session.send({ type: 'key', key: 'k0', action: 'tap', durationMs: 150 });
            });
          },
          onGone: () => {},
        });
        before.start();
        for (let i = 0; i < 600 && states.at(-1) !== 'listening'; i++) await clock.sleep(50_000);
        await before.stop();
        await port.close();
      }
      return ports.open('tty0', 921_600);
    };
    const run = await bench.run(oneTurn, {
      ...overLink(921_600),
      script: (_board, _tries, means) => {
        plugged = means;
      },
      equipment: { ...equipment, link, reset: undefined, openPort },
    });
    if (left === 'listening') t.is(states.at(-1), 'listening', states.join());
    t.is(run.earlierTries, undefined, JSON.stringify(run.earlierTries));
    t.is(run.verdict.outcome, 'pass', JSON.stringify(run.verdict.failures));
  });
}

test('a board that crashes while it is spoken to over the link is tried again, and no port is left open', async (t) => {
  const run = await bench.run(oneTurn, {
    ...overLink(921_600),
    script: (board, tries, { clock }) => {
      if (tries === 1) clock.after(6_500_000, () => board.fail('rust-panic'));
    },
  });
  t.deepEqual(
    run.earlierTries?.map(({ verdict }) => verdict.failures[0]?.code),
    ['BOARD_CRASHED'],
  );
  t.is(run.verdict.outcome, 'pass', JSON.stringify(run.verdict.failures));
  t.is(run.leftOpen, 0);
});

test('keys go through the link: a long press switches interruption, the volume keys are heard of', async (t) => {
  const scenario = boardScenario(
    'keys',
    [
      ...['[[turn]]', 'say = "Hello there."', 'reply = "Hi. How are you?"'],
      ...['[[turn.act]]', 'key = "k0"', 'press = "long"', 'after = { event = "Speech" }'],
      ...['[[turn.act]]', 'key = "volume-up"', 'after = { event = "StartAudio" }'],
    ].join('\n'),
  );
  const run = await bench.run(scenario, overLink(921_600));
  t.is(run.verdict.outcome, 'pass', JSON.stringify(run.verdict.failures));
  const lines = run.recorded.events.flatMap((event) =>
    event.type === 'line' ? [event.message ?? ''] : [],
  );
  t.true(lines.includes('Set allow_interrupt to true'), lines.join('\n'));
  t.true(lines.some((line) => /^Volume set/.test(line)));
});

test('a tap is put together by its positions, boot by boot, with silence where nothing came', (t) => {
  const tap = new SpeakerTap();
  tap.push(2, Int16Array.of(1, 2));
  tap.push(6, Int16Array.of(3));
  tap.push(1, Int16Array.of(4));
  t.deepEqual([...tap.joined()], [0, 0, 1, 2, 0, 0, 3, 0, 4]);
});

test('what a scenario asks of a board that none can do is skipped with the reason; of the shipped ones nothing is', (t) => {
  const skippedOf = (of: string) => {
    const scenarios = filesOf(of).map((name) => scenarioOf(of, name));
    const { skipped } = planRun(scenarios, {
      ...{ providers: ['openai'], devices: ['diy'], networks: ['ideal'] },
      ...{ seed: 1, time: 'real', board: true, catalog },
    });
    return { scenarios, skipped };
  };
  t.deepEqual(skippedOf(folder).skipped, []);
  for (const sub of ['failures', 'pitfalls', 'quirks']) {
    const { scenarios, skipped } = skippedOf(join(folder, sub));
    const isBeyond = ({ device, turns }: Scenario): boolean =>
      device.quirksOff.length > 0 ||
      device.noiseDbfs !== undefined ||
      device.echo !== undefined ||
      turns.some(({ disturbances }) => disturbances.some(({ kind }) => kind === 'change'));
    t.deepEqual(
      [...new Set(skipped.map(({ cell }) => cell.scenario.name))].sort(),
      scenarios
        .filter(isBeyond)
        .map(({ name }) => name)
        .sort(),
    );
    t.true(skipped.every(({ reason }) => reason.endsWith('which a real board cannot be told')));
    const reasons = new Map<string, number>();
    for (const { reason } of skipped) {
      const why = reason.replace(/^\S+ /, '').replace(/, which.*/, '');
      reasons.set(why, (reasons.get(why) ?? 0) + 1);
    }
    t.log(`${sub}: ${scenarios.length} scenarios, skipped ${JSON.stringify([...reasons])}`);
  }
});
