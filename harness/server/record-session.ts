/**
 * One connection in record mode: what arrives is written to a file, nothing is sent back (EchoKit
 * device protocol reference, section 1.8).
 */
import type { WebSocket } from 'ws';
import type { Alarm, Clock } from '../clock/clock.ts';
import type { RecordFile } from './record-store.ts';
import type { ServerEvent } from './server-event.ts';

/** Silence on the socket after which a recording is finished. */
export const recordIdleUs = 60_000_000;

const tooLong = 'SERVER_RECORDING_TOO_LONG';

export interface RecordSessionOptions {
  readonly clock: Clock;
  readonly socket: WebSocket;
  readonly connection: number;
  readonly deviceId: string;
  readonly file: RecordFile;
  /** Longest recording; then it is complete (`SERVER_RECORDING_TOO_LONG`). */
  readonly samplesMax: number;
  /** As the EchoKit server: no true length in the header, no callback after a close. */
  readonly asEchoKit: boolean;
  /** Tells whoever wants to know that the recording is there. Absent: nobody. */
  callback?(file: string): Promise<void>;
  report(event: ServerEvent): void;
}

export class RecordSession {
  /** Resolves when everything about the recording has been done and reported. */
  readonly closed: Promise<void>;
  readonly #options: RecordSessionOptions;
  #idle: Alarm | undefined;
  #end: ((by: RecordEnd) => void) | undefined;
  /** Why it was ended, where that needs words. */
  #reason: string | undefined;

  constructor(options: RecordSessionOptions) {
    this.#options = options;
    const { clock, connection, deviceId, file, samplesMax, socket, report } = options;
    report({ type: 'recordStart', atUs: clock.nowUs(), connection, deviceId, file: file.name });
    const ended = new Promise<RecordEnd>((resolve) => {
      this.#end = resolve;
    });
    socket.on('message', (data: Buffer, isBinary) => {
      if (this.#end === undefined) return;
      this.#touch();
      if (!isBinary) return;
      const samples = Math.min(data.length >> 1, samplesMax - file.samples);
      try {
        file.append(data.subarray(0, 2 * samples));
      } catch (error) {
        this.#break('disk', 1011, `${(error as Error).message}`);
        return;
      }
      if (file.samples < samplesMax) return;
      const seconds = samplesMax / 16_000;
      this.#break('limit', 1008, `A recording has at most ${seconds} s (${tooLong}).`);
    });
    socket.on('error', () => {}); // `close` follows.
    socket.on('close', () => this.#over('close'));
    this.#touch();
    this.closed = ended.then((by) => this.#finish(by));
  }

  terminate(): void {
    this.#over('server');
    this.#options.socket.close(1001);
    this.#options.socket.terminate();
  }

  #touch(): void {
    this.#idle?.cancel();
    this.#idle = this.#options.clock.after(recordIdleUs, () => {
      this.#over('idle');
      this.#options.socket.close(1000);
    });
  }

  #break(by: RecordEnd, closeCode: number, reason: string): void {
    this.#reason = reason;
    this.#over(by);
    this.#options.socket.close(closeCode);
  }

  #over(by: RecordEnd): void {
    this.#idle?.cancel();
    this.#end?.(by);
    this.#end = undefined;
  }

  async #finish(by: RecordEnd): Promise<void> {
    const { clock, connection, file, asEchoKit, callback, report } = this.#options;
    try {
      file.close(!asEchoKit);
    } catch (error) {
      this.#reason ??= (error as Error).message;
    }
    const wanted = callback !== undefined && by !== 'server' && !(asEchoKit && by === 'close');
    let outcome: 'none' | 'made' | 'failed' = 'none';
    let message = this.#reason;
    if (wanted) {
      try {
        await callback(file.name);
        outcome = 'made';
      } catch (error) {
        outcome = 'failed';
        message = error instanceof Error ? error.message : String(error);
      }
    }
    report({
      type: 'recordEnd',
      atUs: clock.nowUs(),
      connection,
      file: file.name,
      samples: file.samples,
      by,
      callback: outcome,
      ...(message === undefined ? {} : { message }),
    });
  }
}

type RecordEnd = (ServerEvent & { readonly type: 'recordEnd' })['by'];
