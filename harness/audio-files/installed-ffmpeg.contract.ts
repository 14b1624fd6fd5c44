/** The ffmpeg of the package, for tests that need one. */
import test, { type ImplementationFn } from 'ava';
import { type Ffmpeg, FfmpegError, openFfmpeg } from './ffmpeg.ts';

export const installed: Ffmpeg | undefined = open();

/** Declares a test, or a skipped one when there is no ffmpeg; the reason has been printed. */
export function testWithFfmpeg(title: string, implementation: ImplementationFn<[]>): void {
  if (installed === undefined) test.skip(title, implementation);
  else test(title, implementation);
}

function open(): Ffmpeg | undefined {
  try {
    return openFfmpeg();
  } catch (error) {
    if (!(error instanceof FfmpegError)) throw error;
    process.stderr.write(`Tests with ffmpeg are skipped: ${error.message}\n`);
    return undefined;
  }
}
