import http from 'node:http';
import type { Duplex } from 'node:stream';
import type { Random } from '../random/random.ts';
import type { Personality } from './personality.ts';
import { findPersonality } from './personality-catalog.ts';
import {
  type FaultReport,
  type FaultTable,
  type PlantedFault,
  plantFault,
} from './planted-fault.ts';
import type { FaultMoment, StandInFault, StandInFaultKind } from './stand-in-changes.ts';
import type {
  ServiceOptions,
  ServiceStandIn,
  StandIn,
  StandInOptions,
  StandInRequest,
} from './stand-in-contract.ts';
import { changedProfile, type TimingProfile } from './timing-profile.ts';

/** What Node reads ahead of a body. */
const readAheadBytes = 64 * 1024;
/** Body of a request: more than any service takes. A longer one is refused with 413. */
const requestBytesMax = 64 * 1024 * 1024;
/** Message on a WebSocket; a longer one closes it with 1009. */
export const socketMessageBytesMax = 16 * 1024 * 1024;

/** A connection that wants to know which request the bytes written from now on answer; 0: none that counts. */
interface AnswerCarrier {
  beginAnswer?(request: number): void;
}

/** A log entry while the request is served. */
export type OpenRequest = { -readonly [Key in keyof StandInRequest]: StandInRequest[Key] } & {
  messages: { atUs: number; text: string }[];
};

/** Entries of a log, unless the owner of the stand-in wants another number. */
export const logEntriesMax = 256;
/** Characters of the body of an entry, and of its messages together. */
export const entryCharactersMax = 262_144;

const messageCharacters = new WeakMap<OpenRequest, number>();

/** Adds a message of the client to an entry, cut to what the entry still has room for; those beyond are counted. */
export function keepMessage(entry: OpenRequest, message: OpenRequest['messages'][number]): void {
  const before = messageCharacters.get(entry) ?? 0;
  const room = entryCharactersMax - before;
  if (room <= 0) {
    entry.messagesLeftOut = (entry.messagesLeftOut ?? 0) + 1;
    return;
  }
  // An empty one takes room, too.
  messageCharacters.set(entry, before + Math.max(1, message.text.length));
  entry.messages.push({ ...message, text: keptText(message.text, room) });
}

function keptText(text: string, room = entryCharactersMax): string {
  return text.length <= room ? text : `${text.slice(0, room)}…`;
}

/** One HTTP request, read to its end. */
export interface Exchange {
  readonly incoming: http.IncomingMessage;
  readonly response: http.ServerResponse;
  readonly url: URL;
  readonly body: Buffer;
  readonly entry: OpenRequest;
  /** This request's own draws. */
  readonly random: Random;
}

/** A request to switch to WebSocket. */
export interface Upgrade {
  readonly incoming: http.IncomingMessage;
  readonly stream: Duplex;
  readonly head: Buffer;
  readonly url: URL;
  readonly entry: OpenRequest;
  readonly random: Random;
}

export interface ProviderService {
  /**
   * Whether this request asks for what the service is there for (speech, a reply, a transcript), so
   * that it gets an ordinal.
   */
  isCounted(method: string, path: string): boolean;
  answer(exchange: Exchange): void;
  /** Absent: a request to upgrade is refused with 404. */
  upgrade?(upgrade: Upgrade): void;
  /** The stand-in is being closed. */
  close?(): void;
}

/**
 * What all stand-ins share: HTTP over given streams, the log, ordinals, faults.
 *
 * Nothing in it runs on real time: no `Date` header, no time-outs, no check of idle connections.
 */
