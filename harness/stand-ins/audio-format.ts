import { samplesOf } from './clip-cache.ts';
import type { CompressedFormat } from './clip-encoder.ts';
import { encodeALaw, encodeMuLaw } from './g711.ts';
import type { ProviderServer } from './provider-server.ts';

/** How audio goes over the wire, without the header of a container. */
export interface AudioFormat {
  /** `pcm`: s16le mono. `ulaw`, `alaw`: one byte a sample. The others need ffmpeg. */
  readonly codec: 'pcm' | 'ulaw' | 'alaw' | CompressedFormat['codec'];
  readonly rateHz: number;
  readonly bitrateKbps?: number;
}

/**
 * Why this stand-in cannot render a format, as a sentence; undefined when it can. Never a reason of
 * the provider's.
 */
export function formatObstacle(server: ProviderServer, format: AudioFormat): string | undefined {
  if (format.codec === 'pcm' || format.codec === 'ulaw' || format.codec === 'alaw') {
    return undefined;
  }
  const { encoder } = server.options;
  return encoder === undefined ? 'This stand-in was made without an encoder.' : encoder.obstacle;
}

/**
 * A clip of s16le mono in another format. Compressed clips are made one by one: played behind each
 * other they have the silence between them that their codec puts around a clip.
 *
 * @throws {FfmpegError} when {@link formatObstacle} gives a reason
 */
export function encodeClip(server: ProviderServer, pcm: Buffer, format: AudioFormat): Buffer {
  const { codec, rateHz, bitrateKbps } = format;
  switch (codec) {
    case 'pcm':
      return pcm;
    case 'ulaw':
      return encodeMuLaw(samplesOf(pcm));
    case 'alaw':
      return encodeALaw(samplesOf(pcm));
    case 'mp3':
    case 'opus':
    case 'aac':
    case 'flac':
      return server.options.encoder!.encode(pcm, rateHz, {
        codec,
        ...(bitrateKbps !== undefined && { bitrateKbps }),
      });
  }
}
