/**
 * What is said over a serial link (SL-5 of the README beside this file): messages as a program
 * handles them, to and from a type and a payload. Integers are little-endian.
 */
import { bytesFromInt16, int16FromBytes } from '../audio-format.ts';
import { strictText } from '../decoder-reason.ts';
import { ProtocolError } from '../protocol-error.ts';
import { type AdpcmEncoder, decodeAdpcm } from './adpcm.ts';
import type { SerialLinkCapability, SerialLinkRole } from './link-frame.ts';

/** How samples (16 kHz, mono) are written; the codes from 0. `opus`: one packet, which is only carried here. */
export const serialLinkCodings = ['s16le', 'ima-adpcm', 'opus'] as const;
export type SerialLinkCoding = (typeof serialLinkCodings)[number];

export interface SerialLinkAudio {
  readonly coding: SerialLinkCoding;
  readonly bytes: Uint8Array;
}

/** Codes from 0. */
export const serialLinkKeys = ['k0', 'volume-up', 'volume-down'] as const;
export type SerialLinkKey = (typeof serialLinkKeys)[number];
/** Codes from 0. `tap`: press, and release after the duration. */
export const serialLinkKeyActions = ['press', 'release', 'tap'] as const;
export type SerialLinkKeyAction = (typeof serialLinkKeyActions)[number];

/** What the board is doing; codes from 0. The first four are those of FP-9. */
export const serialLinkBoardStates = [
  'idle',
  'listening',
  'waiting',
  'speaking',
  'starting',
  'setup',
] as const;
export type SerialLinkBoardState = (typeof serialLinkBoardStates)[number];

/** Codes from 0, as in ESP-IDF. */
export const serialLinkLogLevels = [
  'none',
  'error',
  'warning',
  'info',
  'debug',
  'verbose',
] as const;
export type SerialLinkLogLevel = (typeof serialLinkLogLevels)[number];

export type SerialLinkMessage =
  /** MessagePack, as in a binary message of the WebSocket (FP-2). */
  | { readonly type: 'server-event'; readonly bytes: Uint8Array }
  /** JSON, as in a text message of the WebSocket (FP-4). */
  | { readonly type: 'client-command'; readonly text: string }
  /** What the board's microphone heard, as in a binary message to the server (FP-5.1). */
  | { readonly type: 'upload-audio'; readonly audio: SerialLinkAudio }
  /**
   * Samples in place of the board's microphone. `start`: throw away what is still waiting; `end`:
   * the microphone is heard again when these have been taken. `position` counts samples from the start, modulo 2^32.
   */
  | {
      readonly type: 'microphone';
      readonly start: boolean;
      readonly end: boolean;
      readonly position: number;
      readonly audio: SerialLinkAudio;
    }
  /** What the speaker has played. `position`: samples played before since boot, modulo 2^32. */
  | { readonly type: 'speaker'; readonly position: number; readonly audio: SerialLinkAudio }
  /**
   * To the board: do it. From the board: it was done, `release` with the time it was held.
   * `durationMs` is 0 for `press` and 1 to 65535 for `tap`.
   */
  | {
      readonly type: 'key';
      readonly key: SerialLinkKey;
      readonly action: SerialLinkKeyAction;
      readonly durationMs: number;
    }
  /** Sent by the board whenever `state` or `volume` changes, and on connection. */
  | {
      readonly type: 'board-state';
      readonly state: SerialLinkBoardState;
      readonly volume: number;
      /** Since boot, modulo 2^32. */
      readonly atMs: number;
      /** 0: unknown. */
      readonly freeHeapBytes: number;
    }
  /** Facts for people and registries, such as `firmware`, `board` and `mac`. A JSON object of texts. */
  | { readonly type: 'board-info'; readonly facts: Readonly<Record<string, string>> }
  /** `tag`: empty for all. */
  | { readonly type: 'log-level'; readonly level: SerialLinkLogLevel; readonly tag: string }
  /**
   * The board wants a connection to the server. `target`: path and query as in FP-1. `connection` is
   * chosen by the board; the newest one counts.
   */
  | { readonly type: 'server-open'; readonly connection: number; readonly target: string }
  /** The connection stands; server events from here on are its. */
  | { readonly type: 'server-opened'; readonly connection: number }
  /**
   * From the board: close it (`code` 1000) or drop it (1006). To the board: it was closed, was lost or could not be
   * had.
   */
  | {
      readonly type: 'server-close';
      readonly connection: number;
      readonly code: number;
      readonly reason: string;
    };

