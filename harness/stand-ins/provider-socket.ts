import type { Duplex } from 'node:stream';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import {
  type OpenRequest,
  type ProviderServer,
  socketMessageBytesMax,
  type Upgrade,
} from './provider-server.ts';

/** What serves one WebSocket. */
export interface SocketService {
  /** Not called after {@link ProviderSocket.close}, `cut` or the client's close. */
  message(data: Buffer, isBinary: boolean): void;
  /** The connection is gone, whoever ended it: forget everything planned, end the log entry. */
  closed(code: number): void;
}

/** A close frame holds two bytes of code and 123 of reason. */
const closeReasonBytesMax = 123;

/** The provider's end of one WebSocket, with its entry in the log. */
export class ProviderSocket {
  readonly entry: OpenRequest;
  readonly #server: ProviderServer;
  readonly #socket: WebSocket;
  readonly #stream: Duplex;
  #over = false;

  constructor(
    server: ProviderServer,
    socket: WebSocket,
    { stream, entry }: Pick<Upgrade, 'stream' | 'entry'>,
    serve: (socket: ProviderSocket) => SocketService,
  ) {
    this.#server = server;
    this.#socket = socket;
    this.#stream = stream;
    this.entry = entry;
    entry.status = 101;
    const service = serve(this);
    socket.on('message', (data: RawData, isBinary) => {
      if (!this.#over) service.message(data as Buffer, isBinary);
    });
    socket.on('error', () => {});
    socket.once('close', (code) => {
      entry.closeCode ??= code;
      this.#over = true;
      service.closed(code);
    });
  }

  /** Closed from this end, broken off or gone. */
  get over(): boolean {
    return this.#over;
  }

  /** A text frame for a string, a binary one for bytes. */
  send(message: string | Uint8Array): void {
    this.#socket.send(message);
  }

  /** Closes; a reason that is too long is cut as the services do. */
  close(code: number, reason = ''): void {
    this.#over = true;
    this.entry.closeCode = code;
    this.#server.conclude(this.entry, 'answered');
    this.#socket.close(code, truncateUtf8(reason, closeReasonBytesMax));
  }

  /** Breaks the connection behind what has been sent; a close frame never comes. */
  cut(): void {
    this.#over = true;
    this.#server.conclude(this.entry, 'cut');
    this.#stream.end(() => this.#socket.terminate());
  }

  /** Breaks the connection at once. */
  terminate(): void {
    this.#socket.terminate();
  }
}

/** The open WebSockets of one stand-in. */
export class SocketHost {
  readonly #server: ProviderServer;
  readonly #upgrades = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: socketMessageBytesMax,
  });
  readonly #open = new Set<ProviderSocket>();

  constructor(server: ProviderServer) {
    this.#server = server;
  }

  /** Answers a request to upgrade with 101. */
  open(upgrade: Upgrade, serve: (socket: ProviderSocket) => SocketService): void {
    this.#upgrades.handleUpgrade(upgrade.incoming, upgrade.stream, upgrade.head, (webSocket) => {
      const socket = new ProviderSocket(this.#server, webSocket, upgrade, serve);
      this.#open.add(socket);
      webSocket.once('close', () => this.#open.delete(socket));
    });
  }

  /** Breaks all connections at once. */
  terminate(): void {
    for (const socket of this.#open) socket.terminate();
  }
}

function truncateUtf8(text: string, bytesMax: number): string {
  let out = text;
  while (Buffer.byteLength(out) > bytesMax) out = out.slice(0, -1);
  return out;
}
