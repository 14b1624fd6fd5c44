import test from 'ava';
import { BoardBench } from '../virtual-board/board-bench.contract.ts';
import type { BoardPort } from './board-port.ts';
import { pressK0 } from './key-press.ts';

async function running(bench: BoardBench) {
  await bench.listen();
  const board = bench.board();
  board.powerOn();
  const { port } = await bench.open();
  await bench.pass(6_000_000);
  return { board, port };
}

for (const press of ['short', 'long'] as const) {
  test(`a ${press} press through DTR is one on the board`, async (t) => {
    const bench = new BoardBench({ lineDelayUs: () => 2_000 });
    await bench.run(async () => {
      const { port } = await running(bench);
      const done = await pressK0({ port, clock: bench.clock, wiring: 'bridge', press });
      await bench.pass(1_000_000);
      t.deepEqual(bench.keys(), [`k0 ${press}`]);
      t.is(done.happened, press);
      t.is(done.heldAtMostUs - done.heldAtLeastUs, 4_000);
      t.deepEqual(
        bench.all('reset').map(({ cause }) => cause),
        [1],
      );
    });
  });
}

test('a short press that a busy machine makes long is reported as what it may have been', async (t) => {
  const changes = [0, 850_000];
  const bench = new BoardBench({ lineDelayUs: () => changes.shift() ?? 0 });
  await bench.run(async () => {
    const { port } = await running(bench);
    const done = await pressK0({ port, clock: bench.clock, wiring: 'bridge', press: 'short' });
    t.is(done.happened, 'uncertain');
    await bench.pass(1_000_000);
    t.deepEqual(bench.keys(), ['k0 long']);
  });
});

test('an abort lets the key go', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const { port } = await running(bench);
    const control = new AbortController();
    bench.clock.after(100_000, () => control.abort(new Error('Ctrl-C')));
    const { signal } = control;
    await t.throwsAsync(
      pressK0({ port, clock: bench.clock, wiring: 'bridge', press: 'long', signal }),
      { message: 'Ctrl-C' },
    );
    await bench.pass(2_000_000);
    t.deepEqual(bench.keys(), ['k0 short']);
  });
});

test('on native USB it is not possible, and the words say what to do', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    bench.board({ wiring: 'usb-jtag' }).powerOn();
    const { port } = await bench.open();
    const error = await t.throwsAsync(
      pressK0({ port, clock: bench.clock, wiring: 'usb-jtag', press: 'short' }),
      { code: 'SERIAL_KEY_BY_HAND' },
    );
    t.regex((error as unknown as { hint: string }).hint, /by hand/);
  });
});

test('native USB: DTR really does not reach the key', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    await bench.listen();
    bench.board({ wiring: 'usb-jtag' }).powerOn();
    const { port } = await bench.open();
    await bench.pass(6_000_000);
    await pressK0({ port, clock: bench.clock, wiring: 'bridge', press: 'short' });
    t.deepEqual(bench.keys(), []);
  });
});

test('a port without lines says so', async (t) => {
  const bench = new BoardBench();
  const port = { address: 'socket://lab:5000', carriesLines: false } as BoardPort;
  await t.throwsAsync(pressK0({ port, clock: bench.clock, wiring: 'bridge', press: 'short' }), {
    code: 'SERIAL_NO_LINES',
    message: /socket:\/\/lab:5000/,
  });
});
