/**
 * What a prebuffer of the board would have changed: how much later the answer begins, against the underruns that are
 * left. Computed from the arrivals at the main loop, once for every prebuffer, by the player formulas.
 *
 * A prebuffer is what `DeviceProfile.prebufferMs` says: so much of a sentence is queued in the player, or all of it, before
 * its first chunk is played; after an underrun the player goes on at once. It makes the end of a sentence later, and so
 * the messages of the next one, which the main loop does not take before (EchoKit device protocol reference, section 5.4).
 */
import { findAudible } from './audibility.ts';
import type { Conversation } from './conversation.ts';
import { type Playback, readPlaybacks } from './playback.ts';
import { chunkSamples, cycleUs, type PlayerMessage, schedulePlayer } from './player-schedule.ts';
import { type RecordedCell, samplesToUs } from './recorded-cell.ts';

export interface PrebufferPoint {
  /** Audio of a sentence that is queued before it is played. A multiple of 16 ms. */
  readonly prebufferMs: number;
  /** How much later than without the first chunk of a turn is played, the mean of the turns. */
  readonly startDelayMs: number;
  /** The user's last voiced sample → first audible sample, the mean of the turns; null: nothing was audible. */
  readonly firstSoundMs: number | null;
  readonly underruns: number;
  readonly underrunMs: number;
}

export interface PrebufferCurve {
  /** Turns that it rests on: those whose answer was heard to its end. */
  readonly turns: number;
  /** From no prebuffer to the first without an underrun, or to the longest there is, in steps of a cycle. */
  readonly points: readonly PrebufferPoint[];
  /**
   * The point farthest below the straight line from the first to the last: less buffers little and more costs much. Null
   * without turns.
   */
  readonly knee: PrebufferPoint | null;
  /** The smallest prebuffer without an underrun; null when {@link longestPrebufferMs} is not enough. */
  readonly enoughMs: number | null;
}

/** Beyond it nobody waits. */
export const longestPrebufferMs = 10_000;

/** The curve of recordings of one kind: the same provider on the same network. */
export function prebufferCurve(
  cells: readonly { readonly conversation: Conversation; readonly cell: RecordedCell }[],
): PrebufferCurve {
  const turns = cells.flatMap(({ conversation, cell }) => answersOf(conversation, cell));
  const points: PrebufferPoint[] = [];
  for (let ms = 0; turns.length > 0 && ms <= longestPrebufferMs; ms += cycleUs / 1000) {
    points.push(pointOf(turns, ms));
    if (points.at(-1)!.underruns === 0) break;
  }
  return { turns: turns.length, points, ...summaryOf(points) };
}

function summaryOf(points: readonly PrebufferPoint[]): Pick<PrebufferCurve, 'knee' | 'enoughMs'> {
  const last = points.at(-1);
  if (last === undefined) return { knee: null, enoughMs: null };
  return { knee: kneeOf(points), enoughMs: last.underruns === 0 ? last.prebufferMs : null };
}

/** Of points as far below the line, the earliest. */
function kneeOf(points: readonly PrebufferPoint[]): PrebufferPoint {
  const [first, last] = [points[0]!, points.at(-1)!];
  const delays = last.startDelayMs - first.startDelayMs;
  const gains = first.underrunMs - last.underrunMs;
  let knee = first;
  let farthest = 0;
  for (const point of points) {
    if (delays === 0 || gains <= 0) break;
    const delay = (point.startDelayMs - first.startDelayMs) / delays;
    const gain = (first.underrunMs - point.underrunMs) / gains;
    if (gain - delay <= farthest) continue;
    farthest = gain - delay;
    knee = point;
  }
  return knee;
}

/** The sentences of one turn, as they reached the board. */
interface Answer {
  readonly userStopUs: number | null;
  /** First chunk with an audible sample, and that sample's place in it. */
  readonly audible: {
    readonly sentence: number;
    readonly chunk: number;
    readonly offset: number;
  } | null;
  readonly sentences: readonly ArrivedSentence[];
  readonly waitsForDrain: boolean;
}

interface ArrivedSentence {
  readonly playback: Playback;
  /** As recorded, in order; the start message first, the end marker last. */
  readonly messages: readonly PlayerMessage[];
  readonly restSamples: number;
}

function answersOf(conversation: Conversation, cell: RecordedCell): Answer[] {
  const playbacks = readPlaybacks(conversation, cell);
  return conversation.turns.flatMap((turn): Answer[] => {
    const own = playbacks.filter(({ sentence }) => sentence.turn === turn.number);
    const arrived = own.map(arrivedSentence);
    if (arrived.length === 0 || arrived.some((sentence) => sentence === null)) return [];
    return [
      {
        userStopUs: turn.userStop?.atUs ?? null,
        audible: firstAudibleChunk(own, cell),
        sentences: arrived as ArrivedSentence[],
        waitsForDrain: !own[0]!.board.boot.quirksOff.includes('Q16'),
      },
    ];
  });
}

