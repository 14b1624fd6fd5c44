/**
 * Whose fault was an underrun? Everything that the player needed has come along four stages: the provider makes it, the
 * server frames it, the network carries it, the board takes it. One stage at a time is made ideal, and the messages of the
 * sentence are given to the player formulas again: what the underrun loses by that, the stage has caused.
 *
 * Ideal is a stage that holds nothing up for longer than it did when the sentence began to play, so that a message is
 * never earlier than in the course of real time. A provider that is merely given infinite speed would hide every fault
 * behind it: the board would have the whole answer before the network stalls.
 */
import type { TraceEvent } from '../trace/trace-event.ts';
import type { Conversation } from './conversation.ts';
import { type Playback, readPlaybacks } from './playback.ts';
import {
  chunkSamples,
  cycleUs,
  type PlayerMessage,
  type PlayerRules,
  schedulePlayer,
} from './player-schedule.ts';
import { type RecordedCell, samplesToUs } from './recorded-cell.ts';
import { type Journey, readJourneys } from './sentence-journey.ts';
import { measureUnderruns, type Underrun } from './underruns.ts';

export const stages = ['provider', 'server', 'network', 'device'] as const;
export type Stage = (typeof stages)[number];

export interface UnderrunBlame {
  readonly turn: number | null;
  readonly sentence: number;
  /** Index into `speaker` of its first zero. */
  readonly position: number;
  readonly atUs: number;
  readonly durationUs: number;
  /** `several`: it takes more than one of them. `unknown`: the recording does not tell. */
  readonly cause: Stage | 'several' | 'unknown';
  /** The stages it takes; the smallest set without which there is nothing left of it, or next to nothing. */
  readonly together: readonly Stage[];
  readonly stages: readonly StageShare[];
  /** In words: what was late, by how much, where in the trace. One entry for each of {@link together}. */
  readonly evidence: readonly BlameEvidence[];
}

export interface StageShare {
  readonly stage: Stage;
  /**
   * How much longer than at the beginning of the sentence the stage held up what ended the underrun; negative: it was
   * ahead. The four add up to this underrun and those before it in the sentence, less than three cycles of 16 ms apart.
   */
  readonly delayUs: number;
  /** How much shorter the underrun is when this stage alone is ideal. */
  readonly savedUs: number;
}

export interface BlameEvidence {
  readonly stage: Stage;
  readonly text: string;
  readonly seqs: readonly number[];
}

/**
 * So much of an underrun may be left when its cause is taken away, and in any case one cycle: the jitter of the others,
 * and the way to the next beginning of a cycle.
 */
const leftOver = 0.2;
/** A stage that was late by less than this share of the latest one has not caused what that one did. */
const negligible = 0.2;

/** Every underrun of the recording, in order, with its cause. */
export function blameUnderruns(
  conversation: Conversation,
  cell: RecordedCell,
): readonly UnderrunBlame[] {
  const playbacks = readPlaybacks(conversation, cell);
  return measureUnderruns(conversation, playbacks, cell).flatMap(({ underruns }, i) => {
    const playback = playbacks[i]!;
    if (underruns.length === 0) return [];
    const journeys = readJourneys(playback.sentence, conversation, cell);
    return underruns.map((underrun, k) => {
      const stretch =
        journeys === null
          ? null
          : stretchBefore(underrun, underruns.slice(0, k), playback, journeys);
      return blame(underrun, stretch, playback, cell);
    });
  });
}

/** The messages from the one with which the sentence began to play to the one that ended the underrun. */
interface Stretch {
  readonly journeys: readonly Journey[];
  /** Of the first of them; the queue was empty before. */
  readonly startCycle: number;
  readonly restSamples: number;
  /** Index of the one that ended the underrun before, or 0. */
  readonly recent: number;
}

function stretchBefore(
  underrun: Underrun,
  earlier: readonly Underrun[],
  { board, restBefore }: Playback,
  journeys: readonly Journey[],
): Stretch | null {
  if (board.playStart === null || restBefore === null || underrun.seqs.length < 2) return null;
  const { position } = board.playStart;
  /** The chunk that was missing. */
  const chunkOf = (gap: Underrun, before: readonly Underrun[]): number =>
    (gap.position - position) / chunkSamples - before.reduce((sum, { cycles }) => sum + cycles, 0);
  /** The message that completes a chunk: audio, or for the one behind the last the end marker. */
  const completing = (wanted: number): number =>
    journeys.findIndex(
      ({ ends, playedBefore, frame }) =>
        ends || Math.floor((restBefore + playedBefore + frame.samples) / chunkSamples) > wanted,
    );
  const first = completing(0);
  const late = completing(chunkOf(underrun, earlier));
  if (first < 0 || late <= first) return null;
  const last = earlier.at(-1);
  const recent = last === undefined ? first : completing(chunkOf(last, earlier.slice(0, -1)));
  return {
    journeys: journeys.slice(first, late + 1),
    startCycle: (position - board.boot.speakerOffset) / chunkSamples,
    restSamples: (restBefore + journeys[first]!.playedBefore) % chunkSamples,
    recent: recent - first,
  };
}

