/** What the two ways of asking a language model have in common. */
import { refuseOpenAi } from './openai-answers.ts';
import type { Exchange } from './provider-server.ts';

export type Fields = Readonly<Record<string, unknown>>;

/** Refuses with a 400 that names the field at fault. */
export function badRequest(
  exchange: Exchange,
  message: string,
  param: string | null = null,
  code: string | null = null,
): undefined {
  return refuseOpenAi(exchange, 400, { message, type: 'invalid_request_error', param, code });
}

/** The JSON object of the body, or `undefined` after it has been refused. */
export function readFields(exchange: Exchange): Fields | undefined {
  let body: unknown;
  try {
    body = JSON.parse(exchange.body.toString());
  } catch {
    return badRequest(exchange, 'We could not parse the JSON body of your request.');
  }
  if (isFields(body)) return body;
  return badRequest(exchange, 'The body of your request must be a JSON object.');
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The name of the model, or `undefined` after it has been refused. OpenAI demands one; EchoKit sends
 * none when its configuration has none, and services that hold a single model accept that.
 */
export function readModel(exchange: Exchange, { model }: Fields): string | undefined {
  if (model === undefined) return 'stand-in';
  if (typeof model !== 'string') {
    const message = "Invalid type for 'model': expected a string.";
    return badRequest(exchange, message, 'model', 'invalid_type');
  }
  if (!model.startsWith('unknown')) return model;
  return refuseOpenAi(exchange, 404, {
    message: `The model \`${model}\` does not exist or you do not have access to it.`,
    type: 'invalid_request_error',
    param: null,
    code: 'model_not_found',
  });
}

/** Text of a message: a string, or the text parts of a list. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((part: unknown) =>
      isFields(part) && typeof part['text'] === 'string' ? part['text'] : '',
    )
    .join('');
}

/** The limit that the request sets for tokens of the reply. */
export function tokenLimit(fields: Fields, ...names: string[]): number {
  const limit = names.map((name) => fields[name]).find((value) => typeof value === 'number');
  return (limit as number | undefined) ?? Number.POSITIVE_INFINITY;
}

/** Plausible counts, not those of the real tokenizer. */
export function tokensIn(text: string): number {
  return Math.ceil(text.length / 4);
}

/** Seconds since 1970 that pass with the clock of the run and begin at the same instant in each. */
export function unixSeconds(nowUs: number): number {
  return 1_700_000_000 + Math.floor(nowUs / 1_000_000);
}

/** An id in the service's form, from the request's own draws. */
export function drawId(exchange: Exchange, prefix: string, label = prefix): string {
  const hex = Buffer.from(exchange.random.fork(`id/${label}`).bytes(18)).toString('hex');
  return `${prefix}${hex}`;
}
