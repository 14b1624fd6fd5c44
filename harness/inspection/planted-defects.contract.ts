/** Seeded sound defects in clean speech, and what the inspection must say of each. */
import type { Ffmpeg } from '../audio-files/ffmpeg.ts';
import type { Random } from '../random/random.ts';
import { resample } from '../stand-ins/band-limited-resampler.ts';
import type { OfflineVoice } from '../stand-ins/offline-voice.ts';
import type { DefectKind, SoundStage } from './defect.ts';
import { aheadMs, joined, type PlantedSentence } from './planted-recording.contract.ts';

export interface PlantedDefect {
  readonly kind: DefectKind;
  readonly stage: SoundStage;
  /** Where in the sentence it begins; null: it concerns all of it. */
  readonly atMs: number | null;
  /** How large it is, in words; null: it has no size of its own. */
  readonly size: string | null;
  /** The recording's second sentence; the first is clean. */
  readonly sentence: PlantedSentence;
}

type Plant = (
  stage: SoundStage,
  clean: CleanClip,
  random: Random,
  sizes: SizeDraw,
) => Omit<PlantedDefect, 'kind' | 'stage' | 'size'>;

export interface CleanClip {
  readonly text: string;
  readonly clip: Int16Array;
  readonly rateHz: number;
  readonly voice: string;
  readonly speaker: OfflineVoice;
}

const subjects = [
  'The moon',
  'A blue whale',
  'My sister',
  'The old train',
  'Our neighbor',
  'The first rocket',
  'A good cook',
  'The museum',
];
const verbs = [
  'travels every summer to',
  'was seen near',
  'has always lived close to',
  'will open tomorrow at',
  'came back from',
  'sends warm greetings from',
];
const places = [
  'the harbor of Lisbon',
  'a small village in the mountains',
  'the garden behind the station',
  'an island without any roads',
  'the university library',
  'the other side of the river',
];
const endings = [
  'because the weather was mild',
  'and nobody noticed it for years',
  'with two hundred visitors a day',
  'although it is rather expensive',
  'before the sun goes down',
  'together with fourteen friends',
];

/** A sentence of two to five seconds. */
export function sentenceText(random: Random): string {
  const one = (words: readonly string[]): string => words[random.integer(0, words.length - 1)]!;
  const ending = random.next() < 0.3 ? `, ${one(endings)}` : '';
  return `${one(subjects)} ${one(verbs)} ${one(places)}${ending}.`;
}

export const mandarinTexts = [
  '其他行星都能装进它里面。',
  '水星离太阳最近。',
  '那里的一年只有八十八天。',
] as const;
export const speechVoices = ['slt', 'rms', 'awb', 'kal16'] as const;
export const providerRates = [16_000, 22_050, 24_000, 32_000, 44_100, 48_000] as const;

/** @param other a clip that must say something else */
export function cleanClip(speaker: OfflineVoice, random: Random, other?: CleanClip): CleanClip {
  const mandarin = random.next() < 0.08;
  const voice = mandarin
    ? ['slt', 'rms', 'awb'][random.integer(0, 2)]!
    : speechVoices[random.integer(0, speechVoices.length - 1)]!;
  const text = mandarin
    ? mandarinTexts[random.integer(0, mandarinTexts.length - 1)]!
    : sentenceText(random);
  if (text === other?.text) return cleanClip(speaker, random, other);
  const rateHz = providerRates[random.integer(0, providerRates.length - 1)]!;
  return { text, voice, rateHz, speaker, clip: speaker.speakAt(text, voice, rateHz).samples };
}

/** A second of speech: what was said before, and costs little. */
export function shortClip(speaker: OfflineVoice, random: Random): CleanClip {
  const voice = speechVoices[random.integer(0, speechVoices.length - 1)]!;
  const text = `${subjects[random.integer(0, subjects.length - 1)]!}.`;
  const rateHz = providerRates[random.integer(0, providerRates.length - 1)]!;
  return { text, voice, rateHz, speaker, clip: speaker.speakAt(text, voice, rateHz).samples };
}

/** Forms in which services and networks deliver speech without a fault of its samples. */
export const cleanForms = [
  'as it is',
  'padded',
  'faded',
  'quiet',
  'loud',
  'noise floor',
  'through MP3',
  'through Opus',
  'through µ-law',
  'stalled network',
] as const;
export type CleanForm = (typeof cleanForms)[number];

