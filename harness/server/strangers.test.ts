/** Who comes over real sockets and keeps to nothing. Limits are small here, so that nobody waits for them. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { WebSocket } from 'ws';
import { buildConnectUrl } from '../../firmware-protocol/connect-url.ts';
import { SystemClock } from '../clock/system-clock.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { secretsOfServerUrl, tokenProblem } from './access-token.ts';
import { type AdapterServerOptions, createAdapterServer } from './adapter-server.ts';
import type { ServerObservation } from './conversation.ts';
import { recordFolder } from './record-store.ts';
import {
  ask,
  ofType,
  promptServer,
  rawQuery,
  simulate,
  submitQuery,
  utterance,
} from './server-laboratory.contract.ts';
import { type ServerLimits, serverLimits } from './server-limits.ts';
import { serverSettingsDefaults } from './server-settings.ts';

type EventOf<Type extends ServerObservation['type']> = ServerObservation & { type: Type };

interface Served {
  readonly port: number;
  readonly events: ServerObservation[];
  /** The first event of this type, when it has come. */
  event<Type extends ServerObservation['type']>(type: Type): Promise<EventOf<Type>>;
  /** The first connection that the server took has been closed on its side. */
  closed(): Promise<void>;
  /** A WebSocket to this path; not yet open. */
  socket(path: string, headers?: Record<string, string>): WebSocket;
  /** A bare connection. */
  connect(): Promise<net.Socket>;
  /** Sends this request and reads until the server closes. */
  request(target: string, ...headers: string[]): Promise<string>;
}

async function serve(
  t: ExecutionContext,
  limits: Partial<ServerLimits>,
  options: Partial<AdapterServerOptions> = {},
): Promise<Served> {
  t.timeout(30_000);
  const clock = new SystemClock();
  const network = new SocketNetwork({ clock, random: createRandom(1), outside: [] });
  const events: ServerObservation[] = [];
  const waiting = new Set<() => void>();
  const { settings, ...others } = options;
  const server = createAdapterServer({
    ...promptServer(clock),
    observe: (event) => {
      events.push(event);
      for (const look of waiting) look();
    },
    settings: { ...settings, limits: { ...serverLimits, ...limits } },
    ...others,
  });
  let isClosed = (): void => {};
  const closing = new Promise<void>((resolve) => {
    isClosed = resolve;
  });
  const listener = await network.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
    stream.once('close', isClosed);
    server.accept(stream);
  });
  const { port } = listener.endpoint;
  const ends: (() => void)[] = [];
  t.teardown(async () => {
    for (const end of ends) end();
    await server.close();
    await listener.close();
  });
  const connect = async (): Promise<net.Socket> => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    ends.push(() => socket.destroy());
    await once(socket, 'connect');
    return socket;
  };
  return {
    port,
    events,
    closed: () => closing,
    event: <Type extends ServerObservation['type']>(type: Type) =>
      new Promise<EventOf<Type>>((resolve) => {
        const look = (): void => {
          const found = ofType(events, type)[0];
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
    socket: (path, headers = {}) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers });
      socket.on('error', () => {});
      ends.push(() => socket.terminate());
      return socket;
    },
    connect,
    async request(target, ...headers) {
      const socket = await connect();
      socket.write([`GET ${target} HTTP/1.1`, 'Host: server', ...headers, '', ''].join('\r\n'));
      let answer = '';
      for await (const chunk of socket) answer += chunk;
      return answer;
    },
  };
}

const upgrade = [
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
];

function status(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d+) /.exec(answer)?.[1]);
}

/** Opens, or ends with the status that came instead. */
async function opened(socket: WebSocket): Promise<number> {
  return new Promise((resolve) => {
    socket.once('open', () => resolve(101));
    socket.once('unexpected-response', (_request, response) => resolve(response.statusCode!));
  });
}

const token = 'a-token-of-24-characters';

