import { decode, encode } from '@msgpack/msgpack';
import { isWholeMessagePack } from '../../firmware-protocol/index.ts';
import { formatObstacle } from './audio-format.ts';
import type { Fields } from './field-check.ts';
import type { FishProblem, FishRequest } from './fish-request.ts';
import type { FaultTable } from './planted-fault.ts';
import { type ProviderServer, withoutKeys } from './provider-server.ts';
import { wavHeader } from './rendered-clip.ts';

/*
 * What both faces of Fish Audio have in common: MessagePack, refusals, the WAV header (TTS provider
 * protocol reference, sections 2.2, 7.3 and 7.4).
 */

/** Refusals that have nothing to do with the content of a request. */
export const fishRefusals = {
  auth: { status: 401, message: 'Invalid Token' },
  quota: { status: 402, message: 'Insufficient Balance' },
  'rate-limit': { status: 429, message: 'Too many concurrent requests' },
  server: { status: 503, message: 'Service Unavailable' },
} as const;
/** The live socket. There are no words for a text that is too long, nor for a time limit. */
export const liveFaults: FaultTable = {
  auth: ['answer'],
  quota: ['answer', 'first-audio', 'mid-audio'],
  'rate-limit': ['answer', 'first-audio'],
  'bad-voice': ['first-audio'],
  timeout: ['answer'],
  server: ['first-audio', 'answer', 'mid-audio', 'end'],
  protocol: ['first-audio', 'answer', 'mid-audio', 'end'],
  cut: ['mid-audio', 'answer', 'first-audio', 'end'],
  'early-end': ['mid-audio', 'end'],
  empty: ['first-audio'],
  stall: ['mid-audio', 'answer', 'first-audio', 'end'],
};
/** Sent with a 429. */
export const fishRetryAfter = { 'retry-after': '1' };

const placeholder = { riff: 0xffff_ff24, data: 0xffff_ff00 };

/** @param audioBytes true sizes instead of the placeholders of the service */
export function fishWavHeader(rateHz: number, audioBytes?: number): Buffer {
  return audioBytes === undefined
    ? wavHeader(rateHz, placeholder.riff, placeholder.data)
    : wavHeader(rateHz, audioBytes + 36, audioBytes);
}

export function packed(message: object): Uint8Array {
  return encode(message);
}

/** `undefined` when it is no MessagePack map. */
export function unpacked(bytes: Uint8Array): Fields | undefined {
  // The decoder makes room for what a header announces, which may be gigabytes in a few bytes.
  if (!isWholeMessagePack(bytes)) return undefined;
  try {
    return fieldsOf(decode(bytes));
  } catch {
    return undefined;
  }
}

export function fieldsOf(value: unknown): Fields | undefined {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isMap && !(value instanceof Uint8Array) ? (value as Fields) : undefined;
}

/** Fields as JSON for the log: bytes are counted, keys left out. */
export function loggedFields(fields: Fields): string {
  return withoutKeys(JSON.stringify(withoutBytes(fields)));
}

function withoutBytes(value: unknown): unknown {
  if (value instanceof Uint8Array) return `<${value.length} bytes>`;
  if (Array.isArray(value)) return value.map(withoutBytes);
  const fields = fieldsOf(value);
  if (fields === undefined) return value;
  return Object.fromEntries(Object.entries(fields).map(([k, v]) => [k, withoutBytes(v)]));
}

/** Why the stand-in cannot answer a request that the service could. */
export function fishObstacle(
  server: ProviderServer,
  { audio }: FishRequest,
  fields: Fields,
): FishProblem | undefined {
  const obstacle = formatObstacle(server, audio);
  if (obstacle === undefined) return undefined;
  const named = typeof fields['format'] === 'string';
  const shown = named ? audio.codec : `${audio.codec} (the default of the API)`;
  const message = `This stand-in cannot render ${shown}. ${obstacle} Or set format to wav or pcm.`;
  return { status: 400, message };
}