/** A clean clip in one of its forms; of a stalled network the messages are late, and the board has a gap. */
export function inForm(
  form: CleanForm,
  clean: CleanClip,
  random: Random,
  ffmpeg: Ffmpeg | undefined,
): CleanClip & Pick<PlantedSentence, 'delivery'> {
  const { clip, rateHz } = clean;
  const scaled = (gain: number): Int16Array => clip.map((sample) => Math.round(sample * gain));
  const peak = clip.reduce((most, sample) => Math.max(most, Math.abs(sample)), 1);
  const seconds = (value: number): Int16Array => new Int16Array(Math.round(value * rateHz));
  const through = (...codec: readonly string[]): CleanClip =>
    ffmpeg === undefined ? clean : { ...clean, clip: coded(clip, rateHz, codec, ffmpeg) };
  switch (form) {
    case 'as it is':
      return clean;
    case 'padded':
      return {
        ...clean,
        clip: joined([seconds(random.between(0, 0.6)), clip, seconds(random.between(0, 0.6))]),
      };
    case 'faded': {
      const fade = Math.round(random.between(0.005, 0.08) * rateHz);
      const faded = clip.map((sample, i) =>
        Math.round(sample * Math.min(1, i / fade, (clip.length - 1 - i) / fade)),
      );
      return { ...clean, clip: faded };
    }
    case 'quiet':
      return { ...clean, clip: scaled(random.between(0.12, 0.5)) };
    case 'loud':
      return { ...clean, clip: scaled((random.between(0.97, 1) * 32_767) / peak) };
    case 'noise floor': {
      const level = random.between(1, 12);
      return { ...clean, clip: clip.map((sample) => limited(sample + level * random.normal())) };
    }
    case 'through MP3':
      return through('-b:a', `${[32, 48, 64, 128][random.integer(0, 3)]}k`, '-f', 'mp3');
    case 'through Opus':
      return through('-c:a', 'libopus', '-b:a', `${random.integer(24, 64)}k`, '-f', 'ogg');
    case 'through µ-law':
      return through('-c:a', 'pcm_mulaw', '-f', 'wav');
    case 'stalled network': {
      const frame = random.integer(2, Math.max(2, Math.floor(lengthMs(clean) / 120) - 2));
      const ms = frame * aheadMs + random.between(32, 2000);
      return { ...clean, delivery: { kind: 'stall', frame, ms } };
    }
  }
}

/** Encoded and decoded. */
function coded(
  clip: Int16Array,
  rateHz: number,
  codec: readonly string[],
  ffmpeg: Ffmpeg,
): Int16Array {
  const raw = ['-f', 's16le', '-ar', String(rateHz), '-ac', '1'];
  const bytes = Buffer.from(clip.buffer, clip.byteOffset, clip.byteLength);
  const encoded = ffmpeg.run([...raw, '-i', 'pipe:0', ...codec, 'pipe:1'], bytes);
  const pcm = ffmpeg.run(['-i', 'pipe:0', ...raw, 'pipe:1'], encoded);
  return Int16Array.from({ length: pcm.length >> 1 }, (_, i) => pcm.readInt16LE(2 * i));
}

/** Every kind at every stage at which it can happen and be known. */
export const plantedPlaces: readonly { readonly kind: DefectKind; readonly stage: SoundStage }[] = (
  [
    ['dropped', 'normalised sent received played'],
    ['repeated', 'provider normalised sent received played'],
    ['inserted', 'provider normalised sent received played'],
    ['click', 'provider normalised sent played'],
    ['clipping', 'provider normalised sent played'],
    ['wrong-rate', 'provider normalised sent played'],
    ['byte-swap', 'provider normalised sent played'],
    ['leak', 'provider normalised sent received played'],
    ['missing-words', 'provider normalised sent received played'],
    ['gap', 'played'],
  ] as const
).flatMap(([kind, stages]) =>
  stages.split(' ').map((stage) => ({ kind, stage: stage as SoundStage })),
);

/**
 * With what a stage can be compared: with nothing; with one whose samples it keeps; with one whose shape it keeps, behind a
 * codec or a conversion of the rate.
 */
type Means = 'alone' | 'kept' | 'shape';

interface PlantedSize {
  readonly unit: 'ms' | 'dBFS' | 'dB';
  readonly smallest: Readonly<Partial<Record<Means, number>>>;
  readonly largest: number;
}

