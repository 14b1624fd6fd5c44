import test from 'ava';
import { resetReasons } from '../../firmware-protocol/console-forms.ts';
import { babble, sentence } from '../device/device-bench.contract.ts';
import { BoardBench, type Listening, listen } from './board-bench.contract.ts';
import { type SuddenFault, type SuddenFaultName, suddenFaults } from './fault.ts';
import type { VirtualBoardOptions } from './virtual-board.ts';

const resets = (listening: Listening): number[] =>
  listening.lines.flatMap(({ event }) => (event?.name === 'reset' ? [event.reset] : []));

/** A board that has booted and listens, its port open. */
async function running(bench: BoardBench, options: Partial<VirtualBoardOptions> = {}) {
  if (bench.connections.length === 0) await bench.listen();
  const board = bench.board(options);
  board.powerOn();
  const console = await bench.open();
  await bench.pass(6_000_000);
  return { board, console };
}

test('a board boots: the lines of the ROM at once, the others at their instants, then it connects', async (t) => {
  const bench = new BoardBench();
  const seen: [string, number][] = [];
  await bench.run(async () => {
    await bench.listen();
    const board = bench.board();
    board.powerOn();
    const port = await bench.ports.open('tty0');
    let known = 0;
    const arrived: number[] = [];
    port.onBytes((bytes, atUs) => {
      arrived.push(...bytes);
      const text = Buffer.from(arrived).toString();
      const lines = text.split('\r\n').slice(0, -1);
      for (const line of lines.slice(known)) seen.push([line, atUs]);
      known = lines.length;
    });
    await bench.pass(6_000_000);
    t.is(board.mode, 'running');
    t.is(bench.connections.length, 1);
    t.true(bench.connections[0]!.request.url!.startsWith('/ws/a1b2c3d4e5f6?'));
  });
  t.is(seen[0]![0], 'ESP-ROM:esp32s3-20210327');
  t.true(seen.some(([line]) => line === 'I (1950) wifi:mode : sta (a1:b2:c3:d4:e5:f6)'));
  for (const [line, atUs] of seen) {
    const ms = /^[EWI] \((\d+)\)/.exec(line)?.[1];
    if (ms === undefined) continue;
    // A burst of lines takes its time on the wire: 86.8 µs for each byte.
    const late = atUs / 1000 - Number(ms);
    t.true(late >= 0 && late < 70, `${line}: ${late} ms after its time`);
  }
});

test('bytes leave at 115200 baud, whatever is printed', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const board = bench.board();
    board.powerOn();
    const console = await bench.open();
    // In download mode the chip itself says nothing.
    await console.port.setLines({ rts: true });
    await console.port.setLines({ dtr: true, rts: false });
    await bench.pass(100_000);
    t.is(board.mode, 'download');
    console.bytes.length = 0;
    board.transmit(new Uint8Array(11_520));
    await bench.pass(500_000);
    t.true(
      Math.abs(console.bytes.length - 5_760) <= 11,
      `${console.bytes.length} in half a second`,
    );
    await bench.pass(501_000);
    t.is(console.bytes.length, 11_520);
  });
});

test('a conversation runs on the real device, and its lines come out of the port', async (t) => {
  const bench = new BoardBench();
  const console = await bench.run(async () => {
    const { board, console } = await running(bench);
    const key = board.holdButton();
    await bench.pass(200_000);
    key.release();
    await bench.pass(1_500_000);
    t.is(board.state, 'Listening');
    board.hear(babble(1200));
    await bench.pass(1_500_000);
    const server = bench.connections.at(-1)!;
    server.send({ type: 'ASR', text: '月亮有多远？' }, { type: 'EndVad' });
    server.send(...sentence('三十八万公里。', 6).events, { type: 'EndResponse' });
    await bench.pass(3_000_000);
    t.is(board.state, 'Listening');
    t.true(board.speaker().some((sample) => sample !== 0));
    await board.close();
    return console;
  });
  const names = console.names();
  const turn = names.slice(names.indexOf('speech-started'), names.indexOf('end-response') + 1);
  for (const name of [
    'utterance-started',
    'start-chat',
    'asr',
    'end-vad',
    'start-audio',
    'drained',
  ]) {
    t.true(turn.includes(name as (typeof turn)[number]), name);
  }
  t.true(console.lines.some((line) => JSON.stringify(line).includes('三十八万公里。')));
  t.deepEqual(
    console.lines.filter(({ event }) => event === null),
    [],
  );
});

