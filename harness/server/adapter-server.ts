/**
 * The adapter server: HTTP and WebSocket around the conversations. It never listens by itself;
 * streams come from a network, so it runs over memory and over sockets alike.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import {
  type ConnectQuery,
  type ConnectTarget,
  parseConnectUrl,
} from '../../firmware-protocol/connect-url.ts';
import type { ServerEvent as DeviceMessage } from '../../firmware-protocol/server-event.ts';
import { tokensOf } from './access-token.ts';
import { type AudioObservation, Conversation, type ConversationOptions } from './conversation.ts';
import type { IgnorableParameter, InsertableMessage } from './deviation-items.ts';
import { DeviceLink } from './device-link.ts';
import { EncodingOrder } from './encoding-order.ts';
import { FrontDoor, isForeignPage, type Refusal } from './front-door.ts';
import { RecordSession } from './record-session.ts';
import type { RecordFile, RecordStore } from './record-store.ts';
import { deviceIdProblem, type ServerLimits } from './server-limits.ts';
import { type ServerSettings, serverSettingsDefaults } from './server-settings.ts';
import { AccessToken } from './token-check.ts';

export interface AdapterServerOptions
  extends Omit<ConversationOptions, 'settings' | 'observeAudio' | 'onDefect' | 'encodingOrder'> {
  readonly settings?: Partial<ServerSettings>;
  /** Whoever does not show it is refused (`token-check.ts`). Absent: everybody is let in. */
  readonly token?: string;
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
    encodingOrder: new EncodingOrder(options.clock),
    observeAudio: options.observeAudio ?? (() => {}),
    onDefect: options.onDefect ?? throwOutside,
  };
  const { records, recordCallback } = options;
  const conversations = new Map<string, Conversation>();
  const recordings = new Set<RecordSession>();
  const links = new Set<DeviceLink>();
  const { limits } = settings;
  const door = new FrontDoor(options.clock, limits, (event) =>
    options.observe({ source: 'server', ...event }),
  );
  let connections = 0;
  let closed = false;

  const record = (socket: WebSocket, deviceId: string, store: RecordStore): void => {
    let file: RecordFile;
    try {
      file = store.begin(deviceId);
    } catch (error) {
      options.observe({
        source: 'server',
        type: 'cut',
        atUs: options.clock.nowUs(),
        connection: connections,
        code: 'SERVER_RECORDING_FAILED',
        closeCode: 1011,
        message: `No recording can be made: ${(error as Error).message}.`,
      });
      socket.on('error', () => {});
      socket.close(1011);
      return;
    }
    const asEchoKit = settings.recordAsEchoKit;
    const session = new RecordSession({
      clock: options.clock,
      socket,
      connection: connections,
      deviceId,
      file,
      samplesMax: limits.recordingSamples,
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
      limits,
      report: (event) => options.observe({ source: 'server', ...event }),
    });
    links.add(link);
    cutOldest(deviceId);
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
      if (conversations.size > limits.conversations) forgetOldest();
    }
    conversation.attach(link);
  };

  const cutOldest = (deviceId: string): void => {
    const open = [...links].filter((link) => link.deviceId === deviceId && link.open);
    if (open.length <= limits.connectionsPerDevice) return;
    open[0]!.cut({
      code: 'SERVER_CONNECTIONS_OF_DEVICE',
      closeCode: 1008,
      message: `The device has ${limits.connectionsPerDevice} connections; its oldest was closed for a new one.`,
    });
  };

  /** One that is connected is kept in any case. */
  const forgetOldest = (): void => {
    for (const [deviceId, conversation] of conversations) {
      if (conversation.isConnected) continue;
      conversations.delete(deviceId);
      return;
    }
  };

  const token = options.token === undefined ? undefined : new AccessToken(options.token);
  const http = createHttpServer({ settings, records, token, door, connect });

  return {
    accept(stream) {
      if (closed) {
        stream.destroy();
        return;
      }
      if (door.enter(stream)) http.emit('connection', stream);
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
      door.close();
    },
  };
}

interface HttpOptions {
  readonly settings: ServerSettings;
  readonly records: RecordStore | undefined;
  readonly token: AccessToken | undefined;
  readonly door: FrontDoor;
  connect(socket: WebSocket, target: ConnectTarget): void;
}

