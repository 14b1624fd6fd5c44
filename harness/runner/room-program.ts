/** Records the room through a microphone of this machine, by a program that is there already or one that the user names. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import type { Clock } from '../clock/clock.ts';
import type { RoomListener, RoomRecorder, RunningRecorder } from './room-capture.ts';

/** What records 16-bit little-endian mono at 16 kHz to its standard output, by operating system; the first that is there. */
const programs: Readonly<Partial<Record<NodeJS.Platform, readonly (readonly string[])[]>>> = {
  linux: [
    ['parec', '--raw', '--format=s16le', '--rate=16000', '--channels=1', '--latency-msec=20'],
    ['arecord', '-q', '-t', 'raw', '-f', 's16_le', '-r', '16000', '-c', '1'],
    ffmpeg('pulse', 'default'),
  ],
  darwin: [ffmpeg('avfoundation', ':default')],
};

function ffmpeg(system: string, device: string): string[] {
  const source = ['-f', system, '-i', device];
  return [
    ...['ffmpeg', '-nostdin', '-loglevel', 'error'],
    ...source,
    ...['-ac', '1', '-ar', '16000', '-f', 's16le', '-'],
  ];
}

export function recorderPrograms(platform: NodeJS.Platform): readonly string[] {
  return (programs[platform] ?? []).map(([program]) => program!);
}

/** @param isThere whether a program of this name can be started */
export function findRecorder(
  platform: NodeJS.Platform,
  isThere: (program: string) => boolean,
): RoomRecorder | undefined {
  const found = programs[platform]?.find(([program]) => isThere(program!));
  if (found === undefined) return undefined;
  const [program, ...words] = found as [string, ...string[]];
  const start = () => spawn(program, words, { ...quietly, detached: false });
  return {
    name: program,
    start: (listener, clock) => new Program(program, start(), listener, clock),
  };
}

/** @param command for the shell; writes 16-bit little-endian mono at 16 kHz to its standard output until it is stopped */
export function commandRecorder(command: string): RoomRecorder {
  // A group of its own, so that what the shell has started ends with it.
  const detached = process.platform !== 'win32';
  const start = () => spawn(command, { ...quietly, shell: true, detached });
  return {
    name: command,
    start: (listener, clock) => new Program(command, start(), listener, clock, detached),
  };
}

const quietly: SpawnOptions = { stdio: ['ignore', 'pipe', 'pipe'] };

/** The last of what a program says on its stderr, for the message about its end. */
const lastWordsCharactersMax = 500;
/** A program that does not end when asked to gets so long. */
const stopLimitUs = 2_000_000;

class Program implements RunningRecorder {
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  readonly #isGroup: boolean;
  readonly #closed: Promise<void>;
  #over = false;
  #stopped = false;

  constructor(
    name: string,
    child: ChildProcess,
    listener: RoomListener,
    clock: Clock,
    isGroup = false,
  ) {
    this.#child = child;
    this.#clock = clock;
    this.#isGroup = isGroup;
    let said = '';
    this.#closed = new Promise((resolve) => {
      const end = (problem: string): void => {
        if (this.#over) return;
        this.#over = true;
        if (!this.#stopped) listener.ended(`${name}: ${problem}`);
        resolve();
      };
      child.on('error', (error) => end(error.message));
      child.on('close', (code, signal) => end(said.trim() || `it ended with ${code ?? signal}`));
    });
    child.stderr?.on('data', (text: Buffer) => {
      said = (said + text.toString()).slice(-lastWordsCharactersMax);
    });
    let half: Buffer = Buffer.alloc(0);
    child.stdout?.on('data', (bytes: Buffer) => {
      if (this.#stopped) return;
      const all = Buffer.concat([half, bytes]);
      const samples = Int16Array.from({ length: all.length >> 1 }, (_, i) =>
        all.readInt16LE(2 * i),
      );
      half = all.subarray(2 * samples.length);
      if (samples.length > 0) listener.sound(samples);
    });
  }

  async stop(): Promise<void> {
    if (!this.#stopped && !this.#over) this.#kill('SIGTERM');
    this.#stopped = true;
    const limit = this.#clock.after(stopLimitUs, () => this.#kill('SIGKILL'));
    await this.#closed;
    limit.cancel();
  }

  #kill(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      if (this.#isGroup) process.kill(-pid, signal);
      else this.#child.kill(signal);
    } catch {
      // It has ended already.
    }
  }
}
