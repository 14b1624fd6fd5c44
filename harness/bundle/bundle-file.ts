/**
 * One file that holds a run: a ZIP with a list of what is in it. The same files give the same bytes, on every machine
 * and with every version of Node. Pure: nothing here touches the disk.
 */
import { createHash } from 'node:crypto';
import { Unzip, UnzipInflate, zipSync } from 'fflate';

/** Raise it when the list or the layout changes its meaning. */
export const bundleVersion = 1;
/** First file of a bundle: what the others are. */
export const bundleIndex = 'bundle.json';

/** Contents by path, with `/` between folders. */
export type BundleFiles = ReadonlyMap<string, Uint8Array>;

export interface Bundle {
  readonly files: BundleFiles;
}

interface BundleIndex {
  readonly bundleVersion: number;
  readonly files: readonly {
    readonly path: string;
    readonly bytes: number;
    readonly sha256: string;
  }[];
}

export interface BundleLimits {
  readonly packedBytes: number;
  readonly unpackedBytes: number;
  readonly files: number;
}

/** Far above what an hour of conversation takes. */
export const bundleLimits: BundleLimits = {
  packedBytes: 256 * 1024 * 1024,
  unpackedBytes: 1024 * 1024 * 1024,
  files: 20_000,
};

export type BundleErrorCode =
  /** Not a bundle, torn, or not what its list says. */
  | 'BUNDLE_DAMAGED'
  /** Of a later version of this program. */
  | 'BUNDLE_VERSION'
  /** A path that would lead out of the folder it is unpacked into, or means nothing on some system. */
  | 'BUNDLE_PATH'
  | 'BUNDLE_TOO_LARGE'
  /** What would be put into it holds a credential. */
  | 'BUNDLE_SECRET'
  /** What has to be written there exists already. */
  | 'BUNDLE_EXISTS';

export class BundleError extends Error {
  override readonly name = 'BundleError';
  readonly code: BundleErrorCode;
  readonly hint: string;

  constructor(code: BundleErrorCode, message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.hint = hint;
  }
}

export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/**
 * @param given without the list
 * @throws {BundleError} `BUNDLE_PATH` for a path that a bundle cannot have
 */
export function packBundle(given: BundleFiles): Uint8Array {
  const files = [...given].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [path] of files) checkPath(path);
  const index: BundleIndex = {
    bundleVersion,
    files: files.map(([path, content]) => ({
      path,
      bytes: content.length,
      sha256: sha256(content),
    })),
  };
  const text = Buffer.from(`${JSON.stringify(index, null, 1)}\n`);
  return zipSync(
    { [bundleIndex]: text, ...Object.fromEntries(files) },
    // The earliest date that a ZIP can tell. Without a time zone it is that of this machine, as ZIP has it.
    { level: 9, mtime: '1980-01-01T00:00:00' },
  );
}

/**
 * Everything in a bundle, checked against its list. Nothing of it is trusted: sizes, paths and sums are checked while it
 * is read.
 *
 * @param name for messages
 * @throws {BundleError} all codes but `BUNDLE_SECRET` and `BUNDLE_EXISTS`
 */
export function unpackBundle(
  packed: Uint8Array,
  name: string,
  limits: BundleLimits = bundleLimits,
): Bundle {
  if (packed.length > limits.packedBytes) {
    throw tooLarge(name, `is of ${packed.length} bytes`, `${limits.packedBytes} bytes`);
  }
  const entries = readEntries(packed, name, limits);
  const index = readIndex(entries.get(bundleIndex), name);
  entries.delete(bundleIndex);
  for (const { path, bytes, sha256: sum } of index.files) {
    const content = entries.get(path);
    if (content === undefined) throw damaged(name, `${path} is listed and missing`);
    if (content.length !== bytes || sha256(content) !== sum) {
      throw damaged(
        name,
        `${path} is not what the list says (${content.length} of ${bytes} bytes)`,
      );
    }
  }
  if (index.files.length !== entries.size) {
    const listed = new Set(index.files.map(({ path }) => path));
    const [more] = [...entries.keys()].filter((path) => !listed.has(path));
    throw damaged(name, `${more ?? 'a file listed twice'} is not in the list`);
  }
  return { files: entries };
}

const pieceBytes = 64 * 1024;

