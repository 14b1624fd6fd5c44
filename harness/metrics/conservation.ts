/**
 * The ledger of samples from the provider to the speaker. Every difference between two stages has a
 * named cause that the trace proves; what is left is unexplained, and that is a defect of the
 * harness or of the device under test, never noise. All counts are 16 kHz samples.
 */
import {
  type Conversation,
  type ProviderRequest,
  requestsFor,
  type Sentence,
  type ServerFrame,
} from './conversation.ts';
import { type Playback, pushedSamples } from './playback.ts';
import { chunkSamples } from './player-schedule.ts';
import type { RecordedCell } from './recorded-cell.ts';

export const conservationStages = [
  'provider', // sample frames decoded at the provider's rate, converted to 16 kHz by arithmetic
  'normalised', // samples the adapter yielded
  'framed', // samples in frames written to the board
  'received', // samples in frames that arrived at the board
  'decoded', // samples the board decoded
  'pushed', // samples meant for the player: accepted by the board, hello sound included
  'played', // samples that left the player
] as const;
export type ConservationStage = (typeof conservationStages)[number];

export const differenceCauses = {
  interrupted: 'taken from the provider but not framed, because the sentence was cut',
  padding: 'zeros that fill the last frame',
  lost: 'dropped by the framer (lossy mode, or a cut sentence)',
  inFlight: 'written, but the connection or the recording ended first',
  rejected: 'the board could not decode the message',
  unread: 'arrived, but the board took nothing more from this connection',
  dropped: 'thrown away by the board because of its state',
  holdDiscarded: 'held back by the board and then thrown away',
  held: 'still held back at the end',
  hello: 'hello sound or beep, played by the board itself',
  cleared: 'queued and thrown away by an interruption or a restart',
  queued: 'still queued at the end',
  rest: 'does not fill a chunk of 256',
} as const;
export type DifferenceCause = keyof typeof differenceCauses;

export interface Difference {
  readonly to: ConservationStage;
  readonly cause: DifferenceCause;
  /** Signed: what the cause adds on the way to stage `to`. */
  readonly samples: number;
}

export interface Unexplained {
  readonly to: ConservationStage;
  readonly samples: number;
  readonly what: string;
  readonly turn: number | null;
  readonly sentence: number | null;
  readonly seqs: readonly number[];
}

export interface Conservation {
  /** Null for a stage the recording knows nothing about. */
  readonly stages: Readonly<Record<ConservationStage, number | null>>;
  readonly differences: readonly Difference[];
  readonly unexplained: readonly Unexplained[];
  /** Sum of the magnitudes of all unexplained differences: they never cancel out. */
  readonly unexplainedSamples: number;
}

export function measureConservation(
  conversation: Conversation,
  playbacks: readonly Playback[],
  cell: RecordedCell,
): Conservation {
  const book = new Book();
  const { requests, frames, sentences } = conversation;
  const audioFrames = frames.filter(({ samples }) => samples > 0);

  const utterances = utterancesOf(requests);
  for (const utterance of utterances) {
    checkNormalised(utterance, cell, book);
    checkTaken(utterance, conversation, book);
  }
  const normalised = sumOf(requests, yieldedSamples);
  for (const sentence of sentences) checkFramed(sentence, book);
  checkSent(audioFrames, cell, book);
  const deviceSeen = conversation.boots.length > 0;
  if (deviceSeen) {
    checkDelivered(audioFrames, conversation, book);
    for (const playback of playbacks) checkPlayed(playback, book);
  }
  const received = audioFrames.filter((frame) => frame.received !== null);
  const pushed = deviceSeen ? checkBoard(conversation, playbacks, book) : null;
  const knowsProvider = requests.some(({ chunks }) => chunks.length > 0);
  return {
    stages: {
      provider: knowsProvider ? sumOf(utterances, sourceSamples) : null,
      normalised: knowsProvider ? normalised : null,
      framed: audioFrames.length > 0 ? sumOf(audioFrames, ({ samples }) => samples) : null,
      received: deviceSeen ? sumOf(received, ({ samples }) => samples) : null,
      decoded: deviceSeen ? sumOf(conversation.handledAudio, ({ samples }) => samples) : null,
      pushed,
      played: conversation.ledger?.playedSamples ?? null,
    },
    differences: book.differences(),
    unexplained: book.unexplained,
    unexplainedSamples: sumOf(book.unexplained, ({ samples }) => Math.abs(samples)),
  };
}

