/** What a provider's voice name means to the offline voice. */
import { createHash } from 'node:crypto';
import { type FliteVoice, fliteVoices } from './flite-engine.ts';
import { type SignalName, signalNames } from './synthetic-signal.ts';

export interface VoiceRequest {
  readonly voice: FliteVoice | SignalName;
  /** Silence planted in front of every clip, on top of what a timing profile plants. */
  readonly leadMs: number;
}

/** The voices of natural timbre; `kal16` is reached by its name only. */
export const naturalVoices: readonly FliteVoice[] = ['slt', 'rms', 'awb'];

/** `slt+500ms`: a voice, and the silence before it. Up to 99.999 s. */
const leadSuffix = /^(.+)\+(\d{1,5})ms$/s;

/**
 * The voice and the planted silence a name stands for: `tone+120ms` is the tone after 120 ms of
 * digital silence. A name that is neither an engine's voice nor a test signal stands for one of
 * `slt`, `rms` and `awb`, always the same one.
 */
export function readVoiceName(name: string): VoiceRequest {
  const [, named = name, leadMs = '0'] = leadSuffix.exec(name) ?? [];
  return { voice: isSignal(named) ? named : fliteVoiceFor(named), leadMs: Number(leadMs) };
}

/**
 * Whether a provider with this list of voices speaks with `name`: one of the list, an engine's
 * voice or a test signal, each also with planted silence.
 */
export function offersVoice(list: readonly string[], name: string): boolean {
  return list.includes(withoutLead(name)) || isLocalVoice(name);
}

/** Whether a name, without its planted silence, is one that only the stand-ins know. */
export function isLocalVoice(name: string): boolean {
  const named = withoutLead(name);
  return isSignal(named) || (fliteVoices as readonly string[]).includes(named);
}

/** A voice name without its planted silence. */
export function withoutLead(name: string): string {
  return leadSuffix.exec(name)?.[1] ?? name;
}

/** The Flite voice a provider's voice name stands for. */
export function fliteVoiceFor(name: string): FliteVoice {
  const own = fliteVoices.find((voice) => voice === name);
  if (own !== undefined) return own;
  const digest = createHash('sha256').update(name).digest();
  return naturalVoices[digest.readUInt32LE(0) % naturalVoices.length]!;
}

export function isSignal(name: string): name is SignalName {
  return (signalNames as readonly string[]).includes(name);
}