export class ServiceServer<Options extends ServiceOptions = ServiceOptions>
  implements ServiceStandIn
{
  readonly service: string;
  readonly connectMs: number;
  readonly options: Options;
  readonly log: OpenRequest[] = [];
  readonly #http: http.Server;
  readonly #streams = new Set<Duplex>();
  #service: ProviderService | undefined;
  readonly #faults = new WeakMap<OpenRequest, PlantedFault>();
  /** The connection of an entry, where it wants to know which answer it carries. */
  readonly #carriers = new WeakMap<OpenRequest, AnswerCarrier>();
  #countedRequests = 0;
  /** Of the log, those included that it does not keep. */
  #entries = 0;

  constructor(service: string, options: Options, connectMs: number) {
    this.service = service;
    this.options = options;
    this.connectMs = connectMs;
    this.#http = http.createServer({
      requestTimeout: 0,
      headersTimeout: 0,
      keepAliveTimeout: 0,
      connectionsCheckingInterval: 0x7fff_ffff,
      highWaterMark: readAheadBytes,
    });
    this.#http.on('request', (incoming, response) => this.#onRequest(incoming, response));
    this.#http.on('upgrade', (incoming, stream, head) => this.#onUpgrade(incoming, stream, head));
  }

  /** Says how requests are answered; to be called once, before the first connection. */
  offer(service: ProviderService): this {
    this.#service = service;
    return this;
  }

  accept(stream: Duplex): void {
    this.#streams.add(stream);
    stream.once('close', () => this.#streams.delete(stream));
    // A client that resets its connection is an everyday event.
    stream.on('error', () => {});
    this.#http.emit('connection', stream);
  }

  async close(): Promise<void> {
    this.#service?.close?.();
    for (const stream of this.#streams) stream.destroy();
  }

  /** Whether a key opens the door. */
  accepts(key: string | undefined): boolean {
    if (key === undefined || key === '') return false;
    const { credentials } = this.options;
    return credentials === undefined ? !key.includes('invalid') : key === credentials;
  }

  /**
   * Says what can happen to a request that is counted, before it is asked whether it does. A planted
   * fault that cannot happen is reported and forgotten.
   */
  expose(entry: OpenRequest, table: FaultTable): void {
    const fault = this.#planned(entry);
    if (fault === undefined) return;
    const planted = plantFault(fault, table);
    if ('kind' in planted) this.#faults.set(entry, planted);
    else {
      this.#report(entry, fault.kind, { obstacle: `${this.service}: ${planted.obstacle}` });
    }
  }

  /** The fault that will happen to this request, until it has. */
  faultOf(entry: OpenRequest): PlantedFault | undefined {
    return this.#faults.get(entry);
  }

  /**
   * The fault that happens to this request now: it is noted and does not happen again. The caller
   * shows it.
   *
   * @param kinds those that the caller can show; default: all
   */
  strike<Kind extends StandInFaultKind = StandInFaultKind>(
    entry: OpenRequest,
    moment: FaultMoment,
    ...kinds: Kind[]
  ): Kind | undefined {
    const fault = this.#faults.get(entry);
    if (fault?.moment !== moment) return undefined;
    if (kinds.length > 0 && !kinds.some((kind) => kind === fault.kind)) return undefined;
    this.#faults.delete(entry);
    entry.fault = fault.kind;
    this.#report(entry, fault.kind, { moment });
    return fault.kind as Kind;
  }

  /**
   * A further request for speech on a WebSocket that serves several of them: with the next ordinal
   * and an entry and draws of its own. For services whose `isCounted` does not count the upgrade.
   */
  openTask(connection: OpenRequest, table: FaultTable): { entry: OpenRequest; random: Random } {
    const entry: OpenRequest = {
      ...connection,
      request: ++this.#countedRequests,
      atUs: this.options.clock.nowUs(),
      messages: [],
    };
    this.#note(entry);
    const carrier = this.#carriers.get(connection);
    if (carrier !== undefined) this.#carriers.set(entry, carrier);
    carrier?.beginAnswer?.(entry.request!);
    this.expose(entry, table);
    return { entry, random: this.options.random.fork(`${this.service}/speech/${entry.request}`) };
  }

  /**
   * As {@link strike} at the answer, for an upgrade that fails in place of the task it would carry.
   * It takes the ordinal of that task.
   */
  strikeUpgrade<Kind extends StandInFaultKind>(
    entry: OpenRequest,
    table: FaultTable,
    ...kinds: Kind[]
  ): Kind | undefined {
    entry.request = this.#countedRequests + 1;
    const fault = this.#planned(entry);
    const planted = fault === undefined ? undefined : plantFault(fault, table);
    if (planted !== undefined && 'kind' in planted) this.#faults.set(entry, planted);
    const struck = this.strike(entry, 'answer', ...kinds);
    this.#faults.delete(entry);
    if (struck === undefined) delete entry.request;
    else this.#countedRequests++;
    return struck;
  }

  /** The fault that is meant for a request: of the plan, or of the changes of the scenario. */
  #planned({ request }: OpenRequest): StandInFault | undefined {
    if (request === undefined) return undefined;
    const planned = this.options.plannedFault?.(request);
    if (planned !== undefined) return planned;
    const fault = this.options.changes?.fault;
    const meant = fault?.request === undefined || fault.request === request;
    return meant ? fault : undefined;
  }

  #report(
    { request }: OpenRequest,
    kind: StandInFaultKind,
    what: Pick<FaultReport, 'moment' | 'obstacle'>,
  ): void {
    if (request === undefined) return;
    this.options.onFault?.({ atUs: this.options.clock.nowUs(), request, kind, ...what });
  }

  /** Ends a log entry; later calls change nothing. */
  conclude(entry: OpenRequest, outcome: 'answered' | 'aborted' | 'cut'): void {
    if (entry.outcome !== 'open') return;
    entry.outcome = outcome;
    entry.endedUs = this.options.clock.nowUs();
    this.options.onRequest?.(entry);
  }

  #note(entry: OpenRequest): void {
    this.#entries += 1;
    this.log.push(entry);
    const { logEntries = logEntriesMax } = this.options;
    if (this.log.length > logEntries) this.log.shift();
  }

  #onRequest(incoming: http.IncomingMessage, response: http.ServerResponse): void {
    response.sendDate = false;
    for (const [name, value] of Object.entries(this.options.headers ?? {})) {
      response.setHeader(name, value);
    }
    const { entry, url, random } = this.#open(incoming);
    const pieces: Buffer[] = [];
    incoming.on('error', () => {});
    response.on('error', () => {});
    response.once('close', () => {
      entry.status ||= response.headersSent ? response.statusCode : 0;
      this.conclude(entry, response.writableFinished ? 'answered' : 'aborted');
    });
    let bytes = 0;
    incoming.on('data', (piece: Buffer) => {
      bytes += piece.length;
      if (bytes <= requestBytesMax) pieces.push(piece);
      else if (!response.headersSent) {
        entry.status = 413;
        response.writeHead(413, { 'content-length': 0, connection: 'close' });
        response.end(() => incoming.destroy());
      }
    });
    incoming.once('end', () => {
      if (bytes > requestBytesMax) return;
      const body = Buffer.concat(pieces);
      entry.body = keptText(withoutKeys(body.toString()));
      this.#service?.answer({ incoming, response, url, body, entry, random });
    });
  }

  #onUpgrade(incoming: http.IncomingMessage, stream: Duplex, head: Buffer): void {
    const { entry, url, random } = this.#open(incoming);
    stream.once('close', () => {
      // A WebSocket that has been opened says itself how it ended.
      if (entry.status !== 101) this.conclude(entry, 'aborted');
    });
    if (this.#service?.upgrade !== undefined) {
      this.#service.upgrade({ incoming, stream, head, url, entry, random });
    } else {
      this.refuseUpgrade(stream, entry, 404, {});
    }
  }

  #open(incoming: http.IncomingMessage): { entry: OpenRequest; url: URL; random: Random } {
    const method = incoming.method ?? 'GET';
    const url = requestUrl(incoming.url ?? '/');
    const counted = this.#service?.isCounted(method, url.pathname) === true;
    const entry: OpenRequest = {
      ...(counted && { request: ++this.#countedRequests }),
      atUs: this.options.clock.nowUs(),
      method,
      path: loggedPath(url),
      headers: loggedHeaders(incoming.headers),
      body: '',
      messages: [],
      status: 0,
      audioBytes: 0,
      audioSeconds: 0,
      outcome: 'open',
    };
    this.#note(entry);
    const carrier = incoming.socket as Duplex & AnswerCarrier;
    this.#carriers.set(entry, carrier);
    carrier.beginAnswer?.(entry.request ?? 0);
    const label = counted ? `speech/${entry.request}` : `other/${this.#entries}`;
    return { entry, url, random: this.options.random.fork(`${this.service}/${label}`) };
  }

  /** Answers a WebSocket handshake with an HTTP status and JSON, or a page, and closes. */
  refuseUpgrade(
    stream: Duplex,
    entry: OpenRequest,
    status: number,
    body: object | string,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    const isPage = typeof body === 'string';
    const text = isPage ? body : JSON.stringify(body);
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    entry.status = status;
    this.conclude(entry, 'answered');
    stream.end(
      `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? ''}\r\n` +
        `Content-Type: ${isPage ? 'text/html' : 'application/json'}\r\n` +
        `Content-Length: ${Buffer.byteLength(text)}\r\n${lines.join('')}` +
        `Connection: close\r\n\r\n${text}`,
    );
  }
}

