import { createCosyVoiceStandIn } from './cosyvoice-stand-in.ts';
import { createElevenLabsStandIn } from './elevenlabs-stand-in.ts';
import { createGroqStandIn } from './groq-stand-in.ts';
import { createGsvStandIn } from './gsv-stand-in.ts';
import { createOpenAiStandIn } from './openai-stand-in.ts';
import type { StandIn, StandInOptions } from './stand-in-contract.ts';

/** One line per platform; the key is EchoKit's spelling. */
export const standInRegistry: Readonly<Record<string, (options: StandInOptions) => StandIn>> = {
  openai: createOpenAiStandIn,
  stream_gsv: createGsvStandIn,
  elevenlabs: createElevenLabsStandIn,
  groq: createGroqStandIn,
  gsv: (options) => createGsvStandIn(options, 'gsv-full'),
  cosyvoice: createCosyVoiceStandIn,
};
