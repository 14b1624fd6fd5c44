import test from 'ava';
import {
  AdpcmEncoder,
  bytesFromInt16,
  decodeAdpcm,
  decodeServerEvent,
  encodeSerialLinkAudio,
  encodeServerEvent,
  type SerialLinkEvent,
  type SerialLinkMessage,
} from '../../firmware-protocol/index.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { openRelaySocket } from '../device/relay-socket.ts';
import { createRandom } from '../random/random.ts';
import { toneShare } from '../server/planted-speech.contract.ts';
import { opus, simulate, utterance } from '../server/server-laboratory.contract.ts';
import { CrossedPort } from './crossed-ports.contract.ts';
import {
  type BridgeEvent,
  SerialLinkBridge,
  type SerialLinkBridgeOptions,
  type ServerListener,
} from './serial-link-bridge.ts';
import { SerialLinkSession } from './serial-link-session.ts';

/** A server that notes what it gets; the test speaks for it. */
class ScriptedServer {
  readonly dialed: string[] = [];
  readonly listeners: ServerListener[] = [];
  readonly log: string[] = [];
  readonly received: (string | Uint8Array)[] = [];

  readonly dial: SerialLinkBridgeOptions['dial'] = (target, listener) => {
    const number = this.listeners.push(listener) - 1;
    this.dialed.push(target);
    return {
      send: (data) => {
        this.received.push(typeof data === 'string' ? data : new Uint8Array(data));
      },
      hold: (held) => this.log.push(`${number} ${held ? 'held' : 'read'}`),
      close: () => this.log.push(`${number} closed`),
      drop: () => this.log.push(`${number} dropped`),
    };
  };
}

function bench(baud = 115_200, options: Partial<SerialLinkBridgeOptions> = {}) {
  const clock = new SimulatedClock();
  const server = new ScriptedServer();
  const ports = CrossedPort.pair(clock, baud);
  const numbers = createRandom(4, 'sessions');
  const settings = {
    newSession: () => numbers.integer(1, 0xffff_ffff),
    bytesPerSecond: baud / 10,
  };
  const told: BridgeEvent[] = [];
  const heard: SerialLinkMessage[] = [];
  let problem: Error | undefined;
  const bridge = new SerialLinkBridge({
    port: ports[0],
    clock,
    dial: server.dial,
    settings,
    onEvent: (event) => told.push(event),
    onGone: (error) => {
      problem = error;
    },
    ...options,
  });
  const linkEvents: SerialLinkEvent[] = [];
  const board = new SerialLinkSession({
    port: ports[1],
    clock,
    settings: { ...settings, role: 'board', passive: true },
    onEvent: (event) => {
      linkEvents.push(event);
      if (event.kind === 'message') heard.push(event.message);
    },
    onGone: () => {},
  });
  board.start();
  bridge.start();
  return {
    clock,
    server,
    ports,
    told,
    heard,
    bridge,
    board,
    linkEvents,
    problem: () => problem,
    pass: (us: number) => clock.run(clock.sleep(us)),
    /** What the bridge told of the server and of what it could not do. */
    words: () =>
      told.flatMap((event) => {
        switch (event.kind) {
          case 'server-opening':
            return [`opening ${event.connection} ${event.target}`];
          case 'server-opened':
            return [`opened ${event.connection}`];
          case 'server-closed':
            return [`closed ${event.connection} by ${event.by}: ${event.code} ${event.reason}`];
          case 'not-relayed':
            return [`not to the ${event.to}: ${event.reason}`];
          default:
            return [];
        }
      }),
  };
}

const target = '/ws/a1b2c3d4e5f6?opus=true';

async function connected(of: ReturnType<typeof bench>): Promise<ServerListener> {
  await of.pass(50_000);
  of.board.send({ type: 'server-open', connection: 1, target });
  await of.pass(50_000);
  const [listener] = of.server.listeners;
  listener!.onOpen();
  await of.pass(50_000);
  return listener!;
}