type Place = Partial<Pick<Unexplained, 'turn' | 'sentence' | 'seqs'>>;

class Book {
  readonly unexplained: Unexplained[] = [];
  readonly #explained = new Map<
    string,
    { to: ConservationStage; cause: DifferenceCause; n: number }
  >();

  explain(to: ConservationStage, cause: DifferenceCause, samples: number): void {
    const key = `${to}:${cause}`;
    const entry = this.#explained.get(key) ?? { to, cause, n: 0 };
    entry.n += samples;
    this.#explained.set(key, entry);
  }

  /** Notes that `actual` should have been `expected`. */
  expect(
    to: ConservationStage,
    what: string,
    actual: number,
    expected: number,
    place: Place,
  ): void {
    if (actual === expected) return;
    const samples = actual - expected;
    const text = `${what}: ${actual}, expected ${expected}`;
    this.unexplained.push({
      to,
      samples,
      what: text,
      turn: null,
      sentence: null,
      seqs: [],
      ...place,
    });
  }

  differences(): Difference[] {
    return [...this.#explained.values()]
      .filter(({ n }) => n !== 0)
      .map(({ to, cause, n }) => ({ to, cause, samples: n }));
  }
}

function yieldedSamples({ chunks }: ProviderRequest): number {
  return sumOf(chunks, ({ samples }) => samples);
}

/** A text that needs several requests is one utterance: its `end` closes them all. */
function utterancesOf(requests: readonly ProviderRequest[]): ProviderRequest[][] {
  const utterances = new Map<string, ProviderRequest[]>();
  for (const request of requests) {
    const key = `${request.serverTurn} ${request.sentence ?? request.request}`;
    utterances.set(key, [...(utterances.get(key) ?? []), request]);
  }
  return [...utterances.values()];
}

/** What the source frames are worth at 16 kHz; without a complete answer nothing is known of them. */
function sourceSamples(utterance: readonly ProviderRequest[]): number {
  const yielded = sumOf(utterance, yieldedSamples);
  const chunks = utterance.flatMap((request) => request.chunks);
  const rateHz = chunks.find(({ sourceRateHz }) => sourceRateHz > 0)?.sourceRateHz;
  const end = utterance.find((request) => request.end !== null)?.end;
  if (end == null || rateHz === undefined) return yielded;
  const exact = (end.sourceFrames * 16_000) / rateHz;
  // A clip at another rate ends between two samples of ours: either neighbor is right. An utterance
  // of several requests has a clip for each.
  return Math.abs(yielded - exact) < utterance.length ? yielded : Math.round(exact);
}

function checkNormalised(
  utterance: readonly ProviderRequest[],
  cell: RecordedCell,
  book: Book,
): void {
  const yielded = sumOf(utterance, yieldedSamples);
  const marks = utterance.flatMap(({ written, end }) => [written, end]);
  const place = {
    sentence: utterance[0]!.sentence,
    seqs: marks.flatMap((mark) => (mark === null ? [] : [mark.seq])),
  };
  const name = `request ${utterance.map(({ request }) => request).join(' + ')}`;
  book.expect('normalised', `samples of ${name}`, yielded, sourceSamples(utterance), place);
  const end = utterance.find((request) => request.end !== null)?.end;
  if (end != null) {
    book.expect('normalised', `samples the end of ${name} states`, end.samples, yielded, place);
  }
  for (const request of utterance) {
    const audio = cell.provider.get(request.request);
    if (audio === undefined) continue;
    const what = `recorded samples of request ${request.request}`;
    book.expect('normalised', what, audio.length, yieldedSamples(request), place);
  }
}

/** From what the adapter yielded to what the framer took: per request, as one may speak many sentences. */
function checkTaken(
  utterance: readonly ProviderRequest[],
  conversation: Conversation,
  book: Book,
): void {
  const { sentence: first } = utterance[0]!;
  if (first === null) return;
  const spoken = conversation.sentences.filter((sentence) =>
    requestsFor(conversation.requests, sentence).includes(utterance[0]!),
  );
  const yielded = sumOf(utterance, yieldedSamples);
  const taken = sumOf(spoken, takenSamples);
  if (taken < yielded && spoken.some((sentence) => wasCut(sentence, conversation))) {
    book.explain('framed', 'interrupted', taken - yielded);
    return;
  }
  const ledgers = spoken.flatMap(({ framed }) => (framed === null ? [] : [framed.seq]));
  book.expect('framed', `samples taken of sentence ${first} and on`, taken, yielded, {
    turn: spoken[0]?.turn ?? null,
    sentence: first,
    seqs: ledgers,
  });
}

/** A sentence without a ledger was cut in the middle; its frames are all that is known of it. */
function takenSamples({ framed, frames }: Sentence): number {
  return framed?.samplesIn ?? sumOf(frames, ({ samples }) => samples);
}

function checkFramed(sentence: Sentence, book: Book): void {
  const { framed, frames, turn, number } = sentence;
  if (framed === null) return;
  const place = { turn, sentence: number, seqs: [framed.seq] };
  book.explain('framed', 'padding', framed.paddedSamples);
  book.explain('framed', 'lost', -framed.lostSamples);
  const owed = framed.samplesIn + framed.paddedSamples - framed.lostSamples;
  const inFrames = sumOf(frames, ({ samples }) => samples);
  book.expect('framed', 'in + padding - lost of the framer', framed.samplesOut, owed, place);
  book.expect('framed', 'samples in the frames written', inFrames, framed.samplesOut, place);
}

/** The sentence may end anywhere: its turn was interrupted or failed, or the recording stops in it. */
function wasCut(sentence: Sentence, conversation: Conversation): boolean {
  const turn = conversation.turns.find(({ number }) => number === sentence.turn);
  const server = turn?.serverTurns.find((candidate) => candidate.turn === sentence.serverTurn);
  const outcome = server?.ended?.outcome;
  if (outcome === undefined || outcome === 'interrupted') return true;
  const broken = (turn?.requests ?? []).filter((r) => r.cancelled !== null || r.failure !== null);
  if (outcome === 'failed' && broken.length === 0) return true;
  return requestsFor(conversation.requests, sentence).some((request) => broken.includes(request));
}

function checkSent(frames: readonly ServerFrame[], cell: RecordedCell, book: Book): void {
  if (cell.sent.length === 0 && frames.length === 0) return;
  const seqs = frames.slice(-1).map(({ seq }) => seq);
  const total = sumOf(frames, ({ samples }) => samples);
  book.expect('framed', 'samples in sent.wav', cell.sent.length, total, { seqs });
}

function checkDelivered(
  frames: readonly ServerFrame[],
  conversation: Conversation,
  book: Book,
): void {
  for (const frame of frames) {
    const place = { sentence: frame.sentence, seqs: [frame.seq] };
    const name = `frame ${frame.frame} of connection ${frame.connection}`;
    // A socket delivers in order: what is missing must be at the end of its connection.
    const later = (test: (other: ServerFrame) => boolean) =>
      conversation.frames.some(
        (other) =>
          other.connection === frame.connection && other.frame > frame.frame && test(other),
      );
    if (frame.received === null) {
      if (later(({ received }) => received !== null)) {
        book.expect('received', `samples received of ${name}`, 0, frame.samples, place);
      } else book.explain('received', 'inFlight', -frame.samples);
    } else if (frame.handled === null) {
      if (frame.rejected !== null) book.explain('decoded', 'rejected', -frame.samples);
      else if (later(({ handled }) => handled !== null)) {
        book.expect('decoded', `samples handled of ${name}`, 0, frame.samples, place);
      } else book.explain('decoded', 'unread', -frame.samples);
    } else {
      book.expect('decoded', `samples of ${name}`, frame.handled.samples, frame.samples, place);
    }
  }
}

/** For a sentence played to its end: the chunks that left the player are those that went in. */
function checkPlayed({ sentence, board, schedule }: Playback, book: Book): void {
  if (board.drained === null || board.playStart === null || schedule === null) return;
  const place = {
    turn: sentence.turn,
    sentence: sentence.number ?? board.number,
    seqs: [board.playStart.seq, board.drained.seq],
  };
  const end = board.drained.position;
  const empty = board.underruns
    .filter(({ position }) => position < end)
    .reduce((sum, { cycles }) => sum + (cycles ?? 0), 0);
  const played = end - board.playStart.position - empty * chunkSamples;
  const owed = schedule.restBefore + pushedSamples(board);
  const { restSamples: rest, paddedSamples: padding } = board.drained;
  const found = played - padding + rest;
  book.expect('played', 'samples played + rest of the sentence', found, owed, place);
}

/** @returns samples handed to the player, or null when the board left no ledger. */
function checkBoard(
  conversation: Conversation,
  playbacks: readonly Playback[],
  book: Book,
): number | null {
  const { ledger, heldAtEnd, discardedHold, handledAudio } = conversation;
  const droppedAudio = handledAudio.filter(({ disposition }) => disposition === 'dropped');
  const dropped = sumOf(droppedAudio, ({ samples }) => samples);
  const discarded = sumOf(discardedHold, ({ samples }) => samples);
  const answers = sumOf(playbacks, ({ board }) => pushedSamples(board));
  const decoded = sumOf(handledAudio, ({ samples }) => samples);
  const seqs = ledger === null ? [] : [ledger.seq];
  book.explain('pushed', 'dropped', -dropped);
  const accepted = answers + discarded + heldAtEnd;
  book.expect('pushed', 'samples of answers', accepted, decoded - dropped, { seqs });
  if (ledger === null) return null;

  const hello = ledger.pushedSamples - accepted;
  if (hello >= 0) book.explain('pushed', 'hello', hello);
  else book.expect('pushed', 'samples in the ledger', ledger.pushedSamples, accepted, { seqs });
  book.expect('pushed', 'samples held at the end', ledger.heldSamples, heldAtEnd, { seqs });
  const last = playbacks.at(-1);
  const lasts = last?.board.boot.endedUs === null && !conversation.helloAtEnd;
  if (last?.schedule != null && last.restCertain && lasts) {
    const { restAfter } = last.schedule;
    book.expect('played', 'rest in the player', ledger.restSamples, restAfter, { seqs });
  }
  const cleared = sumOf(conversation.cleared, ({ samples }) => samples);
  book.expect('played', 'samples cleared', ledger.clearedSamples, cleared, { seqs });
  book.explain('played', 'cleared', discarded - ledger.clearedSamples);
  book.explain('played', 'holdDiscarded', -discarded);
  book.explain('played', 'queued', -ledger.queuedSamples);
  book.explain('played', 'held', -ledger.heldSamples);
  book.explain('played', 'rest', -ledger.restSamples);
  const { pushedSamples: pushed, clearedSamples, queuedSamples, heldSamples, restSamples } = ledger;
  const owed = pushed - clearedSamples - queuedSamples - heldSamples - restSamples;
  book.expect('played', 'samples the player played', ledger.playedSamples, owed, { seqs });
  return ledger.pushedSamples;
}

function sumOf<Item>(items: readonly Item[], value: (item: Item) => number): number {
  return items.reduce((sum, item) => sum + value(item), 0);
}
