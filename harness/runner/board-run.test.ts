/** Runs on a virtual board: console and keys on a port in memory, audio on the WebSocket, in virtual time. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { diy } from '../device/device-profile.ts';
import { buildRunReport } from '../report/run-report.ts';
import { renderTerminalReport } from '../report/terminal-report.ts';
import { resetStrategies } from '../serial/reset-strategy.ts';
import { checkReportFormat } from '../trace/format-check.contract.ts';
import type { TraceEvent } from '../trace/trace-event.ts';
import type { VirtualBoard } from '../virtual-board/virtual-board.ts';
import { type BoardRun, boardScenario, mac, VirtualBench } from './virtual-bench.contract.ts';

const bench = await VirtualBench.open();
test.after.always(() => bench.remove());

const oneTurn = boardScenario(
  'one-turn',
  '[[turn]]\nsay = "Hello there."\nreply = "Hi. How are you?"\n',
);
const twoTurns = boardScenario(
  'two-turns',
  '[[turn]]\nsay = "Hello there."\nreply = "Hi. How are you?"\n'.repeat(2),
);

function failuresOf(run: BoardRun): string[] {
  return (run.board?.failures ?? []).map(({ code }) => code);
}

/** Codes of why it could not be judged, of each try before the last. */
function codesOfTries({ earlierTries = [] }: BoardRun): string[][] {
  return earlierTries.map(({ verdict }) =>
    verdict.failures.flatMap((one) => (one.class === 'infra' ? [one.code] : [])),
  );
}

function serial(run: BoardRun, type: string): TraceEvent[] {
  return run.recorded.events.filter((event) => event.source === 'serial' && event.type === type);
}

test('the manifest names the board, its firmware, and that the playout is an estimate with its error', async (t) => {
  const run = await bench.run(oneTurn);
  const manifest = readFileSync(join(run.path, 'manifest.toml'), 'utf8');
  t.regex(manifest, /^device = "board"$/m);
  t.regex(manifest, /^model = "diy"$/m);
  t.regex(
    manifest,
    new RegExp(
      `\\[board\\]\nname = "kitchen"\nmac = "${mac}"\nfirmware = "0\\.3\\.2"\nestimated = true\nplayoutErrorMs = [0-9.]+`,
    ),
  );
  t.is(run.recorded.header.board, 'kitchen');
  t.false(
    readFileSync(join(run.path, 'trace.jsonl'), 'utf8').includes('not a secret'),
    'the password of the Wi-Fi is not on record',
  );
});

test('the report says that times at the speaker are estimates, and how far the board was from them', async (t) => {
  const run = await bench.run(oneTurn, { board: { faults: ['garbage-at-start'] } });
  t.is(run.verdict.outcome, 'pass', JSON.stringify(run.verdict.failures));
  const report = checkReportFormat(
    buildRunReport({
      cells: [run],
      run: { id: 'r', seed: 1, time: 'virtual', live: false },
      environment: {},
    }),
  );
  const { board } = report.cells[0]!;
  t.true(board!.estimated);
  t.is(board!.twin.parting, null);
  t.is(board!.playoutError!.n, 4);
  const settings = { color: false, width: 120, recordingsFolder: '.', nextSteps: [], twin: true };
  const text = renderTerminalReport(report, settings).replaceAll(/\n {2}(?=\S)/g, ' ');
  t.regex(
    text,
    /^Board kitchen \(firmware 0\.3\.2\): times at the speaker are estimated by the model diy/m,
  );
  t.regex(text, /own lines were [0-9.]+ ms later \(median\)/);
  t.regex(text, /^Twin: how much later board kitchen printed/m);
  t.regex(text, /they never part/);
});

test('a board that prints errors only is followed from the traffic, and its error is not known', async (t) => {
  const run = await bench.run(oneTurn, { board: { faults: ['errors-only'] } });
  t.is(run.verdict.outcome, 'pass', JSON.stringify(run.verdict.failures));
  t.is(run.board!.playoutError, null);
  t.true(
    run.board!.remarks.some((text) => /log level/i.test(text)),
    run.board!.remarks.join(),
  );
});

test('a console that dies on the reset is no reason to stop', async (t) => {
  const run = await bench.run(oneTurn, { board: { faults: ['dead-console'] } });
  t.is(run.verdict.outcome, 'pass', JSON.stringify(run.verdict.failures));
  t.is(run.board!.playoutError, null);
});

test('the server is found where the board says that it connects to', async (t) => {
  const run = await bench.run(oneTurn, { equipment: { serverAddress: undefined } });
  t.is(run.verdict.outcome, 'pass', JSON.stringify(run.verdict.failures));
});

