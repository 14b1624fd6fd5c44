import type http from 'node:http';
import { type AudioFormat, formatObstacle } from './audio-format.ts';
import type { FaultTable } from './planted-fault.ts';
import { bearerKey, type ProviderServer, type Upgrade } from './provider-server.ts';
import type { ProviderSocket } from './provider-socket.ts';
import type { FaultMoment, StandInFaultKind } from './stand-in-changes.ts';
import { strayPage, strikeHandshake } from './wordless-faults.ts';

/*
 * What the faces of ElevenLabs have in common: models, output formats, credentials, refusals (TTS
 * provider protocol reference, sections 6.1 and 6.4 to 6.8).
 */

export interface ElevenLabsModel {
  /** Characters of one request or connection (section 6.7). */
  readonly charactersMax: number;
  /** Over which kind of WebSocket it is served; HTTP serves all (section 6.4). */
  readonly socket: 'text-to-speech' | 'dialogue';
  /** Voices of one dialogue. */
  readonly voicesMax: number;
}

const speechModel = (charactersMax: number): ElevenLabsModel => ({
  charactersMax,
  socket: 'text-to-speech',
  voicesMax: 0,
});
const dialogueModel = (charactersMax: number, voicesMax: number): ElevenLabsModel => ({
  charactersMax,
  socket: 'dialogue',
  voicesMax,
});

export const elevenLabsModels: ReadonlyMap<string, ElevenLabsModel> = new Map([
  ['eleven_flash_v2_5', speechModel(40_000)],
  ['eleven_turbo_v2_5', speechModel(40_000)],
  ['eleven_flash_v2', speechModel(30_000)],
  ['eleven_turbo_v2', speechModel(30_000)],
  ['eleven_multilingual_v2', speechModel(10_000)],
  ['eleven_v3', dialogueModel(3000, 10)],
  ['eleven_v3_conversational', dialogueModel(3000, 1)],
  ['eleven_v4', dialogueModel(10_000, 10)],
  ['eleven_v4_turbo', dialogueModel(10_000, 1)],
]);
export const defaultSpeechModel = 'eleven_multilingual_v2';

/**
 * Where a format may be asked for; the lists differ (section 6.6). Streams over HTTP have no WAV: the
 * official client offers it for whole clips only.
 */
export type Face = 'text-to-speech' | 'dialogue' | 'http' | 'http-stream';