test('a server with a token lets in who shows it in the header, the query or the path, and nobody else', async (t) => {
  const { socket, request, events } = await serve(t, {}, { token });
  const wrong = `${token.slice(0, -1)}S`;
  const board = (base: string): string => {
    const url = buildConnectUrl({
      base: `ws://h${base}`,
      deviceId: 'a1b2c3d4e5f6',
      reconnect: true,
      opus: true,
      vowel: true,
      streamAsr: true,
    });
    return url.slice('ws://h'.length);
  };
  const bearer = { Authorization: `Bearer ${token}` };
  t.is(await opened(socket('/ws/one', bearer)), 101);
  t.is(await opened(socket(`/ws/one?token=${token}&opus=true`)), 101);
  t.is(await opened(socket(board(`/token/${token}/ws/`))), 101);
  t.is(await opened(socket('/ws/one')), 401);
  t.is(await opened(socket('/ws/one', { Authorization: `Bearer ${wrong}` })), 401);
  t.is(await opened(socket(`/ws/one?token=${wrong}`)), 401);
  t.is(await opened(socket(board(`/token/${wrong}/ws/`))), 401);
  t.is(await opened(socket(`/ws/one?token=`)), 401);
  const [refused] = ofType(events, 'refused');
  t.like(refused, { status: 401, code: 'SERVER_TOKEN' });
  t.is(ofType(events, 'connected').length, 3);

  t.is(status(await request('/version')), 401);
  t.is(status(await request('/version', `Authorization: Bearer ${token}`)), 200);
  t.is(status(await request(`/token/${token}/version`)), 200);
  t.false(JSON.stringify(events).includes(token));
});

test('a server without a token takes a URL that has one', async (t) => {
  const { socket } = await serve(t, {});
  t.is(await opened(socket(`/token/${token}/ws/one?opus=true`)), 101);
});

test('what can be a token, and which secrets a server URL holds', (t) => {
  t.is(tokenProblem(token), undefined);
  t.regex(tokenProblem('short')!, /16 to 80 characters; this one has 5/);
  t.regex(tokenProblem('x'.repeat(81))!, /has 81/);
  t.regex(tokenProblem('with a blank inside it')!, /letters, digits/);
  t.deepEqual(secretsOfServerUrl(`ws://h/token/${token}/ws/`), [token]);
  t.deepEqual(secretsOfServerUrl(`ws://u:pass@h/ws/?token=${token}`), [token, 'pass']);
  t.deepEqual(secretsOfServerUrl('ws://h:1/ws/'), []);
  t.deepEqual(secretsOfServerUrl('no url'), []);
  // A board has room for it beside an address of this length.
  t.true(`ws://192.168.100.200:65535/token/${'x'.repeat(80)}/ws/`.length <= 127);
});

test('pages of other sites are refused, pages of this machine and programs are not', async (t) => {
  const { socket } = await serve(t, {});
  t.is(await opened(socket('/ws/one', { Origin: 'https://example.com' })), 403);
  t.is(await opened(socket('/ws/one', { Origin: 'null' })), 403);
  t.is(await opened(socket('/ws/one', { Origin: 'http://localhost:3000' })), 101);
  t.is(await opened(socket('/ws/one')), 101);
  const locked = await serve(t, {}, { token });
  const page = { Origin: 'https://example.com', Authorization: `Bearer ${token}` };
  t.is(await opened(locked.socket('/ws/one', page)), 101);
});

test('ids that are too long or would act on a terminal are refused', async (t) => {
  const { socket, request, event } = await serve(t, { deviceIdCharacters: 20 });
  t.is(await opened(socket(`/ws/${'x'.repeat(20)}`)), 101);
  t.is(await opened(socket(`/ws/${'x'.repeat(21)}`)), 400);
  t.is((await event('refused')).code, 'SERVER_DEVICE_ID');
  for (const id of ['a%1b%5b2J', 'a%0ab', '%e2%80%ae']) {
    t.is(status(await request(`/ws/${id}`, ...upgrade)), 400, id);
  }
});