for (const [name, { aftermath }] of Object.entries<SuddenFault>(suddenFaults)) {
  if (aftermath.kind !== 'reset') continue;
  const { cause } = aftermath;
  test(`${name}: its lines are known ones, then the chip boots with its reset cause and connects again`, async (t) => {
    const bench = new BoardBench();
    await bench.run(async () => {
      const { board, console } = await running(bench);
      board.fail(name as SuddenFaultName);
      await bench.pass(8_000_000);
      t.deepEqual(resets(console), [1, cause]);
      t.true(resetReasons[cause] !== undefined);
      t.is(bench.connections.length, 2);
      t.is(board.mode, 'running');
    });
  });
}

test('a panic ends with Rebooting..., a restart on purpose does not', async (t) => {
  const tail = async (fault: SuddenFaultName) => {
    const bench = new BoardBench();
    return bench.run(async () => {
      const { board, console } = await running(bench);
      const before = console.lines.length;
      board.fail(fault);
      await bench.pass(1_000_000);
      const names = console.lines.slice(before).flatMap(({ event }) => event?.name ?? []);
      return names.slice(0, names.indexOf('rom'));
    });
  };
  t.deepEqual(await tail('rust-panic'), ['rust-panic', 'abort', 'backtrace', 'elf', 'rebooting']);
  t.deepEqual(await tail('esp-restart'), ['error', 'restart']);
  t.deepEqual(await tail('brown-out'), ['brown-out']);
  t.deepEqual((await tail('out-of-memory')).slice(0, 2), ['allocation-failed', 'abort']);
});

test('the task watchdog prints its lines and the conversation goes on', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const { board, console } = await running(bench);
    board.fail('task-watchdog');
    await bench.pass(1_000_000);
    t.deepEqual(console.names().slice(-6), [
      'task-watchdog',
      'watchdog-task',
      'watchdog-running',
      'watchdog-cpu',
      'watchdog-cpu',
      'watchdog-backtrace',
    ]);
    t.deepEqual(resets(console), [1]);
    t.is(board.mode, 'running');
    t.is(bench.connections.length, 1);
  });
});

test('a server that is gone makes the device restart itself: reason, ROM with 0xc, boot, in this order', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const listener = await bench.listen();
    const board = bench.board();
    board.powerOn();
    const console = await bench.open();
    await bench.pass(6_000_000);
    await listener.close();
    const key = board.holdButton();
    await bench.pass(100_000);
    key.release();
    await bench.pass(9_000_000);
    t.deepEqual(resets(console), [1, 12]);
    const names = console.names();
    const second = names.lastIndexOf('rom');
    t.is(names[second - 1], 'replaced', names.slice(second - 4, second).join());
    t.is(names[second - 2], 'restart');
    t.is(names.at(-1), 'server-unreachable');
    // K0 now restarts it into set-up mode, which starts no Wi-Fi.
    const again = board.holdButton();
    await bench.pass(100_000);
    again.release();
    await bench.pass(7_000_000);
    const setup = console.names().slice(console.names().lastIndexOf('rom'));
    t.true(setup.includes('app-main'));
    t.false(setup.includes('wifi-connecting'));
  });
});

test('K0 during the splash leads to set-up mode, and K0 there back to the server', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    await bench.listen();
    const board = bench.board();
    board.powerOn();
    const console = await bench.open();
    await bench.pass(1_000_000);
    const key = board.holdButton();
    await bench.pass(300_000);
    key.release();
    await bench.pass(5_000_000);
    t.is(bench.all('setup').length, 1);
    t.is(bench.connections.length, 0);
    const leave = board.holdButton();
    await bench.pass(300_000);
    leave.release();
    await bench.pass(6_000_000);
    t.deepEqual(resets(console), [1, 12]);
    t.is(bench.connections.length, 1);
  });
});

