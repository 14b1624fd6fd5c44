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
import { concatenate, type SignalName, signalFor, syllablesFor } from './synthetic-signal.ts';
import { isSignal, readVoiceName } from './voice-name.ts';

/** Speech without a network: who stands in for a provider speaks with it, and so does the user. */
export interface OfflineVoice {
  /** Engine and version, for manifests. */
  readonly version: string;
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
   * - Flite reads English. Text in scripts other than Latin becomes syllable-like tones of the
   *   right length. Text without a letter or digit gives no samples.
   *
   * A clip not in the cache blocks for about 40 ms per second of speech.
   *
   * @throws {OfflineVoiceError} `OFFLINE_VOICE_FAILED`
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
}

export interface OfflineVoiceOptions {
  /** Folder for finished clips; made when missing. Absent: clips are kept in memory only. */
  readonly cacheFolder?: string;
}

const defaultVoice = 'slt';
const activeDbfs = -20;
const peakMax = 0.9 * 32767;
/** Pause between parts of a text that are spoken in different ways. */
const partPauseMs = 60;
/** Raise it when the treatment of text, pace or samples changes, so that old clips are not used. */
const treatmentVersion = 1;

/** Compiles the engine (about 0.1 s). One voice serves a whole process. */
export async function loadOfflineVoice(options: OfflineVoiceOptions = {}): Promise<OfflineVoice> {
  const engine = await loadFlite();
  const cache = new ClipCache(sampleForm, options.cacheFolder);
  const clip = (text: string, voice: FliteVoice | SignalName, rateHz: number): Int16Array => {
    const spoken = speakableText(text);
    const key = JSON.stringify([engine.version, treatmentVersion, rateHz, voice, spoken]);
    return cache.get(key, () => {
      if (rateHz !== fliteRateHz) {
        return resample(clip(text, voice, fliteRateHz), fliteRateHz, rateHz);
      }
      return isSignal(voice) ? signalFor(voice, spoken) : render(engine, spoken, voice);
    });
  };
  const speakAt: OfflineVoice['speakAt'] = (text, name, rateHz) => {
    if (!Number.isInteger(rateHz) || rateHz < 8000 || rateHz > 192_000) {
      throw new OfflineVoiceError(
        'OFFLINE_VOICE_RATE',
        `A sample rate of ${rateHz} Hz was asked for; the offline voice gives 8000 to 192000 Hz.`,
      );
    }
    const { voice, leadMs } = readVoiceName(name ?? defaultVoice);
    const samples = clip(text, voice, rateHz);
    return { samples: withLead(samples, leadMs, rateHz), sampleRateHz: rateHz };
  };
  return {
    version: engine.version,
    counts: cache.counts,
    speak: (text, voice) => speakAt(text, voice, fliteRateHz),
    speakAt,
  };
}

/** With the planted silence in front; a clip without samples stays one. */
function withLead(samples: Int16Array, leadMs: number, rateHz: number): Int16Array {
  if (leadMs === 0 || samples.length === 0) return samples;
  return concatenate([new Int16Array(Math.round((leadMs * rateHz) / 1000)), samples]);
}

/**
 * Text as the engine gets it: typographic punctuation in ASCII, accents removed, everything that
 * is neither text nor punctuation dropped, white space collapsed. Digits are read out by Flite.
 */
export function speakableText(text: string): string {
  return text
    .normalize('NFKC')
    .replaceAll(/\p{Script=Latin}/gu, (letter) => letter.normalize('NFD'))
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[‘’‚‛′]/g, "'")
    .replaceAll(/[“”„‟″«»]/g, '"')
    .replaceAll(/[‐‑‒]/g, '-')
    .replaceAll(/\s*[–—―]+\s*/g, ', ')
    .replaceAll(/[。！？；]/g, (mark) => ({ '。': '. ', '！': '! ', '？': '? ' })[mark] ?? '; ')
    .replaceAll(/[，、：]/g, ', ')
    .replaceAll('ß', 'ss')
    .replaceAll(/[æÆœŒ]/g, (letter) => ('æÆ'.includes(letter) ? 'ae' : 'oe'))
    .replaceAll(/[øØ]/g, 'o')
    .replaceAll(/[^\p{L}\p{N}\p{P}$%+=<>\s]/gu, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

/** Runs of Latin text (with digits and punctuation), and runs of letters of other scripts. */
const parts = /(?:(?!\p{Script=Latin})\p{L})+|(?:\p{Script=Latin}|\P{L})+/gu;

function render(engine: FliteEngine, text: string, voice: FliteVoice): Int16Array {
  const pause = new Int16Array((partPauseMs * fliteRateHz) / 1000);
  const pieces: Int16Array[] = [];
  for (const [part] of text.matchAll(parts)) {
    const piece = renderPart(engine, part, voice);
    if (piece.length === 0) continue;
    if (pieces.length > 0) pieces.push(pause);
    pieces.push(piece);
  }
  return concatenate(pieces);
}

function renderPart(engine: FliteEngine, part: string, voice: FliteVoice): Int16Array {
  if (/^(?!\p{Script=Latin})\p{L}/u.test(part)) return levelled(syllablesFor(part));
  const ascii = part.replaceAll(/[^\x20-\x7e]/g, ' ');
  return /[A-Za-z0-9]/.test(ascii) ? levelled(engine.synthesize(ascii, voice)) : new Int16Array(0);
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