/** Routes of EchoKit device protocol reference, section 1.1. */
function createHttpServer(options: HttpOptions): Server {
  const { settings, records, token, door, connect } = options;
  const { limits } = settings;
  const webSockets = new WebSocketServer({
    noServer: true,
    // Boards offer compression and cannot decode it (section 1.4).
    perMessageDeflate: settings.compression && { threshold: 0 },
    clientTracking: false,
    maxPayload: settings.uplinkMessageBytes,
  });
  // Boards may be silent for as long as they like (section 1.7), and every limit of Node's HTTP
  // server would run on the real clock; the door keeps those that matter.
  const http = createServer({
    requestTimeout: 0,
    headersTimeout: 0,
    keepAliveTimeout: 0,
    maxHeaderSize: limits.requestHeadBytes,
  });
  http.timeout = 0;
  let downloads = 0;

  http.on('request', (request: IncomingMessage, response: ServerResponse) => {
    door.answer(request.socket);
    const { target, shown } = shownBy(request);
    if (token?.opens(shown) === false) {
      door.tell(tokenRefusal);
      response.setHeader('WWW-Authenticate', 'Bearer');
      answer(response, tokenRefusal.status, `${tokenRefusal.reason}\n`);
      return;
    }
    const isDownload = records !== undefined && downloadAt(target)?.file !== undefined;
    if (isDownload && downloads >= limits.downloads) {
      const refusal = downloadRefusal(limits);
      door.tell(refusal);
      response.setHeader('Retry-After', '1');
      answer(response, refusal.status, `${refusal.reason}\n`);
      return;
    }
    if (isDownload) {
      downloads += 1;
      response.once('close', () => {
        downloads -= 1;
      });
    }
    answerPlain(request, target, response, records, settings.recordAsEchoKit);
  });
  http.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    stream.on('error', () => {}); // `close` follows.
    const { target, shown } = shownBy(request);
    const parsed = parseConnectUrl(target);
    const refusal =
      (token?.opens(shown) === false ? tokenRefusal : undefined) ??
      (token === undefined && isForeignPage(request) ? originRefusal : undefined) ??
      (parsed.ok ? refuseUpgrade(request, parsed, records, limits) : parsed);
    if (refusal !== undefined) door.refuse(stream, refusal);
    else if (parsed.ok) {
      webSockets.handleUpgrade(request, stream, head, (socket) => {
        door.settle(stream);
        connect(socket, parsed);
      });
    }
  });
  http.on('clientError', (error: NodeJS.ErrnoException, stream: Duplex) => {
    if (stream.destroyed || !stream.writable) return;
    stream.on('error', () => {});
    if (error.code === 'HPE_HEADER_OVERFLOW') {
      door.refuse(stream, {
        status: 431,
        code: 'SERVER_REQUEST_TOO_LARGE',
        reason: `Request line and headers have more than ${limits.requestHeadBytes} bytes.`,
      });
    } else door.refuse(stream, { status: 400, reason: 'This is no HTTP request.' });
  });
  return http;
}

function shownBy({ url = '/', headers }: IncomingMessage): ReturnType<typeof tokensOf> {
  return tokensOf({ url, authorization: headers.authorization });
}

const tokenRefusal = {
  status: 401,
  code: 'SERVER_TOKEN',
  reason:
    'This server asks for its token: in the server URL, ws://host:port/token/<token>/ws/, or as Authorization: Bearer.',
} as const;

const originRefusal = {
  status: 403,
  code: 'SERVER_ORIGIN',
  reason: 'Pages of other sites are let in with a token only.',
} as const;

function downloadRefusal({ downloads }: ServerLimits): Refusal & { readonly status: 503 } {
  const reason = `${downloads} recordings are being downloaded; try again in a moment.`;
  return { status: 503, code: 'SERVER_DOWNLOADS', reason };
}

/** Why a client that asks for an upgrade does not get it; nothing when it does. */
function refuseUpgrade(
  request: IncomingMessage,
  { deviceId, query }: ConnectTarget,
  records: RecordStore | undefined,
  limits: ServerLimits,
): Refusal | undefined {
  if (request.method !== 'GET') return { status: 405, reason: 'Only GET can become a WebSocket.' };
  if (request.httpVersion === '1.0') {
    return { status: 426, reason: 'An HTTP/1.0 connection cannot become a WebSocket.' };
  }
  if (request.headers['sec-websocket-version'] !== '13') {
    return { status: 400, reason: 'Sec-WebSocket-Version must be 13.' };
  }
  const problem = deviceIdProblem(deviceId, limits);
  if (problem !== undefined) return { status: 400, code: 'SERVER_DEVICE_ID', reason: problem };
  if (query.record && records === undefined) {
    return { status: 501, reason: 'This server does not record; start it with --record <folder>.' };
  }
  if (query.record && records?.accepts(deviceId) === false) {
    return {
      status: 400,
      code: 'SERVER_DEVICE_ID',
      reason: 'This id cannot name a folder of recordings.',
    };
  }
  return undefined;
}

function answer(
  response: ServerResponse,
  status: number,
  body: string | Uint8Array,
  type = 'text/plain; charset=utf-8',
): void {
  response.sendDate = false;
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    Connection: 'close',
  });
  response.end(body);
}

/** A request that does not ask for an upgrade. */
function answerPlain(
  request: IncomingMessage,
  url: string,
  response: ServerResponse,
  records: RecordStore | undefined,
  asEchoKit: boolean,
): void {
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
      answer(response, files === undefined ? 500 : 200, JSON.stringify(shown), 'application/json');
      return;
    }
    const content = records.read(download.deviceId, download.file);
    if (content === undefined) answer(response, 404, 'Not found');
    else answer(response, 200, content, 'audio/wav');
    return;
  }
  const target = parseConnectUrl(url);
  if (!isVersion && !target.ok) answer(response, target.status, `${target.reason}\n`);
  else if (request.method !== 'GET') answer(response, 405, 'Only GET is answered here.\n');
  else if (isVersion) {
    answer(response, 200, JSON.stringify({ version: protocolVersion }), 'application/json');
  } else if (request.httpVersion === '1.0') {
    answer(response, 426, 'An HTTP/1.0 connection cannot become a WebSocket.\n');
  } else {
    answer(
      response,
      400,
      'This is a WebSocket address: the headers Connection and Upgrade are missing.\n',
    );
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
function downloadAt(target: string): { deviceId: string; file?: string } | undefined {
  const [, id, of, file] =
    /^\/downloads\/(?:list\/([^/?]+)|download\/([^/?]+)\/([^/?]+))(?:\?|$)/.exec(target) ?? [];
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
