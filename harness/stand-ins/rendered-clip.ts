import { bytesOf } from './clip-cache.ts';
import type { OfflineVoice } from './offline-voice.ts';
import type { TimingProfile } from './timing-profile.ts';
import { readVoiceName } from './voice-name.ts';

/**
 * What a provider would send for `text`: s16le mono at `rateHz`, with the profile's silence planted
 * exactly in front of and behind the speech. Text without anything to say gives no bytes.
 */
export function renderClip(
  voice: OfflineVoice,
  text: string,
  voiceName: string,
  rateHz: number,
  profile: TimingProfile,
): Buffer {
  const { samples } = voice.speakAt(text, voiceName, rateHz);
  if (samples.length === 0) return Buffer.alloc(0);
  const lead = silence(profile.leadSilenceMs, rateHz);
  const tail = silence(profile.tailSilenceMs, rateHz);
  return Buffer.concat([lead, bytesOf(samples), tail]);
}

/** Where in a clip of {@link renderClip} the speech begins: after all silence planted before it. */
export function clipLeadMs(profile: TimingProfile, voiceName: string): number {
  return profile.leadSilenceMs + readVoiceName(voiceName).leadMs;
}

/** Where in a clip of {@link renderClip} it is spoken: between all planted silences. */
export function spokenSpan(
  clip: Buffer,
  rateHz: number,
  profile: TimingProfile,
  voiceName: string,
): { readonly fromMs: number; readonly toMs: number } {
  const clipMs = clip.length / ((2 * rateHz) / 1000);
  return { fromMs: clipLeadMs(profile, voiceName), toMs: clipMs - profile.tailSilenceMs };
}

function silence(ms: number, rateHz: number): Buffer {
  return Buffer.alloc(2 * Math.round((ms * rateHz) / 1000));
}

/**
 * The plain 44-byte WAV header, 16 bit mono. `riffBytes` and `dataBytes` are the size fields as
 * the producer writes them, true or not (reference, section 2.2).
 */
export function wavHeader(rateHz: number, riffBytes: number, dataBytes: number): Buffer {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(riffBytes, 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(rateHz, 24);
  header.writeUInt32LE(rateHz * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(dataBytes, 40);
  return header;
}
