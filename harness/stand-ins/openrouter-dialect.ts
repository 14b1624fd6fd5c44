import { FieldCheck } from './field-check.ts';
import {
  audioTypes,
  formatObstacle,
  jsonFields,
  type PlantedRefusal,
  type SpeechDialect,
  type SpeechFormat,
  type SpeechRequest,
} from './openai-compatible.ts';
import { bearerKey, type Exchange, type ProviderServer, replyJson } from './provider-server.ts';

const speechPath = '/api/v1/audio/speech';
const modelsPath = '/api/v1/models';
/** Of the form `vendor/model`; others are accepted, too, unless their name starts with `unknown`. */
const models = ['openai/gpt-4o-mini-tts', 'google/gemini-2.5-flash-preview-tts'];
const formats = ['mp3', 'pcm'] as const;
/** Of the first model, said when it is planted; not enforced: those of other models are not published. */
const charactersMax = 4096;

/**
 * OpenRouter (TTS provider protocol reference, section 5.2): raw PCM unless something else is asked
 * for, a content type that says its rate, errors whose code is the number of the status.
 */
export const openRouterDialect: SpeechDialect = {
  speechPath,
  answer,
  refusePlanted,
  read,
  contentType: (format) =>
    format === 'pcm' ? 'audio/pcm;rate=24000;channels=1' : audioTypes[format],
  headers: (exchange) => ({ 'x-generation-id': generationId(exchange) }),
};

function answer(server: ProviderServer, exchange: Exchange, speak: () => void): void {
  const { incoming, url, entry } = exchange;
  const { method } = entry;
  const refused = server.strike(entry, 'answer', 'auth') !== undefined;
  if (refused || !server.accepts(bearerKey(incoming.headers.authorization))) {
    fail(exchange, 401, 'No valid credentials were sent.');
  } else if (url.pathname === speechPath && method === 'POST') {
    speak();
  } else if (url.pathname === modelsPath && (method === 'GET' || method === 'HEAD')) {
    replyJson(exchange, 200, { data: models.map((id) => ({ id, name: id })) });
  } else {
    fail(exchange, 404, `There is no ${method} ${url.pathname}.`);
  }
}

function refusePlanted(server: ProviderServer, exchange: Exchange): boolean {
  const struck = server.strike(exchange.entry, 'answer', 'quota', 'rate-limit', 'server');
  if (struck === 'quota') fail(exchange, 402, 'Insufficient credits.');
  else if (struck === 'rate-limit') {
    fail(exchange, 429, 'Rate limit exceeded.', { 'retry-after': '1' });
  } else if (struck === 'server') fail(exchange, 500, 'Internal Server Error');
  return struck !== undefined;
}

function read(
  server: ProviderServer,
  exchange: Exchange,
  planted: PlantedRefusal | undefined,
): SpeechRequest | undefined {
  const problem = (message: string): undefined => fail(exchange, 400, message);
  const fields = jsonFields(exchange);
  if (fields === undefined) return problem('The body of the request is no JSON object.');
  const check = new FieldCheck(fields);
  check.required('model', 'input', 'voice');
  check.text('model', 'input', 'voice');
  check.notEmpty('input');
  check.oneOf('response_format', formats);
  check.number('speed', 0.25, 4);
  const [issue] = check.issues;
  if (issue !== undefined) return problem(`${issue.loc.at(-1)}: ${issue.msg}`);
  const {
    model,
    input,
    voice,
    response_format: given,
  } = fields as Readonly<Record<string, string>>;
  if (!model!.includes('/') || model!.startsWith('unknown')) {
    return problem(`${model} is not a valid model ID`);
  }
  const format: SpeechFormat = given === 'mp3' ? 'mp3' : 'pcm';
  if (format !== 'pcm' && model!.includes('gemini')) {
    return problem(`${model} supports the response format pcm only.`);
  }
  if (planted === 'too-long') {
    return problem(`The input is too long: ${model} takes at most ${charactersMax} characters.`);
  }
  if (planted === 'bad-voice' || voice!.startsWith('unknown')) {
    return problem(`The voice "${voice}" is not available for ${model}.`);
  }
  const obstacle = formatObstacle(server, format, false);
  if (obstacle !== undefined) return problem(obstacle);
  return { input: input!, voice: voice!, format, delivery: 'stream' };
}

function fail(
  exchange: Exchange,
  code: number,
  message: string,
  headers: Record<string, string> = {},
): undefined {
  exchange.entry.error = String(code);
  replyJson(exchange, code, { error: { code, message } }, headers);
}

/** The time in it is the stand-in's own: the real one would differ from run to run. */
function generationId(exchange: Exchange): string {
  const seconds = 1_700_000_000 + Math.floor(exchange.entry.atUs / 1e6);
  const suffix = Buffer.from(exchange.random.fork('generation-id').bytes(8)).toString('hex');
  return `gen-tts-${seconds}-${suffix}`;
}
