import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';

/**
 * The one door to ffmpeg. Runs the program and waits for it: blocking work takes no virtual time,
 * and a library that waits for the process by events (such as fluent-ffmpeg) would let virtual
 * time pass meanwhile. Nothing runs before the first use.
 */
export interface Ffmpeg {
  /** The program, as a path or a name that is looked up in `PATH`. */
  readonly path: string;
  /** First line of `-version` without the copyright, for example `ffmpeg version 7.0.2`. */
  readonly version: string;
  /**
   * Runs it with `input` on its standard input and returns its standard output.
   *
   * @throws {FfmpegError} `FFMPEG_FAILED`
   */
  run(args: readonly string[], input: Uint8Array): Buffer;
}

export type FfmpegErrorCode =
  | 'FFMPEG_MISSING' // there is none, or it cannot be started
  | 'FFMPEG_FAILED'; // it ended with an error

export class FfmpegError extends Error {
  override readonly name = 'FfmpegError';
  readonly code: FfmpegErrorCode;

  constructor(code: FfmpegErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A run of ffmpeg is over in a second. One that hangs must not hang the whole program. */
const longestRunMs = 60_000;
const outputBytesMax = 256 * 1024 * 1024;

/**
 * Finds ffmpeg and asks it for its version.
 *
 * @param path instead of the one installed with the package
 * @throws {FfmpegError} `FFMPEG_MISSING`
 */
export function openFfmpeg(path?: string): Ffmpeg {
  const program = path ?? installedFfmpeg();
  const { stdout, status, error } = spawnSync(program, ['-version'], { timeout: longestRunMs });
  const [, version] = /^(ffmpeg version \S+)/.exec(String(stdout)) ?? [];
  if (error !== undefined || status !== 0 || version === undefined) {
    const reason = error === undefined ? 'it does not tell its version' : error.message;
    throw new FfmpegError(
      'FFMPEG_MISSING',
      `The program "${program}" is no ffmpeg that runs here (${reason}). ` +
        'Name a working one with FFMPEG_PATH.',
      { cause: error },
    );
  }
  return {
    path: program,
    version,
    run: (args, input) => runFfmpeg(program, args, input),
  };
}

/** The binary that came with the package: there is one for the usual systems, not for all. */
function installedFfmpeg(): string {
  try {
    const installer = createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as {
      readonly path: string;
    };
    return installer.path;
  } catch (cause) {
    throw notInstalled(cause);
  }
}

function notInstalled(cause: unknown): FfmpegError {
  const system = `${process.platform} ${process.arch}`;
  return new FfmpegError(
    'FFMPEG_MISSING',
    `No ffmpeg is installed with this package for ${system}. Name one with FFMPEG_PATH.`,
    { cause },
  );
}

function runFfmpeg(program: string, args: readonly string[], input: Uint8Array): Buffer {
  const { stdout, stderr, status, signal, error } = spawnSync(
    program,
    ['-hide_banner', '-nostdin', '-loglevel', 'error', ...args],
    { input, maxBuffer: outputBytesMax, timeout: longestRunMs },
  );
  if (error === undefined && status === 0) return stdout;
  const words = String(stderr ?? '').trim();
  const ended = error?.message ?? (signal === null ? `exit code ${status}` : `signal ${signal}`);
  throw new FfmpegError(
    'FFMPEG_FAILED',
    `ffmpeg ended with ${ended}${words === '' ? '' : `: ${words}`}\n` +
      `It was called as: ${program} ${args.join(' ')}`,
    { cause: error },
  );
}
