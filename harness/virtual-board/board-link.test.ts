/** A virtual board with the serial link, in virtual time: the host end is the bridge of this program. */
import test from 'ava';
import {
  AdpcmEncoder,
  decodeSerialLinkAudio,
  encodeSerialLinkAudio,
  type SerialLinkMessage,
} from '../../firmware-protocol/index.ts';
import { babble, sentence } from '../device/device-bench.contract.ts';
import { openRelaySocket } from '../device/relay-socket.ts';
import { createRandom } from '../random/random.ts';
import { type BridgeEvent, SerialLinkBridge } from '../serial/serial-link-bridge.ts';
import { BoardBench } from './board-bench.contract.ts';
import type { VirtualBoardOptions } from './virtual-board.ts';

/** A board that has booted, its port, and the bridge at the other end of it. */
async function linked(
  bench: BoardBench,
  baud: number,
  options: Partial<VirtualBoardOptions> = {},
  hostAfterUs = 0,
) {
  const { clock, network } = bench;
  await bench.listen();
  const board = bench.board({ serialLink: { baud }, ...options });
  board.powerOn();
  await bench.pass(hostAfterUs);
  const port = await bench.ports.open('tty0', baud);
  const random = createRandom(7, 'host');
  const told: BridgeEvent[] = [];
  const heard: SerialLinkMessage[] = [];
  let text = '';
  const bridge = new SerialLinkBridge({
    port,
    clock,
    dial: (target, listener) =>
      openRelaySocket(
        { url: `ws://echokit.test:8080${target}`, clock, dialer: network, random },
        listener,
      ),
    settings: { newSession: () => random.integer(1, 0xffff_ffff), bytesPerSecond: baud / 10 },
    onEvent: (event) => {
      told.push(event);
      if (event.kind !== 'link') return;
      if (event.event.kind === 'text') text += Buffer.from(event.event.bytes).toString('latin1');
      if (event.event.kind === 'message') heard.push(event.event.message);
    },
    onGone: () => {},
  });
  bridge.start();
  await bench.pass(6_000_000);
  const messages = <Type extends SerialLinkMessage['type']>(type: Type) =>
    heard.filter(
      (message): message is Extract<SerialLinkMessage, { type: Type }> => message.type === type,
    );
  return { board, bridge, told, messages, text: () => text, random };
}

/** Puts the sound in place of the microphone, in pieces of 20 ms, each a little before its time. */
async function inject(
  bench: BoardBench,
  { bridge }: { readonly bridge: SerialLinkBridge },
  samples: Int16Array,
  encoder: AdpcmEncoder | null,
): Promise<void> {
  for (let position = 0; position < samples.length; position += 320) {
    const piece = samples.subarray(position, position + 320);
    bridge.session.send({
      type: 'microphone',
      start: position === 0,
      end: position + 320 >= samples.length,
      position,
      audio: encodeSerialLinkAudio(piece, encoder),
    });
    if (position >= 1600) await bench.pass(20_000);
  }
}

