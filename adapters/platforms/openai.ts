/**
 * OpenAI `POST /v1/audio/speech` and the many services that copy it (TTS provider protocol
 * reference, sections 3.2, 4 and 5.7).
 */
import type { IncomingMessage } from 'node:http';
import type { SpeechSource } from '../audio/speech-normalizer.ts';
import { echoKitBlockSamples, type Platform } from '../platform.ts';
import type {
  AdapterDeps,
  SpeechAdapter,
  SpeechCapabilities,
  SpeechSession,
} from '../speech-adapter.ts';
import { openHttpSpeech } from '../transport/http-speech.ts';
import type { FailureTable } from '../transport/provider-failure.ts';
import { defaultTimeLimitsMs, noTimeLimits, type TimeLimitsMs } from '../transport/time-limit.ts';
import { OpenAiSpeechEvents } from './openai-speech-events.ts';

export interface OpenAiConfig {
  readonly url: string;
  /** Sent as bearer token; no header when it is empty. */
  readonly apiKey: string;
  readonly model: string;
  readonly voice: string;
  /**
   * `pcm`: raw audio, played while it arrives; `sse`: the same in server-sent events, with usage.
   * Absent: a WAV, read to its end first.
   */
  readonly stream?: 'pcm' | 'sse';
  /** Rate of raw audio from a service that does not tell; goes before what it tells. */
  readonly sampleRateHz?: number;
  readonly timeoutMs?: Partial<TimeLimitsMs>;
}

/** Raw PCM of OpenAI and most copies has no header and this rate (section 4.3). */
const pcmRateHz = 24_000;

/** What is believed of a declared rate. */
const rateHzBetween = [4_000, 192_000] as const;

/** What is published of a service and its answers do not tell (sections 4.7, 5.1 and 5.6). */
interface Service {
  /** Longest input; most copies have no limit. */
  readonly charactersMax?: number;
  /** Rate of `response_format` "pcm". */
  readonly pcmRateHz?: number;
}

const servicesByHost: Readonly<Record<string, Service>> = {
  'api.openai.com': { charactersMax: 4_096 },
  'api.groq.com': { charactersMax: 200 },
  'api.fish.audio': { pcmRateHz: 44_100 },
};

export const openAiFailures: FailureTable = {
  codes: {
    invalid_api_key: 'auth',
    insufficient_quota: 'quota',
    billing_hard_limit_reached: 'quota',
    rate_limit_exceeded: 'rate-limit',
    string_above_max_length: 'too-long',
    model_not_found: 'bad-request',
    server_error: 'server',
  },
  words: [
    [/'loc': \('body', 'voice'\)/, 'bad-voice'],
    [/\b(?:unknown|invalid|unsupported|no such) (?:voice|speaker)\b/i, 'bad-voice'],
    [
      /\bvoice\b.*\b(?:not found|not available|unknown|invalid|does not exist|not supported|must be|should be)\b/i,
      'bad-voice',
    ],
    [
      /maximum input limit|too long|at most \d+ characters|max(?:imum)? (?:length|characters)/i,
      'too-long',
    ],
    [/\binsufficient (?:quota|credits?|balance)\b/i, 'quota'],
  ],
  hints: {
    auth: 'Check "api_key" and what it may do.',
    quota: 'Check the plan and the balance of the account.',
    'bad-voice': 'Check "voice"; not every voice works with every model.',
    'too-long': 'Speak the text in shorter pieces.',
    'bad-request': 'Check "model", "voice", "stream" and "url".',
  },
};

export const openAiAdapter: SpeechAdapter<OpenAiConfig> = {
  platform: 'openai',
  capabilities: openAiCapabilities,
  open: (config, deps) => openOpenAiSpeech('openai', config, deps, openAiFailures),
};