export type SerialLinkMessageType = SerialLinkMessage['type'];

interface TypeRule {
  readonly code: number;
  /** Who sends it. */
  readonly from: SerialLinkRole | 'both';
  /** Overtakes the others. It fits in one frame. */
  readonly urgent?: true;
  /** May be sent without acknowledgement. */
  readonly mayBeLost?: true;
  /** What the receiver must have announced. */
  readonly needs?: SerialLinkCapability;
}

/** The types and their rules (SL-5). */
export const serialLinkMessageRules: Readonly<Record<SerialLinkMessageType, TypeRule>> = {
  'server-event': { code: 1, from: 'host' },
  'client-command': { code: 2, from: 'board' },
  'upload-audio': { code: 3, from: 'board' },
  microphone: { code: 4, from: 'host', needs: 'inject-microphone' },
  speaker: { code: 5, from: 'board', mayBeLost: true },
  key: { code: 6, from: 'both', urgent: true, needs: 'keys' },
  'board-state': { code: 7, from: 'board' },
  'board-info': { code: 8, from: 'board' },
  'log-level': { code: 9, from: 'host', urgent: true, needs: 'log-level' },
  'server-open': { code: 10, from: 'board' },
  'server-opened': { code: 11, from: 'host' },
  'server-close': { code: 12, from: 'both' },
};

const typeOfCode: ReadonlyMap<number, SerialLinkMessageType> = new Map(
  (Object.keys(serialLinkMessageRules) as SerialLinkMessageType[]).map((type) => [
    serialLinkMessageRules[type].code,
    type,
  ]),
);

export type SerialLinkMessageResult =
  | { readonly ok: true; readonly message: SerialLinkMessage }
  | { readonly ok: false; readonly reason: string };

/**
 * The payload of a message, in a buffer of its own. Lone surrogates in texts become U+FFFD.
 * @throws {ProtocolError} FP_SERIAL_LINK_FIELD when a number does not fit its field.
 */
export function encodeSerialLinkMessage(message: SerialLinkMessage): Uint8Array {
  switch (message.type) {
    case 'server-event':
      return new Uint8Array(message.bytes);
    case 'client-command':
      return encoder.encode(message.text);
    case 'upload-audio':
      return payload(1, message.audio.bytes, (body) => {
        body[0] = serialLinkCodings.indexOf(message.audio.coding);
      });
    case 'microphone':
      return payload(6, message.audio.bytes, (body, view) => {
        body[0] = (message.start ? 1 : 0) | (message.end ? 2 : 0);
        view.setUint32(1, fits('position', message.position, 0xffff_ffff), true);
        body[5] = serialLinkCodings.indexOf(message.audio.coding);
      });
    case 'speaker':
      return payload(5, message.audio.bytes, (body, view) => {
        view.setUint32(0, fits('position', message.position, 0xffff_ffff), true);
        body[4] = serialLinkCodings.indexOf(message.audio.coding);
      });
    case 'key':
      return payload(4, none, (body, view) => {
        const least = message.action === 'tap' ? 1 : 0;
        const most = message.action === 'press' ? 0 : 0xffff;
        body[0] = serialLinkKeys.indexOf(message.key);
        body[1] = serialLinkKeyActions.indexOf(message.action);
        view.setUint16(2, fits('durationMs', message.durationMs, most, least), true);
      });
    case 'board-state':
      return payload(10, none, (body, view) => {
        body[0] = serialLinkBoardStates.indexOf(message.state);
        body[1] = fits('volume', message.volume, 255);
        view.setUint32(2, fits('atMs', message.atMs, 0xffff_ffff), true);
        view.setUint32(6, fits('freeHeapBytes', message.freeHeapBytes, 0xffff_ffff), true);
      });
    case 'board-info':
      return encoder.encode(JSON.stringify(message.facts));
    case 'log-level':
      return payload(1, encoder.encode(message.tag), (body) => {
        body[0] = serialLinkLogLevels.indexOf(message.level);
      });
    case 'server-open':
      return payload(1, encoder.encode(message.target), (body) => {
        body[0] = fits('connection', message.connection, 255);
      });
    case 'server-opened':
      return Uint8Array.of(fits('connection', message.connection, 255));
    case 'server-close':
      return payload(3, encoder.encode(message.reason), (body, view) => {
        body[0] = fits('connection', message.connection, 255);
        view.setUint16(1, fits('code', message.code, 0xffff), true);
      });
  }
}

