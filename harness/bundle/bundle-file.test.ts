import { execFileSync } from 'node:child_process';
import test from 'ava';
import fc from 'fast-check';
import { strFromU8, strToU8, unzipSync, zipSync } from 'fflate';
import {
  BundleError,
  type BundleErrorCode,
  bundleIndex,
  packBundle,
  sha256,
  unpackBundle,
} from './bundle-file.ts';

const files = new Map([
  ['cells/a/trace.jsonl', Buffer.from('{"type":"header"}\n'.repeat(300))],
  ['cells/a/provider/1.wav', Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 7919) & 255))],
  ['cells/a/empty', Buffer.alloc(0)],
  ['Größe 1.json', Buffer.from('{}')],
]);

function codeOf(pack: () => unknown): BundleErrorCode | 'no error' {
  try {
    pack();
    return 'no error';
  } catch (error) {
    if (error instanceof BundleError) return error.code;
    throw error;
  }
}

/** A bundle with a true list, whatever the paths are. */
function forged(contents: Readonly<Record<string, Uint8Array>>, change: object = {}): Uint8Array {
  const list = Object.entries(contents).map(([path, content]) => ({
    path,
    bytes: content.length,
    sha256: sha256(content),
  }));
  const index = strToU8(JSON.stringify({ bundleVersion: 1, files: list, ...change }));
  return zipSync({ [bundleIndex]: index, ...contents });
}

test('what was packed is unpacked, and the same files give the same bytes in any order', (t) => {
  const packed = packBundle(files);
  t.deepEqual(new Map([...unpackBundle(packed, 'x').files].sort()), new Map([...files].sort()));
  t.deepEqual(packBundle(new Map([...files].reverse())), packed);
  t.true(packed.length < 6000);
});

test('the bytes depend on no clock and no time zone', (t) => {
  const script =
    "import('./harness/bundle/bundle-file.ts').then(({ packBundle, sha256 }) => " +
    "console.log(sha256(packBundle(new Map([['a.txt', Buffer.from('a')]])))))";
  const sumIn = (zone: string): string =>
    execFileSync(process.execPath, ['--import=tsx', '-e', script], {
      env: { ...process.env, TZ: zone },
      encoding: 'utf8',
      timeout: 60_000,
    }).trim();
  t.is(sumIn('Asia/Kathmandu'), sha256(packBundle(new Map([['a.txt', Buffer.from('a')]]))));
});

test('other programs can open it', (t) => {
  const other = unzipSync(packBundle(files));
  t.deepEqual(Object.keys(other).sort(), [bundleIndex, ...files.keys()].sort());
  const index = JSON.parse(strFromU8(other[bundleIndex]!)) as { bundleVersion: number };
  t.is(index.bundleVersion, 1);
});

test('paths that lead out of the folder, or mean something else elsewhere, are refused', (t) => {
  for (const path of [
    '../evil',
    'a/../../evil',
    '/etc/passwd',
    'C:\\evil',
    'C:evil',
    'a\\..\\evil',
    '~/evil',
    './a',
    'a//b',
    'a/.',
    'a/..',
    '.ssh/keys',
    'a/\u0000b',
    'a/b\n',
    'nul',
    'a/COM1.txt',
    'a/b ',
    'a/b.',
    `${'a/'.repeat(20)}b`,
    'x'.repeat(500),
  ]) {
    t.is(
      codeOf(() => unpackBundle(forged({ [path]: strToU8('x') }), 'evil.zip')),
      'BUNDLE_PATH',
      path,
    );
    t.is(
      codeOf(() => packBundle(new Map([[path, Buffer.from('x')]]))),
      'BUNDLE_PATH',
      path,
    );
  }
});

test('a torn bundle is damaged, wherever it was cut', (t) => {
  const packed = packBundle(files);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: packed.length - 1 }), (length) => {
      const code = codeOf(() => unpackBundle(packed.subarray(0, length), 'torn'));
      // A cut within the directory at the end takes nothing of the contents.
      t.true(
        code === 'BUNDLE_DAMAGED' || (code === 'no error' && length > packed.length - 600),
        `${length}: ${code}`,
      );
    }),
    { numRuns: 120, seed: 3 },
  );
});

test('a byte that was changed is found, or changes nothing', (t) => {
  const packed = packBundle(files);
  const sums = (all: Iterable<readonly [string, Uint8Array]>): string =>
    [...all]
      .map(([path, content]) => `${path} ${sha256(content)}`)
      .sort()
      .join();
  const whole = sums(files);
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: packed.length - 1 }),
      fc.integer({ min: 1, max: 255 }),
      (at, change) => {
        const changed = Uint8Array.from(packed);
        changed[at]! ^= change;
        try {
          t.is(sums(unpackBundle(changed, 'changed').files), whole);
        } catch (error) {
          t.true(error instanceof BundleError, `${at}: ${error}`);
        }
      },
    ),
    { numRuns: 200, seed: 4 },
  );
});

test('what is not as listed, listed twice, missing or too much is damaged', (t) => {
  const a = strToU8('a');
  const entry = { path: 'a', bytes: 1, sha256: sha256('a') };
  for (const list of [
    [{ ...entry, sha256: sha256('b') }],
    [{ ...entry, bytes: 2 }],
    [entry, { ...entry, path: 'b' }],
    [],
    [entry, entry],
    [{ path: 'a' }],
    'none',
    null,
  ]) {
    t.is(
      codeOf(() => unpackBundle(forged({ a }, { files: list }), 'x')),
      'BUNDLE_DAMAGED',
    );
  }
  t.is(
    codeOf(() => unpackBundle(zipSync({ a }), 'x')),
    'BUNDLE_DAMAGED',
    'no list',
  );
  t.is(
    codeOf(() => unpackBundle(Buffer.from('PK but not'), 'x')),
    'BUNDLE_DAMAGED',
  );
  t.is(
    codeOf(() => unpackBundle(Buffer.alloc(0), 'x')),
    'BUNDLE_DAMAGED',
  );
  t.is(
    codeOf(() => unpackBundle(forged({ a }, { bundleVersion: 2 }), 'x')),
    'BUNDLE_VERSION',
  );
  t.is(
    codeOf(() => unpackBundle(forged({ a }, { bundleVersion: '1' }), 'x')),
    'BUNDLE_DAMAGED',
  );
});

test('a bundle that unpacks to too much is given up before it has', (t) => {
  const bomb = forged({ zeros: new Uint8Array(4_000_000), more: new Uint8Array(4_000_000) });
  t.true(bomb.length < 200_000);
  const limits = { packedBytes: 1_000_000, unpackedBytes: 500_000, files: 5 };
  t.is(
    codeOf(() => unpackBundle(bomb, 'bomb', limits)),
    'BUNDLE_TOO_LARGE',
  );
  t.is(
    codeOf(() => unpackBundle(bomb, 'bomb', { ...limits, packedBytes: 100 })),
    'BUNDLE_TOO_LARGE',
  );
  const many = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`f${i}`, strToU8('x')]));
  t.is(
    codeOf(() => unpackBundle(forged(many), 'many', limits)),
    'BUNDLE_TOO_LARGE',
  );
});
