/**
 * The address under which a board connects (EchoKit device protocol reference, sections 1.1 to
 * 1.3): written as the firmware writes it, read as the reference server reads it.
 */
import { strictText } from './decoder-reason.ts';
import { ProtocolError } from './protocol-error.ts';

/** What a connection is asked to be. */
export interface ConnectQuery {
  /** No hello is wanted, and the history of this board goes on. */
  readonly reconnect: boolean;
  /** Audio to the board is opus packets instead of PCM. */
  readonly opus: boolean;
  /** `AudioChunkWithVowel` instead of `AudioChunk`; has an effect only with `opus`. */
  readonly vowel: boolean;
  /** The server finds the end of speech and says so with `EndVad`. */
  readonly streamAsr: boolean;
  /** The connection is for recording: asked for in the query of `/ws/`, or by `/v1/record/`. */
  readonly record: boolean;
}

export interface ConnectTarget {
  /** Percent-decoded; for boards, the station MAC as 12 lowercase hexadecimal digits. */
  readonly deviceId: string;
  readonly query: ConnectQuery;
}

export interface ConnectRefusal {
  /** HTTP status. */
  readonly status: 400 | 404;
  readonly reason: string;
}

export type ConnectResult =
  | ({ readonly ok: true } & ConnectTarget)
  | ({ readonly ok: false } & ConnectRefusal);

/** The settings of a board are read through a buffer of 128 bytes with a closing zero. */
export const serverUrlMaximumBytes = 127;

/** Order in which the firmware writes them; `record` is never sent by a board. */
const parameters = [
  ['reconnect', 'reconnect'],
  ['opus', 'opus'],
  ['vowel', 'vowel'],
  ['stream_asr', 'streamAsr'],
  ['record', 'record'],
] as const;

/** Server URL, board and flags of one connection. */
export interface ConnectUrlParts extends Omit<ConnectQuery, 'record'> {
  /** The stored server URL, normally `ws://host[:port]/ws/`. */
  readonly base: string;
  readonly deviceId: string;
  readonly record?: boolean;
}

/**
 * The URL a board asks for. A base that has a query of its own is broken by this, as it is by the
 * firmware: a second `?` follows.
 *
 * @throws {ProtocolError} FP_SERVER_URL_TOO_LONG for a base above 127 bytes, which a board cannot
 * store; FP_DEVICE_ID_INVALID for an id that cannot be a path segment.
 */
export function buildConnectUrl(parts: ConnectUrlParts): string {
  const { base, deviceId } = parts;
  const baseBytes = new TextEncoder().encode(base).length;
  if (baseBytes > serverUrlMaximumBytes) {
    throw new ProtocolError(
      'FP_SERVER_URL_TOO_LONG',
      `The server URL has ${baseBytes} bytes and a board keeps ${serverUrlMaximumBytes}: use a shorter host or path.`,
    );
  }
  if (/^\.{0,2}$|\p{Surrogate}/u.test(deviceId)) {
    throw new ProtocolError(
      'FP_DEVICE_ID_INVALID',
      `The device id ${JSON.stringify(deviceId)} cannot be a path segment: use the MAC as 12 hexadecimal digits.`,
    );
  }
  const flags = parameters.filter(([, name]) => parts[name] === true).map(([key]) => `${key}=true`);
  const query = flags.length === 0 ? '' : `?${flags.join('&')}`;
  // The escape changes nothing in the id of a board; it keeps other ids one segment.
  return `${base}${base.endsWith('/') ? '' : '/'}${encodeURIComponent(deviceId)}${query}`;
}

/**
 * Reads the request target of an upgrade, for example `/ws/a1b2c3d4e5f6?opus=true`. Only `true` and
 * `false` are values, a known parameter may stand once, unknown parameters are ignored.
 */
export function parseConnectUrl(pathAndQuery: string): ConnectResult {
  const [target = ''] = pathAndQuery.split('#', 1);
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const route = /^\/(ws|v2\/stable_ws|v1\/record)\/([^/]+)$/.exec(path);
  if (route === null) {
    return { ok: false, status: 404, reason: `No board connects to ${path}: use /ws/{id}.` };
  }
  const [, prefix, segment = ''] = route;
  const deviceId = percentDecoded(segment);
  if (deviceId === undefined) {
    return { ok: false, status: 400, reason: 'Invalid URL: Invalid UTF-8 in `id`' };
  }
  const flags: Partial<Record<keyof ConnectQuery, boolean>> = {};
  for (const [key, value] of new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1))) {
    const name = parameters.find((p) => p[0] === key)?.[1];
    if (name === undefined) continue;
    if (flags[name] !== undefined) return refuseQuery(`duplicate field \`${key}\``);
    if (value !== 'true' && value !== 'false') {
      return refuseQuery(`${key}: provided string was not \`true\` or \`false\``);
    }
    flags[name] = value === 'true';
  }
  const { reconnect = false, opus = false, vowel = false, streamAsr = false } = flags;
  const record = prefix === 'v1/record' || (prefix === 'ws' && flags.record === true);
  return { ok: true, deviceId, query: { reconnect, opus, vowel, streamAsr, record } };
}

/** In the words of the reference server. */
function refuseQuery(fault: string): ConnectResult {
  return { ok: false, status: 400, reason: `Failed to deserialize query string: ${fault}` };
}

/** A `%` without two hexadecimal digits stands for itself; undefined when it is not UTF-8. */
function percentDecoded(segment: string): string | undefined {
  const bytes = new TextEncoder().encode(segment);
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const digits = bytes[at] === 0x25 && String.fromCharCode(...bytes.subarray(at + 1, at + 3));
    if (digits && /^[\da-f]{2}$/i.test(digits)) {
      bytes[length++] = Number.parseInt(digits, 16);
      at += 2;
    } else bytes[length++] = bytes[at]!;
  }
  return strictText(bytes.subarray(0, length));
}