test('a button that bounces for less than 20 ms is no key press', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const { board } = await running(bench);
    for (const us of [1_000, 10_000, 19_000]) {
      const key = board.holdButton();
      await bench.pass(us);
      key.release();
      await bench.pass(50_000);
    }
    t.deepEqual(bench.keys(), []);
  });
});

for (const [heldMs, press] of [
  [30, 'short'],
  [990, 'short'],
  [1_010, 'long'],
  [3_000, 'long'],
] as const) {
  test(`K0 held for ${heldMs} ms is one ${press} press`, async (t) => {
    const bench = new BoardBench();
    await bench.run(async () => {
      const { board } = await running(bench);
      const key = board.holdButton();
      await bench.pass(heldMs * 1000);
      key.release();
      await bench.pass(2_000_000);
      t.deepEqual(bench.keys(), [`k0 ${press}`]);
    });
  });
}

test('power cut and back: the port goes, the console has no word of it, and the cause is 0x1', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const { board, console } = await running(bench);
    const before = console.lines.length;
    board.fail('power-loss');
    await bench.pass(0);
    t.is((console.gone as { code?: string } | undefined)?.code, 'SERIAL_GONE');
    t.is(console.lines.length, before);
    await t.throwsAsync(bench.open(), { code: 'SERIAL_NOT_FOUND' });
    await bench.pass(500_000);
    const back = await bench.open();
    await bench.pass(6_000_000);
    t.is(back.names().at(-1), 'heap-internal');
    t.deepEqual(
      bench.all('reset').map(({ cause }) => cause),
      [1, 1],
    );
  });
});

test('what is printed while nobody has the port open is lost', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    await bench.listen();
    bench.board().powerOn();
    await bench.pass(2_500_000);
    const console = await bench.open();
    await bench.pass(3_000_000);
    t.is(console.names()[0], 'wifi-dhcp');
  });
});

test('a port has one user', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    bench.board().powerOn();
    const { port } = await bench.open();
    await t.throwsAsync(bench.open(), { code: 'SERIAL_BUSY' });
    await port.close();
    await t.throwsAsync(port.setLines({ dtr: true }), { code: 'SERIAL_GONE' });
    await bench.open();
    t.pass();
  });
});

test('R05: the port vanishes with a reset and returns under another name, with the same board behind it', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    await bench.listen();
    const board = bench.board({ wiring: 'usb-jtag', faults: ['vanish-on-reset'] });
    board.powerOn();
    const console = await bench.open();
    await console.port.setLines({ rts: true });
    t.is((console.gone as { code?: string } | undefined)?.code, 'SERIAL_GONE');
    t.deepEqual(bench.ports.names(), []);
    await bench.pass(1_499_000);
    t.deepEqual(bench.ports.names(), []);
    await bench.pass(1_000);
    t.deepEqual(bench.ports.names(), ['tty0.1']);
    const back = await bench.open('tty0.1');
    await bench.pass(5_000_000);
    t.true(JSON.stringify(back.lines).includes('a1:b2:c3:d4:e5:f6'));
    t.deepEqual(
      bench.all('reset').map(({ cause }) => cause),
      [1, 0x15],
    );
  });
});

test('R06: after a reset by the host the console ends with the entropy line while the board connects', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const { board, console } = await running(bench, {
      wiring: 'usb-jtag',
      faults: ['dead-console'],
    });
    t.is(console.names().at(-1), 'heap-internal');
    await console.port.setLines({ rts: true });
    await console.port.setLines({ rts: false });
    await bench.pass(6_000_000);
    t.is(console.names().at(-1), 'entropy-source');
    t.is(bench.connections.length, 2);
    board.powerOff();
    board.powerOn();
    const back = await bench.open();
    await bench.pass(6_000_000);
    t.is(back.names().at(-1), 'heap-internal');
  });
});

