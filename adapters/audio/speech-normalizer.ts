import { type AudioConversion, cleanConversion, type RateConverter } from './audio-conversion.ts';
import { compressedFrames } from './compressed-frames.ts';
import { PcmDecoder, pcm16, quantize } from './pcm-decoder.ts';
import { outputRateHz } from './resampler.ts';
import { type PcmFormat, sniffContent, WavError, WavStream } from './wav-stream.ts';

/** What an adapter expects a provider to send. For `wav` the header decides about everything else. */
export type SpeechSource =
  | { readonly container: 'wav' }
  | { readonly container: 'pcm'; readonly rateHz: number; readonly channels: number };

/** The audio among one piece of provider bytes. */
export interface NormalizedChunk {
  /** 16 kHz mono. Owned by the caller. */
  readonly samples: Int16Array;
  /** Payload bytes of audio (no headers) that were taken with this chunk. */
  readonly sourceBytes: number;
}

/**
 * Provider bytes in, 16 kHz mono Int16 out. Knows no time and no network. The samples do not depend
 * on how the bytes are cut, and the ledger balances: `outputSamples` is
 * `round(sourceFrames · 16000 / rateHz)` after {@link flush}, for each format the source had.
 */
export class SpeechNormalizer {
  readonly #source: SpeechSource;
  readonly #conversion: AudioConversion;
  #wav: WavStream | undefined;
  #start: Uint8Array | undefined;
  #decoder: PcmDecoder | undefined;
  #resampler: RateConverter | undefined;
  #finishedFrames = 0;
  #outputSamples = 0;
  #droppedBytes = 0;

  constructor(source: SpeechSource, conversion: AudioConversion = cleanConversion) {
    this.#source = source;
    this.#conversion = conversion;
    if (source.container === 'wav') this.#wav = new WavStream();
    else this.#start = new Uint8Array(0);
  }

  /** Rate of the source; what a WAV header says wins over what was expected. */
  get rateHz(): number {
    return this.#decoder?.format.rateHz ?? expected(this.#source).rateHz;
  }

  get channels(): number {
    return this.#decoder?.format.channels ?? expected(this.#source).channels;
  }

  /** Complete frames decoded (one frame holds one sample of every channel). */
  get sourceFrames(): number {
    return this.#finishedFrames + (this.#decoder?.frames ?? 0);
  }

  /** Samples returned so far. */
  get outputSamples(): number {
    return this.#outputSamples;
  }

  /** Bytes of incomplete frames at the end of the source or before a repeated header. */
  get droppedBytes(): number {
    return this.#droppedBytes + (this.#decoder?.pendingBytes ?? 0);
  }

  /**
   * @throws {WavError} when the bytes are not what was expected: another container, JSON, HTML. A
   *   WAV where PCM was expected is read as the WAV it is.
   */
  push(bytes: Uint8Array): NormalizedChunk {
    if (this.#start !== undefined) return this.#begin(bytes);
    if (this.#wav === undefined) return this.#take([{ data: bytes }]);
    return this.#take(this.#wav.push(bytes));
  }

  /**
   * The samples that were waiting for later input. Nothing may be pushed afterwards.
   *
   * @throws {WavError} when the source ended inside its header
   */
  flush(): NormalizedChunk {
    const last = this.#start?.length ? this.#take([{ data: this.#start }]) : undefined;
    this.#start = undefined;
    const held = this.#take(this.#wav?.end() ?? []);
    const rest = this.#finishSegment();
    return {
      samples: join([last?.samples, held.samples, rest]),
      sourceBytes: (last?.sourceBytes ?? 0) + held.sourceBytes,
    };
  }

  /** Looks at the first bytes of what should be bare PCM; services send WAV or worse instead. */
  #begin(bytes: Uint8Array): NormalizedChunk {
    const start = join8(this.#start!, bytes);
    if (mayBeContainer(start)) {
      this.#start = start;
      return { samples: new Int16Array(0), sourceBytes: 0 };
    }
    this.#start = undefined;
    if (isRiffWave(start)) {
      this.#wav = new WavStream();
    } else {
      const frames = compressedFrames(start);
      const found = frames ?? (unmistakable(start) ? sniffContent(start) : undefined);
      if (found !== undefined) {
        const begin = frames === undefined ? ` It begins: ${excerpt(start)}` : '';
        throw new WavError('WAV_NOT_WAV', `Expected raw PCM, got ${found}.${begin}`, found);
      }
    }
    return this.push(start);
  }

  #take(pieces: readonly Piece[]): NormalizedChunk {
    const parts: Int16Array[] = [];
    let sourceBytes = 0;
    for (const piece of pieces) {
      const format = piece.format ?? pcm16(this.rateHz, this.channels);
      if (this.#decoder === undefined || piece.restart === true) {
        const rest = this.#restart(format);
        if (rest.length > 0) parts.push(rest);
      }
      sourceBytes += piece.data.length;
      parts.push(this.#count(this.#resampler!.push(this.#decoder!.push(piece.data))));
    }
    return { samples: join(parts), sourceBytes };
  }

  /** A header in mid stream: the frames start anew; the filter runs on unless the rate changed. */
  #restart(format: PcmFormat): Int16Array {
    const sameRate = this.#resampler?.rateHz === format.rateHz;
    const rest = sameRate ? new Int16Array(0) : this.#finishSegment();
    this.#closeDecoder();
    this.#decoder = new PcmDecoder(this.#conversion.readAs(format));
    if (!sameRate) this.#resampler = this.#conversion.converter(format.rateHz);
    return rest;
  }

  #closeDecoder(): void {
    this.#finishedFrames += this.#decoder?.frames ?? 0;
    this.#droppedBytes += this.#decoder?.pendingBytes ?? 0;
    this.#decoder = undefined;
  }

