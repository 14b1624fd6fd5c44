/**
 * Fish Audio: `POST /v1/tts` as EchoKit sends it, the same delivered while it is made, and the live
 * socket (TTS provider protocol reference, sections 3.2 and 7).
 */
import type { SpeechSource } from '../audio/speech-normalizer.ts';
import { echoKitBlockSamples, type Platform } from '../platform.ts';
import type { AdapterDeps, SpeechAdapter, SpeechCapabilities } from '../speech-adapter.ts';
import { openHttpSpeech } from '../transport/http-speech.ts';
import { packMap } from '../transport/message-pack.ts';
import type { FailureTable } from '../transport/provider-failure.ts';
import { defaultTimeLimitsMs, noTimeLimits, type TimeLimitsMs } from '../transport/time-limit.ts';
import { openWebSocketSpeech } from '../transport/websocket-speech.ts';
import { fishLiveDialect, fishLiveReuse } from './fish-live.ts';

export interface FishConfig {
  /** Of the HTTP endpoint or of the live socket; each follows from the other. */
  readonly url: string;
  /** Sent as bearer token. */
  readonly apiKey: string;
  /** Id of a voice. */
  readonly speaker: string;
  /** Sent as a header; the service takes a model of its own choice for one that it does not know. */
  readonly model: string;
  /**
   * `pcm`: raw audio over HTTP, delivered while it arrives. `live`: text goes in piece by piece over a
   * WebSocket, which a `ws:` or `wss:` URL means as well. Absent: a WAV, read to its end first.
   */
  readonly stream?: 'pcm' | 'live';
  /** Of the body of an HTTP request; absent: MessagePack. */
  readonly encoding?: 'msgpack' | 'json';
  /** Absent: `normal` for a WAV, as EchoKit asks for it, else `balanced`. */
  readonly latency?: 'low' | 'normal' | 'balanced';
  readonly timeoutMs?: Partial<TimeLimitsMs>;
}

/** One of the rates that the service offers (section 7.2), so nothing has to be converted. */
const rateHz = 16_000;
/** EchoKit's, and that of the official libraries; the service's own default is 300. */
const chunkLength = 200;
const echoKitModel = 's1';

/** Refusals carry words and a status; what the service calls a model is often a voice (section 7.4). */
const failures: FailureTable = {
  codes: {},
  words: [
    [
      /\b(?:reference|voice|speaker|model)\b.*\b(?:not found|not exist|unknown|invalid|no such)\b/i,
      'bad-voice',
    ],
    [/\b(?:unknown|invalid|no such) (?:reference|voice|speaker|model)\b/i, 'bad-voice'],
    [/\breference_id\b/i, 'bad-voice'],
    [/\binvalid token\b|\bapi[ _-]?key\b|\bunauthori[sz]ed\b/i, 'auth'],
    [/\b(?:insufficient|not enough|no) (?:api )?(?:credits?|balance|funds)\b|\bquota\b/i, 'quota'],
    [/\brate limit\b|\btoo many\b|\bconcurren/i, 'rate-limit'],
  ],
  hints: {
    auth: 'Check "api_key" and what it may do.',
    quota: 'Check the credit of the account.',
    'bad-voice': 'Check "speaker": it is the id of a voice, not its name.',
    'rate-limit': 'The account limits how many texts are spoken at once.',
    'bad-request': 'Check "speaker", "model" and "url".',
  },
};

export const fishAdapter: SpeechAdapter<FishConfig> = { platform: 'fish', capabilities, open };

