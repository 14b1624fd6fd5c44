import test from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import type { MemoryNetwork } from '../network/memory-network.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { type AdapterServerOptions, createAdapterServer } from './adapter-server.ts';
import type { ServerObservation } from './conversation.ts';
import { type PlantedClip, plantedSpeech, tone, toneShare } from './planted-speech.contract.ts';
import { scriptedRecognizer } from './recognizer.ts';
import { scriptedReply } from './reply-source.ts';
import { ScriptedBoard } from './scripted-board.contract.ts';
import {
  conserved,
  ofType,
  opus,
  simulate,
  streamQuery,
  threeSentences,
  utterance,
  voiceDetection,
} from './server-laboratory.contract.ts';

test('hello comes first and only without reconnect, in pieces of 2048 bytes', async (t) => {
  const hello = Uint8Array.from({ length: 16_524 }, (_, i) => i & 0xff);
  await simulate({ hello }, async ({ board, clock, events }) => {
    const device = await board();
    device.command('Text', { input: 'first' });
    await device.until('EndResponse');
    t.is(device.received[0]!.event, 'HelloStart');
    const chunks = device.fieldsOf('HelloChunk') as number[][];
    t.deepEqual(
      chunks.map((chunk) => chunk.length),
      [...Array(8).fill(2048), 140],
    );
    t.deepEqual(Uint8Array.from(chunks.flat()), hello);
    t.is(device.received[10]!.event, 'HelloEnd');
    t.is(device.received[11]!.event, 'ASR');
    t.is(ofType(events, 'frame')[0]!.turn, 0);
    const again = await board(undefined, streamQuery);
    await clock.sleep(1_000_000);
    t.deepEqual(again.received, []);
  });
});

test('several boards at once hear their own answer only', async (t) => {
  const tones = [400, 700, 1100, 1600, 2300];
  const reply = scriptedReplyFor((deviceId) => `Tone ${deviceId}. Again, tone ${deviceId}.`);
  const clip = (text: string): PlantedClip => ({
    samples: tone(Number(/\d+/.exec(text)?.[0]), 16_000),
    firstByteMs: 150,
    chunkEveryMs: 60,
  });
  await simulate({ reply, clip }, async ({ board, audio }) => {
    await Promise.all(
      tones.map(async (frequencyHz) => {
        const device = await board(String(frequencyHz));
        await device.speak(utterance);
        await device.until('EndResponse');
        t.deepEqual(device.fieldsOf('StartAudio'), [
          `Tone ${frequencyHz}.`,
          `Again, tone ${frequencyHz}.`,
        ]);
        const decoder = opus.createDecoder();
        const packets = device.fieldsOf('AudioChunkWithVowel') as number[][];
        t.is(packets.length, 18);
        const heard = packets.flatMap((data) => [...decoder.decode(Uint8Array.from(data))]);
        t.true(toneShare(Int16Array.from(heard), frequencyHz) > 0.8);
        const sent = audio.filter((a) => a.kind === 'sent' && a.deviceId === String(frequencyHz));
        t.true(toneShare(Int16Array.from(sent.flatMap((a) => [...a.samples])), frequencyHz) > 0.9);
      }),
    );
  });
});

test('what is no command is ignored with a reason', async (t) => {
  await simulate({ reply: 'Yes.' }, async ({ board, events }) => {
    const device = await board();
    device.socket.send('hello');
    device.command('Dance');
    device.command('StartRecord');
    device.command('StartChat');
    device.socket.send(Buffer.alloc(3));
    device.command('Text', { input: 'x' });
    await device.until('EndResponse');
    t.is(ofType(events, 'commandIgnored').length, 3);
    t.is(ofType(events, 'endOfTurn')[0]!.uplinkSamples, 1);
  });
});

test('compression is offered and not taken', async (t) => {
  await simulate({}, async ({ board }) => {
    const device = await board();
    t.is(device.socket.extensions, '');
  });
});

test('two runs report the same to the microsecond', async (t) => {
  const run = (): Promise<string> =>
    simulate({ reply: threeSentences }, async ({ board, events }) => {
      const device = await board();
      await device.speak(utterance);
      await device.until('EndResponse');
      return JSON.stringify(events);
    });
  t.is(await run(), await run());
});

test('closing the server ends turns, connections and requests', async (t) => {
  const clip = (): PlantedClip => ({ samples: tone(500, 32_000), chunkEveryMs: 100 });
  await simulate({ clip }, async ({ board, server, speech, events, clock }) => {
    const device = await board();
    device.command('Text', { input: 'first' });
    await device.until('AudioChunkWithVowel', 4);
    await server.close();
    t.is(speech.running, 0);
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'interrupted' });
    await clock.sleep(1000);
    t.not(device.closeCode, undefined);
    await t.throwsAsync(board());
  });
});