/** Null: it was cut off, or not all is known of it. */
function arrivedSentence(playback: Playback): ArrivedSentence | null {
  const { board, restBefore } = playback;
  const { ended, drained, cleared, abandoned } = board;
  if (ended === null || drained === null || cleared !== null || abandoned !== null) return null;
  if (restBefore === null) return null;
  const sentence = board.number;
  const audio = board.arrivals.filter(({ disposition }) => disposition === 'played');
  const messages: (PlayerMessage & { readonly seq: number })[] = [
    ...[board.startPosted, ...board.otherMessages].map(
      ({ atUs, seq }) => ({ atUs, seq, sentence, kind: 'other' }) as const,
    ),
    ...audio.map(
      ({ atUs, seq, samples }) => ({ atUs, seq, sentence, kind: 'samples', samples }) as const,
    ),
  ];
  const { atUs, seq, releasedSamples } = { ...ended, releasedSamples: board.releasedSamples };
  if (releasedSamples > 0) {
    messages.push({ atUs, seq, sentence, kind: 'samples', samples: releasedSamples });
  }
  messages.push({ atUs, seq, sentence, kind: 'end' });
  // Stable: the held block stays in front of its end marker.
  messages.sort((a, b) => a.atUs - b.atUs || a.seq - b.seq);
  return { playback, messages, restSamples: restBefore };
}

function firstAudibleChunk(playbacks: readonly Playback[], cell: RecordedCell): Answer['audible'] {
  for (const [sentence, { startPosition, endPosition, board }] of playbacks.entries()) {
    if (startPosition === null || endPosition === null) continue;
    const range = findAudible(cell.speaker, startPosition, endPosition);
    if (range === null) continue;
    const { position } = board.playStart!;
    const before = board.underruns.filter((run) => run.position < range.first);
    const empty = before.reduce((sum, { cycles }) => sum + (cycles ?? 0), 0);
    const samples = range.first - position;
    return {
      sentence,
      chunk: Math.floor(samples / chunkSamples) - empty,
      offset: samples % chunkSamples,
    };
  }
  return null;
}

function pointOf(answers: readonly Answer[], prebufferMs: number): PrebufferPoint {
  const played = answers.map((answer) => play(answer, prebufferMs));
  const usual = answers.map((answer) => play(answer, 0));
  const sounds = played.flatMap(({ firstSoundUs }) =>
    firstSoundUs === null ? [] : [firstSoundUs],
  );
  const sum = (values: readonly number[]): number =>
    values.reduce((total, value) => total + value, 0);
  const delays = played.map(({ startUs }, i) => startUs - usual[i]!.startUs);
  return {
    prebufferMs,
    startDelayMs: sum(delays) / delays.length / 1000,
    firstSoundMs: sounds.length === 0 ? null : sum(sounds) / sounds.length / 1000,
    underruns: sum(played.map(({ underruns }) => underruns)),
    underrunMs: sum(played.map(({ emptyCycles }) => emptyCycles)) * (cycleUs / 1000),
  };
}

/** One turn with a prebuffer. */
function play({ sentences, audible, userStopUs, waitsForDrain }: Answer, prebufferMs: number) {
  const prebufferChunks = Math.ceil((prebufferMs * 1000) / cycleUs);
  let startUs: number | null = null;
  let firstSoundUs: number | null = null;
  let underruns = 0;
  let emptyCycles = 0;
  /** The main loop goes on with the next sentence. */
  let goesOnUs = 0;
  for (const [index, { playback, messages, restSamples }] of sentences.entries()) {
    const { boot, started, startPosted } = playback.board;
    // Drawing the text of the sentence takes as long as it took.
    const postedUs = goesOnUs + startPosted.atUs - started.atUs;
    const later = messages.map((message) => ({
      ...message,
      atUs: Math.max(message.atUs, postedUs),
    }));
    const rules = { ...boot.rules, prebufferChunks };
    const toUs = (cycle: number): number => boot.speakerStartUs + cycle * cycleUs;
    const [schedule] = schedulePlayer(
      later,
      boot.speakerStartUs,
      restSamples,
      undefined,
      rules,
      boot.stalls,
    );
    if (schedule === undefined) continue;
    const { firstCycle, emptyRuns, drainedCycle } = schedule;
    if (firstCycle !== null) startUs ??= toUs(firstCycle);
    if (audible?.sentence === index && firstCycle !== null && userStopUs !== null) {
      let cycle = firstCycle + audible.chunk;
      for (const run of emptyRuns) if (run.cycle <= cycle) cycle += run.cycles;
      firstSoundUs = toUs(cycle) + samplesToUs(audible.offset) - userStopUs;
    }
    underruns += emptyRuns.length;
    emptyCycles += emptyRuns.reduce((sum, { cycles }) => sum + cycles, 0);
    // The player tells it with the cycle, and the main loop learns it one microsecond after its beginning.
    if (waitsForDrain && drainedCycle !== null) goesOnUs = toUs(drainedCycle) + 1;
  }
  return { startUs: startUs ?? 0, firstSoundUs, underruns, emptyCycles };
}