/** What the inspection promises to find: from the smallest on. The README has the same table. */
export const plantedSizes = {
  dropped: { unit: 'ms', smallest: { kept: 0.0625, shape: 1.5 }, largest: 120 },
  repeated: { unit: 'ms', smallest: { alone: 27, kept: 2, shape: 2.5 }, largest: 200 },
  silence: { unit: 'ms', smallest: { alone: 2.5, kept: 1, shape: 2 }, largest: 150 },
  noise: { unit: 'ms', smallest: { kept: 1, shape: 8 }, largest: 300 },
  /** Level of the noise. */
  loudness: { unit: 'dBFS', smallest: { kept: -40, shape: -24 }, largest: -12 },
  /** Height of the spike. */
  click: { unit: 'dBFS', smallest: { alone: -6, kept: -30, shape: -16 }, largest: -0.5 },
  /** How much of the tops is cut off. */
  clipping: { unit: 'dB', smallest: { alone: 2, kept: 2, shape: 2 }, largest: 18 },
  'byte-swap': { unit: 'ms', smallest: { alone: 100, kept: 100, shape: 100 }, largest: 2000 },
  leak: { unit: 'ms', smallest: { alone: 40, kept: 70, shape: 100 }, largest: 600 },
  'missing-words': { unit: 'ms', smallest: { kept: 160, shape: 160 }, largest: 800 },
  /** Beyond what the board has in its buffer. */
  gap: { unit: 'ms', smallest: { kept: 32, shape: 32 }, largest: 3000 },
} as const satisfies Record<string, PlantedSize>;
export type SizeName = keyof typeof plantedSizes;

/** Draws a size: small ones as often as large ones, by their ratio. */
type SizeDraw = (name: SizeName) => number;

/** @param raw the board gets PCM, so samples are kept on their way to it */
export function plantDefect(
  kind: DefectKind,
  stage: SoundStage,
  clean: CleanClip,
  random: Random,
  raw: boolean,
): PlantedDefect {
  const kept = stage === 'sent' || (stage === 'played' ? raw : clean.rateHz === 16_000);
  const means: Means = stage === 'provider' ? 'alone' : kept ? 'kept' : 'shape';
  const drawn: string[] = [];
  const sizes: SizeDraw = (name) => {
    const { unit, largest, smallest }: PlantedSize = plantedSizes[name];
    const least = smallest[means]!;
    const size =
      unit === 'ms' ? least * (largest / least) ** random.next() : random.between(least, largest);
    drawn.push(`${size.toFixed(unit === 'ms' ? 2 : 1)} ${unit}`);
    return size;
  };
  const planted = plants[kind]!(stage, clean, random, sizes);
  return { kind, stage, size: drawn.length === 0 ? null : drawn.join(', '), ...planted };
}

type Change = NonNullable<PlantedSentence['change']>['change'];

/** The stages after the provider's are longer by what fills the last packet, so places are in ms. */
function changed(
  { text, clip, rateHz }: CleanClip,
  stage: SoundStage,
  atMs: number,
  change: Change,
) {
  const sentence: PlantedSentence = {
    text,
    clip,
    rateHz,
    change: { stage: stage as 'sent', change },
  };
  return { atMs, sentence };
}

