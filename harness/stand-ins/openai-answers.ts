/**
 * How OpenAI's API answers, whatever is asked of it: keys, routes, errors in their envelope, headers
 * (TTS provider protocol reference, sections 4.4 and 4.5).
 */
import { bearerKey, type Exchange, replyJson, type ServiceServer } from './provider-server.ts';

export interface OpenAiError {
  readonly message: string;
  readonly type: string;
  readonly code: string | null;
  /** Name of the field at fault. */
  readonly param?: string | null;
}

export interface OpenAiService {
  /** What a `POST` to a path does. */
  readonly routes: ReadonlyMap<string, () => void>;
  /** Ids in `GET /v1/models`. */
  readonly models: readonly string[];
}

/** Checks the key, then serves the routes, the list of models and the errors of everything else. */
export function answerOpenAi(
  server: ServiceServer,
  exchange: Exchange,
  { routes, models }: OpenAiService,
): void {
  const { incoming, url, entry } = exchange;
  const { method } = entry;
  const key = bearerKey(incoming.headers.authorization);
  const refused = server.strike(entry, 'answer', 'auth') !== undefined;
  const route = routes.get(url.pathname);
  if (refused || !server.accepts(key)) {
    const shown = key === undefined || key === '' ? 'none' : `${key.slice(0, 3)}…`;
    refuseOpenAi(exchange, 401, {
      message: `Incorrect API key provided: ${shown}. Check the key of your account.`,
      type: 'invalid_request_error',
      code: 'invalid_api_key',
    });
  } else if (route !== undefined) {
    if (method === 'POST') route();
    else {
      refuseOpenAi(exchange, 405, {
        message: `Not allowed to ${method} on ${url.pathname}. (HINT: use POST.)`,
        type: 'invalid_request_error',
        code: 'method_not_supported',
      });
    }
  } else if (url.pathname === '/v1/models' && (method === 'GET' || method === 'HEAD')) {
    const list = { object: 'list', data: models.map(modelCard) };
    replyJson(exchange, 200, list, openAiHeaders(exchange));
  } else {
    refuseOpenAi(exchange, 404, {
      message: `Invalid URL (${method} ${url.pathname})`,
      type: 'invalid_request_error',
      code: null,
    });
  }
}

export function modelCard(id: string): object {
  return { id, object: 'model', created: 1_700_000_000, owned_by: 'stand-in' };
}

export const serverError: OpenAiError = {
  message: 'The server had an error while processing your request.',
  type: 'server_error',
  code: null,
};

/** Answers with the planted `quota`, `rate-limit` or `server` fault; false when there is none. */
export function refusePlanted(server: ServiceServer, exchange: Exchange): boolean {
  const planted = server.strike(exchange.entry, 'answer', 'quota', 'rate-limit', 'server');
  if (planted === 'quota') {
    refuseOpenAi(exchange, 429, {
      message: 'You exceeded your current quota, please check your plan and billing details.',
      type: 'insufficient_quota',
      code: 'insufficient_quota',
    });
  } else if (planted === 'rate-limit') {
    const limited = { message: 'Rate limit reached for requests.', type: 'requests' };
    refuseOpenAi(
      exchange,
      429,
      { ...limited, code: 'rate_limit_exceeded' },
      {
        'retry-after': '1',
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '1s',
      },
    );
  } else if (planted === 'server') {
    refuseOpenAi(exchange, 500, serverError);
  }
  return planted !== undefined;
}

export function refuseOpenAi(
  exchange: Exchange,
  status: number,
  { message, type, param = null, code }: OpenAiError,
  extra: Record<string, string> = {},
): undefined {
  exchange.entry.error = code ?? type;
  const body = { error: { message, type, param, code } };
  replyJson(exchange, status, body, { ...openAiHeaders(exchange), ...extra });
}

export function openAiHeaders(exchange: Exchange, processingMs = 1): Record<string, string> {
  const id = Buffer.from(exchange.random.fork('request-id').bytes(16)).toString('hex');
  return {
    'x-request-id': `req_${id}`,
    'openai-processing-ms': String(processingMs),
    'openai-version': '2020-10-01',
    'openai-organization': 'stand-in',
    'openai-project': 'proj_stand_in',
    'x-ratelimit-limit-requests': '500',
    'x-ratelimit-remaining-requests': '499',
    'x-ratelimit-reset-requests': '120ms',
  };
}