/** Opens a session with a service that speaks OpenAI's protocol under a name of its own. */
export function openOpenAiSpeech(
  platform: string,
  config: OpenAiConfig,
  deps: AdapterDeps,
  failures: FailureTable,
  capabilities: SpeechCapabilities = openAiCapabilities(config),
): SpeechSession {
  return openHttpSpeech(
    {
      platform,
      url: new URL(config.url),
      capabilities,
      headers: config.apiKey === '' ? {} : { Authorization: `Bearer ${config.apiKey}` },
      secrets: [config.apiKey],
      timeoutMs: { ...defaultTimeLimitsMs, ...config.timeoutMs },
      failures,
      // The format is always named: the default differs from service to service (section 5.7).
      body: (input) => ({
        model: config.model,
        voice: config.voice,
        input,
        response_format: config.stream === undefined ? 'wav' : 'pcm',
        ...(config.stream === 'sse' ? { stream_format: 'sse' } : {}),
      }),
      source: (response) =>
        config.stream === undefined ? { container: 'wav' } : pcmSource(response, config),
      // Services that do not know `stream_format` send the audio itself, so their type decides.
      framing: (type) =>
        /^text\/event-stream\b/i.test(type) ? new OpenAiSpeechEvents() : undefined,
    },
    deps,
  );
}

export function openAiCapabilities(config: OpenAiConfig): SpeechCapabilities {
  const charactersMax = servicesByHost[new URL(config.url).hostname]?.charactersMax;
  return {
    textIn: 'whole',
    audioOut: config.stream === undefined ? 'whole' : 'chunks',
    connectionReuse: true,
    marks: false,
    ...(charactersMax === undefined ? {} : { charactersMax }),
  };
}

/**
 * Services with another rate say so in the content type (OpenRouter) or in headers of their own
 * (sglang-omni); OpenAI says nothing.
 */
function pcmSource({ headers }: IncomingMessage, config: OpenAiConfig): SpeechSource {
  const type = headers['content-type'] ?? '';
  return {
    container: 'pcm',
    rateHz:
      config.sampleRateHz ??
      declared(/;\s*rate=(\d+)/i.exec(type)?.[1] ?? headers['x-sample-rate'], ...rateHzBetween) ??
      servicesByHost[new URL(config.url).hostname]?.pcmRateHz ??
      pcmRateHz,
    channels: declared(/;\s*channels=(\d+)/i.exec(type)?.[1] ?? headers['x-channels'], 1, 8) ?? 1,
  };
}

function declared(
  value: string | string[] | undefined,
  least: number,
  most: number,
): number | undefined {
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : Number.NaN;
  return number >= least && number <= most ? number : undefined;
}

export const openAi: Platform<OpenAiConfig> = {
  names: ['openai', 'OpenAI', 'Openai'],
  keys: {
    api_key: {
      kind: 'text',
      about: 'API key, sent as bearer token.',
      required: true,
      secret: true,
      environment: ['OPENAI_API_KEY'],
    },
    model: {
      kind: 'text',
      about: 'Model name.',
      default: 'gpt-4o-tts',
      doubts: [
        {
          when: /^gpt-4o-tts$/,
          says: 'is no model that OpenAI has',
          hint: 'write model = "gpt-4o-mini-tts"',
        },
      ],
    },
    voice: { kind: 'text', about: 'Voice name.', default: 'alloy' },
    url: {
      kind: 'url',
      about: 'Speech endpoint of OpenAI or of a service that copies it.',
      default: 'https://api.openai.com/v1/audio/speech',
      schemes: ['https', 'http'],
    },
    stream: {
      kind: 'text',
      about:
        'Own key: "pcm" plays raw audio while it arrives, "sse" the same in server-sent events; absent, a WAV is read whole.',
      choices: ['pcm', 'sse'],
    },
    sample_rate: {
      kind: 'count',
      about: 'Own key: Hz of raw audio from a service that does not tell; a WAV always tells.',
      between: rateHzBetween,
    },
  },
  configFrom: ({ url, api_key, model, voice, stream, sample_rate }) => ({
    url: url!,
    apiKey: api_key!,
    model: model!,
    voice: voice!,
    ...(stream === 'pcm' || stream === 'sse' ? { stream } : {}),
    ...(sample_rate === undefined ? {} : { sampleRateHz: Number(sample_rate) }),
  }),
  adapter: openAiAdapter,
  echoKit: {
    configure: ({ stream: _, ...config }) => ({ ...config, timeoutMs: noTimeLimits }),
    blockSamples: echoKitBlockSamples,
  },
};