/** A provider of speech: a service with a personality. */
export class ProviderServer extends ServiceServer<StandInOptions> implements StandIn {
  readonly platform: string;
  readonly personality: Personality;
  /** With the changes of the scenario. */
  readonly profile: TimingProfile;

  /** @throws {StandInError} `STAND_IN_NO_PERSONALITY` */
  constructor(
    options: StandInOptions,
    defaultPersonality: string,
    service: (server: ProviderServer) => ProviderService,
  ) {
    const { platform, personality: name = defaultPersonality, changes = {} } = options;
    const personality = findPersonality(name, platform);
    const profile = changedProfile(options.profile ?? personality.timing, changes);
    super(platform, options, profile.connectMs);
    this.platform = platform;
    this.personality = personality;
    this.profile = profile;
    this.offer(service(this));
  }

  /**
   * The timing of a face of the server, with the changes of the scenario: of the personality that
   * this one names for it, else its own. A profile that was made for a test holds for all faces.
   *
   * @throws {StandInError} `STAND_IN_NO_PERSONALITY`
   */
  timingOf(face: string): TimingProfile {
    const name = this.personality.behavior.timingOf?.[face];
    if (name === undefined || this.options.profile !== undefined) return this.profile;
    const { timing } = findPersonality(name, this.platform);
    return changedProfile(timing, this.options.changes ?? {});
  }
}