test('no id and no file name leads out of the folder of recordings', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'echokit-strangers-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const records = recordFolder(folder, () => 'now');
  const { request, socket } = await serve(t, {}, { records });
  for (const id of ['..%2f..%2fetc', '.ssh', '%2e%2e', 'a%5cb', 'a%00b', 'x'.repeat(200)]) {
    t.is(status(await request(`/v1/record/${id}`, ...upgrade)), 400, id);
  }
  const recording = socket('/v1/record/one');
  t.is(await opened(recording), 101);
  recording.close();
  for (const path of ['one/..%2f..%2fpasswd', '..%2f..%2fetc/passwd', 'one/%2e%2e']) {
    t.is(status(await request(`/downloads/download/${path}`)), 404, path);
  }
  t.is(status(await request('/downloads/download/one/record_now.wav')), 200);
});

test('a connection that never completes its request is given up', async (t) => {
  const { connect, event } = await serve(t, { handshakeMs: 20 });
  const slow = await connect();
  slow.write('GET /ws/one HTTP/1.1\r\nHost: ');
  slow.resume();
  await once(slow, 'close');
  t.like(await event('refused'), { status: 408, code: 'SERVER_HANDSHAKE_TIMEOUT' });
});

test('of too many connections that ask for nothing, the oldest is given up; a board gets through', async (t) => {
  const { connect, socket, event } = await serve(t, { handshakes: 3 });
  const first = await connect();
  const closed = once(first.resume(), 'close');
  for (let i = 0; i < 3; i++) await connect();
  await closed;
  t.is((await event('refused')).code, 'SERVER_HANDSHAKE_TIMEOUT');
  t.is(await opened(socket('/ws/one')), 101);
});

test('one connection too many is told so, and repeated refusals are counted in one report', async (t) => {
  const { socket, event } = await serve(t, { connections: 1 });
  const board = socket('/ws/one');
  t.is(await opened(board), 101);
  t.is(await opened(socket('/ws/two')), 503);
  t.like(await event('refused'), { status: 503, code: 'SERVER_CONNECTIONS' });
  t.is(board.readyState, board.OPEN);

  const limits = { ...serverLimits, connections: 1 };
  await simulate({ settings: { limits } }, async ({ board, clock, events }) => {
    await board('one');
    for (let i = 0; i < 5; i++) await t.throwsAsync(board('two'), { message: /503/ });
    t.is(ofType(events, 'refused').length, 1);
    await clock.sleep(1_000_000);
    await t.throwsAsync(board('two'));
    t.regex(ofType(events, 'refused')[1]!.message, /4 more were refused so/);
  });
});

test('a request with too much before its body is refused', async (t) => {
  const { request, event } = await serve(t, { requestHeadBytes: 1000 });
  t.is(status(await request('/version', `X-Long: ${'x'.repeat(2000)}`)), 431);
  t.is((await event('refused')).code, 'SERVER_REQUEST_TOO_LARGE');
  t.is(status(await request('/version')), 200);
});

test('a message that is too large ends the connection with 1009', async (t) => {
  const { socket, event } = await serve(t, {}, { settings: { uplinkMessageBytes: 1000 } });
  const board = socket('/ws/one');
  await opened(board);
  board.send(Buffer.alloc(1000));
  board.send(Buffer.alloc(1001));
  const [code] = await once(board, 'close');
  t.is(code, 1009);
  t.like(await event('cut'), { code: 'SERVER_MESSAGE_TOO_LARGE', closeCode: 1009 });
});

test('a device that sends faster than any does is cut: messages, bytes, pings', async (t) => {
  const limits = { messagesAtOnce: 50, messagesPerSecond: 1, bytesAtOnce: 5000, bytesPerSecond: 1 };
  const floods: [string, (board: WebSocket) => void, number][] = [
    ['messages', (board) => board.send(''), 51],
    ['bytes', (board) => board.send(Buffer.alloc(1000)), 6],
    ['pings', (board) => board.ping(), 51],
  ];
  for (const [name, send, count] of floods) {
    const { socket, event } = await serve(t, limits);
    const board = socket('/ws/one');
    await opened(board);
    const closed = once(board, 'close');
    for (let i = 0; i < count - 1; i++) send(board);
    board.send('{"event":"Text","input":"still there?"}');
    for (let i = 0; i < 3; i++) send(board);
    const cut = await event('cut');
    t.is(cut.code, 'SERVER_TOO_MANY_MESSAGES', name);
    await closed;
  }
});

