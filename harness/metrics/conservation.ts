/**
 * The ledger of samples from the provider to the speaker. Every difference between two stages has a
 * named cause that the trace proves; what is left is unexplained, and that is a defect of the
 * harness or of the device under test, never noise. All counts are 16 kHz samples.
 */
import {
  type Conversation,
  type HandledAudio,
  type Mark,
  type ProviderRequest,
  requestsFor,
  type Sentence,
  type ServerFrame,
} from './conversation.ts';
import { type Playback, pushedSamples } from './playback.ts';
import { accountPlayer } from './player-account.ts';
import { chunkSamples } from './player-schedule.ts';
import type { RecordedCell } from './recorded-cell.ts';
import {
  type ConservationStage,
  type Difference,
  type LedgerTurn,
  SampleBook,
  type SampleLedger,
  type Unexplained,
} from './sample-ledger.ts';

export interface Conservation {
  /** Of the whole cell. */
  readonly ledger: SampleLedger;
  /** What belongs to no turn: the hello sound, and what it left or found in the player. */
  readonly outside: SampleLedger;
  /** In the order of the turns. They and `outside` add up to `ledger`. */
  readonly turns: readonly TurnLedger[];
  /** At which rates the providers' audio came, and how much. */
  readonly sources: readonly SourceAudio[];
  /** Null for a stage the recording knows nothing about. */
  readonly stages: Readonly<Record<ConservationStage, number | null>>;
  readonly differences: readonly Difference[];
  readonly unexplained: readonly Unexplained[];
  /** Sum of the magnitudes of all unexplained differences: they never cancel out. */
  readonly unexplainedSamples: number;
}

export interface TurnLedger {
  readonly turn: number;
  readonly ledger: SampleLedger;
  /**
   * False: what was left in the player from one sound to the next is not on the recording, so up to
   * 255 of the samples played may belong to the sound before or after.
   */
  readonly restKnown: boolean;
}

export interface SourceAudio {
  readonly rateHz: number;
  /** Sample frames at that rate. Of an answer that did not end properly what its 16 kHz samples are worth. */
  readonly frames: number;
}

export function measureConservation(
  conversation: Conversation,
  playbacks: readonly Playback[],
  cell: RecordedCell,
): Conservation {
  const book = new SampleBook();
  const { requests, frames, sentences } = conversation;
  const audioFrames = frames.filter(({ samples }) => samples > 0);
  const turns = new TurnFinder(conversation);

  const utterances = utterancesOf(requests);
  const sources = new Map<number, number>();
  for (const utterance of utterances) {
    accountSource(utterance, turns, sources, book);
    checkNormalised(utterance, cell, book);
    checkTaken(utterance, conversation, turns, book);
  }
  for (const sentence of sentences) checkFramed(sentence, book);
  checkSent(audioFrames, cell, book);
  for (const frame of audioFrames) {
    const turn = turns.ofFrame(frame);
    book.count('framed', frame.samples, turn);
    if (arrivalOf(frame) !== null) book.count('received', frame.samples, turn);
  }
  const deviceSeen = conversation.boots.length > 0;
  let boardTold = false;
  if (deviceSeen) {
    checkDelivered(frames, conversation, turns, book);
    for (const audio of conversation.handledAudio) {
      book.count('decoded', audio.samples, turns.ofAudio(audio));
    }
    for (const playback of playbacks) checkPlayed(playback, book);
    boardTold = accountPlayer(conversation, playbacks, (audio) => turns.ofAudio(audio), book);
  }

  const framesSeen = audioFrames.length > 0;
  const providerSeen = requests.some(({ chunks }) => chunks.length > 0);
  const stagesSeen: readonly [ConservationStage, boolean][] = [
    ['provider', providerSeen],
    ['normalised', providerSeen],
    ['framed', framesSeen],
    ['received', deviceSeen && framesSeen],
    ['decoded', deviceSeen],
    ['pushed', boardTold],
    ['played', boardTold],
  ];
  const known = new Set(stagesSeen.filter(([, seen]) => seen).map(([stage]) => stage));
  const numbers = conversation.turns.map(({ number }) => number);
  const ledger = book.ledger([...numbers, null], known);
  return {
    ledger,
    outside: book.ledger([null], known),
    turns: numbers.map((turn) => ({
      turn,
      ledger: book.ledger([turn], known),
      restKnown: playbacks.every(
        ({ sentence, restCertain }) => sentence.turn !== turn || restCertain,
      ),
    })),
    sources: [...sources].map(([rateHz, count]) => ({ rateHz, frames: count })),
    stages: Object.fromEntries(
      ledger.map(({ stage, samples }) => [stage, samples]),
    ) as Conservation['stages'],
    differences: ledger.flatMap(({ differences }) => differences),
    unexplained: book.unexplained,
    unexplainedSamples: sumOf(book.unexplained, ({ samples }) => Math.abs(samples)),
  };
}

