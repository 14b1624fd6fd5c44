/** A speech session whose audio is known in advance. For tests of the server. */
import type {
  SpeechCapabilities,
  SpeechEvent,
  SpeechSession,
  SpeechUsage,
} from '../../adapters/speech-adapter.ts';
import { SpeechError, type SpeechFailureKind } from '../../adapters/speech-error.ts';
import type { Clock } from '../clock/clock.ts';

export interface PlantedClip {
  readonly samples: Int16Array;
  /** From the request to the first chunk. */
  readonly firstByteMs?: number;
  readonly chunkSamples?: number;
  /** From chunk to chunk. */
  readonly chunkEveryMs?: number;
  /** The provider fails after the samples. */
  readonly failure?: SpeechFailureKind;
  /** What the provider says it counted. */
  readonly usage?: SpeechUsage;
}

export interface PlantedSpeech extends SpeechSession {
  /** Calls of `speak` that have not ended. */
  readonly running: number;
  /** Largest number of calls at one time. */
  readonly runningMax: number;
  /** What was spoken, in the order of the requests; pieces of one request together. */
  readonly texts: string[][];
  readonly cancelled: number;
}

/**
 * @param clip audio of a text (a piece, when `textIn` is `pieces`). With `marks`, each character of
 *   a piece has the same share of its clip.
 */
export function plantedSpeech(
  clock: Clock,
  clip: (text: string) => PlantedClip,
  capabilities: Partial<SpeechCapabilities> = {},
): PlantedSpeech {
  const texts: string[][] = [];
  let requests = 0;
  let running = 0;
  let runningMax = 0;
  let cancelled = 0;
  const declared: SpeechCapabilities = {
    textIn: 'whole',
    audioOut: 'chunks',
    connectionReuse: false,
    marks: false,
    ...capabilities,
  };

  async function* speak(
    text: AsyncIterable<string>,
    signal: AbortSignal,
  ): AsyncGenerator<SpeechEvent, void> {
    requests += 1;
    const request = requests;
    const spoken: string[] = [];
    texts.push(spoken);
    running += 1;
    runningMax = Math.max(runningMax, running);
    let delivered = 0;
    let usage: SpeechUsage | undefined;
    const decidedUs = clock.nowUs();
    try {
      for await (const piece of text) {
        const first = spoken.length === 0;
        spoken.push(piece);
        if (first) {
          yield {
            type: 'request',
            atUs: clock.nowUs(),
            request,
            decidedUs,
            connectedUs: decidedUs,
            reused: false,
            url: 'https://planted.test/speech',
            characters: [...piece].length,
          };
        }
        const { samples, ...timing } = clip(piece);
        usage = timing.usage;
        await clock.sleep((timing.firstByteMs ?? 0) * 1000, signal);
        if (first && timing.failure !== 'auth') {
          yield { type: 'responseHead', atUs: clock.nowUs(), request, status: 200 };
        }
        const start = delivered;
        const chunkSamples = timing.chunkSamples ?? 1600;
        for (let at = 0; at < samples.length; at += chunkSamples) {
          if (at > 0) await clock.sleep((timing.chunkEveryMs ?? 0) * 1000, signal);
          signal.throwIfAborted();
          const chunk = samples.slice(at, at + chunkSamples);
          delivered += chunk.length;
          yield {
            type: 'audio',
            atUs: clock.nowUs(),
            request,
            samples: chunk,
            sourceBytes: chunk.length * 2,
            sourceRateHz: 16_000,
            sourceChannels: 1,
          };
          // As ElevenLabs: the first message of a generation carries the timing of all of it.
          if (at > 0 || !declared.marks) continue;
          const characters = [...piece];
          yield {
            type: 'mark',
            atUs: clock.nowUs(),
            request,
            characters,
            startSamples: characters.map(
              (_, i) => start + Math.floor((i * samples.length) / characters.length),
            ),
          };
        }
        if (timing.failure !== undefined) {
          throw new SpeechError({
            kind: timing.failure,
            message: `Planted failure after ${delivered} samples.`,
            retryable: false,
            deliveredSamples: delivered,
          });
        }
      }
      yield {
        type: 'end',
        atUs: clock.nowUs(),
        request,
        sourceFrames: delivered,
        samples: delivered,
        ...(usage === undefined ? {} : { usage }),
      };
    } finally {
      running -= 1;
      if (signal.aborted) cancelled += 1;
    }
  }

  return {
    capabilities: declared,
    speak,
    close: async () => {},
    texts,
    get running() {
      return running;
    },
    get runningMax() {
      return runningMax;
    },
    get cancelled() {
      return cancelled;
    },
  };
}

/** A tone that starts and ends at zero crossings is not needed: only its frequency is asked for. */
export function tone(frequencyHz: number, samples: number, peak = 8000): Int16Array {
  return Int16Array.from({ length: samples }, (_, i) =>
    Math.round(peak * Math.sin((2 * Math.PI * frequencyHz * i) / 16_000)),
  );
}

/** Share of the signal's energy at a frequency (Goertzel), 0 to 1. */
export function toneShare(samples: Int16Array, frequencyHz: number): number {
  let real = 0;
  let imaginary = 0;
  let energy = 0;
  for (const [i, value] of samples.entries()) {
    const angle = (2 * Math.PI * frequencyHz * i) / 16_000;
    real += value * Math.cos(angle);
    imaginary += value * Math.sin(angle);
    energy += value * value;
  }
  if (energy === 0) return 0;
  return (2 * (real * real + imaginary * imaginary)) / (samples.length * energy);
}

/** A buzz of 120 Hz through a resonator for each formant: a vowel as textbooks make it. */
export function buzz(
  formantsHz: readonly number[],
  sampleCount: number,
  bandwidthHz = 80,
): Int16Array {
  const samples = new Float64Array(sampleCount);
  for (let i = 0; i < samples.length; i += 133) samples[i] = 1;
  const radius = Math.exp((-Math.PI * bandwidthHz) / 16_000);
  for (const hz of formantsHz) {
    const first = 2 * radius * Math.cos((2 * Math.PI * hz) / 16_000);
    for (let i = 0; i < samples.length; i++) {
      samples[i]! += first * (samples[i - 1] ?? 0) - radius ** 2 * (samples[i - 2] ?? 0);
    }
  }
  const peak = Math.max(...samples.map(Math.abs));
  return Int16Array.from(samples, (sample) => Math.round((sample / peak) * 12_000));
}
