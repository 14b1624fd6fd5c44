/** Bundles and folders: what is put in, and where it is unpacked to. */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { type Bundle, BundleError } from './bundle-file.ts';

/**
 * Every file below a folder. Links are left out: what they lead to is not part of it.
 *
 * @param prefix in front of each path
 */
export function filesOf(folder: string, prefix: string): Map<string, Uint8Array> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => lstatSync(join(folder, name)).isFile())
    .map((name): [string, Uint8Array] => [
      prefix + name.split(sep).join('/'),
      readFileSync(join(folder, name)),
    ]);
  return new Map(files);
}

/**
 * Writes the files of a bundle below a folder that is there and empty. Their paths have been checked; should one lead
 * outside all the same, nothing is written.
 *
 * @throws {BundleError} `BUNDLE_PATH`, `BUNDLE_EXISTS`
 */
export function unpackInto(folder: string, { files }: Bundle): void {
  const root = realpathSync(folder);
  if (readdirSync(root).length > 0) {
    throw new BundleError(
      'BUNDLE_EXISTS',
      `${folder} is not empty.`,
      'Name a folder that is not there yet.',
    );
  }
  const targets = [...files].map(([path, content]) => {
    const target = join(root, path);
    if (relative(root, target).startsWith('..')) {
      throw new BundleError('BUNDLE_PATH', `${path} leads out of ${folder}.`, 'Do not trust it.');
    }
    return { target, content };
  });
  for (const { target, content } of targets) {
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content, { flag: 'wx' });
  }
}
