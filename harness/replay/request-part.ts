/**
 * What makes two requests the same: everything that can change the sound. What cannot (credentials, dates, random
 * ids, names of programs, how the bytes are framed) is left out of the comparison.
 */
import { decode } from '@msgpack/msgpack';
import { isWholeMessagePack } from '../../firmware-protocol/index.ts';
import { secretMembers } from './client-bytes.ts';

/** A request head, a complete body, or a message on a WebSocket. */
export interface RequestPart {
  readonly kind: 'head' | 'body' | 'text' | 'binary';
  /** As recorded: without credentials. */
  readonly bytes: Buffer;
}

/** A place where two requests are not the same. */
export interface RequestDifference {
  /** For people: `header "model"`, `body, voice`, `message 3, text`. */
  readonly where: string;
  /** As JSON writes them; absent: it is not there. */
  readonly recorded: string | undefined;
  readonly now: string | undefined;
}

export interface PartComparison {
  readonly differences: readonly RequestDifference[];
  /** Random ids that stand at the same place: recorded, and now. */
  readonly ids: readonly (readonly [recorded: string, now: string])[];
}

/** Headers that do not change the sound. The endpoint and the length of the body are compared by themselves. */
const neutralHeaders: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'user-agent',
  'date',
  'authorization',
  'proxy-authorization',
  'xi-api-key',
  'x-api-key',
  'api-key',
  'cookie',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-extensions',
  'x-request-id',
  'request-id',
  'idempotency-key',
  'traceparent',
  'tracestate',
]);

/** Members that hold an id which the client makes up. What the service sends back repeats it. */
const idMembers: ReadonlySet<string> = new Set([
  'task_id',
  'request_id',
  'context_id',
  'message_id',
  'event_id',
  'session_id',
  'trace_id',
  'idempotency_key',
]);
const dateMembers: ReadonlySet<string> = new Set(['date', 'timestamp', 'created', 'created_at']);

/** @param index of the part in its request, for messages */
export function compareParts(
  recorded: RequestPart,
  now: RequestPart,
  index: number,
): PartComparison {
  const comparison = new Comparison();
  if (recorded.kind !== now.kind) {
    comparison.differ(`part ${index + 1}`, nameOf[recorded.kind], nameOf[now.kind]);
  } else if (recorded.kind === 'head') comparison.heads(headOf(recorded), headOf(now));
  else {
    const where = recorded.kind === 'body' ? 'body' : `message ${index + 1}`;
    const [before, after] = [contentOf(recorded), contentOf(now)];
    if (before === undefined || after === undefined) {
      if (!recorded.bytes.equals(now.bytes)) comparison.bytes(where, recorded.bytes, now.bytes);
    } else comparison.values(where, '', before.value, after.value);
  }
  return comparison;
}

/** Whether a message begins another utterance on a socket that carries several (DashScope, Fish Audio). */
export function opensUtterance(part: RequestPart): boolean {
  const value = contentOf(part)?.value;
  if (!isObject(value)) return false;
  const header = value['header'];
  return value['event'] === 'start' || (isObject(header) && header['action'] === 'run-task');
}

/** What is shown of a part, and of one of its values. */
const partCharactersMax = 160;
const valueCharactersMax = 200;

/** One line for people: the request line, or the text that is asked for. */
export function describePart(part: RequestPart): string {
  if (part.kind === 'head') return part.bytes.toString('latin1').split(' HTTP/', 1)[0]!;
  const content = contentOf(part);
  if (content === undefined) return `${part.bytes.length} bytes`;
  const text = JSON.stringify(content.value);
  return shortened(text, partCharactersMax);
}

const nameOf: Readonly<Record<RequestPart['kind'], string>> = {
  head: 'a request',
  body: 'a body',
  text: 'a text message',
  binary: 'a binary message',
};

class Comparison implements PartComparison {
  readonly differences: RequestDifference[] = [];
  readonly ids: [string, string][] = [];

  differ(where: string, recorded: unknown, now: unknown): void {
    this.differences.push({ where, recorded: written(recorded), now: written(now) });
  }

  heads(before: Head, after: Head): void {
    if (before.method !== after.method) this.differ('method', before.method, after.method);
    if (before.path !== after.path) this.differ('path', before.path, after.path);
    this.#members('query parameter', before.query, after.query);
    this.#members('header', before.headers, after.headers);
  }

