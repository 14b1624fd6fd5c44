import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { buildConnectUrl, parseConnectUrl } from './connect-url.ts';

interface Vector {
  readonly name: string;
  readonly target: string;
  readonly accepted: boolean;
  readonly status?: number;
  readonly reason?: string;
  readonly deviceId?: string;
  readonly query?: Readonly<Record<string, boolean>>;
}

const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL('vectors/connect-urls.json', import.meta.url), 'utf8'),
).vectors;

for (const { target, accepted, status, reason, deviceId, query } of vectors) {
  test(`the vector is ${accepted ? 'understood' : `refused with ${status}`}: ${target}`, (t) => {
    const result = parseConnectUrl(target);
    if (accepted) {
      const { stream_asr: streamAsr, ...rest } = query!;
      t.deepEqual(result, {
        ok: true,
        deviceId: deviceId!,
        query: { ...rest, streamAsr } as never,
      });
    } else {
      t.like(result, { ok: false, status: status! });
      if (reason !== undefined) t.like(result, { reason });
    }
  });
}

const board = { base: 'ws://10.0.0.2:8080/ws/', deviceId: 'a1b2c3d4e5f6', reconnect: false };
const now = { opus: true, vowel: true, streamAsr: true };
const none = { opus: false, vowel: false, streamAsr: false };

// EchoKit device protocol reference, sections 0.3 and 1.2.
const built: readonly (readonly [string, Parameters<typeof buildConnectUrl>[0], string])[] = [
  [
    'firmware 0.3.1 after boot',
    { ...board, ...now },
    'ws://10.0.0.2:8080/ws/a1b2c3d4e5f6?opus=true&vowel=true&stream_asr=true',
  ],
  [
    'firmware 0.3.1 later',
    { ...board, ...now, reconnect: true },
    'ws://10.0.0.2:8080/ws/a1b2c3d4e5f6?reconnect=true&opus=true&vowel=true&stream_asr=true',
  ],
  [
    'firmware 0.3.0 after boot',
    { ...board, ...now, streamAsr: false },
    'ws://10.0.0.2:8080/ws/a1b2c3d4e5f6?opus=true&vowel=true',
  ],
  ['firmware 0.2.1 after boot', { ...board, ...none }, 'ws://10.0.0.2:8080/ws/a1b2c3d4e5f6'],
  [
    'firmware 0.2.1 later',
    { ...board, ...none, reconnect: true },
    'ws://10.0.0.2:8080/ws/a1b2c3d4e5f6?reconnect=true',
  ],
  [
    'a base without the last slash',
    { ...board, ...none, base: 'ws://host/ws' },
    'ws://host/ws/a1b2c3d4e5f6',
  ],
  [
    'a base with a query of its own is broken as on the board',
    { ...board, ...none, base: 'ws://host/ws/?a=b', opus: true },
    'ws://host/ws/?a=b/a1b2c3d4e5f6?opus=true',
  ],
  [
    'recording',
    { ...board, ...none, record: true },
    'ws://10.0.0.2:8080/ws/a1b2c3d4e5f6?record=true',
  ],
];
for (const [name, parts, url] of built) {
  test(`the URL is built: ${name}`, (t) => t.is(buildConnectUrl(parts), url));
}

test('what is built is understood, for any id and any flags', (t) => {
  const id = fc.string({ unit: 'binary', minLength: 1 }).filter((s) => s !== '.' && s !== '..');
  const flags = fc.record({
    reconnect: fc.boolean(),
    opus: fc.boolean(),
    vowel: fc.boolean(),
    streamAsr: fc.boolean(),
    record: fc.boolean(),
  });
  fc.assert(
    fc.property(id, flags, (deviceId, query) => {
      const url = new URL(buildConnectUrl({ base: 'ws://host/ws/', deviceId, ...query }));
      t.deepEqual(parseConnectUrl(url.pathname + url.search), { ok: true, deviceId, query });
    }),
    { seed: 12, numRuns: 500 },
  );
});

test('any request target gives a result, never an exception', (t) => {
  const part = fc.constantFrom('/', '/ws/', '%', '%4', '%ff', '?', '&', '=', '#', 'opus', 'true');
  const target = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.array(fc.oneof(part, fc.string({ unit: 'binary', maxLength: 3 }))).map((p) => p.join('')),
  );
  fc.assert(
    fc.property(target, (text) => {
      const result = parseConnectUrl(text);
      return result.ok ? result.deviceId.length > 0 : [400, 404].includes(result.status);
    }),
    { seed: 13, numRuns: 3000 },
  );
  t.pass();
});

test('a fragment is no part of the target', (t) => {
  t.like(parseConnectUrl('/ws/a1#?opus=1'), { ok: true, deviceId: 'a1' });
});

test('a server URL longer than the memory of the board is refused with both sizes', (t) => {
  const base = (bytes: number) => `ws://${'h'.repeat(bytes - 9)}/ws/`;
  t.notThrows(() => buildConnectUrl({ ...board, ...now, base: base(127) }));
  t.throws(() => buildConnectUrl({ ...board, ...now, base: base(128) }), {
    code: 'FP_SERVER_URL_TOO_LONG',
    message: /128 bytes.*127/,
  });
});

test('an id that cannot be a path segment is refused', (t) => {
  for (const deviceId of ['', '.', '..', '\ud800']) {
    t.throws(() => buildConnectUrl({ ...board, ...now, deviceId }), {
      code: 'FP_DEVICE_ID_INVALID',
    });
  }
});
