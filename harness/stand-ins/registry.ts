import { createChatStandIn, createTextOptimizationStandIn } from './chat-stand-in.ts';
import { createCosyVoiceStandIn, taskFaults } from './cosyvoice-stand-in.ts';
import type { DialogueOptions } from './dialogue-script.ts';
import { socketFaults } from './elevenlabs-protocol.ts';
import { createElevenLabsStandIn } from './elevenlabs-stand-in.ts';
import { liveFaults } from './fish-protocol.ts';
import { createFishStandIn } from './fish-stand-in.ts';
import { createGroqStandIn } from './groq-stand-in.ts';
import { createGsvStandIn, streamFaults } from './gsv-stand-in.ts';
import { createOpenAiStandIn } from './openai-stand-in.ts';
import { createParaformerStandIn } from './paraformer-stand-in.ts';
import { chunkedFaults, eventFaults, type FaultTable, fileFaults } from './planted-fault.ts';
import type { ServiceStandIn, StandIn, StandInOptions } from './stand-in-contract.ts';
import { createTranscriptionStandIn } from './transcription-stand-in.ts';

/** One line per speech platform; the key is EchoKit's spelling. */
export const standInRegistry: Readonly<Record<string, (options: StandInOptions) => StandIn>> = {
  openai: createOpenAiStandIn,
  stream_gsv: createGsvStandIn,
  elevenlabs: createElevenLabsStandIn,
  groq: createGroqStandIn,
  gsv: (options) => createGsvStandIn(options, 'gsv-full'),
  cosyvoice: createCosyVoiceStandIn,
  fish: createFishStandIn,
};

/** What the protocols of each platform can express, one of them or another. */
export const platformFaults: Readonly<Record<string, readonly FaultTable[]>> = {
  openai: [chunkedFaults, eventFaults, fileFaults],
  stream_gsv: [streamFaults, fileFaults],
  elevenlabs: [chunkedFaults, socketFaults],
  groq: [chunkedFaults, fileFaults],
  gsv: [streamFaults, fileFaults],
  cosyvoice: [taskFaults],
  fish: [chunkedFaults, liveFaults],
};

/**
 * Personalities for an EchoKit server, where it fails with the provider's own bytes: it takes the
 * placeholder in the WAV header of Fish for a true size (TTS provider protocol reference, section 3.1).
 */
export const echoKitPersonalities: Readonly<Record<string, string>> = {
  fish: 'fish-honest-wav',
};

/** One line per service beside speech: what else an EchoKit server calls in a dialogue. */
export const dialogueRegistry = {
  chat: createChatStandIn,
  transcription: createTranscriptionStandIn,
  'text-optimization': createTextOptimizationStandIn,
  paraformer: createParaformerStandIn,
} satisfies Record<string, (options: DialogueOptions) => ServiceStandIn>;
