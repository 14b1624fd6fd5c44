/**
 * What a recording keeps of the connections to providers: every byte in both directions, when it was there, and how
 * each connection came and went. `recordings/README.md` describes the files, `provider/wire/<n>.*`.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { manifestFile } from './recorded-files.ts';
import { damaged } from './recording-error.ts';

/** Whom the client of a connection talks to: our server to its provider, a board to its server. */
export type WireSide = 'provider' | 'device';

/** Folder of these files within a recording. */
export function wireFolder(side: WireSide): string {
  return join(side, 'wire');
}

/** One line of `<n>.jsonl`, in the order in which it happened. */
export type WireEvent = {
  readonly atUs: number;
} /** The adapter asks for a connection; always the first line. */ & (
  | {
      readonly type: 'dial';
      readonly host: string;
      readonly port: number;
      readonly secure: boolean;
    }
  /** Bytes may be written. */
  | { readonly type: 'open' }
  /** There is no connection. `code` is the network error's. */
  | {
      readonly type: 'refused';
      readonly code: string;
      readonly message: string;
      readonly hint: string;
    }
  /** The adapter gave up before there was a connection. */
  | { readonly type: 'abandoned' }
  /**
   * The next `bytes` of `<n>.sent`: a request line with headers, a piece of a request's body, or a WebSocket frame.
   * `last`: the request ends with it.
   */
  | {
      readonly type: 'sent';
      readonly kind: 'head' | 'body' | 'frame';
      readonly bytes: number;
      readonly last: boolean;
    }
  /** The next `bytes` of `<n>.received`. */
  | { readonly type: 'received'; readonly bytes: number }
  /** The provider sends no more. */
  | { readonly type: 'end' }
  /** The connection broke; `code` and `message` are those of the socket's error. */
  | { readonly type: 'broken'; readonly code: string; readonly message: string }
  /** The adapter closed it while the provider had not. */
  | { readonly type: 'closed' }
);

/** An event and the bytes that it stands for. */
export type WireStep = WireEvent & { readonly data?: Buffer };

export interface WireConnection {
  /** From 1, in the order in which they were asked for. */
  readonly number: number;
  readonly steps: readonly WireStep[];
}

/**
 * Reads the connections of a recording, in the order of their numbers. Of one that was cut short, what is there: a
 * torn last line is dropped, and bytes that did not get to the disk are missing at the end.
 *
 * @param folder of the recording
 * @throws {RecordingError} `RECORDING_DAMAGED` when a finished recording does not hold what its lines say
 */
export function readWire(folder: string, side: WireSide = 'provider'): WireConnection[] {
  const wire = join(folder, wireFolder(side));
  if (!existsSync(wire)) return [];
  const partial = !existsSync(join(folder, manifestFile));
  return readdirSync(wire)
    .filter((name) => name.endsWith('.jsonl'))
    .map((name) => Number.parseInt(name, 10))
    .sort((a, b) => a - b)
    .map((number) => readConnection(wire, number, partial));
}

function readConnection(wire: string, number: number, partial: boolean): WireConnection {
  const rest = {
    sent: bytesOf(wire, `${number}.sent`),
    received: bytesOf(wire, `${number}.received`),
  };
  const path = join(wire, `${number}.jsonl`);
  const lines = readFileSync(path, 'utf8').split('\n');
  // What stands behind the last line break is nothing, or torn.
  if (lines.pop() !== '' && !partial)
    throw damaged(path, 'the last line is torn', lines.length + 1);
  const steps = lines.map((line, index): WireStep => {
    const event = eventOf(line, path, index + 1);
    if (event.type !== 'sent' && event.type !== 'received') return event;
    const data = rest[event.type].subarray(0, event.bytes);
    if (data.length < event.bytes && !partial) {
      const lost = event.bytes - data.length;
      throw damaged(join(wire, `${number}.${event.type}`), `${lost} bytes or more are missing`);
    }
    rest[event.type] = rest[event.type].subarray(event.bytes);
    return { ...event, data };
  });
  return { number, steps };
}

function eventOf(line: string, path: string, at: number): WireEvent {
  try {
    return JSON.parse(line) as WireEvent;
  } catch (error) {
    throw damaged(path, (error as Error).message, at);
  }
}

function bytesOf(wire: string, name: string): Buffer {
  const path = join(wire, name);
  return existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
}
