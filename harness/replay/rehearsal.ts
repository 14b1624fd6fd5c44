/**
 * What a thread does before the first client comes. Code that was never run is compiled when it is, for one or two
 * milliseconds, and the first answers would be late by that.
 */
import type { Clock } from '../clock/clock.ts';
import { encodeFrame, opcodes } from '../network/web-socket-frame.ts';
import type { WireConnection, WireStep } from '../trace/wire-traffic.ts';
import { acceptOf, recordedKey } from './client-bytes.ts';
import { type RecordedTraffic, recordedTraffic } from './recorded-exchange.ts';
import { RecordedProvider } from './recorded-provider.ts';
import { compareParts } from './request-part.ts';
import { withSharedAnswers } from './shared-bytes.ts';

/** A clock whose alarms are fired by hand. */
interface HandClock extends Clock {
  fireDue(): boolean;
}

const place = { host: 'rehearsal', port: 80, secure: false };
const rounds = 8;

/**
 * Has a provider of its own hold a request and a dialogue of made up bytes, and reads all requests of the recording.
 *
 * @param send as the real one will send; to where nobody listens
 */
export async function rehearse(
  traffic: RecordedTraffic,
  clock: HandClock,
  send: (data: Buffer) => void,
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const { parts } of traffic.exchanges) {
      for (const [index, part] of parts.entries()) compareParts(part, part, index);
    }
    for (const play of [request(), dialogue()]) await hold(play, clock, send);
  }
}

/** What a client sends, and when all of it is answered. */
interface Play {
  readonly recorded: WireConnection;
  readonly said: readonly Buffer[];
}

async function hold(
  { recorded, said }: Play,
  clock: HandClock,
  send: (data: Buffer) => void,
): Promise<void> {
  const provider = new RecordedProvider({
    traffic: withSharedAnswers(recordedTraffic([recorded])),
    clock,
    onDeviation: ({ message }) => {
      throw new Error(`The rehearsal of a replay failed: ${message}`);
    },
    onPiece: () => {},
  });
  const accepted = provider.answer(place, clock.nowUs());
  clock.fireDue();
  const accept = await accepted;
  const connection = accept({ closed: false, send, end: () => {}, breakOff: () => {} });
  for (const bytes of said) {
    connection.hear(bytes, clock.nowUs());
    // Several pieces of one instant leave one after the other.
    while (clock.fireDue());
  }
  connection.close();
  provider.finish();
}

function request(): Play {
  const head = Buffer.from(
    'POST /speak?voice=a HTTP/1.1\r\nHost: rehearsal\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n',
  );
  const body = Buffer.from('{"input":"word"}');
  return {
    recorded: connection([
      sent('head', head, false),
      sent('body', body, true),
      received('HTTP/1.1 200 OK\r\n\r\n'),
      received('spoken'),
    ]),
    said: [head, body],
  };
}

function dialogue(): Play {
  const upgrade = (key: string): Buffer =>
    Buffer.from(
      `GET /speak HTTP/1.1\r\nHost: rehearsal\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    );
  const run = (id: string): Buffer =>
    encodeFrame(
      {
        opcode: opcodes.text,
        payload: Buffer.from(`{"header":{"action":"run-task","task_id":"${id}"}}`),
      },
      Buffer.alloc(4),
    );
  return {
    recorded: connection([
      sent('head', upgrade(recordedKey), true),
      received(
        `HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ${acceptOf(recordedKey)}\r\n\r\n`,
      ),
      sent('frame', run('1'), true),
      received('the task 1'),
      received('has begun'),
    ]),
    said: [upgrade(Buffer.alloc(16, 1).toString('base64')), run('2')],
  };
}

function connection(steps: readonly WireStep[]): WireConnection {
  return {
    number: 1,
    steps: [{ type: 'dial', atUs: 0, ...place }, { type: 'open', atUs: 0 }, ...steps],
  };
}

function sent(kind: 'head' | 'body' | 'frame', data: Buffer, last: boolean): WireStep {
  return { type: 'sent', atUs: 0, kind, last, bytes: data.length, data };
}

function received(text: string): WireStep {
  const data = Buffer.from(text);
  return { type: 'received', atUs: 0, bytes: data.length, data };
}
