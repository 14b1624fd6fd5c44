/**
 * GPT-SoVITS through second-state's gsv_tts server, streaming route (TTS provider protocol
 * reference, sections 3.2, 8.1 and 8.3).
 */
import type { Platform } from '../platform.ts';
import type { SpeechAdapter, SpeechCapabilities } from '../speech-adapter.ts';
import { openHttpSpeech } from '../transport/http-speech.ts';
import type { FailureTable } from '../transport/provider-failure.ts';
import { defaultTimeLimitsMs, type TimeLimitsMs } from '../transport/time-limit.ts';

export interface StreamGsvConfig {
  readonly url: string;
  readonly speaker: string;
  readonly timeoutMs?: Partial<TimeLimitsMs>;
}

const rateHz = 16_000;

const capabilities: SpeechCapabilities = {
  textIn: 'whole',
  audioOut: 'chunks',
  connectionReuse: true,
  marks: false,
};

/** The server explains itself in plain text, so only its words can be told apart. */
const failures: FailureTable = {
  codes: {},
  words: [[/\b(?:unknown|no such|invalid) speaker\b|\bspeaker\b.*\bnot found\b/i, 'bad-voice']],
  hints: {
    empty:
      'It does so for a speaker it does not know and when its engine fails: check "speaker" against GET /v1/audio/speakers.',
    server: 'See the log of the speech server.',
    'bad-request': 'Check that "url" ends in /v1/audio/stream_speech.',
  },
};

export const streamGsvAdapter: SpeechAdapter<StreamGsvConfig> = {
  platform: 'stream_gsv',
  capabilities: () => capabilities,
  open: (config, deps) =>
    openHttpSpeech(
      {
        platform: 'stream_gsv',
        url: new URL(config.url),
        capabilities,
        // EchoKit sends no authorization to this server, even with a key configured.
        headers: {},
        secrets: [],
        timeoutMs: { ...defaultTimeLimitsMs, ...config.timeoutMs },
        failures,
        body: (input) => ({ speaker: config.speaker, input, sample_rate: rateHz }),
        // The answer is labelled `audio/pcm;rate=32000` whatever was asked for; the samples obey.
        source: () => ({ container: 'pcm', rateHz, channels: 1 }),
      },
      deps,
    ),
};

export const streamGsv: Platform<StreamGsvConfig> = {
  names: ['stream_gsv', 'StreamGSV'],
  keys: {
    url: {
      kind: 'url',
      about: 'Streaming speech endpoint of a gsv_tts server.',
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
    text_optimization: {
      kind: 'table',
      about: 'Accepted without effect: texts are spoken as they are.',
      warning: 'has no effect here: texts are spoken as they are.',
    },
  },
  configFrom: ({ url, speaker }) => ({ url: url!, speaker: speaker! }),
  adapter: streamGsvAdapter,
};