function blame(
  underrun: Underrun,
  stretch: Stretch | null,
  playback: Playback,
  cell: RecordedCell,
): UnderrunBlame {
  const { turn, sentence, position, atUs, durationUs, cycles } = underrun;
  const what = { turn, sentence, position, atUs, durationUs };
  const unknown = { ...what, cause: 'unknown' as const, together: [], stages: [], evidence: [] };
  if (stretch === null) return unknown;
  const { boot } = playback.board;
  const left = (ideal: readonly Stage[]): number => cyclesBeforeLast(stretch, ideal, boot);
  if (left([]) !== cycles) return unknown;

  const late = stretch.journeys.at(-1)!;
  const shares = stages.map((stage): StageShare => {
    const saved = cycles - left([stage]);
    return { stage, delayUs: delayUs(stage, stretch.journeys[0]!, late), savedUs: saved * cycleUs };
  });
  const suffices = (set: readonly Stage[]): boolean =>
    left(set) <= Math.max(1, Math.floor(leftOver * cycles));
  const alone = significant(shares.filter(({ stage }) => suffices([stage])));
  const together = alone.length > 0 ? alone : smallest(suffices, shares);
  return {
    ...what,
    cause: together.length === 1 ? together[0]! : 'several',
    together,
    stages: shares,
    evidence: together.map((stage) => evidenceOf(stage, stretch, playback, underrun, cell)),
  };
}

/** Of stages each of which is enough, those whose delay counts beside the others. */
function significant(shares: readonly StageShare[]): Stage[] {
  const largest = Math.max(...shares.map(({ delayUs }) => delayUs));
  return shares
    .filter(({ delayUs }) => delayUs > 0 && delayUs >= negligible * largest)
    .map(({ stage }) => stage);
}

/** The smallest set that suffices; of several the one with the longest delays. */
function smallest(
  suffices: (set: readonly Stage[]) => boolean,
  shares: readonly StageShare[],
): readonly Stage[] {
  const sets = subsets(shares).sort((a, b) => a.length - b.length || delayOf(b) - delayOf(a));
  const chosen = sets.find((set) => suffices(set.map(({ stage }) => stage))) ?? shares;
  return chosen.map(({ stage }) => stage);
}

function subsets(shares: readonly StageShare[]): StageShare[][] {
  return Array.from({ length: 2 ** shares.length }, (_, bits) =>
    shares.filter((_share, i) => (bits >> i) % 2 === 1),
  ).filter(({ length }) => length > 1);
}

function delayOf(shares: readonly StageShare[]): number {
  return shares.reduce((sum, { delayUs }) => sum + delayUs, 0);
}

/** How much longer the stage took with `journey` than with `first`, in the course of real time. */
function delayUs(stage: Stage, first: Journey, journey: Journey): number {
  const grown = (of: (way: Journey) => number): number => of(journey) - of(first);
  switch (stage) {
    case 'provider':
      return grown(({ ready, contentBefore }) => ready.atUs - samplesToUs(contentBefore));
    case 'server':
      // Audio that it dropped is missing like audio that is late.
      return grown(
        ({ writtenUs, ready, contentBefore, playedBefore }) =>
          writtenUs - ready.atUs + samplesToUs(contentBefore - playedBefore),
      );
    case 'network':
      return grown(({ receivedUs, writtenUs }) => receivedUs - writtenUs);
    case 'device':
      return grown(({ handled, receivedUs }) => handled.atUs - receivedUs);
  }
}

/** Empty cycles in front of what the last message of the stretch brings, when these stages are ideal. */
function cyclesBeforeLast(
  { journeys, startCycle, restSamples }: Stretch,
  ideal: readonly Stage[],
  boot: Playback['board']['boot'],
): number {
  const first = journeys[0]!;
  const fast = ideal.includes('device');
  const rules: PlayerRules = {
    ...boot.rules,
    prebufferChunks: 0,
    oneMessagePerCycle: boot.rules.oneMessagePerCycle && !fast,
  };
  const stalls = fast ? [] : boot.stalls.filter(({ cycle }) => cycle >= startCycle);
  const startedUs = boot.speakerStartUs + startCycle * cycleUs;
  let previousUs = startedUs;
  const messages = journeys.map((journey): PlayerMessage => {
    const gainUs = ideal.reduce(
      (sum, stage) => sum + Math.max(0, delayUs(stage, first, journey)),
      0,
    );
    // What was there before the player began is there when it begins.
    previousUs =
      journey === first ? startedUs : Math.max(previousUs, journey.handled.atUs - gainUs);
    const what = journey.ends
      ? ({ kind: 'end' } as const)
      : ({ kind: 'samples', samples: journey.frame.samples } as const);
    return { atUs: previousUs, sentence: 1, ...what };
  });
  const emptyCycles = (count: number): number => {
    const some = messages.slice(0, count);
    const last = some.at(-1)!;
    // Without an end marker the schedule would wait for one.
    if (last.kind !== 'end') some.push({ atUs: last.atUs, sentence: 1, kind: 'end' });
    const { speakerStartUs } = boot;
    const [schedule] = schedulePlayer(some, speakerStartUs, restSamples, undefined, rules, stalls);
    return (schedule?.emptyRuns ?? []).reduce((sum, run) => sum + run.cycles, 0);
  };
  return emptyCycles(messages.length) - emptyCycles(messages.length - 1);
}

