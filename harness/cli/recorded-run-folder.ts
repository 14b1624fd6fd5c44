import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { unpackBundle } from '../bundle/bundle-file.ts';
import { unpackInto } from '../bundle/bundle-folder.ts';
import { RecordingError } from '../trace/recording-reader.ts';

/** A run as a folder, wherever it was: a folder itself, or a bundle, unpacked for as long as it is used. */
export interface RunFolder {
  readonly path: string;
  /** What the user called it, without an ending. */
  readonly name: string;
  readonly isBundle: boolean;
  /** Removes what was unpacked. */
  close(): void;
}

/**
 * @param path folder of a recording or of a run, or a bundle
 * @throws {RecordingError} `RECORDING_NOT_FOUND`
 * @throws {BundleError}
 */
export function openRunFolder(path: string): RunFolder {
  if (!existsSync(path) && !existsSync(`${path}.partial`)) {
    throw new RecordingError(
      'RECORDING_NOT_FOUND',
      `${path} is not there.`,
      'Name a run, recordings/runs/<run>, one of its cells, or a bundle.',
    );
  }
  if (!existsSync(path) || statSync(path).isDirectory()) {
    return { path, name: basename(path), isBundle: false, close: () => {} };
  }
  const bundle = unpackBundle(readFileSync(path), path);
  const folder = mkdtempSync(join(tmpdir(), 'echokit-bundle-'));
  const close = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    unpackInto(folder, bundle);
  } catch (error) {
    close();
    throw error;
  }
  return { path: folder, name: basename(path).replace(/\.\w+$/, ''), isBundle: true, close };
}
