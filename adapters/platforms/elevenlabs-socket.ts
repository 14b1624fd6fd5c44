/**
 * What both sockets of ElevenLabs have in common: configuration, refusals and what the service says, in
 * either spelling of its keys (TTS provider protocol reference, sections 6.2, 6.4, 6.5 and 6.10).
 */
import { type FailureTable, providerWords } from '../transport/provider-failure.ts';
import type { TimeLimitsMs } from '../transport/time-limit.ts';
import type {
  Alignment,
  ServerMessage,
  WebSocketSpeechPlatform,
} from '../transport/websocket-speech.ts';

export interface ElevenLabsConfig {
  /** Base of the voices, with or without a slash at its end. */
  readonly url: string;
  readonly token: string;
  readonly voice: string;
  readonly modelId: string;
  readonly languageCode?: string;
  readonly timeoutMs?: Partial<TimeLimitsMs>;
}

/** In what the two sockets differ. */
export type ElevenLabsSocket = Pick<WebSocketSpeechPlatform, 'url' | 'finalMessage' | 'converse'>;

/** Both close after 20 s without a message (sections 6.2, idle rule, and 6.4). */
export const keepAliveMs = 15_000;

export const elevenLabsFailures: FailureTable = {
  codes: {
    input_timeout_exceeded: 'timeout',
    invalid_input_message: 'bad-request',
    invalid_api_key: 'auth',
    missing_permissions: 'auth',
    authentication_required: 'auth',
    needs_authorization: 'auth',
    detected_unusual_activity: 'auth',
    'only_for_creator+': 'auth',
    quota_exceeded: 'quota',
    voice_not_found: 'bad-voice',
    invalid_voice_id: 'bad-voice',
    invalid_uid: 'bad-voice',
    max_character_limit_exceeded: 'too-long',
    max_active_conversations: 'rate-limit',
    too_many_concurrent_requests: 'rate-limit',
    system_busy: 'rate-limit',
    unsupported_model: 'bad-request',
    model_not_found: 'bad-request',
  },
  words: [
    [/\bapi[ _-]?key\b|\bauthori[sz]/i, 'auth'],
    [/\bquota\b|\bcredits?\b/i, 'quota'],
    [/\bvoice\b.*\b(?:not found|does not exist|invalid|unknown)\b/i, 'bad-voice'],
    [/\btext input within the timeout\b/i, 'timeout'],
    [/\btoo many\b|\bconcurrent\b/i, 'rate-limit'],
  ],
  hints: {
    auth: 'Check "token" and what it may do.',
    quota: 'Check the credits of the account; this service reports a quota as 401.',
    'bad-voice': 'Check "voice": it is the id of a voice, not its name.',
    'rate-limit': 'The plan limits how many answers are spoken at once.',
    'bad-request':
      'Check "model_id": names that begin with eleven_v3 or eleven_v4 use the dialogue socket, all others stream-input.',
  },
};

/** Every field may be missing or null; the dialogue socket writes its keys in snake case. */
interface ElevenLabsMessage {
  readonly audio?: unknown;
  readonly isFinal?: unknown;
  readonly is_final?: unknown;
  readonly alignment?: unknown;
  readonly error?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
}

/** `is_final_audio_for_turn` is no end: more text may follow until `is_final` (section 6.4). */
export function readElevenLabs(data: Buffer, binary: boolean): ServerMessage | undefined {
  const text = data.toString('utf8');
  const message = binary ? undefined : parse(text);
  if (message === undefined) return undefined;
  if (message.error) {
    const { code } = message;
    return {
      refusal: { ...providerWords(text), ...(typeof code === 'number' ? { status: code } : {}) },
    };
  }
  const audio = audioOf(message.audio);
  if (audio === 'not base64') return undefined;
  const alignment = alignmentOf(message.alignment);
  return {
    ...(audio === undefined ? {} : { audio }),
    ...(alignment === undefined ? {} : { alignment }),
    ...(typeof message.message === 'string' ? { remark: providerWords(text) } : {}),
    final: message.isFinal === true || message.is_final === true,
  };
}

function parse(text: string): ElevenLabsMessage | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function audioOf(audio: unknown): Uint8Array | 'not base64' | undefined {
  if (audio === undefined || audio === null || audio === '') return undefined;
  if (typeof audio !== 'string' || !/^[\w+/-]*={0,2}$/.test(audio)) return 'not base64';
  return Buffer.from(audio, 'base64');
}

/** Undefined when it is missing or not of one length: the audio counts without it. */
function alignmentOf(value: unknown): Alignment | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const {
    chars,
    characters = chars,
    charStartTimesMs,
    char_start_times_ms,
  } = value as {
    chars?: unknown;
    characters?: unknown;
    charStartTimesMs?: unknown;
    char_start_times_ms?: unknown;
  };
  const starts = charStartTimesMs ?? char_start_times_ms;
  if (!Array.isArray(characters) || !Array.isArray(starts)) return undefined;
  if (characters.length === 0 || characters.length !== starts.length) return undefined;
  if (!characters.every((character) => typeof character === 'string')) return undefined;
  if (!starts.every((start) => Number.isFinite(start) && start >= 0)) return undefined;
  return { characters, startsMs: starts };
}
