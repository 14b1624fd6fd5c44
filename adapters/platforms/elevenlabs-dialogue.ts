/**
 * The dialogue socket of ElevenLabs, the only one that speaks v3 and v4 models (TTS provider protocol
 * reference, section 6.4). An utterance is one turn of one speaker.
 */
import {
  type ElevenLabsConfig,
  type ElevenLabsSocket,
  keepAliveMs,
  readElevenLabs,
} from './elevenlabs-socket.ts';

/** The v3 and v4 families, which `stream-input` refuses. */
export function isDialogueModel(modelId: string): boolean {
  return /^eleven_v[34](?:_|$)/.test(modelId);
}

export function dialogueSocket(config: ElevenLabsConfig): ElevenLabsSocket {
  return {
    url: dialogueUrl(config),
    finalMessage: 'is_final',
    converse: () => ({
      // Voices are only named in the first message, which holds nothing else.
      opening: [JSON.stringify({ voices: [config.voice] })],
      say: (text) => [
        JSON.stringify({ inputs: [{ text, voice_id: config.voice, new_turn: false }] }),
        // The service holds back less than about 40 characters.
        JSON.stringify({ flush: true }),
      ],
      keepAlive: { afterMs: keepAliveMs, message: JSON.stringify({ keep_alive: true }) },
      end: () => [JSON.stringify({ close_socket: true })],
      read: readElevenLabs,
    }),
  };
}

/** Beside the base address of the voices; an address of another shape is taken as the base itself. */
function dialogueUrl({ url: base, modelId }: ElevenLabsConfig): URL {
  const url = new URL(base);
  const path = url.pathname.replace(/\/+$/, '').replace(/\/text-to-speech$/, '/text-to-dialogue');
  url.pathname = `${path}/stream-input`;
  url.searchParams.set('model_id', modelId);
  url.searchParams.set('output_format', 'pcm_16000');
  url.searchParams.set('sync_alignment', 'true');
  return url;
}
