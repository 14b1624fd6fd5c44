import { type OtherService, readTtsConfig, type TtsConfig } from '../../adapters/index.ts';
import { endpointOfUrl, isLoopback } from '../network/endpoint-url.ts';
import type { Endpoint } from '../network/network.ts';
import { findPersonality } from '../stand-ins/personality-catalog.ts';

/** A provider a run can name: an EchoKit `[tts]` table under a short name. */
export interface ProviderEntry {
  readonly name: string;
  readonly tts: TtsConfig;
  /** Where its adapter will connect; what a stand-in answers for. */
  readonly endpoint: Endpoint;
  /** What its adapter calls beside it. */
  readonly otherServices: readonly {
    readonly purpose: OtherService['purpose'];
    readonly endpoint: Endpoint;
  }[];
  /** What its stand-in is unless a scenario says otherwise; absent: the platform's usual one. */
  readonly personality?: string;
}

/**
 * The providers that are there without any configuration. The tables are those of the EchoKit
 * documentation page on text to speech, with keys that only a stand-in accepts.
 */
export const builtInTables: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  openai: {
    platform: 'openai',
    url: 'https://api.openai.com/v1/audio/speech',
    model: 'gpt-4o-mini-tts',
    api_key: 'sk_stand_in',
    voice: 'ash',
  },
  'openai-stream': {
    platform: 'openai',
    url: 'https://api.openai.com/v1/audio/speech',
    model: 'gpt-4o-mini-tts',
    api_key: 'sk_stand_in',
    voice: 'ash',
    stream: 'pcm',
  },
  'openai-sse': {
    platform: 'openai',
    url: 'https://api.openai.com/v1/audio/speech',
    model: 'gpt-4o-mini-tts',
    api_key: 'sk_stand_in',
    voice: 'ash',
    stream: 'sse',
  },
  stream_gsv: {
    platform: 'stream_gsv',
    url: 'http://localhost:9094/v1/audio/stream_speech',
    speaker: 'texan',
  },
  elevenlabs: {
    platform: 'elevenlabs',
    url: 'wss://api.elevenlabs.io/v1/text-to-speech/',
    token: 'sk_stand_in',
    voice: 'YOUR-VOICE-ID',
  },
  groq: {
    platform: 'groq',
    url: 'https://api.groq.com/openai/v1/audio/speech',
    // EchoKit's default model does not exist any more.
    model: 'canopylabs/orpheus-v1-english',
    api_key: 'gsk_stand_in',
    voice: 'hannah',
  },
  gsv: {
    platform: 'gsv',
    url: 'http://localhost:9094/v1/audio/speech',
    speaker: 'texan',
  },
  cosyvoice: {
    platform: 'cosyvoice',
    url: 'wss://dashscope.aliyuncs.com/api-ws/v1/inference',
    token: 'sk_stand_in',
    speaker: 'longhua_v2',
  },
  fish: {
    platform: 'fish',
    url: 'https://api.fish.audio/v1/tts',
    api_key: 'sk_stand_in',
    speaker: 'YOUR-VOICE-ID',
  },
  'fish-live': {
    platform: 'fish',
    url: 'https://api.fish.audio/v1/tts',
    api_key: 'sk_stand_in',
    speaker: 'YOUR-VOICE-ID',
    stream: 'live',
  },
  'elevenlabs-v4': {
    platform: 'elevenlabs',
    url: 'wss://api.elevenlabs.io/v1/text-to-speech/',
    token: 'sk_stand_in',
    voice: 'YOUR-VOICE-ID',
    model_id: 'eleven_v4_turbo',
  },
  openrouter: {
    platform: 'openai',
    url: 'https://openrouter.ai/api/v1/audio/speech',
    model: 'openai/gpt-4o-mini-tts',
    api_key: 'sk_stand_in',
    voice: 'alloy',
    stream: 'pcm',
  },
  kokoro: {
    platform: 'openai',
    url: 'http://localhost:8880/v1/audio/speech',
    model: 'kokoro',
    api_key: '',
    voice: 'af_heart',
    stream: 'pcm',
  },
  vllm: {
    platform: 'openai',
    url: 'http://localhost:8000/v1/audio/speech',
    model: 'Qwen/Qwen3-TTS-12Hz-1.7B-CustomVoice',
    api_key: '',
    voice: 'vivian',
    stream: 'sse',
  },
};

