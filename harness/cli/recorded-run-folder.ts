import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { unpackBundle } from '../bundle/bundle-file.ts';
import { unpackInto } from '../bundle/bundle-folder.ts';
import { RecordingError } from '../trace/recording-error.ts';

/** A run as a folder, wherever it was: a folder itself, or a bundle, unpacked for as long as it is used. */
export interface RunFolder {
  readonly path: string;
  /** What the user called it, without an ending. */
  readonly name: string;
  readonly isBundle: boolean;
  /** The text with what the user has named in the place of where it was unpacked. */
  asNamed(text: string): string;
}

/**
 * Gives a command the run that a user has named. What was unpacked is removed when the command is done, and errors name what
 * the user did.
 *
 * @param path folder of a recording or of a run, or a bundle
 * @throws {RecordingError} `RECORDING_NOT_FOUND`
 * @throws {BundleError}
 */
export function withRunFolder<T>(path: string, use: (run: RunFolder) => T): T {
  const { close, ...run } = openRunFolder(path);
  const fail = (error: unknown): never => {
    close();
    if (error instanceof Error) error.message = run.asNamed(error.message);
    throw error;
  };
  let result: T;
  try {
    result = use(run);
  } catch (error) {
    return fail(error);
  }
  if (result instanceof Promise) {
    return result.then((value: unknown) => {
      close();
      return value;
    }, fail) as T;
  }
  close();
  return result;
}

/** Removes what was unpacked. */
interface OpenedRunFolder extends RunFolder {
  close(): void;
}

function openRunFolder(path: string): OpenedRunFolder {
  if (!existsSync(path) && !existsSync(`${path}.partial`)) {
    throw new RecordingError(
      'RECORDING_NOT_FOUND',
      `${path} is not there.`,
      'Name a run, recordings/runs/<run>, one of its cells, or a bundle.',
    );
  }
  if (!existsSync(path) || statSync(path).isDirectory()) {
    const asNamed = (text: string): string => text;
    return { path, name: basename(path), isBundle: false, asNamed, close: () => {} };
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
  return {
    path: folder,
    name: basename(path).replace(/\.\w+$/, ''),
    isBundle: true,
    asNamed: (text) => text.replaceAll(folder, path),
    close,
  };
}
