/** The order of events in a turn (FP-7) as a regular language over one letter for each event. */
import type { ServerEvent } from '../../firmware-protocol/server-event.ts';

const letters: Readonly<Record<ServerEvent['type'], string>> = {
  HelloStart: '',
  HelloChunk: '',
  HelloEnd: '',
  // May come at any time and ends nothing.
  Action: '',
  ASR: 'A',
  EndVad: 'V',
  StartAudio: 'S',
  AudioChunk: 'c',
  AudioChunkWithVowel: 'c',
  AudioChunki16: 'c',
  EndAudio: 'E',
  EndResponse: 'R',
  Choices: 'x',
  DisplayText: 'x',
  StartVideo: 'x',
  EndVideo: 'x',
};

export type TurnKind = 'stream' | 'submit' | 'text' | 'emptyStream' | 'emptySubmit';

const sentences = '(Sc*E)*';

export const turnGrammars: Readonly<Record<TurnKind, { readonly words: string; pattern: RegExp }>> =
  {
    stream: {
      words: 'ASR* EndVad ASR (StartAudio chunk* EndAudio)* EndResponse',
      pattern: new RegExp(`^A*VA${sentences}R$`),
    },
    submit: {
      words: 'ASR (StartAudio chunk* EndAudio)* EndResponse',
      pattern: new RegExp(`^A${sentences}R$`),
    },
    text: {
      words: 'ASR (StartAudio chunk* EndAudio)* EndResponse',
      pattern: new RegExp(`^A${sentences}R$`),
    },
    emptyStream: { words: 'ASR* EndVad EndResponse', pattern: /^A*VR$/ },
    emptySubmit: { words: 'EndResponse', pattern: /^R$/ },
  };

/** Whether the events of one turn are in order. The hello and notices are left out of it. */
export function follows(kind: TurnKind, events: readonly ServerEvent[]): boolean {
  return turnGrammars[kind].pattern.test(events.map(({ type }) => letters[type]).join(''));
}

/** The names in order, runs of one name with their count. */
export function orderOf(events: readonly ServerEvent[]): string {
  const runs: { name: string; count: number }[] = [];
  for (const { type } of events) {
    if (runs.at(-1)?.name === type) runs.at(-1)!.count += 1;
    else runs.push({ name: type, count: 1 });
  }
  const words = runs.map(({ name, count }) => (count === 1 ? name : `${name}×${count}`));
  return words.length === 0 ? 'nothing' : words.join(' ');
}

/** One sentence of an answer, from its `StartAudio`. */
export interface Sentence {
  readonly text: string;
  readonly startUs: number;
  readonly chunks: readonly {
    readonly atUs: number;
    readonly data: Uint8Array;
    readonly vowel?: number;
  }[];
  /** Undefined when no `EndAudio` came. */
  readonly endUs: number | undefined;
}

export function sentencesOf(events: readonly (ServerEvent & { atUs: number })[]): Sentence[] {
  const found: { -readonly [K in keyof Sentence]: Sentence[K] }[] = [];
  let chunks: { atUs: number; data: Uint8Array; vowel?: number }[] = [];
  for (const event of events) {
    switch (event.type) {
      case 'StartAudio':
        chunks = [];
        found.push({ text: event.text, startUs: event.atUs, chunks, endUs: undefined });
        break;
      case 'AudioChunk':
        chunks.push({ atUs: event.atUs, data: event.data });
        break;
      case 'AudioChunkWithVowel':
        chunks.push({ atUs: event.atUs, data: event.data, vowel: event.vowel });
        break;
      case 'EndAudio':
        if (found.length > 0) found.at(-1)!.endUs ??= event.atUs;
        break;
    }
  }
  return found;
}
