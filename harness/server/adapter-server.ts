/**
 * The adapter server: HTTP and WebSocket around the conversations. It never listens by itself;
 * streams come from a network, so it runs over memory and over sockets alike.
 */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { type ConnectTarget, parseConnectUrl } from '../../firmware-protocol/connect-url.ts';
import { type AudioObservation, Conversation, type ConversationOptions } from './conversation.ts';
import { DeviceLink } from './device-link.ts';
import { type ServerSettings, serverSettingsDefaults } from './server-settings.ts';

export interface AdapterServerOptions
  extends Omit<ConversationOptions, 'settings' | 'observeAudio' | 'onDefect'> {
  readonly settings?: Partial<ServerSettings>;
  /** Audio for the recording. */
  observeAudio?(audio: AudioObservation): void;
  /**
   * Hears of errors that only a mistake in a program can cause; the boards have been released from
   * the turn by then. Default: the error is thrown outside of any call, which ends the process.
   */
  onDefect?(error: unknown): void;
}

export interface AdapterServer {
  /** Takes over a fresh connection of a client. */
  accept(stream: Duplex): void;
  /** Ends all turns and connections. Nothing is reported after it has resolved. */
  close(): Promise<void>;
}

/** What `/version` says: the reference server whose protocol this is. */
const protocolVersion = '0.3.2';

/** @see `harness/server/README.md` for what it does and where it differs from the reference server. */
export function createAdapterServer(options: AdapterServerOptions): AdapterServer {
  const settings: ServerSettings = { ...serverSettingsDefaults, ...options.settings };
  const shared: ConversationOptions = {
    ...options,
    settings,
    observeAudio: options.observeAudio ?? (() => {}),
    onDefect: options.onDefect ?? throwOutside,
  };
  const conversations = new Map<string, Conversation>();
  const links = new Set<DeviceLink>();
  const streams = new Set<Duplex>();
  let connections = 0;
  let closed = false;

  const connect = (socket: WebSocket, { deviceId, query }: ConnectTarget): void => {
    connections += 1;
    const link = new DeviceLink({
      clock: options.clock,
      socket,
      connection: connections,
      deviceId,
      query,
      downlinkBufferBytes: settings.downlinkBufferBytes,
      report: (event) => options.observe({ source: 'server', ...event }),
    });
    links.add(link);
    const { reconnect, opus, vowel, streamAsr } = query;
    options.observe({
      source: 'server',
      type: 'connected',
      atUs: options.clock.nowUs(),
      connection: connections,
      deviceId,
      reconnect,
      opus,
      vowel,
      streamAsr,
    });
    socket.once('close', () => links.delete(link));
    let conversation = conversations.get(deviceId);
    if (conversation === undefined) {
      conversation = new Conversation(deviceId, shared);
      conversations.set(deviceId, conversation);
    }
    conversation.attach(link);
  };

  const http = createHttpServer(settings.uplinkMessageBytes, connect);

  return {
    accept(stream) {
      if (closed) {
        stream.destroy();
        return;
      }
      streams.add(stream);
      stream.once('close', () => streams.delete(stream));
      http.emit('connection', stream);
    },
    async close() {
      closed = true;
      await Promise.all([...conversations.values()].map((conversation) => conversation.close()));
      const closing = [...links];
      for (const link of closing) link.terminate();
      await Promise.all(closing.map((link) => link.closed));
      for (const stream of streams) stream.destroy();
    },
  };
}

/** Routes of EchoKit device protocol reference, section 1.1. */
function createHttpServer(
  maxPayload: number,
  connect: (socket: WebSocket, target: ConnectTarget) => void,
): Server {
  const webSockets = new WebSocketServer({
    noServer: true,
    // Boards offer compression and cannot decode it (section 1.4).
    perMessageDeflate: false,
    clientTracking: false,
    maxPayload,
  });
  // Boards may be silent for as long as they like (section 1.7), and every limit of Node's HTTP
  // server would run on the real clock.
  const http = createServer({ requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 });
  http.timeout = 0;

  http.on('request', answerPlain);
  http.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    stream.on('error', () => {}); // `close` follows.
    const target = parseConnectUrl(request.url ?? '/');
    const refusal = target.ok ? refuseUpgrade(request, target) : target;
    if (refusal !== undefined) refuse(stream, refusal);
    else if (target.ok) {
      webSockets.handleUpgrade(request, stream, head, (socket) => connect(socket, target));
    }
  });
  return http;
}

/** Why a client that asks for an upgrade does not get it; nothing when it does. */
function refuseUpgrade(request: IncomingMessage, target: ConnectTarget): Refusal | undefined {
  if (request.method !== 'GET') return { status: 405, reason: 'Only GET can become a WebSocket.' };
  if (request.httpVersion === '1.0') {
    return { status: 426, reason: 'An HTTP/1.0 connection cannot become a WebSocket.' };
  }
  if (request.headers['sec-websocket-version'] !== '13') {
    return { status: 400, reason: 'Sec-WebSocket-Version must be 13.' };
  }
  if (target.query.record) {
    return { status: 501, reason: 'This server does not record; leave out record=true.' };
  }
  return undefined;
}

interface Refusal {
  readonly status: number;
  readonly reason: string;
}

function refuse(stream: Duplex, { status, reason }: Refusal): void {
  const body = `${reason}\n`;
  stream.once('finish', () => stream.destroy());
  stream.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'Connection: close',
      'Content-Type: text/plain; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n'),
  );
}

/** A request that does not ask for an upgrade. */
function answerPlain(request: IncomingMessage, response: ServerResponse): void {
  const answer = (status: number, body: string, type = 'text/plain; charset=utf-8'): void => {
    response.sendDate = false;
    response.writeHead(status, {
      'Content-Type': type,
      'Content-Length': Buffer.byteLength(body),
      Connection: 'close',
    });
    response.end(body);
  };
  const url = request.url ?? '/';
  const isVersion = url.split('?')[0] === '/version';
  const target = parseConnectUrl(url);
  if (!isVersion && !target.ok) answer(target.status, `${target.reason}\n`);
  else if (request.method !== 'GET') answer(405, 'Only GET is answered here.\n');
  else if (isVersion) {
    answer(200, JSON.stringify({ version: protocolVersion }), 'application/json');
  } else if (request.httpVersion === '1.0') {
    answer(426, 'An HTTP/1.0 connection cannot become a WebSocket.\n');
  } else {
    answer(400, 'This is a WebSocket address: the headers Connection and Upgrade are missing.\n');
  }
}

/** Throws where nobody can catch it, so that a defect is never silent. */
function throwOutside(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