for (const baud of [115_200, 921_600]) {
  test(`at ${baud} baud a board finds its server through the link, with its console on the same line`, async (t) => {
    const bench = new BoardBench();
    await bench.run(async () => {
      const { board, messages, text, told } = await linked(bench, baud);
      t.is(board.mode, 'running');
      t.is(bench.connections.length, 1);
      t.true(bench.connections[0]!.request.url!.startsWith('/ws/a1b2c3d4e5f6?'));
      t.deepEqual(messages('board-info')[0]!.facts, {
        board: 'diy',
        firmware: '0.3.2',
        mac: 'a1b2c3d4e5f6',
      });
      t.deepEqual(
        messages('board-state').map(({ state, volume }) => `${state} ${volume}`),
        ['starting 3', 'idle 3'],
      );
      // The ROM prints at its own rate, which a host that listens to the application takes for noise.
      t.is(text().includes('ESP-ROM:esp32s3'), baud === 115_200);
      const lines = text()
        .split('\r\n')
        .filter((line) => /^[EWI] \(/.test(line));
      t.true(lines.length > 30, `${lines.length} lines`);
      t.true(lines.every((line) => /^[ -~]+$/.test(line)));
      t.deepEqual(
        told.filter(({ kind }) => kind === 'not-relayed'),
        [],
      );
    });
  });

  test(`at ${baud} baud a key is pressed, the microphone is given samples, and the speaker is handed out`, async (t) => {
    const bench = new BoardBench();
    await bench.run(async () => {
      const host = await linked(bench, baud);
      const { board, bridge, messages } = host;
      bridge.session.send({ type: 'key', key: 'k0', action: 'tap', durationMs: 150 });
      await bench.pass(2_000_000);
      t.deepEqual(bench.keys(), ['k0 short']);
      const connection = bench.connections.at(-1)!;
      bridge.session.send({ type: 'key', key: 'volume-up', action: 'tap', durationMs: 100 });
      await inject(bench, host, babble(1500), baud === 115_200 ? new AdpcmEncoder() : null);
      await bench.pass(1_500_000);
      t.is(board.lateSamples, 0);
      t.true(connection.received.some(({ what }) => /StartChat/.test(what)));
      const audio = connection.received.filter(({ what }) => what.startsWith('audio'));
      const samples = audio.reduce((sum, { what }) => sum + Number(what.split(' ')[1]), 0);
      t.true(samples >= 24_000, `${samples} samples of 24000 and what was before them`);
      t.is(messages('board-state').at(-1)!.volume, 4);
      const spoken = sentence('Hello.', 20);
      const before = messages('speaker').length;
      connection.send({ type: 'EndVad' }, ...spoken.events, { type: 'EndResponse' });
      await bench.pass(6_000_000);
      const tapped = messages('speaker').slice(before);
      const last = tapped.at(-1)!;
      const played = board.speaker();
      const out = new Int16Array(played.length);
      for (const { position, audio: piece } of tapped) {
        out.set(decodeSerialLinkAudio(piece)!, position);
      }
      const from = tapped[0]!.position;
      const to = last.position + decodeSerialLinkAudio(last.audio)!.length;
      t.true(to - from >= spoken.decoded.length, `${to - from} samples`);
      let wrong = 0;
      let power = 0;
      for (let i = from; i < to; i++) {
        wrong += (out[i]! - played[i]!) ** 2;
        power += played[i]! ** 2;
      }
      // As it is on a fast line; at a quarter of its bytes on a slow one.
      if (baud === 921_600) t.is(wrong, 0);
      else t.true(10 * Math.log10(power / wrong) > 15, `${10 * Math.log10(power / wrong)} dB`);
      t.deepEqual(
        [...new Set(messages('board-state').map(({ state }) => state))],
        ['starting', 'idle', 'listening', 'waiting', 'speaking'],
      );
    });
  });
}

test('samples that come too late for their place are silence, and those behind them stay in place', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const { board, bridge } = await linked(bench, 921_600);
    const piece = (position: number, start: boolean, end: boolean) =>
      bridge.session.send({
        ...{ type: 'microphone', start, end, position },
        audio: encodeSerialLinkAudio(new Int16Array(320).fill(3000), null),
      });
    piece(0, true, false);
    await bench.pass(50_000);
    piece(320, false, false);
    piece(1600, false, true);
    await bench.pass(200_000);
    // The second was due 20 ms after the first and came 50 ms after it.
    t.is(board.lateSamples, 320);
  });
});

test('a board that is reset in mid conversation finds host and server again, and the old connection is dropped', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const { board, bridge, told } = await linked(bench, 921_600);
    bridge.session.send({ type: 'key', key: 'k0', action: 'tap', durationMs: 150 });
    await bench.pass(1_000_000);
    board.fail('rust-panic');
    await bench.pass(8_000_000);
    t.is(board.mode, 'running');
    t.is(bench.connections.length, 3);
    t.true(bench.connections[1]!.closeCode !== undefined);
    const endings = told.flatMap((event) =>
      event.kind === 'link' && event.event.kind === 'disconnected' ? [event.event.reason] : [],
    );
    t.deepEqual(endings, ['restarted']);
    t.is(bridge.session.endpoint.state, 'connected');
  });
});

test('a board without a host prints nothing but text, and connects when one is there', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const board = bench.board({ serialLink: { baud: 115_200 } }, 'tty1');
    board.powerOn();
    const text: number[] = [];
    const port = await bench.ports.open('tty1');
    port.onBytes((bytes) => text.push(...bytes));
    await bench.pass(8_000_000);
    t.true(text.length > 1500, `${text.length} bytes`);
    t.false(text.includes(0));
    const host = await linked(bench, 115_200, {}, 9_000_000);
    t.is(host.bridge.session.endpoint.state, 'connected');
    t.is(bench.connections.length, 1);
  });
});

test('a finger on K0 is told to the host, with how long it was down', async (t) => {
  const bench = new BoardBench();
  await bench.run(async () => {
    const { board, messages } = await linked(bench, 115_200);
    const finger = board.holdButton();
    await bench.pass(180_000);
    finger.release();
    await bench.pass(1_000_000);
    t.deepEqual(messages('key'), [{ type: 'key', key: 'k0', action: 'release', durationMs: 180 }]);
    t.is(board.state, 'Listening');
  });
});
