/**
 * Sizes of the audio that travels between server and board, and the arithmetic on them. The
 * sections named are those of the EchoKit device protocol reference.
 */
import { ProtocolError } from './protocol-error.ts';

/** Both directions: signed 16-bit little-endian, mono (sections 3.2 and 4). */
export const sampleRateHz = 16_000;
export const channels = 1;
export const bytesPerSample = 2;

/** One opus packet to the board: 120 ms (section 4.1). A board decodes no longer one. */
export const opusPacketSamples = 1920;
/** Output buffer of the reference server's encoder: no packet is larger (section 4.1). */
export const opusPacketMaximumBytes = 1280;
/** Largest PCM message to a board without `opus=true`: 1 s (section 4.2). */
export const pcmChunkMaximumBytes = 32_000;
/** Piece of the hello WAV file (section 4.3). */
export const helloChunkBytes = 2048;

/** Samples the board's player writes in one cycle of 16 ms (sections 6.3 and 6.4). */
export const playerChunkSamples = 256;
/** Player cycles in one second; also the most messages a board takes in (section 6.3). */
export const playerCyclesPerSecond = 62.5;
/** The board sends its microphone once so many samples are pending: 0.512 s (section 3.3). */
export const uploadFrameSamples = 8192;

/** Mouth shapes of `AudioChunkWithVowel` (section 4.5). */
export const vowels = { none: 0, A: 1, E: 2, I: 3, O: 4, U: 5 } as const;

/**
 * The first whole microsecond at which so many samples have passed. One sample lasts 62.5 µs, so an
 * odd count is rounded up by half a microsecond; {@link samplesFromUs} gives the count back.
 */
export function usFromSamples(samples: number): number {
  return Math.ceil((samples * 125) / 2);
}

/** The whole samples that have passed after so many microseconds: rounded down. */
export function samplesFromUs(us: number): number {
  return Math.floor((us * 2) / 125);
}

/** Exact, in steps of 0.0625 ms. */
export function msFromSamples(samples: number): number {
  return samples / 16;
}

/** The whole samples that have passed after so many milliseconds: exact for whole ms, else down. */
export function samplesFromMs(ms: number): number {
  return Math.floor(ms * 16);
}

/** Exact. */
export function bytesFromSamples(samples: number): number {
  return samples * bytesPerSample;
}

/** The whole samples in so many bytes; a single last byte is half a sample and does not count. */
export function samplesFromBytes(bytes: number): number {
  return Math.floor(bytes / bytesPerSample);
}

/**
 * Samples from little-endian bytes, at any alignment, in a buffer of their own.
 * @throws {ProtocolError} FP_ODD_BYTE_COUNT when the last byte is half a sample.
 */
export function int16FromBytes(bytes: Uint8Array): Int16Array {
  if (bytes.length % bytesPerSample !== 0) {
    throw new ProtocolError(
      'FP_ODD_BYTE_COUNT',
      `${bytes.length} bytes end in half a sample: keep the last byte for the next piece.`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const samples = new Int16Array(bytes.length / bytesPerSample);
  for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(i * bytesPerSample, true);
  return samples;
}

/** Little-endian bytes of the samples, in a buffer of their own, whatever the machine's order. */
export function bytesFromInt16(samples: Int16Array): Uint8Array {
  const bytes = new Uint8Array(samples.length * bytesPerSample);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < samples.length; i++) view.setInt16(i * bytesPerSample, samples[i]!, true);
  return bytes;
}
