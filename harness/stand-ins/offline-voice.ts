import { audibleRange } from './audible-range.ts';
import { resample } from './band-limited-resampler.ts';
import { ClipCache, sampleForm } from './clip-cache.ts';
import {
  type FliteEngine,
  type FliteVoice,
  fliteRateHz,
  loadFlite,
  OfflineVoiceError,
} from './flite-engine.ts';
import { KeptClips, shippedClipsFolder } from './kept-clips.ts';
import { findMandarinEngine, type MandarinEngine } from './mandarin-engine.ts';
import { speakableText, speechParts } from './speakable-text.ts';
import { concatenate, type SignalName, signalFor, syllablesFor } from './synthetic-signal.ts';
import { isSignal, readVoiceName } from './voice-name.ts';

/** Speech without a network: who stands in for a provider speaks with it, and so does the user. */
export interface OfflineVoice {
  /** Where clips came from since loading: synthesized, memory, disk. */
  readonly counts: { readonly made: number; readonly memory: number; readonly disk: number };
  /**
   * Speaks `text` at 16 kHz. Synchronous; the same call always gives the same samples.
   *
   * - Voices `slt`, `rms`, `awb`, `kal16` are Flite's. `tone`, `sweep`, `chirp` and `silence` are
   *   test signals as long as the text would take. Every other name (`ash`, `texan`, an id) stands
   *   for one of `slt`, `rms` and `awb`, always the same one. Default: `slt`.
   * - `+120ms` behind any name plants so much digital silence in front of the clip.
   * - Speech is cut at its first and last audible 10 ms window (−50 dBFS), so silence around it is
   *   exactly what its user plants, and brought to an active level of −20 dBFS.
   * - A text that is kept as a recording for this voice is that recording.
   * - Flite reads English. Han script is read by eSpeak NG where the user has installed it. What
   *   nobody can read becomes syllable-like tones of the right length.
   * - Text without a letter or digit gives no samples.
   *
   * A clip not in the cache blocks for about 40 ms per second of speech.
   *
   * @throws {OfflineVoiceError} `OFFLINE_VOICE_FAILED`, `OFFLINE_VOICE_CLIP`
   */
  speak(text: string, voice?: string): Speech;
  /**
   * {@link speak}, converted to `rateHz` (8000 to 192 000).
   * @throws {OfflineVoiceError} also `OFFLINE_VOICE_RATE`
   */
  speakAt(text: string, voice: string | undefined, rateHz: number): Speech;
}

export interface Speech {
  /** Mono. Shared with other callers: read only. */
  readonly samples: Int16Array;
  readonly sampleRateHz: number;
  /**
   * Whose sound is in it, for manifests: engines with their versions, the kept clips with the engine
   * that made them, {@link syllableTones}, {@link testSignal}. Empty when there are no samples.
   */
  readonly spokenBy: readonly string[];
}

/** What stands for words that no engine at hand can read. */
export const syllableTones = 'syllable tones';
export const testSignal = 'test signal';

export interface OfflineVoiceOptions {
  /** Folder for finished clips; made when missing. Absent: clips are kept in memory only. */
  readonly cacheFolder?: string;
  /** Folder of the kept clips. Default: those of the shipped scenarios. */
  readonly keptClips?: string | 'none';
  /** Who reads Han script. Default: eSpeak NG where it is installed. */
  readonly mandarin?: MandarinEngine | 'none';
}

const defaultVoice = 'slt';
const activeDbfs = -20;
const peakMax = 0.9 * 32767;
/** Pause between parts of a text that are spoken in different ways. */
const partPauseMs = 60;
/** Raise it when the treatment of text, pace or samples changes, so that old clips are not used. */
const treatmentVersion = 1;

/**
 * Compiles the engine (about 0.1 s), and finds the kept clips and the engine for Mandarin. One voice
 * serves a whole process.
 */
export async function loadOfflineVoice(options: OfflineVoiceOptions = {}): Promise<OfflineVoice> {
  const { keptClips = shippedClipsFolder() ?? 'none', mandarin = findMandarinEngine() } = options;
  const speaker: Speaker = {
    flite: await loadFlite(),
    mandarin: mandarin === 'none' ? undefined : mandarin,
    kept: keptClips === 'none' ? undefined : new KeptClips(keptClips, speakableText),
  };
  const cache = new ClipCache(sampleForm, options.cacheFolder);
  const clip = (utterance: Utterance, rateHz: number): Int16Array =>
    cache.get(keyOf(utterance, rateHz), () =>
      rateHz === fliteRateHz
        ? render(utterance.pieces)
        : resample(clip(utterance, fliteRateHz), fliteRateHz, rateHz),
    );
  const speakAt: OfflineVoice['speakAt'] = (text, name, rateHz) => {
    if (!Number.isInteger(rateHz) || rateHz < 8000 || rateHz > 192_000) {
      throw new OfflineVoiceError(
        'OFFLINE_VOICE_RATE',
        `A sample rate of ${rateHz} Hz was asked for; the offline voice gives 8000 to 192000 Hz.`,
      );
    }
    const { voice, leadMs } = readVoiceName(name ?? defaultVoice);
    const spoken = speakableText(text);
    const pieces = plan(speaker, spoken, voice);
    const samples = clip({ text: spoken, voice, pieces }, rateHz);
    return {
      samples: withLead(samples, leadMs, rateHz),
      sampleRateHz: rateHz,
      spokenBy: [...new Set(pieces.map(({ spokenBy }) => spokenBy))],
    };
  };
  return {
    counts: cache.counts,
    speak: (text, voice) => speakAt(text, voice, fliteRateHz),
    speakAt,
  };
}