const plants: Partial<Record<DefectKind, Plant>> = {
  dropped: (stage, clean, random, size) => {
    if (stage === 'received') {
      const frame = loudFrame(clean, random);
      const kind = random.next() < 0.5 ? 'lost' : 'undecodable';
      return { atMs: frame * 120, sentence: { ...clean, delivery: { kind, frame, frames: 1 } } };
    }
    const atMs = voicedMs(clean, random);
    const ms = size('dropped');
    return changed(clean, stage, atMs, (samples, rateHz) => {
      const [at, count] = span(atMs, ms, rateHz);
      return joined([samples.subarray(0, at), samples.subarray(at + count)]);
    });
  },
  repeated: (stage, clean, random, size) => {
    if (stage === 'received') {
      const frame = loudFrame(clean, random);
      return {
        atMs: (frame + 1) * 120,
        sentence: { ...clean, delivery: { kind: 'twice', frame } },
      };
    }
    const atMs = voicedMs(clean, random);
    const ms = size('repeated');
    return changed(clean, stage, atMs, (samples, rateHz) => {
      const [at, count] = span(atMs, ms, rateHz);
      const from = Math.max(0, at - count);
      return joined([samples.subarray(0, at), samples.subarray(from, at), samples.subarray(at)]);
    });
  },
  inserted: (stage, clean, random, size) => {
    if (stage === 'received') {
      const frame = loudFrame(clean, random);
      return { atMs: frame * 120, sentence: { ...clean, delivery: { kind: 'empty', frame } } };
    }
    const voicedAtMs = voicedMs(clean, random);
    // With nothing to compare, silence that begins where the wave is at rest or crosses zero is a pause like any other.
    const atMs = stage === 'provider' ? unrestedMs(clean, voicedAtMs) : voicedAtMs;
    const noise = stage !== 'provider' && random.next() < 0.5;
    const ms = size(noise ? 'noise' : 'silence');
    const level = noise ? 32_768 * gainOf(size('loudness')) : 0;
    return changed(clean, stage, atMs, (samples, rateHz) => {
      const [at] = span(atMs, ms, rateHz);
      const count = Math.round((ms * rateHz) / 1000);
      const piece = Int16Array.from({ length: count }, () => limited(level * random.normal()));
      return joined([samples.subarray(0, at), piece, samples.subarray(at)]);
    });
  },
  click: (stage, clean, random, size) => {
    const atMs = voicedMs(clean, random);
    const height = 32_767 * gainOf(size('click')) * (random.next() < 0.5 ? 1 : -1);
    const width = random.integer(1, 2);
    return changed(clean, stage, atMs, (samples, rateHz) => {
      const [at] = span(atMs, 1, rateHz);
      const copy = samples.slice();
      // Against the wave, so that the top of it does not swallow the spike.
      const sign = Math.sign(copy[at]!) === Math.sign(height) ? -1 : 1;
      for (let i = at; i < at + width; i++) copy[i] = limited(copy[i]! + sign * height);
      return copy;
    });
  },
  clipping: (stage, clean, random, size) => {
    const over = gainOf(size('clipping'));
    // Cut off by full scale, or by something that was quieter.
    const full = random.next() < 0.6;
    return {
      ...changed(clean, stage, 0, (samples) => {
        const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 1);
        // Of quieter tops nobody says that they are flat: few bits make them so, too.
        const limit = full ? 32_767 : Math.max(2000, peak / over);
        const factor = full ? (over * 32_767) / peak : 1;
        return samples.map((sample) =>
          Math.round(Math.max(-limit, Math.min(limit, sample * factor))),
        );
      }),
      atMs: null,
    };
  },
  'wrong-rate': (stage, clean, random) => {
    if (stage === 'provider') {
      // Declared against true rates that services mix up.
      const pairs = [
        [24_000, 48_000],
        [48_000, 24_000],
        [16_000, 24_000],
        [24_000, 16_000],
        [32_000, 16_000],
        [22_050, 44_100],
        [44_100, 22_050],
        [32_000, 48_000],
      ] as const;
      const [declaredHz, rateHz] = pairs[random.integer(0, pairs.length - 1)]!;
      const clip = clean.speaker.speakAt(clean.text, clean.voice, rateHz).samples;
      return { atMs: null, sentence: { text: clean.text, clip, rateHz, declaredHz } };
    }
    const rates = [8000, 22_050, 24_000, 32_000, 44_100, 48_000];
    const wrong = rates[random.integer(0, rates.length - 1)]!;
    const change: Change = (samples) =>
      random.next() < 0.5 ? resample(samples, wrong, 16_000) : resample(samples, 16_000, wrong);
    return { ...changed(clean, stage, 0, change), atMs: null };
  },
  'byte-swap': (stage, clean, random, size) => {
    const whole = random.next() < 0.4;
    const shifted = random.next() < 0.5;
    const atMs = whole ? 0 : voicedMs(clean, random);
    const ms = whole ? Number.POSITIVE_INFINITY : size('byte-swap');
    return changed(clean, stage, atMs, (samples, rateHz) => {
      const [at, count] = span(atMs, ms, rateHz);
      const bytes = Buffer.alloc(2 * samples.length + 1);
      for (const [i, sample] of samples.entries()) bytes.writeInt16LE(sample, 2 * i);
      return samples.map((sample, i) => {
        if (i < at || i >= at + count) return sample;
        return shifted ? bytes.readInt16LE(2 * i + 1) : bytes.readInt16BE(2 * i);
      });
    });
  },
  leak: (stage, clean, _, size) => {
    if (stage === 'received')
      return { atMs: 0, sentence: { ...clean, delivery: { kind: 'late' } } };
    const ms = size('leak');
    return changed(clean, stage, 0, (samples, rateHz, previous) => {
      const count = Math.round((ms * rateHz) / 1000);
      // What a service kept back of the answer before comes first; in our own queues it may be any piece.
      let end = previous.length;
      while (end > 0 && Math.abs(previous[end - 1]!) < 200) end--;
      let from = stage === 'provider' ? Math.max(0, end - count) : Math.round(0.3 * end);
      // Of a pause nobody could say from where it came.
      while (
        stage !== 'provider' &&
        from + count < end &&
        loudness(previous, from, from + count) < 500
      )
        from += count >> 1;
      return joined([previous.subarray(from, Math.min(end, from + count)), samples]);
    });
  },
  'missing-words': (stage, clean, random, size) => {
    if (stage === 'received') {
      const frame = loudFrame(clean, random, 3);
      return {
        atMs: frame * 120,
        sentence: { ...clean, delivery: { kind: 'lost', frame, frames: 3 } },
      };
    }
    if (stage === 'provider') {
      const { text, voice, rateHz, speaker } = clean;
      if (random.next() < 0.5) {
        // It breaks off.
        return {
          ...changed(clean, stage, 0, (samples) => {
            let [end] = span(voicedMs(clean, random), 1, clean.rateHz);
            while (end > 100 && loudness(samples, end - 80, end) < 2000) end -= 40;
            return samples.slice(0, end);
          }),
          atMs: null,
        };
      }
      // It swallows a part of the text.
      const units = /\s/.test(text) ? text.split(' ') : [...text];
      const kept = units.slice(Math.ceil(units.length * random.between(0.5, 0.6)));
      const clip = speaker.speakAt(kept.join(/\s/.test(text) ? ' ' : ''), voice, rateHz).samples;
      return { atMs: null, sentence: { text, clip, rateHz } };
    }
    const ms = size('missing-words');
    const atMs = voicedMs(clean, random);
    return changed(clean, stage, atMs, (samples, rateHz) => {
      const [at, count] = span(atMs, ms, rateHz);
      return joined([samples.subarray(0, at), samples.subarray(at + count)]);
    });
  },
  gap: (_, clean, random, size) => {
    const frame = Math.max(2, Math.floor((lengthMs(clean) / 120) * random.between(0.3, 0.8)));
    const ms = frame * aheadMs + size('gap');
    return { atMs: frame * 120, sentence: { ...clean, delivery: { kind: 'stall', frame, ms } } };
  },
};

