/**
 * Replies of a language model, asked for as the EchoKit server asks (EchoKit device protocol
 * reference, sections 7.7 and 9.4): chat completions, or responses. Tools are not offered.
 */
import { EventStreamReader } from '../../adapters/transport/event-stream.ts';
import type { Exchange, ReplySource } from './reply-source.ts';
import { Service, type ServiceDeps, textOf } from './service-call.ts';

export interface PromptMessage {
  readonly role: string;
  readonly content: string;
}

interface ModelConfig {
  readonly url: string;
  /** Sent as a bearer token unless it is empty. */
  readonly apiKey?: string;
  /** Merged into the request at its top level. */
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly sysPrompts?: readonly PromptMessage[];
}

export interface ChatConfig extends ModelConfig {
  /** Not sent when empty. */
  readonly model?: string;
  /** Twice as many messages of the conversation are kept. */
  readonly history: number;
  /** Stand at the start of the conversation. */
  readonly dynamicPrompts?: readonly PromptMessage[];
}

export interface ResponsesConfig extends ModelConfig {
  readonly model?: string;
  /** The first system prompt goes before it. */
  readonly instructions?: string;
}

/** What is read of a refusal, and what is told of that. */
const refusalBytesMax = 4096;
const refusalWordsCharactersMax = 300;

/** @returns a source that MUST be closed */
export function chatReplies(
  config: ChatConfig,
  deps: ServiceDeps,
): ReplySource & { close(): void } {
  return modelReplies(config, deps, {
    body: (text, history) => ({
      stream: true,
      messages: [...(config.sysPrompts ?? []), ...chatMessages(config, history, text)],
      ...(config.model ? { model: config.model } : {}),
    }),
    textOf: (event) => {
      const { choices } = event as { choices?: { delta?: { content?: unknown } }[] };
      return choices?.[0]?.delta?.content;
    },
  });
}

/** @returns a source that MUST be closed */
export function responsesReplies(
  config: ResponsesConfig,
  deps: ServiceDeps,
): ReplySource & { close(): void } {
  const system = config.sysPrompts?.find(({ role }) => role === 'system');
  return modelReplies(config, deps, {
    body: (text, history) => ({
      stream: true,
      model: config.model || 'gpt-4.1',
      instructions: system?.content ?? config.instructions ?? 'You are a helpful assistant.',
      input: [...history.flatMap(messagesOf), { role: 'user', content: text }],
    }),
    textOf: (event) => {
      const { type, delta } = event as { type?: unknown; delta?: unknown };
      return type === 'response.output_text.delta' ? delta : undefined;
    },
  });
}

/**
 * The conversation as the model is shown it. When the user's words make it longer than twice
 * `history`, one message is dropped from the front; so with 0 the user's own words are.
 */
export function chatMessages(
  { history: limit, dynamicPrompts = [] }: Pick<ChatConfig, 'history' | 'dynamicPrompts'>,
  history: readonly Exchange[],
  text: string,
): PromptMessage[] {
  const messages = [...dynamicPrompts];
  const say = (content: string): void => {
    messages.push({ role: 'user', content });
    if (messages.length > 2 * limit) messages.shift();
  };
  for (const { user, assistant } of history) {
    say(user);
    messages.push({ role: 'assistant', content: assistant });
  }
  say(text);
  return messages;
}

function messagesOf({ user, assistant }: Exchange): PromptMessage[] {
  return [
    { role: 'user', content: user },
    { role: 'assistant', content: assistant },
  ];
}

interface ModelDialect {
  body(text: string, history: readonly Exchange[]): Readonly<Record<string, unknown>>;
  /** The text in one event of the stream; anything else is none. */
  textOf(event: object): unknown;
}

function modelReplies(
  { url, apiKey, extra }: ModelConfig,
  deps: ServiceDeps,
  dialect: ModelDialect,
): ReplySource & { close(): void } {
  const service = new Service(url, deps);
  const { host } = new URL(url);
  return {
    async *reply(text, { history }, signal) {
      const headers = {
        ...(apiKey ? { Authorization: `Bearer ${apiKey}` } : {}),
        'User-Agent': 'curl/7.81.0',
        Accept: '*/*',
        'Content-Type': 'application/json',
      };
      const body = Buffer.from(JSON.stringify({ ...dialect.body(text, history), ...extra }));
      const answer = await service.post({ headers, body }, signal);
      if (answer.status < 200 || answer.status > 299) {
        const words = (await textOf(answer, refusalBytesMax))
          .slice(0, refusalWordsCharactersMax)
          .trim();
        throw new Error(`The model at ${host} answered ${answer.status}: ${words}`);
      }
      const reader = new EventStreamReader();
      // All text of one piece of the body is one piece of the reply (section 7.5).
      for await (const piece of answer.pieces) {
        const said = textIn(reader.push(piece), dialect, host);
        if (said !== '') yield said;
      }
      const rest = textIn(reader.end(), dialect, host);
      if (rest !== '') yield rest;
    },
    close: () => service.close(),
  };
}

function textIn(events: readonly { data: string }[], dialect: ModelDialect, host: string): string {
  let said = '';
  for (const { data } of events) {
    if (data.trim() === '[DONE]') continue;
    let event: unknown;
    try {
      event = JSON.parse(data);
    } catch (cause) {
      const start = JSON.stringify(data.slice(0, 80));
      throw new Error(`The reply of ${host} holds something that is no JSON: ${start}.`, { cause });
    }
    if (typeof event !== 'object' || event === null) continue;
    const { error } = event as { error?: { message?: unknown } | null };
    if (error)
      throw new Error(`The model at ${host} failed: ${String(error.message ?? 'no reason')}`);
    const text = dialect.textOf(event);
    if (typeof text === 'string') said += text;
  }
  return said;
}
