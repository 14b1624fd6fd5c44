/** For tests: a server on this machine in the place of a provider's real one, with scripted answers. */
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { testCertificate, testCertificateKey } from '../network/test-certificate.contract.ts';

export interface ServiceRequest {
  /** From 1. */
  readonly ordinal: number;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export interface ServiceAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Written one after the other, so that they arrive in pieces. */
  readonly body: readonly (string | Uint8Array)[];
}

export interface ServiceScript {
  readonly tls?: boolean;
  readonly answer?: (request: ServiceRequest) => ServiceAnswer;
  /** Speaks on an accepted WebSocket; an answer instead refuses the upgrade. */
  readonly socket?: (
    request: ServiceRequest,
    accept: () => Promise<WebSocket>,
  ) => ServiceAnswer | undefined;
}

export class ScriptedService {
  readonly requests: ServiceRequest[] = [];
  readonly #server: http.Server;
  readonly #script: ServiceScript;
  #port = 0;

  private constructor(script: ServiceScript) {
    this.#script = script;
    this.#server =
      script.tls === true
        ? https.createServer({ cert: testCertificate, key: testCertificateKey })
        : http.createServer();
    this.#server.on('request', (incoming, response) => this.#onRequest(incoming, response));
    const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
    this.#server.on('upgrade', (incoming, stream, head) => {
      stream.on('error', () => {});
      const accept = (): Promise<WebSocket> =>
        new Promise((resolve) => {
          sockets.handleUpgrade(incoming, stream, head, (socket) => {
            socket.on('error', () => {});
            resolve(socket);
          });
        });
      const refusal = this.#script.socket?.(this.#note(incoming, ''), accept);
      if (refusal !== undefined) refuse(stream, refusal);
    });
  }

  static async open(script: ServiceScript): Promise<ScriptedService> {
    const service = new ScriptedService(script);
    await new Promise<void>((resolve) => service.#server.listen(0, '127.0.0.1', resolve));
    service.#port = (service.#server.address() as AddressInfo).port;
    return service;
  }

  /** On 127.0.0.1; also when it is closed. */
  get port(): number {
    return this.#port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #note({ url = '', headers }: http.IncomingMessage, body: string): ServiceRequest {
    const request = { ordinal: this.requests.length + 1, url, headers, body };
    this.requests.push(request);
    return request;
  }

  #onRequest(incoming: http.IncomingMessage, response: http.ServerResponse): void {
    const pieces: Buffer[] = [];
    incoming.on('data', (piece: Buffer) => pieces.push(piece));
    incoming.once('end', () => {
      const request = this.#note(incoming, Buffer.concat(pieces).toString());
      const {
        status = 200,
        headers = {},
        body,
      } = this.#script.answer?.(request) ?? {
        status: 404,
        body: [],
      };
      response.writeHead(status, headers);
      const write = (at: number): void => {
        if (at === body.length) response.end();
        else response.write(body[at], () => write(at + 1));
      };
      write(0);
    });
  }
}

function refuse(stream: Duplex, { status = 400, headers = {}, body }: ServiceAnswer): void {
  const text = body.map(String).join('');
  const lines = Object.entries({ ...headers, 'content-length': `${Buffer.byteLength(text)}` });
  stream.end(
    `HTTP/1.1 ${status} No\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${text}`,
  );
}

/** A tone at 16 kHz. */
export function toneSamples(seconds: number): Int16Array {
  const bytes = tonePcm(16_000, seconds);
  return Int16Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readInt16LE(2 * i));
}

/** A tone, as 16-bit samples of one channel. */
export function tonePcm(rateHz: number, seconds: number): Buffer {
  const count = Math.round(rateHz * seconds);
  const bytes = Buffer.alloc(2 * count);
  for (let i = 0; i < count; i++) {
    bytes.writeInt16LE(Math.round(9000 * Math.sin((2 * Math.PI * 440 * i) / rateHz)), 2 * i);
  }
  return bytes;
}
