/**
 * The live socket of Fish Audio: binary frames, each one MessagePack map (TTS provider protocol
 * reference, sections 7.3, 7.5, 7.8).
 */
import { packMap, unpackMap } from '../transport/message-pack.ts';
import type { WebSocketReuse } from '../transport/websocket-connections.ts';
import type { ServerMessage, WebSocketDialect } from '../transport/websocket-speech.ts';

/**
 * After `finish` the documented service closes, others wait for another `start`. A socket that is still
 * open after half a second is of the second kind. No idle limit of theirs is known, so it is the one
 * of idle HTTP connections.
 */
export const fishLiveReuse: WebSocketReuse = {
  idleMs: 30_000,
  settleMs: 500,
  // A second `finish`, `log` or what is new; audio carries no id of its utterance.
  harmless: (data, binary) => {
    const event = binary ? unpackMap(data)?.['event'] : undefined;
    return typeof event === 'string' && event !== 'audio';
  },
};

/**
 * One utterance: from `start` to `finish`.
 *
 * @param request parameters of the synthesis, in the order in which they are sent behind the text
 */
export function fishLiveDialect(
  request: Readonly<Record<string, unknown>>,
  reused: boolean,
): WebSocketDialect {
  let stopSent = false;
  return {
    opening: [packMap({ event: 'start', request: { text: '', ...request } })],
    // Without `flush` the service holds the last text back.
    say: (text) => [packMap({ event: 'text', text }), packMap({ event: 'flush' })],
    end: () => {
      stopSent = true;
      return [packMap({ event: 'stop' })];
    },
    read: (data, binary) => {
      const message = binary ? unpackMap(data) : undefined;
      if (message === undefined) return undefined;
      // `finish` only comes after `stop`: this is the last utterance's, sent once more.
      const repeated = message['event'] === 'finish' && reused && !stopSent;
      return repeated && message['reason'] !== 'error' ? {} : readEvent(message);
    },
  };
}

function readEvent(message: Readonly<Record<string, unknown>>): ServerMessage | undefined {
  switch (message['event']) {
    case 'audio':
      return readAudio(message['audio']);
    case 'finish':
      return readFinish(message['reason'], message['message']);
    // `log` and events that are new.
    default:
      return {};
  }
}

function readAudio(audio: unknown): ServerMessage | undefined {
  if (audio === undefined || audio === null || audio === '') return {};
  return audio instanceof Uint8Array ? { audio } : undefined;
}

function readFinish(reason: unknown, message: unknown): ServerMessage {
  if (reason === undefined || reason === null || reason === 'stop') return { final: true };
  const words = typeof message === 'string' ? message : '';
  return { refusal: { message: words, ...(typeof reason === 'string' ? { code: reason } : {}) } };
}
