/**
 * ElevenLabs: text goes in piece by piece over a WebSocket, one connection per utterance. Here is the
 * socket `stream-input` (TTS provider protocol reference, sections 3.2, 6.1, 6.2, 6.9, 6.10); newer
 * models speak on the one of `elevenlabs-dialogue.ts`.
 */
import type { Platform } from '../platform.ts';
import type { AdapterDeps, SpeechAdapter, SpeechCapabilities } from '../speech-adapter.ts';
import { defaultTimeLimitsMs, noTimeLimits } from '../transport/time-limit.ts';
import { openWebSocketSpeech } from '../transport/websocket-speech.ts';
import { dialogueSocket, isDialogueModel } from './elevenlabs-dialogue.ts';
import {
  type ElevenLabsConfig,
  type ElevenLabsSocket,
  elevenLabsFailures,
  keepAliveMs,
  readElevenLabs,
} from './elevenlabs-socket.ts';

export type { ElevenLabsConfig } from './elevenlabs-socket.ts';

/** Characters of one request (section 6.7), by the beginning of the model's name. */
const charactersMaxByModel: readonly (readonly [string, number])[] = [
  ['eleven_flash_v2_5', 40_000],
  ['eleven_turbo_v2_5', 40_000],
  ['eleven_flash_v2', 30_000],
  ['eleven_turbo_v2', 30_000],
  ['eleven_multilingual_v2', 10_000],
  ['eleven_v3', 3_000],
  ['eleven_v4', 10_000],
];

/** Known models that refuse a language (section 6.2); what is not known is asked for. */
const withoutLanguage = /^eleven_(?:flash_v2|turbo_v2|multilingual_v2|v[34](?:_.*)?)$/;

export const elevenLabsAdapter: SpeechAdapter<ElevenLabsConfig> = {
  platform: 'elevenlabs',
  capabilities,
  open,
};

function open(config: ElevenLabsConfig, deps: AdapterDeps) {
  const socket = isDialogueModel(config.modelId) ? dialogueSocket(config) : streamInput(config);
  return openWebSocketSpeech(
    {
      platform: 'elevenlabs',
      capabilities: capabilities(config),
      headers: { 'xi-api-key': config.token },
      secrets: [config.token],
      timeoutMs: { ...defaultTimeLimitsMs, ...config.timeoutMs },
      failures: elevenLabsFailures,
      rateHz: 16_000,
      silentClose: 'truncated',
      ...socket,
    },
    deps,
  );
}

function capabilities({ modelId }: ElevenLabsConfig): SpeechCapabilities {
  const charactersMax = charactersMaxByModel.find(
    ([model]) => modelId === model || modelId.startsWith(`${model}_`),
  )?.[1];
  return {
    textIn: 'pieces',
    audioOut: 'chunks',
    connectionReuse: false,
    marks: true,
    ...(charactersMax === undefined ? {} : { charactersMax }),
  };
}

/** Sections 6.2 and 6.9. There is no first message with settings: EchoKit sends none either. */
function streamInput(config: ElevenLabsConfig): ElevenLabsSocket {
  const url = new URL(config.url);
  const base = url.pathname.replace(/\/+$/, '');
  url.pathname = `${base}/${encodeURIComponent(config.voice)}/stream-input`;
  url.searchParams.set('model_id', config.modelId);
  url.searchParams.set('output_format', 'pcm_16000');
  if (config.languageCode !== undefined && !withoutLanguage.test(config.modelId)) {
    url.searchParams.set('language_code', config.languageCode);
  }
  url.searchParams.set('sync_alignment', 'true');
  return {
    url,
    finalMessage: 'isFinal',
    converse: () => ({
      // `flush` generates what is buffered (buffering rule 3).
      say: (text) => [JSON.stringify({ text, flush: true })],
      // A single space; an empty text would end the stream.
      keepAlive: { afterMs: keepAliveMs, message: JSON.stringify({ text: ' ' }) },
      end: () => [JSON.stringify({ text: '' })],
      read: readElevenLabs,
    }),
  };
}

export const elevenLabs: Platform<ElevenLabsConfig> = {
  names: ['elevenlabs', 'Elevenlabs'],
  keys: {
    token: {
      kind: 'text',
      about: 'API key.',
      required: true,
      secret: true,
      environment: ['ELEVENLABS_API_KEY'],
    },
    voice: { kind: 'text', about: 'Voice id.', required: true },
    url: {
      kind: 'url',
      about: 'Base address of the voices.',
      default: 'wss://api.elevenlabs.io/v1/text-to-speech',
      schemes: ['wss', 'ws'],
    },
    model_id: {
      kind: 'text',
      default: 'eleven_flash_v2_5',
      about: 'Model; empty means eleven_flash_v2_5. v3 and v4 models use the dialogue socket.',
    },
    language_code: { kind: 'text', about: 'ISO 639-1 code, for models that take one.' },
  },
  configFrom: ({ url, token, voice, model_id, language_code }) => ({
    url: url!,
    token: token!,
    voice: voice!,
    modelId: model_id || 'eleven_flash_v2_5',
    ...(language_code ? { languageCode: language_code.toLowerCase() } : {}),
  }),
  remarks: ({ modelId, languageCode }) =>
    languageCode !== undefined && withoutLanguage.test(modelId)
      ? { language_code: `is not sent: ${modelId} takes no language and would refuse it` }
      : {},
  adapter: elevenLabsAdapter,
  echoKit: { configure: (config) => ({ ...config, timeoutMs: noTimeLimits }) },
};
