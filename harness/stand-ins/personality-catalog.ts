import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nearestName } from '../../adapters/nearest-name.ts';
import { readTextFile } from '../toml/toml-document.ts';
import { type Personality, parsePersonality } from './personality.ts';
import { StandInError } from './stand-in-error.ts';

let shipped: ReadonlyMap<string, Personality> | undefined;

/**
 * The shipped personalities by name. Read once per process, synchronously, so that it may happen
 * in virtual time.
 *
 * @throws {StandInError} `STAND_IN_BAD_PERSONALITY`
 */
export function personalities(): ReadonlyMap<string, Personality> {
  shipped ??= readPersonalities(personalityFolder());
  return shipped;
}

/** Names of the personalities a platform may have. */
export function personalityNames(platform: string): string[] {
  return [...personalities().values()]
    .filter(({ platforms }) => platforms.includes(platform))
    .map(({ name }) => name);
}

/** @throws {StandInError} `STAND_IN_NO_PERSONALITY` when this platform has none of that name. */
export function findPersonality(name: string, platform: string): Personality {
  const found = personalities().get(name);
  if (found?.platforms.includes(platform) === true) return found;
  const names = personalityNames(platform);
  const meant = nearestName(name, names);
  const owner = found === undefined ? '' : ` "${name}" is one of ${found.platforms.join(', ')}.`;
  throw new StandInError(
    'STAND_IN_NO_PERSONALITY',
    `The platform ${platform} has no personality "${name}".${owner}` +
      `${meant === undefined ? '' : ` Did you mean "${meant}"?`} Known: ${names.join(', ')}.`,
  );
}

/** Every `*.toml` of a folder, in order of their names. */
export function readPersonalities(folder: string): ReadonlyMap<string, Personality> {
  const suffix = '.toml';
  const files = readdirSync(folder).filter((file) => file.endsWith(suffix));
  const names = files.map((file) => file.slice(0, -suffix.length)).sort();
  return new Map(
    names.map((name) => {
      const path = join(folder, name + suffix);
      return [name, parsePersonality(readTextFile(path), name, path)];
    }),
  );
}

/** Beside this file, or, when it was compiled, beside its source in the package. */
function personalityFolder(): string {
  const candidates = ['./personalities', '../../../harness/stand-ins/personalities'];
  const folders = candidates.map((up) => fileURLToPath(new URL(up, import.meta.url)));
  return folders.find((folder) => existsSync(folder)) ?? folders[0]!;
}
