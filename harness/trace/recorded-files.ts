/** What a finished recording consists of, so that a file that is gone, cut or changed is told and not measured. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { parse } from 'smol-toml';
import type { ManifestFile, RecordingManifest } from './manifest.ts';
import { damaged } from './recording-error.ts';

/** Name of the file that is written last: a recording that has it is finished. */
export const manifestFile = 'manifest.toml';

/** In every finished recording of every version. */
const alwaysThere = ['trace.jsonl', 'user.wav', 'sent.wav', 'speaker.wav'];

/**
 * Name of the folder that keeps a try which could not be judged, beside that of the one which counts.
 *
 * @param number from 1, the oldest
 */
export function earlierTryName(cell: string, number: number): string {
  return `${cell}--try-${number}`;
}

/** Which try of which cell a folder keeps; undefined: the one that counts. Older versions had a first try only. */
export function readEarlierTryName(
  name: string,
): { readonly cell: string; readonly number: number } | undefined {
  const [, cell, number = 1] = /^(.+)--(?:first-try|try-(\d+))$/.exec(name) ?? [];
  return cell === undefined ? undefined : { cell, number: Number(number) };
}

/** Every file of a recording but its manifest, in the order of their names. */
export function recordedFiles(folder: string): ManifestFile[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== manifestFile)
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => {
      const content = readFileSync(path);
      return {
        name: path
          .slice(folder.length + 1)
          .split(sep)
          .join('/'),
        bytes: content.length,
        sha256: createHash('sha256').update(content).digest('hex'),
      };
    });
}

/**
 * @returns undefined: the recording is partial
 * @throws {RecordingError} `RECORDING_DAMAGED`
 */
export function readManifest(folder: string): RecordingManifest | undefined {
  const path = join(folder, manifestFile);
  if (!existsSync(path)) return undefined;
  try {
    return parse(readFileSync(path, 'utf8')) as unknown as RecordingManifest;
  } catch (error) {
    throw damaged(path, `it is not valid TOML (${(error as Error).message.split('\n', 1)[0]})`);
  }
}

/**
 * Compares a finished recording with the list in its manifest. Older ones have none: of those only what every recording has
 * must be there.
 *
 * @returns the manifest; undefined: the recording is partial, and nothing is expected of it
 * @throws {RecordingError} `RECORDING_DAMAGED`, which names the file
 */
export function checkRecordedFiles(folder: string): RecordingManifest | undefined {
  const manifest = readManifest(folder);
  if (manifest === undefined) return undefined;
  const { files } = manifest;
  for (const name of files?.map((file) => file.name) ?? alwaysThere) {
    if (!existsSync(join(folder, name))) throw damaged(join(folder, name), 'it is missing');
  }
  for (const { name, bytes, sha256 } of files ?? []) {
    const path = join(folder, name);
    const { size } = statSync(path);
    if (size !== bytes) throw damaged(path, `it has ${size} bytes instead of ${bytes}`);
    const sum = createHash('sha256').update(readFileSync(path)).digest('hex');
    if (sum !== sha256) throw damaged(path, 'its bytes are not those that were recorded');
  }
  return manifest;
}
