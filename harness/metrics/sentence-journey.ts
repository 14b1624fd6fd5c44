/**
 * The way of a sentence from the provider to the main loop of the board, message by message: when its audio was
 * there, written, received and handled. What a sentence was late by can be told apart along it.
 */
import type {
  Conversation,
  Mark,
  ProviderChunk,
  ProviderRequest,
  Sentence,
  ServerFrame,
} from './conversation.ts';
import { requestsFor } from './conversation.ts';
import type { RecordedCell } from './recorded-cell.ts';

/** One message that carries audio of the sentence, or ends it. */
export interface Journey {
  readonly frame: ServerFrame;
  readonly ends: boolean;
  /** Samples of the sentence that the messages before it carried. */
  readonly playedBefore: number;
  /** Samples of the sentence that the provider delivered before the first of it: more, when the server dropped some. */
  readonly contentBefore: number;
  /** The provider had delivered all that it takes: a chunk, or the end of the sentence. */
  readonly ready: Mark;
  /** The server would have written it, had there been room in the socket. Not before {@link ready}. */
  readonly writtenUs: number;
  /** It would have arrived, had the queue of the board had room. Not before {@link writtenUs}. */
  readonly receivedUs: number;
  readonly received: Mark;
  /** The main loop took it. */
  readonly handled: Mark;
}

/**
 * A server that has more than this under way waits for the network. Half of what it lets wait in the socket, because
 * the pieces in which that is emptied are not known.
 */
const crowdedBytes = 16 * 1024;
/** Events between socket and main loop of the board (EchoKit device protocol reference, section 6.1). */
const boardQueue = 32;

/**
 * The messages of a sentence that the main loop has taken, in order.
 *
 * @returns null where the recording does not tell the way: an external server, or a sentence cut short
 */
export function readJourneys(
  sentence: Sentence,
  conversation: Conversation,
  cell: RecordedCell,
): Journey[] | null {
  const content = contentOf(sentence, conversation, cell);
  if (content === null) return null;
  const traffic = new Traffic(conversation.frames);
  const end = conversation.frames.find(
    ({ event, turn, sentence: number }) =>
      event === 'EndAudio' && turn === sentence.serverTurn && number === sentence.number,
  );
  const journeys: Journey[] = [];
  let playedBefore = 0;
  let contentBefore = 0;
  let writtenUs = 0;
  let receivedUs = 0;
  for (const frame of [...sentence.frames, ...(end === undefined ? [] : [end])]) {
    const { received, handled } = frame;
    if (received === null || handled === null) break;
    const ends = frame === end;
    const samples = ends ? null : traffic.audio(frame, cell.sent);
    if (samples !== null) contentBefore = content.find(samples, contentBefore);
    const ready = content.readyFor(contentBefore, samples?.length ?? null);
    const previous = journeys.at(-1);
    const free = Math.max(ready.atUs, previous?.frame.atUs ?? 0);
    const ownUs = traffic.isCrowded(frame) ? 0 : Math.max(0, frame.atUs - free);
    writtenUs = Math.max(writtenUs, Math.min(frame.atUs, Math.max(ready.atUs, writtenUs) + ownUs));
    const usualUs = previous === undefined ? 0 : previous.receivedUs - previous.writtenUs;
    const arrivedUs = traffic.boardIsFull(frame)
      ? Math.min(received.atUs, writtenUs + usualUs)
      : received.atUs;
    receivedUs = Math.max(receivedUs, arrivedUs, writtenUs);
    journeys.push({
      frame,
      ends,
      playedBefore,
      contentBefore,
      ready,
      writtenUs,
      receivedUs,
      received: { atUs: received.atUs, seq: received.seq },
      handled: { atUs: handled.atUs, seq: handled.seq },
    });
    if (samples === null) continue;
    playedBefore += samples.length;
    contentBefore += samples.length;
  }
  return journeys;
}

/** What the provider delivered for one sentence. */
interface Content {
  /** Position of a frame's audio, at or after `from`; `from` when it is not found. */
  find(samples: Int16Array, from: number): number;
  /** @param length of a frame from `position` on; null: the end of the sentence is what is waited for */
  readyFor(position: number, length: number | null): Mark;
}

