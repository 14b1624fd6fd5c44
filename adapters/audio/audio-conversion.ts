import { LinearResampler } from './linear-resampler.ts';
import { Resampler } from './resampler.ts';
import type { PcmFormat } from './wav-stream.ts';

/** From one rate to 16 kHz, sample by sample in order. */
export interface RateConverter {
  /** Of the input. */
  readonly rateHz: number;
  /** Takes the next samples and returns what can be computed so far. */
  push(samples: Float64Array): Float64Array;
  /** The rest. Nothing may be pushed afterwards. */
  flush(): Float64Array;
}

/** How a provider's audio becomes 16 kHz mono. */
export interface AudioConversion {
  /** What the bytes are taken for when the source says `format`. */
  readAs(format: PcmFormat): PcmFormat;
  /** @param rateHz of the input */
  converter(rateHz: number): RateConverter;
}

/** What the adapters do: channels are mixed, and what lies above 8 kHz is filtered out. */
export const cleanConversion: AudioConversion = {
  readAs: (format) => format,
  converter: (rateHz) => new Resampler(rateHz),
};

/**
 * What the EchoKit server does (EchoKit device protocol reference, section 7.6): the samples of all
 * channels one after the other are taken for mono, and the rate is changed by linear interpolation
 * without a filter.
 */
export const echoKitConversion: AudioConversion = {
  readAs: (format) => ({ ...format, channels: 1 }),
  converter: (rateHz) => new LinearResampler(rateHz),
};
