import { readFileSync } from 'node:fs';
import { decode, encode } from '@msgpack/msgpack';
import test from 'ava';
import fc from 'fast-check';
import {
  decodeServerEvent,
  encodeServerEvent,
  type ServerEvent,
  type ServerEventForm,
} from './server-event.ts';

interface Vector {
  readonly name: string;
  readonly origin: string;
  readonly dialect: 'firmware' | 'server';
  readonly hex: string;
  readonly form?: ServerEventForm;
  readonly accepted: boolean;
  readonly event?: { readonly type: string; readonly data?: readonly number[] };
  readonly reason?: string;
}

const vectors = ['server-events.json', 'server-event-acceptance.json'].flatMap(
  (file): readonly Vector[] =>
    JSON.parse(readFileSync(new URL(`vectors/${file}`, import.meta.url), 'utf8')).vectors,
);
const written = vectors.filter((v) => v.form !== undefined);
const forms = ['canonical', 'bin', 'named'] as const;

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** The event of a vector, with its list of numbers as the array the module uses. */
function eventOf(vector: Vector): ServerEvent {
  const { data, ...rest } = vector.event!;
  if (data === undefined) return rest as ServerEvent;
  const Numbers = rest.type === 'AudioChunki16' ? Int16Array : Uint8Array;
  return { ...rest, data: Numbers.from(data) } as unknown as ServerEvent;
}

for (const vector of vectors) {
  test(`${vector.dialect} decodes the vector: ${vector.name}`, (t) => {
    const result = decodeServerEvent(bytesOf(vector.hex), { dialect: vector.dialect });
    t.deepEqual(
      result,
      vector.accepted
        ? { ok: true, event: eventOf(vector) }
        : { ok: false, reason: vector.reason! },
    );
  });
}

for (const vector of written) {
  test(`encodes the vector as ${vector.form}: ${vector.name}`, (t) => {
    t.is(hexOf(encodeServerEvent(eventOf(vector), { form: vector.form! })), vector.hex);
  });
}

test('the vectors show every event and both verdicts', (t) => {
  const types = new Set(vectors.flatMap((v) => v.event?.type ?? []));
  t.is(types.size, 16);
  t.true(vectors.filter((v) => !v.accepted).length >= 30);
});

test('canonical is the form without a choice, and any is the dialect', (t) => {
  const event: ServerEvent = { type: 'Choices', message: 'Pick', items: ['Confirm'] };
  t.deepEqual(encodeServerEvent(event), encodeServerEvent(event, { form: 'canonical' }));
  t.deepEqual(decodeServerEvent(encodeServerEvent(event)), { ok: true, event });
  t.deepEqual(decodeServerEvent(Uint8Array.of(3)), {
    ok: false,
    reason: 'invalid type: integer `3`, expected variant identifier',
  });
});

test('a place in the list means what it means to each end', (t) => {
  const at = (dialect: 'firmware' | 'server', place: number) =>
    decodeServerEvent(Uint8Array.of(place), { dialect });
  // Choices and DisplayText shift what comes after them in the server's list.
  t.deepEqual(at('firmware', 9), { ok: true, event: { type: 'EndAudio' } });
  t.deepEqual(at('server', 11), { ok: true, event: { type: 'EndAudio' } });
});

// ---- damage ----

test('a message cut at any length is refused for lack of bytes', (t) => {
  for (const { hex, dialect } of written) {
    const bytes = bytesOf(hex);
    for (let length = 0; length < bytes.length; length++) {
      const result = decodeServerEvent(bytes.subarray(0, length), { dialect });
      t.regex(result.ok ? '' : result.reason, /^IO error while reading (marker|data): /);
    }
  }
});

test('bytes after the message change nothing', (t) => {
  for (const vector of written.filter((v) => v.accepted)) {
    for (const tail of ['00', 'c1', 'a6456e64566164']) {
      const result = decodeServerEvent(bytesOf(vector.hex + tail), { dialect: vector.dialect });
      t.deepEqual(result, { ok: true, event: eventOf(vector) });
    }
  }
});

