import type { Duplex } from 'node:stream';
import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { createStreamPair } from '../network/memory-stream.ts';
import { BoardBench, listen } from '../virtual-board/board-bench.contract.ts';
import { listenOnSocket } from '../virtual-board/network-link.ts';
import { listenWithRfc2217 } from '../virtual-board/rfc2217-server.ts';
import type { VirtualBoard } from '../virtual-board/virtual-board.ts';
import { pressK0 } from './key-press.ts';
import { firmwareBaud, openBoardPort } from './open-board-port.ts';
import type { PortEvent } from './port-event.ts';
import { resetBoard } from './reset-run.ts';
import { resetStrategies } from './reset-strategy.ts';
import { Rfc2217Port } from './rfc2217-port.ts';

const endpoint = { host: '127.0.0.1', port: 4000 };
const address = 'rfc2217://127.0.0.1:4000';

/** A board behind a server, and what is needed to open it. */
function remote(board: VirtualBoard, bench: BoardBench, acknowledgesLines = true) {
  const events: PortEvent[] = [];
  return {
    events,
    serve: () => listenWithRfc2217({ network: bench.network, endpoint, board, acknowledgesLines }),
    open: (baud = firmwareBaud) =>
      openBoardPort(address, {
        clock: bench.clock,
        dialer: bench.network,
        baud,
        observe: (event) => events.push(event),
      }),
  };
}

test('a conversation over RFC 2217: boot lines come, lines go, a reset boots, K0 is a key', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    await bench.listen();
    const board = bench.board();
    const { serve, open, events } = remote(board, bench);
    await serve();
    board.powerOn();
    await bench.pass(4_000_000);
    const console = listen(await open());
    t.true(console.port.carriesLines);
    await bench.pass(200_000);
    const strategy = resetStrategies['run-bridge'];
    const report = await resetBoard({ port: console.port, clock: bench.clock, strategy });
    t.false(report.stretched);
    await bench.pass(6_000_000);
    t.deepEqual(console.names().slice(0, 2), ['wifi-ip', 'wifi-info']);
    t.true(console.names().includes('rom'));
    t.deepEqual(
      bench.all('reset').map(({ cause }) => cause),
      [1, 1],
    );
    await pressK0({ port: console.port, clock: bench.clock, wiring: 'bridge', press: 'short' });
    await bench.pass(1_000_000);
    t.deepEqual(bench.keys(), ['k0 short']);
    t.is(board.state, 'Listening');
    t.deepEqual(
      events.map(({ type }) => type),
      ['modemState'],
    );
    await console.port.close();
  });
});

test('download mode through a server: both lines change in one piece', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const board = bench.board();
    const { serve, open } = remote(board, bench);
    await serve();
    board.powerOn();
    const port = await open();
    await resetBoard({ port, clock: bench.clock, strategy: resetStrategies['download-bridge'] });
    t.is(board.mode, 'download');
  });
});

test('the baud rate reaches the board, and binary bytes pass both ways', async (t) => {
  const bench = new BoardBench();
  const every = Uint8Array.from({ length: 512 }, (_, i) => i & 255);
  await bench.run(async () => {
    const input: number[] = [];
    const board = bench.board({ onInput: (bytes) => input.push(...bytes) });
    const { serve, open } = remote(board, bench);
    await serve();
    board.powerOn();
    await bench.pass(300_000);
    const console = listen(await open());
    await console.port.write(every);
    board.transmit(every);
    await bench.pass(100_000);
    t.deepEqual(input, [...every]);
    t.deepEqual(console.bytes, [...every]);
    await console.port.setBaudRate(74_880);
    console.bytes.length = 0;
    board.transmit(every);
    await bench.pass(100_000);
    t.true(console.bytes.every((byte) => byte >= 0x80));
  });
});

test('a client that goes, politely or not, leaves the lines in run state and the port free', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const board = bench.board();
    const { serve, open } = remote(board, bench);
    await serve();
    board.powerOn();
    const polite = await open();
    await polite.setLines({ rts: true });
    t.is(board.mode, 'held');
    await polite.close();
    await bench.pass(10_000);
    t.is(board.mode, 'booting');
    await t.throwsAsync(polite.setLines({ rts: true }), { code: 'SERIAL_GONE' });

    // A killed program: its connection just ends.
    const stream = await bench.network.dial({ ...endpoint, secure: false });
    const killed = await Rfc2217Port.open(address, stream, { clock: bench.clock, baud: 115_200 });
    await killed.setLines({ rts: true });
    t.is(board.mode, 'held');
    stream.destroy();
    await bench.pass(10_000);
    t.is(board.mode, 'booting');
  });
});

