import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

/** Samples of the 120 ms packet the board expects (EchoKit device protocol reference, section 4.1). */
export const opusFrameSamples = 1920;
const sampleRateHz = 16_000;
/** Output buffer of the reference server, 2·1920/3 bytes (section 4.1). libopus spends at most this. */
const packetBytesMaximum = 1280;
/** Legal frame lengths of one packet at 16 kHz: 2.5 to 120 ms. */
const frameLengths = [40, 80, 160, 320, 640, 960, 1280, 1600, 1920];

const applicationVoip = 2048;
const resetState = 4028;

/**
 * libopus, 16 kHz mono, from one pinned WebAssembly build: the same samples give the same packets
 * on every machine. The native build of the same package gives other bytes, so the WebAssembly file
 * is opened directly and the package's own entry point, which prefers the native one, is not used.
 */
export interface Opus {
  /** Of the build, for cache keys: the SHA-256 of its file. */
  readonly version: string;
  /** @param options.frameSamples samples of every packet at 16 kHz; 1920 (120 ms) by default */
  createEncoder(options?: { readonly frameSamples?: number }): OpusEncoder;
  createDecoder(): OpusDecoder;
}

/**
 * Application VoIP and every other setting as libopus has it by default, which is what the
 * reference server uses: VBR, no DTX, no FEC, complexity 9, automatic bitrate. (Automatic means
 * 17 000 bit/s here: a 120 ms packet is two 60 ms frames and libopus applies its formula
 * 60·Fs/frame + Fs to each.) Complexity 9 encodes about 60 times faster than real time on a 2-core
 * machine; 5 would double that but give other packets than a real server.
 */
export interface OpusEncoder {
  readonly frameSamples: number;
  /**
   * @param samples exactly `frameSamples` samples; only read during the call
   * @returns a fresh packet, owned by the caller
   * @throws {OpusError} `OPUS_FRAME_LENGTH`
   */
  encode(samples: Int16Array): Uint8Array;
  /** As a new encoder: the next packet depends on nothing before. */
  reset(): void;
}

/** As the board's decoder: an output buffer of 1920 samples, no FEC (section 4.1). */
export interface OpusDecoder {
  /**
   * @param packet one packet; empty means that one was lost: 1920 samples are concealed
   * @returns fresh samples, owned by the caller
   * @throws {OpusError} with libopus' own words; the decoder stays usable
   */
  decode(packet: Uint8Array): Int16Array;
  /** As a new decoder. */
  reset(): void;
}

/** The WebAssembly that is the codec: its bytes decide the bytes of every packet. */
export function opusFile(): string {
  return createRequire(import.meta.url).resolve('@evan/opus/wasm/simd.wasm');
}

/** A refusal by libopus. `message` is what the firmware prints, for example `opus_decode: corrupted stream`. */
export class OpusError extends Error {
  override readonly name = 'OpusError';
  /** `OPUS_` and the reason in upper case, for example `OPUS_CORRUPTED_STREAM`. */
  readonly code: string;
  /** libopus' words, for example `corrupted stream`. */
  readonly reason: string;

  constructor(operation: string, reason: string, detail = '') {
    super(`${operation}: ${reason}${detail}`);
    this.reason = reason;
    this.code = `OPUS_${reason.toUpperCase().replaceAll(' ', '_')}`;
  }
}

/** The part of the standard global that is used here; the ES2023 library declarations lack it. */
declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: unknown } }>;
};

interface LibOpus {
  readonly memory: { readonly buffer: ArrayBuffer };
  _initialize(): void;
  malloc(bytes: number): number;
  free(pointer: number): void;
  opus_strerror(code: number): number;
  opus_encoder_get_size(channels: number): number;
  opus_encoder_init(state: number, rateHz: number, channels: number, application: number): number;
  opus_encoder_ctl_set(state: number, request: number, value: number): number;
  opus_encode(state: number, pcm: number, samples: number, out: number, bytes: number): number;
  opus_decoder_get_size(channels: number): number;
  opus_decoder_init(state: number, rateHz: number, channels: number): number;
  opus_decoder_ctl_set(state: number, request: number, value: number): number;
  opus_decode(
    state: number,
    packet: number,
    bytes: number,
    pcm: number,
    samples: number,
    fec: number,
  ): number;
}

