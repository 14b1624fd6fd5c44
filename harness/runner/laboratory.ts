import { cachedOpus } from '../opus/cached-opus.ts';
import { loadOpus, type Opus } from '../opus/opus-codec.ts';
import { ClipEncoder } from '../stand-ins/clip-encoder.ts';
import { loadOfflineVoice, type OfflineVoice } from '../stand-ins/offline-voice.ts';
import { loadVoiceDetection, type VoiceDetection } from '../voice-detection/voice-detection.ts';

/** What every cell of a run shares: the compiled codecs and the offline voice with its cache. */
export interface Laboratory {
  readonly opus: Opus;
  readonly voiceDetection: VoiceDetection;
  readonly voice: OfflineVoice;
  /** Looks for ffmpeg when something is encoded for the first time, and not before. */
  readonly encoder: ClipEncoder;
}

/**
 * Compiles the WebAssembly parts, once per process and before virtual time starts.
 *
 * @param cacheFolder where synthesized clips and encoded packets are kept; absent: in memory only
 * @param ffmpegPath instead of the ffmpeg that is installed with the package
 */
export async function openLaboratory(
  cacheFolder?: string,
  ffmpegPath?: string,
): Promise<Laboratory> {
  const cache = cacheFolder === undefined ? {} : { cacheFolder };
  const [opus, voiceDetection, voice] = await Promise.all([
    loadOpus(),
    loadVoiceDetection(),
    loadOfflineVoice(cache),
  ]);
  const encoder = new ClipEncoder({ ...cache, ...(ffmpegPath !== undefined && { ffmpegPath }) });
  return { opus: cachedOpus(opus, cacheFolder), voiceDetection, voice, encoder };
}
