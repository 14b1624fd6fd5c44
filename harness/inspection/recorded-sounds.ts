/** The sounds of a recording at each stage, put together for each utterance and each sentence of the board. */
import {
  type Conversation,
  type ProviderRequest,
  requestsFor,
  type Sentence,
  type ServerFrame,
} from '../metrics/conversation.ts';
import { type Playback, wasCleared } from '../metrics/playback.ts';
import { chunkSamples } from '../metrics/player-schedule.ts';
import type { RecordedCell } from '../metrics/recorded-cell.ts';

/** What one or several requests said: usually a sentence, where a service takes all of an answer the whole of it. */
export interface Utterance {
  readonly turn: number | null;
  readonly requests: readonly ProviderRequest[];
  readonly sentences: readonly Sentence[];
  /** What was to be said; null: not known. */
  readonly text: string | null;
  /** False: interrupted, failed or not recorded to its end. */
  readonly whole: boolean;
}

/** Audio that is made of pieces of a file, and where they are in it. */
export interface AssembledSound {
  readonly samples: Int16Array;
  readonly pieces: readonly SoundPiece[];
}

export interface SoundPiece {
  /** Index in the assembled sound. */
  readonly at: number;
  readonly samples: number;
  readonly file: string;
  /** Index in the file. */
  readonly offset: number;
  readonly sentence: Sentence | null;
  readonly request: number | null;
}

export function utterancesOf(conversation: Conversation, cell: RecordedCell): Utterance[] {
  const spoken = spokenTexts(cell);
  const groups = new Map<string, ProviderRequest[]>();
  for (const request of conversation.requests) {
    const key = `${request.serverTurn} ${request.sentence ?? `request ${request.request}`}`;
    groups.set(key, [...(groups.get(key) ?? []), request]);
  }
  const { requests } = conversation;
  return [...groups.values()].map((group) => {
    const sentences = conversation.sentences.filter((sentence) =>
      requestsFor(requests, sentence).some((request) => group.includes(request)),
    );
    const texts = sentences.map((sentence) => spoken.get(keyOf(sentence)) ?? sentence.text);
    const turn = sentences[0]?.turn ?? null;
    const interrupted = conversation.turns.some(
      (other) => other.number === turn && other.interrupted !== null,
    );
    return {
      turn,
      requests: group,
      sentences,
      text: texts.length === 0 || texts.includes(null) ? null : texts.join(' '),
      whole:
        !interrupted &&
        sentences.every(({ framed }) => framed !== null) &&
        group.every(
          ({ end, failure, cancelled }) => end !== null && failure === null && cancelled === null,
        ),
    };
  });
}

function keyOf({ serverTurn, number }: Sentence): string {
  return `${serverTurn} ${number}`;
}

/** Texts that a chat model rewrote before they were spoken. */
function spokenTexts({ events }: RecordedCell): Map<string, string> {
  const texts = new Map<string, string>();
  for (const event of events) {
    if (event.source !== 'server' || event.type !== 'textOptimization') continue;
    texts.set(`${event.turn} ${event.sentence}`, event.text);
  }
  return texts;
}

/** `provider/<n>.wav` of its requests. */
export function normalisedSound(utterance: Utterance, cell: RecordedCell): AssembledSound {
  const builder = new SoundBuilder();
  for (const { request, chunks } of utterance.requests) {
    const audio = cell.provider.get(request);
    if (audio === undefined) continue;
    const file = `provider/${request}.wav`;
    for (const chunk of chunks) {
      const sentence = utterance.sentences.find(({ number }) => number === chunk.sentence) ?? null;
      builder.add(audio, { file, offset: chunk.offset, samples: chunk.samples, sentence, request });
    }
    const told = chunks.reduce((sum, { samples }) => sum + samples, 0);
    const more = audio.length - told;
    const sentence = utterance.sentences.at(-1) ?? null;
    builder.add(audio, { file, offset: told, samples: more, sentence, request });
  }
  return builder.finish();
}

/** The samples of a frame in `sent.wav`. */
export interface FrameSpan {
  readonly offset: number;
  readonly samples: number;
}

/** By the frame. */
export function frameSpans({ frames }: Conversation): Map<ServerFrame, FrameSpan> {
  const spans = new Map<ServerFrame, FrameSpan>();
  let offset = 0;
  for (const frame of frames) {
    if (frame.samples === 0) continue;
    spans.set(frame, { offset, samples: frame.samples });
    offset += frame.samples;
  }
  return spans;
}

