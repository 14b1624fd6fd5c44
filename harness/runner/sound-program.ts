/** Plays sounds through the loudspeaker of this machine, by a program that is there already. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeWav } from '../trace/wav-file.ts';
import type { SoundPlayer } from './voice-path.ts';

/** Programs that play a WAV file, with what stands before its name; the first one that is there is taken. */
const programs: readonly (readonly [program: string, ...words: string[]])[] = [
  ['ffplay', '-nodisp', '-autoexit', '-loglevel', 'error'],
  ['paplay'],
  ['aplay', '-q'],
  ['afplay'],
];

export const playerPrograms: readonly string[] = programs.map(([program]) => program);

export class SoundProgramError extends Error {
  override readonly name = 'SoundProgramError';
  readonly code: 'SOUND_PLAYER_MISSING' | 'SOUND_PLAYER_FAILED' | 'SOUND_RECORDER_MISSING';
  readonly hint: string;

  constructor(code: SoundProgramError['code'], message: string, hint: string) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

/**
 * The first program of {@link playerPrograms} that can be started.
 *
 * @param isThere whether a program of this name can be started
 */
export function findPlayer(isThere: (program: string) => boolean): SoundPlayer | undefined {
  const found = programs.find(([program]) => isThere(program));
  if (found === undefined) return undefined;
  const [program, ...words] = found;
  return { play: (samples, signal) => play(program, words, samples, signal) };
}

async function play(
  program: string,
  words: readonly string[],
  samples: Int16Array,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const folder = mkdtempSync(join(tmpdir(), 'echokit-sound-'));
  const file = join(folder, 'say.wav');
  try {
    writeFileSync(file, encodeWav(samples));
    await run(program, [...words, file], signal);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The last of what a program says on its stderr, for the message about its end. */
const lastWordsCharactersMax = 500;

function run(program: string, words: readonly string[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'pipe'], signal });
    let said = '';
    child.stderr.on('data', (text: Buffer) => {
      said = (said + text.toString()).slice(-lastWordsCharactersMax);
    });
    child.on('error', (error) =>
      reject(signal.aborted ? signal.reason : failed(program, error.message)),
    );
    child.on('close', (code) => {
      if (signal.aborted) reject(signal.reason);
      else if (code === 0) resolve();
      else reject(failed(program, said.trim() || `it ended with ${code}`));
    });
  });
}

function failed(program: string, words: string): SoundProgramError {
  return new SoundProgramError(
    'SOUND_PLAYER_FAILED',
    `${program} could not play the user's words: ${words}.`,
    'Check the sound output of this machine, or say the words yourself: --speak person.',
  );
}
