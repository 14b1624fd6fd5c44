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
import {
  type ConnectQuery,
  type ConnectTarget,
  parseConnectUrl,
} from '../../firmware-protocol/connect-url.ts';
import type { ServerEvent as DeviceMessage } from '../../firmware-protocol/server-event.ts';
import { type AudioObservation, Conversation, type ConversationOptions } from './conversation.ts';
import type { IgnorableParameter, InsertableMessage } from './deviation-items.ts';
import { DeviceLink } from './device-link.ts';
import { RecordSession } from './record-session.ts';
import type { RecordStore } from './record-store.ts';
import { type ServerSettings, serverSettingsDefaults } from './server-settings.ts';

export interface AdapterServerOptions
  extends Omit<ConversationOptions, 'settings' | 'observeAudio' | 'onDefect'> {
  readonly settings?: Partial<ServerSettings>;
  /** Where record mode writes. Absent: it is refused, and there are no downloads. */
  readonly records?: RecordStore;
  /** Tells of a recording: `[record] callback_url`. */
  recordCallback?(body: RecordNotice): Promise<void>;
  /** Audio for the recording. */
  observeAudio?(audio: AudioObservation): void;
  /**
   * Hears of errors that only a mistake in a program can cause; the boards have been released from
   * the turn by then. Default: the error is thrown outside of any call, which ends the process.
   */
  onDefect?(error: unknown): void;
}

export type Intervention =
  | { readonly kind: 'ping' }
  /** A message in between; it belongs to no turn. */
  | { readonly kind: 'message'; readonly event: InsertableMessage }
  /** Closes the connection with this code. */
  | { readonly kind: 'close'; readonly code: number }
  /** Says goodbye to everybody with code 1001, as a server that is being shut down. */
  | { readonly kind: 'shutdown' };

/** What a callback is told, as JSON. */
export interface RecordNotice {
  readonly id: string;
  readonly download_uri: string;
}

export interface AdapterServer {
  /** Takes over a fresh connection of a client. */
  accept(stream: Duplex): void;
  /**
   * Makes the server do on its newest connection what it does not do by itself.
   *
   * @returns false when no connection is open
   */
  intervene(intervention: Intervention): boolean;
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
  const { records, recordCallback } = options;
  const conversations = new Map<string, Conversation>();
  const recordings = new Set<RecordSession>();
  const links = new Set<DeviceLink>();
  const streams = new Set<Duplex>();
  let connections = 0;
  let closed = false;

  const record = (socket: WebSocket, deviceId: string, store: RecordStore): void => {
    const file = store.begin(deviceId);
    const asEchoKit = settings.recordAsEchoKit;
    const session = new RecordSession({
      clock: options.clock,
      socket,
      connection: connections,
      deviceId,
      file,
      asEchoKit,
      ...(recordCallback && {
        callback: (name) =>
          recordCallback({ id: deviceId, download_uri: downloadUri(deviceId, name, asEchoKit) }),
      }),
      report: (event) => options.observe({ source: 'server', ...event }),
    });
    recordings.add(session);
    void session.closed.then(() => recordings.delete(session));
  };

  const connect = (socket: WebSocket, { deviceId, query }: ConnectTarget): void => {
    connections += 1;
    if (query.record) {
      // The upgrade is refused when there is no store.
      record(socket, deviceId, records!);
      return;
    }
    const link = new DeviceLink({
      clock: options.clock,
      socket,
      connection: connections,
      deviceId,
      query: withoutIgnored(query, settings.ignoredParameters),
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

  const http = createHttpServer(settings, records, connect);

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
    intervene(intervention) {
      if (intervention.kind === 'shutdown') {
        const open = [...links].filter((link) => link.open);
        for (const link of open) link.terminate();
        return open.length > 0;
      }
      const link = [...links].findLast(({ open }) => open);
      if (link === undefined) return false;
      if (intervention.kind === 'ping') link.ping();
      else if (intervention.kind === 'close') link.close(intervention.code);
      else link.write(emptyMessage(intervention.event), { turn: 0 });
      return true;
    },
    async close() {
      closed = true;
      await Promise.all([...conversations.values()].map((conversation) => conversation.close()));
      const closing = [...links];
      for (const link of closing) link.terminate();
      const writing = [...recordings];
      for (const session of writing) session.terminate();
      await Promise.all([...closing, ...writing].map(({ closed }) => closed));
      for (const stream of streams) stream.destroy();
    },
  };
}

/** Routes of EchoKit device protocol reference, section 1.1. */
function createHttpServer(
  { uplinkMessageBytes: maxPayload, recordAsEchoKit, compression }: ServerSettings,
  records: RecordStore | undefined,
  connect: (socket: WebSocket, target: ConnectTarget) => void,
): Server {
  const webSockets = new WebSocketServer({
    noServer: true,
    // Boards offer compression and cannot decode it (section 1.4).
    perMessageDeflate: compression && { threshold: 0 },
    clientTracking: false,
    maxPayload,
  });
  // Boards may be silent for as long as they like (section 1.7), and every limit of Node's HTTP
  // server would run on the real clock.
  const http = createServer({ requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 });
  http.timeout = 0;

  http.on('request', (request: IncomingMessage, response: ServerResponse) =>
    answerPlain(request, response, records, recordAsEchoKit),
  );
  http.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    stream.on('error', () => {}); // `close` follows.
    const target = parseConnectUrl(request.url ?? '/');
    const refusal = target.ok ? refuseUpgrade(request, target, records) : target;
    if (refusal !== undefined) refuse(stream, refusal);
    else if (target.ok) {
      webSockets.handleUpgrade(request, stream, head, (socket) => connect(socket, target));
    }
  });
  return http;
}

