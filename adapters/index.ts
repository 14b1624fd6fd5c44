/**
 * Speech adapters: EchoKit's TTS platforms behind one port. Start with `readTtsConfig` and
 * `adapterFor`; `README.md` beside this file says how to add a platform.
 */

export {
  type AudioConversion,
  cleanConversion,
  echoKitConversion,
  type RateConverter,
} from './audio/audio-conversion.ts';
export { outputRateHz, Resampler, resampledLength } from './audio/resampler.ts';
// Audio
export {
  type NormalizedChunk,
  SpeechNormalizer,
  type SpeechSource,
} from './audio/speech-normalizer.ts';
export { type PcmFormat, WavError, type WavErrorCode, WavStream } from './audio/wav-stream.ts';
// Configuration: EchoKit's `[tts]` table
export type {
  ConfigErrorCode,
  ConfigProblem,
  ConfigSetting,
  ConfigWarningCode,
} from './config-table.ts';
export { nearestName } from './nearest-name.ts';
export type {
  ConfigDoubt,
  ConfigKey,
  ConfigTable,
  ConfigValues,
  EchoKitClient,
  EchoKitTries,
  OtherService,
  Platform,
} from './platform.ts';
// The platforms by themselves, for programs that need no configuration file
export { type CosyVoiceConfig, cosyVoiceAdapter } from './platforms/cosyvoice.ts';
export { type ElevenLabsConfig, elevenLabsAdapter } from './platforms/elevenlabs.ts';
export { type FishConfig, fishAdapter } from './platforms/fish.ts';
export { type GroqConfig, groqAdapter } from './platforms/groq.ts';
export { gsvAdapter } from './platforms/gsv.ts';
export type { GsvConfig } from './platforms/gsv-server.ts';
export { type OpenAiConfig, openAiAdapter } from './platforms/openai.ts';
export { type StreamGsvConfig, streamGsvAdapter } from './platforms/stream-gsv.ts';
export {
  type AnyPlatform,
  adapterFor,
  platformNamed,
  platforms,
} from './platforms.ts';
// The port
export type {
  AdapterClock,
  AdapterDeps,
  AdapterDialer,
  SpeechAdapter,
  SpeechAudioEvent,
  SpeechCapabilities,
  SpeechEndEvent,
  SpeechEvent,
  SpeechMarkEvent,
  SpeechRequestEvent,
  SpeechResponseHeadEvent,
  SpeechSession,
  SpeechTextOptimizationEvent,
  SpeechUsage,
  WireObservation,
} from './speech-adapter.ts';
export { SpeechError, type SpeechErrorDetail, type SpeechFailureKind } from './speech-error.ts';
export { defaultPrompts } from './text-optimization/default-prompts.ts';
export type { ChatMessage, TextOptimizationConfig } from './text-optimization/text-optimizer.ts';
export { textParts } from './transport/text-parts.ts';
export { defaultTimeLimitsMs, noTimeLimits, type TimeLimitsMs } from './transport/time-limit.ts';
export {
  type CheckedTtsConfig,
  ConfigError,
  checkTtsConfig,
  problemSentence,
  readTtsConfig,
  type TtsConfig,
  type TtsConfigOptions,
} from './tts-config.ts';