/**
 * Reads a message that has come whole; never throws for what is in it. Bytes behind a payload of fixed
 * size are ignored, for later versions. What is returned holds copies.
 *
 * @param from the end that sent it
 */
export function decodeSerialLinkMessage(
  code: number,
  body: Uint8Array,
  from: SerialLinkRole,
): SerialLinkMessageResult {
  const type = typeOfCode.get(code);
  if (type === undefined) return refuse(`unknown message type ${code}`);
  const rule = serialLinkMessageRules[type];
  if (rule.from !== 'both' && rule.from !== from) {
    return refuse(`${type} is sent by the ${rule.from}, not by the ${from}`);
  }
  const least = leastBytes[type] ?? 0;
  if (body.length < least) {
    return refuse(`${type} has ${body.length} bytes, ${least} are the least`);
  }
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  switch (type) {
    case 'server-event':
      return { ok: true, message: { type, bytes: new Uint8Array(body) } };
    case 'client-command': {
      const text = strictText(body);
      return text === undefined ? noText(type) : { ok: true, message: { type, text } };
    }
    case 'upload-audio': {
      const audio = readAudio(body, 0);
      return typeof audio === 'string'
        ? refuse(`${type}: ${audio}`)
        : { ok: true, message: { type, audio } };
    }
    case 'microphone': {
      const audio = readAudio(body, 5);
      if (typeof audio === 'string') return refuse(`${type}: ${audio}`);
      const start = (body[0]! & 1) !== 0;
      const end = (body[0]! & 2) !== 0;
      return {
        ok: true,
        message: { type, start, end, position: view.getUint32(1, true), audio },
      };
    }
    case 'speaker': {
      const audio = readAudio(body, 4);
      if (typeof audio === 'string') return refuse(`${type}: ${audio}`);
      return { ok: true, message: { type, position: view.getUint32(0, true), audio } };
    }
    case 'key': {
      const key = serialLinkKeys[body[0]!];
      const action = serialLinkKeyActions[body[1]!];
      const durationMs = view.getUint16(2, true);
      if (key === undefined) return refuse(`${type}: no key ${body[0]}`);
      if (action === undefined) return refuse(`${type}: no action ${body[1]}`);
      if ((action === 'tap' && durationMs === 0) || (action === 'press' && durationMs !== 0)) {
        return refuse(`${type}: ${action} with a duration of ${durationMs} ms`);
      }
      return { ok: true, message: { type, key, action, durationMs } };
    }
    case 'board-state': {
      const state = serialLinkBoardStates[body[0]!];
      if (state === undefined) return refuse(`${type}: no state ${body[0]}`);
      const [atMs, freeHeapBytes] = [view.getUint32(2, true), view.getUint32(6, true)];
      return { ok: true, message: { type, state, volume: body[1]!, atMs, freeHeapBytes } };
    }
    case 'board-info':
      return readFacts(body);
    case 'log-level': {
      const level = serialLinkLogLevels[body[0]!];
      const tag = strictText(body.subarray(1));
      if (level === undefined) return refuse(`${type}: no level ${body[0]}`);
      return tag === undefined ? noText(type) : { ok: true, message: { type, level, tag } };
    }
    case 'server-open': {
      const target = strictText(body.subarray(1));
      return target === undefined
        ? noText(type)
        : { ok: true, message: { type, connection: body[0]!, target } };
    }
    case 'server-opened':
      return { ok: true, message: { type, connection: body[0]! } };
    case 'server-close': {
      const reason = strictText(body.subarray(3));
      const code = view.getUint16(1, true);
      return reason === undefined
        ? noText(type)
        : { ok: true, message: { type, connection: body[0]!, code, reason } };
    }
  }
}

