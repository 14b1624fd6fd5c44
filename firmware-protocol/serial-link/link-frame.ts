/**
 * The bodies of frames (SL-3 of the README beside this file): what the two ends of a serial link say
 * to each other about the link, and the envelope of messages. Integers are little-endian.
 */
import { lossyText } from '../decoder-reason.ts';

/** The version of this protocol that is spoken here, and the only one. */
export const serialLinkVersion = 1;

/** `host`: the end towards the server. */
export type SerialLinkRole = 'host' | 'board';

/** What an end can do beyond events, commands and PCM; the bits in this order, from 0. */
export const serialLinkCapabilities = [
  /** Takes samples in place of its microphone. */
  'inject-microphone',
  /** Hands out what its speaker plays. */
  'tap-speaker',
  /** Takes presses of keys. */
  'keys',
  /** Takes log levels. */
  'log-level',
  /** Takes audio as IMA ADPCM. */
  'ima-adpcm',
  /** Takes audio as opus packets. */
  'opus',
] as const;
export type SerialLinkCapability = (typeof serialLinkCapabilities)[number];

/** Why an end will not talk; the codes from 1. */
export const serialLinkRefusals = ['version', 'role', 'limits'] as const;
export type SerialLinkRefusal = (typeof serialLinkRefusals)[number];

/** Why an end ends a session; the codes from 1. */
export const serialLinkClosings = ['finished', 'violation'] as const;
export type SerialLinkClosing = (typeof serialLinkClosings)[number];

export interface SerialLinkLimits {
  /** The largest body of a frame that is taken. */
  readonly frameMaximumBytes: number;
  /** The most data frames that may be on their way to this end. */
  readonly window: number;
  /** The largest message that is taken, without its type. */
  readonly messageMaximumBytes: number;
}

export type SerialLinkFrame =
  | {
      readonly kind: 'hello';
      readonly version: number;
      readonly lowestVersion: number;
      readonly role: SerialLinkRole;
      /** The sender is not connected yet and waits for a hello that names its session. */
      readonly replyWanted: boolean;
      readonly session: number;
      /** The session of the other end, as heard from it; 0: nothing was heard. */
      readonly peerSession: number;
      /** What only a version that is spoken here can tell; null when it is cut off. */
      readonly rest:
        | (SerialLinkLimits & {
            /** As in `ack`, for the first data frames. */
            readonly credit: number;
            readonly capabilities: readonly SerialLinkCapability[];
            /** What stands there, for people. */
            readonly name: string;
          })
        | null;
    }
  | {
      readonly kind: 'refuse';
      /** The session that is refused. */
      readonly session: number;
      /** Null: a reason of a later version. */
      readonly reason: SerialLinkRefusal | null;
      readonly version: number;
      readonly lowestVersion: number;
    }
  | {
      readonly kind: 'close';
      /** The session of the sender. */
      readonly session: number;
      readonly reason: SerialLinkClosing | null;
    }
  | {
      readonly kind: 'ack';
      /** The number of the data frame that is expected next. */
      readonly ack: number;
      /** So many data frames from `ack` on are taken. */
      readonly credit: number;
      /** `ack` is missing: send again from there. */
      readonly resend: boolean;
      /** Answer at once with an `ack`. */
      readonly poll: boolean;
    }
  | {
      readonly kind: 'data';
      readonly sequence: number;
      readonly ack: number;
      readonly credit: number;
      readonly first: boolean;
      readonly last: boolean;
      /** A whole message that may stand between the parts of another. */
      readonly urgent: boolean;
      /** Of the message; 0 when this is not its first part. */
      readonly type: number;
      readonly payload: Uint8Array;
    }
  | { readonly kind: 'loose'; readonly type: number; readonly payload: Uint8Array }
  | { readonly kind: 'ping'; readonly token: number }
  | { readonly kind: 'pong'; readonly token: number; readonly clockUs: number };

export type SerialLinkFrameKind = SerialLinkFrame['kind'];

/** The first byte of a body. */
const codes: Readonly<Record<SerialLinkFrameKind, number>> = {
  hello: 1,
  refuse: 2,
  close: 3,
  ack: 4,
  data: 5,
  loose: 6,
  ping: 7,
  pong: 8,
};

/** Bytes of a body before the payload of the first part of a message; later parts have one less. */
export const dataHeadBytes = 6;
export const looseHeadBytes = 2;
export const helloNameMaximumBytes = 64;

const helloHeadBytes = 12;
const helloBytes = 24;

