import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FliteVoice, OfflineVoiceError } from './flite-engine.ts';

/** `clips.json` in the folder of the clips. */
export interface KeptClipIndex {
  /** Engine and version. */
  readonly madeWith: string;
  readonly clips: readonly KeptClipEntry[];
}

export interface KeptClipEntry {
  readonly text: string;
  readonly voice: FliteVoice;
  /** Name of a WAV file in the folder: 16 kHz, mono, 16 bit, the plain 44-byte header. */
  readonly file: string;
  /** SHA-256 of the file, in hexadecimal. */
  readonly sha256: string;
}

const rateHz = 16_000;
const headerBytes = 44;

/**
 * Speech that is kept as recordings, so that it sounds the same on every machine whatever is
 * installed there. A text is found by its words and its voice.
 */
export class KeptClips {
  /** What manifests call the source. */
  readonly version: string;
  readonly #folder: string;
  readonly #entries = new Map<string, KeptClipEntry>();

  /**
   * Reads the index; clips are read when they are asked for, synchronously.
   *
   * @param normalize brings a text to the form in which texts are compared
   * @throws errors of the file system and of JSON as they are
   */
  constructor(folder: string, normalize: (text: string) => string) {
    const index = JSON.parse(
      readFileSync(path.join(folder, 'clips.json'), 'utf8'),
    ) as KeptClipIndex;
    this.version = `kept clips of ${index.madeWith}`;
    this.#folder = folder;
    for (const entry of index.clips) {
      this.#entries.set(keyOf(normalize(entry.text), entry.voice), entry);
    }
  }

  /** @param text in its normal form */
  find(text: string, voice: FliteVoice): KeptClipEntry | undefined {
    return this.#entries.get(keyOf(text, voice));
  }

  /**
   * @returns 16 kHz mono samples, owned by the caller
   * @throws {OfflineVoiceError} `OFFLINE_VOICE_CLIP` when the file is missing or not the one of the
   *   index: another clip in its place would silently give other figures
   */
  read(entry: KeptClipEntry): Int16Array {
    const file = path.join(this.#folder, entry.file);
    let wav: Buffer;
    try {
      wav = readFileSync(file);
    } catch (error) {
      throw damaged(file, (error as Error).message, error);
    }
    const found = createHash('sha256').update(wav).digest('hex');
    if (found !== entry.sha256) {
      const short = (digest: string): string => `${digest.slice(0, 12)}…`;
      throw damaged(file, `its SHA-256 is ${short(found)} and not ${short(entry.sha256)}`);
    }
    if (wav.readUInt32LE(24) !== rateHz) throw damaged(file, `it is at ${wav.readUInt32LE(24)} Hz`);
    const samples = new Int16Array((wav.length - headerBytes) >> 1);
    for (let i = 0; i < samples.length; i++) samples[i] = wav.readInt16LE(headerBytes + 2 * i);
    return samples;
  }
}

/** The clips of the shipped scenarios: beside the sources, and beside the compiled package. */
export function shippedClipsFolder(): string | undefined {
  const candidates = ['../../scenarios/clips', '../../../scenarios/clips'];
  const folders = candidates.map((up) => fileURLToPath(new URL(up, import.meta.url)));
  return folders.find((folder) => existsSync(path.join(folder, 'clips.json')));
}

function keyOf(text: string, voice: FliteVoice): string {
  return `${voice}\n${text}`;
}

function damaged(file: string, what: string, cause?: unknown): OfflineVoiceError {
  return new OfflineVoiceError(
    'OFFLINE_VOICE_CLIP',
    `The clip ${file} cannot be used: ${what}. Restore scenarios/clips from the repository or reinstall the package.`,
    cause,
  );
}