/** What the server framed for these sentences. */
export function sentSound(
  sentences: readonly Sentence[],
  spans: ReadonlyMap<ServerFrame, FrameSpan>,
  { sent }: RecordedCell,
): AssembledSound {
  const builder = new SoundBuilder();
  for (const sentence of sentences) {
    for (const frame of sentence.frames) {
      const span = spans.get(frame);
      if (span !== undefined)
        builder.add(sent, { file: 'sent.wav', ...span, sentence, request: null });
    }
  }
  return builder.finish();
}

/** A message with audio that the board took. */
export interface TakenFrame {
  readonly frame: ServerFrame | null;
  readonly samples: number;
  readonly disposition: 'played' | 'held' | 'dropped' | null;
}

/** What the board took for a sentence, in its order: with frames that came twice, or from another sentence. */
export function takenFrames(
  { board }: Sentence,
  frames: readonly ServerFrame[],
  { events }: RecordedCell,
): TakenFrame[] {
  if (board === null) return [];
  const numbers = new Map<number, string>();
  for (const event of events) {
    if (event.source === 'device' && event.type === 'frameHandled') {
      numbers.set(event.seq, `${event.connection} ${event.frame}`);
    }
  }
  const known = new Map(frames.map((frame) => [`${frame.connection} ${frame.frame}`, frame]));
  return board.arrivals.map(({ seq, samples, disposition }) => ({
    frame: known.get(numbers.get(seq) ?? '') ?? null,
    samples,
    disposition,
  }));
}

/** The same in `sent.wav`: what the player should have played. What a decoder made up is silence here. */
export function receivedSound(
  taken: readonly TakenFrame[],
  spans: ReadonlyMap<ServerFrame, FrameSpan>,
  sentence: Sentence,
  { sent }: RecordedCell,
): AssembledSound {
  const builder = new SoundBuilder();
  for (const { frame, samples, disposition } of taken) {
    if (disposition === 'dropped') continue;
    const span = frame === null ? undefined : spans.get(frame);
    if (span === undefined) builder.silence(samples, sentence);
    else builder.add(sent, { file: 'sent.wav', ...span, sentence, request: null });
  }
  return builder.finish();
}

/** What left the speaker for a sentence, without the times in which the player had nothing or stood still. */
export function playedSound(
  { sentence, board, endPosition }: Playback,
  { speaker }: RecordedCell,
): AssembledSound {
  const builder = new SoundBuilder();
  if (board.playStart === null || endPosition === null) return builder.finish();
  const { speakerOffset, stalls } = board.boot;
  const empty = [
    ...board.underruns.map(({ position, cycles }) => ({
      from: position,
      to: position + (cycles ?? Number.POSITIVE_INFINITY) * chunkSamples,
    })),
    ...stalls.map(({ cycle, cycles }) => ({
      from: speakerOffset + cycle * chunkSamples,
      to: speakerOffset + (cycle + cycles) * chunkSamples,
    })),
  ].sort((a, b) => a.from - b.from);
  let at = board.playStart.position;
  const end = Math.min(endPosition, speaker.length);
  const add = (to: number): void => {
    const samples = Math.min(to, end) - at;
    builder.add(speaker, { file: 'speaker.wav', offset: at, samples, sentence, request: null });
  };
  for (const { from, to } of empty) {
    if (to <= at || from >= end) continue;
    add(from);
    at = Math.max(at, Math.min(to, end));
  }
  add(end);
  return builder.finish();
}

/** What was said to the player is heard to its end. */
export function playedToTheEnd(playback: Playback): boolean {
  return (
    playback.board.drained !== null && !wasCleared(playback) && playback.board.abandoned === null
  );
}

/** Where index `at` of the sound is. */
export function pieceAt({ pieces }: AssembledSound, at: number): SoundPiece | undefined {
  return pieces.findLast((piece) => piece.at <= at) ?? pieces[0];
}

class SoundBuilder {
  readonly #parts: Int16Array[] = [];
  readonly #pieces: SoundPiece[] = [];
  #length = 0;

  add(audio: Int16Array, piece: Omit<SoundPiece, 'at'>): void {
    const part = audio.subarray(piece.offset, piece.offset + Math.max(0, piece.samples));
    if (part.length === 0) return;
    this.#parts.push(part);
    this.#pieces.push({ ...piece, samples: part.length, at: this.#length });
    this.#length += part.length;
  }

  silence(samples: number, sentence: Sentence): void {
    this.add(new Int16Array(samples), {
      file: 'sent.wav',
      offset: 0,
      samples,
      sentence,
      request: null,
    });
  }

  finish(): AssembledSound {
    const samples = new Int16Array(this.#length);
    for (const [i, part] of this.#parts.entries()) samples.set(part, this.#pieces[i]!.at);
    return { samples, pieces: this.#pieces };
  }
}