/** Of a level, full scale = 1. */
function gainOf(dB: number): number {
  return 10 ** (dB / 20);
}

function limited(value: number): number {
  return Math.max(-32_768, Math.min(32_767, Math.round(value)));
}

/** A place with voice, no pause and no sibilant. */
function voicedMs({ clip, rateHz }: CleanClip, random: Random): number {
  const window = Math.round(rateHz * 0.03);
  for (let tries = 0; tries < 400; tries++) {
    const at = Math.round(random.between(0.15, 0.85) * clip.length);
    let crossings = 0;
    for (let i = at - window; i < at + window; i++) {
      if ((clip[i] ?? 0) < 0 !== (clip[i + 1] ?? 0) < 0) crossings++;
    }
    const steady = [-2, -1, 0, 1].every(
      (part) => loudness(clip, at + part * window, at + (part + 1) * window) > 800,
    );
    if (steady && crossings < 0.1 * 2 * window * (16_000 / rateHz)) return (at * 1000) / rateHz;
  }
  throw new Error('The clip has no place with voice.');
}

/** −38 dBFS. */
const restPeak = 400;

/** The next place at which the wave is far from zero. */
function unrestedMs({ clip, rateHz }: CleanClip, fromMs: number): number {
  let at = Math.round((fromMs * rateHz) / 1000);
  while (at < clip.length && Math.abs(clip[at - 1]!) + Math.abs(clip[at]!) < restPeak) at++;
  return (at * 1000) / rateHz;
}

/** A frame of 120 ms with voice; `frames` of them in a row. */
function loudFrame(clean: CleanClip, random: Random, frames = 1): number {
  const frame = Math.floor(voicedMs(clean, random) / 120);
  return Math.max(1, Math.min(frame, Math.floor(lengthMs(clean) / 120) - frames - 1));
}

function loudness(samples: Int16Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += (samples[i] ?? 0) ** 2;
  return Math.sqrt(sum / (to - from));
}

function lengthMs({ clip, rateHz }: CleanClip): number {
  return (clip.length * 1000) / rateHz;
}

/** Index of a place, and how many samples a length is. */
function span(atMs: number, ms: number, rateHz: number): [number, number] {
  return [Math.round((atMs * rateHz) / 1000), Math.max(1, Math.round((ms * rateHz) / 1000))];
}
