import { loadOpus, type Opus } from '../opus/opus-codec.ts';
import { loadOfflineVoice, type OfflineVoice } from '../stand-ins/offline-voice.ts';
import { loadVoiceDetection, type VoiceDetection } from '../voice-detection/voice-detection.ts';

/** What every cell of a run shares: the compiled codecs and the offline voice with its cache. */
export interface Laboratory {
  readonly opus: Opus;
  readonly voiceDetection: VoiceDetection;
  readonly voice: OfflineVoice;
}

/**
 * Compiles the WebAssembly parts, once per process and before virtual time starts.
 *
 * @param cacheFolder where synthesized clips are kept; absent: in memory only.
 */
export async function openLaboratory(cacheFolder?: string): Promise<Laboratory> {
  const [opus, voiceDetection, voice] = await Promise.all([
    loadOpus(),
    loadVoiceDetection(),
    loadOfflineVoice(cacheFolder === undefined ? {} : { cacheFolder }),
  ]);
  return { opus, voiceDetection, voice };
}
