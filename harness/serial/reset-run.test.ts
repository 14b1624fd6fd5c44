import test from 'ava';
import { BoardBench } from '../virtual-board/board-bench.contract.ts';
import { describeReset, resetBoard, stretchToleranceUs } from './reset-run.ts';
import { findResetStrategy, type ResetStrategyName, resetStrategies } from './reset-strategy.ts';

/** A change of lines that the system delays: the first ones of the list, then none. */
function delays(...ms: number[]): () => number {
  return () => (ms.shift() ?? 0) * 1000;
}

for (const [wiring, cause] of [
  ['bridge', 0x1],
  ['usb-jtag', 0x15],
] as const) {
  const perform = async (name: ResetStrategyName) => {
    const bench = new BoardBench();
    return bench.run(async () => {
      const board = bench.board({ wiring });
      board.powerOn();
      const console = await bench.open();
      await bench.pass(1_000_000);
      const { clock } = bench;
      await resetBoard({ port: console.port, clock, strategy: resetStrategies[name] });
      await bench.pass(1_000_000);
      return { resets: bench.all('reset').slice(1), mode: board.mode, names: console.names() };
    });
  };

  test(`${wiring}: the run strategy resets the board once, with its cause, and it boots`, async (t) => {
    const { resets, mode } = await perform(`run-${wiring}`);
    t.deepEqual(
      resets.map(({ cause, into }) => [cause, into]),
      [[cause, 'run']],
    );
    t.is(mode, 'booting');
  });

  test(`${wiring}: the download strategy leaves it in download mode, and the run strategy leads out of it`, async (t) => {
    const { mode, names } = await perform(`download-${wiring}`);
    t.is(mode, 'download');
    t.is(names.at(-1), 'waiting-for-download');
    const bench = new BoardBench();
    await bench.run(async () => {
      const board = bench.board({ wiring });
      board.powerOn();
      const { port } = await bench.open();
      const { clock } = bench;
      for (const kind of ['download', 'run'] as const) {
        await resetBoard({ port, clock, strategy: resetStrategies[`${kind}-${wiring}`] });
        await bench.pass(10_000);
      }
      t.is(board.mode, 'booting');
    });
  });
}

test('the slow download strategy is for the same circuit', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const board = bench.board();
    board.powerOn();
    const { port } = await bench.open();
    const strategy = resetStrategies['download-bridge-slow'];
    await resetBoard({ port, clock: bench.clock, strategy });
    t.is(board.mode, 'download');
  });
});

test('R11: the widths of the pulses are measured, and an idle machine stretches none', async (t) => {
  const bench = new BoardBench({ lineDelayUs: () => 1_500 });
  const report = await bench.run(async () => {
    bench.board().powerOn();
    const { port } = await bench.open();
    const strategy = findResetStrategy('D0|R1|W0.1|W0.02|R0|W0.05|D0');
    return resetBoard({ port, clock: bench.clock, strategy });
  });
  t.false(report.stretched);
  t.is(report.attempts.length, 1);
  t.deepEqual(report.attempts[0]!.pulses, [
    { step: 'D0', plannedUs: 0, measuredUs: 1_500 },
    { step: 'R1', plannedUs: 120_000, measuredUs: 121_500 },
    { step: 'R0', plannedUs: 50_000, measuredUs: 51_500 },
  ]);
  t.is(
    describeReset(report),
    'D0|R1|W0.1|W0.02|R0|W0.05|D0: R1 121.5 ms (120 ms), R0 51.5 ms (50 ms)',
  );
});

test('R11: a stretched reset into download mode is repeated, and the board gets there', async (t) => {
  // Between `D1` and `R0` nothing may take long: EN is high before GPIO0 is low.
  const bench = new BoardBench({ lineDelayUs: delays(0, 0, 0, 300) });
  await bench.run(async () => {
    const board = bench.board();
    board.powerOn();
    const { port } = await bench.open();
    const strategy = resetStrategies['download-bridge'];
    const report = await resetBoard({ port, clock: bench.clock, strategy });
    t.deepEqual(
      report.attempts.map(({ stretched }) => stretched),
      [true, false],
    );
    t.false(report.stretched);
    t.is(board.mode, 'download');
    t.deepEqual(
      bench.all('reset').map(({ into }) => into),
      ['run', 'run', 'download'],
    );
  });
});

test('R11: after three stretched attempts the report says so', async (t) => {
  const bench = new BoardBench({ lineDelayUs: () => stretchToleranceUs + 1 });
  const report = await bench.run(async () => {
    bench.board().powerOn();
    const { port } = await bench.open();
    return resetBoard({ port, clock: bench.clock, strategy: resetStrategies['run-bridge'] });
  });
  t.true(report.stretched);
  t.is(report.attempts.length, 3);
  t.true(describeReset(report).endsWith(', 3 attempts, STRETCHED: this machine was too busy'));
});

test('an abort in the middle leaves the lines in run state', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const board = bench.board();
    board.powerOn();
    const { port } = await bench.open();
    const control = new AbortController();
    bench.clock.after(50_000, () => control.abort(new Error('Ctrl-C')));
    const strategy = resetStrategies['run-bridge'];
    const { signal } = control;
    await t.throwsAsync(resetBoard({ port, clock: bench.clock, strategy, signal }), {
      message: 'Ctrl-C',
    });
    await bench.pass(10_000);
    t.is(board.mode, 'booting');
  });
});

test('a strategy that ends with a line on does not leave it so', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const board = bench.board();
    board.powerOn();
    const { port } = await bench.open();
    await resetBoard({ port, clock: bench.clock, strategy: findResetStrategy('R1|W0.1') });
    await bench.pass(10_000);
    t.is(board.mode, 'booting');
  });
});

test('a port that vanishes in the middle is told as gone', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    bench.board({ wiring: 'usb-jtag', faults: ['vanish-on-reset'] }).powerOn();
    const { port } = await bench.open();
    const strategy = resetStrategies['run-usb-jtag'];
    await t.throwsAsync(resetBoard({ port, clock: bench.clock, strategy }), {
      code: 'SERIAL_GONE',
    });
  });
});
