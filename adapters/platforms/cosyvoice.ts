/**
 * Alibaba CosyVoice (DashScope, Model Studio): one task per utterance over a WebSocket that may serve
 * the next one, text in and audio out while both become known (TTS provider protocol reference,
 * sections 3.2, 3.3, 9).
 */
import type { Platform } from '../platform.ts';
import type { AdapterDeps, SpeechAdapter, SpeechCapabilities } from '../speech-adapter.ts';
import type { FailureTable, ProviderWords } from '../transport/provider-failure.ts';
import { defaultTimeLimitsMs, noTimeLimits, type TimeLimitsMs } from '../transport/time-limit.ts';
import {
  openWebSocketSpeech,
  type ServerMessage,
  type WebSocketDialect,
} from '../transport/websocket-speech.ts';

export interface CosyVoiceConfig {
  readonly url: string;
  readonly token: string;
  readonly model: string;
  /** Voice of the model's own generation; others are refused as 418. */
  readonly speaker: string;
  readonly timeoutMs?: Partial<TimeLimitsMs>;
}

const rateHz = 16_000;
/** The service closes a socket after 60 s between tasks (section 9.4); a second is for the way. */
const reuseIdleMs = 59_000;
/** Section 9.4. */
const pieceCharactersMax = 20_000;
const taskCharactersMax = 200_000;

/** Codes and words of `task-failed`, whatever the task. */
export const dashScopeFailures: FailureTable = {
  codes: {
    InvalidApiKey: 'auth',
    AccessDenied: 'auth',
    Arrearage: 'quota',
    DataInspectionFailed: 'bad-request',
  },
  words: [
    [/\brequest timeout after\b/i, 'timeout'],
    [/\bengine return error code: (?:418|431)\b/i, 'bad-voice'],
    [/\bvoice is invalid\b/i, 'bad-voice'],
    [/\brate limit exceeded\b/i, 'rate-limit'],
    [/\bapi[ _-]?key\b/i, 'auth'],
  ],
  codeFamilies: [
    [/^Throttling\b/, 'rate-limit'],
    [/\bAccessDenied$/, 'auth'],
    [/^(?:Invalid|CLIENT_ERROR$|ModelNot)/, 'bad-request'],
  ],
  hints: {
    auth: 'Check "token", and that it belongs to the region of "url".',
    quota: 'Check the balance of the account.',
    'bad-voice':
      'Check "speaker" and "version" (or "model"): voice and model must be of the same generation.',
    'rate-limit': 'The account limits how many tasks are started per second.',
    timeout:
      'The service ends a task after 23 s without text and audio, and nothing but text keeps it alive.',
  },
};

function capabilities({ model }: CosyVoiceConfig): SpeechCapabilities {
  return {
    textIn: 'pieces',
    audioOut: 'chunks',
    connectionReuse: true,
    // Only the typed events of newer models say where a sentence begins (section 9.3).
    marks: !/^cosyvoice-v1\b/.test(model),
    charactersMax: taskCharactersMax,
  };
}

export const cosyVoiceAdapter: SpeechAdapter<CosyVoiceConfig> = {
  platform: 'cosyvoice',
  capabilities,
  open: (config, deps) =>
    openWebSocketSpeech(
      {
        platform: 'cosyvoice',
        url: new URL(config.url),
        capabilities: capabilities(config),
        headers: {
          authorization: `Bearer ${config.token}`,
          'x-dashscope-datainspection': 'enable',
        },
        secrets: [config.token],
        timeoutMs: { ...defaultTimeLimitsMs, ...config.timeoutMs },
        failures: dashScopeFailures,
        rateHz,
        finalMessage: 'task-finished',
        pieceCharactersMax,
        silentClose: 'empty',
        // Audio carries no task id, so nothing at all may come between two tasks.
        reuse: { idleMs: reuseIdleMs },
        converse: () => task(config, deps),
      },
      deps,
    ),
};

/**
 * One task. The service speaks what it has as soon as a sentence is complete (section 9.4), so a
 * piece needs nothing behind it.
 */
function task(config: CosyVoiceConfig, deps: AdapterDeps): WebSocketDialect {
  const taskId = uuid(deps.randomBytes(16));
  const message = (action: 'run-task' | 'continue-task' | 'finish-task', payload: object): string =>
    JSON.stringify({ header: { action, task_id: taskId, streaming: 'duplex' }, payload });
  return {
    opening: [
      message('run-task', {
        task_group: 'audio',
        task: 'tts',
        function: 'SpeechSynthesizer',
        model: config.model,
        parameters: {
          text_type: 'PlainText',
          voice: config.speaker,
          format: 'pcm',
          sample_rate: rateHz,
        },
        input: {},
      }),
    ],
    awaitsAcceptance: true,
    say: (text) => [message('continue-task', { input: { text } })],
    end: () => [message('finish-task', { input: {} })],
    read: (data, binary) => (binary ? { audio: data } : readEvent(data.toString('utf8'), taskId)),
  };
}

