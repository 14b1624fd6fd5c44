/**
 * GPT-SoVITS through second-state's gsv_tts server, streaming route: raw audio while it is made
 * (TTS provider protocol reference, sections 3.2, 8.1 and 8.3).
 */
import { echoKitBlockSamples, type Platform } from '../platform.ts';
import { noTimeLimits } from '../transport/time-limit.ts';
import {
  type GsvConfig,
  gsvConfigFrom,
  gsvKeys,
  gsvOtherServices,
  gsvRateHz,
  gsvRouteAdapter,
} from './gsv-server.ts';

export type StreamGsvConfig = GsvConfig;

export const streamGsvAdapter = gsvRouteAdapter({
  platform: 'stream_gsv',
  path: '/v1/audio/stream_speech',
  audioOut: 'chunks',
  source: { container: 'pcm', rateHz: gsvRateHz, channels: 1 },
});

export const streamGsv: Platform<StreamGsvConfig> = {
  names: ['stream_gsv', 'StreamGSV'],
  keys: gsvKeys,
  configFrom: gsvConfigFrom,
  otherServices: gsvOtherServices,
  adapter: streamGsvAdapter,
  echoKit: {
    configure: (config) => ({ ...config, timeoutMs: noTimeLimits }),
    blockSamples: echoKitBlockSamples,
  },
};