/** The copies of another platform's API among them, and how their stand-ins behave. */
const builtInPersonalities: Readonly<Record<string, string>> = {
  openrouter: 'openrouter',
  kokoro: 'kokoro-gpu',
  vllm: 'vllm-omni',
};

export const builtInProviders: readonly ProviderEntry[] = Object.entries(builtInTables).map(
  ([name, table]) => {
    const personality = builtInPersonalities[name];
    return { ...providerEntry(name, table), ...(personality !== undefined && { personality }) };
  },
);

/** What the tables above hold for want of a real value. */
const standInValues: readonly unknown[] = ['sk_stand_in', 'gsk_stand_in', 'YOUR-VOICE-ID'];

/**
 * A built-in provider for the real service: without the values that only a stand-in accepts. They come
 * from the environment, under the names that the platform says.
 *
 * @throws {ConfigError} `CONFIG_MISSING_KEY` when they do not
 */
export function liveBuiltIn(
  name: string,
  environment: Readonly<Record<string, string | undefined>>,
): ProviderEntry {
  const entries = Object.entries(builtInTables[name] ?? {});
  const table = Object.fromEntries(entries.filter(([, value]) => !standInValues.includes(value)));
  return configuredProvider(name, readTtsConfig(table, { environment }));
}

/** A value of the configuration that must not be sent to a real service; this machine is none. */
export function standInValue(provider: ProviderEntry): string | undefined {
  if (endpointsOf(provider).every(({ host }) => isLoopback(host))) return undefined;
  const values = textsIn(provider.tts.config);
  return values.find((value) => standInValues.includes(value));
}

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

/**
 * The built-in table to reach a stand-in with: the platform's first, or that of the copy whose API a
 * personality of the platform speaks.
 */
export function exampleTable(
  platform: string,
  personality?: string,
): Readonly<Record<string, unknown>> {
  const dialectOf = (name: string | undefined): string | undefined =>
    name === undefined ? undefined : findPersonality(name, platform).behavior.dialect;
  const candidates = builtInProviders.filter(({ tts }) => tts.platform === platform);
  const dialect = dialectOf(personality);
  const copy = candidates.find(
    (entry) => entry.personality !== undefined && dialectOf(entry.personality) === dialect,
  );
  const { name } = copy ?? candidates[0]!;
  return builtInTables[name]!;
}

/**
 * @param table an EchoKit `[tts]` table
 * @throws {ConfigError}
 */
export function providerEntry(
  name: string,
  table: Readonly<Record<string, unknown>>,
): ProviderEntry {
  return configuredProvider(name, readTtsConfig(table));
}

/** The same for a table that has been read. */
export function configuredProvider(name: string, tts: TtsConfig): ProviderEntry {
  const otherServices = tts.otherServices.map(({ purpose, url }) => ({
    purpose,
    endpoint: endpointOfUrl(new URL(url)),
  }));
  return { name, tts, endpoint: endpointOf(tts), otherServices };
}

/** Every platform is reached by a URL; that is all the harness needs to know about it. */
function endpointOf(tts: TtsConfig): Endpoint {
  const { url } = tts.config as { readonly url: string };
  return endpointOfUrl(new URL(url));
}

/** Everything the adapter of a provider connects to. */
export function endpointsOf(provider: ProviderEntry): Endpoint[] {
  return [provider.endpoint, ...provider.otherServices.map(({ endpoint }) => endpoint)];
}
