import {
  cleanConversion,
  echoKitConversion,
  type RateConverter,
} from '../../adapters/audio/audio-conversion.ts';
import { loadOpus, type Opus, opusFrameSamples } from '../opus/opus-codec.ts';
import { userVoice } from '../runner/run-cell.ts';
import type { BenchMeasurement } from './bench-part.ts';
import { type Figure, repeated } from './figure.ts';
import { inYardsticks } from './yardstick.ts';

const sampleRateHz = 16_000;
/** Speech for one round; a yardstick is some 50 ms, and what is measured should be no shorter. */
const secondsOfSpeech = 8;
const rounds = { quick: 9, full: 25 };
const text =
  'The moon is about two hundred and forty thousand miles away. Light needs a little more than a second for the trip.';

/** Something that is done with sound, again and again. */
interface SoundWork {
  readonly name: string;
  readonly label: string;
  /** Seconds of sound that one call handles. */
  readonly seconds: number;
  work(): void;
}

/**
 * The three things that handle every sample of an answer: Opus encoded by the server, Opus decoded by the board, and the provider's
 * rate made 16 kHz. On one processor, nothing remembered, in turn.
 */
export const codecSpeed: BenchMeasurement = {
  async measure({ full, laboratory, signal }) {
    // Not that of the laboratory, which remembers.
    const opus = await loadOpus();
    const { voice } = await laboratory();
    const kinds = soundWork(opus, speechOf(voice.speak(text, userVoice).samples));
    const measured = kinds.map(() => [] as { readonly us: number; readonly yardsticks: number }[]);
    // The first round compiles, and counts for nothing.
    for (let round = 0; round <= (full ? rounds.full : rounds.quick); round++) {
      if (signal.aborted) break;
      for (const [index, { work }] of kinds.entries()) {
        const took = await inYardsticks(work);
        if (round > 0) measured[index]!.push(took);
      }
    }
    return kinds.flatMap((kind, index) => figuresOf(kind, measured[index]!));
  },
};

function speechOf(clip: Int16Array): Int16Array {
  const frames = Math.floor((secondsOfSpeech * sampleRateHz) / opusFrameSamples);
  return Int16Array.from({ length: frames * opusFrameSamples }, (_, at) => clip[at % clip.length]!);
}

function soundWork(opus: Opus, speech: Int16Array): SoundWork[] {
  const seconds = speech.length / sampleRateHz;
  const packetsOf = (frameSamples: number): Uint8Array[] => {
    const encoder = opus.createEncoder({ frameSamples });
    return Array.from({ length: speech.length / frameSamples }, (_, at) =>
      encoder.encode(speech.subarray(at * frameSamples, (at + 1) * frameSamples)),
    );
  };
  const packets = packetsOf(opusFrameSamples);
  const sounds = Float64Array.from(speech, (sample) => sample / 32768);
  const resampling = (
    rateHz: number,
    open: (rateHz: number) => RateConverter,
  ): SoundWork['work'] => {
    // As much sound at that rate, in pieces of 100 ms.
    const piece = rateHz / 10;
    const input = Float64Array.from({ length: piece }, (_, at) => sounds[at % sounds.length]!);
    return () => {
      const converter = open(rateHz);
      for (let at = 0; at < Math.round(seconds * 10); at++) converter.push(input);
      converter.flush();
    };
  };
  return [
    {
      name: 'encode_120',
      label: 'Opus encoded, packets of 120 ms',
      seconds,
      work: () => void packetsOf(opusFrameSamples),
    },
    {
      name: 'encode_20',
      label: 'Opus encoded, packets of 20 ms',
      seconds,
      work: () => void packetsOf(320),
    },
    {
      name: 'decode',
      label: 'Opus decoded',
      seconds,
      work: () => {
        const decoder = opus.createDecoder();
        for (const packet of packets) decoder.decode(packet);
      },
    },
    ...[24_000, 32_000, 44_100].map((rateHz) => ({
      name: `resample_${rateHz}`,
      label: `${rateHz} Hz made 16 kHz`,
      seconds,
      work: resampling(rateHz, cleanConversion.converter),
    })),
    {
      name: 'resample_echokit_24000',
      label: '24000 Hz made 16 kHz as the EchoKit server does',
      seconds,
      work: resampling(24_000, echoKitConversion.converter),
    },
  ];
}

function figuresOf(
  { name, label, seconds }: SoundWork,
  measured: readonly { readonly us: number; readonly yardsticks: number }[],
): Figure[] {
  if (measured.length === 0) return [];
  return [
    repeated(
      measured.map(({ us }) => (seconds * 1_000_000) / us),
      {
        id: `codec.${name}`,
        label: `${label}: times as fast as real time`,
        unit: '×',
        better: 'higher',
        kind: 'here',
      },
    ),
    repeated(
      measured.map(({ yardsticks }) => (10 * yardsticks) / seconds),
      {
        id: `codec.${name}_yardsticks`,
        label: '  yardsticks for ten seconds of sound',
        unit: '',
        better: 'lower',
        kind: 'ratio',
      },
    ),
  ];
}
