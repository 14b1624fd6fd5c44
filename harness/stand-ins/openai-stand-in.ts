import { scheduleDelivery } from './delivery-schedule.ts';
import { sendSpeech } from './http-speech.ts';
import { answerOpenAi, openAiHeaders, refuseOpenAi, refusePlanted } from './openai-answers.ts';
import { type Exchange, ProviderServer } from './provider-server.ts';
import { renderClip, wavHeader } from './rendered-clip.ts';
import type { StandIn, StandInOptions } from './stand-in-contract.ts';
import { offersVoice } from './voice-name.ts';

/**
 * OpenAI's `POST /v1/audio/speech` and the model list (TTS provider protocol reference, section 4).
 * Renders `wav` and `pcm`, plain or as server-sent events.
 */
export function createOpenAiStandIn(options: StandInOptions): StandIn {
  return new ProviderServer(options, 'openai-mini', (server) => ({
    isCounted: (method, path) => method === 'POST' && path === speechPath,
    answer: (exchange) => answer(server, exchange),
  }));
}

const speechPath = '/v1/audio/speech';
const rateHz = 24_000;
const unknownSize = 0xffff_ffff;
const inputCharactersMax = 4096;

const newModels = ['gpt-4o-mini-tts', 'gpt-4o-mini-tts-2025-12-15'];
const models = ['tts-1', 'tts-1-hd', ...newModels];
/** In the order in which the service lists them in its own messages. */
const oldVoices = ['nova', 'shimmer', 'echo', 'onyx', 'fable', 'alloy', 'ash', 'sage', 'coral'];
const voices = [...oldVoices, 'ballad', 'verse', 'marin', 'cedar'];
const formats = ['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm'];

function answer(server: ProviderServer, exchange: Exchange): void {
  const routes = new Map([[speechPath, () => speak(server, exchange)]]);
  answerOpenAi(server, exchange, { routes, models });
}

function speak(server: ProviderServer, exchange: Exchange): void {
  const { entry } = exchange;
  if (refusePlanted(server, exchange)) return;
  const planted = server.strike(entry, 'bad-voice');
  const request = parse(exchange, planted === 'bad-voice');
  if (request === undefined) return;

  sendClip(server, exchange, request, (processingMs) => openAiHeaders(exchange, processingMs));
}

/**
 * Answers with the spoken text at 24 kHz: raw, as WAV with placeholder sizes, or either in
 * server-sent events. `headers` go beside the content type.
 */
export function sendClip(
  server: ProviderServer,
  exchange: Exchange,
  request: SpeechRequest,
  headers: (processingMs: number) => Record<string, string>,
): void {
  const { response, entry, random } = exchange;
  const { profile, options } = server;
  const clip = renderClip(options.voice, request.input, request.voice, rateHz, profile);
  const schedule = scheduleDelivery(clip.length, rateHz, profile, random.fork('delivery'));
  const events = request.streamFormat === 'sse';
  const isWav = request.format === 'wav';
  const header = isWav ? wavHeader(rateHz, unknownSize, unknownSize) : Buffer.alloc(0);
  const event = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;
  const delta = (audio: Buffer): string =>
    event({ type: 'speech.audio.delta', audio: audio.toString('base64') });
  sendSpeech(server, exchange, {
    clip,
    rateHz,
    schedule,
    originUs: entry.atUs,
    begin: () => {
      entry.status = 200;
      response.writeHead(200, {
        'content-type': events ? 'text/event-stream' : isWav ? 'audio/wav' : 'audio/pcm',
        ...headers(Math.round(schedule.firstByteUs / 1000)),
      });
      response.flushHeaders();
      if (header.length > 0) response.write(events ? delta(header) : header);
    },
    ...(events && { frame: delta, trailer: () => event(done(request.input, clip.length)) }),
  });
}

/** Token counts are plausible, not the real tokenizer's. */
function done(input: string, clipBytes: number): object {
  const inputTokens = Math.ceil(input.length / 4);
  const outputTokens = Math.ceil((clipBytes / 2 / rateHz) * 20);
  return {
    type: 'speech.audio.done',
    usage: {
      input_tokens: inputTokens,
      output_tokens: outputTokens,
      total_tokens: inputTokens + outputTokens,
    },
  };
}

export interface RawRequest {
  readonly model?: unknown;
  readonly input?: unknown;
  readonly voice?: unknown;
  readonly instructions?: unknown;
  readonly response_format?: unknown;
  readonly speed?: unknown;
  readonly stream_format?: unknown;
}

export interface SpeechRequest {
  readonly input: string;
  readonly voice: string;
  /** `wav` or `pcm`. */
  readonly format: string;
  /** `audio` or `sse`. */
  readonly streamFormat: string;
}

/** The fields of the body; `undefined` when it is no JSON object. */
export function jsonFields(exchange: Exchange): RawRequest | undefined {
  try {
    const body: unknown = JSON.parse(exchange.body.toString());
    return typeof body === 'object' && body !== null && !Array.isArray(body) ? body : undefined;
  } catch {
    return undefined;
  }
}

