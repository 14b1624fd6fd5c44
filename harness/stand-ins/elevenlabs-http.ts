import { heldBack, scheduleDelivery } from './delivery-schedule.ts';
import { alignClip, secondsAlignment, type Window } from './elevenlabs-alignment.ts';
import {
  decoded,
  defaultFormat,
  defaultSpeechModel,
  detail,
  elevenLabsModels,
  jsonObject,
  type OutputFormat,
  offeredKey,
  outputFormat,
  queryValue,
} from './elevenlabs-protocol.ts';
import { sendSpeech } from './http-speech.ts';
import { type Exchange, type ProviderServer, replyJson } from './provider-server.ts';
import { renderClip, spokenSpan, wavHeader } from './rendered-clip.ts';

const speechPath = /^\/v1\/text-to-speech\/([^/]+)(\/stream)?(\/with-timestamps)?$/;
/** Stated in every answer, not enforced: what a Creator plan has for the flash models (section 6.7). */
const concurrentMax = 10;
/** Section 2.2; the file size is not known and taken to count 36 more, as it should. */
const placeholder = { data: 0x7fff_ffff, riff: 0x8000_0023 };

export function isHttpSpeech(method: string, path: string): boolean {
  return method === 'POST' && speechPath.test(path);
}

/**
 * Synthesis over HTTP (TTS provider protocol reference, section 6.5): the whole clip or streamed, as
 * audio or as JSON with the times of the characters.
 */
export class HttpSynthesis {
  readonly #server: ProviderServer;
  #concurrent = 0;

  constructor(server: ProviderServer) {
    this.#server = server;
  }

  answer(exchange: Exchange): void {
    this.#concurrent++;
    exchange.response.once('close', () => {
      this.#concurrent--;
    });
    const request = this.#read(exchange);
    if (request !== undefined) this.#speak(exchange, request);
  }

  /** The request, or `undefined` after it has been refused. */
  #read(exchange: Exchange): SpeechRequest | undefined {
    const { url, entry, incoming } = exchange;
    const server = this.#server;
    const refuse = (status: number, code: string, message: string): undefined => {
      entry.error = code;
      replyJson(exchange, status, detail(code, message), this.#headers(exchange, 0));
    };
    const [, part, stream, timestamps] = speechPath.exec(url.pathname) ?? [];
    const voice = decoded(part);
    if (voice === undefined) {
      entry.error = 'Not Found';
      replyJson(exchange, 404, { detail: 'Not Found' }, this.#headers(exchange, 0));
      return undefined;
    }
    const planted = server.strike(entry, 'auth', 'quota', 'rate-limit', 'bad-voice', 'server');
    if (planted === 'auth' || !server.accepts(offeredKey(incoming, url))) {
      return refuse(401, 'invalid_api_key', 'Invalid API key');
    }
    if (planted === 'quota') {
      return refuse(401, 'quota_exceeded', 'This request exceeds your quota.');
    }
    if (planted === 'rate-limit') {
      return refuse(429, 'too_many_concurrent_requests', 'Too many concurrent requests.');
    }
    if (planted === 'server') {
      return refuse(500, 'internal_server_error', 'An unexpected error occurred.');
    }
    const fields = jsonObject(exchange.body.toString());
    const name = queryValue(url, 'output_format') ?? defaultFormat;
    const format = outputFormat(name, 'http');
    const issues = [
      ...('known' in format && !format.known
        ? [issue('query', 'output_format', 'enum', format.message)]
        : []),
      ...bodyIssues(fields),
    ];
    if (fields === undefined || issues.length > 0) {
      entry.error = 'validation';
      replyJson(exchange, 422, { detail: issues }, this.#headers(exchange, 0));
      return undefined;
    }
    if ('message' in format) return refuse(400, 'stand_in_format', format.message);
    const text = fields['text'] as string;
    const model = (fields['model_id'] ?? defaultSpeechModel) as string;
    const limit = elevenLabsModels.get(model)?.charactersMax;
    const characters = [...text].length;
    if (limit === undefined) {
      return refuse(400, 'unsupported_model', `Model ${model} is not known.`);
    }
    if (planted === 'bad-voice' || voice.startsWith('unknown')) {
      return refuse(400, 'voice_not_found', `A voice with the id ${voice} was not found.`);
    }
    if (characters > limit) {
      const message = `${characters} characters exceed the limit of ${limit} for ${model}.`;
      return refuse(400, 'max_character_limit_exceeded', message);
    }
    const streamed = stream !== undefined;
    return { text, voice, format, characters, streamed, timed: timestamps !== undefined };
  }

  #speak(exchange: Exchange, request: SpeechRequest): void {
    const { response, entry, random } = exchange;
    const { profile, options } = this.#server;
    const { text, voice, format, characters, streamed, timed } = request;
    const { rateHz, container } = format;
    const clip = renderClip(options.voice, text, voice, rateHz, profile);
    const drawn = scheduleDelivery(clip.length, rateHz, profile, random.fork('delivery'));
    const schedule = streamed ? drawn : heldBack(drawn);
    const header =
      container === 'wav' ? wavHeader(rateHz, placeholder.riff, placeholder.data) : Buffer.alloc(0);
    const bytesPerMs = (rateHz * 2) / 1000;
    const alignment = alignClip(text, spokenSpan(clip, rateHz, profile, voice));
    const aligned = (window: Window): object => ({
      alignment: secondsAlignment(alignment.sent, window),
      normalized_alignment: secondsAlignment(alignment.normalized, window),
    });
    const lines = (audio: Buffer, offset: number): string => {
      const after = offset + audio.length;
      const toMs = after === clip.length ? Number.POSITIVE_INFINITY : after / bytesPerMs;
      const bytes = offset === 0 ? Buffer.concat([header, audio]) : audio;
      const times = aligned({ fromMs: offset / bytesPerMs, toMs });
      return `${JSON.stringify({ audio_base64: bytes.toString('base64'), ...times })}\n`;
    };
    // One document, written when the clip is complete.
    const pieces: Buffer[] = [header];
    const document = (): string => {
      const audio = Buffer.concat(pieces).toString('base64');
      const times = aligned({ fromMs: 0, toMs: Number.POSITIVE_INFINITY });
      return JSON.stringify({ audio_base64: audio, ...times });
    };
    sendSpeech(this.#server, exchange, {
      clip,
      bytesPerSecond: 2 * rateHz,
      schedule,
      originUs: entry.atUs,
      begin: () => {
        entry.status = 200;
        response.writeHead(200, {
          'content-type': timed
            ? 'application/json'
            : container === 'wav'
              ? 'audio/wav'
              : 'audio/pcm',
          ...this.#headers(exchange, characters),
        });
        response.flushHeaders();
        if (!timed && header.length > 0) response.write(header);
      },
      ...(timed && streamed && { frame: lines }),
      ...(timed &&
        !streamed && {
          frame: (audio: Buffer) => {
            pieces.push(audio);
            return '';
          },
          trailer: document,
        }),
    });
  }