test('a board is seen, whose stored URL holds the token of another server', async (t) => {
  const serverUrl = 'ws://server.test:8080/token/a1b2c3d4e5f6a7b8/ws/';
  const run = await bench.run(oneTurn, { board: { serverUrl } });
  t.is(run.verdict.outcome, 'pass', JSON.stringify(run.verdict));
  t.true(run.played.some((sample) => Math.abs(sample) > 1000));
});

for (const [fault, code] of [
  ['rust-panic', 'BOARD_CRASHED'],
  ['brown-out', 'BOARD_POWER'],
  ['power-loss', 'BOARD_RESET'],
] as const) {
  test(`${fault} in mid conversation is the board's failure; the second try is judged, and the first is kept`, async (t) => {
    const run = await bench.run(twoTurns, {
      script: (board, tries, { clock }) => {
        if (tries === 1) clock.after(9_500_000, () => board.fail(fault));
      },
    });
    t.is(run.verdict.outcome, 'pass', JSON.stringify(run.verdict.failures));
    const [first, ...others] = run.earlierTries!;
    t.deepEqual(others, []);
    t.true(
      first!.verdict.failures.some((failure) => failure.code === code),
      JSON.stringify(first),
    );
    t.true(existsSync(join(run.path, '..', '..', first!.recording, 'trace.jsonl')));
    t.is(first!.recording, `${run.recording}--try-1`);
  });
}

test('a board that crashes each time makes the cell infra, and the turns go on behind the crash', async (t) => {
  const run = await bench.run(twoTurns, {
    script: (board, _tries, { clock }) => {
      clock.after(9_500_000, () => board.fail('guru-meditation'));
    },
  });
  t.is(run.verdict.outcome, 'infra');
  t.deepEqual(failuresOf(run), ['BOARD_CRASHED']);
  t.deepEqual(codesOfTries(run), [['BOARD_CRASHED']]);
  t.is(run.verdict.failures[0]!.class, 'infra');
  t.is(run.measurement.turns.at(-1)!.outcome, 'ok', 'the second turn was held');
});

test('a restart that the firmware wants is followed, and is no failure of the board', async (t) => {
  const run = await bench.run(twoTurns, {
    script: (board, _tries, { clock }) => {
      clock.after(9_500_000, () => board.fail('esp-restart'));
    },
  });
  t.deepEqual(failuresOf(run), []);
  t.is(run.earlierTries, undefined);
  t.is(
    run.recorded.events.filter((event) => event.source === 'device' && event.type === 'reboot')
      .length,
    1,
  );
});

test('a port that vanishes and returns under another name leaves a marked gap', async (t) => {
  const run = await bench.run(twoTurns, {
    script: (board, _tries, { clock }) => {
      clock.after(7_000_000, () => board.fail('vanish'));
    },
  });
  t.is(run.verdict.outcome, 'pass', JSON.stringify(run.verdict.failures));
  t.is(run.board!.gaps, 1);
  const [returned] = serial(run, 'returned') as Extract<TraceEvent, { type: 'returned' }>[];
  t.is(returned!.address, 'tty0.1');
  t.true(returned!.awayUs >= 1_500_000 && returned!.awayUs <= 2_000_000, `${returned!.awayUs} µs`);
});

test('a board that is unplugged makes the cell infra', async (t) => {
  const run = await bench.run(oneTurn, {
    script: (board, _tries, { clock }) => {
      clock.after(6_500_000, () => board.fail('unplug'));
    },
  });
  t.is(run.verdict.outcome, 'infra');
  t.deepEqual(failuresOf(run), ['BOARD_PORT_GONE']);
  t.is(run.leftOpen, 0);
});

test('a board in download mode is told with what to do', async (t) => {
  const run = await bench.run(oneTurn, {
    board: { faults: ['download-on-open'] },
    equipment: { reset: undefined },
  });
  t.is(run.verdict.outcome, 'infra');
  t.true(failuresOf(run).includes('BOARD_DOWNLOAD_MODE'), failuresOf(run).join());
});

test('another board than the one that is meant is not used', async (t) => {
  const run = await bench.run(oneTurn, { equipment: { mac: 'aabbccddeeff' } });
  t.is(run.verdict.outcome, 'infra');
  t.true(failuresOf(run).includes('BOARD_WRONG'), failuresOf(run).join());
});

