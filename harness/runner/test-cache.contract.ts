/**
 * For tests: where clips that were spoken and packets that were encoded are kept from one `npm test` to the next, a folder for
 * each test file. Both are functions of their inputs; with any change of the code that makes them all of it is begun again.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(checkout, '.cache', 'tests');
const makers = ['harness/stand-ins', 'harness/opus', 'harness/audio-files'];

let known: string | undefined;

function makersDigest(): string {
  const hash = createHash('sha256').update(readFileSync(join(checkout, 'package-lock.json')));
  for (const maker of makers) {
    for (const name of readdirSync(join(checkout, maker)).sort()) {
      if (name.endsWith('.ts')) hash.update(name).update(readFileSync(join(checkout, maker, name)));
    }
  }
  return hash.digest('hex').slice(0, 16);
}

/** That of the test file that runs; undefined, in memory only, where none does. */
export async function ownCacheFolder(): Promise<string | undefined> {
  try {
    // Outside of a test this package refuses to be loaded.
    const { default: test } = await import('ava');
    return testCacheFolder(test.meta.file);
  } catch {
    return undefined;
  }
}

/** @param of a test file, or whatever else has a cache of its own */
export function testCacheFolder(of: string): string {
  known ??= makersDigest();
  try {
    for (const old of readdirSync(folder)) {
      if (old !== known) rmSync(join(folder, old), { recursive: true, force: true });
    }
  } catch {
    // There is none yet, or another test removes the same.
  }
  return join(folder, known, basename(of, '.test.ts'));
}
