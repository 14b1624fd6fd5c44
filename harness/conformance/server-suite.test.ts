import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { encodeServerEvent, type ServerEvent } from '../../firmware-protocol/server-event.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { createStreamPair } from '../network/memory-stream.ts';
import { type Frame, opcodes } from '../network/web-socket-frame.ts';
import { createRandom } from '../random/random.ts';
import { createAdapterServer } from '../server/adapter-server.ts';
import { plantedSpeech, tone } from '../server/planted-speech.contract.ts';
import { scriptedRecognizer } from '../server/recognizer.ts';
import { recordFolder } from '../server/record-store.ts';
import { scriptedReply } from '../server/reply-source.ts';
import { opus, voiceDetection } from '../server/server-laboratory.contract.ts';
import type { ServerSettings } from '../server/server-settings.ts';
import { encodeWav } from '../trace/wav-file.ts';
import { speechLike } from '../voice-detection/speech-like.contract.ts';
import { type CaseResult, chosenCases } from './conformance-case.ts';
import { type Mutation, mutate } from './faulty-server.contract.ts';
import type { HttpHead } from './http-message.ts';
import { serverLimitDefaults } from './server-stage.ts';
import { runServerSuite, serverCases } from './server-suite.ts';

const records = mkdtempSync(join(tmpdir(), 'echokit-conformance-'));
test.after.always(() => rmSync(records, { recursive: true, force: true }));

interface Examined {
  readonly results: readonly CaseResult[];
  readonly seconds: number;
}

/** Plays cases against our own server, broken by a mutation, in virtual time. */
async function examine(
  mutation: Mutation = {},
  only: readonly string[] = [],
  settings: Partial<ServerSettings> = {},
): Promise<Examined> {
  const clock = new SimulatedClock();
  const network = new MemoryNetwork(clock, createRandom(1));
  const server = createAdapterServer({
    clock,
    opus,
    voiceDetection,
    speech: plantedSpeech(clock, (text) => ({
      samples: tone(300 + text.length, 16_000 + 700 * text.length),
      firstByteMs: 200,
      chunkSamples: 4000,
      chunkEveryMs: 20,
    })),
    platform: 'planted',
    recognizer: scriptedRecognizer(() => 'How far is it?', { clock, durationMs: 300 }),
    replies: scriptedReply(
      () => ({
        text: 'It is far. Very far, indeed, much farther than anybody would walk on one afternoon.',
        firstTokenMs: 350,
        tokensPerSecond: 50,
      }),
      { clock },
    ),
    hello: encodeWav(tone(500, 5000)),
    records: recordFolder(mkdtempSync(join(records, 'run-')), () => 'today'),
    settings,
    observe: () => {},
  });
  const accept = (stream: Parameters<typeof server.accept>[0]) => server.accept(stream);
  const pair = () => createStreamPair(() => clock.noteActivity());
  await network.listen({ host: 'server', port: 80 }, mutate(mutation, accept, pair));
  const results = await clock.run(
    runServerSuite(
      {
        clock,
        dialer: network,
        random: createRandom(1, 'conformance'),
        address: { host: 'server', port: 80, basePath: '/ws/', authority: 'server' },
        limits: serverLimitDefaults,
        speech: speechLike(2),
        text: 'How far is it?',
        createDecoder: () => opus.createDecoder(),
      },
      { cases: chosenCases(serverCases, only), signal: new AbortController().signal },
    ),
    24 * 3600 * 1_000_000,
  );
  await server.close();
  return { results, seconds: clock.nowUs() / 1_000_000 };
}

const idsOf = (results: readonly CaseResult[], status: CaseResult['status']): string[] =>
  results.filter((result) => result.status === status).map(({ id }) => id);

test('our own server conforms in every case', async (t) => {
  const { results } = await examine();
  t.deepEqual(
    results
      .filter(({ status }) => status !== 'pass')
      .map(({ id, status, detail }) => `${id}: ${status}: ${detail}`),
    [],
  );
});

const rewritten = (change: (event: ServerEvent) => readonly Frame[]): Mutation => ({
  message: (frame, event) => (event === undefined ? [frame] : change(event)),
});
const binary = (payload: Uint8Array): Frame => ({ opcode: opcodes.binary, payload });
const plain = (event: ServerEvent): Frame => binary(encodeServerEvent(event));
const withHeader = (name: string, value: string) => (head: HttpHead) => ({
  ...head,
  headers: [
    ...head.headers.filter(([key]) => key.toLowerCase() !== name.toLowerCase()),
    [name, value] as const,
  ],
});

