/** What the console's story says of a virtual board, whose truth is known: every fault that it can have. */
import test from 'ava';
import { ConsoleSession, type SessionEvent } from '../serial/console-session.ts';
import { resetBoard } from '../serial/reset-run.ts';
import { resetStrategies } from '../serial/reset-strategy.ts';
import type { StoryEvent } from '../serial/story-event.ts';
import { explainStory } from '../serial/story-text.ts';
import { BoardBench } from './board-bench.contract.ts';
import { type SuddenFaultName, suddenFaults } from './fault.ts';
import type { VirtualBoard, VirtualBoardOptions } from './virtual-board.ts';

type Story<Type extends StoryEvent['type']> = Extract<StoryEvent, { type: Type }>;

interface Watched {
  readonly board: VirtualBoard;
  readonly session: ConsoleSession;
  readonly story: StoryEvent[];
  readonly port: SessionEvent[];
  of<Type extends StoryEvent['type']>(type: Type): Story<Type>[];
  pass(seconds: number): Promise<void>;
  reset(): Promise<void>;
}

/** Watches a board from before its first boot until the script ends; or one that has run for a while. */
async function watch(
  options: Partial<VirtualBoardOptions>,
  script: (watched: Watched) => Promise<void>,
  { baud = 115_200, runningSeconds = 0 } = {},
): Promise<void> {
  const bench = new BoardBench();
  const story: StoryEvent[] = [];
  const port: SessionEvent[] = [];
  await bench.run(async () => {
    await bench.listen();
    const board = bench.board(options);
    board.powerOn();
    await bench.pass(runningSeconds * 1_000_000);
    const session = new ConsoleSession({
      clock: bench.clock,
      address: 'tty0',
      baud,
      open: (address) => bench.ports.open(address, baud),
      locate: () => bench.ports.names()[0] ?? null,
      onLine: () => {},
      onStory: (event) => story.push(event),
      onSession: (event) => port.push(event),
    });
    const stop = new AbortController();
    const run = session.run(stop.signal);
    await script({
      board,
      session,
      story,
      port,
      of: <Type extends StoryEvent['type']>(type: Type) =>
        story.filter((event): event is Story<Type> => event.type === type),
      pass: (seconds) => bench.pass(seconds * 1_000_000),
      reset: async () => {
        session.reader.resetRequested();
        const name = options.wiring === 'usb-jtag' ? 'run-usb-jtag' : 'run-bridge';
        const strategy = resetStrategies[name];
        await resetBoard({ port: session.port!, clock: bench.clock, strategy }).catch(() => {});
      },
    });
    stop.abort();
    await run;
    await session.close();
    board.powerOff();
  });
}

test('a board that boots and connects is told without one complaint', async (t) => {
  await watch({}, async ({ pass, of, story, session }) => {
    await pass(20);
    t.deepEqual([...new Set(story.map(({ type }) => type))].toSorted(), [
      'boot',
      'heap',
      'identity',
      'reset',
      'state',
    ]);
    t.is(of('boot')[0]?.identity.project, 'echokit');
    t.is(session.reader.identity.mac, 'a1b2c3d4e5f6');
    t.is(session.reader.state, 'Idle');
    t.is(session.reader.counts.unexpected, 0);
  });
});

/** What a crash of the board must be told as. */
const crashes: Partial<Record<SuddenFaultName, string>> = {
  'rust-panic': 'rust-panic',
  'guru-meditation': 'exception',
  'interrupt-watchdog': 'interrupt-watchdog',
  'stack-overflow': 'stack-overflow',
  'stack-canary': 'stack-overflow',
  abort: 'abort',
  'assert-failed': 'assert',
  'out-of-memory': 'out-of-memory',
};

for (const [fault, cause] of Object.entries(crashes) as [SuddenFaultName, string][]) {
  test(`${fault}: one crash with its backtrace, then a restart because of it`, async (t) => {
    await watch({}, async ({ board, pass, of, session }) => {
      await pass(8);
      board.fail(fault);
      await pass(3);
      t.deepEqual(
        of('panic').map(({ crash }) => [crash.cause, crash.backtrace.length, crash.rebooting]),
        [[cause, 4, true]],
      );
      t.deepEqual(
        of('reset').map(({ kind }) => kind),
        ['on-open', 'crash'],
      );
      t.is(session.reader.counts.unexpected, 0);
    });
  });
}

test('every fault of the board has its place here', (t) => {
  const others = [
    'task-watchdog',
    'brown-out',
    'esp-restart',
    'power-loss',
    'unplug',
    'vanish',
    'loose-cable',
    'silence',
  ];
  t.deepEqual(
    Object.keys(suddenFaults).toSorted(),
    [...Object.keys(crashes), ...others].toSorted(),
  );
});