/** The same voice; `hear` learns of each clip that is asked of it, and of the voice's name. */
export function overheard(
  voice: OfflineVoice,
  hear: (speech: Speech, text: string, name: string) => void,
): OfflineVoice {
  const heard = (speech: Speech, text: string, name = defaultVoice): Speech => {
    hear(speech, text, name);
    return speech;
  };
  return {
    counts: voice.counts,
    speak: (text, name) => heard(voice.speak(text, name), text, name),
    speakAt: (text, name, rateHz) => heard(voice.speakAt(text, name, rateHz), text, name),
  };
}

/** With the planted silence in front; a clip without samples stays one. */
function withLead(samples: Int16Array, leadMs: number, rateHz: number): Int16Array {
  if (leadMs === 0 || samples.length === 0) return samples;
  return concatenate([new Int16Array(Math.round((leadMs * rateHz) / 1000)), samples]);
}

interface Utterance {
  readonly text: string;
  readonly voice: FliteVoice | SignalName;
  readonly pieces: readonly Piece[];
}

/** Everything the samples depend on. */
function keyOf({ text, voice, pieces }: Utterance, rateHz: number): string {
  const sources = new Set(pieces.map(({ spokenBy, digest }) => digest ?? spokenBy));
  return JSON.stringify([[...sources].join(' + '), treatmentVersion, rateHz, voice, text]);
}

interface Speaker {
  readonly flite: FliteEngine;
  readonly mandarin: MandarinEngine | undefined;
  readonly kept: KeptClips | undefined;
}

/** A piece of an utterance before anybody has spoken it. */
interface Piece {
  readonly spokenBy: string;
  /** What else the samples depend on beside voice and text. */
  readonly digest?: string;
  readonly samples: () => Int16Array;
}

/** Who speaks what of a text: a kept clip all of it, or each engine its parts. */
function plan(speaker: Speaker, text: string, voice: FliteVoice | SignalName): Piece[] {
  const { flite, mandarin, kept } = speaker;
  if (isSignal(voice)) return [{ spokenBy: testSignal, samples: () => signalFor(voice, text) }];
  const clip = kept?.find(text, voice);
  if (kept !== undefined && clip !== undefined) {
    return [{ spokenBy: kept.version, digest: clip.sha256, samples: () => kept.read(clip) }];
  }
  return speechParts(text, mandarin !== undefined).flatMap((part): Piece[] => {
    if (part.kind === 'other') {
      return [{ spokenBy: syllableTones, samples: () => levelled(syllablesFor(part.text)) }];
    }
    if (part.kind === 'mandarin' && mandarin !== undefined) {
      const { version, rateHz } = mandarin;
      const speak = (): Int16Array => mandarin.synthesize(part.text, voice);
      const samples = (): Int16Array => levelled(resample(speak(), rateHz, fliteRateHz));
      return [{ spokenBy: version, samples }];
    }
    const ascii = part.text.replaceAll(/[^\x20-\x7e]/g, ' ');
    if (!/[A-Za-z0-9]/.test(ascii)) return [];
    const samples = (): Int16Array => levelled(flite.synthesize(ascii, voice));
    return [{ spokenBy: flite.version, samples }];
  });
}

function render(pieces: readonly Piece[]): Int16Array {
  const pause = new Int16Array((partPauseMs * fliteRateHz) / 1000);
  const spoken = pieces.map(({ samples }) => samples()).filter(({ length }) => length > 0);
  return concatenate(spoken.flatMap((piece, i) => (i === 0 ? [piece] : [pause, piece])));
}

/** At the common level, without the silence around it. */
function levelled(samples: Int16Array): Int16Array {
  const { activeDbfs: found } = audibleRange(samples, fliteRateHz);
  if (found === Number.NEGATIVE_INFINITY) return new Int16Array(0);
  let peak = 1;
  for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  const gain = Math.min(10 ** ((activeDbfs - found) / 20), peakMax / peak);
  const louder = samples.map((sample) => Math.round(sample * gain));
  const { from, to } = audibleRange(louder, fliteRateHz);
  return louder.slice(from, to);
}
