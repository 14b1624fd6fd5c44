/** The command as a process of its own, between a virtual board and a server in this one, over loopback sockets. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import { type WebSocket, WebSocketServer } from 'ws';
import { encodeServerEvent } from '../../firmware-protocol/index.ts';
import { SystemClock } from '../clock/system-clock.ts';
import { opus, voiceDetection } from '../device/device-bench.contract.ts';
import { diy } from '../device/device-profile.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { listenOnSocket } from '../virtual-board/network-link.ts';
import { VirtualBoard, type VirtualBoardEvent } from '../virtual-board/virtual-board.ts';
import { type BridgeOptions, bridgeCommand, serverUrl } from './bridge-command.ts';
import { ProgramStarter } from './started-program.contract.ts';

const programs = new ProgramStarter();
test.after.always(() => programs.remove());

/** Ends when one thing has happened that the test waits for, or with the test. */
function untilEvent<Event>(): {
  tell(event: Event): void;
  until(is: (event: Event) => boolean): Promise<Event>;
} {
  const seen: Event[] = [];
  const waiting = new Set<() => void>();
  return {
    tell: (event) => {
      seen.push(event);
      for (const look of [...waiting]) look();
    },
    until: (is) =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = seen.find(is);
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
  };
}

test('bridge relays until Ctrl-C: link, server, console and traffic as JSON, the board closed behind it', async (t) => {
  t.timeout(45_000);
  const clock = new SystemClock();
  const random = createRandom(1, 'bridge test');
  const network = new SocketNetwork({ clock, random, outside: [] });
  const board = untilEvent<VirtualBoardEvent>();
  const virtual = new VirtualBoard({
    profile: { ...diy, constants: { ...diy.constants, bootUs: 900_000 } },
    mac: '02ec0e0000b7',
    // Not asked for: the link leads to the server of the bridge.
    serverUrl: 'ws://127.0.0.1:9/ws/',
    wiring: 'bridge',
    clock,
    dialer: network,
    random,
    opus,
    voiceDetection,
    serialLink: { baud: 921_600 },
    observe: (event) => board.tell(event),
  });
  t.teardown(() => virtual.close());
  const listener = await listenOnSocket(network, { host: '127.0.0.1', port: 0 }, virtual);
  t.teardown(() => listener.close());
  const http = createServer();
  const sockets = new WebSocketServer({ server: http });
  const connections: WebSocket[] = [];
  const targets: string[] = [];
  const closed = untilEvent<number>();
  sockets.on('connection', (socket, request) => {
    const number = connections.push(socket);
    targets.push(request.url ?? '');
    socket.on('close', () => closed.tell(number));
    socket.on('error', () => {});
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  t.teardown(() => {
    for (const socket of connections) socket.terminate();
    http.close();
  });
  const { port } = http.address() as AddressInfo;
  const program = programs.start(
    [
      ...['bridge', `socket://127.0.0.1:${listener.endpoint.port}`, '--json', '--baud', '921600'],
      ...['--server', `ws://127.0.0.1:${port}/ws/`, '--secret', `\${ECHOKIT_TEST_BOARD}`],
    ],
    { ECHOKIT_TEST_BOARD: '02ec0e0000b7' },
  );
  await program.printed(/"opened"/);
  virtual.powerOn();
  await program.printed(/"server-opened",.*"connection":1/);
  await board.until((event) => event.type === 'device' && event.event.type === 'boot');
  const finger = virtual.holdButton();
  await clock.sleep(120_000);
  finger.release();
  await program.printed(/"server-opened",.*"connection":2/);
  connections[1]!.send(encodeServerEvent({ type: 'ASR', text: 'Good morning.' }));
  await program.printed(/Good morning/);
  program.child.kill('SIGINT');
  const { exit, stdout, stderr } = await program.ended;
  t.is(exit, 130, stderr);
  await closed.until((number) => number === 2);
  t.true(targets.every((target) => /^\/ws\/02ec0e0000b7\?/.test(target)));
  t.false((stdout + stderr).includes('02ec0e0000b7'));
  t.regex(stdout, /"server-opening",.*"target":"\/ws\/\[redacted\]\?/);
  t.regex(stdout, /"board-info",.*"mac":"\[redacted\]"/);
  const documents = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; [key: string]: unknown });
  const heard = documents.filter(({ text }) => /Good morning/.test(`${text}`));
  t.deepEqual([...new Set(heard.map(({ type }) => type))], ['line']);
  const total = documents.at(-1)!;
  t.is(total.type, 'traffic-total');
  t.like(total['toBoard'], { messages: 1 });
  t.is(documents.filter(({ type }) => type === 'link-connected').length, 1);
});

test('a server keeps its path below which boards connect', (t) => {
  const target = '/ws/a1b2c3d4e5f6?reconnect=true&opus=true';
  for (const [base, url] of [
    ['ws://127.0.0.1:8080/ws/', 'ws://127.0.0.1:8080/ws/a1b2c3d4e5f6?reconnect=true&opus=true'],
    ['ws://lab/echo/ws', 'ws://lab/echo/ws/a1b2c3d4e5f6?reconnect=true&opus=true'],
  ] as const) {
    t.is(serverUrl(new URL(base), target), url);
  }
  t.is(serverUrl(new URL('ws://lab/ws/'), '/ws/abc'), 'ws://lab/ws/abc');
});

test('bridge to a server that no board can use is a usage error, before any port is opened', async (t) => {
  const terminal = { print: t.fail, say: t.fail, color: false, width: 80 };
  for (const server of ['wss://lab/ws/', 'ws://lab/ws/?opus=true', 'lab']) {
    const options = { server, baud: 115_200, timestamps: 'none', secret: [] } as BridgeOptions;
    await t.throwsAsync(bridgeCommand(terminal, '/dev/nowhere', options), {
      code: 'USAGE',
      message: /is not a URL a board can use/,
    });
  }
});