function open(config: FishConfig, deps: AdapterDeps) {
  const platform = {
    platform: 'fish',
    capabilities: capabilities(config),
    headers: { Authorization: `Bearer ${config.apiKey}`, model: config.model },
    secrets: [config.apiKey],
    timeoutMs: { ...defaultTimeLimitsMs, ...config.timeoutMs },
    failures,
  };
  const whole = platform.capabilities.audioOut === 'whole';
  const { latency = whole ? 'normal' : 'balanced' } = config;
  const pcm = { format: 'pcm', sample_rate: rateHz, reference_id: config.speaker };
  if (isLive(config)) {
    const request = { ...pcm, latency, chunk_length: chunkLength, normalize: true };
    return openWebSocketSpeech(
      {
        ...platform,
        url: liveUrl(config.url),
        rateHz,
        finalMessage: 'finish',
        silentClose: 'truncated',
        reuse: fishLiveReuse,
        converse: ({ reused }) => fishLiveDialect(request, reused),
      },
      deps,
    );
  }
  const format = whole ? { format: 'wav', mp3_bitrate: 128, reference_id: config.speaker } : pcm;
  const source: SpeechSource = whole
    ? { container: 'wav' }
    : { container: 'pcm', rateHz, channels: 1 };
  return openHttpSpeech(
    {
      ...platform,
      url: new URL(config.url),
      body: (text) => ({ text, chunk_length: chunkLength, ...format, normalize: true, latency }),
      ...(config.encoding === 'json'
        ? {}
        : { encoding: { contentType: 'application/msgpack', encode: packMap } }),
      source: () => source,
    },
    deps,
  );
}

function capabilities(config: FishConfig): SpeechCapabilities {
  const live = isLive(config);
  return {
    textIn: live ? 'pieces' : 'whole',
    audioOut: live || config.stream === 'pcm' ? 'chunks' : 'whole',
    connectionReuse: true,
    marks: false,
  };
}

function isLive({ url, stream }: FishConfig): boolean {
  return stream === 'live' || /^wss?:/i.test(url);
}

/** `https://…/v1/tts` and `wss://…/v1/tts/live` are the same service. */
function liveUrl(given: string): URL {
  const url = new URL(given.replace(/^http/i, 'ws'));
  url.pathname = url.pathname.replace(/\/*$/, '').replace(/(?:\/live)?$/, '/live');
  return url;
}

export const fish: Platform<FishConfig> = {
  names: ['fish', 'Fish'],
  keys: {
    api_key: {
      kind: 'text',
      about: 'API key, sent as bearer token.',
      required: true,
      secret: true,
      environment: ['FISH_API_KEY'],
    },
    speaker: { kind: 'text', about: 'Id of a voice.', required: true },
    url: {
      kind: 'url',
      about: 'Speech endpoint; a WebSocket address means stream = "live".',
      default: 'https://api.fish.audio/v1/tts',
      schemes: ['https', 'http', 'wss', 'ws'],
    },
    model: { kind: 'text', about: 'Own key: model, sent as a header.', default: echoKitModel },
    stream: {
      kind: 'text',
      about:
        'Own key: "pcm" plays raw audio while it arrives, "live" streams text as well; absent, a WAV is read whole.',
      choices: ['pcm', 'live'],
    },
    encoding: {
      kind: 'text',
      about: 'Own key: "json" writes the request in JSON instead of MessagePack.',
      choices: ['msgpack', 'json'],
    },
    latency: {
      kind: 'text',
      about: 'Own key: "normal" for a WAV, else "balanced".',
      choices: ['low', 'normal', 'balanced'],
    },
  },
  configFrom: ({ url, api_key, speaker, model, stream, encoding, latency }) => ({
    url: url!,
    apiKey: api_key!,
    speaker: speaker!,
    model: model!,
    ...(stream === undefined ? {} : { stream: stream as 'pcm' | 'live' }),
    ...(encoding === undefined ? {} : { encoding: encoding as 'msgpack' | 'json' }),
    ...(latency === undefined ? {} : { latency: latency as 'low' | 'normal' | 'balanced' }),
  }),
  remarks: (config) => ({
    ...(isLive(config) && config.stream === 'pcm'
      ? { stream: 'has no effect: the address is that of a WebSocket, so it is "live"' }
      : {}),
    ...(isLive(config) && config.encoding !== undefined
      ? { encoding: 'has no effect: the live socket speaks MessagePack only' }
      : {}),
  }),
  adapter: fishAdapter,
  echoKit: {
    configure: ({ url, apiKey, speaker }) => ({
      url: url.replace(/^ws/i, 'http').replace(/\/live\/*$/, ''),
      apiKey,
      speaker,
      model: echoKitModel,
      timeoutMs: noTimeLimits,
    }),
    blockSamples: echoKitBlockSamples,
  },
};
