import { answerChat } from './chat-completions.ts';
import {
  type DialogueOptions,
  defaultReplyPace,
  defaultScript,
  type ReplyPace,
  ScriptPlace,
} from './dialogue-script.ts';
import { answerOpenAi, refusePlanted } from './openai-answers.ts';
import { answerFaults, type FaultTable } from './planted-fault.ts';
import { type Exchange, ServiceServer } from './provider-server.ts';
import { answerResponses } from './responses.ts';
import type { ServiceStandIn } from './stand-in-contract.ts';
import { strikeAnswer } from './wordless-faults.ts';

/** For audio, read tokens. */
const replyFaults: FaultTable = {
  ...answerFaults,
  cut: ['mid-audio', 'answer', 'first-audio', 'end'],
  'early-end': ['mid-audio', 'end'],
  empty: ['first-audio'],
  stall: ['mid-audio', 'answer', 'first-audio', 'end'],
};

export interface ScriptedReply {
  readonly text: string;
  readonly pace: ReplyPace;
}

/** What to say to the last words of a user; absent when a request has none. */
export type ReplyChoice = (words: string | undefined) => ScriptedReply;

/** Connecting to a hosted model, as the speech provider of the same host does. */
const connectMs = 120;
const models = ['gpt-4o-mini', 'gpt-4.1', 'gpt-4.1-mini', 'gpt-5-nano'];

/**
 * OpenAI's chat completions and responses, answered from a script (EchoKit device protocol
 * reference, section 7.7). Any model exists unless its name starts with `unknown`.
 */
export function createChatStandIn(options: DialogueOptions): ServiceStandIn {
  const place = new ScriptPlace((options.script ?? defaultScript).turns);
  return chatServer('chat', options, (words) => {
    const { reply, replyPace } = place.turn(words);
    return { text: reply, pace: replyPace };
  });
}

/**
 * The same for a model that is asked to rewrite texts before they are spoken: it says the text
 * itself, so that what is spoken stays comparable.
 */
export function createTextOptimizationStandIn(options: DialogueOptions): ServiceStandIn {
  return chatServer('text-optimization', options, (words = '') => ({
    text: tidied(words),
    pace: defaultReplyPace,
  }));
}

/** Without marks that are not spoken, and with single spaces. */
function tidied(text: string): string {
  return text
    .replace(/[*_`#~]+/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}

function chatServer(
  service: string,
  options: DialogueOptions,
  choose: ReplyChoice,
): ServiceStandIn {
  const server = new ServiceServer(service, options, connectMs);
  const known = new Set<string>();
  const paths: Readonly<Record<string, (exchange: Exchange) => void>> = {
    '/v1/chat/completions': (exchange) => answerChat(server, exchange, choose),
    '/v1/responses': (exchange) => answerResponses(server, exchange, choose, known),
  };
  return server.offer({
    isCounted: (method, path) => method === 'POST' && Object.hasOwn(paths, path),
    answer: (exchange) => {
      server.expose(exchange.entry, replyFaults);
      if (strikeAnswer(server, exchange)) return;
      const routes = new Map(
        Object.entries(paths).map(([path, answer]) => [
          path,
          () => {
            if (!refusePlanted(server, exchange)) answer(exchange);
          },
        ]),
      );
      answerOpenAi(server, exchange, { routes, models });
    },
  });
}
