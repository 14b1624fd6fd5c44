import {
  classifyWords,
  type Failure,
  type FailureTable,
  providerWords,
} from '../transport/provider-failure.ts';

/**
 * The text of a chat-completions answer: server-sent events as a streamed one, or one JSON document
 * from a service that does not stream. Read as EchoKit does, where an end without `[DONE]` but with a
 * `finish_reason` is one, too; what EchoKit speaks although it was cut off is a failure here.
 */
export function chatReply(
  contentType: string,
  body: string,
  table: FailureTable,
): string | Failure {
  const streamed = /^text\/event-stream\b/i.test(contentType);
  if (!streamed && !/^application\/json\b/i.test(contentType)) {
    const words = providerWords(body).message || 'an empty body';
    return {
      kind: 'protocol',
      status: 200,
      message: `it answered 200 with ${contentType || 'no content type'} instead of a reply: ${words}.`,
    };
  }
  const reply: ReplyDraft = { text: '', finish: undefined, done: false };
  const documents = streamed ? dataOf(body) : [body];
  for (const document of documents) {
    const failure = document === '[DONE]' ? finished(reply) : take(document, reply, table);
    if (failure !== undefined) return failure;
  }
  if (reply.finish === 'length' || (!reply.done && reply.finish === undefined)) {
    const why =
      reply.finish === 'length' ? 'the model reached its limit of tokens' : 'there was no end mark';
    return {
      kind: 'truncated',
      status: 200,
      message: `its reply is not complete after ${[...reply.text].length} characters: ${why}.`,
    };
  }
  return reply.text;
}

interface ReplyDraft {
  text: string;
  finish: string | undefined;
  done: boolean;
}

/** The `data` fields of server-sent events; an event of several lines is joined. */
function dataOf(body: string): string[] {
  const events = body.split(/\r\n\r\n|\n\n|\r\r/);
  return events.flatMap((event) => {
    const lines = event
      .split(/\r\n|\n|\r/)
      .flatMap((line) => /^data: ?(.*)$/.exec(line)?.[1] ?? []);
    return lines.length === 0 ? [] : [lines.join('\n').trim()];
  });
}

function finished(reply: ReplyDraft): undefined {
  reply.done = true;
}

function take(document: string, reply: ReplyDraft, table: FailureTable): Failure | undefined {
  let chunk: Chunk | null;
  try {
    chunk = JSON.parse(document) as Chunk | null;
  } catch {
    const start = JSON.stringify(document.slice(0, 80));
    return {
      kind: 'protocol',
      status: 200,
      message: `its answer holds something that is no JSON: ${start}.`,
    };
  }
  if (chunk?.error !== undefined && chunk.error !== null) {
    const words = providerWords(document);
    return {
      kind: classifyWords(words, table) ?? 'server',
      status: 200,
      message: `it reports an error in its answer: ${words.message}.`,
      providerCode: words.code ?? words.type,
    };
  }
  const choice = Array.isArray(chunk?.choices) ? chunk.choices[0] : undefined;
  const content = choice?.delta?.content ?? choice?.message?.content;
  if (typeof content === 'string') reply.text += content;
  if (typeof choice?.finish_reason === 'string') reply.finish = choice.finish_reason;
  return undefined;
}

interface Chunk {
  readonly error?: unknown;
  readonly choices?: readonly Choice[];
}

interface Choice {
  readonly delta?: { readonly content?: unknown };
  readonly message?: { readonly content?: unknown };
  readonly finish_reason?: unknown;
}