function contentOf(
  sentence: Sentence,
  conversation: Conversation,
  cell: RecordedCell,
): Content | null {
  const requests = requestsFor(conversation.requests, sentence).filter(
    ({ request }) => request !== 0,
  );
  const { framed, serverTurn, number } = sentence;
  const first = requests[0]?.sentence ?? null;
  if (framed === null || first === null || number === null) return null;
  let start = 0;
  for (const other of conversation.sentences) {
    const isBefore = other.number !== null && other.number >= first && other.number < number;
    if (isBefore && other.serverTurn === serverTurn) start += other.framed?.samplesIn ?? 0;
  }
  const audio = join(requests, cell).subarray(start, start + framed.samplesIn);
  const arrivals = arrivalsOf(requests);
  const last = requests.at(-1)!;
  /** When the server knew that the sentence is complete: by what comes behind it, or by the end of the request. */
  const behind = arrivals.find(({ end }) => end > start + framed.samplesIn)?.chunk;
  const over = behind ?? last.end ?? last.failure ?? last.chunks.at(-1) ?? framed;
  const complete = { atUs: over.atUs, seq: over.seq };
  return {
    find: (samples, from) => {
      for (let at = from; at < audio.length; at++) if (isAt(samples, audio, at)) return at;
      return from;
    },
    readyFor: (position, length) => {
      if (length === null || position + length > audio.length) return complete;
      const end = start + position + length;
      const chunk = arrivals.find((arrival) => arrival.end >= end)?.chunk;
      return chunk === undefined ? complete : { atUs: chunk.atUs, seq: chunk.seq };
    },
  };
}

function join(requests: readonly ProviderRequest[], cell: RecordedCell): Int16Array {
  const pieces = requests.map(({ request }) => cell.provider.get(request) ?? new Int16Array(0));
  const joined = new Int16Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}

function arrivalsOf(
  requests: readonly ProviderRequest[],
): { readonly chunk: ProviderChunk; readonly end: number }[] {
  let end = 0;
  return requests.flatMap(({ chunks }) =>
    chunks.map((chunk) => {
      end += chunk.samples;
      return { chunk, end };
    }),
  );
}

/** Whether `samples` are those of `audio` from `at` on; zeros may follow where that ends. */
function isAt(samples: Int16Array, audio: Int16Array, at: number): boolean {
  for (let i = 0; i < samples.length; i++) {
    if (samples[i] !== (at + i < audio.length ? audio[at + i] : 0)) return false;
  }
  return true;
}

/** All messages to the board, as the two ends saw them. */
class Traffic {
  readonly #frames: readonly ServerFrame[];
  /** Index into the audio that was sent of each frame's first sample. */
  readonly #offsets = new Map<ServerFrame, number>();

  constructor(frames: readonly ServerFrame[]) {
    this.#frames = frames;
    let offset = 0;
    for (const frame of [...frames].sort((a, b) => a.seq - b.seq)) {
      this.#offsets.set(frame, offset);
      offset += frame.samples;
    }
  }

  audio(frame: ServerFrame, sent: Int16Array): Int16Array {
    const offset = this.#offsets.get(frame)!;
    return sent.subarray(offset, offset + frame.samples);
  }

  /** The server waited for room in the socket before it wrote this. */
  isCrowded({ connection, atUs, seq }: ServerFrame): boolean {
    let bytes = 0;
    for (const other of this.#frames) {
      if (other.connection !== connection || other.seq >= seq) continue;
      if (other.received === null || other.received.atUs >= atUs) bytes += other.bytes;
    }
    return bytes > crowdedBytes;
  }

  /** The main loop was so far behind that the socket was not read when this arrived. */
  boardIsFull({ connection, received }: ServerFrame): boolean {
    if (received === null) return false;
    const waiting = this.#frames.filter(
      (other) =>
        other.connection === connection &&
        other.received !== null &&
        other.received.seq < received.seq &&
        (other.handled === null || other.handled.atUs >= received.atUs),
    );
    return waiting.length >= boardQueue;
  }
}
