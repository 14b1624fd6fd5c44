import { type AudioFormat, encodeClip } from './audio-format.ts';
import type { ClipWindow } from './delivery.ts';
import { encodedSchedule, heldBack, scheduleDelivery } from './delivery-schedule.ts';
import { alignClip, secondsAlignment } from './elevenlabs-alignment.ts';
import {
  decoded,
  defaultSpeechModel,
  detail,
  elevenLabsModels,
  jsonObject,
  type OutputFormat,
  offeredKey,
  outputFormat,
} from './elevenlabs-protocol.ts';
import { FieldCheck, type FieldIssue, type Fields, withoutNulls } from './field-check.ts';
import { sendSpeech } from './http-speech.ts';
import { chunkedFaults } from './planted-fault.ts';
import { type Exchange, type ProviderServer, replyJson } from './provider-server.ts';
import { renderClip, spokenSpan, wavHeader } from './rendered-clip.ts';
import { strikeAnswer } from './wordless-faults.ts';

const speechPath = /^\/v1\/text-to-speech\/([^/]+)(\/stream)?(\/with-timestamps)?$/;
/** Stated in every answer, not enforced: what a Creator plan has for the flash models (section 6.7). */
const concurrentMax = 10;
/** Section 2.2; the file size is not known and taken to count 36 more, as it should. */
const placeholder = { data: 0x7fff_ffff, riff: 0x8000_0023 };

const contentTypes: Readonly<Record<AudioFormat['codec'], string>> = {
  pcm: 'audio/pcm',
  mp3: 'audio/mpeg',
  opus: 'audio/opus',
  ulaw: 'audio/basic',
  alaw: 'audio/x-alaw-basic',
  aac: 'audio/aac',
  flac: 'audio/flac',
};

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
    this.#server.expose(exchange.entry, chunkedFaults);
    if (strikeAnswer(this.#server, exchange)) return;
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
    const planted = server.strike(entry, 'answer');
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
    const format = outputFormat(server, url, stream === undefined ? 'http' : 'http-stream');
    const issues: Pick<FieldIssue, 'loc' | 'msg' | 'type'>[] =
      fields === undefined
        ? [{ loc: ['body', '0'], msg: 'JSON decode error', type: 'json_invalid' }]
        : [...bodyIssues(fields)];
    if ('known' in format && !format.known) {
      issues.push({ loc: ['query', 'output_format'], msg: format.message, type: 'enum' });
    }
    if (fields === undefined || issues.length > 0) {
      entry.error = 'validation';
      const shown = issues.map(({ loc, msg, type }) => ({ loc, msg, type }));
      replyJson(exchange, 422, { detail: shown }, this.#headers(exchange, 0));
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
    if (planted === 'too-long' || characters > limit) {
      const told = Math.max(characters, limit + 1);
      const message = `${told} characters exceed the limit of ${limit} for ${model}.`;
      return refuse(400, 'max_character_limit_exceeded', message);
    }
    const streamed = stream !== undefined;
    return { text, voice, format, characters, streamed, timed: timestamps !== undefined };
  }

  #speak(exchange: Exchange, request: SpeechRequest): void {
    const { response, entry, random } = exchange;
    const { profile, options } = this.#server;
    const { text, voice, format, characters, streamed, timed } = request;
    const { container, audio: encoding } = format;
    const { rateHz } = encoding;
    const pcm = renderClip(options.voice, text, voice, rateHz, profile);
    const clip = encodeClip(this.#server, pcm, encoding);
    const drawn = scheduleDelivery(pcm.length, rateHz, profile, random.fork('delivery'));
    const encoded = encodedSchedule(drawn, pcm.length, clip.length);
    const header =
      container === 'wav' ? wavHeader(rateHz, placeholder.riff, placeholder.data) : Buffer.alloc(0);
    const alignment = alignClip(text, spokenSpan(pcm, rateHz, profile, voice));
    const aligned = (window: ClipWindow): object => ({
      alignment: secondsAlignment(alignment.sent, window),
      normalized_alignment: secondsAlignment(alignment.normalized, window),
    });
    const lines = (audio: Buffer, window: ClipWindow): string => {
      const bytes = window.fromMs === 0 ? Buffer.concat([header, audio]) : audio;
      return `${JSON.stringify({ audio_base64: bytes.toString('base64'), ...aligned(window) })}\n`;
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
      bytesPerSecond: clip.length / (pcm.length / 2 / rateHz),
      schedule: streamed ? encoded : heldBack(encoded),
      originUs: entry.atUs,
      begin: () => {
        entry.status = 200;
        response.writeHead(200, {
          'content-type': timed ? 'application/json' : contentType(format),
          ...this.#headers(exchange, characters),
        });
        response.flushHeaders();
      },
      ...(!timed && { header }),
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

function contentType({ container, audio }: OutputFormat): string {
  if (container === 'wav') return 'audio/wav';
  return contentTypes[audio.codec];
}

/** What is wrong with a body (section 6.5); every field but `text` may be null. */
function bodyIssues(body: Fields): readonly FieldIssue[] {
  const fields = withoutNulls(body, ['text']);
  const check = new FieldCheck(fields);
  check.required('text');
  check.text('text', 'model_id', 'language_code', 'previous_text', 'next_text');
  const lists = ['previous_request_ids', 'next_request_ids', 'pronunciation_dictionary_locators'];
  check.list(3, ...lists);
  check.integer('seed', 0, 4_294_967_295);
  check.flag('use_pvc_as_ivc', 'apply_language_text_normalization');
  check.oneOf('apply_text_normalization', ['auto', 'on', 'off']);
  const settings = new FieldCheck(withoutNulls(check.dictionary('voice_settings')), [
    'body',
    'voice_settings',
  ]);
  settings.number('stability', 0, 1);
  settings.number('similarity_boost', 0, 1);
  settings.number('style', 0, 1);
  settings.number('speed', 0.7, 1.2);
  settings.flag('use_speaker_boost');
  return [...check.issues, ...settings.issues];
}
