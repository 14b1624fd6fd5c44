/**
 * What the capture of a room tells of a conversation: when the user's words and the answer were really heard. Both are in
 * one recording, so the time that a sound takes from the microphone to this program, which nobody knows, is in both and
 * cancels out between them. Pure.
 */
import { findAudible } from './audibility.ts';
import { type Conversation, readConversation } from './conversation.ts';
import { findEnvelope } from './envelope-delay.ts';
import { type Playback, positionToUs, readPlaybacks } from './playback.ts';
import type { RecordedCell } from './recorded-cell.ts';

export interface RoomMeasurement {
  /** Length of the capture. */
  readonly seconds: number;
  /** Why it says nothing, or nothing from some instant on; null: it is whole. */
  readonly problem: string | null;
  readonly turns: readonly RoomTurn[];
}

export interface RoomTurn {
  readonly turn: number;
  /** From the last voiced sample of the user's words to the first audible one of the answer. Null: not both were found. */
  readonly heardMs: number | null;
  /** How far it may be from the truth either way. */
  readonly errorMs: number | null;
  /** The same by the recording: what was played to the user's side, and the model of the board. */
  readonly estimatedMs: number | null;
  readonly user: RoomFinding;
  readonly answer: RoomFinding;
}

/** A sound that was looked for. */
export type RoomFinding =
  | {
      readonly found: true;
      readonly correlation: number;
      /**
       * How much later it came than it should have sounded by the recording. The way from the microphone to this program
       * is in it, so the truth is at most this.
       */
      readonly laterMs: number;
    }
  | { readonly found: false; readonly why: string };

/** Of an answer, from its first audible sample. */
const answerMaximumSamples = 4 * 16_000;
/** The beginning of a sound, and how far around the place of the whole it is looked for. */
const openingSamples = 1.2 * 16_000;
const openingSearchSamples = 0.25 * 16_000;
/** Where a sound is looked for: so long before its instant by the recording, and so long behind it. */
const searchUs = { before: 1_000_000, behind: 2_500_000 };
/** The loudest sample of a capture in which there is nothing: a microphone that is not permitted. */
const silentMaximum = 2;

/** @returns null when the room was not captured */
export function measureRoom(cell: RecordedCell): RoomMeasurement | null {
  const { room } = cell;
  const ended = cell.events.find(({ source, type }) => source === 'harness' && type === 'roomEnd');
  if (room === undefined && ended === undefined) return null;
  const startUs = captureStart(cell);
  const words = ended !== undefined && 'message' in ended ? `${ended.message}` : null;
  if (room === undefined || startUs === null) {
    return { seconds: 0, problem: words ?? 'nothing was captured', turns: [] };
  }
  const seconds = room.length / 16_000;
  if (room.every((sample) => Math.abs(sample) <= silentMaximum)) {
    const problem =
      'nothing but silence was captured: choose the microphone and permit its use to this program';
    return { seconds, problem, turns: [] };
  }
  const conversation = readConversation(cell);
  const playbacks = readPlaybacks(conversation, cell);
  const capture: Capture = { room, startUs };
  return {
    seconds,
    problem: words,
    turns: conversation.turns.map(({ number }) =>
      measureTurn(number, cell, conversation, playbacks, capture),
    ),
  };
}

interface Capture {
  readonly room: Int16Array;
  /** Instant of its first sample, at the latest. */
  readonly startUs: number;
}

/**
 * Pieces come late by what they wait in programs and devices, never early: the least late one bounds the instant of the
 * first sample.
 */
function captureStart({ events }: RecordedCell): number | null {
  const starts = events.flatMap((event) =>
    event.source === 'harness' && event.type === 'room' ? [event.atUs - event.samples * 62.5] : [],
  );
  return starts.length === 0 ? null : Math.min(...starts);
}

/** Where a sound of the recording is in the capture. */
type Place = RoomFinding & {
  /** In the capture. */
  readonly first?: number;
  readonly errorSamples?: number;
};

