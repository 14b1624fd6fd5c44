/** For tests: recorded connections made by hand, and a client that writes and listens by the microsecond. */
import type { Duplex } from 'node:stream';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { encodeFrame } from '../network/web-socket-frame.ts';
import type { WireConnection, WireStep } from '../trace/wire-traffic.ts';
import { recordedTraffic } from './recorded-exchange.ts';
import { RecordedProvider, type ReplayDeviation } from './recorded-provider.ts';

export const target = { host: 'speech.test', port: 443, secure: true };

export type PlantedStep = readonly [
  atUs: number,
  type:
    | 'open'
    | 'end'
    | 'closed'
    | 'abandoned'
    | 'refused'
    | 'broken'
    | 'head'
    | 'body'
    | 'frame'
    | 'received',
  content?: string,
];

export function connection(number: number, steps: readonly PlantedStep[]): WireConnection {
  const { host, port, secure } = target;
  const [[firstUs]] = steps as [PlantedStep];
  return {
    number,
    steps: [
      { type: 'dial', atUs: firstUs - 100, host, port, secure },
      ...steps.map(([atUs, type, content = '']): WireStep => {
        if (type === 'refused') {
          return { atUs, type, code: 'NETWORK_REFUSED', message: content, hint: 'Try again.' };
        }
        if (type === 'broken') return { atUs, type, code: content, message: `read ${content}` };
        if (type === 'open' || type === 'end' || type === 'closed' || type === 'abandoned') {
          return { atUs, type };
        }
        const data =
          type === 'frame'
            ? encodeFrame({ opcode: 1, payload: Buffer.from(content) }, Buffer.alloc(4))
            : Buffer.from(content);
        const bytes = data.length;
        if (type === 'received') return { atUs, type, bytes, data };
        const last = type !== 'head' || !/content-length/i.test(content);
        return { atUs, type: 'sent', kind: type, bytes, last, data };
      }),
    ],
  };
}

export function head(body: string, more: readonly string[] = []): string {
  const lines = [
    'POST /v1/speech?format=pcm HTTP/1.1',
    'Host: speech.test',
    'Authorization: [redacted]',
    'model: s1',
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    ...more,
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

export const upgrade = [
  'GET /stream HTTP/1.1',
  'Host: speech.test',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
];

/** What a client of the recorded provider saw. */
export interface Heard {
  readonly atUs: number;
  readonly what: string;
}

export class ReplayStage {
  readonly clock = new SimulatedClock();
  readonly deviations: ReplayDeviation[] = [];
  readonly provider: RecordedProvider;

  constructor(connections: readonly WireConnection[]) {
    this.provider = new RecordedProvider({
      traffic: recordedTraffic(connections),
      clock: this.clock,
      noteActivity: () => this.clock.noteActivity(),
      onDeviation: (deviation) => this.deviations.push(deviation),
    });
  }

  async dial(): Promise<{ readonly stream: Duplex; readonly heard: Heard[] }> {
    const stream = await this.provider.dial(target);
    const heard: Heard[] = [];
    const hear = (what: string): void => void heard.push({ atUs: this.clock.nowUs(), what });
    stream.on('data', (chunk: Buffer) => hear(chunk.toString('latin1')));
    stream.on('end', () => hear('end'));
    stream.on('error', (error: NodeJS.ErrnoException) => hear(`error ${error.code}`));
    return { stream, heard };
  }

  /** Sends a request over a connection of its own and listens for `forUs`. */
  async ask(text: string, forUs = 10_000): Promise<Heard[]> {
    const { stream, heard } = await this.dial();
    stream.write(text);
    await this.clock.sleep(forUs);
    stream.destroy();
    return heard;
  }
}
