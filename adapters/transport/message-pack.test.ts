import test from 'ava';
import { httpAnswers } from '../scripted-wire.contract.ts';
import { makeStage, outcomeOf } from '../speech-adapter.contract.ts';
import { openHttpSpeech } from './http-speech.ts';
import { packMap, unpackMap } from './message-pack.ts';
import { defaultTimeLimitsMs } from './time-limit.ts';

/** Bytes by hand: numbers are bytes, strings their Latin-1 characters. */
const bytes = (...parts: (number | string)[]): Uint8Array =>
  Buffer.concat(
    parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part, 'latin1'))),
  );

// Composed from the MessagePack format: fixmap 0x80, fixstr 0xa0, uint 8 0xcc, true 0xc3.
const request = {
  text: 'Hello.',
  chunk_length: 200,
  format: 'wav',
  mp3_bitrate: 128,
  normalize: true,
};
const requestBytes = bytes(
  ...[0x85, 0xa4, 'text', 0xa6, 'Hello.', 0xac, 'chunk_length', 0xcc, 200, 0xa6, 'format'],
  ...[0xa3, 'wav', 0xab, 'mp3_bitrate', 0xcc, 128, 0xa9, 'normalize', 0xc3],
);

test('a map is written in the order of its keys and in the shortest form', (t) => {
  t.deepEqual(Buffer.from(packMap(request)), Buffer.from(requestBytes));
  t.deepEqual(
    Buffer.from(packMap({ b: new Uint8Array([1, 2]), none: undefined })),
    Buffer.from(bytes(0x81, 0xa1, 'b', 0xc4, 2, 1, 2)),
  );
});

test('a map is read, with bytes as bytes', (t) => {
  t.deepEqual(unpackMap(requestBytes), request);
  const audio = unpackMap(bytes(0x81, 0xa5, 'audio', 0xc4, 3, 0, 255, 7))?.['audio'];
  t.true(audio instanceof Uint8Array);
  t.deepEqual([...(audio as Uint8Array)], [0, 255, 7]);
});

test('what is no single map is not read', (t) => {
  for (const [name, data] of [
    ['nothing', bytes()],
    ['text', bytes('{"a":1}')],
    ['a list', bytes(0x91, 1)],
    ['a number', bytes(7)],
    ['a date', bytes(0xd6, 0xff, 0, 0, 0, 1)],
    ['a map that is cut', requestBytes.subarray(0, 40)],
    ['a map and more', bytes(0x80, 0x80)],
    ['a byte that is never used', bytes(0xc1)],
  ] as const) {
    t.is(unpackMap(data), undefined, name);
  }
});

test('a platform writes the body of its request in its own encoding', async (t) => {
  const capabilities = {
    textIn: 'whole',
    audioOut: 'chunks',
    connectionReuse: true,
    marks: false,
  } as const;
  const wire = httpAnswers((response) => response.writeHead(400).end());
  const url = 'https://speech.example/v1/tts';
  const stage = await makeStage(
    {
      adapter: {
        platform: 'example',
        capabilities: () => capabilities,
        open: (config, deps) =>
          openHttpSpeech(
            {
              platform: 'example',
              url: new URL(config.url),
              capabilities,
              headers: {},
              secrets: [],
              timeoutMs: defaultTimeLimitsMs,
              failures: { codes: {}, words: [] },
              body: (text) => ({ ...request, text }),
              encoding: { contentType: 'application/msgpack', encode: packMap },
              source: () => ({ container: 'wav' }),
            },
            deps,
          ),
      },
      config: { url },
      rateHz: 16_000,
      wire: () => wire,
    },
    {},
  );
  await outcomeOf(stage, ['Hello.']);
  t.like(wire.log.requests[0]?.headers, {
    'content-type': 'application/msgpack',
    'content-length': String(requestBytes.length),
  });
  const sent = stage.observed.find(({ direction }) => direction === 'sent');
  t.deepEqual(Buffer.from(sent!.data), Buffer.from(requestBytes));
  await stage.finish();
});