function readEvent(text: string, taskId: string): ServerMessage | undefined {
  const { header, payload } = membersOf(text);
  if (header === undefined) return undefined;
  if (header.task_id !== undefined && header.task_id !== taskId) return {};
  const counted = usageOf(payload);
  switch (header.event) {
    case 'task-started': {
      const id = header.attributes?.request_uuid;
      return { accepted: { requestId: typeof id === 'string' ? id : taskId } };
    }
    // The service closes, and the socket must not be used again (section 9.4).
    case 'task-failed':
      return { refusal: wordsOf(header) };
    case 'task-finished':
      return { final: true, ...counted };
    // Other events time the words, or are new: neither carries audio (section 9.3).
    default:
      return { ...counted, ...sentenceBegin(payload) };
  }
}

/** Comes in front of the sentence's first audio. */
function sentenceBegin(payload: Payload | undefined): Pick<ServerMessage, 'alignment'> {
  const { type, original_text: text } = payload?.output ?? {};
  if (type !== 'sentence-begin' || typeof text !== 'string') return {};
  return { alignment: { characters: [text], startsMs: [0] } };
}

/** Cumulative within the task (section 9.3). */
function usageOf(payload: Payload | undefined): Pick<ServerMessage, 'usage'> {
  const characters = payload?.usage?.characters;
  return Number.isSafeInteger(characters)
    ? { usage: { billedCharacters: Number(characters) } }
    : {};
}

function wordsOf({ error_code: code, error_message: message }: Header): ProviderWords {
  return {
    message: typeof message === 'string' ? message : '',
    ...(typeof code === 'string' ? { code } : {}),
  };
}

interface Header {
  readonly event?: unknown;
  readonly task_id?: unknown;
  readonly attributes?: { readonly request_uuid?: unknown } | null;
  readonly error_code?: unknown;
  readonly error_message?: unknown;
}

interface Payload {
  readonly usage?: { readonly characters?: unknown } | null;
  readonly output?: { readonly type?: unknown; readonly original_text?: unknown } | null;
}

function membersOf(text: string): { header?: Header | undefined; payload?: Payload | undefined } {
  try {
    const { header, payload } = JSON.parse(text) as { header?: unknown; payload?: unknown };
    return { header: objectOf<Header>(header), payload: objectOf<Payload>(payload) };
  } catch {
    return {};
  }
}

/** Sound where every member of `T` is optional and unknown or guarded. */
function objectOf<T extends object>(value: unknown): T | undefined {
  return typeof value === 'object' && value !== null ? (value as T) : undefined;
}

/** RFC 9562, version 4. */
function uuid(random: Uint8Array): string {
  const bytes = Buffer.from(random);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** A stock voice of the model's generation (section 9.6). */
function defaultSpeaker(model: string): string {
  if (/^cosyvoice-v1\b/.test(model)) return 'longwan';
  return /^cosyvoice-v2\b/.test(model) ? 'longwan_v2' : 'longanyang';
}

export const cosyVoice: Platform<CosyVoiceConfig> = {
  names: ['cosyvoice', 'CosyVoice'],
  keys: {
    token: {
      kind: 'text',
      about: 'API key.',
      required: true,
      secret: true,
      environment: ['DASHSCOPE_API_KEY'],
    },
    url: {
      kind: 'url',
      about: 'Address of the inference WebSocket; one per region.',
      default: 'wss://dashscope.aliyuncs.com/api-ws/v1/inference',
      schemes: ['wss', 'ws'],
    },
    speaker: { kind: 'text', about: 'Voice; must belong to the model.' },
    version: {
      kind: 'text',
      about: 'Generation of the model.',
      default: 'V2',
      choices: ['V1', 'V2'],
    },
    model: { kind: 'text', about: 'Model by name, for newer ones; goes before "version".' },
  },
  configFrom: ({ url, token, speaker, version, model: named }) => {
    const model = named || `cosyvoice-${version === 'V1' ? 'v1' : 'v2'}`;
    return { url: url!, token: token!, model, speaker: speaker || defaultSpeaker(model) };
  },
  adapter: cosyVoiceAdapter,
  echoKit: {
    configure: (config) => ({ ...config, timeoutMs: noTimeLimits }),
    tries: () => ({ count: 2 }),
  },
};
