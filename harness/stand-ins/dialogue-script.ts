import type { ServiceOptions } from './stand-in-contract.ts';

/**
 * What the services around speech say, turn by turn; after the last turn comes the first again. A
 * scenario's turns fit as they are.
 */
export interface DialogueScript {
  /** At least one. */
  readonly turns: readonly ScriptedTurn[];
  /** From a complete recording to its transcript. */
  readonly recognitionMs: number;
}

export interface ScriptedTurn {
  /** What recognition understands. */
  readonly heard: string;
  /** What the language model answers. */
  readonly reply: string;
  readonly replyPace: ReplyPace;
}

export interface ReplyPace {
  /** From the complete request to the first token. */
  readonly firstTokenMs: number;
  readonly tokensPerSecond: number;
}

export interface DialogueOptions extends ServiceOptions {
  /** Default: {@link defaultScript}. */
  readonly script?: DialogueScript;
}

/** That of a scenario which names none. */
export const defaultReplyPace: ReplyPace = { firstTokenMs: 350, tokensPerSecond: 45 };

export const defaultScript: DialogueScript = {
  turns: [
    {
      heard: 'What can you do?',
      reply: 'I am a stand-in. Whatever you ask, I answer what my script says.',
      replyPace: defaultReplyPace,
    },
  ],
  recognitionMs: 200,
};

/**
 * Chooses the turn of each request by its order. What was heard goes before the order: the turn with
 * these words is taken, so that an utterance that is asked again, or one that brought no request,
 * does not set script and conversation apart.
 */
export class ScriptPlace {
  readonly #turns: readonly ScriptedTurn[];
  #next = 0;

  constructor(turns: readonly ScriptedTurn[]) {
    this.#turns = turns;
  }

  /** @param heard words of the user, when the request has them */
  turn(heard?: string): ScriptedTurn {
    const count = this.#turns.length;
    const order = this.#turns.map((_, i) => (this.#next + i) % count);
    const known =
      heard === undefined ? undefined : order.find((i) => same(this.#turns[i]!.heard, heard));
    const index = known ?? order[0]!;
    this.#next = (index + 1) % count;
    return this.#turns[index]!;
  }
}

/** Servers change case, spaces and marks of a transcript on its way to the language model. */
function same(a: string, b: string): boolean {
  const words = (text: string): string =>
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, ' ')
      .trim();
  return words(a) === words(b);
}
