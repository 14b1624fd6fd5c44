/** A bridge to virtual boards, in virtual time: with the serial link, and with everything else that can be at a port. */
import test from 'ava';
import { SerialLinkEndpoint } from '../../firmware-protocol/index.ts';
import { openRelaySocket } from '../device/relay-socket.ts';
import { createRandom } from '../random/random.ts';
import { BridgeTeller, renderTraffic, trafficData } from '../report/bridge-text.ts';
import { BoardBench } from '../virtual-board/board-bench.contract.ts';
import type { VirtualBoard, VirtualBoardOptions } from '../virtual-board/virtual-board.ts';
import { BridgeSession } from './bridge-session.ts';
import type { BridgeTraffic } from './bridge-traffic.ts';
import type { SerialError } from './serial-error.ts';

interface Bridged {
  readonly bench: BoardBench;
  readonly session: BridgeSession;
  /** What a person is told of the bridge and of the port. */
  readonly words: string[];
  readonly lines: string[];
  readonly traffic: BridgeTraffic[];
  readonly stop: AbortController;
  readonly over: Promise<SerialError | undefined>;
}

async function bridge(
  options: Partial<VirtualBoardOptions>,
  script: (bridged: Bridged & { board: VirtualBoard }) => Promise<void>,
  baud = 115_200,
  before: (bench: BoardBench, board: VirtualBoard) => Promise<void> = async () => {},
): Promise<void> {
  const bench = new BoardBench();
  const { clock, network } = bench;
  await bench.run(async () => {
    await bench.listen();
    const board = bench.board(options);
    board.powerOn();
    await before(bench, board);
    const random = createRandom(3, 'bridge');
    const teller = new BridgeTeller();
    const words: string[] = [];
    const lines: string[] = [];
    const traffic: BridgeTraffic[] = [];
    const session = new BridgeSession({
      clock,
      address: 'tty0',
      baud,
      open: (address) => bench.ports.open(address, baud),
      locate: () => bench.ports.names()[0] ?? null,
      drawBytes: (count) => random.bytes(count),
      dial: (target, listener) =>
        openRelaySocket(
          { url: `ws://echokit.test:8080${target}`, clock, dialer: network, random },
          listener,
        ),
      onLine: ({ text }) => lines.push(text),
      onStory: () => {},
      onSession: ({ type }) => words.push(type),
      onBridge: (event) => {
        const told = teller.tell(event);
        if (told !== undefined) words.push(told.text);
      },
      onTraffic: (passed) => traffic.push(passed),
    });
    const stop = new AbortController();
    await session.start();
    const over = session.run(stop.signal).then(
      () => undefined,
      (problem: SerialError) => problem,
    );
    await script({ bench, session, board, words, lines, traffic, stop, over });
    stop.abort();
    await over;
    await session.close();
  });
}

test('a bridge shows link, server and console, and counts what passes', async (t) => {
  await bridge({ serialLink: { baud: 115_200 } }, async (bridged) => {
    const { bench, board, words, lines, session, traffic } = bridged;
    await bench.pass(6_000_000);
    const finger = board.holdButton();
    await bench.pass(150_000);
    finger.release();
    await bench.pass(1_000_000);
    bench.connections.at(-1)!.send({ type: 'ASR', text: 'Hello.' }, { type: 'EndResponse' });
    await bench.pass(5_000_000);
    t.deepEqual(
      words.map((word) => word.replace(/, \/ws\/.*/, ', <target>')),
      [
        'opened',
        'link: connected to "diy": frames of 360 bytes, window 8; takes microphone samples, hands out its speaker, takes keys',
        'board: board diy, firmware 0.3.2, mac a1b2c3d4e5f6',
        'board: starting, volume 3',
        'board: idle, volume 3',
        'server: connection 1 is being made, <target>',
        'server: connection 1 stands',
        'board: k0 release after 150 ms',
        'server: connection 2 is being made, <target>',
        'server: connection 1 was ended by the bridge (1006, a newer one stands)',
        'server: connection 2 stands',
        'board: listening, volume 3',
      ],
    );
    t.true(lines.some((line) => line.endsWith('echokit::app: Received event: k0')));
    const total = session.traffic();
    t.is(total.toBoard.messages, 2);
    t.is(total.repeated + total.damaged + total.notRelayed, 0);
    t.is(
      traffic.reduce((sum, { toBoard }) => sum + toBoard.messages, 0),
      2,
    );
    t.regex(
      renderTraffic(total),
      /^to the server 0 messages, .*; to the board 2 messages, 0\.0 kB/,
    );
    t.like(trafficData(total, true), { type: 'traffic-total', notRelayed: 0 });
  });
});

test('R05 with a link: the port vanishes and returns under another name, and the link is made anew', async (t) => {
  await bridge(
    { serialLink: { baud: 921_600 } },
    async ({ bench, board, words, session }) => {
      await bench.pass(6_000_000);
      board.fail('vanish');
      await bench.pass(6_000_000);
      t.is(session.console.port?.address, 'tty0.1');
      t.deepEqual(
        words.flatMap((word) => /^(opened|gone|returned|link: \w+)/.exec(word)?.[0] ?? []),
        ['opened', 'link: connected', 'gone', 'returned', 'link: reconnected'],
      );
    },
    921_600,
  );
});

test('a board that restarts is noticed, and its link is made anew', async (t) => {
  await bridge({ serialLink: { baud: 115_200 } }, async ({ bench, board, words }) => {
    await bench.pass(6_000_000);
    board.fail('rust-panic');
    await bench.pass(8_000_000);
    t.true(words.includes('link: over, the board has restarted'), words.join('\n'));
    t.true(words.some((word) => word.startsWith('link: reconnected')));
    t.is(bench.connections.length, 2);
  });
});

for (const [what, options, words] of [
  [
    'prints its console and has no link',
    {},
    /prints its console \(\d+ lines\) and does not answer/,
  ],
  ['says nothing', {}, /no answer to the serial link, and no console either/],
  ['prints at another rate', { serialLink: { baud: 921_600 } }, /is noise/],
] as const) {
  test(`a board that ${what} is told within seconds, with what to do`, async (t) => {
    await bridge(
      options,
      async ({ bench, over }) => {
        const startUs = bench.clock.nowUs();
        const problem = await over;
        const seconds = (bench.clock.nowUs() - startUs) / 1_000_000;
        t.true(seconds < 7, `${seconds} s`);
        t.is(problem?.code, 'SERIAL_NO_LINK');
        t.regex(problem!.message, words);
        t.true(problem!.hint.length > 20);
      },
      115_200,
      async (bench, board) => {
        if (what !== 'says nothing') return;
        board.fail('silence');
        await bench.pass(1_000_000);
      },
    );
  });
}

test('two bridges on one line are told that they cannot talk to each other', async (t) => {
  let other: SerialLinkEndpoint | undefined;
  let clock: BoardBench['clock'] | undefined;
  const onInput = (bytes: Uint8Array): void => other?.receive(bytes, clock!.nowUs());
  await bridge(
    { onInput },
    async ({ over }) => {
      const problem = await over;
      t.is(problem?.code, 'SERIAL_LINK_REFUSED');
      t.regex(problem!.message, /host/);
    },
    115_200,
    async (bench, board) => {
      clock = bench.clock;
      other = new SerialLinkEndpoint({
        role: 'host',
        newSession: () => 9,
        output: (bytes) => board.transmit(bytes),
        onEvent: () => {},
      });
      other.start(0);
    },
  );
});