test('a device that does not read is cut, and no more waits for it than the buffer and what the system holds', async (t) => {
  // More than the buffers of the system on both sides take.
  const hello = Buffer.alloc(24 * 1024 * 1024);
  const { socket, event, events } = await serve(t, { stalledMs: 100 }, { hello });
  const board = socket('/ws/one');
  board.once('open', () => board.pause());
  const cut = await event('cut');
  t.like(cut, { code: 'SERVER_DEVICE_STALLED', closeCode: 1008 });
  const waiting = Number(/while (\d+) bytes/.exec(cut.message)?.[1]);
  const message = Math.max(...ofType(events, 'frame').map(({ bytes }) => bytes));
  t.true(waiting <= serverSettingsDefaults.downlinkBufferBytes + message, `${waiting} bytes`);
  await event('disconnected');
});

test('a slow device that goes on reading is not cut', async (t) => {
  const hello = Buffer.alloc(200 * 1024);
  const { socket, event, events } = await serve(t, { stalledMs: 5_000 }, { hello });
  const board = socket('/ws/one');
  let received = 0;
  board.on('message', () => {
    received += 1;
    board.pause();
    new SystemClock().after(1_000, () => board.resume());
  });
  await opened(board);
  while (received < 102) await once(board, 'message');
  t.is(ofType(events, 'cut').length, 0);
  board.close(1000);
  t.is((await event('disconnected')).code, 1000);
});

test('a connection on which nothing happens is closed with 1001, one in use is not', async (t) => {
  const limits = { ...serverLimits, idleMs: 60_000 };
  await simulate({ settings: { limits } }, async ({ board, clock, events }) => {
    const silent = await board('silent');
    const busy = await board('busy');
    for (let second = 0; second < 200; second += 50) {
      await clock.sleep(50_000_000);
      busy.socket.ping();
    }
    await clock.sleep(1_000_000);
    t.deepEqual([silent.closeCode, busy.closeCode], [1001, undefined]);
    t.like(ofType(events, 'cut'), [{ code: 'SERVER_IDLE', atUs: 60_000_000, closeCode: 1001 }]);
  });
  const { socket, event } = await serve(t, { idleMs: 20 });
  const silent = socket('/ws/silent');
  const [code] = await once(silent, 'close');
  t.is(code, 1001);
  t.is((await event('cut')).code, 'SERVER_IDLE');
});

test('of too many connections of one device the oldest is closed', async (t) => {
  const { socket, event } = await serve(t, { connectionsPerDevice: 2 });
  const sockets: WebSocket[] = [];
  for (let i = 0; i < 3; i++) {
    sockets.push(socket('/ws/one'));
    await opened(sockets[i]!);
  }
  t.like(await event('cut'), { code: 'SERVER_CONNECTIONS_OF_DEVICE', connection: 1 });
  await event('disconnected');
  t.deepEqual(
    sockets.slice(1).map(({ readyState }) => readyState),
    [WebSocket.OPEN, WebSocket.OPEN],
  );
});

test('one download too many waits, and one that is not read is ended', async (t) => {
  const records = {
    accepts: () => true,
    begin: () => t.fail() as never,
    list: () => ['large.wav'],
    read: () => Buffer.alloc(32 * 1024 * 1024),
  };
  const path = '/downloads/download/one/large.wav';
  const begin = async (connect: Served['connect']): Promise<net.Socket> => {
    const reader = await connect();
    reader.write(`GET ${path} HTTP/1.1\r\nHost: server\r\n\r\n`);
    // It takes what fills its own buffer, and no more.
    await once(reader, 'readable');
    return reader;
  };
  const patient = await serve(t, { downloads: 1 }, { records });
  const reader = await begin(patient.connect);
  t.is(status(await patient.request(path)), 503);
  t.is((await patient.event('refused')).code, 'SERVER_DOWNLOADS');
  await once(reader.resume(), 'close');
  t.is(status(await patient.request(path)), 200);

  const hasty = await serve(t, { answerMs: 50 }, { records });
  const cut = await begin(hasty.connect);
  await hasty.closed();
  let bytes = 0;
  cut.on('data', (data) => {
    bytes += data.length;
  });
  await once(cut, 'close');
  t.true(bytes < 32 * 1024 * 1024);
});