/** In a buffer of its own. The numbers fit their fields; a name is cut to 64 bytes of UTF-8. */
export function encodeLinkFrame(frame: SerialLinkFrame): Uint8Array {
  switch (frame.kind) {
    case 'hello': {
      const name = nameBytes(frame.rest?.name ?? '');
      const [body, view] = start(
        'hello',
        frame.rest === null ? helloHeadBytes : helloBytes + name.length,
      );
      body[1] = frame.version;
      body[2] = frame.lowestVersion;
      body[3] = (frame.role === 'board' ? 1 : 0) | (frame.replyWanted ? 2 : 0);
      view.setUint32(4, frame.session, true);
      view.setUint32(8, frame.peerSession, true);
      if (frame.rest !== null) {
        view.setUint16(12, frame.rest.frameMaximumBytes, true);
        body[14] = frame.rest.window;
        body[15] = frame.rest.credit;
        view.setUint32(16, frame.rest.messageMaximumBytes, true);
        view.setUint32(20, capabilityBits(frame.rest.capabilities), true);
        body.set(name, helloBytes);
      }
      return body;
    }
    case 'refuse': {
      const [body, view] = start('refuse', 8);
      view.setUint32(1, frame.session, true);
      body[5] = frame.reason === null ? 0 : serialLinkRefusals.indexOf(frame.reason) + 1;
      body[6] = frame.version;
      body[7] = frame.lowestVersion;
      return body;
    }
    case 'close': {
      const [body, view] = start('close', 6);
      view.setUint32(1, frame.session, true);
      body[5] = frame.reason === null ? 0 : serialLinkClosings.indexOf(frame.reason) + 1;
      return body;
    }
    case 'ack':
      return Uint8Array.of(
        codes.ack,
        (frame.resend ? 1 : 0) | (frame.poll ? 2 : 0),
        frame.ack,
        frame.credit,
      );
    case 'data': {
      const head = frame.first ? dataHeadBytes : dataHeadBytes - 1;
      const [body] = start('data', head + frame.payload.length);
      body[1] = (frame.first ? 1 : 0) | (frame.last ? 2 : 0) | (frame.urgent ? 4 : 0);
      body[2] = frame.sequence;
      body[3] = frame.ack;
      body[4] = frame.credit;
      if (frame.first) body[5] = frame.type;
      body.set(frame.payload, head);
      return body;
    }
    case 'loose': {
      const [body] = start('loose', looseHeadBytes + frame.payload.length);
      body[1] = frame.type;
      body.set(frame.payload, looseHeadBytes);
      return body;
    }
    case 'ping': {
      const [body, view] = start('ping', 5);
      view.setUint32(1, frame.token, true);
      return body;
    }
    case 'pong': {
      const [body, view] = start('pong', 13);
      view.setUint32(1, frame.token, true);
      view.setUint32(5, frame.clockUs % 0x1_0000_0000, true);
      view.setUint32(9, Math.floor(frame.clockUs / 0x1_0000_0000), true);
      return body;
    }
  }
}

/** Null: no frame of this protocol. A payload is a view of `body`. Bytes behind a frame of fixed size are ignored. */
export function decodeLinkFrame(body: Uint8Array): SerialLinkFrame | null {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const [code, flags = 0] = body;
  switch (code) {
    case codes.hello: {
      if (body.length < helloHeadBytes) return null;
      const session = view.getUint32(4, true);
      if (session === 0) return null;
      return {
        kind: 'hello',
        version: body[1]!,
        lowestVersion: body[2]!,
        role: body[3]! & 1 ? 'board' : 'host',
        replyWanted: (body[3]! & 2) !== 0,
        session,
        peerSession: view.getUint32(8, true),
        rest: body.length < helloBytes ? null : readHelloRest(body, view),
      };
    }
    case codes.refuse:
      if (body.length < 8) return null;
      return {
        kind: 'refuse',
        session: view.getUint32(1, true),
        reason: serialLinkRefusals[body[5]! - 1] ?? null,
        version: body[6]!,
        lowestVersion: body[7]!,
      };
    case codes.close:
      if (body.length < 6) return null;
      return {
        kind: 'close',
        session: view.getUint32(1, true),
        reason: serialLinkClosings[body[5]! - 1] ?? null,
      };
    case codes.ack:
      if (body.length < 4) return null;
      return {
        kind: 'ack',
        ack: body[2]!,
        credit: body[3]!,
        resend: (flags & 1) !== 0,
        poll: (flags & 2) !== 0,
      };
    case codes.data: {
      const first = (flags & 1) !== 0;
      const head = first ? dataHeadBytes : dataHeadBytes - 1;
      if (body.length < head) return null;
      return {
        kind: 'data',
        sequence: body[2]!,
        ack: body[3]!,
        credit: body[4]!,
        first,
        last: (flags & 2) !== 0,
        urgent: (flags & 4) !== 0,
        type: first ? body[5]! : 0,
        payload: body.subarray(head),
      };
    }
    case codes.loose:
      if (body.length < looseHeadBytes) return null;
      return { kind: 'loose', type: body[1]!, payload: body.subarray(looseHeadBytes) };
    case codes.ping:
      return body.length < 5 ? null : { kind: 'ping', token: view.getUint32(1, true) };
    case codes.pong:
      if (body.length < 13) return null;
      return {
        kind: 'pong',
        token: view.getUint32(1, true),
        clockUs: view.getUint32(5, true) + view.getUint32(9, true) * 0x1_0000_0000,
      };
    default:
      return null;
  }
}

function readHelloRest(
  body: Uint8Array,
  view: DataView,
): (SerialLinkFrame & { kind: 'hello' })['rest'] {
  const bits = view.getUint32(20, true);
  return {
    frameMaximumBytes: view.getUint16(12, true),
    window: body[14]!,
    credit: body[15]!,
    messageMaximumBytes: view.getUint32(16, true),
    capabilities: serialLinkCapabilities.filter((_, bit) => (bits >>> bit) & 1),
    name: lossyText(body.subarray(helloBytes, helloBytes + helloNameMaximumBytes)),
  };
}

function start(kind: SerialLinkFrameKind, length: number): [Uint8Array, DataView] {
  const body = new Uint8Array(length);
  body[0] = codes[kind];
  return [body, new DataView(body.buffer)];
}

function capabilityBits(capabilities: readonly SerialLinkCapability[]): number {
  return capabilities.reduce((bits, name) => bits | (1 << serialLinkCapabilities.indexOf(name)), 0);
}

/** As many whole characters as fit. */
function nameBytes(name: string): Uint8Array {
  const out = new Uint8Array(helloNameMaximumBytes);
  return out.subarray(0, new TextEncoder().encodeInto(name, out).written);
}