test('a turn goes through the bridge: what the board says arrives, and what the server says comes back', async (t) => {
  const of = bench();
  const listener = await connected(of);
  t.deepEqual(of.server.dialed, [target]);
  t.deepEqual(of.heard, [{ type: 'server-opened', connection: 1 }]);
  const samples = Int16Array.from({ length: 800 }, (_, i) => Math.round(8000 * Math.sin(i * 0.1)));
  of.board.send({ type: 'client-command', text: '{"event":"StartChat"}' });
  of.board.send({ type: 'upload-audio', audio: encodeSerialLinkAudio(samples, null) });
  const adpcm = new AdpcmEncoder().encode(samples);
  of.board.send({ type: 'upload-audio', audio: { coding: 'ima-adpcm', bytes: adpcm } });
  await of.pass(500_000);
  t.deepEqual(of.server.received, [
    '{"event":"StartChat"}',
    bytesFromInt16(samples),
    bytesFromInt16(decodeAdpcm(adpcm)!),
  ]);
  const events = [
    encodeServerEvent({ type: 'EndVad' }),
    encodeServerEvent({ type: 'AudioChunk', data: createRandom(1).bytes(900) }),
    encodeServerEvent({ type: 'EndResponse' }),
  ];
  for (const event of events) listener.onBinary(event);
  await of.pass(1_000_000);
  t.deepEqual(
    of.heard.slice(1),
    events.map((bytes) => ({ type: 'server-event', bytes })),
  );
  listener.onClosed(1001, 'going away');
  await of.pass(100_000);
  t.deepEqual(of.heard.at(-1), {
    type: 'server-close',
    connection: 1,
    code: 1001,
    reason: 'going away',
  });
  t.deepEqual(of.words(), [
    `opening 1 ${target}`,
    'opened 1',
    'closed 1 by server: 1001 going away',
  ]);
  t.deepEqual(of.server.log, []);
});

test('the board closes with a Close, drops without, and gets nothing more', async (t) => {
  for (const [code, word] of [
    [1000, '0 closed'],
    [1006, '0 dropped'],
  ] as const) {
    const of = bench();
    const listener = await connected(of);
    of.board.send({ type: 'server-close', connection: 1, code, reason: '' });
    await of.pass(100_000);
    listener.onBinary(encodeServerEvent({ type: 'EndVad' }));
    listener.onClosed(1000, '');
    await of.pass(100_000);
    t.deepEqual(of.server.log, [word]);
    t.is(of.heard.length, 1);
  }
});

test('a newer connection takes over when it stands, and the older one is dropped', async (t) => {
  const of = bench();
  const older = await connected(of);
  of.board.send({ type: 'server-open', connection: 2, target: '/ws/a1b2c3d4e5f6?reconnect=true' });
  await of.pass(50_000);
  of.board.send({ type: 'client-command', text: '{"event":"StartChat"}' });
  older.onBinary(encodeServerEvent({ type: 'ASR', text: 'still the old one' }));
  await of.pass(100_000);
  t.is(of.server.received.length, 1);
  t.is(of.heard.length, 2);
  of.server.listeners[1]!.onOpen();
  older.onBinary(encodeServerEvent({ type: 'ASR', text: 'too late' }));
  await of.pass(100_000);
  t.deepEqual(of.server.log, ['0 dropped']);
  t.deepEqual(of.heard.slice(2), [{ type: 'server-opened', connection: 2 }]);
});

test('a board that asks for connection after connection loses the oldest that does not stand yet', async (t) => {
  const of = bench();
  await connected(of);
  for (let connection = 2; connection <= 10; connection++) {
    of.board.send({ type: 'server-open', connection, target });
    await of.pass(50_000);
  }
  t.deepEqual(of.server.log, ['1 dropped', '2 dropped']);
  const reason = 'the board has asked for more than 8 connections';
  t.deepEqual(
    of.heard.filter(({ type }) => type === 'server-close'),
    [2, 3].map((connection) => ({ type: 'server-close', connection, code: 1006, reason })) as never,
  );
  t.true(of.words().includes(`closed 2 by bridge: 1006 ${reason}`));
  of.board.send({ type: 'client-command', text: '{"event":"StartChat"}' });
  await of.pass(50_000);
  t.is(of.server.received.length, 1, 'the one that stands goes on');
});