test('a turn with more audio than is kept fails, and the next one works', async (t) => {
  const limits = { ...serverLimits, utteranceSamples: 16_000 };
  for (const query of [undefined, submitQuery]) {
    await simulate({ settings: { limits } }, async ({ board, events }) => {
      const device = await board(undefined, query);
      await device.speak(utterance);
      await device.until('EndResponse');
      const [end] = ofType(events, 'turnEnd');
      t.like(end, { outcome: 'failed', failure: 'recognition' });
      t.regex(end!.message!, /More than 1 s of audio/);
      await ask(device, 2);
      t.is(ofType(events, 'turnEnd')[1]!.outcome, 'spoken');
    });
  }
});

test('a reply without end is cut, and what came before is spoken', async (t) => {
  const reply = {
    async *reply() {
      for (;;) yield 'Word. ';
    },
  };
  const limits = { ...serverLimits, replyCharacters: 60 };
  await simulate({ reply, settings: { limits } }, async ({ board, events }) => {
    const device = await board(undefined, rawQuery);
    await ask(device);
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'failed', failure: 'reply' });
    t.is(device.fieldsOf('StartAudio').join(''), 'Word.'.repeat(10));
  });
});

test('a long recording is complete at its limit, and one that the disk refuses ends with what there is', async (t) => {
  for (const [broken, by] of [
    [false, 'limit'],
    [true, 'disk'],
  ] as const) {
    let bytes = 0;
    const records = {
      accepts: () => true,
      begin: () => ({
        name: 'r.wav',
        get samples() {
          return bytes >> 1;
        },
        append(pcm: Uint8Array) {
          if (broken && bytes > 0) throw new Error('ENOSPC: no space left on device, write');
          bytes += pcm.length;
        },
        close() {},
      }),
      list: () => [],
      read: () => undefined,
    };
    const limits = { ...serverLimits, recordingSamples: 10_000 };
    await simulate({ records, settings: { limits } }, async ({ board, clock, events }) => {
      const device = await board('one', 'record=true');
      await device.upload(utterance);
      await clock.sleep(1_000_000);
      t.like(ofType(events, 'recordEnd')[0], { by, samples: broken ? 8192 : 10_000 });
      t.is(device.closeCode, broken ? 1011 : 1008);
    });
  }
});

test('a folder that takes no recording ends the connection, not the server', async (t) => {
  const records = {
    accepts: () => true,
    begin: () => {
      throw new Error('EACCES: permission denied, mkdir');
    },
    list: () => [],
    read: () => undefined,
  };
  await simulate({ records }, async ({ board, clock, events }) => {
    const device = await board('one', 'record=true');
    await clock.sleep(1_000_000);
    t.is(device.closeCode, 1011);
    t.like(ofType(events, 'cut')[0], { code: 'SERVER_RECORDING_FAILED' });
    await ask(await board('two'));
  });
});

test('conversations without a connection are forgotten when there are too many, connected ones never', async (t) => {
  const heard: number[] = [];
  const reply = {
    async *reply(_text: string, { history }: { history: readonly unknown[] }) {
      heard.push(history.length);
      yield 'Yes.';
    },
  };
  const limits = { ...serverLimits, conversations: 2, historyExchanges: 2 };
  await simulate({ reply, settings: { limits } }, async ({ board, clock }) => {
    const kept = await board('kept', rawQuery);
    for (let turn = 1; turn <= 4; turn++) await ask(kept, turn);
    t.deepEqual(heard.splice(0), [0, 1, 2, 2]);
    const brief = await board('brief', rawQuery);
    await ask(brief);
    brief.socket.close(1000);
    await clock.sleep(1_000_000);
    await ask(await board('new', rawQuery));
    await ask(kept, 5);
    await ask(await board('brief', rawQuery));
    t.deepEqual(heard, [0, 0, 2, 0]);
  });
});
