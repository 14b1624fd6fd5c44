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
 * `POST /v1/chat/completions`, streamed as `chat.completion.chunk` events up to `[DONE]` or as one
 * document. Tools are accepted and never called.
 */
export function answerChat(server: ServiceServer, exchange: Exchange, choose: ReplyChoice): void {
  const request = readRequest(exchange);
  if (request === undefined) return;
  const { text, pace } = choose(request.words);
  const all = tokensOf(text);
  const reply = all.slice(0, request.tokensMax);
  const finish = reply.length < all.length ? 'length' : 'stop';
  const facts = {
    id: drawId(exchange, 'chatcmpl-'),
    object: request.stream ? 'chat.completion.chunk' : 'chat.completion',
    created: unixSeconds(server.options.clock.nowUs()),
    model: request.model,
    service_tier: 'default',
    system_fingerprint: drawId(exchange, 'fp_').slice(0, 13),
  };
  const usage = (): object => {
    const completion = exchange.entry.text === '' ? 0 : tokensOf(exchange.entry.text ?? '').length;
    return {
      prompt_tokens: request.promptTokens,
      completion_tokens: completion,
      total_tokens: request.promptTokens + completion,
      prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
      completion_tokens_details: {
        reasoning_tokens: 0,
        audio_tokens: 0,
        accepted_prediction_tokens: 0,
        rejected_prediction_tokens: 0,
      },
    };
  };
  if (!request.stream) {
    deliverReply(server, exchange, reply, pace, {
      begin: () => {},
      token: () => {},
      end: () => {
        const message = { role: 'assistant', content: exchange.entry.text, refusal: null };
        const choice = {
          index: 0,
          message: { ...message, annotations: [] },
          logprobs: null,
          finish_reason: finish,
        };
        replyJson(
          exchange,
          200,
          { ...facts, choices: [choice], usage: usage() },
          openAiHeaders(exchange, Math.round(pace.firstTokenMs)),
        );
      },
    });
    return;
  }
  const { response, entry } = exchange;
  const event = (choices: object[], extra: object = {}): void => {
    const counted = request.includeUsage ? { usage: null } : {};
    const chunk = { ...facts, choices, ...counted, ...extra };
    response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  };
  const delta = (content: object, finishReason: string | null = null): void =>
    event([{ index: 0, delta: content, logprobs: null, finish_reason: finishReason }]);
  deliverReply(server, exchange, reply, pace, {
    begin: () => {
      entry.status = 200;
      response.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        ...openAiHeaders(exchange, Math.round(pace.firstTokenMs)),
      });
      delta({ role: 'assistant', content: '', refusal: null });
    },
    token: (content) => delta({ content }),
    end: () => {
      delta({}, finish);
      if (request.includeUsage) event([], { usage: usage() });
      response.end('data: [DONE]\n\n');
    },
  });
}

interface ChatRequest {
  readonly model: string;
  /** Of the last message of the user. */
  readonly words: string | undefined;
  readonly promptTokens: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly tokensMax: number;
}

const roles = ['system', 'developer', 'user', 'assistant', 'tool', 'function'];

/** The request, or `undefined` after it has been refused. */
function readRequest(exchange: Exchange): ChatRequest | undefined {
  const fields = readFields(exchange);
  if (fields === undefined) return undefined;
  const model = readModel(exchange, fields);
  if (model === undefined) return undefined;
  const messages = readMessages(exchange, fields);
  if (messages === undefined) return undefined;
  const { stream, stream_options: streamOptions, n } = fields;
  if (n !== undefined && n !== null && n !== 1) {
    const message = `This stand-in gives one choice, and n is ${JSON.stringify(n)}. Leave it out.`;
    return badRequest(exchange, message, 'n', 'stand_in_choices');
  }
  if (streamOptions !== undefined && streamOptions !== null && stream !== true) {
    const message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
    return badRequest(exchange, message, 'stream_options');
  }
  const user = messages.filter(({ role }) => role === 'user').at(-1);
  return {
    model,
    words: user === undefined ? undefined : textOf(user['content']),
    promptTokens: messages.reduce((sum, { content }) => sum + tokensIn(textOf(content)), 0),
    stream: stream === true,
    includeUsage: isFields(streamOptions) && streamOptions['include_usage'] === true,
    tokensMax: tokenLimit(fields, 'max_completion_tokens', 'max_tokens'),
  };
}

function readMessages(exchange: Exchange, { messages }: Fields): Fields[] | undefined {
  if (messages === undefined) {
    const message = "Missing required parameter: 'messages'.";
    return badRequest(exchange, message, 'messages', 'missing_required_parameter');
  }
  if (!Array.isArray(messages)) {
    const message = "Invalid type for 'messages': expected an array of objects.";
    return badRequest(exchange, message, 'messages', 'invalid_type');
  }
  if (messages.length === 0) {
    const message = "Invalid 'messages': empty array. Expected an array with minimum length 1.";
    return badRequest(exchange, message, 'messages', 'empty_array');
  }
  for (const [i, item] of (messages as unknown[]).entries()) {
    const place = `messages[${i}]`;
    if (!isFields(item)) {
      const message = `Invalid type for '${place}': expected an object.`;
      return badRequest(exchange, message, place, 'invalid_type');
    }
    const { role, content } = item;
    if (typeof role !== 'string' || !roles.includes(role)) {
      const supported = roles.map((name) => `'${name}'`).join(', ');
      const message = `Invalid value: ${JSON.stringify(role)}. Supported values are: ${supported}.`;
      return badRequest(exchange, message, `${place}.role`, 'invalid_value');
    }
    const absent = content === undefined || content === null;
    if (typeof content === 'string' || Array.isArray(content)) continue;
    if (absent && role === 'assistant') continue;
    const message = `Invalid type for '${place}.content': expected a string or an array of objects.`;
    return badRequest(exchange, message, `${place}.content`, 'invalid_type');
  }
  return messages as Fields[];
}