test('a board that knows another server cannot be used from here', async (t) => {
  await t.throwsAsync(
    bench.run(oneTurn, {
      board: { serverUrl: 'ws://elsewhere.test:8080/ws/' },
      equipment: { serverAddress: undefined },
    }),
    { code: 'BOARD_SERVER_ELSEWHERE' },
    'a run that cannot begin is an error and has no result',
  );
  const asked = await bench.run(oneTurn, { board: { serverUrl: 'ws://elsewhere.test:8080/ws/' } });
  t.deepEqual(failuresOf(asked), ['BOARD_NO_SERVER']);
});

test('K0 that does not reach the chip is told as that, and not as a slow answer', async (t) => {
  const run = await bench.run(oneTurn, {
    board: { wiring: 'usb-jtag' },
    equipment: { wiring: 'bridge' },
  });
  t.is(run.verdict.outcome, 'infra');
  t.true(failuresOf(run).includes('BOARD_KEY_WITHOUT_EFFECT'), JSON.stringify(run.board!.failures));
});

test('on native USB a person is asked to press K0 and to speak, and the run passes', async (t) => {
  const asked: string[] = [];
  let person: (text: string) => void = () => {};
  const run = await bench.run(oneTurn, {
    board: { wiring: 'usb-jtag', faults: ['vanish-on-reset'] },
    script: (board, _tries, { clock }) => {
      person = (text) => {
        asked.push(text);
        // Somebody who takes a second to react.
        clock.after(1_000_000, () => {
          if (/Press K0/.test(text)) {
            const key = board.holdButton();
            clock.after(150_000, () => key.release());
          } else board.hear(bench.laboratory.voice.speak('Hello there.', 'rms').samples);
        });
      };
    },
    equipment: {
      wiring: 'usb-jtag',
      reset: resetStrategies['run-usb-jtag'],
      voice: undefined,
      ask: (text) => person(text),
    },
  });
  t.is(run.verdict.outcome, 'pass', JSON.stringify(run.verdict.failures));
  t.deepEqual(asked, [
    'Press K0 of kitchen now, shortly (within 60 s).',
    'Say now: "Hello there." (within 60 s).',
  ]);
  // The board's own sound tells when the person began and had finished.
  const said = bench.laboratory.voice.speak('Hello there.', 'rms').samples.length * 0.0625;
  const at = (type: string) =>
    run.recorded.events.find((event) => event.source === 'user' && event.type === type)!.atUs /
    1000;
  const took = at('speechStop') - at('speechStart');
  t.true(Math.abs(took - said) <= 300, `${took} ms for ${said} ms`);
});

test('a person who says nothing is reminded, and after a minute it is the bench that failed', async (t) => {
  const asked: string[] = [];
  const told: string[] = [];
  const run = await bench.run(oneTurn, {
    equipment: {
      voice: undefined,
      ask: (text) => asked.push(text),
      tell: (text) => told.push(text),
    },
  });
  t.is(run.verdict.outcome, 'infra');
  t.deepEqual(failuresOf(run), ['BOARD_HEARD_NOTHING']);
  const once = [60, 45, 30, 15].map((left) =>
    left === 60
      ? 'Say now: "Hello there." (within 60 s).'
      : `Say now: "Hello there." (${left} s left).`,
  );
  t.deepEqual(asked, [...once, ...once], 'two tries');
  t.regex(run.board!.failures[0]!.message, /heard nobody within 60 s: no sound came from it/);
  t.true(told.some((text) => /\[BOARD_HEARD_NOTHING\]/.test(text)));
  t.true(run.durationUs < 75_000_000, `${run.durationUs} µs`);
});

test('words that do not reach the microphone are no slow answer, however they are spoken', async (t) => {
  const run = await bench.run(oneTurn, { hear: () => {} });
  t.is(run.verdict.outcome, 'infra');
  t.deepEqual(failuresOf(run), ['BOARD_HEARD_NOTHING']);
  const end = run.recorded.events.find((e) => e.source === 'user' && e.type === 'speechStop')!;
  const failed = run.recorded.events.find((e) => e.type === 'boardFailure')!;
  t.is(failed.atUs - end.atUs, 5_000_000);
});

test('words that were heard and are not answered in time are a failed turn, and no failure of the board', async (t) => {
  const late = boardScenario(
    'late',
    '[stand_in]\nfirst_byte_ms = 20000\n[[turn]]\nsay = "Hello there."\nreply = "Hi."\ntimeout_ms = 6000\n',
  );
  const run = await bench.run(late);
  t.is(run.verdict.outcome, 'fail');
  t.deepEqual(failuresOf(run), []);
  t.is(run.verdict.failures[0]!.code, 'turn-timeout');
});

/** A board whose K0 nobody can press from here. */
const byHand = { wiring: undefined, reset: resetStrategies['run-bridge'] };