function evidenceOf(
  stage: Stage,
  stretch: Stretch,
  { board }: Playback,
  underrun: Underrun,
  { events }: RecordedCell,
): BlameEvidence {
  const { journeys } = stretch;
  const first = journeys[0]!;
  const [late, before] = steepest(stage, journeys.slice(stretch.recent)) ??
    steepest(stage, journeys) ?? [journeys.at(-1)!, first];
  const message = late.ends ? 'the end of the sentence' : `frame ${late.frame.frame}`;
  const ms = (us: number): string => `${Math.round(us / 1000)} ms`;
  switch (stage) {
    case 'provider':
      return {
        stage,
        text:
          `audio for ${message} came ${ms(late.ready.atUs - before.ready.atUs)} after that for the one before, ` +
          `which lasts ${ms(samplesToUs(late.contentBefore - before.contentBefore))}`,
        seqs: [before.ready.seq, late.ready.seq],
      };
    case 'server': {
      const dropped =
        late.contentBefore - late.playedBefore - (first.contentBefore - first.playedBefore);
      const lost = dropped > 0 ? `, and ${ms(samplesToUs(dropped))} of audio had been dropped` : '';
      return {
        stage,
        text: `${message} was written ${ms(late.writtenUs - late.ready.atUs)} after its audio was there (the first of the sentence ${ms(first.writtenUs - first.ready.atUs)})${lost}`,
        seqs: [late.ready.seq, late.frame.seq],
      };
    }
    case 'network': {
      const troubles = events.filter(
        (event) =>
          event.source === 'network' &&
          event.atUs <= late.receivedUs &&
          untilUs(event) >= late.writtenUs,
      );
      const why = troubles.length === 0 ? '' : ` (${troubles.map(({ type }) => type).join(', ')})`;
      return {
        stage,
        text: `${message} was under way for ${ms(late.receivedUs - late.writtenUs)}${why}, the first of the sentence for ${ms(first.receivedUs - first.writtenUs)}`,
        seqs: [...troubles.map(({ seq }) => seq), late.frame.seq, late.received.seq],
      };
    }
    case 'device': {
      const fromUs = underrun.atUs;
      const stalls = events.filter(
        (event) =>
          event.source === 'device' &&
          event.type === 'playerStalled' &&
          event.atUs >= fromUs - cycleUs &&
          event.atUs <= fromUs + underrun.durationUs,
      );
      if (stalls.length > 0) {
        return {
          stage,
          text: 'the player stood still, because the event queue of the main loop was full',
          seqs: stalls.map(({ seq }) => seq),
        };
      }
      const redraws = events.filter(
        (event) =>
          event.source === 'device' &&
          event.type === 'display' &&
          event.atUs > late.received.atUs &&
          event.atUs <= late.handled.atUs,
      );
      const drawn = redraws.length === 0 ? '' : `, ${redraws.length} texts were drawn meanwhile`;
      const slow = late.handled.atUs - late.receivedUs;
      return {
        stage,
        text:
          slow > cycleUs
            ? `${message} waited ${ms(slow)} for the main loop of the board${drawn}`
            : `the player takes one message in ${cycleUs / 1000} ms, and ${board.arrivals.length} carried the sentence`,
        seqs: [late.received.seq, ...redraws.map(({ seq }) => seq), late.handled.seq],
      };
    }
  }
}

/** The message with which the delay of the stage grew most, and the one before it; undefined: it never grew. */
function steepest(
  stage: Stage,
  journeys: readonly Journey[],
): readonly [Journey, Journey] | undefined {
  let found: readonly [Journey, Journey] | undefined;
  let most = 0;
  for (let i = 1; i < journeys.length; i++) {
    const grown = delayUs(stage, journeys[i - 1]!, journeys[i]!);
    if (grown <= most) continue;
    most = grown;
    found = [journeys[i]!, journeys[i - 1]!];
  }
  return found;
}

/** How long a disturbance of the network lasted. */
function untilUs(event: TraceEvent): number {
  if (event.source !== 'network') return event.atUs;
  if (event.type === 'stall') return event.atUs + event.durationUs;
  if (event.type === 'away') return event.atUs + (event.durationUs ?? Number.POSITIVE_INFINITY);
  return event.type === 'change' && !event.back ? Number.POSITIVE_INFINITY : event.atUs;
}