/** What is broken, where, and which cases must show it. */
const mutations: Readonly<
  Record<
    string,
    { mutation?: Mutation; settings?: Partial<ServerSettings>; shownBy: readonly string[] }
  >
> = {
  'text messages instead of binary ones': {
    mutation: rewritten((event) => [{ opcode: opcodes.text, payload: encodeServerEvent(event) }]),
    shownBy: ['encoding/binary-only', 'stream/order', 'encoding/end-response'],
  },
  'fields by name': {
    mutation: rewritten((event) => [binary(encodeServerEvent(event, { form: 'named' }))]),
    shownBy: [
      'encoding/asr',
      'encoding/start-audio',
      'encoding/audio-chunk-with-vowel',
      'encoding/hello-chunk',
    ],
  },
  'bytes as bin': {
    mutation: rewritten((event) => [binary(encodeServerEvent(event, { form: 'bin' }))]),
    shownBy: ['encoding/audio-chunk', 'encoding/audio-chunk-with-vowel', 'encoding/hello-chunk'],
  },
  'a byte behind every event': {
    mutation: rewritten((event) => [
      binary(Buffer.concat([encodeServerEvent(event), Buffer.of(0xc0)])),
    ]),
    shownBy: ['encoding/end-vad', 'encoding/end-audio'],
  },
  'no EndVad': {
    mutation: rewritten((event) => (event.type === 'EndVad' ? [] : [plain(event)])),
    shownBy: [
      'stream/order',
      'stream/vad-once',
      'stream/vad-in-time',
      'encoding/end-vad',
      'empty/stream-silence',
    ],
  },
  'EndVad twice': {
    mutation: rewritten((event) =>
      event.type === 'EndVad' ? [plain(event), plain(event)] : [plain(event)],
    ),
    shownBy: ['stream/order', 'stream/vad-once', 'stream/vad-once-again'],
  },
  'EndResponse twice': {
    mutation: rewritten((event) =>
      event.type === 'EndResponse' ? [plain(event), plain(event)] : [plain(event)],
    ),
    shownBy: ['stream/end-once', 'submit/end-once'],
  },
  'no EndResponse': {
    mutation: rewritten((event) => (event.type === 'EndResponse' ? [] : [plain(event)])),
    shownBy: ['stream/order', 'submit/order', 'query/order-opus', 'encoding/end-response'],
  },
  'no EndAudio': {
    mutation: rewritten((event) => (event.type === 'EndAudio' ? [] : [plain(event)])),
    shownBy: ['stream/order', 'stream/sentences-closed', 'audio/faster-than-real-time'],
  },
  'no StartAudio': {
    mutation: rewritten((event) => (event.type === 'StartAudio' ? [] : [plain(event)])),
    shownBy: ['stream/order', 'stream/audio-in-sentences', 'submit/audio-in-sentences'],
  },
  'no ASR': {
    mutation: rewritten((event) => (event.type === 'ASR' ? [] : [plain(event)])),
    shownBy: [
      'stream/order',
      'submit/order',
      'stream/recognized',
      'text/echo-plain',
      'tolerated/spaces',
    ],
  },
  'DisplayText before every sentence': {
    mutation: rewritten((event) =>
      event.type === 'StartAudio'
        ? [plain({ type: 'DisplayText', text: 'x' }), plain(event)]
        : [plain(event)],
    ),
    shownBy: ['stream/known-events', 'submit/known-events', 'stream/order'],
  },
  'mouth shape 6': {
    mutation: rewritten((event) => [
      plain(event.type === 'AudioChunkWithVowel' ? { ...event, vowel: 6 } : event),
    ]),
    shownBy: ['audio/vowel-range'],
  },
  'packets that are no opus': {
    mutation: rewritten((event) => [
      plain(
        event.type === 'AudioChunkWithVowel'
          ? { ...event, data: Uint8Array.of(0xff, 0xff) }
          : event,
      ),
    ]),
    shownBy: ['audio/decodable', 'query/audio-opus-vowel'],
  },
  'PCM in halves of samples': {
    mutation: rewritten((event) => [
      plain(event.type === 'AudioChunk' ? { ...event, data: event.data.slice(1) } : event),
    ]),
    shownBy: ['audio/pcm-whole-samples', 'query/audio-none'],
  },
  'the sample loss of the reference server': {
    settings: { framing: { mode: 'lossy', blockSamples: 8000 } },
    shownBy: ['audio/no-sample-lost'],
  },
  'compression accepted': {
    mutation: { head: withHeader('Sec-WebSocket-Extensions', 'permessage-deflate') },
    shownBy: ['handshake/compression-of-a-board', 'handshake/compression-plain'],
  },
  'a wrong accept key': {
    mutation: { head: withHeader('Sec-WebSocket-Accept', 'AAAAAAAAAAAAAAAAAAAAAAAAAAA=') },
    shownBy: ['handshake/accept-key'],
  },
  'a subprotocol nobody asked for': {
    mutation: { head: withHeader('Sec-WebSocket-Protocol', 'echokit') },
    shownBy: ['handshake/no-subprotocol'],
  },
  'no Upgrade header': {
    mutation: { head: withHeader('Upgrade', 'h2c') },
    shownBy: ['handshake/upgrade-header'],
  },
  'thirty headers': {
    mutation: {
      head: (head) => ({
        ...head,
        headers: [
          ...head.headers,
          ...Array.from({ length: 30 }, (_, i) => [`X-${i}`, 'y'] as const),
        ],
      }),
    },
    shownBy: ['handshake/few-headers'],
  },
  'a compressed frame': {
    mutation: { message: (frame) => [{ ...frame, reserved: 4 }] },
    shownBy: ['encoding/reserved-bits'],
  },
  'a connection that ends behind the text': {
    mutation: { closeAfter: 'ASR' },
    shownBy: ['stream/order', 'submit/order', 'query/order-opus-vowel-stream-asr'],
  },
  'a connection that ends with every answer': {
    mutation: { closeAfter: 'EndResponse' },
    shownBy: ['stream/second-turn', 'patience/idle-between-turns'],
  },
};

