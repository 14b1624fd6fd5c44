import { readFileSync } from 'node:fs';
import type { SerialLinkEndpoint, SerialLinkEvent, SerialLinkSettings } from './endpoint.ts';
import type { SerialLinkItem } from './frame.ts';
import type { SerialLinkRole } from './link-frame.ts';
import {
  encodeSerialLinkMessage,
  type SerialLinkMessage,
  serialLinkMessageRules,
} from './message.ts';

/** The golden vectors of the serial link, as they stand in the file. */
export type SerialLinkVector = { readonly name: string; readonly origin: string } & (
  | { readonly kind: 'crc'; readonly hex: string; readonly crc: string }
  | {
      readonly kind: 'cobs';
      readonly hex?: string;
      readonly stuffed: string;
      readonly accepted: boolean;
      readonly written?: false;
    }
  | { readonly kind: 'frame'; readonly body: string; readonly wire: string }
  | {
      readonly kind: 'link-frame';
      readonly hex: string;
      readonly accepted: boolean;
      readonly written?: false;
      readonly frame?: Readonly<Record<string, unknown>>;
    }
  | {
      readonly kind: 'stream';
      readonly wire: string;
      readonly frameMaximumBytes: number;
      readonly giveUp: boolean;
      readonly items: readonly VectorItem[];
    }
  | {
      readonly kind: 'message';
      readonly type: number;
      readonly from: SerialLinkRole;
      readonly hex: string;
      readonly accepted: boolean;
      readonly written?: false;
      readonly message?: Readonly<Record<string, unknown>>;
      readonly reason?: string;
    }
  | {
      readonly kind: 'adpcm';
      readonly samples: readonly number[];
      readonly hex: string;
      readonly decoded: readonly number[];
    }
  | SessionVector
);

export interface SessionVector {
  readonly kind: 'session';
  readonly name: string;
  readonly origin: string;
  readonly role: SerialLinkRole;
  readonly session: number;
  readonly settings: Partial<SerialLinkSettings>;
  readonly steps: readonly SessionStep[];
}

export type SessionStep = {
  readonly atUs: number;
  readonly out: readonly string[];
  readonly events: readonly string[];
} & (
  | { readonly do: 'start' | 'due' | 'close' | 'ping' }
  | { readonly do: 'receive'; readonly bytes: string }
  | { readonly do: 'send'; readonly type: number; readonly payload: string }
  | { readonly do: 'grant'; readonly messages: number }
);

export type VectorItem =
  | { readonly frame: string }
  | { readonly text: string }
  | { readonly damaged: string; readonly bytes: string };

export const serialLinkVectors: readonly SerialLinkVector[] = JSON.parse(
  readFileSync(new URL('../vectors/serial-link.json', import.meta.url), 'utf8'),
).vectors;

export function vectorsOf<Kind extends SerialLinkVector['kind']>(
  kind: Kind,
): readonly (SerialLinkVector & { readonly kind: Kind })[] {
  return serialLinkVectors.filter(
    (vector): vector is SerialLinkVector & { readonly kind: Kind } => vector.kind === kind,
  );
}

export const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Items as in a vector; neighbouring texts become one. */
export function vectorItems(items: readonly SerialLinkItem[]): VectorItem[] {
  const out: VectorItem[] = [];
  for (const item of items) {
    const last = out.at(-1);
    if (item.kind === 'frame') out.push({ frame: hexOf(item.body) });
    else if (item.kind === 'damaged') {
      out.push({ damaged: item.reason, bytes: hexOf(item.bytes) });
    } else if (last !== undefined && 'text' in last) {
      out[out.length - 1] = { text: last.text + hexOf(item.bytes) };
    } else out.push({ text: hexOf(item.bytes) });
  }
  return out;
}

/** An event in the words of the vectors. */
export function eventWords(event: SerialLinkEvent): string {
  switch (event.kind) {
    case 'connected':
      return `connected ${event.peer.session}`;
    case 'disconnected':
      return ['disconnected', event.reason, ...event.undelivered].join(' ');
    case 'refused':
      return `refused ${event.by} ${event.reason}`;
    case 'message': {
      const { code } = serialLinkMessageRules[event.message.type];
      const payload = hexOf(encodeSerialLinkMessage(event.message));
      return `${event.loose ? 'loose' : 'message'} ${code} ${payload}`;
    }
    case 'delivered':
      return `delivered ${event.number}`;
    case 'invalid-message':
      return `invalid ${event.type}`;
    case 'pong':
      return `pong ${event.roundTripUs} ${event.peerClockUs}`;
    case 'text':
      return `text ${hexOf(event.bytes)}`;
    case 'damaged':
      return `damaged ${event.reason} ${hexOf(event.bytes)}`;
  }
}

/** The message of a payload, for an endpoint that is asked to send it. */
export function messageOf(type: number, payload: string): SerialLinkMessage {
  if (type === 1) return { type: 'server-event', bytes: bytesOf(payload) };
  if (type === 2) return { type: 'client-command', text: Buffer.from(bytesOf(payload)).toString() };
  throw new Error(`No vector sends messages of type ${type}.`);
}

export function takeStep(endpoint: SerialLinkEndpoint, step: SessionStep): void {
  switch (step.do) {
    case 'start':
    case 'due':
    case 'close':
    case 'ping':
      endpoint[step.do](step.atUs);
      return;
    case 'receive':
      endpoint.receive(bytesOf(step.bytes), step.atUs);
      return;
    case 'send':
      endpoint.send(messageOf(step.type, step.payload), step.atUs);
      return;
    case 'grant':
      endpoint.grant(step.messages, step.atUs);
  }
}
