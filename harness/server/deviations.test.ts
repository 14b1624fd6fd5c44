/** What this server can be made to do that no EchoKit server does by itself. */
import test from 'ava';
import { insertableMessages } from './deviation-items.ts';
import {
  ask,
  conserved,
  ofType,
  opus,
  simulate,
  streamQuery,
} from './server-laboratory.contract.ts';

test('a ping on demand is answered by a board, and the trace says after how long', async (t) => {
  await simulate({}, async ({ board, clock, network, server, events }) => {
    t.false(server.intervene({ kind: 'ping' }), 'nobody is connected');
    network.setLink({ host: 'server', port: 80 }, { latencyUs: 30_000, jitterUs: 0 });
    await board();
    const atUs = clock.nowUs();
    t.true(server.intervene({ kind: 'ping' }));
    await clock.sleep(1_000_000);
    t.deepEqual(ofType(events, 'ping'), [{ source: 'server', type: 'ping', atUs, connection: 1 }]);
    t.like(ofType(events, 'pong'), [{ atUs: atUs + 60_000, connection: 1, afterUs: 60_000 }]);
  });
});

test('a message in between reaches the newest connection and counts as a frame', async (t) => {
  await simulate({}, async ({ board, server, clock, events }) => {
    const old = await board();
    const device = await board(undefined, streamQuery);
    for (const event of insertableMessages) t.true(server.intervene({ kind: 'message', event }));
    await clock.sleep(10_000);
    t.deepEqual(
      device.received.map(({ event }) => event),
      [...insertableMessages],
    );
    t.deepEqual(device.received.at(-2)?.fields, ['', []]);
    t.deepEqual(
      old.received.map(({ event }) => event),
      ['EndResponse'],
      'the farewell alone',
    );
    const frames = ofType(events, 'frame').filter(({ connection }) => connection === 2);
    t.deepEqual(
      frames.map(({ frame, turn }) => [frame, turn]),
      insertableMessages.map((_, i) => [i + 1, 0]),
    );
  });
});

test('a parameter that is ignored is false: hello on a reconnection, raw audio for who wants Opus', async (t) => {
  const hello = new Uint8Array(100).fill(7);
  const settings = { ignoredParameters: ['reconnect', 'opus'] } as const;
  await simulate({ hello, settings }, async ({ board, events }) => {
    const device = await board(undefined, streamQuery);
    await ask(device);
    t.is(device.received[0]?.event, 'HelloStart');
    const pieces = device.fieldsOf('AudioChunk') as number[][];
    t.true(pieces.length > 0);
    const sent = ofType(events, 'framed').reduce((sum, { samplesOut }) => sum + samplesOut, 0);
    t.is(pieces.flat().length, 2 * sent);
    conserved(t, events);
  });
});

for (const packetMs of [10, 20, 60] as const) {
  test(`packets of ${packetMs} ms hold all samples, and the last one is padded`, async (t) => {
    await simulate({ settings: { packetMs } }, async ({ board, events }) => {
      const device = await board(undefined, streamQuery);
      await ask(device);
      const decoder = opus.createDecoder();
      const packets = device.fieldsOf('AudioChunkWithVowel') as number[][];
      const lengths = packets.map((packet) => decoder.decode(Uint8Array.from(packet)).length);
      t.deepEqual([...new Set(lengths)], [packetMs * 16]);
      for (const ledger of ofType(events, 'framed')) {
        t.is(ledger.samplesOut, ledger.frames * packetMs * 16);
        t.true(ledger.paddedSamples < packetMs * 16);
      }
      conserved(t, events);
    });
  });
}

test('compression is taken when it is offered and the server is made to', async (t) => {
  for (const compression of [false, true]) {
    await simulate({ settings: { compression } }, async ({ board }) => {
      const { extensions } = (await board()).socket;
      t.is(extensions, compression ? 'permessage-deflate' : '');
    });
  }
});
