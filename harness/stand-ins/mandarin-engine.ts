import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { type FliteVoice, OfflineVoiceError } from './flite-engine.ts';

/** Speech in Mandarin, as far as the offline voice needs it. */
export interface MandarinEngine {
  /** Package and version, for cache keys and manifests. */
  readonly version: string;
  readonly rateHz: number;
  /**
   * Speaks text in Han script, with whatever else is in it. Blocks. Equal calls give equal samples.
   * @param voice which of the offline voice's timbres it should have
   * @returns mono samples at `rateHz`, owned by the caller
   * @throws {OfflineVoiceError} `OFFLINE_VOICE_FAILED`
   */
  synthesize(text: string, voice: FliteVoice): Int16Array;
}

const packageName = '@echogarden/espeak-ng-emscripten';
const rateHz = 22_050;
/** Brings a sentence with its pauses to four characters per second. */
const wordsPerMinute = 185;
/** eSpeak NG has one Mandarin speaker; pitch (0 to 99) tells the voices apart. */
const pitch: Readonly<Record<FliteVoice, number>> = { slt: 65, awb: 45, rms: 30, kal16: 50 };
const audioBytesMax = 256 * 1024 * 1024;
/** A text of an hour is spoken in seconds. */
const speechLimitMs = 120_000;

/**
 * eSpeak NG as WebAssembly (GPL-3), which the user may install beside this program and which is
 * never part of it.
 *
 * Each text is spoken by a process of its own. Two texts spoken by one instance differ from the
 * same texts spoken apart (its noise generator goes on), and a new instance can only be had
 * asynchronously, while a voice has to answer at once for the sake of virtual time. About 0.3 s.
 *
 * @returns `undefined` when the package is not installed
 */
export function findMandarinEngine(): MandarinEngine | undefined {
  const require = createRequire(import.meta.url);
  let entry: string;
  let version: string;
  try {
    entry = pathToFileURL(require.resolve(packageName)).href;
    ({ version } = require(`${packageName}/package.json`) as { version: string });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
  const name = `espeak-ng-emscripten ${version}`;
  return { version: name, rateHz, synthesize: (text, voice) => speak(name, entry, text, voice) };
}

/** What the process does: speaks as its standard input says to its standard output, s16le. */
const program = `
import { readFileSync, writeSync } from 'node:fs';
const { entry, rate, pitch, text } = JSON.parse(readFileSync(0, 'utf8'));
const { default: open } = await import(entry);
const { eSpeakNGWorker } = await open();
const worker = new eSpeakNGWorker();
if (worker.set_voice('cmn') !== 0) throw new Error('no voice cmn');
worker.set_rate(rate);
worker.set_pitch(pitch);
worker.synthesize(text, (samples) => {
  const bytes = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
  return false;
});
`;

function speak(name: string, entry: string, text: string, voice: FliteVoice): Int16Array {
  const args = ['--input-type=module', '--eval', program];
  const { status, error, stdout, stderr } = spawnSync(process.execPath, args, {
    input: JSON.stringify({ entry, rate: wordsPerMinute, pitch: pitch[voice], text }),
    maxBuffer: audioBytesMax,
    timeout: speechLimitMs,
  });
  if (status !== 0 || stdout === null || stdout.length % 2 !== 0) {
    throw new OfflineVoiceError(
      'OFFLINE_VOICE_FAILED',
      `${name} ended with code ${status} and ${stdout?.length ?? 0} bytes for ${text.length} characters with voice ${voice}` +
        `: ${error?.message ?? lastLine(stderr)}. Reinstall ${packageName}, or remove it: text in ` +
        'Han script then becomes tones.',
    );
  }
  const samples = new Int16Array(stdout.length / 2);
  for (let i = 0; i < samples.length; i++) samples[i] = stdout.readInt16LE(2 * i);
  return samples;
}

function lastLine(output: Buffer): string {
  return output.toString().trim().split('\n').at(-1) ?? '';
}