/** The request, or `undefined` after it has been refused. */
function parse(exchange: Exchange, refuseVoice: boolean): SpeechRequest | undefined {
  const problem = (message: string, code: string | null = null, status = 400): undefined =>
    refuseOpenAi(exchange, status, { message, type: 'invalid_request_error', code });
  const fields = jsonFields(exchange);
  if (fields === undefined) return problem('We could not parse the JSON body of your request.');
  const model = fields.model;
  if (typeof model === 'string' && !models.includes(model)) {
    const message = `The model \`${model}\` does not exist or you do not have access to it.`;
    return problem(message, 'model_not_found', 404);
  }
  const known = newModels.includes(String(model)) ? voices : oldVoices;
  const issues = validate(fields, known, refuseVoice);
  if (issues.length > 0) return problem(pythonLiteral(issues));

  const format = (fields.response_format ?? 'mp3') as string;
  if (format !== 'wav' && format !== 'pcm') {
    return problem(
      `This stand-in renders wav and pcm only, and "${format}" was asked for` +
        `${fields.response_format === undefined ? ' (the default of the API)' : ''}. ` +
        'Set response_format to "wav" or "pcm".',
      'stand_in_format',
    );
  }
  const streamFormat = (fields.stream_format ?? 'audio') as string;
  if (streamFormat === 'sse' && !newModels.includes(String(model))) {
    return problem(`stream_format "sse" is not supported for ${model}.`, 'unsupported_value');
  }
  const { voice } = fields;
  const voiceName = typeof voice === 'string' ? voice : (voice as { id: string }).id;
  return { input: fields.input as string, voice: voiceName, format, streamFormat };
}

type Issue = Readonly<Record<string, unknown>>;

function validate(
  fields: RawRequest,
  knownVoices: readonly string[],
  refuseVoice: boolean,
): Issue[] {
  const issues: Issue[] = [];
  const issue = (type: string, name: string, msg: string, input: unknown): void => {
    issues.push({ type, loc: new PythonTuple('body', name), msg, input });
  };
  const oneOf = (name: keyof RawRequest, values: readonly string[]): void => {
    const value = fields[name];
    if (value === undefined || (typeof value === 'string' && values.includes(value))) return;
    issue('enum', name, `Input should be ${enumeration(values)}`, value);
  };
  for (const name of ['model', 'input', 'voice'] as const) {
    if (fields[name] === undefined) issue('missing', name, 'Field required', fields);
  }
  for (const name of ['model', 'input', 'instructions'] as const) {
    const value = fields[name];
    if (value !== undefined && typeof value !== 'string') {
      issue('string_type', name, 'Input should be a valid string', value);
    }
  }
  for (const name of ['input', 'instructions'] as const) {
    const value = fields[name];
    if (typeof value !== 'string' || [...value].length <= inputCharactersMax) continue;
    const message = `String should have at most ${inputCharactersMax} characters`;
    issue('string_too_long', name, message, value);
  }
  if (fields.input === '') {
    issue('string_too_short', 'input', 'String should have at least 1 character', '');
  }
  const { voice } = fields;
  const custom =
    typeof voice === 'object' && voice !== null && typeof Object(voice).id === 'string';
  if (refuseVoice) {
    const others = knownVoices.filter((name) => name !== voice);
    oneOf('voice', others);
  } else if (!custom && !offersVoice(knownVoices, String(voice))) {
    oneOf('voice', knownVoices);
  }
  oneOf('response_format', formats);
  oneOf('stream_format', ['audio', 'sse']);
  const { speed } = fields;
  if (speed !== undefined && typeof speed !== 'number') {
    issue('float_type', 'speed', 'Input should be a valid number', speed);
  } else if (speed !== undefined && speed < 0.25) {
    issue('greater_than_equal', 'speed', 'Input should be greater than or equal to 0.25', speed);
  } else if (speed !== undefined && speed > 4) {
    issue('less_than_equal', 'speed', 'Input should be less than or equal to 4', speed);
  }
  for (const [name, value] of Object.entries(fields)) {
    if (knownFields.has(name)) continue;
    issue('extra_forbidden', name, 'Extra inputs are not permitted', value);
  }
  return issues;
}

const knownFields = new Set(
  'model input voice instructions response_format speed stream_format'.split(' '),
);

function enumeration(values: readonly string[]): string {
  const quoted = values.map((value) => `'${value}'`);
  return `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
}

class PythonTuple {
  readonly items: readonly unknown[];
  constructor(...items: unknown[]) {
    this.items = items;
  }
}

/** The service shows its validation errors as the text of a Python list (reference, 4.5). */
function pythonLiteral(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'string') {
    const escaped = value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
    if (escaped.includes("'") && !escaped.includes('"')) return `"${escaped}"`;
    return `'${escaped.replaceAll("'", "\\'")}'`;
  }
  if (value instanceof PythonTuple) return `(${value.items.map(pythonLiteral).join(', ')})`;
  if (Array.isArray(value)) return `[${value.map(pythonLiteral).join(', ')}]`;
  if (typeof value === 'object') {
    const pairs = Object.entries(value).map(
      ([name, item]) => `${pythonLiteral(name)}: ${pythonLiteral(item)}`,
    );
    return `{${pairs.join(', ')}}`;
  }
  return String(value);
}