  #headers(exchange: Exchange, characterCost: number): Record<string, string> {
    const { random } = exchange;
    return {
      server: 'uvicorn',
      'request-id': random.fork('request-id').uuid().replaceAll('-', ''),
      'x-trace-id': random.fork('trace-id').uuid().replaceAll('-', ''),
      'x-region': 'stand-in',
      'character-cost': String(characterCost),
      'current-concurrent-requests': String(this.#concurrent),
      'maximum-concurrent-requests': String(concurrentMax),
    };
  }
}

interface SpeechRequest {
  readonly text: string;
  readonly voice: string;
  readonly format: OutputFormat;
  readonly characters: number;
  readonly streamed: boolean;
  readonly timed: boolean;
}

interface Issue {
  readonly loc: readonly string[];
  readonly msg: string;
  readonly type: string;
}

function issue(where: 'body' | 'query', name: string, type: string, msg: string): Issue {
  return { loc: [where, name], msg, type };
}

type Check = (value: unknown) => readonly [type: string, msg: string] | undefined;

const text: Check = (value) =>
  typeof value === 'string' ? undefined : ['string_type', 'Input should be a valid string'];
const boolean: Check = (value) =>
  typeof value === 'boolean' ? undefined : ['bool_type', 'Input should be a valid boolean'];
const list =
  (max: number): Check =>
  (value) => {
    if (!Array.isArray(value)) return ['list_type', 'Input should be a valid list'];
    if (value.length <= max) return undefined;
    const message = `List should have at most ${max} items after validation, not ${value.length}`;
    return ['too_long', message];
  };
const dictionary: Check = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? undefined
    : ['model_attributes_type', 'Input should be a valid dictionary'];
const within =
  (minimum: number, maximum: number): Check =>
  (value) => {
    if (typeof value !== 'number') return ['float_type', 'Input should be a valid number'];
    if (value < minimum) {
      return ['greater_than_equal', `Input should be greater than or equal to ${minimum}`];
    }
    if (value > maximum) {
      return ['less_than_equal', `Input should be less than or equal to ${maximum}`];
    }
    return undefined;
  };
const integerWithin =
  (minimum: number, maximum: number): Check =>
  (value) =>
    typeof value === 'number' && !Number.isInteger(value)
      ? ['int_type', 'Input should be a valid integer']
      : within(minimum, maximum)(value);
const oneOf =
  (...values: string[]): Check =>
  (value) =>
    values.includes(value as string)
      ? undefined
      : ['enum', `Input should be ${values.map((name) => `'${name}'`).join(', ')}`];

/** Section 6.5; every field but `text` may be null. */
const bodyFields: Readonly<Record<string, Check>> = {
  text,
  model_id: text,
  language_code: text,
  voice_settings: dictionary,
  pronunciation_dictionary_locators: list(3),
  seed: integerWithin(0, 4_294_967_295),
  previous_text: text,
  next_text: text,
  previous_request_ids: list(3),
  next_request_ids: list(3),
  use_pvc_as_ivc: boolean,
  apply_text_normalization: oneOf('auto', 'on', 'off'),
  apply_language_text_normalization: boolean,
};
const settingFields: Readonly<Record<string, Check>> = {
  stability: within(0, 1),
  similarity_boost: within(0, 1),
  style: within(0, 1),
  speed: within(0.7, 1.2),
  use_speaker_boost: boolean,
};

function bodyIssues(fields: Readonly<Record<string, unknown>> | undefined): Issue[] {
  if (fields === undefined) return [issue('body', '0', 'json_invalid', 'JSON decode error')];
  const issues: Issue[] = [];
  for (const [name, check] of Object.entries(bodyFields)) {
    const value = fields[name];
    if (name === 'text' && value === undefined) {
      issues.push(issue('body', name, 'missing', 'Field required'));
    }
    if (value === undefined || (value === null && name !== 'text')) continue;
    const problem = check(value);
    if (problem !== undefined) issues.push(issue('body', name, ...problem));
  }
  const settings = fields['voice_settings'];
  if (dictionary(settings) === undefined) {
    for (const [name, check] of Object.entries(settingFields)) {
      const value = (settings as Record<string, unknown>)[name];
      if (value === undefined || value === null) continue;
      const problem = check(value);
      if (problem === undefined) continue;
      const [type, msg] = problem;
      issues.push({ loc: ['body', 'voice_settings', name], msg, type });
    }
  }
  return issues;
}