test('a run that is stopped while a person is asked for K0 sends the board nothing more, and ends with its end', async (t) => {
  const control = new AbortController();
  let woken = false;
  let pressed: VirtualBoard | undefined;
  const run = await bench.run(oneTurn, {
    signal: control.signal,
    board: {
      observe: (event) => {
        if (event.type === 'device' && event.event.type === 'frameReceived') woken = true;
      },
    },
    script: (board) => {
      pressed = board;
    },
    equipment: { ...byHand, ask: () => control.abort(new Error('stopped by Ctrl-C')) },
  });
  t.is(run.recorded.events.at(-1)!.type, 'end');
  t.is(Math.max(...run.recorded.events.map(({ seq }) => seq)), run.recorded.events.at(-1)!.seq);
  t.is(run.measurement.end!.outcome, 'interrupted');
  t.is(pressed!.state, 'Idle');
  t.false(woken, 'the board was sent something');
  t.deepEqual(
    run.recorded.events.filter(({ source, type }) => source === 'server' && type === 'frame'),
    [],
  );
});

test('a crash while a person is asked for K0 is told at once, and K0 is asked for again when the board is up', async (t) => {
  const shown: string[] = [];
  let asked = 0;
  let react: () => void = () => {};
  const run = await bench.run(oneTurn, {
    script: (board, tries, { clock }) => {
      asked = 0;
      react = () => {
        asked += 1;
        if (tries === 1 && asked === 1) {
          clock.after(2_000_000, () => board.fail('rust-panic'));
          return;
        }
        const key = board.holdButton();
        clock.after(150_000, () => key.release());
      };
    },
    equipment: {
      ...byHand,
      ask: (text) => {
        shown.push(text);
        react();
      },
      tell: (text) => shown.push(text),
    },
  });
  t.is(run.verdict.outcome, 'pass', JSON.stringify(run.verdict.failures));
  t.deepEqual(
    codesOfTries(run),
    [['BOARD_CRASHED']],
    'the reconnection after the crash is no press',
  );
  const first = shown.slice(
    shown.findIndex((text) => text.startsWith('Press K0')),
    shown.findLastIndex((text) => text.startsWith('resetting')),
  );
  const order = first.map((text) =>
    ['Press K0', 'kitchen: CRASH', 'reset:', 'starts anew', 'boots', 'connected', 'listening'].find(
      (word) => text.startsWith(word),
    ),
  );
  t.deepEqual(
    order.filter((word) => word !== undefined).slice(0, 7),
    [...['Press K0', 'kitchen: CRASH', 'reset:', 'starts anew', 'boots', 'connected'], 'Press K0'],
    first.join('\n'),
  );
});

test('a run that is stopped lets go of the port', async (t) => {
  const control = new AbortController();
  const run = await bench.run(oneTurn, {
    signal: control.signal,
    script: (_board, _tries, { clock }) => {
      clock.after(7_000_000, () => control.abort(new Error('stopped by Ctrl-C')));
    },
  });
  t.is(run.measurement.end!.outcome, 'interrupted');
  t.is(run.leftOpen, 0);
  t.is(run.earlierTries, undefined);
});

test('two boards at once do not mix', async (t) => {
  const [one, other] = await Promise.all([
    bench.run(oneTurn),
    bench.run(
      boardScenario('another', '[[turn]]\nsay = "Good morning."\nreply = "Good morning to you."\n'),
      {
        board: {
          mac: '02ec0e0000b2',
          profile: { ...diy, constants: { ...diy.constants, bootUs: 4_300_000 } },
        },
        equipment: { mac: '02ec0e0000b2' },
      },
    ),
  ]);
  t.deepEqual([one.verdict.outcome, other.verdict.outcome], ['pass', 'pass']);
  t.deepEqual([one.board!.mac, other.board!.mac], [mac, '02ec0e0000b2']);
  const words = (run: BoardRun) => JSON.stringify(serial(run, 'line'));
  t.true(words(one).includes('How are you') && !words(one).includes('Good morning'));
  t.true(words(other).includes('Good morning') && !words(other).includes('How are you'));
});

test('the model is believed where it stands: a board with other constants parts from it in time, and is not hidden', async (t) => {
  const slow = { ...diy, constants: { ...diy.constants, redrawUs: 90_000 } };
  const run = await bench.run(oneTurn, { board: { profile: slow } });
  const { twin } = run.board!;
  t.is(twin.parting, null);
  // The model starts to draw when `StartChat` arrives, the board had drawn by then.
  const begun = twin.lines.find(({ line }) => line === 'Start submitting audio')!;
  t.true(Math.abs(begun.medianMs + 90) <= 3, `${begun.medianMs} ms`);
});