test('a server that cannot be had is told to the board', async (t) => {
  const of = bench();
  await of.pass(50_000);
  of.board.send({ type: 'client-command', text: '{"event":"StartChat"}' });
  of.board.send({ type: 'server-open', connection: 7, target });
  await of.pass(50_000);
  of.server.listeners[0]!.onClosed(1006, 'connection refused');
  await of.pass(50_000);
  t.deepEqual(of.heard, [
    { type: 'server-close', connection: 7, code: 1006, reason: 'connection refused' },
  ]);
  t.deepEqual(of.words(), [
    'not to the server: the board has no connection to the server',
    `opening 7 ${target}`,
    'closed 7 by server: 1006 connection refused',
  ]);
});

test('a server that is faster than the line is not read while 64 KiB wait, and nothing is lost', async (t) => {
  const of = bench();
  const listener = await connected(of);
  const random = createRandom(6);
  const sent: Uint8Array[] = [];
  let most = 0;
  // 300 kB, which take 27 s of this line.
  while (sent.length < 200) {
    const isHeld =
      of.server.log.filter((word) => word === '0 held').length * 2 > of.server.log.length;
    if (!isHeld) {
      const bytes = encodeServerEvent({ type: 'AudioChunk', data: random.bytes(1000) });
      sent.push(bytes);
      listener.onBinary(bytes);
      most = Math.max(most, of.bridge.session.endpoint.waitingBytes);
    }
    await of.pass(10_000);
  }
  await of.pass(20_000_000);
  t.true(of.server.log.length >= 6, `${of.server.log.length} times held or read again`);
  t.true(most > 65_536 && most < 65_536 + 2000, `${most} bytes`);
  t.deepEqual(
    of.heard.slice(1),
    sent.map((bytes) => ({ type: 'server-event', bytes })),
  );
});

test('with compact events the audio is the same in fewer bytes', async (t) => {
  const of = bench(115_200, { compactEvents: true });
  const listener = await connected(of);
  const event = { type: 'AudioChunk', data: createRandom(2).bytes(1000) } as const;
  const bytes = encodeServerEvent(event);
  listener.onBinary(bytes);
  listener.onBinary(Uint8Array.of(0xc1));
  await of.pass(1_000_000);
  const [first, second] = of.heard
    .slice(1)
    .map((m) => (m.type === 'server-event' ? m.bytes : null));
  t.deepEqual(decodeServerEvent(first!), { ok: true, event });
  t.true(first!.length < bytes.length * 0.75);
  t.deepEqual(second, Uint8Array.of(0xc1));
});

test('an event that is too long for the board is told and not relayed, and opus for the server is not offered', async (t) => {
  const of = bench();
  const listener = await connected(of);
  listener.onBinary(new Uint8Array(131_073));
  t.throws(
    () =>
      of.board.send({ type: 'upload-audio', audio: { coding: 'opus', bytes: new Uint8Array(9) } }),
    { code: 'FP_SERIAL_LINK_NOT_OFFERED' },
  );
  await of.pass(100_000);
  t.deepEqual(of.words().slice(2), [
    'not to the board: server-event has 131073 bytes, and at most 131072 are taken: send it in pieces.',
  ]);
});

test('when the board restarts, its connection is dropped', async (t) => {
  const of = bench();
  await connected(of);
  of.board.start();
  await of.pass(300_000);
  // It is passive: the next word of the host finds it, within the second of the keep-alive.
  await of.pass(1_200_000);
  t.deepEqual(of.server.log, ['0 dropped']);
  t.is(of.bridge.session.endpoint.state, 'connected');
  t.is(of.words().at(-1), 'closed 1 by bridge: 1006 the serial link is restarted');
});

test('when the port vanishes, connections are dropped and it is told once', async (t) => {
  const of = bench();
  await connected(of);
  of.ports[0].vanish();
  of.ports[0].vanish();
  t.deepEqual(of.server.log, ['0 dropped']);
  t.like(of.problem(), { code: 'SERIAL_GONE' });
  await of.bridge.stop();
  await of.pass(10_000_000);
  t.is(of.told.filter(({ kind }) => kind === 'server-closed').length, 1);
});