test('R03: a second client learns that somebody else has the board, and a server that goes takes the port with it', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const board = bench.board();
    const { serve, open } = remote(board, bench);
    await serve();
    board.powerOn();
    const first = listen(await open());
    const taken = (await t.throwsAsync(open())) as unknown as { code: string; hint: string };
    t.like(taken, {
      code: 'SERIAL_HUNG_UP',
      message: `${address} hung up at once; it said: Somebody else has this board.`,
    });
    t.regex(taken.hint, /somebody else is connected/);
    board.powerOff();
    await bench.pass(1_000);
    t.is((first.gone as unknown as { code: string }).code, 'SERIAL_GONE');
    await t.throwsAsync(open(), { code: 'SERIAL_HUNG_UP', message: /There is no board here/ });
  });
});

test('a server that acknowledges no lines is waited for once and then believed', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const board = bench.board();
    const { serve, open, events } = remote(board, bench, false);
    await serve();
    board.powerOn();
    const port = await open();
    await port.setLines({ rts: true });
    t.is(board.mode, 'held');
    t.true(events.some(({ type }) => type === 'unacknowledged'));
  });
});

test('R01: a board that boots because its port was opened is reported, one that was reset on request is not', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const calm = bench.board();
    const { serve, open, events } = remote(calm, bench);
    await serve();
    calm.powerOn();
    await bench.pass(5_000_000);
    const port = await open();
    await resetBoard({ port, clock: bench.clock, strategy: resetStrategies['run-bridge'] });
    await bench.pass(3_000_000);
    t.deepEqual(
      events.filter(({ type }) => type === 'resetOnOpen'),
      [],
    );
  });
  const other = new BoardBench();
  await other.run(async () => {
    const board = other.board({ faults: ['reset-on-open'] });
    const { serve, open, events } = remote(board, other);
    await serve();
    board.powerOn();
    await other.pass(5_000_000);
    const console = listen(await open());
    await other.pass(3_000_000);
    const seen = events.find((event) => event.type === 'resetOnOpen');
    t.true(seen !== undefined && seen.type === 'resetOnOpen' && seen.afterUs < 50_000);
    t.is(console.names()[0], 'rom');
  });
});

test('plain TCP: the same text, no lines, no other baud rate', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const board = bench.board();
    await listenOnSocket(bench.network, { host: '127.0.0.1', port: 5000 }, board);
    board.powerOn();
    const options = { clock: bench.clock, dialer: bench.network };
    const console = listen(await openBoardPort('socket://127.0.0.1:5000', options));
    await bench.pass(1_000_000);
    t.is(console.names()[0], 'rom');
    t.false(console.port.carriesLines);
    await t.throwsAsync(console.port.setLines({ dtr: true }), { code: 'SERIAL_NO_LINES' });
    await t.throwsAsync(console.port.setBaudRate(9600), { code: 'SERIAL_BAUD_RATE' });
    await console.port.setBaudRate(firmwareBaud);
    board.powerOff();
    await bench.pass(1_000);
    t.is((console.gone as unknown as { code: string }).code, 'SERIAL_GONE');
    board.powerOn();
    await openBoardPort('socket://127.0.0.1:5000', options);
    const second = listen(await openBoardPort('socket://127.0.0.1:5000', options));
    await bench.pass(1_000);
    t.like(second.gone, { code: 'SERIAL_HUNG_UP' });
  });
});

// ---- golden exchanges, byte by byte, from RFC 2217 and RFC 855 ----

/** The other side of a client, played by the test. */
class PlayedServer {
  readonly clock = new SimulatedClock();
  readonly events: PortEvent[] = [];
  readonly #pair = createStreamPair(() => this.clock.noteActivity());
  #got = '';
  readonly stream: Duplex = this.#pair.server;

  constructor() {
    this.stream.on('error', () => {});
    this.stream.on('data', (bytes: Buffer) => {
      this.#got += bytes.toString('hex');
    });
  }

