import {
  closeSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'smol-toml';
import type { TraceEvent, TraceHeader } from './trace-event.ts';
import { encodeWav, WavWriter } from './wav-file.ts';

type WithoutSeq<T> = T extends unknown ? Omit<T, 'seq'> : never;
/** An event as its source reports it; the writer numbers it. */
export type UnnumberedEvent = WithoutSeq<TraceEvent>;

/** A piece of provider traffic, as the adapter saw it. */
export interface WireRecord {
  readonly direction: 'sent' | 'received';
  readonly atUs: number;
  readonly request: number;
  readonly kind: string;
  readonly data: Uint8Array;
}

/** The name of a folder whose recording is not finished. */
export const partialSuffix = '.partial';

/**
 * Writes one recording. Everything is appended at once and synchronously, so a killed run leaves
 * what it had; `close` patches the WAV headers, `finish` writes the manifest and renames the folder from
 * `<folder>.partial` to `<folder>`. The format is described in `recordings/README.md`.
 */
export class RecordingWriter {
  readonly folder: string;
  readonly #partial: string;
  readonly #trace: number;
  readonly #user: WavWriter;
  readonly #sent: WavWriter;
  readonly #provider = new Map<number, WavWriter>();
  readonly #wire = new Map<string, WireFile>();
  #seq = 0;

  /** @param folder the final name; an older recording there is replaced when this one is finished. */
  constructor(folder: string, header: TraceHeader) {
    this.folder = folder;
    this.#partial = folder + partialSuffix;
    rmSync(this.#partial, { recursive: true, force: true });
    mkdirSync(join(this.#partial, 'provider'), { recursive: true });
    this.#trace = openSync(join(this.#partial, 'trace.jsonl'), 'w');
    writeSync(this.#trace, `${JSON.stringify(header)}\n`);
    this.#user = new WavWriter(join(this.#partial, 'user.wav'));
    this.#sent = new WavWriter(join(this.#partial, 'sent.wav'));
  }

  /** Numbers the event and appends it. */
  event(event: UnnumberedEvent): void {
    writeSync(this.#trace, `${JSON.stringify({ seq: ++this.#seq, ...event })}\n`);
  }

  /** Appends to `user.wav`; returns the index of the first sample. */
  userAudio(samples: Int16Array): number {
    const offset = this.#user.samples;
    this.#user.write(samples);
    return offset;
  }

  sentAudio(samples: Int16Array): void {
    this.#sent.write(samples);
  }

  /** Appends normalized audio of one request to `provider/<request>.wav`. */
  providerAudio(request: number, samples: Int16Array): void {
    let file = this.#provider.get(request);
    if (file === undefined) {
      file = new WavWriter(join(this.#partial, 'provider', `${request}.wav`));
      this.#provider.set(request, file);
    }
    file.write(samples);
  }

  /** Appends raw traffic to `provider/<request>.sent` or `.received`, and its instant to an index. */
  wire(record: WireRecord): void {
    const name = `${record.request}.${record.direction}`;
    let file = this.#wire.get(name);
    if (file === undefined) {
      file = new WireFile(join(this.#partial, 'provider', name));
      this.#wire.set(name, file);
    }
    file.append(record);
  }

  /** Completes and closes the files; nothing can be appended any more. It can be read from now on. */
  close(speaker: Int16Array): void {
    writeFileSync(join(this.#partial, 'speaker.wav'), encodeWav(speaker));
    for (const wav of [this.#user, this.#sent, ...this.#provider.values()]) wav.close();
    for (const file of this.#wire.values()) file.close();
    closeSync(this.#trace);
  }

  /**
   * Writes the manifest and gives the folder its final name.
   *
   * @param manifest plan, versions, verdict and wall-clock facts, as a TOML table
   */
  finish(manifest: Record<string, unknown>): void {
    writeFileSync(join(this.#partial, 'manifest.toml'), `${stringify(manifest)}\n`);
    rmSync(this.folder, { recursive: true, force: true });
    renameSync(this.#partial, this.folder);
  }
}

/** Raw bytes in one file, and per piece a line `{atUs, kind, offset, bytes}` in `<file>.jsonl`. */
class WireFile {
  readonly #data: number;
  readonly #index: number;
  #offset = 0;

  constructor(path: string) {
    this.#data = openSync(path, 'w');
    this.#index = openSync(`${path}.jsonl`, 'w');
  }

  append(record: WireRecord): void {
    const { atUs, kind, data } = record;
    writeSync(this.#data, data);
    const line = { atUs, kind, offset: this.#offset, bytes: data.length };
    writeSync(this.#index, `${JSON.stringify(line)}\n`);
    this.#offset += data.length;
  }

  close(): void {
    closeSync(this.#data);
    closeSync(this.#index);
  }
}
