import { createHash } from 'node:crypto';
import { type Ffmpeg, FfmpegError, openFfmpeg } from '../audio-files/ffmpeg.ts';
import { ClipCache, encodedForm } from './clip-cache.ts';

/** Formats that need ffmpeg. `ulaw` and `alaw` do not: `g711.ts`. */
export interface CompressedFormat {
  /** `mp3`: bare frames. `opus`: in Ogg. `aac`: in ADTS. `flac`: a stream of unknown length. */
  readonly codec: 'mp3' | 'opus' | 'aac' | 'flac';
  /** Constant, so that bytes are in proportion to time. FLAC has none. */
  readonly bitrateKbps?: number;
}

export interface ClipEncoderOptions {
  /** Instead of the ffmpeg that is installed with the package. */
  readonly ffmpegPath?: string;
  /** Folder for encoded clips; made when missing. Absent: they are kept in memory only. */
  readonly cacheFolder?: string;
}

/**
 * Encodes clips with ffmpeg. The same samples and format give the same bytes with the same build of
 * ffmpeg; they are kept by their content, like clips. Synchronous; a clip that is not in the cache
 * blocks for a tenth of a second. ffmpeg is looked for at the first use.
 */
export class ClipEncoder {
  readonly #options: ClipEncoderOptions;
  readonly #cache: ClipCache<Buffer>;
  #ffmpeg: Ffmpeg | FfmpegError | undefined;

  constructor(options: ClipEncoderOptions = {}) {
    this.#options = options;
    this.#cache = new ClipCache(encodedForm, options.cacheFolder);
  }

  /** Why nothing can be encoded, as a sentence; undefined when it can. */
  get obstacle(): string | undefined {
    const ffmpeg = this.#open();
    return ffmpeg instanceof FfmpegError ? ffmpeg.message : undefined;
  }

  /**
   * @param pcm s16le mono at `rateHz`, which is the rate of the encoded audio as well. Opus takes
   * 8000, 12 000, 16 000, 24 000 and 48 000 Hz, MP3 what MPEG-1 and MPEG-2 have.
   * @throws {FfmpegError} `FFMPEG_MISSING`, `FFMPEG_FAILED`
   */
  encode(pcm: Buffer, rateHz: number, format: CompressedFormat): Buffer {
    const ffmpeg = this.#open();
    if (ffmpeg instanceof FfmpegError) throw ffmpeg;
    if (pcm.length === 0) return Buffer.alloc(0);
    const output = outputArguments(format);
    const digest = createHash('sha256').update(pcm).digest('hex');
    const key = JSON.stringify(['encoded', ffmpeg.version, rateHz, output, digest]);
    const input = ['-f', 's16le', '-ar', String(rateHz), '-ac', '1', '-i', 'pipe:0'];
    return this.#cache.get(key, () => ffmpeg.run([...input, ...output, 'pipe:1'], pcm));
  }

  #open(): Ffmpeg | FfmpegError {
    this.#ffmpeg ??= tryToOpen(this.#options.ffmpegPath);
    return this.#ffmpeg;
  }
}

function tryToOpen(path: string | undefined): Ffmpeg | FfmpegError {
  try {
    return openFfmpeg(path);
  } catch (error) {
    if (error instanceof FfmpegError) return error;
    throw error;
  }
}

/** Nothing in the bytes may tell when or by what they were made. */
const reproducible = ['-map_metadata', '-1', '-fflags', '+bitexact', '-flags:a', '+bitexact'];

const codecArguments: Readonly<Record<CompressedFormat['codec'], readonly string[]>> = {
  // Neither tags nor a first frame with the length: a stream does not know it.
  mp3: ['-c:a', 'libmp3lame', '-write_xing', '0', '-id3v2_version', '0', '-f', 'mp3'],
  // A page per 100 ms; the muxer's own second would hold the sound back that long.
  opus: ['-c:a', 'libopus', '-vbr', 'off', '-page_duration', '100000', '-f', 'ogg'],
  aac: ['-c:a', 'aac', '-f', 'adts'],
  flac: ['-c:a', 'flac', '-f', 'flac'],
};

function outputArguments({ codec, bitrateKbps }: CompressedFormat): string[] {
  const bitrate = bitrateKbps === undefined ? [] : ['-b:a', `${bitrateKbps}k`];
  return [...reproducible, ...codecArguments[codec], ...bitrate];
}