/** Bytes of the fixed part. */
const leastBytes: Partial<Record<SerialLinkMessageType, number>> = {
  'upload-audio': 1,
  microphone: 6,
  speaker: 5,
  key: 4,
  'board-state': 10,
  'log-level': 1,
  'server-open': 1,
  'server-opened': 1,
  'server-close': 3,
};

/** @param adpcm of this stream; null: uncompressed */
export function encodeSerialLinkAudio(
  samples: Int16Array,
  adpcm: AdpcmEncoder | null,
): SerialLinkAudio {
  return adpcm === null
    ? { coding: 's16le', bytes: bytesFromInt16(samples) }
    : { coding: 'ima-adpcm', bytes: adpcm.encode(samples) };
}

/** The samples of audio that was received; null for `opus`, which takes a decoder. */
export function decodeSerialLinkAudio(audio: SerialLinkAudio): Int16Array | null {
  switch (audio.coding) {
    case 's16le':
      return int16FromBytes(audio.bytes);
    case 'ima-adpcm':
      return decodeAdpcm(audio.bytes);
    case 'opus':
      return null;
  }
}

const encoder = new TextEncoder();
const none = new Uint8Array(0);

function payload(
  head: number,
  tail: Uint8Array,
  write: (body: Uint8Array, view: DataView) => void,
): Uint8Array {
  const body = new Uint8Array(head + tail.length);
  write(body, new DataView(body.buffer));
  body.set(tail, head);
  return body;
}

function fits(field: string, value: number, most: number, least = 0): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new ProtocolError(
    'FP_SERIAL_LINK_FIELD',
    `${field} is ${value}: give a whole number from ${least} to ${most}.`,
  );
}

/** The audio from here to the end, or why it is none. */
function readAudio(body: Uint8Array, at: number): SerialLinkAudio | string {
  const coding = serialLinkCodings[body[at]!];
  const bytes = new Uint8Array(body.subarray(at + 1));
  if (coding === undefined) return `no coding ${body[at]}`;
  if (coding === 's16le' && bytes.length % 2 === 1) return `${bytes.length} bytes of s16le`;
  if (coding === 'ima-adpcm' && decodeAdpcm(bytes) === null) return 'no block of IMA ADPCM';
  return { coding, bytes };
}

function readFacts(body: Uint8Array): SerialLinkMessageResult {
  const text = strictText(body);
  if (text === undefined) return noText('board-info');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refuse('board-info: not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse('board-info: no JSON object');
  }
  const odd = Object.entries(value).find(([, fact]) => typeof fact !== 'string');
  if (odd !== undefined) return refuse(`board-info: \`${odd[0]}\` is no text`);
  return { ok: true, message: { type: 'board-info', facts: value as Record<string, string> } };
}

function refuse(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason };
}

function noText(type: SerialLinkMessageType): SerialLinkMessageResult {
  return refuse(`${type}: not UTF-8`);
}