for (const [broken, { mutation, settings, shownBy }] of Object.entries(mutations)) {
  test(`a server with ${broken} fails the cases that are about it`, async (t) => {
    const { results } = await examine(mutation, shownBy, settings);
    t.deepEqual(idsOf(results, 'fail').sort(), [...shownBy].sort());
    for (const { detail, evidence } of results) {
      t.true(detail.length > 10, detail);
      t.true(evidence.length > 0);
    }
  });
}

test('a server that takes connections and never answers fails the handshake; the rest is skipped', async (t) => {
  const { results, seconds } = await examine({ silent: true });
  t.true(idsOf(results, 'fail').includes('handshake/status-101'));
  t.deepEqual(idsOf(results, 'pass'), []);
  t.true(idsOf(results, 'skipped').includes('stream/order'));
  // Every failure has waited for one step and no longer.
  t.true(seconds <= (idsOf(results, 'fail').length + 20) * 6, `${seconds} s`);
});

test('a server that closes every connection at once fails the handshake and ends in no time', async (t) => {
  const { results, seconds } = await examine({ refusing: true });
  t.deepEqual(idsOf(results, 'pass'), []);
  t.true(idsOf(results, 'fail').includes('handshake/accept-key'));
  t.true(seconds < 60, `${seconds} s`);
});

test('a server that lets boards in and never says a word is through in finite time', async (t) => {
  const { results, seconds } = await examine({ message: () => [] });
  t.deepEqual(
    idsOf(results, 'fail').filter((id) => id.startsWith('handshake/')),
    [],
  );
  t.true(idsOf(results, 'fail').includes('stream/order'));
  t.true(idsOf(results, 'skipped').includes('patience/idle-at-first'));
  t.is(results.length, serverCases.length);
  t.true(seconds < 1800, `${seconds} s`);
});

test('every case has an id of its own, a sentence and a clause of the protocol documentation', (t) => {
  const text = readFileSync(new URL('../../firmware-protocol/README.md', import.meta.url), 'utf8');
  const clauses = new Set([...text.matchAll(/^- \*\*(FP-[\d.]+)\*\*/gm)].map(([, id]) => id));
  t.is(new Set(serverCases.map(({ id }) => id)).size, serverCases.length);
  for (const { id, title, clause } of serverCases) {
    t.regex(id, /^[a-z-]+\/[a-z0-9-]+$/);
    t.regex(title, /^.{15,}\.$/s, id);
    t.true(clauses.has(clause), `${id}: ${clause}`);
  }
});