/** Answers with a complete body. For `HEAD` only the head is sent. */
export function reply(
  exchange: Exchange,
  status: number,
  type: string,
  body: string | Buffer,
  headers: http.OutgoingHttpHeaders = {},
): void {
  exchange.entry.status = status;
  exchange.response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  exchange.response.end(body);
}

export function replyJson(
  exchange: Exchange,
  status: number,
  body: unknown,
  headers: http.OutgoingHttpHeaders = {},
): void {
  reply(exchange, status, 'application/json', JSON.stringify(body), headers);
}

/** The key of an `Authorization: Bearer` header. */
export function bearerKey(authorization: string | undefined): string | undefined {
  return /^Bearer\s+(.*)$/i.exec(authorization ?? '')?.[1]?.trim();
}

const secretNames = new Set([
  'authorization',
  'cookie',
  'single_use_token',
  'xi-api-key',
  'xi_api_key',
  'api-key',
  'api_key',
  'token',
]);

/** A target that is no URL is served as `/`, which every provider answers as an unknown path. */
function requestUrl(target: string): URL {
  const base = 'http://stand-in';
  return URL.canParse(target, base) ? new URL(target, base) : new URL(base);
}

function loggedHeaders(headers: http.IncomingHttpHeaders): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    // A nonce that client libraries draw by themselves, so it would differ from run to run.
    if (name === 'sec-websocket-key') continue;
    out[name] = secretNames.has(name) ? '***' : String(value);
  }
  return out;
}

function loggedPath(url: URL): string {
  const query = [...url.searchParams].map(
    ([name, value]) =>
      `${encodeURIComponent(name)}=${secretNames.has(name) ? '***' : encodeURIComponent(value)}`,
  );
  return query.length === 0 ? url.pathname : `${url.pathname}?${query.join('&')}`;
}

/** JSON text with the values of credential fields replaced. */
export function withoutKeys(json: string): string {
  return json.replaceAll(
    /"([\w-]+)"(\s*:\s*)"(?:[^"\\]|\\.)*"/g,
    (whole, name: string, colon: string) =>
      secretNames.has(name) ? `"${name}"${colon}"***"` : whole,
  );
}