test('corrupted messages give a result, never an exception', (t) => {
  const damage = fc.array(
    fc.record({ at: fc.nat(), remove: fc.nat(3), insert: fc.uint8Array({ maxLength: 5 }) }),
    { minLength: 1, maxLength: 4 },
  );
  let refused = 0;
  fc.assert(
    fc.property(fc.constantFrom(...vectors), damage, (vector, hits) => {
      let bytes = [...bytesOf(vector.hex)];
      for (const { at, remove, insert } of hits) {
        bytes = bytes.toSpliced(at % (bytes.length + 1), remove, ...insert);
      }
      const result = decodeServerEvent(Uint8Array.from(bytes), { dialect: vector.dialect });
      if (!result.ok) refused += 1;
      return result.ok ? typeof result.event.type === 'string' : result.reason.length > 0;
    }),
    { seed: 20_251_123, numRuns: 5000 },
  );
  t.true(refused > 1000);
});

test('heads that announce gigabytes cost nothing', (t) => {
  const before = process.memoryUsage().arrayBuffers;
  for (const head of ['dd7fffffff', 'ddffffffff', 'c67fffffff', 'c6ffffffff']) {
    for (const name of ['aa417564696f4368756e6b', 'ad417564696f4368756e6b693136']) {
      t.false(decodeServerEvent(bytesOf(`81${name}91${head}0102`)).ok);
    }
    t.false(decodeServerEvent(bytesOf(`81a743686f6963657392a0${head}a0`)).ok);
  }
  t.true(process.memoryUsage().arrayBuffers - before < 1_000_000);
});

test('unknown fields may be nested as deep as the firmware follows', (t) => {
  const nested = (depth: number) =>
    decodeServerEvent(bytesOf(`81a341535282a178${'91'.repeat(depth)}c0a474657874a26869`));
  t.deepEqual(nested(1022), { ok: true, event: { type: 'ASR', text: 'hi' } });
  t.deepEqual(nested(1023), { ok: false, reason: 'depth limit exceeded' });
  t.deepEqual(nested(1_000_000), { ok: false, reason: 'depth limit exceeded' });
});

test('decoded arrays are copies', (t) => {
  for (const form of forms) {
    const message = encodeServerEvent(
      { type: 'AudioChunk', data: Uint8Array.of(1, 200, 3) },
      { form },
    );
    const result = decodeServerEvent(message);
    message.fill(0xc1);
    t.deepEqual(result, {
      ok: true,
      event: { type: 'AudioChunk', data: Uint8Array.of(1, 200, 3) },
    });
  }
});

test('a message inside a larger buffer is read within its bounds', (t) => {
  const pool = bytesOf('ffff a6456e64566164 ffff'.replaceAll(' ', ''));
  t.deepEqual(decodeServerEvent(pool.subarray(2, 9)), { ok: true, event: { type: 'EndVad' } });
  t.false(decodeServerEvent(pool.subarray(2, 8)).ok);
});

test('a vowel that no byte carries is a mistake of the caller', (t) => {
  for (const vowel of [-1, 256, 1.5, Number.NaN]) {
    const event: ServerEvent = { type: 'AudioChunkWithVowel', data: new Uint8Array(), vowel };
    t.throws(() => encodeServerEvent(event), { code: 'FP_VOWEL_OUT_OF_RANGE' });
  }
});

test('half a surrogate pair becomes U+FFFD', (t) => {
  t.deepEqual(decodeServerEvent(encodeServerEvent({ type: 'ASR', text: 'a\ud800b' })), {
    ok: true,
    event: { type: 'ASR', text: 'a\ufffdb' },
  });
});

// ---- against a second implementation ----

