/** Seeded sound defects in clean speech, and what the inspection must say of each. */
import type { Ffmpeg } from '../audio-files/ffmpeg.ts';
import type { Random } from '../random/random.ts';
import { resample } from '../stand-ins/band-limited-resampler.ts';
import type { OfflineVoice } from '../stand-ins/offline-voice.ts';
import type { DefectKind, SoundStage } from './defect.ts';
import { joined, type PlantedSentence } from './planted-recording.contract.ts';

export interface PlantedDefect {
  readonly kind: DefectKind;
  readonly stage: SoundStage;
  /** Where in the sentence it begins; null: it concerns all of it. */
  readonly atMs: number | null;
  /** The recording's second sentence; the first is clean. */
  readonly sentence: PlantedSentence;
}

type Plant = (
  stage: SoundStage,
  clean: CleanClip,
  random: Random,
) => Omit<PlantedDefect, 'kind' | 'stage'>;

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

/** Forms in which services deliver speech without a fault. */
export const cleanForms = [
  'as it is',
  'padded',
  'faded',
  'quiet',
  'loud',
  'noise floor',
  'through MP3',
] as const;

export function inForm(
  form: (typeof cleanForms)[number],
  clean: CleanClip,
  random: Random,
  ffmpeg: Ffmpeg | undefined,
): CleanClip {
  const { clip, rateHz } = clean;
  const scaled = (gain: number): Int16Array => clip.map((sample) => Math.round(sample * gain));
  const peak = clip.reduce((most, sample) => Math.max(most, Math.abs(sample)), 1);
  const seconds = (value: number): Int16Array => new Int16Array(Math.round(value * rateHz));
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
    case 'through MP3': {
      if (ffmpeg === undefined) return clean;
      const raw = ['-f', 's16le', '-ar', String(rateHz), '-ac', '1'];
      const bytes = Buffer.from(clip.buffer, clip.byteOffset, clip.byteLength);
      const mp3 = ffmpeg.run([...raw, '-i', 'pipe:0', '-b:a', '64k', '-f', 'mp3', 'pipe:1'], bytes);
      const pcm = ffmpeg.run(['-f', 'mp3', '-i', 'pipe:0', ...raw, 'pipe:1'], mp3);
      const decoded = new Int16Array(pcm.length >> 1);
      for (let i = 0; i < decoded.length; i++) decoded[i] = pcm.readInt16LE(2 * i);
      return { ...clean, clip: decoded };
    }
  }
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

export function plantDefect(
  kind: DefectKind,
  stage: SoundStage,
  clean: CleanClip,
  random: Random,
): PlantedDefect {
  return { kind, stage, ...plants[kind]!(stage, clean, random) };
}

type Change = NonNullable<PlantedSentence['change']>['change'];

function changed(
  { text, clip, rateHz }: CleanClip,
  stage: SoundStage,
  atShare: number,
  change: Change,
) {
  const sentence: PlantedSentence = {
    text,
    clip,
    rateHz,
    change: { stage: stage as 'sent', change },
  };
  return { atMs: (atShare * clip.length * 1000) / rateHz, sentence };
}

