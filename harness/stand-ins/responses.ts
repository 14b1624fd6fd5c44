import {
  badRequest,
  drawId,
  type Fields,
  isFields,
  readFields,
  readModel,
  textOf,
  tokenLimit,
  tokensIn,
  unixSeconds,
} from './chat-request.ts';
import type { ReplyChoice } from './chat-stand-in.ts';
import { openAiHeaders } from './openai-answers.ts';
import { type Exchange, replyJson, type ServiceServer } from './provider-server.ts';
import { deliverReply, tokensOf } from './reply-delivery.ts';

/**
 * `POST /v1/responses`, streamed as typed events from `response.created` to `response.completed` or
 * as one document. Tools are accepted and never called.
 *
 * @param known ids given out so far, for `previous_response_id`
 */
export function answerResponses(
  server: ServiceServer,
  exchange: Exchange,
  choose: ReplyChoice,
  known: Set<string>,
): void {
  const request = readRequest(exchange, known);
  if (request === undefined) return;
  const { text, pace } = choose(request.words);
  const all = tokensOf(text);
  const reply = all.slice(0, request.tokensMax);
  const complete = reply.length === all.length;
  const answer = new ResponseDocument(exchange, request, unixSeconds(server.options.clock.nowUs()));
  known.add(answer.id);
  const headers = openAiHeaders(exchange, Math.round(pace.firstTokenMs));
  if (!request.stream) {
    deliverReply(server, exchange, reply, pace, {
      begin: () => {},
      token: () => {},
      end: () => replyJson(exchange, 200, answer.ended(complete), headers),
    });
    return;
  }
  const { response, entry } = exchange;
  let sequence = 0;
  const event = (type: string, content: object): void => {
    const data = { type, sequence_number: sequence++, ...content };
    response.write(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  entry.status = 200;
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', ...headers });
  event('response.created', { response: answer.begun() });
  event('response.in_progress', { response: answer.begun() });
  const item = { output_index: 0 };
  const part = { item_id: answer.messageId, ...item, content_index: 0 };
  deliverReply(server, exchange, reply, pace, {
    begin: () => {
      event('response.output_item.added', { ...item, item: answer.message('in_progress') });
      event('response.content_part.added', { ...part, part: outputText('') });
    },
    token: (delta) => event('response.output_text.delta', { ...part, delta, logprobs: [] }),
    end: () => {
      const said = entry.text ?? '';
      const status = complete ? 'completed' : 'incomplete';
      event('response.output_text.done', { ...part, text: said, logprobs: [] });
      event('response.content_part.done', { ...part, part: outputText(said) });
      event('response.output_item.done', { ...item, item: answer.message(status) });
      event(`response.${status}`, { response: answer.ended(complete) });
      response.end();
    },
  });
}

function outputText(text: string): object {
  return { type: 'output_text', annotations: [], logprobs: [], text };
}

/** The response as its events and its final document show it. */
class ResponseDocument {
  readonly id: string;
  readonly messageId: string;
  readonly #exchange: Exchange;
  readonly #request: ResponsesRequest;
  readonly #createdAt: number;

  constructor(exchange: Exchange, request: ResponsesRequest, createdAt: number) {
    this.id = drawId(exchange, 'resp_');
    this.messageId = drawId(exchange, 'msg_');
    this.#exchange = exchange;
    this.#request = request;
    this.#createdAt = createdAt;
  }

  begun(): object {
    return this.#document('in_progress', [], null);
  }

  ended(complete: boolean): object {
    const { promptTokens: input } = this.#request;
    const output = tokensOf(this.#exchange.entry.text ?? '').length;
    const status = complete ? 'completed' : 'incomplete';
    return this.#document(status, [this.message(status)], {
      input_tokens: input,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: output,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: input + output,
    });
  }

  message(status: string): object {
    const content = status === 'in_progress' ? [] : [outputText(this.#exchange.entry.text ?? '')];
    return { id: this.messageId, type: 'message', status, content, role: 'assistant' };
  }

  #document(status: string, output: object[], usage: object | null): object {
    const { model, fields } = this.#request;
    const given = (name: string, otherwise: unknown): unknown => fields[name] ?? otherwise;
    return {
      id: this.id,
      object: 'response',
      created_at: this.#createdAt,
      status,
      background: false,
      error: null,
      incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
      instructions: given('instructions', null),
      max_output_tokens: given('max_output_tokens', null),
      model,
      output,
      parallel_tool_calls: given('parallel_tool_calls', true),
      previous_response_id: given('previous_response_id', null),
      reasoning: { effort: null, summary: null },
      store: given('store', true),
      temperature: given('temperature', 1),
      text: { format: { type: 'text' } },
      tool_choice: given('tool_choice', 'auto'),
      tools: given('tools', []),
      top_p: given('top_p', 1),
      truncation: given('truncation', 'disabled'),
      usage,
      user: given('user', null),
      metadata: given('metadata', {}),
    };
  }
}

interface ResponsesRequest {
  readonly fields: Fields;
  readonly model: string;
  /** Of the last message of the user. */
  readonly words: string | undefined;
  readonly promptTokens: number;
  readonly stream: boolean;
  readonly tokensMax: number;
}

/** The request, or `undefined` after it has been refused. */
function readRequest(exchange: Exchange, known: ReadonlySet<string>): ResponsesRequest | undefined {
  const fields = readFields(exchange);
  if (fields === undefined) return undefined;
  const model = readModel(exchange, fields);
  if (model === undefined) return undefined;
  const { input, previous_response_id: previous } = fields;
  if (input === undefined) {
    const message = "Missing required parameter: 'input'.";
    return badRequest(exchange, message, 'input', 'missing_required_parameter');
  }
  if (typeof input !== 'string' && !(Array.isArray(input) && input.every(isFields))) {
    const message = "Invalid type for 'input': expected a string or an array of input items.";
    return badRequest(exchange, message, 'input', 'invalid_type');
  }
  if (typeof previous === 'string' && !known.has(previous)) {
    const message = `Previous response with id '${previous}' not found.`;
    const code = 'previous_response_not_found';
    return badRequest(exchange, message, 'previous_response_id', code);
  }
  const items: readonly Fields[] =
    typeof input === 'string' ? [{ role: 'user', content: input }] : (input as Fields[]);
  const user = items.filter(({ role }) => role === 'user').at(-1);
  return {
    fields,
    model,
    words: user === undefined ? undefined : textOf(user['content']),
    promptTokens: items.reduce((sum, { content }) => sum + tokensIn(textOf(content)), 0),
    stream: fields['stream'] === true,
    tokensMax: tokenLimit(fields, 'max_output_tokens'),
  };
}