test('a bridge that stops tells the board', async (t) => {
  const of = bench();
  await connected(of);
  await of.bridge.stop();
  await of.pass(100_000);
  t.deepEqual(of.server.log, ['0 dropped']);
  t.like(of.linkEvents.at(-1), { kind: 'disconnected', reason: 'closed' });
});

test('a spoken turn goes over the serial link to the adapter server and comes back whole', async (t) => {
  await simulate({ heard: 'What is that?', reply: 'First one.' }, async ({ clock, network }) => {
    const [near, far] = CrossedPort.pair(clock, 921_600);
    const numbers = createRandom(9, 'sessions');
    const settings = {
      newSession: () => numbers.integer(1, 0xffff_ffff),
      bytesPerSecond: 92_160,
    };
    const bridge = new SerialLinkBridge({
      port: near,
      clock,
      dial: (path, listener) =>
        openRelaySocket(
          { url: `ws://server:80${path}`, clock, dialer: network, random: createRandom(3, path) },
          listener,
        ),
      settings,
      onEvent: () => {},
      onGone: (problem) => t.fail(problem.message),
    });
    const heard: string[] = [];
    const samples: number[] = [];
    const decoder = opus.createDecoder();
    let answered = (): void => {};
    const answer = new Promise<void>((resolve) => {
      answered = resolve;
    });
    const board = new SerialLinkSession({
      port: far,
      clock,
      settings: { ...settings, role: 'board' },
      onEvent: (event) => {
        if (event.kind === 'connected') {
          board.send({
            type: 'server-open',
            connection: 1,
            target: '/ws/a1b2c3d4e5f6?reconnect=true&opus=true&stream_asr=true',
          });
        }
        if (event.kind !== 'message') return;
        if (event.message.type === 'server-opened') void speak();
        if (event.message.type !== 'server-event') return;
        const result = decodeServerEvent(event.message.bytes, { dialect: 'firmware' });
        if (!result.ok) return t.fail(result.reason);
        heard.push(result.event.type);
        if (result.event.type === 'AudioChunk') samples.push(...decoder.decode(result.event.data));
        if (result.event.type === 'EndResponse') answered();
      },
      onGone: (problem) => t.fail(problem.message),
    });
    const speak = async (): Promise<void> => {
      board.send({ type: 'client-command', text: '{"event":"StartChat"}' });
      for (let at = 0; at < utterance.length; at += 8192) {
        await clock.sleep(512_000);
        const audio = encodeSerialLinkAudio(utterance.subarray(at, at + 8192), null);
        board.send({ type: 'upload-audio', audio });
      }
    };
    board.start();
    bridge.start();
    await answer;
    await bridge.stop();
    t.deepEqual(
      heard.filter((type, i) => type !== heard[i - 1]),
      ['EndVad', 'ASR', 'StartAudio', 'AudioChunk', 'EndAudio', 'EndResponse'],
    );
    // The planted tone of 4000 samples, in packets of 1920.
    t.is(samples.length, 3 * 1920);
    t.true(toneShare(Int16Array.from(samples.slice(0, 4000)), 440) > 0.8);
  });
});

test('a server that refuses, or is not there, is told to the board in its words', async (t) => {
  await simulate({}, async ({ clock, network }) => {
    for (const [url, reason] of [
      ['ws://server:80/nowhere', /404/],
      ['ws://elsewhere:80/ws/abc', /elsewhere/],
      ['wss://server/ws/abc', /TLS/],
    ] as const) {
      const closed = await new Promise<readonly [number, string]>((resolve) => {
        openRelaySocket(
          { url, clock, dialer: network, random: createRandom(1) },
          { onOpen: () => t.fail(), onBinary: () => t.fail(), onClosed: (...how) => resolve(how) },
        );
      });
      t.is(closed[0], 1006);
      t.regex(closed[1], reason);
    }
  });
});