function scriptedReplyFor(text: (deviceId: string) => string): AdapterServerOptions['replies'] {
  return {
    async *reply(_heard, { deviceId }) {
      yield text(deviceId);
    },
  };
}

async function request(network: MemoryNetwork, lines: string[]): Promise<string> {
  const stream = await network.dial({ host: 'server', port: 80, secure: false });
  stream.write(`${lines.join('\r\n')}\r\n\r\n`);
  let answer = '';
  for await (const chunk of stream) answer += chunk;
  return answer;
}

const upgrade = [
  'Host: server',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

test('HTTP answers: version, unknown paths, refused upgrades, never a date', async (t) => {
  const cases: [lines: string[], status: number][] = [
    [['GET /version HTTP/1.1', 'Host: server'], 200],
    [['POST /version HTTP/1.1', 'Host: server', 'Content-Length: 0'], 405],
    [['GET / HTTP/1.1', 'Host: server'], 404],
    [['GET /v1/chat/abc HTTP/1.1', ...upgrade, 'Sec-WebSocket-Version: 13'], 404],
    [['GET /ws/abc HTTP/1.1', 'Host: server'], 400],
    [['GET /ws/abc HTTP/1.0', 'Host: server'], 426],
    [['POST /ws/abc HTTP/1.1', ...upgrade, 'Sec-WebSocket-Version: 13'], 405],
    [['GET /ws/abc HTTP/1.1', ...upgrade, 'Sec-WebSocket-Version: 8'], 400],
    [['GET /ws/abc HTTP/1.1', ...upgrade.slice(0, 3), 'Sec-WebSocket-Version: 13'], 400],
    [['GET /ws/abc?opus=1 HTTP/1.1', ...upgrade, 'Sec-WebSocket-Version: 13'], 400],
    [['GET /ws/abc?record=true HTTP/1.1', ...upgrade, 'Sec-WebSocket-Version: 13'], 501],
  ];
  await simulate({}, async ({ network, events }) => {
    for (const [lines, status] of cases) {
      const answer = await request(network, lines);
      t.true(answer.startsWith(`HTTP/1.1 ${status} `), `${lines[0]}: ${answer.split('\r\n')[0]}`);
      t.notRegex(answer, /^date:/im);
    }
    t.true((await request(network, cases[0]![0])).endsWith('{"version":"0.3.2"}'));
    t.deepEqual(events, []);
  });
});

test('the accepted handshake is the one of RFC 6455 and has no date', async (t) => {
  await simulate({}, async ({ network, server }) => {
    const stream = await network.dial({ host: 'server', port: 80, secure: false });
    stream.write(
      ['GET /v2/stable_ws/abc HTTP/1.1', ...upgrade, 'Sec-WebSocket-Version: 13', '', ''].join(
        '\r\n',
      ),
    );
    const answer = String(await new Promise((resolve) => stream.once('data', resolve)));
    t.true(answer.startsWith('HTTP/1.1 101 '));
    // Origin: RFC 6455, section 1.3.
    t.regex(answer, /^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r$/m);
    t.notRegex(answer, /^date:/im);
    await server.close();
    stream.destroy();
  });
});

test('the same server serves real sockets in real time', async (t) => {
  const clock = new SystemClock();
  const network = new SocketNetwork({ clock, random: createRandom(1), outside: [] });
  const samples = tone(440, 20_000);
  const events: ServerObservation[] = [];
  const server = createAdapterServer({
    clock,
    opus,
    voiceDetection,
    speech: plantedSpeech(clock, () => ({ samples, chunkSamples: 1000 })),
    platform: 'planted',
    recognizer: scriptedRecognizer(() => 'heard', { clock, durationMs: 10 }),
    replies: scriptedReply(
      () => ({ text: 'First one. Second one.', firstTokenMs: 20, tokensPerSecond: 200 }),
      { clock },
    ),
    observe: (event) => events.push(event),
  });
  const listener = await network.impersonate({ host: 'server', port: 80 }, (stream) =>
    server.accept(stream),
  );
  const device = await ScriptedBoard.connect(network, clock, 'abc');
  device.command('Text', { input: 'go' });
  await device.until('EndResponse');
  t.is(
    device.order,
    'ASR StartAudio AudioChunkWithVowel* EndAudio StartAudio AudioChunkWithVowel* EndAudio EndResponse',
  );
  t.is(device.fieldsOf('AudioChunkWithVowel').length, 22);
  conserved(t, events);
  await server.close();
  t.is(ofType(events, 'disconnected').length, 1);
  device.socket.terminate();
  await listener.close();
});
