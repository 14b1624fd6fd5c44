import type { ConfigKey, ConfigTable, OtherService } from '../platform.ts';
import { defaultTimeLimitsMs } from '../transport/time-limit.ts';
import { defaultPrompts } from './default-prompts.ts';
import type { TextOptimizationConfig } from './text-optimizer.ts';

/** The table `[tts.text_optimization]` of platforms that have one. */
export const textOptimizationKey = {
  kind: 'table',
  about: 'A chat model rewrites each text before it is spoken.',
  keys: {
    url: {
      kind: 'url',
      about: 'Chat-completions endpoint.',
      required: true,
      schemes: ['http', 'https'],
      doubts: [
        {
          when: /\/audio\/(?:transcriptions|speech)\/?$/,
          says: 'is no chat-completions endpoint; an example of EchoKit has the same mistake',
          hint: 'write one that ends in /chat/completions',
        },
      ],
    },
    api_key: {
      kind: 'text',
      about: 'Sent as bearer token; empty: no authorization is sent.',
      default: '',
      secret: true,
    },
    model: { kind: 'text', about: 'Chat model; empty: none is sent.', default: '' },
    prompts: {
      kind: 'tables',
      about: 'Messages before the text, instead of the built-in ones.',
      keys: {
        role: {
          kind: 'text',
          about: 'Who says it.',
          default: 'assistant',
          choices: ['system', 'user', 'assistant', 'tool'],
          absent: 'is missing, and EchoKit then takes the message for one of the assistant',
        },
        content: { kind: 'text', about: 'What is said.', default: '' },
      },
    },
    prompt_language: {
      kind: 'text',
      about: 'Language of the built-in prompts: "en", anything else is Chinese.',
      default: 'en',
      environment: ['TTS_OPTIMIZATION_PROMPT_LANG'],
      doubts: [
        {
          when: /^(?!(?:en|zh)$)/i,
          says: 'is neither "en" nor "zh", and stands for Chinese',
          hint: 'write prompt_language = "en" for English',
        },
      ],
    },
  },
} as const satisfies ConfigKey;

/** @param table `[tts.text_optimization]`; undefined when there is none */
export function textOptimizationFrom(
  table: ConfigTable | undefined,
): TextOptimizationConfig | undefined {
  if (table === undefined) return undefined;
  const { url, api_key: apiKey, model, prompt_language: language } = table.values;
  const { prompts } = table.tables;
  return {
    url: url!,
    apiKey: apiKey!,
    model: model!,
    prompts:
      prompts === undefined
        ? defaultPrompts[/^en$/i.test(language!) ? 'en' : 'zh']
        : prompts.map(({ values: { role, content } }) => ({ role: role!, content: content! })),
    timeoutMs: defaultTimeLimitsMs,
  };
}

export function optimizationService(
  config: TextOptimizationConfig | undefined,
): readonly OtherService[] {
  return config === undefined ? [] : [{ purpose: 'text-optimization', url: config.url }];
}