function readEntries(packed: Uint8Array, name: string, limits: BundleLimits): Map<string, Buffer> {
  const entries = new Map<string, Buffer>();
  let unfinished = 0;
  let total = 0;
  const unzip = new Unzip((file) => {
    checkPath(file.name, name);
    if (entries.has(file.name)) throw damaged(name, `${file.name} is in it twice`);
    if (entries.size >= limits.files) {
      throw tooLarge(name, 'holds too many files', `${limits.files} files`);
    }
    entries.set(file.name, Buffer.alloc(0));
    const pieces: Uint8Array[] = [];
    unfinished += 1;
    file.ondata = (error, piece, final) => {
      if (error) throw error;
      total += piece.length;
      if (total > limits.unpackedBytes) {
        throw tooLarge(name, 'is larger unpacked', `${limits.unpackedBytes} bytes`);
      }
      pieces.push(piece);
      if (!final) return;
      unfinished -= 1;
      entries.set(file.name, Buffer.concat(pieces));
    };
    file.start();
  });
  unzip.register(UnzipInflate);
  try {
    for (let at = 0; at < packed.length; at += pieceBytes) {
      const end = Math.min(packed.length, at + pieceBytes);
      unzip.push(packed.subarray(at, end), end === packed.length);
    }
  } catch (cause) {
    if (cause instanceof BundleError) throw cause;
    throw damaged(name, `it is no whole ZIP (${(cause as Error).message})`, cause);
  }
  if (entries.size === 0) throw damaged(name, 'it is no ZIP');
  if (unfinished > 0) throw damaged(name, 'it ends in the middle of a file');
  return entries;
}

function readIndex(content: Buffer | undefined, name: string): BundleIndex {
  if (content === undefined) throw damaged(name, `there is no ${bundleIndex} in it`);
  let index: Partial<BundleIndex>;
  try {
    index = JSON.parse(content.toString('utf8')) as Partial<BundleIndex>;
  } catch (cause) {
    throw damaged(name, `${bundleIndex} is no JSON`, cause);
  }
  if (typeof index.bundleVersion === 'number' && index.bundleVersion > bundleVersion) {
    throw new BundleError(
      'BUNDLE_VERSION',
      `${name} is a bundle of version ${index.bundleVersion}; this program reads version ${bundleVersion}.`,
      'Open it with the version of echokit-harness that made it, or a newer one.',
    );
  }
  if (index.bundleVersion !== bundleVersion || !isFileList(index.files)) {
    throw damaged(name, `${bundleIndex} is not the list of a bundle`);
  }
  return index as BundleIndex;
}

function isFileList(files: unknown): files is BundleIndex['files'] {
  return (
    Array.isArray(files) &&
    files.every(
      (file: unknown) =>
        typeof file === 'object' &&
        file !== null &&
        'path' in file &&
        'bytes' in file &&
        'sha256' in file &&
        typeof file.path === 'string' &&
        typeof file.bytes === 'number' &&
        typeof file.sha256 === 'string',
    )
  );
}

/** Names that every file system takes as they are, in folders below the one that is unpacked into. */
const segment = /^[\p{L}\p{N}_](?:[\p{L}\p{N}._ +()@-]*[\p{L}\p{N}_()-])?$/u;
/** Devices of Windows, with any ending. */
const reserved = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i;

/** Of a path in a bundle; the deepest of a run has 6 segments. */
const pathSegmentsMax = 12;
const pathCharactersMax = 400;
/** So much of a path that is refused is in the message. */
const shownPathCharactersMax = 200;

function checkPath(path: string, name = 'The bundle'): void {
  const segments = path.split('/');
  const good = segments.every((each) => segment.test(each) && !reserved.test(each));
  if (good && segments.length <= pathSegmentsMax && path.length <= pathCharactersMax) return;
  throw new BundleError(
    'BUNDLE_PATH',
    `${name} would write to ${JSON.stringify(path.slice(0, shownPathCharactersMax))}, which is no path within a folder on every system.`,
    'Do not unpack it by other means: it was not made by echokit-harness, or somebody has changed it.',
  );
}

function damaged(name: string, what: string, cause?: unknown): BundleError {
  return new BundleError(
    'BUNDLE_DAMAGED',
    `${name} is no whole bundle: ${what}.`,
    'Get it once more from where it was made; a transfer as text destroys it.',
    { cause },
  );
}

function tooLarge(name: string, what: string, limit: string): BundleError {
  return new BundleError(
    'BUNDLE_TOO_LARGE',
    `${name} ${what}; more than ${limit} is not unpacked.`,
    'Bundle one conversation instead of a whole run.',
  );
}
