import { modelCard } from './openai-answers.ts';
import {
  compatibleService,
  jsonFields,
  type PlantedRefusal,
  type SpeechDialect,
  type SpeechRequest,
} from './openai-compatible.ts';
import { bearerKey, type Exchange, ProviderServer, replyJson } from './provider-server.ts';
import type { StandIn, StandInOptions } from './stand-in-contract.ts';
import { offersVoice } from './voice-name.ts';

/**
 * Groq's copy of OpenAI's speech endpoint (TTS provider protocol reference, section 5.1): WAV only,
 * 200 characters, errors without `param` and mostly without `code`, limits in every answer's head.
 */
export function createGroqStandIn(options: StandInOptions): StandIn {
  return new ProviderServer(options, 'groq-orpheus', (server) =>
    compatibleService(server, groqDialect),
  );
}

const speechPath = '/openai/v1/audio/speech';
const modelsPath = '/openai/v1/models';
const inputCharactersMax = 200;
/** As the headers count them: requests of a day, tokens of a minute. Examples that never run out. */
const limits = { requests: 100, tokens: 1200 };

const voicesByModel: ReadonlyMap<string, readonly string[]> = new Map([
  ['canopylabs/orpheus-v1-english', ['autumn', 'diana', 'hannah', 'austin', 'daniel', 'troy']],
  ['canopylabs/orpheus-arabic-saudi', ['abdullah', 'fahad', 'sultan', 'lulwa', 'noura', 'aisha']],
]);
/** Shut down on 31 December 2025; the first is still EchoKit's default. */
const formerModels: readonly string[] = ['playai-tts', 'playai-tts-arabic'];

const groqDialect: SpeechDialect = {
  speechPath,
  answer,
  refusePlanted,
  read,
  contentType: () => 'audio/wav',
  headers,
};

function answer(server: ProviderServer, exchange: Exchange, speak: () => void): void {
  const { incoming, url, entry } = exchange;
  const { method } = entry;
  const refused = server.strike(entry, 'answer', 'auth') !== undefined;
  if (refused || !server.accepts(bearerKey(incoming.headers.authorization))) {
    fail(exchange, 401, { message: 'Invalid API Key', code: 'invalid_api_key' });
  } else if (url.pathname === speechPath && method === 'POST') {
    speak();
  } else if (url.pathname === modelsPath && (method === 'GET' || method === 'HEAD')) {
    const data = [...voicesByModel.keys()].map(modelCard);
    replyJson(exchange, 200, { object: 'list', data }, headers(exchange));
  } else {
    const message = `Unknown request URL: ${method} ${url.pathname}. Check the URL for typos.`;
    fail(exchange, 404, { message, code: 'unknown_url' });
  }
}

/** Groq has no word for an empty account: the tokens of the day are used up, and it says when. */
const planted = {
  quota: {
    status: 429,
    waitSeconds: 870,
    type: 'tokens',
    reason: 'tokens per day (TPD): Limit 3600, Used 3590, Requested 45. Please try again in 14m30s',
  },
  'rate-limit': {
    status: 429,
    waitSeconds: 1,
    type: 'requests',
    reason: 'requests per minute (RPM): Limit 10, Used 10, Requested 1. Please try again in 1s',
  },
} as const;

function refusePlanted(server: ProviderServer, exchange: Exchange): boolean {
  const struck = server.strike(exchange.entry, 'answer', 'quota', 'rate-limit', 'server');
  if (struck === 'server') {
    fail(exchange, 500, { message: 'Internal Server Error', type: 'internal_server_error' });
  } else if (struck !== undefined) {
    const { status, waitSeconds, type, reason } = planted[struck];
    const where = 'in organization `org_stand_in` service tier `on_demand`';
    const model = jsonFields(exchange)?.['model'];
    const message = `Rate limit reached for model \`${model}\` ${where} on ${reason}. Visit https://console.groq.com/docs/rate-limits for more information.`;
    const wait = { 'retry-after': String(waitSeconds) };
    fail(exchange, status, { message, type, code: 'rate_limit_exceeded' }, wait);
  }
  return struck !== undefined;
}

function read(
  _server: ProviderServer,
  exchange: Exchange,
  planted: PlantedRefusal | undefined,
): SpeechRequest | undefined {
  const fields = jsonFields(exchange);
  if (fields === undefined) {
    return fail(exchange, 400, { message: 'The body of the request is no JSON object' });
  }
  const { model, input, voice, response_format: format } = fields;
  for (const [name, value] of Object.entries({ model, input, voice })) {
    if (typeof value === 'string' && value !== '') continue;
    const wrong = value === undefined || value === '' ? 'is required' : 'must be a string';
    return fail(exchange, 400, { message: `${name} ${wrong}` });
  }
  const problem = problemOf(String(model), String(voice), planted === 'bad-voice');
  if (problem !== undefined) {
    const { status, ...error } = problem;
    return fail(exchange, status, error);
  }
  if (format !== 'wav') {
    return fail(exchange, 400, { message: 'response_format must be one of [wav]' });
  }
  if (planted === 'too-long' || [...String(input)].length > inputCharactersMax) {
    const message = `input must be at most ${inputCharactersMax} characters`;
    return fail(exchange, 400, { message });
  }
  return { input: String(input), voice: String(voice), format, delivery: 'stream' };
}

function problemOf(
  model: string,
  voice: string,
  refuseVoice: boolean,
): (GroqError & { readonly status: number }) | undefined {
  const voices = voicesByModel.get(model);
  if (formerModels.includes(model)) {
    const message = `The model \`${model}\` has been decommissioned and is no longer supported.`;
    return { status: 400, message, code: 'model_decommissioned' };
  }
  if (voices === undefined) {
    const message = `The model \`${model}\` does not exist or you do not have access to it.`;
    return { status: 404, message, code: 'model_not_found' };
  }
  if (!refuseVoice && offersVoice(voices, voice)) return undefined;
  const others = voices.filter((name) => name !== voice).join(' ');
  return { status: 400, message: `voice must be one of [${others}]` };
}

interface GroqError {
  readonly message: string;
  readonly type?: string;
  readonly code?: string;
}

function fail(
  exchange: Exchange,
  status: number,
  { message, type = 'invalid_request_error', code }: GroqError,
  extra: Record<string, string> = {},
): undefined {
  exchange.entry.error = code ?? type;
  const error = { message, type, ...(code === undefined ? {} : { code }) };
  replyJson(exchange, status, { error }, { ...headers(exchange), ...extra });
}

function headers(exchange: Exchange): Record<string, string> {
  const id = Buffer.from(exchange.random.fork('request-id').bytes(13)).toString('hex');
  return {
    'x-request-id': `req_${id}`,
    'x-ratelimit-limit-requests': String(limits.requests),
    'x-ratelimit-limit-tokens': String(limits.tokens),
    'x-ratelimit-remaining-requests': String(limits.requests - 1),
    'x-ratelimit-remaining-tokens': String(limits.tokens - 45),
    'x-ratelimit-reset-requests': '14m24s',
    'x-ratelimit-reset-tokens': '750ms',
  };
}