/** Which turn of the scenario something belongs to. */
class TurnFinder {
  readonly #ofServerTurn = new Map<number, number>();
  readonly #ofAudio = new Map<HandledAudio, number | null>();

  constructor({ turns, sentences, frames }: Conversation) {
    for (const { number, serverTurns } of turns) {
      for (const { turn } of serverTurns) this.#ofServerTurn.set(turn, number);
    }
    for (const { board, turn } of sentences) {
      for (const audio of board?.arrivals ?? []) this.#ofAudio.set(audio, turn);
    }
    for (const frame of frames) {
      if (frame.handled !== null) this.#ofAudio.set(frame.handled, this.ofFrame(frame));
    }
  }

  ofFrame({ turn }: ServerFrame): LedgerTurn {
    return this.#ofServerTurn.get(turn) ?? null;
  }

  ofRequest({ serverTurn }: ProviderRequest): LedgerTurn {
    return serverTurn === null ? null : (this.#ofServerTurn.get(serverTurn) ?? null);
  }

  ofAudio(audio: HandledAudio): LedgerTurn {
    return this.#ofAudio.get(audio) ?? null;
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

/**
 * What the source frames are worth at 16 kHz: exactly, and to the sample. Without a complete answer
 * nothing is known of them but what was yielded.
 */
function sourceAudio(
  utterance: readonly ProviderRequest[],
): SourceAudio & { readonly exact: number } {
  const yielded = sumOf(utterance, yieldedSamples);
  const chunks = utterance.flatMap((request) => request.chunks);
  const rateHz = chunks.find(({ sourceRateHz }) => sourceRateHz > 0)?.sourceRateHz ?? 16_000;
  const end = utterance.find((request) => request.end !== null)?.end;
  if (end == null) {
    return { rateHz, frames: Math.round((yielded * rateHz) / 16_000), exact: yielded };
  }
  return { rateHz, frames: end.sourceFrames, exact: (end.sourceFrames * 16_000) / rateHz };
}

function accountSource(
  utterance: readonly ProviderRequest[],
  turns: TurnFinder,
  sources: Map<number, number>,
  book: SampleBook,
): void {
  const { rateHz, frames, exact } = sourceAudio(utterance);
  const turn = turns.ofRequest(utterance[0]!);
  const yielded = sumOf(utterance, yieldedSamples);
  if (frames > 0) sources.set(rateHz, (sources.get(rateHz) ?? 0) + frames);
  book.count('provider', Math.round(exact), turn);
  book.count('normalised', yielded, turn);
  // A clip at another rate ends between two samples of ours: either neighbor is right. An utterance
  // of several requests has a clip for each.
  if (Math.abs(yielded - exact) < utterance.length) {
    book.explain('resampling', yielded - Math.round(exact), turn);
  }
}

function checkNormalised(
  utterance: readonly ProviderRequest[],
  cell: RecordedCell,
  book: SampleBook,
): void {
  const yielded = sumOf(utterance, yieldedSamples);
  const { exact } = sourceAudio(utterance);
  const owed = Math.abs(yielded - exact) < utterance.length ? yielded : Math.round(exact);
  const marks = utterance.flatMap(({ written, end }) => [written, end]);
  const place = {
    sentence: utterance[0]!.sentence,
    seqs: marks.flatMap((mark) => (mark === null ? [] : [mark.seq])),
  };
  const name = `request ${utterance.map(({ request }) => request).join(' + ')}`;
  book.expect('normalised', `samples of ${name}`, yielded, owed, place);
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
  turns: TurnFinder,
  book: SampleBook,
): void {
  const { sentence: first } = utterance[0]!;
  if (first === null) return;
  const spoken = conversation.sentences.filter((sentence) =>
    requestsFor(conversation.requests, sentence).includes(utterance[0]!),
  );
  const yielded = sumOf(utterance, yieldedSamples);
  const taken = sumOf(spoken, takenSamples);
  if (taken < yielded && spoken.some((sentence) => wasCut(sentence, conversation))) {
    book.explain('interrupted', taken - yielded, turns.ofRequest(utterance[0]!));
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

function checkFramed(sentence: Sentence, book: SampleBook): void {
  const { framed, frames, turn, number } = sentence;
  if (framed === null) return;
  const place = { turn, sentence: number, seqs: [framed.seq] };
  // Recordings before the two were told apart have them in `lostSamples` only.
  const { remainderSamples = 0, tailSamples = 0 } = framed;
  book.explain('padding', framed.paddedSamples, turn);
  book.explain('remainder', -remainderSamples, turn);
  book.explain('tail', -tailSamples, turn);
  book.explain('lost', remainderSamples + tailSamples - framed.lostSamples, turn);
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

function checkSent(frames: readonly ServerFrame[], cell: RecordedCell, book: SampleBook): void {
  if (cell.sent.length === 0 && frames.length === 0) return;
  const seqs = frames.slice(-1).map(({ seq }) => seq);
  const total = sumOf(frames, ({ samples }) => samples);
  book.expect('framed', 'samples in sent.wav', cell.sent.length, total, { seqs });
}

/** A message the board could not decode has arrived nevertheless. */
function arrivalOf({ received, rejected }: ServerFrame): Mark | null {
  return received ?? rejected;
}

function checkDelivered(
  frames: readonly ServerFrame[],
  conversation: Conversation,
  turns: TurnFinder,
  book: SampleBook,
): void {
  for (const frame of frames) {
    const turn = turns.ofFrame(frame);
    const place = { turn, sentence: frame.sentence, seqs: [frame.seq] };
    const name = `frame ${frame.frame} of connection ${frame.connection}`;
    // A socket delivers in order: what is missing must be at the end of its connection.
    const later = (test: (other: ServerFrame) => boolean) =>
      conversation.frames.some(
        (other) =>
          other.connection === frame.connection && other.frame > frame.frame && test(other),
      );
    if (frame.concealedSamples > 0 && frame.handled !== null) {
      book.explain('concealed', frame.concealedSamples, turn);
    }
    if (frame.samples === 0) continue;
    if (arrivalOf(frame) === null) {
      if (later((other) => arrivalOf(other) !== null)) {
        book.expect('received', `samples received of ${name}`, 0, frame.samples, place);
      } else book.explain('inFlight', -frame.samples, turn);
    } else if (frame.handled === null) {
      if (frame.rejected !== null) book.explain('rejected', -frame.samples, turn);
      else if (later(({ handled }) => handled !== null)) {
        book.expect('decoded', `samples handled of ${name}`, 0, frame.samples, place);
      } else book.explain('unread', -frame.samples, turn);
    } else {
      const owed = frame.samples + frame.concealedSamples;
      book.expect('decoded', `samples of ${name}`, frame.handled.samples, owed, place);
    }
  }
}

/** For a sentence played to its end: the chunks that left the player are those that went in. */
function checkPlayed({ sentence, board, schedule }: Playback, book: SampleBook): void {
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

function sumOf<Item>(items: readonly Item[], value: (item: Item) => number): number {
  return items.reduce((sum, item) => sum + value(item), 0);
}
