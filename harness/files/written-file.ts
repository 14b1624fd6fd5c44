/**
 * Files that are whole or not there: whoever reads one while it is written, or after this process was killed, finds the
 * old content or the new one. A temporary file beside it is filled, flushed to the disk and takes its name.
 */
import {
  accessSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** Pieces are written in their order, one at a time, so that a file may be larger than the memory. */
export type FileContent = string | Uint8Array | Iterable<string | Uint8Array>;

/**
 * Writes a file in a folder that is there. A link is followed, the permissions of an older file stay. Pipes and
 * terminals (`/dev/stdout`) have nothing to be replaced and are written straight. A process that is killed
 * leaves its temporary file, `.echokit-<process>-<number>.tmp`; the next one that writes into the folder takes it away.
 *
 * @throws {OutputError} and leaves what was there, and no temporary file. What an iterable throws is passed on in
 *   the same way.
 */
export function writeWhole(path: string, content: FileContent): void {
  const old = checked(path);
  if (old !== undefined && !old.isFile()) {
    const stream = refusals(path, () => openSync(path, 'w'));
    try {
      refusals(path, () => writePieces(stream, content, path));
    } finally {
      closeSync(stream);
    }
    return;
  }
  const target = old === undefined ? path : realpathSync(path);
  const { file, temporary } = refusals(path, () => openTemporary(dirname(target)));
  let open = true;
  sweep(dirname(target), file);
  try {
    const bytes = refusals(path, () => writePieces(file, content, path));
    refusals(path, () => {
      if (old !== undefined) fchmodSync(file, old.mode & 0o7777);
      fsyncSync(file);
    });
    const { size } = fstatSync(file);
    if (size !== bytes) {
      throw new OutputError(
        'OUTPUT_FAILED',
        `${path} was not written: of ${bytes} bytes ${size} got to the disk.`,
        'try another disk',
      );
    }
    open = false;
    closeSync(file);
    refusals(path, () => renameSync(temporary, target));
  } catch (error) {
    if (open) closeSync(file);
    rmSync(temporary, { force: true });
    throw error;
  }
  flushFolder(dirname(target));
}

/**
 * Whether {@link writeWhole} can begin: to be asked before long work whose result the file will hold.
 *
 * @throws {OutputError} `OUTPUT_FOLDER_MISSING`, `OUTPUT_IS_FOLDER`, `OUTPUT_NOT_PERMITTED`
 */
export function checkWritable(path: string): void {
  const old = checked(path);
  if (old !== undefined && !old.isFile()) return;
  const folder = dirname(old === undefined ? path : realpathSync(path));
  // Rights do not tell everything: a disk may be mounted to be read only.
  const { file, temporary } = refusals(path, () => openTemporary(folder));
  closeSync(file);
  rmSync(temporary, { force: true });
}

/** What is there now; undefined: nothing. */
function checked(path: string): Stats | undefined {
  return refusals(path, () => {
    const old = statSync(path, { throwIfNoEntry: false });
    if (old?.isDirectory() === true) {
      throw new OutputError('OUTPUT_IS_FOLDER', `${path} is a folder.`, 'name a file in it');
    }
    // A file that may not be written is not replaced either.
    if (old !== undefined) accessSync(path, constants.W_OK);
    else if (statSync(dirname(path), { throwIfNoEntry: false }) === undefined) {
      throw new OutputError(
        'OUTPUT_FOLDER_MISSING',
        `${path} cannot be written: there is no folder ${dirname(path)}.`,
        'make the folder, or name another one',
      );
    }
    return old;
  });
}

let opened = 0;

/** Of this process: others with its number were in another container, or before a restart. */
const own = new Set<string>();

/** A writer touches its file with every piece: one that has not for so long is no more. */
const forgottenMs = 10 * 60_000;

/** Folders are looked through once. */
const swept = new Set<string>();

/** Names of temporary files are taken once: by process and number, and never one that is there. */
function openTemporary(folder: string): { readonly file: number; readonly temporary: string } {
  for (;;) {
    const name = `.echokit-${process.pid}-${++opened}.tmp`;
    const temporary = join(folder, name);
    try {
      const file = openSync(temporary, 'wx');
      own.add(name);
      return { file, temporary };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

/**
 * Removes what killed writers have left in the folder: plain files with the name of a temporary one, of a process that is not there any
 * more, and long untouched by the clock of that disk, since the process may live on another machine. What cannot be
 * looked at or removed stays.
 *
 * @param file just made in the folder: its date is "now"
 */
function sweep(folder: string, file: number): void {
  try {
    const place = realpathSync(folder);
    if (swept.has(place)) return;
    swept.add(place);
    const nowMs = fstatSync(file).mtimeMs;
    for (const entry of readdirSync(place, { withFileTypes: true })) {
      const number = /^\.echokit-(\d+)-\d+\.tmp$/.exec(entry.name)?.[1];
      if (number === undefined || !entry.isFile() || own.has(entry.name)) continue;
      if (Number(number) !== process.pid && isRunning(Number(number))) continue;
      const path = join(place, entry.name);
      if (nowMs - statSync(path).mtimeMs >= forgottenMs) rmSync(path, { force: true });
    }
  } catch {
    // It is only tidiness, and no reason not to write.
  }
}

/** Also when it belongs to somebody else, and may not be sent a signal. */
function isRunning(number: number): boolean {
  try {
    process.kill(number, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Returns the number of bytes. */
function writePieces(file: number, content: FileContent, path: string): number {
  const isOne = typeof content === 'string' || content instanceof Uint8Array;
  let bytes = 0;
  for (const piece of isOne ? [content] : content) {
    const data = typeof piece === 'string' ? Buffer.from(piece) : piece;
    for (let at = 0; at < data.length; ) at += writeSync(file, data, at);
    bytes += data.length;
  }
  if (bytes > 0) return bytes;
  throw new OutputError(
    'OUTPUT_EMPTY',
    `${path} would be empty, and was not written.`,
    'what it was to be made of has nothing in it',
  );
}

/** After a power cut, too, the new name must be there. Some systems cannot flush a folder. */
function flushFolder(folder: string): void {
  let file: number | undefined;
  try {
    file = openSync(folder, 'r');
    fsyncSync(file);
  } catch {
    // The file itself is on the disk, under one of its two names.
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Runs it; what the system refuses becomes an error that tells what to do. */
function refusals<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw isSystemError(error) ? refusal(path, error) : error;
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}

function refusal(path: string, cause: NodeJS.ErrnoException): OutputError {
  const reason = reasons[cause.code ?? ''] ?? {
    code: 'OUTPUT_FAILED' as const,
    what: cause.message,
    hint: 'name another place',
  };
  const message = `${path} cannot be written: ${reason.what}.`;
  return new OutputError(reason.code, message, reason.hint, { cause });
}

interface Reason {
  readonly code: OutputError['code'];
  readonly what: string;
  readonly hint: string;
}

const full = (what: string): Reason => ({
  code: 'OUTPUT_DISK_FULL',
  what,
  hint: 'make room, or name another disk',
});
const forbidden = (what: string): Reason => ({
  code: 'OUTPUT_NOT_PERMITTED',
  what,
  hint: 'name a place where you may write, or change its permissions',
});

/** By the code of the system. */
const reasons: Readonly<Record<string, Reason>> = {
  ENOSPC: full('the disk is full'),
  EDQUOT: full('the quota of the disk is used up'),
  EFBIG: full('it is larger than files may be here'),
  EACCES: forbidden('permission denied'),
  EPERM: forbidden('the system does not permit it'),
  EROFS: forbidden('the disk can only be read'),
  ENOENT: {
    code: 'OUTPUT_FOLDER_MISSING',
    what: 'its folder is not there',
    hint: 'make the folder, or name another one',
  },
  ENOTDIR: {
    code: 'OUTPUT_FOLDER_MISSING',
    what: 'a part of the path in front of its name is a file',
    hint: 'name another folder',
  },
};

export class OutputError extends Error {
  override readonly name = 'OutputError';
  readonly code:
    | 'OUTPUT_FOLDER_MISSING'
    | 'OUTPUT_IS_FOLDER'
    | 'OUTPUT_NOT_PERMITTED'
    | 'OUTPUT_DISK_FULL'
    | 'OUTPUT_EMPTY'
    | 'OUTPUT_FAILED';
  readonly hint: string;

  constructor(code: OutputError['code'], message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.hint = hint;
  }

  /** The same, told with where the file was named. */
  namedAt(place: string): OutputError {
    return new OutputError(this.code, `${place}: ${this.message}`, this.hint, { cause: this });
  }
}
