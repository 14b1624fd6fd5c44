import {
  closeSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'smol-toml';
import { manifestFile, recordedFiles } from './recorded-files.ts';
import { type MaskedStream, type MaskedWire, SecretMask } from './secret-mask.ts';
import type { TraceEvent, TraceHeader } from './trace-event.ts';
import { encodeWav, WavWriter } from './wav-file.ts';
import { type WireEvent, type WireSide, wireFolder } from './wire-traffic.ts';

type WithoutSeq<T> = T extends unknown ? Omit<T, 'seq'> : never;
/** An event as its source reports it; the writer numbers it. */
export type UnnumberedEvent = WithoutSeq<TraceEvent>;

/** Name of the file with what the board's microphone heard. */
export const microphoneFile = 'microphone.wav';
/** Name of the file with what a microphone of the host heard. */
export const roomFile = 'room.wav';

/** Name of the file with what the speaker of a real board has played, where the board hands it out. */
export const boardSpeakerFile = 'board-speaker.wav';

/** A piece of provider traffic, as the adapter saw it. */
export interface WireRecord {
  readonly direction: 'sent' | 'received';
  readonly atUs: number;
  readonly request: number;
  readonly kind: string;
  /** The connection that it ran on, as in {@link RecordingWriter.wireEvent}; absent: not known. */
  readonly connection?: number | undefined;
  readonly data: Uint8Array;
}

/** Folder with what the run was made of. */
export const inputsFolder = 'inputs';

/** The name of a folder whose recording is not finished. */
export const partialSuffix = '.partial';

/**
 * Writes one recording. Everything is appended at once and synchronously, so a killed run leaves
 * what it had; `close` patches the WAV headers, `finish` writes the manifest and renames the folder from
 * `<folder>.partial` to `<folder>`. Secrets that a service has echoed are replaced before they get to the
 * disk. The format is described in `recordings/README.md`.
 */
export class RecordingWriter {
  readonly folder: string;
  readonly #partial: string;
  readonly #mask: SecretMask;
  readonly #trace: number;
  readonly #user: WavWriter;
  readonly #sent: WavWriter;
  #microphone: WavWriter | undefined;
  #room: WavWriter | undefined;
  #hasBoardSpeaker = false;
  readonly #provider = new Map<number, WavWriter>();
  readonly #wire = new Map<string, WireFile>();
  readonly #connections = new Map<string, ConnectionFile>();
  readonly #failed = new AbortController();
  #burden: (() => void) | undefined;
  #seq = 0;
  #closed = false;
  #observer: ((event: TraceEvent) => void) | undefined;

  /**
   * @param folder the final name; an older recording there is replaced when this one is finished.
   * @param secrets values that must not get to the disk
   */
  constructor(folder: string, header: TraceHeader, secrets: readonly string[] = []) {
    this.folder = folder;
    this.#mask = new SecretMask(secrets);
    this.#partial = folder + partialSuffix;
    rmSync(this.#partial, { recursive: true, force: true });
    mkdirSync(join(this.#partial, 'provider'), { recursive: true });
    // A trace has its header as soon as it is there.
    const trace = join(this.#partial, 'trace.jsonl');
    writeFileSync(`${trace}.new`, `${this.#mask.text(JSON.stringify(header))}\n`);
    renameSync(`${trace}.new`, trace);
    this.#trace = openSync(trace, 'a');
    this.#user = new WavWriter(join(this.#partial, 'user.wav'));
    this.#sent = new WavWriter(join(this.#partial, 'sent.wav'));
  }

  /** There is a {@link boardSpeakerFile}; known when it is closed. */
  get hasBoardSpeaker(): boolean {
    return this.#hasBoardSpeaker;
  }

  /**
   * Aborts, with a {@link RecordingWriteError}, when something could not be written. What comes behind it is left out:
   * the recording ends there.
   */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  /** Is called before every write from now on; what it throws the write has failed with. For planted faults. */
  burden(burden: (() => void) | undefined): void {
    this.#burden = burden;
  }

  /** Numbers the event and appends it. */
  event(event: UnnumberedEvent): void {
    this.#append(() => {
      const numbered: TraceEvent = { seq: ++this.#seq, ...event };
      this.#line(numbered);
      this.#observer?.(numbered);
    });
  }

  /** Shows every further event as it is appended, before secrets are replaced in it. */
  observe(observer: (event: TraceEvent) => void): void {
    this.#observer = observer;
  }

  /** Appends to `user.wav`; returns the index of the first sample. */
  userAudio(samples: Int16Array): number {
    const offset = this.#user.samples;
    this.#append(() => this.#user.write(samples));
    return offset;
  }

  /**
   * Appends to `microphone.wav`, which is made when it is first called.
   *
   * @param position index of the first sample, never before what is there; what is left out is silence
   */
  microphoneAudio(position: number, samples: Int16Array): void {
    this.#append(() => {
      this.#microphone ??= new WavWriter(join(this.#partial, microphoneFile));
      this.#microphone.write(new Int16Array(position - this.#microphone.samples));
      this.#microphone.write(samples);
    });
  }

  /** Appends to `room.wav`, which is made when it is first called. */
  roomAudio(samples: Int16Array): void {
    this.#append(() => {
      this.#room ??= new WavWriter(join(this.#partial, roomFile));
      this.#room.write(samples);
    });
  }

  sentAudio(samples: Int16Array): void {
    this.#append(() => this.#sent.write(samples));
  }

  /** Appends normalized audio of one request to `provider/<request>.wav`. */
  providerAudio(request: number, samples: Int16Array): void {
    this.#append(() => {
      let file = this.#provider.get(request);
      if (file === undefined) {
        file = new WavWriter(join(this.#partial, 'provider', `${request}.wav`));
        this.#provider.set(request, file);
      }
      file.write(samples);
    });
  }

  /** Appends raw traffic to `provider/<request>.sent` or `.received`, and its instant to an index. */
  wire(record: WireRecord): void {
    const name = `${record.request}.${record.direction}`;
    this.#append(() => {
      let file = this.#wire.get(name);
      if (file === undefined) {
        file = new WireFile(join(this.#partial, 'provider', name), this.#mask);
        this.#wire.set(name, file);
      }
      file.append(record);
    });
  }

  /**
   * Appends to the files of a connection to the provider. The bytes of `received` events come in their order, but
   * perhaps later: then with an event of 0 bytes.
   *
   * @param connection from 1, in the order in which they were asked for
   * @param side whom the client talks to: the provider, or a board to its server
   */
  wireEvent(
    connection: number,
    event: WireEvent,
    data?: Uint8Array,
    side: WireSide = 'provider',
  ): void {
    // What is still open is closed after the recording.
    if (this.#closed) return;
    const path = join(wireFolder(side), `${connection}`);
    this.#append(() => {
      let file = this.#connections.get(path);
      if (file === undefined) {
        file = new ConnectionFile(join(this.#partial, path), this.#mask);
        this.#connections.set(path, file);
      }
      file.append(event, data);
    });
  }

  /**
   * Writes a file of what the run was made of to `inputs/<name>`. Text is written without secrets.
   *
   * @param name without folders
   */
  input(name: string, content: string | Uint8Array): void {
    const folder = join(this.#partial, inputsFolder);
    mkdirSync(folder, { recursive: true });
    const clean = typeof content === 'string' ? this.#mask.text(content) : content;
    writeFileSync(join(folder, name), clean);
  }

  /**
   * Completes and closes the files; nothing can be appended any more. It can be read from now on.
   *
   * @param boardSpeaker see {@link boardSpeakerFile}; absent: nothing is known but the model's `speaker`
   */
  close(speaker: Int16Array, boardSpeaker?: Int16Array): void {
    writeFileSync(join(this.#partial, 'speaker.wav'), encodeWav(speaker));
    this.#hasBoardSpeaker = boardSpeaker !== undefined;
    if (boardSpeaker !== undefined) {
      writeFileSync(join(this.#partial, boardSpeakerFile), encodeWav(boardSpeaker));
    }
    const wavs = [this.#user, this.#sent, this.#microphone, this.#room, ...this.#provider.values()];
    for (const wav of wavs) wav?.close();
    for (const file of [...this.#wire.values(), ...this.#connections.values()]) file.close();
    closeSync(this.#trace);
    this.#closed = true;
  }

  /**
   * Writes the manifest, with what all other files are, and gives the folder its final name.
   *
   * @param manifest plan, versions, verdict and wall-clock facts, as a TOML table
   */
  finish(manifest: Record<string, unknown>): void {
    const files = stringify({ files: recordedFiles(this.#partial) });
    writeFileSync(
      join(this.#partial, manifestFile),
      `${this.#mask.text(stringify(manifest))}\n${files}\n`,
    );
    rmSync(this.folder, { recursive: true, force: true });
    renameSync(this.#partial, this.folder);
  }

  /** Removes what was written. In the place of {@link finish}. */
  discard(): void {
    rmSync(this.#partial, { recursive: true, force: true });
  }

  /** Nothing is written behind something that could not be. */
  #append(write: () => void): void {
    if (this.#failed.signal.aborted) return;
    try {
      this.#burden?.();
      write();
    } catch (error) {
      if (!isFileError(error)) throw error;
      this.#failed.abort(new RecordingWriteError(this.#partial, error));
    }
  }

  #line(record: TraceEvent): void {
    writeSync(this.#trace, `${this.#mask.text(JSON.stringify(record))}\n`);
  }
}

export class RecordingWriteError extends Error {
  override readonly name = 'RecordingWriteError';
  readonly code: 'RECORDING_DISK_FULL' | 'RECORDING_NOT_WRITTEN';
  readonly hint: string;

  constructor(folder: string, cause: NodeJS.ErrnoException) {
    const full = cause.code === 'ENOSPC' || cause.code === 'EDQUOT';
    super(
      full
        ? `The disk is full: the recording ${folder} ends here (${cause.code}).`
        : `The recording ${folder} cannot be written any more (${cause.code}): it ends here.`,
      { cause },
    );
    this.code = full ? 'RECORDING_DISK_FULL' : 'RECORDING_NOT_WRITTEN';
    this.hint = full
      ? 'make room, or name a folder on another disk with --out; then run it again'
      : 'look at the disk and the rights of the folder, or name another one with --out; then run it again';
  }
}

/** Of the system, by its code: `ENOSPC`. */
function isFileError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && /^E[A-Z]+$/.test(String(error.code));
}

/** Raw bytes in one file, and per piece a line `{atUs, kind, offset, bytes}` in `<file>.jsonl`. */
class WireFile {
  readonly #data: number;
  readonly #index: number;
  readonly #masked: MaskedStream;
  #offset = 0;

  constructor(path: string, mask: SecretMask) {
    this.#data = openSync(path, 'w');
    this.#masked = mask.stream((bytes) => void writeSync(this.#data, bytes));
    this.#index = openSync(`${path}.jsonl`, 'w');
  }

  append(record: WireRecord): void {
    const { atUs, kind, connection, data } = record;
    this.#masked.push(data);
    const line = {
      atUs,
      kind,
      offset: this.#offset,
      bytes: data.length,
      ...(connection !== undefined && { connection }),
    };
    writeSync(this.#index, `${JSON.stringify(line)}\n`);
    this.#offset += data.length;
  }

  close(): void {
    this.#masked.end();
    closeSync(this.#data);
    closeSync(this.#index);
  }
}

/** Nothing follows them on a connection. */
const lastWireEvents: readonly WireEvent['type'][] = [
  'refused',
  'abandoned',
  'end',
  'broken',
  'closed',
];

/** The bytes of both directions, and what happened in one list of lines. Closed with the connection. */
class ConnectionFile {
  readonly #events: number;
  readonly #data: Record<'sent' | 'received', number>;
  readonly #masked: Record<'sent' | 'received', MaskedWire>;
  #closed = false;

  constructor(path: string, mask: SecretMask) {
    mkdirSync(dirname(path), { recursive: true });
    this.#events = openSync(`${path}.jsonl`, 'w');
    this.#data = {
      sent: openSync(`${path}.sent`, 'w'),
      received: openSync(`${path}.received`, 'w'),
    };
    const masked = (file: number): MaskedWire => mask.wire((bytes) => void writeSync(file, bytes));
    this.#masked = { sent: masked(this.#data.sent), received: masked(this.#data.received) };
  }

  append(event: WireEvent, data: Uint8Array | undefined): void {
    if (this.#closed) return;
    if (data !== undefined && (event.type === 'sent' || event.type === 'received')) {
      this.#masked[event.type].push(data);
    }
    if (event.type === 'received' && event.bytes === 0) return;
    writeSync(this.#events, `${JSON.stringify(event)}\n`);
    if (lastWireEvents.includes(event.type)) this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const direction of ['sent', 'received'] as const) {
      this.#masked[direction].end();
      closeSync(this.#data[direction]);
    }
    closeSync(this.#events);
  }
}
