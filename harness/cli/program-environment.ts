import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { opusFile } from '../opus/opus-codec.ts';
import type { ManifestEnvironment } from '../trace/manifest.ts';

/** What of this program and this machine decides the bytes of a run, for manifests. */
export function programEnvironment(version: string): ManifestEnvironment {
  return {
    version,
    program: programDigest(),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    opus: digest([readFileSync(opusFile())]),
  };
}

let known: string | undefined;

/**
 * Of the files that this program consists of, `s:` in front for the sources and `c:` for the compiled ones: a version
 * number does not tell two checkouts apart.
 */
function programDigest(): string {
  if (known !== undefined) return known;
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const isSource = import.meta.url.endsWith('.ts');
  const own = isSource ? /(?<!\.(?:test|contract|d))\.ts$/ : /\.js$/;
  const files = ['adapters', 'firmware-protocol', 'harness'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => own.test(name) && !name.includes('node_modules'))
      .map((name) => join(folder, name)),
  );
  const contents = files.sort().map((name) => readFileSync(join(root, name)));
  known = `${isSource ? 's' : 'c'}:${digest(contents)}`;
  return known;
}

function digest(contents: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const content of contents) hash.update(content);
  return hash.digest('hex').slice(0, 16);
}