  bytes(where: string, recorded: Buffer, now: Buffer): void {
    let at = 0;
    while (at < Math.min(recorded.length, now.length) && recorded[at] === now[at]) at++;
    const shown = (bytes: Buffer): string =>
      `${bytes.length} bytes, at ${at}: ${bytes.subarray(at, at + 8).toString('hex') || 'the end'}`;
    this.differ(where, shown(recorded), shown(now));
  }

  /** Walks two values of JSON or MessagePack together. */
  values(where: string, path: string, recorded: unknown, now: unknown): void {
    const name = path.slice(path.lastIndexOf('.') + 1).toLowerCase();
    if (secretMembers.has(name) || dateMembers.has(name)) return;
    if (idMembers.has(name) && typeof recorded === 'string' && typeof now === 'string') {
      if (recorded !== now) this.ids.push([recorded, now]);
      return;
    }
    const inner = (key: string | number): string => (path === '' ? `${key}` : `${path}.${key}`);
    if (Array.isArray(recorded) && Array.isArray(now)) {
      for (let i = 0; i < Math.max(recorded.length, now.length); i++) {
        this.values(where, inner(i), recorded[i], now[i]);
      }
    } else if (recorded instanceof Uint8Array && now instanceof Uint8Array) {
      if (!Buffer.from(recorded).equals(now)) {
        this.bytes(`${where}, ${path}`, Buffer.from(recorded), Buffer.from(now));
      }
    } else if (isObject(recorded) && isObject(now)) {
      for (const key of new Set([...Object.keys(recorded), ...Object.keys(now)])) {
        this.values(where, inner(key), recorded[key], now[key]);
      }
    } else if (recorded !== now)
      this.differ(path === '' ? where : `${where}, ${path}`, recorded, now);
  }

  #members(
    what: string,
    before: ReadonlyMap<string, string>,
    after: ReadonlyMap<string, string>,
  ): void {
    for (const name of new Set([...before.keys(), ...after.keys()])) {
      const [recorded, now] = [before.get(name), after.get(name)];
      if (recorded !== now) this.differ(`${what} "${name}"`, recorded, now);
    }
  }
}

interface Head {
  readonly method: string;
  readonly path: string;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: ReadonlyMap<string, string>;
}

/** What parts say, once they were read: a recorded one is compared with every request. */
const heads = new WeakMap<RequestPart, Head>();
const contents = new WeakMap<RequestPart, Content>();

function headOf(part: RequestPart): Head {
  let head = heads.get(part);
  if (head === undefined) {
    head = readHead(part.bytes);
    heads.set(part, head);
  }
  return head;
}

function readHead(bytes: Buffer): Head {
  const [line = '', ...fields] = bytes.toString('latin1').trimEnd().split('\r\n');
  const [method = '', target = ''] = line.split(' ');
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1))) {
    if (secretMembers.has(name.toLowerCase())) continue;
    const before = query.get(name);
    query.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  const headers = new Map<string, string>();
  for (const field of fields) {
    const colon = field.indexOf(':');
    const name = field.slice(0, colon).trim().toLowerCase();
    if (!neutralHeaders.has(name)) headers.set(name, field.slice(colon + 1).trim());
  }
  return { method, path, query, headers };
}

/** Undefined when it is neither JSON nor one MessagePack map. */
type Content = { readonly value: unknown } | undefined;

function contentOf(part: RequestPart): Content {
  if (contents.has(part)) return contents.get(part);
  const content = readContent(part);
  contents.set(part, content);
  return content;
}

function readContent({ kind, bytes }: RequestPart): Content {
  if (kind !== 'binary') {
    try {
      return { value: JSON.parse(bytes.toString('utf8')) as unknown };
    } catch {
      // The body of an HTTP request may be MessagePack as well.
    }
  }
  try {
    // The decoder makes room for what a header announces.
    if (!isWholeMessagePack(bytes)) return undefined;
    const value = decode(bytes);
    return isObject(value) ? { value } : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function written(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const text = JSON.stringify(value);
  return shortened(text, valueCharactersMax);
}

function shortened(text: string, charactersMax: number): string {
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax - 1)}…`;
}