const text = fc.string({ unit: 'binary', maxLength: 300 });
const data = fc.uint8Array({ maxLength: 400 });
const vowel = fc.nat(255);
const unitTypes = ['HelloStart', 'HelloEnd', 'EndAudio', 'StartVideo', 'EndVideo'] as const;
const anyEvent: fc.Arbitrary<ServerEvent> = fc.oneof(
  fc.record({ type: fc.constantFrom(...unitTypes, 'EndResponse' as const, 'EndVad' as const) }),
  fc.record({ type: fc.constantFrom('HelloChunk' as const, 'AudioChunk' as const), data }),
  fc.record({
    type: fc.constantFrom('ASR' as const, 'StartAudio' as const, 'DisplayText' as const),
    text,
  }),
  fc.record({ type: fc.constant('Action' as const), action: text }),
  fc.record({
    type: fc.constant('Choices' as const),
    message: text,
    items: fc.array(text, { maxLength: 20 }),
  }),
  fc.record({ type: fc.constant('AudioChunkWithVowel' as const), data, vowel }),
  fc.record({
    type: fc.constant('AudioChunki16' as const),
    data: fc.int16Array({ maxLength: 400 }),
    vowel,
  }),
);

/** The event as a plain value, to be encoded by a general MessagePack library. */
function plain(event: ServerEvent, form: ServerEventForm): unknown {
  const { type, ...fields } = event;
  const entries = Object.entries(fields).map(([name, value]): [string, unknown] => [
    name,
    ArrayBuffer.isView(value) && !(form === 'bin' && value instanceof Uint8Array)
      ? Array.from(value as Uint8Array | Int16Array)
      : value,
  ]);
  if (entries.length === 0) return type;
  return { [type]: form === 'named' ? Object.fromEntries(entries) : entries.map((e) => e[1]) };
}

function sameAsLibrary(event: ServerEvent, form: ServerEventForm): boolean {
  return Buffer.compare(encodeServerEvent(event, { form }), encode(plain(event, form))) === 0;
}

test('every event is encoded to the bytes of @msgpack/msgpack, and comes back', (t) => {
  fc.assert(
    fc.property(anyEvent, fc.constantFrom(...forms), (event, form) => {
      t.true(sameAsLibrary(event, form));
      t.deepEqual(decodeServerEvent(encodeServerEvent(event, { form })), { ok: true, event });
    }),
    { seed: 1_123_2025, numRuns: 600 },
  );
});

test('every byte, sample and length is encoded to the bytes of @msgpack/msgpack', (t) => {
  const ramp = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7) & 0xff);
  for (const form of forms) {
    for (const length of [0, 1, 15, 16, 255, 256, 65_535, 65_536]) {
      const event: ServerEvent = { type: 'AudioChunk', data: ramp(length) };
      t.true(sameAsLibrary(event, form), `${form}, ${length} bytes`);
      const back = decodeServerEvent(encodeServerEvent(event, { form }));
      t.true(
        back.ok &&
          back.event.type === 'AudioChunk' &&
          Buffer.compare(back.event.data, event.data) === 0,
      );
    }
    for (const length of [0, 31, 32, 255, 256, 65_535, 65_536]) {
      t.true(sameAsLibrary({ type: 'ASR', text: 'x'.repeat(length) }, form), `${form}, ${length}`);
    }
  }
  const samples = Int16Array.from({ length: 65_536 }, (_, i) => i - 32_768);
  const event: ServerEvent = { type: 'AudioChunki16', data: samples, vowel: 5 };
  t.true(sameAsLibrary(event, 'canonical'));
  const back = decodeServerEvent(encodeServerEvent(event));
  t.true(
    back.ok &&
      back.event.type === 'AudioChunki16' &&
      back.event.data.every((s, i) => s === i - 32_768),
  );
});

test('@msgpack/msgpack reads what is encoded', (t) => {
  fc.assert(
    fc.property(
      anyEvent,
      fc.constantFrom('canonical' as const, 'named' as const),
      (event, form) => {
        t.deepEqual(decode(encodeServerEvent(event, { form })), plain(event, form));
      },
    ),
    { seed: 77, numRuns: 200 },
  );
});

test('messages have the sizes that the reference gives', (t) => {
  // EchoKit device protocol reference, section 2.1: every byte value eight times, 2048 bytes.
  const data = Uint8Array.from({ length: 2048 }, (_, i) => i & 0xff);
  t.is(encodeServerEvent({ type: 'HelloChunk', data }).length, 3088);
});