  open(baud = 115_200): Promise<Rfc2217Port> {
    const observe = (event: PortEvent) => void this.events.push(event);
    return Rfc2217Port.open(address, this.#pair.client, { clock: this.clock, baud, observe });
  }

  send(hex: string): void {
    this.stream.write(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
  }

  async takes(durationUs = 1_000): Promise<string> {
    await this.clock.sleep(durationUs);
    const got = this.#got;
    this.#got = '';
    return got;
  }

  /** Agrees and acknowledges everything, as a server does. */
  async agree(port: Promise<Rfc2217Port>): Promise<Rfc2217Port> {
    await this.takes();
    this.send('fffd2c');
    await this.takes();
    this.send('fffa2c6909fff0 fffa2c690cfff0');
    await this.takes();
    for (const answer of ['650001c200', '6608', '6701', '6801', '6901', '6fffff', '7003']) {
      this.send(`fffa2c${answer}fff0`);
      await this.takes();
    }
    return port;
  }
}

test('golden: what a client says, in its order', async (t) => {
  const server = new PlayedServer();
  await server.clock.run(
    (async () => {
      const opening = server.open();
      // WILL COM-PORT, WILL and DO BINARY, WILL and DO SUPPRESS-GO-AHEAD.
      t.is(await server.takes(), 'fffb2c' + 'fffb00' + 'fffd00' + 'fffb03' + 'fffd03');
      server.send('fffd2c fffd00 fffb00 fffb01');
      // ECHO is refused; what was said before is not said again.
      const steps = await server.takes();
      t.is(steps, 'fffe01' + 'fffa2c0509fff0' + 'fffa2c050cfff0');
      server.send('fffa2c6909fff0 fffa2c690cfff0');
      t.is(await server.takes(), 'fffa2c010001c200fff0');
      server.send('fffa2c650001c200fff0');
      t.is(await server.takes(), 'fffa2c0208fff0');
      server.send('fffa2c6608fff0');
      t.is(await server.takes(), 'fffa2c0301fff0');
      server.send('fffa2c6701fff0');
      t.is(await server.takes(), 'fffa2c0401fff0');
      server.send('fffa2c6801fff0');
      t.is(await server.takes(), 'fffa2c0501fff0');
      server.send('fffa2c6901fff0');
      // A mask of 255 is escaped.
      t.is(await server.takes(), 'fffa2c0bfffffff0' + 'fffa2c0c03fff0');
      server.send('fffa2c7003fff0');
      const port = await opening;
      const lines = port.setLines({ dtr: true, rts: false });
      t.is(await server.takes(), 'fffa2c0508fff0' + 'fffa2c050cfff0');
      // Acknowledged in the other order.
      server.send('fffa2c690cfff0 fffa2c6908fff0');
      await lines;
      void port.write(Uint8Array.of(0, 255, 13, 10));
      t.is(await server.takes(), '00ffff0d0a');
      void port.close();
      t.is(await server.takes(), 'fffa2c0509fff0' + 'fffa2c050cfff0');
    })(),
  );
  t.deepEqual(server.events, []);
});

test('golden: modem and line state, in the bits of the RFC', async (t) => {
  const server = new PlayedServer();
  await server.clock.run(
    (async () => {
      await server.agree(server.open());
      server.send('fffa2c6bb0fff0 fffa2c6a0afff0');
      await server.takes();
    })(),
  );
  t.like(server.events[0], {
    type: 'modemState',
    cts: true,
    dsr: true,
    ring: false,
    carrier: true,
  });
  t.like(server.events[1], { type: 'lineState', overrun: true, framing: true, parity: false });
});

test('a server that suspends the flow gets nothing until it resumes it', async (t) => {
  const server = new PlayedServer();
  await server.clock.run(
    (async () => {
      const port = await server.agree(server.open());
      await server.takes();
      server.send('fffa2c6cfff0');
      await server.takes();
      const writing = port.write(Uint8Array.of(65));
      t.is(await server.takes(5_000_000), '');
      server.send('fffa2c6dfff0');
      await writing;
      t.is(await server.takes(), '41');
    })(),
  );
});

test('a server that sets another baud rate has refused it', async (t) => {
  const server = new PlayedServer();
  await server.clock.run(
    (async () => {
      const opening = server.open(921_600);
      opening.catch(() => {});
      await server.takes();
      server.send('fffd2c');
      await server.takes();
      server.send('fffa2c6909fff0 fffa2c690cfff0');
      await server.takes();
      server.send('fffa2c650001c200fff0');
      await t.throwsAsync(opening, {
        code: 'SERIAL_BAUD_RATE',
        message: /921600 baud: the server has set 115200/,
      });
    })(),
  );
});

test('a server that refuses, one that is silent and one that hangs up are told apart', async (t) => {
  const refusing = new PlayedServer();
  await refusing.clock.run(
    (async () => {
      const opening = refusing.open();
      refusing.send('fffe2c');
      await t.throwsAsync(opening, { code: 'SERIAL_RFC2217', message: /refuses/ });
    })(),
  );
  const silent = new PlayedServer();
  await silent.clock.run(
    (async () => {
      await t.throwsAsync(silent.open(), { code: 'SERIAL_RFC2217', message: /within 5 s/ });
      t.is(silent.clock.nowUs(), 5_000_000);
    })(),
  );
  const gone = new PlayedServer();
  await gone.clock.run(
    (async () => {
      const opening = gone.open();
      gone.stream.end();
      await t.throwsAsync(opening, { code: 'SERIAL_HUNG_UP', message: /gave no reason/ });
    })(),
  );
});
