/**
 * GPT-SoVITS through second-state's gsv_tts server, the route that finishes a WAV first (TTS
 * provider protocol reference, sections 3.2, 8.1 and 8.3).
 */
import { echoKitBlockSamples, type Platform } from '../platform.ts';
import { noTimeLimits } from '../transport/time-limit.ts';
import {
  type GsvConfig,
  gsvConfigFrom,
  gsvKeys,
  gsvOtherServices,
  gsvRouteAdapter,
} from './gsv-server.ts';

/** Of one request. */
const defaultTimeoutMs = 15_000;

export const gsvAdapter = gsvRouteAdapter({
  platform: 'gsv',
  path: '/v1/audio/speech',
  audioOut: 'whole',
  source: { container: 'wav' },
});

export const gsv: Platform<GsvConfig> = {
  names: ['gsv', 'GSV', 'Stable'],
  keys: {
    ...gsvKeys,
    timeout_sec: {
      kind: 'count',
      about: 'Seconds the server may take until the WAV begins; nothing is sent before it is done.',
      default: String(defaultTimeoutMs / 1_000),
    },
  },
  configFrom: (values, tables) => ({
    ...gsvConfigFrom(values, tables),
    timeoutMs: { firstByte: Number(values['timeout_sec']) * 1_000 },
  }),
  otherServices: gsvOtherServices,
  adapter: gsvAdapter,
  echoKit: {
    configure: (config) => ({ ...config, timeoutMs: noTimeLimits }),
    blockSamples: echoKitBlockSamples,
    tries: ({ timeoutMs }) => ({
      count: 3,
      timeoutMs: timeoutMs?.firstByte ?? defaultTimeoutMs,
      only: 'timeout',
    }),
  },
};