const plants: Partial<Record<DefectKind, Plant>> = {
  dropped: (stage, clean, random) => {
    if (stage === 'received') {
      const frame = loudFrame(clean, random);
      const kind = random.next() < 0.5 ? 'lost' : 'undecodable';
      return { atMs: frame * 120, sentence: { ...clean, delivery: { kind, frame, frames: 1 } } };
    }
    const share = voicedShare(clean, random);
    const ms = random.between(2, 120);
    return changed(clean, stage, share, (samples, rateHz) => {
      const [at, count] = span(samples, share, ms, rateHz);
      return joined([samples.subarray(0, at), samples.subarray(at + count)]);
    });
  },
  repeated: (stage, clean, random) => {
    if (stage === 'received') {
      const frame = loudFrame(clean, random);
      return {
        atMs: (frame + 1) * 120,
        sentence: { ...clean, delivery: { kind: 'twice', frame } },
      };
    }
    const share = voicedShare(clean, random);
    // Blind, a shorter one cannot be told from the period of a voice.
    const ms = random.between(stage === 'provider' ? 30 : 12, 200);
    return changed(clean, stage, share, (samples, rateHz) => {
      const [at, count] = span(samples, share, ms, rateHz);
      const from = Math.max(0, at - count);
      return joined([samples.subarray(0, at), samples.subarray(from, at), samples.subarray(at)]);
    });
  },
  inserted: (stage, clean, random) => {
    if (stage === 'received') {
      const frame = loudFrame(clean, random);
      return { atMs: frame * 120, sentence: { ...clean, delivery: { kind: 'empty', frame } } };
    }
    const share = voicedShare(clean, random);
    const noise = stage !== 'provider' && random.next() < 0.5;
    const ms = noise ? random.between(15, 300) : random.between(3, 150);
    const level = noise ? random.between(1500, 9000) : 0;
    return changed(clean, stage, share, (samples, rateHz) => {
      const [at] = span(samples, share, ms, rateHz);
      const count = Math.round((ms * rateHz) / 1000);
      const piece = Int16Array.from({ length: count }, () => limited(level * random.normal()));
      return joined([samples.subarray(0, at), piece, samples.subarray(at)]);
    });
  },
  click: (stage, clean, random) => {
    const share = voicedShare(clean, random);
    const height = random.between(0.5, 0.95) * 32_767 * (random.next() < 0.5 ? 1 : -1);
    const width = random.integer(1, 2);
    return changed(clean, stage, share, (samples, rateHz) => {
      const [at] = span(samples, share, 1, rateHz);
      const copy = samples.slice();
      // Against the wave, so that the top of it does not swallow the spike.
      const sign = Math.sign(copy[at]!) === Math.sign(height) ? -1 : 1;
      for (let i = at; i < at + width; i++) copy[i] = limited(copy[i]! + sign * height);
      return copy;
    });
  },
  clipping: (stage, clean, random) => {
    const gain = random.between(2.5, 8);
    const full = random.next() < 0.6;
    return {
      ...changed(clean, stage, 0, (samples) => {
        const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 1);
        const limit = full ? 32_767 : peak / gain;
        const factor = full ? (gain * 32_767) / peak / 2 : 1;
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
  'byte-swap': (stage, clean, random) => {
    const whole = random.next() < 0.5;
    const shifted = random.next() < 0.5;
    const share = whole ? 0 : voicedShare(clean, random) * 0.8;
    return changed(clean, stage, share, (samples) => {
      const at = Math.round(share * samples.length);
      const bytes = Buffer.alloc(2 * samples.length + 1);
      for (const [i, sample] of samples.entries()) bytes.writeInt16LE(sample, 2 * i);
      return samples.map((sample, i) => {
        if (i < at) return sample;
        return shifted ? bytes.readInt16LE(2 * i + 1) : bytes.readInt16BE(2 * i);
      });
    });
  },
  leak: (stage, clean, random) => {
    if (stage === 'received')
      return { atMs: 0, sentence: { ...clean, delivery: { kind: 'late' } } };
    const ms = random.between(100, 600);
    return changed(clean, stage, 0, (samples, rateHz, previous) => {
      const count = Math.round((ms * rateHz) / 1000);
      // What a service kept back of the answer before comes first; in our own queues it may be any piece.
      let end = previous.length;
      while (end > 0 && Math.abs(previous[end - 1]!) < 200) end--;
      const from =
        stage === 'provider' ? Math.max(0, end - count) : Math.round(previous.length * 0.3);
      return joined([previous.subarray(from, Math.min(end, from + count)), samples]);
    });
  },
  'missing-words': (stage, clean, random) => {
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
            let end = Math.round(samples.length * voicedShare(clean, random));
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
    const ms = random.between(250, 800);
    const share = random.between(0.15, 0.6);
    return changed(clean, stage, share, (samples, rateHz) => {
      const at = Math.round(share * samples.length);
      const count = Math.round((ms * rateHz) / 1000);
      return joined([samples.subarray(0, at), samples.subarray(at + count)]);
    });
  },
  gap: (_, clean, random) => {
    const frames = Math.floor((clean.clip.length / clean.rateHz) * (16_000 / 1920));
    const frame = Math.max(2, Math.floor(frames * random.between(0.3, 0.8)));
    const ms = 2000 + random.between(0, 4000);
    return { atMs: frame * 120, sentence: { ...clean, delivery: { kind: 'stall', frame, ms } } };
  },
};

function limited(value: number): number {
  return Math.max(-32_768, Math.min(32_767, Math.round(value)));
}

/** A place with voice, no pause and no sibilant, as a share of the clip. */
function voicedShare({ clip, rateHz }: CleanClip, random: Random): number {
  const window = Math.round(rateHz * 0.03);
  for (let tries = 0; tries < 400; tries++) {
    const share = random.between(0.15, 0.85);
    const at = Math.round(share * clip.length);
    let crossings = 0;
    for (let i = at - window; i < at + window; i++) {
      if ((clip[i] ?? 0) < 0 !== (clip[i + 1] ?? 0) < 0) crossings++;
    }
    const steady = [-2, -1, 0, 1].every(
      (part) => loudness(clip, at + part * window, at + (part + 1) * window) > 800,
    );
    if (steady && crossings < 0.1 * 2 * window * (16_000 / rateHz)) return share;
  }
  throw new Error('The clip has no place with voice.');
}

/** A frame of 120 ms with voice; `frames` of them in a row. */
function loudFrame(clean: CleanClip, random: Random, frames = 1): number {
  const seconds = clean.clip.length / clean.rateHz;
  const frame = Math.floor((voicedShare(clean, random) * seconds) / 0.12);
  return Math.max(1, Math.min(frame, Math.floor(seconds / 0.12) - frames - 1));
}

function loudness(samples: Int16Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += (samples[i] ?? 0) ** 2;
  return Math.sqrt(sum / (to - from));
}

function span(samples: Int16Array, share: number, ms: number, rateHz: number): [number, number] {
  return [Math.round(share * samples.length), Math.max(1, Math.round((ms * rateHz) / 1000))];
}
