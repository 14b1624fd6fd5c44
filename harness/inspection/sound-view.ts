/** What a picture of a sentence shows: its sound at each stage, and the buffer of the board over it. */
import { type Conversation, readConversation, type Sentence } from '../metrics/conversation.ts';
import { type Playback, positionToUs, readPlaybacks } from '../metrics/playback.ts';
import { chunkSamples } from '../metrics/player-schedule.ts';
import type { RecordedCell } from '../metrics/recorded-cell.ts';
import type { SoundStage } from './defect.ts';
import type { ProviderSound } from './provider-sound.ts';
import { frameSpans, normalisedSound, sentSound, utterancesOf } from './recorded-sounds.ts';

export interface SoundView {
  readonly turn: number | null;
  readonly sentence: number | null;
  readonly text: string | null;
  /** When the speaker began it; of one that was not played, when it was sent or handed to the adapter. */
  readonly atUs: number | null;
  /** In the order of the stages; one that was not recorded is missing. Each begins with the sentence. */
  readonly stages: readonly StageSound[];
  /** Null: the board played nothing of it. */
  readonly playback: PlaybackView | null;
}

export interface StageSound {
  readonly stage: SoundStage | null;
  readonly samples: Int16Array;
  readonly rateHz: number;
}

/** Times in ms from the first sample at the speaker. */
export interface PlaybackView {
  /** Audio that the board had and had not played, each time it changed its course. */
  readonly buffer: readonly { readonly atMs: number; readonly ms: number }[];
  readonly gaps: readonly { readonly atMs: number; readonly ms: number }[];
}

const rateHz = 16_000;

/** One view for each sentence, in their order. */
export function viewSentences(
  cell: RecordedCell,
  providerSounds: ReadonlyMap<number, ProviderSound>,
): SoundView[] {
  const conversation = readConversation(cell);
  const spans = frameSpans(conversation);
  const playbacks = cell.speaker.length === 0 ? [] : readPlaybacks(conversation, cell);
  const utterances = utterancesOf(conversation, cell);
  return conversation.sentences.flatMap((sentence): SoundView[] => {
    const utterance = utterances.find(({ sentences }) => sentences.includes(sentence));
    const stages: StageSound[] = [];
    const add = (stage: SoundStage, samples: Int16Array, hz = rateHz): void => {
      if (samples.length > 0) stages.push({ stage, samples, rateHz: hz });
    };
    const request = utterance?.requests[0]?.request;
    const raw = request === undefined ? undefined : providerSounds.get(request);
    // Where one request speaks several sentences, their bounds in its bytes are not known.
    if (raw !== undefined && utterance?.requests.length === 1 && utterance.sentences.length === 1) {
      add('provider', raw.samples, raw.rateHz);
    }
    if (utterance !== undefined)
      add('normalised', ofSentence(normalisedSound(utterance, cell), sentence));
    add('sent', sentSound([sentence], spans, cell).samples);
    const playback = playbacks.find((other) => other.sentence === sentence);
    const start = playback?.board.playStart?.position;
    if (playback !== undefined && start !== undefined && playback.endPosition !== null) {
      add('played', cell.speaker.subarray(start, playback.endPosition));
    }
    if (stages.length === 0) return [];
    return [
      {
        turn: sentence.turn,
        sentence: sentence.number ?? sentence.board?.number ?? null,
        text: sentence.text,
        atUs:
          start === undefined
            ? (sentence.frames[0]?.atUs ?? sentence.ready?.atUs ?? null)
            : positionToUs(conversation, start),
        stages,
        playback: playback === undefined ? null : playbackView(playback, conversation),
      },
    ];
  });
}

function ofSentence(
  { samples, pieces }: ReturnType<typeof normalisedSound>,
  sentence: Sentence,
): Int16Array {
  const own = pieces.filter((piece) => piece.sentence === sentence);
  const [first, last] = [own[0], own.at(-1)];
  return first === undefined || last === undefined
    ? new Int16Array(0)
    : samples.subarray(first.at, last.at + last.samples);
}

function playbackView(playback: Playback, conversation: Conversation): PlaybackView | null {
  const { board, endPosition } = playback;
  const start = board.playStart?.position;
  if (start === undefined || endPosition === null) return null;
  const startUs = positionToUs(conversation, start);
  const gaps = board.underruns.flatMap(({ position, cycles }) =>
    cycles === null || position >= endPosition
      ? []
      : [{ atMs: (position - start) / 16, ms: cycles * (chunkSamples / 16) }],
  );
  const arrivals = board.arrivals
    .filter(({ disposition }) => disposition !== 'dropped')
    .map(({ atUs, samples }) => ({ atMs: (atUs - startUs) / 1000, ms: samples / 16 }));
  const endMs = (endPosition - start) / 16;
  const times = new Set<number>([0, endMs]);
  for (const { atMs } of arrivals) times.add(Math.max(0, Math.min(endMs, atMs)));
  for (const { atMs, ms } of gaps) times.add(atMs).add(Math.min(endMs, atMs + ms));
  const buffer = [...times]
    .sort((a, b) => a - b)
    .map((atMs) => {
      const had = arrivals.reduce(
        (sum, arrival) => sum + (arrival.atMs <= atMs ? arrival.ms : 0),
        0,
      );
      const stood = gaps.reduce(
        (sum, gap) => sum + Math.max(0, Math.min(gap.ms, atMs - gap.atMs)),
        0,
      );
      return { atMs, ms: Math.max(0, had - (atMs - stood)) };
    });
  return { buffer, gaps };
}