test('the task watchdog is told and is no crash; brown-out and restart have their causes', async (t) => {
  await watch({}, async ({ board, pass, of }) => {
    await pass(8);
    board.fail('task-watchdog');
    await pass(2);
    t.deepEqual(of('watchdog')[0]?.starved, ['IDLE0 (CPU 0)']);
    t.is(of('reset').length, 1);
    board.fail('brown-out');
    await pass(8);
    t.is(of('brown-out').length, 1);
    t.is(of('reset')[1]?.kind, 'brown-out');
    board.fail('esp-restart');
    await pass(2);
    t.is(of('failure')[0]?.reason, 'Timeout sending message');
    t.is(of('reset')[2]?.kind, 'restart');
    t.deepEqual(of('panic'), []);
  });
});

test('R05: power loss, a loose cable, a port that returns under another name, a pulled cable: gone, back, and why', async (t) => {
  await watch({}, async ({ board, pass, of, port }) => {
    await pass(8);
    board.fail('power-loss');
    await pass(8);
    t.is(of('reset').at(-1)?.kind, 'power-or-pin');
    const resets = of('reset').length;
    board.fail('loose-cable');
    await pass(4);
    board.fail('vanish');
    await pass(4);
    t.is(of('reset').length, resets);
    board.fail('unplug');
    await pass(4);
    const addresses = port.map((event) => `${event.type} ${event.address}`);
    t.deepEqual(addresses, [
      'opened tty0',
      'gone tty0',
      'returned tty0',
      'gone tty0',
      'returned tty0',
      'gone tty0',
      'returned tty0.1',
      'gone tty0.1',
    ]);
    const away = port.flatMap((event) => (event.type === 'returned' ? [event.awayUs] : []));
    const expected = [500_000, 1_500_000, 1_500_000];
    t.is(away.length, expected.length);
    t.true(
      away.every((us, i) => us >= expected[i]! && us <= expected[i]! + 100_000),
      `${away}`,
    );
  });
});

test('a reset that was asked for is no surprise, over a bridge and over native USB that vanishes', async (t) => {
  await watch({}, async ({ pass, of, reset }) => {
    await pass(8);
    await reset();
    await pass(3);
    t.is(of('reset').at(-1)?.kind, 'requested');
  });
  await watch(
    { wiring: 'usb-jtag', faults: ['vanish-on-reset'] },
    async ({ pass, of, reset, port, story }) => {
      await pass(8);
      await reset();
      await pass(12);
      t.true(port.some(({ type }) => type === 'returned'));
      // The banner is lost while the port is away, or comes with it: never told as a crash or as another's work.
      const told = of('reset')
        .slice(1)
        .map(({ kind }) => kind);
      t.true(
        told.every((kind) => kind === 'requested' || kind === 'unseen'),
        told.join(),
      );
      t.deepEqual(
        story.filter(({ type }) => type === 'panic'),
        [],
      );
    },
  );
});

/** What a person reads of the events of a type. */
function told(events: readonly StoryEvent[]): string[] {
  return events.map((event) => {
    const { text, hint = '' } = explainStory(event)!;
    return `${text}; ${hint}`;
  });
}

const running = { runningSeconds: 8 };

test('R01: a board that boots because its port was opened is told, a calm one is left in peace', async (t) => {
  await watch(
    { faults: ['reset-on-open'] },
    async ({ pass, of }) => {
      await pass(8);
      t.deepEqual(
        of('reset').map(({ kind }) => kind),
        ['on-open'],
      );
      t.regex(told(of('reset'))[0]!, /opening the port moved its lines; .*leave the port open/);
    },
    running,
  );
  await watch(
    {},
    async ({ pass, of }) => {
      await pass(8);
      t.deepEqual(of('reset'), []);
    },
    running,
  );
});

test('R02: a board in download mode is told, and a reset leads out of it', async (t) => {
  await watch(
    { faults: ['download-on-open'] },
    async ({ pass, of, session, reset, board }) => {
      await pass(15);
      t.is(of('download-mode').length, 1);
      t.regex(
        told(of('download-mode'))[0]!,
        /waits for a download and runs nothing.*let go of K0 and reset the board/,
      );
      t.is(session.reader.state, 'Download');
      t.deepEqual(of('level-too-low'), []);
      await reset();
      await pass(8);
      t.is(board.mode, 'running');
      t.is(session.reader.state, 'Idle');
      t.is(of('reset').at(-1)?.kind, 'requested');
    },
    running,
  );
});

test('R02: a port without a word is told after 5 s, with what it may be and how to see it', async (t) => {
  await watch(
    {},
    async ({ pass, of }) => {
      await pass(10);
      t.is(of('quiet').length, 1);
      t.regex(
        told(of('quiet'))[0]!,
        /no byte for 5 s: .*in download mode.*press K0 or reset it to see which/,
      );
    },
    running,
  );
});