/** Compiles the codec, some milliseconds. Codecs of different calls share nothing. */
export async function loadOpus(): Promise<Opus> {
  const file = opusFile();
  const build = await readFile(file);
  const { instance } = await WebAssembly.instantiate(build, {
    wasi_snapshot_preview1: {
      fd_seek: nothing,
      fd_write: nothing,
      fd_close: nothing,
      proc_exit: nothing,
    },
    env: { emscripten_notify_memory_growth: nothing },
  });
  const lib = instance.exports as LibOpus;
  lib._initialize();

  // Codecs take turns on these buffers: a call copies in, runs and copies out without interruption.
  const pcm = lib.malloc(2 * opusFrameSamples);
  const packet = lib.malloc(packetBytesMaximum);
  const forgotten = new FinalizationRegistry<number>((state) => lib.free(state));

  // Views are made for each call because the memory moves when it grows.
  const pcmView = (samples: number) => new Int16Array(lib.memory.buffer, pcm, samples);
  const packetView = (bytes: number) => new Uint8Array(lib.memory.buffer, packet, bytes);
  const words = (code: number): string => {
    const text = new Uint8Array(lib.memory.buffer, lib.opus_strerror(code));
    return Buffer.from(text.subarray(0, text.indexOf(0))).toString('latin1');
  };
  const check = (operation: string, code: number): number => {
    if (code < 0) throw new OpusError(operation, words(code));
    return code;
  };

  return {
    version: createHash('sha256').update(build).digest('hex'),
    createEncoder: ({ frameSamples = opusFrameSamples } = {}) => {
      if (!frameLengths.includes(frameSamples)) {
        throw new OpusError(
          'opus_encoder',
          'frame length',
          `: ${frameSamples} samples cannot be one packet; choose one of ${frameLengths.join(', ')}`,
        );
      }
      const state = lib.malloc(lib.opus_encoder_get_size(1));
      check('opus_encoder_init', lib.opus_encoder_init(state, sampleRateHz, 1, applicationVoip));
      const encoder: OpusEncoder = {
        frameSamples,
        encode: (samples) => {
          if (samples.length !== frameSamples) {
            throw new OpusError(
              'opus_encode',
              'frame length',
              `: got ${samples.length} samples, this encoder takes ${frameSamples}; pad the last frame`,
            );
          }
          pcmView(frameSamples).set(samples);
          const bytes = check(
            'opus_encode',
            lib.opus_encode(state, pcm, frameSamples, packet, packetBytesMaximum),
          );
          return packetView(bytes).slice();
        },
        reset: () => {
          lib.opus_encoder_ctl_set(state, resetState, 0);
        },
      };
      forgotten.register(encoder, state);
      return encoder;
    },

    createDecoder: () => {
      const state = lib.malloc(lib.opus_decoder_get_size(1));
      check('opus_decoder_init', lib.opus_decoder_init(state, sampleRateHz, 1));
      const decoder: OpusDecoder = {
        decode: (data) => {
          if (packetSamples(data) > opusFrameSamples) {
            throw new OpusError('opus_decode', 'buffer too small');
          }
          // A legal packet of 120 ms is at most two frames of 1275 bytes and their header; what the
          // scratch buffer cannot hold cannot be audio of this board either.
          if (data.length > packetBytesMaximum) {
            throw new OpusError('opus_decode', 'corrupted stream');
          }
          packetView(data.length).set(data);
          const samples = check(
            'opus_decode',
            lib.opus_decode(state, packet, data.length, pcm, opusFrameSamples, 0),
          );
          return pcmView(samples).slice();
        },
        reset: () => {
          lib.opus_decoder_ctl_set(state, resetState, 0);
        },
      };
      forgotten.register(decoder, state);
      return decoder;
    },
  };
}

/**
 * Samples a packet announces at 16 kHz, from its table-of-contents byte (RFC 6716, section 3.1).
 * Asked before libopus, which calls everything above 120 ms corrupted, because the firmware says
 * `buffer too small` then (EchoKit device protocol reference, section 4.1).
 */
function packetSamples(packet: Uint8Array): number {
  const toc = packet[0];
  if (toc === undefined) return 0;
  const configuration = toc >> 3;
  const frame =
    configuration < 12
      ? [160, 320, 640, 960][configuration & 3]!
      : configuration < 16
        ? [160, 320][configuration & 1]!
        : [40, 80, 160, 320][configuration & 3]!;
  const frames = [1, 2, 2, (packet[1] ?? 0) & 0x3f][toc & 3]!;
  return frame * frames;
}

function nothing(): void {}