  #finishSegment(): Int16Array {
    return this.#resampler === undefined ? new Int16Array(0) : this.#count(this.#resampler.flush());
  }

  #count(samples: Float64Array): Int16Array {
    this.#outputSamples += samples.length;
    return quantize(samples);
  }
}

interface Piece {
  readonly data: Uint8Array;
  readonly format?: PcmFormat;
  readonly restart?: boolean;
}

function expected(source: SpeechSource): { rateHz: number; channels: number } {
  return source.container === 'pcm' ? source : { rateHz: outputRateHz, channels: 1 };
}

/** Marks that raw PCM does not begin with by chance; shorter ones are not trusted. */
const unmistakableMarks = [
  '<!doctype',
  '<html',
  'data: {',
  'data:{"',
  'event:',
  'oggs\0',
  'flac\0',
  'id3\x02\0',
  'id3\x03\0',
  'id3\x04\0',
];
/** The name of the first member of a JSON object, and as much of it as may have come. */
const jsonBegins = /^\{\s{0,8}"\w{2,32}"\s{0,2}:/;
const jsonMayBegin = /^\{\s{0,8}(?:"(?:\w{1,32}(?:"\s{0,2})?)?)?$/;

/** Whether the bytes may still turn out to be no samples; never for long (see the marks). */
function mayBeContainer(start: Uint8Array): boolean {
  const text = latin(start).toLowerCase();
  if (unmistakableMarks.some((mark) => text.length < mark.length && mark.startsWith(text))) {
    return true;
  }
  if (jsonMayBegin.test(text) || compressedFrames(start) === 'wait') return true;
  if (start.length >= 12) return false;
  return 'riff'.startsWith(text.slice(0, 4)) && 'wave'.startsWith(text.slice(8, 12));
}

function unmistakable(start: Uint8Array): boolean {
  const text = latin(start).toLowerCase();
  return jsonBegins.test(text) || unmistakableMarks.some((mark) => text.startsWith(mark));
}

function isRiffWave(start: Uint8Array): boolean {
  const text = latin(start);
  return text.startsWith('RIFF') && text.slice(8, 12) === 'WAVE';
}

function latin(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes.subarray(0, 64));
}

/** Of bytes that are no audio, in the failure. */
const excerptBytesMax = 160;

function excerpt(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(0, excerptBytesMax)).replace(/\s+/g, ' ').trim();
}

function join(parts: readonly (Int16Array | undefined)[]): Int16Array {
  const present = parts.filter((part) => part !== undefined && part.length > 0) as Int16Array[];
  if (present.length === 1) return present[0]!;
  const joined = new Int16Array(present.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of present) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function join8(first: Uint8Array, second: Uint8Array): Uint8Array {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}