test('R03: a program that steals bytes is noticed', async (t) => {
  await watch({ faults: ['stolen-bytes'] }, async ({ pass, of, session }) => {
    await pass(12);
    t.true(of('bytes-missing').length >= 1, JSON.stringify(session.reader.counts));
    t.regex(told(of('bytes-missing'))[0]!, /another program reads the same port; close it/);
  });
});

test('R06: a console that dies on a reset is told, and once the board is heard that only power helps', async (t) => {
  await watch(
    { faults: ['dead-console'], wiring: 'usb-jtag' },
    async ({ pass, of, reset, session, board }) => {
      await pass(8);
      await reset();
      await pass(8);
      t.is(board.mode, 'running');
      t.is(of('console-dead')[0]?.applicationLives, false);
      session.reader.boardHeard();
      t.is(of('console-dead')[1]?.applicationLives, true);
      t.regex(told(of('console-dead'))[1]!, /while the board itself runs; .*until a power cycle/);
    },
  );
});

test('R07: of two boards that have swapped their ports the wrong one ends the session', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    await bench.listen();
    bench.board({ mac: 'a1b2c3d4e5f6' }, 'tty0').powerOn();
    bench.board({ mac: '0a0b0c0d0e0f' }, 'tty1').powerOn();
    bench.ports.swap('tty0', 'tty1');
    const session = new ConsoleSession({
      clock: bench.clock,
      address: 'tty0',
      baud: 115_200,
      expectedMac: 'a1b2c3d4e5f6',
      open: (address) => bench.ports.open(address),
      locate: () => 'tty0',
      onLine: () => {},
      onStory: () => {},
      onSession: () => {},
    });
    const error = await t.throwsAsync(session.run(new AbortController().signal), {
      code: 'BOARD_MISMATCH',
      message: 'Another board answers: it has MAC 0a0b0c0d0e0f, and a1b2c3d4e5f6 was expected.',
    });
    t.regex((error as unknown as { hint: string }).hint, /boards --probe/);
    await session.close();
  });
});

test('R09: noise at the start and a wrong baud rate are counted and told, and the boot behind them is read', async (t) => {
  await watch({ faults: ['garbage-at-start'] }, async ({ pass, of, session }) => {
    await pass(10);
    t.is(of('boot').length, 1);
    t.is(session.reader.state, 'Idle');
    t.true(session.reader.counts.invalidUtf8 > 10);
  });
  await watch(
    {},
    async ({ pass, of }) => {
      await pass(10);
      t.true(of('wrong-baud').length >= 1);
      t.regex(
        told(of('wrong-baud'))[0]!,
        /% of the last \d+ bytes cannot be text; .*--baud 115200/,
      );
      t.deepEqual(of('boot'), []);
    },
    { baud: 74_880 },
  );
});

test('R10: a build that logs errors only is told as that, and its crash is still one', async (t) => {
  await watch({ faults: ['errors-only'] }, async ({ board, pass, of }) => {
    await pass(15);
    t.is(of('level-too-low').length, 1);
    t.regex(
      told(of('level-too-low'))[0]!,
      /log level too low in this build.*traffic with the server/,
    );
    board.fail('guru-meditation');
    await pass(2);
    t.is(of('panic')[0]?.crash.cause, 'exception');
  });
});

test('two consoles at once do not mix', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    await bench.listen();
    const macs = ['a1b2c3d4e5f6', '0a0b0c0d0e0f'];
    const consoles = macs.map((mac, i) => {
      const board = bench.board({ mac }, `tty${i}`);
      board.powerOn();
      const story: StoryEvent[] = [];
      const session = new ConsoleSession({
        clock: bench.clock,
        address: `tty${i}`,
        baud: 115_200,
        expectedMac: mac,
        open: (address) => bench.ports.open(address),
        locate: () => bench.ports.names().find((name) => name.startsWith(`tty${i}`)) ?? null,
        onLine: () => {},
        onStory: (event) => story.push(event),
        onSession: () => {},
      });
      const stop = new AbortController();
      return { board, story, session, stop, run: session.run(stop.signal) };
    });
    await bench.pass(8_000_000);
    consoles[0]!.board.fail('vanish');
    consoles[1]!.board.fail('rust-panic');
    await bench.pass(8_000_000);
    for (const { session, stop, run } of consoles) {
      stop.abort();
      await run;
      await session.close();
    }
    t.deepEqual(
      consoles.map(({ session }) => [session.reader.identity.mac, session.reader.counts.gaps]),
      [
        [macs[0], 1],
        [macs[1], 0],
      ],
    );
    const panics = consoles.map(({ story }) => story.filter(({ type }) => type === 'panic').length);
    t.deepEqual(panics, [0, 1]);
  });
});