const pcmRatesHz = [8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
const mp3Rates = ['22050_32', '24000_48', ...[32, 64, 96, 128, 192].map((kbps) => `44100_${kbps}`)];
const formats: ReadonlyMap<string, OutputFormat> = new Map([
  ...pcmRatesHz.flatMap((rateHz): [string, OutputFormat][] => [
    [`pcm_${rateHz}`, { container: 'none', audio: { codec: 'pcm', rateHz } }],
    [`wav_${rateHz}`, { container: 'wav', audio: { codec: 'pcm', rateHz } }],
  ]),
  ...mp3Rates.map((name): [string, OutputFormat] => {
    const [rateHz, bitrateKbps] = name.split('_').map(Number) as [number, number];
    return [`mp3_${name}`, { container: 'none', audio: { codec: 'mp3', rateHz, bitrateKbps } }];
  }),
  ...[32, 64, 96, 128, 192].map((bitrateKbps): [string, OutputFormat] => [
    `opus_48000_${bitrateKbps}`,
    { container: 'none', audio: { codec: 'opus', rateHz: 48_000, bitrateKbps } },
  ]),
  ...(['ulaw', 'alaw'] as const).map((codec): [string, OutputFormat] => [
    `${codec}_8000`,
    { container: 'none', audio: { codec, rateHz: 8000 } },
  ]),
]);
const onlyOutsideStreamInput = ['pcm_32000', 'pcm_48000', 'mp3_24000_48'];
const defaultFormat = 'mp3_44100_128';

export interface OutputFormat {
  readonly container: 'none' | 'wav';
  readonly audio: AudioFormat;
}

/** The format, or why there is none: not known to the service, or not rendered by the stand-in. */
export function outputFormat(
  server: ProviderServer,
  url: URL,
  face: Face,
): OutputFormat | { readonly known: boolean; readonly message: string } {
  const asked = queryValue(url, 'output_format');
  // What the documentation calls the default in some places.
  const name = asked === 'mp3_44100' ? defaultFormat : (asked ?? defaultFormat);
  const format = formats.get(name);
  const missing =
    (face === 'text-to-speech' && onlyOutsideStreamInput.includes(name)) ||
    (face !== 'http' && format?.container === 'wav');
  if (format === undefined || missing) {
    return { known: false, message: `Output format ${name} is not known.` };
  }
  const obstacle = formatObstacle(server, format.audio);
  if (obstacle === undefined) return format;
  const offered = [...formats]
    .filter(([, { container, audio }]) => container === 'none' && audio.codec === 'pcm')
    .map(([offer]) => offer)
    .filter((offer) => face !== 'text-to-speech' || !onlyOutsideStreamInput.includes(offer));
  const message =
    `This stand-in cannot render ${name}${asked === undefined ? ' (the default of the API)' : ''}. ` +
    `${obstacle} Or set output_format to one of ${offered.join(', ')}.`;
  return { known: true, message };
}

/** A query parameter, absent also in the forms the Python SDK gives to one left out (section 6.8). */
export function queryValue(url: URL, name: string): string | undefined {
  const value = url.searchParams.get(name);
  return value === null || ['', 'None', 'Ellipsis'].includes(value) ? undefined : value;
}

/** A part of a path, or `undefined` when it is not decodable. */
export function decoded(part: string | undefined): string | undefined {
  try {
    return part === undefined ? undefined : decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

/** The key that came with a request, wherever it may be (section 6.1). */
export function offeredKey(incoming: http.IncomingMessage, url: URL): string | undefined {
  const header = incoming.headers['xi-api-key'];
  if (header !== undefined) return String(header);
  const { authorization } = incoming.headers;
  if (authorization !== undefined) return bearerKey(authorization) ?? '';
  const query = url.searchParams.get('authorization');
  if (query !== null) return bearerKey(query) ?? query;
  return url.searchParams.get('single_use_token') ?? undefined;
}

export interface Credentials {
  readonly 'xi-api-key'?: unknown;
  readonly xi_api_key?: unknown;
  readonly authorization?: unknown;
  readonly single_use_token?: unknown;
}

/** The error for the credentials in a first message, when the handshake brought none. */
export function credentialProblem(
  server: ProviderServer,
  message: Credentials,
): { readonly error: string; readonly message: string } | undefined {
  const offered = message['xi-api-key'] ?? message.xi_api_key ?? message.single_use_token;
  const { authorization } = message;
  const key =
    typeof offered === 'string'
      ? offered
      : bearerKey(typeof authorization === 'string' ? authorization : undefined);
  if (server.accepts(key)) return undefined;
  return key === undefined
    ? { error: 'authentication_required', message: 'Authentication is required.' }
    : { error: 'invalid_api_key', message: 'Invalid API key' };
}

/** The two sockets of text-to-speech and the dialogue socket (section 6.2, "Errors"). */
export const socketFaults: FaultTable = {
  auth: ['answer', 'first-audio'],
  quota: ['first-audio', 'answer', 'mid-audio'],
  'rate-limit': ['answer', 'first-audio'],
  'bad-voice': ['first-audio', 'answer'],
  // Only text that has come can be too long, and only text that has not come can be late.
  'too-long': ['first-audio', 'mid-audio'],
  timeout: ['first-audio', 'answer', 'mid-audio'],
  server: ['first-audio', 'answer', 'mid-audio', 'end'],
  protocol: ['first-audio', 'answer', 'mid-audio', 'end'],
  cut: ['mid-audio', 'answer', 'first-audio', 'end'],
  'early-end': ['mid-audio', 'end'],
  empty: ['first-audio'],
  stall: ['mid-audio', 'answer', 'first-audio', 'end'],
};

/** How a handshake is refused: with the words of the HTTP API. */
const handshakeRefusals = {
  auth: [401, 'invalid_api_key', 'Invalid API key'],
  quota: [401, 'quota_exceeded', 'This request exceeds your quota.'],
  'rate-limit': [429, 'too_many_concurrent_requests', 'Too many concurrent requests.'],
  'bad-voice': [400, 'voice_not_found', 'A voice with this id was not found.'],
  server: [500, 'internal_server_error', 'An unexpected error occurred.'],
} as const;
const refusedInHandshake = ['auth', 'quota', 'rate-limit', 'bad-voice', 'server'] as const;

/** What is said when the first text comes; the other faults there wait for the first audio. */
export const refusedAtText = [
  'auth',
  'quota',
  'rate-limit',
  'bad-voice',
  'too-long',
  'server',
] as const;

export interface SocketProblem {
  readonly error: string;
  readonly message: string;
  readonly code?: number;
  readonly param?: string;
}

/** How a planted fault is told on an open socket. */
export function plantedProblem(
  kind: StandInFaultKind,
  { voice, model, waitSeconds }: { voice: string; model: string; waitSeconds: number },
): SocketProblem {
  switch (kind) {
    case 'auth':
      return { error: 'invalid_api_key', message: 'Invalid API key' };
    case 'quota':
      return { error: 'quota_exceeded', message: 'This request exceeds your quota.' };
    case 'rate-limit':
      return { error: 'too_many_concurrent_requests', message: 'Too many concurrent requests.' };
    case 'bad-voice':
      return voiceProblem(voice);
    case 'too-long': {
      const limit = elevenLabsModels.get(model)!.charactersMax;
      return lengthProblem(limit + 1, limit, model);
    }
    case 'timeout':
      return inactivityProblem(waitSeconds);
    default: {
      const message = 'An unexpected error occurred.';
      return { error: 'internal_server_error', message, code: 1011 };
    }
  }
}

export function voiceProblem(voice: string): SocketProblem {
  return { error: 'voice_not_found', message: `A voice with the id ${voice} was not found.` };
}

export function lengthProblem(characters: number, limit: number, model: string): SocketProblem {
  const message = `${characters} characters exceed the limit of ${limit} for ${model}.`;
  return { error: 'max_character_limit_exceeded', message };
}

/** Sends a message that is none of the protocol. */
export function garble(socket: ProviderSocket, moment: FaultMoment): void {
  const begun = moment === 'mid-audio' || moment === 'end';
  socket.send(begun ? JSON.stringify({ audio: 'This is no base64.' }) : strayPage);
}

/** The body of every refusal. */
export function detail(status: string, message: string): object {
  return { detail: { status, message } };
}

export function refuseHandshake(
  server: ProviderServer,
  { stream, entry }: Upgrade,
  status: number,
  code: string,
  message: string,
): undefined {
  entry.error = code;
  server.refuseUpgrade(stream, entry, status, detail(code, message));
}

/** What the handshakes of all WebSockets settle. */
export interface SocketSettings {
  readonly model: string;
  readonly format: AudioFormat;
  readonly syncAlignment: boolean;
  /** Whether a key came with the handshake; else the first message must bring it. */
  readonly authenticated: boolean;
}

/**
 * Reads a handshake; refuses it and returns `undefined` when it will not do.
 *
 * @param tasks what can happen to the contexts of the socket, when they are what is counted
 */
export function shakeHands(
  server: ProviderServer,
  upgrade: Upgrade,
  face: 'text-to-speech' | 'dialogue',
  tasks?: FaultTable,
): SocketSettings | undefined {
  const { url, incoming } = upgrade;
  const refuse = (status: number, code: string, message: string): undefined =>
    refuseHandshake(server, upgrade, status, code, message);
  if (tasks === undefined) server.expose(upgrade.entry, socketFaults);
  if (strikeHandshake(server, upgrade, tasks)) return undefined;
  const planted =
    tasks === undefined
      ? server.strike(upgrade.entry, 'answer', ...refusedInHandshake)
      : server.strikeUpgrade(upgrade.entry, tasks, ...refusedInHandshake);
  const key = offeredKey(incoming, url);
  const refusal = planted ?? (key !== undefined && !server.accepts(key) ? 'auth' : undefined);
  if (refusal !== undefined) {
    const [status, code, message] = handshakeRefusals[refusal];
    return refuse(status, code, message);
  }
  const fallback = face === 'dialogue' ? 'eleven_v3' : defaultSpeechModel;
  const model = queryValue(url, 'model_id') ?? fallback;
  if (elevenLabsModels.get(model)?.socket !== face) {
    return refuse(400, 'unsupported_model', `Model ${model} is not supported on this endpoint.`);
  }
  const format = outputFormat(server, url, face);
  if ('message' in format) {
    const code = format.known ? 'stand_in_format' : 'invalid_output_format';
    return refuse(400, code, format.message);
  }
  return {
    model,
    format: format.audio,
    syncAlignment: queryValue(url, 'sync_alignment') === 'true',
    authenticated: key !== undefined,
  };
}

/** Ends a WebSocket with an error frame and the close code that it names. */
export function failSocket(
  socket: ProviderSocket,
  { error, message, code = 1008, param }: SocketProblem,
): void {
  socket.send(JSON.stringify({ message, error, code, ...(param !== undefined && { param }) }));
  socket.entry.error = error;
  socket.close(code, message);
}

/** `undefined` when it is no JSON object. */
export function jsonObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

export function inactivityProblem(seconds: number): { error: string; message: string } {
  return {
    error: 'input_timeout_exceeded',
    message:
      `Have not received a new text input within the timeout of ${seconds} seconds. ` +
      'Streaming input terminated. Please make sure to either send new text or the end of input.',
  };
}
