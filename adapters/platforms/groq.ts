/**
 * Groq's copy of OpenAI's `POST /v1/audio/speech` (TTS provider protocol reference, sections 3.2
 * and 5.1): WAV only and 200 characters, so a longer text takes several requests.
 */
import { echoKitBlockSamples, type Platform } from '../platform.ts';
import type { SpeechAdapter, SpeechCapabilities } from '../speech-adapter.ts';
import type { FailureTable } from '../transport/provider-failure.ts';
import { noTimeLimits, type TimeLimitsMs } from '../transport/time-limit.ts';
import { openAiCapabilities, openAiFailures, openOpenAiSpeech } from './openai.ts';

export interface GroqConfig {
  readonly url: string;
  /** Sent as bearer token; no header when it is empty. */
  readonly apiKey: string;
  readonly model: string;
  readonly voice: string;
  readonly timeoutMs?: Partial<TimeLimitsMs>;
}

/** Of the models, not of the host: it holds behind a proxy as well. */
const charactersMax = 200;

const failures: FailureTable = {
  ...openAiFailures,
  hints: {
    ...openAiFailures.hints,
    'bad-request':
      'Check "model" and "url". EchoKit\'s default model playai-tts was shut down at the end of 2025; canopylabs/orpheus-v1-english followed it.',
  },
};

export const groqAdapter: SpeechAdapter<GroqConfig> = {
  platform: 'groq',
  capabilities,
  open: (config, deps) => openOpenAiSpeech('groq', config, deps, failures, capabilities(config)),
};

function capabilities(config: GroqConfig): SpeechCapabilities {
  return { ...openAiCapabilities(config), charactersMax };
}

export const groq: Platform<GroqConfig> = {
  names: ['groq', 'Groq'],
  keys: {
    api_key: {
      kind: 'text',
      about: 'API key, sent as bearer token.',
      required: true,
      secret: true,
      environment: ['GROQ_API_KEY'],
    },
    voice: { kind: 'text', about: 'Voice name, of the model.', required: true },
    model: {
      kind: 'text',
      about: 'Model name.',
      default: 'playai-tts',
      doubts: [
        {
          when: /^playai-tts(-arabic)?$/,
          says: 'names a model that Groq has shut down',
          hint: 'write model = "canopylabs/orpheus-v1-english"',
        },
      ],
    },
    url: {
      kind: 'url',
      about: 'Speech endpoint.',
      default: 'https://api.groq.com/openai/v1/audio/speech',
      schemes: ['https', 'http'],
    },
  },
  configFrom: ({ url, api_key, model, voice }) => ({
    url: url!,
    apiKey: api_key!,
    model: model!,
    voice: voice!,
  }),
  adapter: groqAdapter,
  echoKit: {
    configure: (config) => ({ ...config, timeoutMs: noTimeLimits }),
    blockSamples: echoKitBlockSamples,
  },
};
