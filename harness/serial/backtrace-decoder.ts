/**
 * Addresses of a backtrace to functions and lines, with the program's ELF file and a decoder of a toolchain.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, createReadStream } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { StackFrame } from './crash.ts';

/** Programs that decode, the best first. The plain one of binutils may not know the chip's ELF files. */
export const decoderNames = [
  'xtensa-esp32s3-elf-addr2line',
  'xtensa-esp-elf-addr2line',
  'llvm-addr2line',
  'addr2line',
] as const;

export interface CodePlace {
  /** Null: the file has no name for the address. */
  readonly function: string | null;
  /** `file:line`; null: not known. */
  readonly place: string | null;
}

export interface DecodedFrame extends CodePlace {
  readonly pc: number;
  /** The functions that it was inlined into, outwards. */
  readonly inlinedInto: readonly CodePlace[];
}

export type DecodeResult =
  | {
      readonly kind: 'decoded';
      /** Path of the program that was asked. */
      readonly decoder: string;
      readonly frames: readonly DecodedFrame[];
      /** `unknown`: the console printed no checksum, or zeros, as some builds do. */
      readonly build: 'same' | 'unknown';
    }
  /** The file is of another build: its names and lines would be wrong. */
  | { readonly kind: 'other-build'; readonly printed: string; readonly file: string }
  | { readonly kind: 'failed'; readonly message: string; readonly hint: string };

export interface DecodeOptions {
  readonly elf: string;
  readonly backtrace: readonly StackFrame[];
  /** What the console printed; a beginning is enough. */
  readonly elfSha256: string | undefined;
  /** Decoders to try, see {@link findDecoders}. */
  readonly decoders: readonly string[];
}

/** @param searchPath folders as in the variable PATH */
export function findDecoders(searchPath: string): string[] {
  const folders = searchPath.split(delimiter).filter((folder) => folder !== '');
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return decoderNames.flatMap((name) => {
    const path = folders.map((folder) => join(folder, name + suffix)).find(isProgram);
    return path === undefined ? [] : [path];
  });
}

/** A decoder is through in a second. One that hangs must not keep the program. */
const decoderMs = 60_000;
const decoderOutputBytesMax = 4 * 1024 * 1024;

/** Never rejects: whatever is wrong is in the result. */
export async function decodeBacktrace(options: DecodeOptions): Promise<DecodeResult> {
  const { elf, backtrace, elfSha256, decoders } = options;
  let file: string;
  try {
    const hash = createHash('sha256');
    await pipeline(createReadStream(elf), hash);
    file = hash.digest('hex');
  } catch (error) {
    const hint = 'name the ELF file that was flashed, for example target/…/release/echokit';
    return { kind: 'failed', message: (error as Error).message, hint };
  }
  const printed = (elfSha256 ?? '').toLowerCase().replace(/[^0-9a-f].*$/s, '');
  const known = !/^0*$/.test(printed);
  if (known && !file.startsWith(printed)) return { kind: 'other-build', printed, file };
  if (decoders.length === 0) {
    return {
      kind: 'failed',
      message: `there is no ${decoderNames.join(', ')} on the PATH`,
      hint: 'install ESP-IDF or espup (they bring it), or llvm: apt-get install llvm',
    };
  }
  const complaints: string[] = [];
  for (const decoder of decoders) {
    const answer = await ask(
      decoder,
      elf,
      backtrace.map(({ pc }) => `0x${pc.toString(16)}`),
    );
    const frames = 'text' in answer ? readAnswer(answer.text) : [];
    if (frames.length === backtrace.length) {
      return { kind: 'decoded', decoder, frames, build: known ? 'same' : 'unknown' };
    }
    complaints.push(`${decoder}: ${'problem' in answer ? answer.problem : 'unexpected answer'}`);
  }
  return {
    kind: 'failed',
    message: complaints.join('; '),
    hint: 'the decoder must know the ESP32-S3: that of ESP-IDF or espup, or llvm-addr2line',
  };
}

type Answer = { readonly text: string } | { readonly problem: string };

function ask(decoder: string, elf: string, addresses: readonly string[]): Promise<Answer> {
  // Function names, without mangling, with inlined ones, each address first.
  const args = ['-f', '-C', '-i', '-a', '-e', elf, ...addresses];
  return new Promise((resolve) => {
    const limits = { maxBuffer: decoderOutputBytesMax, timeout: decoderMs };
    execFile(decoder, args, limits, (error, stdout, stderr) => {
      if (error === null) resolve({ text: stdout });
      else if (error.killed === true)
        resolve({ problem: `no answer within ${decoderMs / 1000} s` });
      else resolve({ problem: stderr.trim().split('\n')[0] || error.message });
    });
  });
}

/** An address, then function and place of the innermost code, then of what it was inlined into. */
function readAnswer(text: string): DecodedFrame[] {
  const frames: { pc: number; places: CodePlace[] }[] = [];
  const lines = text.split(/\r?\n/);
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    if (/^0x[0-9a-f]+$/i.test(line)) frames.push({ pc: Number(line), places: [] });
    else if (line !== '' && frames.length > 0) {
      const place = lines[++i] ?? '';
      frames.at(-1)!.places.push({
        function: line === '??' ? null : line,
        place: /^\?\?|:(\?|0)$/.test(place) ? null : place.replace(/ \(discriminator \d+\)$/, ''),
      });
    }
  }
  return frames.map(({ pc, places }) => {
    const [innermost = { function: null, place: null }, ...inlinedInto] = places;
    return { pc, ...innermost, inlinedInto };
  });
}

/** One line for each frame, as a debugger shows them. */
export function decodedText(result: DecodeResult): string[] {
  switch (result.kind) {
    case 'failed':
      return [`the backtrace cannot be decoded: ${result.message}`, `hint: ${result.hint}`];
    case 'other-build':
      return [
        `the backtrace is not decoded: the board runs build ${result.printed}…, the ELF file is ` +
          `${result.file.slice(0, Math.max(9, result.printed.length))}…`,
        'hint: name the ELF file of the build that was flashed',
      ];
    case 'decoded': {
      const shown = ({ function: name, place }: CodePlace): string =>
        `${name ?? '??'}${place === null ? '' : ` at ${place}`}`;
      const doubt =
        result.build === 'same'
          ? []
          : ['the console names no build: the lines hold if this file was flashed'];
      return [
        ...doubt,
        ...result.frames.flatMap((frame, index) => [
          `#${index} 0x${frame.pc.toString(16)} ${shown(frame)}`,
          ...frame.inlinedInto.map((place) => `   inlined into ${shown(place)}`),
        ]),
      ];
    }
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