test('R06: "sometimes" is one reset in twenty', async (t) => {
  const bench = new BoardBench();
  let dead = 0;
  await bench.run(async () => {
    const board = bench.board({ wiring: 'usb-jtag', faults: ['dead-console-sometimes'] });
    for (let i = 0; i < 200; i++) {
      board.powerOn();
      const console = listen(await bench.ports.open(bench.ports.names()[0]!));
      await console.port.setLines({ rts: true });
      await console.port.setLines({ rts: false });
      await bench.pass(200_000);
      if (console.names().at(-1) === 'entropy-source') dead += 1;
      board.powerOff();
    }
  });
  // 200 resets at 1 in 20; the seed gives this many.
  t.true(dead >= 4 && dead <= 18, `${dead}`);
});

test('R10: a build that logs errors only shows the ROM, panics and lines of level E', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const { board, console } = await running(bench, { faults: ['errors-only'] });
    t.deepEqual(console.names(), ['rom', 'rom-build', 'reset', 'entry']);
    board.fail('guru-meditation');
    await bench.pass(1_000_000);
    t.true(console.names().includes('guru-meditation'));
    t.false(console.lines.some((line) => line.kind === 'log' && line.level !== 'E'));
  });
});

test('R09: noise before the banner has no line end, and the banner follows it', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const { console } = await running(bench, { faults: ['garbage-at-start'] });
    t.true(console.bytes.slice(0, 600).every((byte) => byte >= 0x80));
    t.true(Buffer.from(console.bytes.slice(600)).toString().startsWith('ESP-ROM:esp32s3'));
  });
});

test('R09: a port at another baud rate gets noise, and the text when the rate is right again', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    await bench.listen();
    bench.board().powerOn();
    const console = await bench.open();
    await console.port.setBaudRate(74_880);
    await bench.pass(1_000_000);
    t.true(console.bytes.length > 500);
    t.true(console.bytes.every((byte) => byte >= 0x80));
    await console.port.setBaudRate(115_200);
    await bench.pass(5_000_000);
    t.true(console.names().includes('wifi-dhcp'));
  });
});

test('R07: two boards that swap their ports are told apart by the address in the boot log', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    await bench.listen();
    bench.board({ mac: 'a1b2c3d4e5f6' }, 'tty0').powerOn();
    bench.board({ mac: '0a0b0c0d0e0f' }, 'tty1').powerOn();
    bench.ports.swap('tty0', 'tty1');
    const console = await bench.open('tty0');
    await bench.pass(3_000_000);
    const mac = console.lines.flatMap(({ event }) =>
      event?.name === 'wifi-mac' ? [event.mac] : [],
    );
    t.deepEqual(mac, ['0a:0b:0c:0d:0e:0f']);
  });
});

test('R03: another program that reads along takes about half of what comes', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const first = await running(bench);
    const whole = first.console.bytes.length;
    await first.board.close();
    const { console } = await running(bench, { faults: ['stolen-bytes'] });
    const stolen = console.bytes.length;
    t.true(stolen > whole * 0.4 && stolen < whole * 0.6, `${stolen} of ${whole}`);
  });
});

test('what the host sends reaches a firmware that reads it', async (t) => {
  const bench = new BoardBench();
  const got: number[] = [];
  await bench.run(async () => {
    bench.board({ onInput: (bytes) => got.push(...bytes) }).powerOn();
    const { port } = await bench.open();
    await port.write(Uint8Array.of(0, 3, 255));
  });
  t.deepEqual(got, [0, 3, 255]);
});

test('the same script gives the same bytes at the same instants', async (t) => {
  const play = async () => {
    const bench = new BoardBench();
    const seen: string[] = [];
    await bench.run(async () => {
      await bench.listen();
      const board = bench.board({ faults: ['garbage-at-start'] });
      board.powerOn();
      const port = await bench.ports.open('tty0');
      port.onBytes((bytes, atUs) => seen.push(`${atUs} ${Buffer.from(bytes).toString('hex')}`));
      await bench.pass(6_000_000);
      board.fail('guru-meditation');
      await bench.pass(6_000_000);
    });
    return seen;
  };
  t.deepEqual(await play(), await play());
});
