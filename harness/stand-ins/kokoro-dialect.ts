import { FieldCheck, type Fields } from './field-check.ts';
import {
  audioTypes,
  formatObstacle,
  formatObstacleCode,
  jsonFields,
  type PlantedRefusal,
  type SpeechDialect,
  type SpeechFormat,
  type SpeechRequest,
  speechFormats,
} from './openai-compatible.ts';
import { type Exchange, type ProviderServer, replyJson } from './provider-server.ts';
import { offersVoice } from './voice-name.ts';
import { replyAsGateway } from './wordless-faults.ts';

const speechPath = '/v1/audio/speech';
const models = ['kokoro', 'tts-1', 'tts-1-hd'];
const defaultVoice = 'af_heart';
/** American and British, female and male. */
const namesByKind = {
  af: 'alloy aoede bella heart jessica kore nicole nova river sarah sky',
  am: 'adam echo eric fenrir liam michael onyx puck',
  bf: 'alice emma isabella lily',
  bm: 'daniel fable george lewis',
};
const voices = Object.entries(namesByKind).flatMap(([kind, names]) =>
  names.split(' ').map((name) => `${kind}_${name}`),
);
/** OpenAI's names, which the server maps to voices of its own. */
const aliases = ['alloy', 'ash', 'coral', 'echo', 'fable', 'nova', 'onyx', 'sage', 'shimmer'];

/**
 * Kokoro-FastAPI (TTS provider protocol reference, section 5.3): no keys, mixed voices, errors as
 * FastAPI words them, and a switch for answers that are finished first.
 */
export const kokoroDialect: SpeechDialect = {
  speechPath,
  answer,
  refusePlanted,
  read,
  deliveryOf,
  contentType: (format) => audioTypes[format],
  headers: (_exchange, { request }) => ({
    'content-disposition': `attachment; filename=speech.${request.format}`,
    'x-accel-buffering': 'no',
    'cache-control': 'no-cache',
  }),
};

function answer(server: ProviderServer, exchange: Exchange, speak: () => void): void {
  const { url, entry } = exchange;
  // The server has no keys; the refusal is that of a proxy before it.
  if (server.strike(entry, 'answer', 'auth') !== undefined) {
    fail(exchange, 401, 'Unauthorized');
    return;
  }
  const lists: ReadonlyMap<string, object> = new Map([
    ['/v1/audio/voices', { voices: voices }],
    ['/v1/models', { object: 'list', data: models.map((id) => ({ id, object: 'model' })) }],
    ['/health', { status: 'healthy' }],
  ]);
  const list = lists.get(url.pathname);
  if (url.pathname === speechPath) {
    if (entry.method === 'POST') speak();
    else fail(exchange, 405, 'Method Not Allowed', { allow: 'POST' });
  } else if (list !== undefined) {
    const reads = entry.method === 'GET' || entry.method === 'HEAD';
    if (reads) replyJson(exchange, 200, list);
    else fail(exchange, 405, 'Method Not Allowed', { allow: 'GET' });
  } else {
    fail(exchange, 404, 'Not Found');
  }
}

function refusePlanted(server: ProviderServer, exchange: Exchange): boolean {
  const struck = server.strike(exchange.entry, 'answer', 'quota', 'rate-limit', 'server');
  // The first two are a proxy's: the server counts nothing.
  if (struck === 'quota') fail(exchange, 402, 'Payment Required');
  else if (struck === 'rate-limit') {
    fail(exchange, 429, 'Too Many Requests', { 'retry-after': '1' });
  } else if (struck === 'server') {
    failWith(exchange, 500, 'processing_error', 'Failed to generate audio.', 'server_error');
  }
  return struck !== undefined;
}

function read(
  server: ProviderServer,
  exchange: Exchange,
  planted: PlantedRefusal | undefined,
): SpeechRequest | undefined {
  const fields = jsonFields(exchange);
  if (fields === undefined) {
    const issue = { type: 'json_invalid', loc: ['body', 0], msg: 'JSON decode error' };
    return fail(exchange, 422, [{ ...issue, input: {} }]);
  }
  const check = new FieldCheck(fields);
  check.required('input');
  check.text('model', 'input', 'voice');
  check.oneOf('response_format', speechFormats, 'literal_error');
  check.number('speed', 0.25, 4);
  check.flag('stream');
  if (check.issues.length > 0) return fail(exchange, 422, check.issues);
  const { model = 'kokoro', voice = defaultVoice } = fields as Readonly<Record<string, string>>;
  if (!models.includes(model)) {
    const message = `Unsupported model: ${model}. Supported: ${models.join(', ')}`;
    return failWith(exchange, 400, 'invalid_model', message);
  }
  if (planted === 'too-long') {
    // The server has no limit; a proxy before it has.
    replyAsGateway(exchange, 413);
    return undefined;
  }
  const missing =
    planted === 'bad-voice' ? voice : mixedVoices(voice).find((name) => !isVoice(name));
  if (missing !== undefined) {
    const others = voices.filter((name) => name !== missing).join(', ');
    const message = `Voice '${missing}' not found. Available voices: ${others}`;
    return failWith(exchange, 400, 'validation_error', message);
  }
  const format = (fields['response_format'] ?? 'mp3') as SpeechFormat;
  const isDefault = fields['response_format'] === undefined;
  const obstacle = formatObstacle(server, format, isDefault);
  if (obstacle !== undefined) return failWith(exchange, 400, formatObstacleCode, obstacle);
  return { input: fields['input'] as string, voice, format, delivery: deliveryOf(fields) };
}

function deliveryOf(fields: Fields): SpeechRequest['delivery'] {
  return fields['stream'] === false ? 'whole' : 'stream';
}

function isVoice(name: string): boolean {
  return aliases.includes(name) || offersVoice(voices, name);
}

/** `af_bella(2)+af_sky(1)`: the names that are mixed, without their weights. */
function mixedVoices(voice: string): string[] {
  if (isVoice(voice)) return [voice];
  return voice.split(/[+-]/).map((part) => part.trim().replace(/\(\d+(?:\.\d+)?\)$/, ''));
}

type ErrorName = 'invalid_model' | 'validation_error' | 'processing_error' | 'stand_in_format';

function failWith(
  exchange: Exchange,
  status: number,
  error: ErrorName,
  message: string,
  type = 'invalid_request_error',
): undefined {
  fail(exchange, status, { error, message, type });
  exchange.entry.error = error;
}

function fail(
  exchange: Exchange,
  status: number,
  detail: unknown,
  headers: Record<string, string> = {},
): undefined {
  exchange.entry.error = typeof detail === 'string' ? detail : 'validation_error';
  replyJson(exchange, status, { detail }, headers);
}
