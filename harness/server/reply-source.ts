/** The language model, as the conversation needs it. */
import type { Clock } from '../clock/clock.ts';

export interface ReplySource {
  /**
   * Answers one utterance. Yields pieces of text as they become known; a failure is thrown.
   *
   * @param signal stops the work; the iteration then ends by throwing the signal's reason.
   */
  reply(text: string, context: ReplyContext, signal: AbortSignal): AsyncIterable<string>;
}

export interface ReplyContext {
  readonly deviceId: string;
  readonly turn: number;
  /** What was said before, oldest first. Empty after a connection without `reconnect`. */
  readonly history: readonly Exchange[];
}

/** One turn of the conversation so far. */
export interface Exchange {
  readonly user: string;
  readonly assistant: string;
}

export interface ScriptedReply {
  readonly text: string;
  /** From the question to the first token. */
  readonly firstTokenMs: number;
  readonly tokensPerSecond: number;
}

/**
 * A model that says what the script says, token by token at the script's pace. Token `i` (from 0)
 * is due at `firstTokenMs + i / tokensPerSecond` after the call; a slow consumer shifts nothing.
 *
 * @param lookup the reply to an utterance; `undefined` is an empty answer.
 */
export function scriptedReply(
  lookup: (context: ReplyContext & { readonly text: string }) => ScriptedReply | undefined,
  options: { readonly clock: Clock },
): ReplySource {
  const { clock } = options;
  return {
    async *reply(text, context, signal) {
      const script = lookup({ ...context, text });
      if (script === undefined) return;
      const askedUs = clock.nowUs();
      for (const [index, token] of tokens(script.text).entries()) {
        const dueUs =
          askedUs +
          Math.round(script.firstTokenMs * 1000 + (index * 1_000_000) / script.tokensPerSecond);
        if (dueUs > clock.nowUs()) await clock.sleep(dueUs - clock.nowUs(), signal);
        signal.throwIfAborted();
        yield token;
      }
    },
  };
}

/**
 * Cuts a text the way a language model's tokens come: words with the space before them, longer
 * words in pieces of four characters.
 */
export function tokens(text: string): string[] {
  return (text.match(/\s*\S+|\s+$/gu) ?? []).flatMap((word) => {
    const characters = [...word];
    const pieces: string[] = [];
    for (let at = 0; at < characters.length; at += tokenCharacters) {
      // A short rest stays with the piece before it, so that "Hello" is one token.
      const rest = characters.length - at;
      const end = rest < 2 * tokenCharacters - 1 ? characters.length : at + tokenCharacters;
      pieces.push(characters.slice(at, end).join(''));
      if (end === characters.length) break;
    }
    return pieces;
  });
}

const tokenCharacters = 4;