function measureTurn(
  turn: number,
  cell: RecordedCell,
  conversation: Conversation,
  playbacks: readonly Playback[],
  capture: Capture,
): RoomTurn {
  const said = saidIn(turn, cell);
  const answered = answeredIn(turn, cell, conversation, playbacks);
  const user = placeOf(said, capture, 'the user said nothing');
  const answer = placeOf(answered, capture, 'there was no answer');
  const both =
    user.first !== undefined && answer.first !== undefined && said !== null && answered !== null;
  const lastVoiced = said === null ? null : findAudible(said.sound)?.last;
  const heard =
    both && lastVoiced !== undefined ? answer.first! - (user.first! + lastVoiced!) : null;
  const stopped = conversation.turns.find(({ number }) => number === turn)?.userStop ?? null;
  return {
    turn,
    heardMs: heard === null ? null : heard / 16,
    errorMs: heard === null ? null : (user.errorSamples! + answer.errorSamples!) / 16,
    estimatedMs:
      answered === null || stopped === null ? null : (answered.atUs - stopped.atUs) / 1000,
    user: findingOf(user),
    answer: findingOf(answer),
  };
}

function findingOf(place: Place): RoomFinding {
  if (!place.found) return { found: false, why: place.why };
  return { found: true, correlation: place.correlation, laterMs: place.laterMs };
}

interface Sound {
  readonly sound: Int16Array;
  /** When it begins by the recording. */
  readonly atUs: number;
}

function saidIn(turn: number, { events, user }: RecordedCell): Sound | null {
  for (const event of events) {
    if (event.source !== 'user' || event.type !== 'speechStart' || event.turn !== turn) continue;
    const { userOffset, samples, atUs } = event;
    return { sound: user.subarray(userOffset, userOffset + samples), atUs };
  }
  return null;
}

/** From the first audible sample of the answer, which is then the first one of the sound. */
function answeredIn(
  turn: number,
  { speaker }: RecordedCell,
  conversation: Conversation,
  playbacks: readonly Playback[],
): Sound | null {
  const own = playbacks.filter(({ sentence }) => sentence.turn === turn);
  const start = own.find(({ startPosition }) => startPosition !== null)?.startPosition;
  if (start === undefined || start === null) return null;
  const end = own.reduce((last, { endPosition }) => Math.max(last, endPosition ?? 0), start);
  const range = findAudible(speaker, start, end);
  if (range === null) return null;
  const behind = Math.min(range.last + 1, range.first + answerMaximumSamples);
  return {
    sound: speaker.subarray(range.first, behind),
    atUs: positionToUs(conversation, range.first),
  };
}

function placeOf(wanted: Sound | null, { room, startUs }: Capture, absent: string): Place {
  if (wanted === null) return { found: false, why: absent };
  const { sound, atUs } = wanted;
  const index = (us: number): number => Math.round((us - startUs) / 62.5);
  const from = Math.max(0, index(atUs - searchUs.before));
  const until = Math.min(room.length, index(atUs + searchUs.behind) + sound.length);
  const result = findEnvelope(sound, room.subarray(Math.min(from, until), until));
  if (!result.found) return { found: false, why: whyNot(result) };
  const { first, errorSamples } = beginning(
    sound,
    room,
    from + result.samples,
    result.errorSamples,
  );
  return {
    found: true,
    correlation: result.correlation,
    laterMs: (startUs + first * 62.5 - atUs) / 1000,
    first,
    errorSamples,
  };
}

/**
 * A break in an answer that only the board or only its model had moves all that is behind it, and the place of the whole
 * with it. So its beginning alone is looked for around that place.
 */
function beginning(
  sound: Int16Array,
  room: Int16Array,
  place: number,
  errorSamples: number,
): { readonly first: number; readonly errorSamples: number } {
  if (sound.length <= openingSamples) return { first: place, errorSamples };
  const from = Math.max(0, place - openingSearchSamples);
  const until = place + openingSearchSamples + openingSamples;
  const found = findEnvelope(sound.subarray(0, openingSamples), room.subarray(from, until));
  return found.found
    ? { first: from + found.samples, errorSamples: found.errorSamples }
    : { first: place, errorSamples: openingSearchSamples };
}

function whyNot({
  reason,
  correlation,
  needed,
}: {
  readonly reason: 'short' | 'weak' | 'ambiguous';
  readonly correlation: number | null;
  readonly needed: number | null;
}): string {
  if (reason === 'short') return 'it is too short, or the capture does not reach over it';
  if (reason === 'ambiguous') return 'two places are like it';
  return `nothing is like it: correlation ${correlation!.toFixed(2)}, and ${needed!.toFixed(2)} is needed`;
}
