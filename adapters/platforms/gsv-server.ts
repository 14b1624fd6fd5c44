/**
 * What the routes of second-state's gsv_tts server have in common: request, failures and
 * configuration (TTS provider protocol reference, sections 3.2, 8.1 and 8.3).
 */
import type { SpeechSource } from '../audio/speech-normalizer.ts';
import type { ConfigKey, ConfigTable, ConfigValues, OtherService } from '../platform.ts';
import type { SpeechAdapter, SpeechCapabilities } from '../speech-adapter.ts';
import {
  optimizationService,
  textOptimizationFrom,
  textOptimizationKey,
} from '../text-optimization/text-optimization-keys.ts';
import type { TextOptimizationConfig } from '../text-optimization/text-optimizer.ts';
import { openHttpSpeech } from '../transport/http-speech.ts';
import type { FailureTable } from '../transport/provider-failure.ts';
import { defaultTimeLimitsMs, type TimeLimitsMs } from '../transport/time-limit.ts';

export interface GsvConfig {
  readonly url: string;
  readonly speaker: string;
  readonly timeoutMs?: Partial<TimeLimitsMs>;
  readonly textOptimization?: TextOptimizationConfig | undefined;
}

/** What distinguishes one route of the server. */
export interface GsvRoute {
  readonly platform: string;
  /** Where its URL ends, for advice. */
  readonly path: string;
  readonly audioOut: SpeechCapabilities['audioOut'];
  readonly source: SpeechSource;
}

/** The rate that is asked for: EchoKit's own, so nothing has to be converted. */
export const gsvRateHz = 16_000;

export function gsvRouteAdapter(route: GsvRoute): SpeechAdapter<GsvConfig> {
  const capabilities = ({ textOptimization }: GsvConfig): SpeechCapabilities => ({
    textIn: 'whole',
    audioOut: route.audioOut,
    connectionReuse: true,
    marks: false,
    ...(textOptimization && { requestsBefore: 1 }),
  });
  const failures = failuresOf(route);
  return {
    platform: route.platform,
    capabilities,
    open: (config, deps) =>
      openHttpSpeech(
        {
          platform: route.platform,
          url: new URL(config.url),
          capabilities: capabilities(config),
          // EchoKit sends no authorization to this server, even with a key configured.
          headers: {},
          secrets: [],
          timeoutMs: { ...defaultTimeLimitsMs, ...config.timeoutMs },
          failures,
          textOptimization: config.textOptimization,
          body: (input) => ({ speaker: config.speaker, input, sample_rate: gsvRateHz }),
          // Never read from the content type, which names 32000 Hz whatever was asked for.
          source: () => route.source,
        },
        deps,
      ),
  };
}

/** The server explains itself in plain text, so only its words can be told apart. */
function failuresOf(route: GsvRoute): FailureTable {
  const speakers =
    'for a speaker it does not know and when its engine fails: check "speaker" against GET /v1/audio/speakers';
  const streams = route.audioOut === 'chunks';
  return {
    codes: {},
    words: [[/\b(?:unknown|no such|invalid) speaker\b|\bspeaker\b.*\bnot found\b/i, 'bad-voice']],
    hints: {
      // Only the whole WAV tells an unknown speaker from a success, and no better than a defect.
      empty: streams
        ? `It does so ${speakers}.`
        : 'Every sentence of the text failed: see its log.',
      server: streams
        ? 'See the log of the speech server.'
        : `It says so ${speakers}, and see the log of the speech server.`,
      'bad-request': `Check that "url" ends in ${route.path}.`,
    },
  };
}

/** Keys of the `[tts]` table that every route has. */
export const gsvKeys = {
  url: {
    kind: 'url',
    about: 'Speech endpoint of a gsv_tts server.',
    required: true,
    schemes: ['http', 'https'],
  },
  speaker: {
    kind: 'text',
    about: 'Speaker name, one of GET /v1/audio/speakers.',
    required: true,
  },
  api_key: {
    kind: 'text',
    about: 'Accepted and never sent, as in EchoKit.',
    secret: true,
    warning: 'is never sent to this platform; EchoKit does not send it either.',
  },
  text_optimization: textOptimizationKey,
} as const satisfies Record<string, ConfigKey>;

/** The part of the configuration that every route has. */
export function gsvConfigFrom(values: ConfigValues, tables: ConfigTable['tables']): GsvConfig {
  const textOptimization = textOptimizationFrom(tables['text_optimization']?.[0]);
  return {
    url: values['url']!,
    speaker: values['speaker']!,
    ...(textOptimization && { textOptimization }),
  };
}

export function gsvOtherServices({ textOptimization }: GsvConfig): readonly OtherService[] {
  return optimizationService(textOptimization);
}
