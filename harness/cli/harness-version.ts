import { readFileSync } from 'node:fs';

export function harnessVersion(): string {
  for (const up of ['../..', '../../..']) {
    try {
      const text = readFileSync(new URL(`${up}/package.json`, import.meta.url), 'utf8');
      return (JSON.parse(text) as { version: string }).version;
    } catch {
      // One level further up: the compiled program lies in dist/.
    }
  }
  return 'unknown';
}