/** Why a client that asks for an upgrade does not get it; nothing when it does. */
function refuseUpgrade(
  request: IncomingMessage,
  target: ConnectTarget,
  records: RecordStore | undefined,
): Refusal | undefined {
  if (request.method !== 'GET') return { status: 405, reason: 'Only GET can become a WebSocket.' };
  if (request.httpVersion === '1.0') {
    return { status: 426, reason: 'An HTTP/1.0 connection cannot become a WebSocket.' };
  }
  if (request.headers['sec-websocket-version'] !== '13') {
    return { status: 400, reason: 'Sec-WebSocket-Version must be 13.' };
  }
  if (target.query.record && records === undefined) {
    return { status: 501, reason: 'This server does not record; start it with --record <folder>.' };
  }
  if (target.query.record && records?.accepts(target.deviceId) === false) {
    return { status: 400, reason: 'This id cannot name a folder of recordings.' };
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
function answerPlain(
  request: IncomingMessage,
  response: ServerResponse,
  records: RecordStore | undefined,
  asEchoKit: boolean,
): void {
  const answer = (
    status: number,
    body: string | Uint8Array,
    type = 'text/plain; charset=utf-8',
  ): void => {
    response.sendDate = false;
    response.writeHead(status, {
      'Content-Type': type,
      'Content-Length': Buffer.byteLength(body),
      Connection: 'close',
    });
    response.end(body);
  };
  const url = request.url ?? '/';
  const path = url.split('?')[0]!;
  const isVersion = path === '/version';
  const download = records && request.method === 'GET' ? downloadAt(path) : undefined;
  if (records !== undefined && download !== undefined) {
    if (download.file === undefined) {
      const files = records.list(download.deviceId);
      const shown = (files ?? []).map((name) => ({
        file_name: name,
        download_url: listedUrl(download.deviceId, name, asEchoKit),
      }));
      answer(files === undefined ? 500 : 200, JSON.stringify(shown), 'application/json');
      return;
    }
    const content = records.read(download.deviceId, download.file);
    if (content === undefined) answer(404, 'Not found');
    else answer(200, content, 'audio/wav');
    return;
  }
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

/** What the connection is taken to ask for. */
function withoutIgnored(query: ConnectQuery, ignored: readonly IgnorableParameter[]): ConnectQuery {
  const asks = (parameter: IgnorableParameter, value: boolean): boolean =>
    value && !ignored.includes(parameter);
  return {
    ...query,
    reconnect: asks('reconnect', query.reconnect),
    opus: asks('opus', query.opus),
    vowel: asks('vowel', query.vowel),
    streamAsr: asks('stream_asr', query.streamAsr),
  };
}

function emptyMessage(type: InsertableMessage): DeviceMessage {
  switch (type) {
    case 'ASR':
    case 'DisplayText':
      return { type, text: '' };
    case 'Action':
      return { type, action: '' };
    case 'Choices':
      return { type, message: '', items: [] };
    default:
      return { type };
  }
}

/** `/downloads/list/{id}` and `/downloads/download/{id}/{file}`; names may be percent-encoded. */
function downloadAt(path: string): { deviceId: string; file?: string } | undefined {
  const [, id, of, file] =
    /^\/downloads\/(?:list\/([^/]+)|download\/([^/]+)\/([^/]+))$/.exec(path) ?? [];
  const deviceId = id ?? of;
  if (deviceId === undefined) return undefined;
  try {
    return {
      deviceId: decodeURIComponent(deviceId),
      ...(file === undefined ? {} : { file: decodeURIComponent(file) }),
    };
  } catch {
    return undefined;
  }
}

function downloadUri(deviceId: string, file: string, asEchoKit: boolean): string {
  const path = `${encodeURIComponent(deviceId)}/${encodeURIComponent(file)}`;
  return `/downloads/${asEchoKit ? '' : 'download/'}${path}`;
}

function listedUrl(deviceId: string, file: string, asEchoKit: boolean): string {
  if (!asEchoKit) return downloadUri(deviceId, file, false);
  return `/record/download/${encodeURIComponent(deviceId)}/${encodeURIComponent(file)}`;
}

/** Throws where nobody can catch it, so that a defect is never silent. */
function throwOutside(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
