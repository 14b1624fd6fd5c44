/** A recorded conversation on one clock, as the page draws and plays it. Pure but for the store that keeps the sound. */
import { type SoundView, viewSentences } from '../../inspection/sound-view.ts';
import { blameUnderruns, type UnderrunBlame } from '../../metrics/blame.ts';
import { type Conversation, readConversation } from '../../metrics/conversation.ts';
import type { CellMeasurement } from '../../metrics/measure.ts';
import { readPlaybacks } from '../../metrics/playback.ts';
import { prebufferCurve } from '../../metrics/prebuffer-curve.ts';
import { type RecordedCell, samplesToMs } from '../../metrics/recorded-cell.ts';
import { measureUnderruns } from '../../metrics/underruns.ts';
import { faultWords, stageWord } from './fault-words.ts';
import type { GapLine, PrebufferLine, RequestLine, Timeline, Track } from './page-data.ts';
import type { SoundStore } from './sound-store.ts';

type Event = RecordedCell['events'][number];

/** Time axis of the speaker: sample 0 of it, in samples of the conversation. */
const samplesPerMs = 16;
/** Width of a column of {@link Track.peaks}. */
const peakSamples = 320;

/**
 * @param recording with `partial` when it was read from the disk
 * @param turns measured of it
 */
export function timelineOf(
  recording: RecordedCell & { readonly partial?: boolean },
  turns: CellMeasurement['turns'],
  store: SoundStore,
): Timeline {
  const { events } = recording;
  const conversation = readConversation(recording);
  const startUs = conversation.boots[0]?.speakerStartUs ?? 0;
  const endMs = Math.max(
    conversation.lastUs / 1000,
    startUs / 1000 + samplesToMs(recording.speaker.length),
  );
  const views = viewSentences(recording, new Map());
  return {
    endMs: tenth(endMs),
    partial: recording.partial === true,
    turns: conversation.turns.map(({ number, speechStart, started, presses, userStop }) => ({
      turn: number,
      startMs: ms((speechStart ?? presses[0] ?? started)?.atUs ?? 0),
      userStopMs: optionalMs(userStop),
      firstSoundMs: optionalMs(turns.find(({ turn }) => turn === number)?.marks.firstAudible),
    })),
    user: events.flatMap((event) =>
      event.source === 'user' && (event.type === 'speechStart' || event.type === 'sound')
        ? [{ atMs: ms(event.atUs), ms: tenth(samplesToMs(event.samples)), text: event.text }]
        : [],
    ),
    server: events.flatMap(serverMark),
    reply: events.flatMap((event) =>
      event.source === 'server' && event.type === 'replyText' ? [ms(event.atUs)] : [],
    ),
    requests: conversation.requests.map(requestLine),
    frames: conversation.frames
      .filter(({ samples }) => samples > 0)
      .flatMap(({ atUs, received, handled, samples }) => [
        ms(atUs),
        received === null ? -1 : ms(received.atUs - atUs),
        handled === null ? -1 : ms(handled.atUs - atUs),
        tenth(samplesToMs(samples)),
      ]),
    states: conversation.stateChanges.map(({ atUs, to }) => ({ atMs: ms(atUs), state: to })),
    network: events.flatMap((event) => networkMark(event, endMs)),
    sentences: views.map(({ turn, sentence, text, atUs, stages, playback }) => {
      const played = stages.find(({ stage }) => stage === 'played');
      return {
        turn,
        sentence,
        text,
        heard:
          played === undefined || atUs === null
            ? null
            : { atMs: ms(atUs), ms: tenth(samplesToMs(played.samples.length)) },
        buffer: (playback?.buffer ?? []).flatMap((point) => [tenth(point.atMs), tenth(point.ms)]),
      };
    }),
    gaps: gapsOf(conversation, recording),
    console: events.flatMap(consoleLine),
    arrivalGaps: conversation.requests.flatMap(({ chunks }) =>
      chunks.slice(1).map(({ atUs }, i) => ms(atUs - chunks[i]!.atUs)),
    ),
    prebuffer: prebufferOf(conversation, recording),
    tracks: tracksOf(recording, conversation, views, startUs, store),
  };
}

function ms(us: number): number {
  return tenth(us / 1000);
}

function optionalMs(mark: { readonly atUs: number } | null | undefined): number | null {
  return mark === null || mark === undefined ? null : ms(mark.atUs);
}

/** What is drawn needs no more. */
function tenth(value: number): number {
  return Math.round(value * 10) / 10;
}

function serverMark(event: Event): Timeline['server'] {
  if (event.source !== 'server') return [];
  const atMs = ms(event.atUs);
  switch (event.type) {
    case 'endOfTurn':
      return [{ atMs, what: `end of turn (${event.by})` }];
    case 'asr':
      return event.final ? [{ atMs, what: 'understood', text: event.text }] : [];
    case 'sentence':
      return [{ atMs, what: `sentence ${event.sentence}`, text: event.text }];
    case 'turnEnd':
      return [
        {
          atMs,
          what: `answer ${event.outcome}`,
          ...(event.message !== undefined && { text: event.message }),
        },
      ];
    case 'connected':
      return [{ atMs, what: event.reconnect ? 'board connected again' : 'board connected' }];
    case 'disconnected':
      return [{ atMs, what: `board disconnected (${event.code})` }];
    default:
      return [];
  }
}

function networkMark(event: Event, endMs: number): Timeline['network'] {
  if (event.source !== 'network') return [];
  const atMs = ms(event.atUs);
  switch (event.type) {
    case 'stall':
      return [{ atMs, ms: ms(event.durationUs), what: `stall, ${event.direction}` }];
    case 'drop':
      return [{ atMs, ms: 0, what: 'connection dropped' }];
    case 'away':
      return [
        {
          atMs,
          ms: event.durationUs === undefined ? tenth(endMs - atMs) : ms(event.durationUs),
          what: 'network away',
        },
      ];
    case 'change':
      return [{ atMs, ms: 0, what: `network is ${event.network}` }];
  }
}

function consoleLine(event: Event): Timeline['console'] {
  if (event.source === 'device' && event.type === 'log') {
    return [{ atMs: ms(event.atUs), level: event.level, text: `${event.tag}: ${event.message}` }];
  }
  if (event.source === 'serial' && event.type === 'line') {
    return [{ atMs: ms(event.atUs), level: event.level ?? '', text: event.text }];
  }
  return [];
}

function requestLine({
  request,
  decidedUs,
  written,
  chunks,
  end,
  failure,
  cancelled,
}: Conversation['requests'][number]): RequestLine {
  const over = end ?? failure ?? cancelled ?? chunks.at(-1) ?? written;
  const fromUs = decidedUs ?? written?.atUs ?? over?.atUs ?? 0;
  return {
    request,
    fromMs: ms(fromUs),
    writtenMs: ms(written?.atUs ?? fromUs),
    endMs: ms(over?.atUs ?? fromUs),
    outcome:
      failure !== null
        ? 'failed'
        : cancelled !== null
          ? 'cancelled'
          : end === null
            ? 'unfinished'
            : 'complete',
    ...(failure !== null && { message: `${failure.kind}: ${failure.message}` }),
    chunks: chunks.flatMap(({ atUs, samples }) => [ms(atUs), tenth(samplesToMs(samples))]),
  };
}

function gapsOf(conversation: Conversation, recording: RecordedCell): GapLine[] {
  const playbacks = readPlaybacks(conversation, recording);
  const all = measureUnderruns(conversation, playbacks, recording);
  const trailing = new Set(
    all.flatMap(({ underruns }) =>
      underruns.filter((run) => run.trailing).map(({ position }) => position),
    ),
  );
  if (all.every(({ underruns }) => underruns.length === 0)) return [];
  return blameUnderruns(conversation, recording).map((blame) => gapLine(blame, trailing));
}

function gapLine(blame: UnderrunBlame, trailing: ReadonlySet<number>): GapLine {
  return {
    turn: blame.turn,
    sentence: blame.sentence,
    atMs: ms(blame.atUs),
    durationMs: blame.durationUs / 1000,
    trailing: trailing.has(blame.position),
    fault: faultWords(blame),
    evidence: blame.evidence.map(({ stage, text, seqs }) => ({
      text: blame.evidence.length === 1 ? text : `${stageWord(stage)}: ${text}`,
      seqs,
    })),
    stages: blame.stages.map(({ stage, delayUs, savedUs }) => ({
      stage: stageWord(stage),
      delayMs: ms(delayUs),
      savedMs: ms(savedUs),
    })),
  };
}

function prebufferOf(conversation: Conversation, cell: RecordedCell): PrebufferLine | null {
  const breaks = conversation.sentences.some(({ board }) => (board?.underruns.length ?? 0) > 0);
  if (!breaks) return null;
  const { knee, enoughMs, points } = prebufferCurve([{ conversation, cell }]);
  if (points.length < 2) return null;
  return {
    kneeMs: knee?.prebufferMs ?? null,
    enoughMs,
    points: points.flatMap(({ prebufferMs, startDelayMs, underruns, underrunMs }) => [
      prebufferMs,
      tenth(startDelayMs),
      underruns,
      underrunMs,
    ]),
  };
}

/** Sound at an instant of the conversation. */
interface Sounding {
  readonly atMs: number;
  readonly samples: Int16Array;
}

function tracksOf(
  recording: RecordedCell,
  conversation: Conversation,
  views: readonly SoundView[],
  startUs: number,
  store: SoundStore,
): Timeline['tracks'] {
  const startMs = startUs / 1000;
  const said = recording.events.flatMap((event): (Sounding & { readonly offset: number })[] => {
    if (event.source !== 'user') return [];
    if (event.type !== 'speechStart' && event.type !== 'sound') return [];
    const { atUs, userOffset, samples } = event;
    const sound = recording.user.subarray(userOffset, userOffset + samples);
    return [{ atMs: atUs / 1000, samples: sound, offset: userOffset }];
  });
  const whole = { atMs: startMs, samples: recording.speaker };
  return {
    heard: track([whole], store, [
      {
        file: 'speaker.wav',
        parts: [tenth(startMs), 0, tenth(samplesToMs(recording.speaker.length))],
      },
    ]),
    sent: track(stageOf(views, 'sent'), store, sentParts(views, conversation)),
    given: track(stageOf(views, 'normalised'), store, givenParts(views, conversation)),
    said: track(said, store, [
      {
        file: 'user.wav',
        parts: said.flatMap(({ atMs, offset, samples }) => [
          tenth(atMs),
          tenth(samplesToMs(offset)),
          tenth(samplesToMs(samples.length)),
        ]),
      },
    ]),
  };
}

/** What server or provider had of each sentence, beginning when the speaker began it; what would overlap is cut. */
function stageOf(views: readonly SoundView[], wanted: 'sent' | 'normalised'): Sounding[] {
  const sounds = views.flatMap(({ atUs, stages }): Sounding[] => {
    const found = stages.find(({ stage }) => stage === wanted);
    if (found === undefined || atUs === null) return [];
    return [{ atMs: atUs / 1000, samples: found.samples }];
  });
  sounds.sort((a, b) => a.atMs - b.atMs);
  return sounds.map(({ atMs, samples }, i) => {
    const next = sounds[i + 1]?.atMs ?? Number.POSITIVE_INFINITY;
    const room = Math.floor((next - atMs) * samplesPerMs);
    return { atMs, samples: room < samples.length ? samples.subarray(0, room) : samples };
  });
}

/** Where the sentences are in `sent.wav`: their frames stand one behind the other. */
function sentParts(views: readonly SoundView[], { frames }: Conversation): Track['files'] {
  const parts: number[] = [];
  let offset = 0;
  let sentence: SoundView | undefined;
  for (const frame of [...frames].sort((a, b) => a.seq - b.seq)) {
    if (frame.samples === 0) continue;
    const own = views.find((view) => view.sentence === frame.sentence && view.atUs !== null);
    const length = samplesToMs(frame.samples);
    if (own !== undefined && own === sentence) parts[parts.length - 1]! += length;
    else if (own !== undefined) parts.push(own.atUs! / 1000, samplesToMs(offset), length);
    sentence = own;
    offset += frame.samples;
  }
  return [{ file: 'sent.wav', parts: parts.map(tenth) }];
}

/** The same in the files of the requests, by the sentence to which each chunk counts. */
function givenParts(views: readonly SoundView[], { requests }: Conversation): Track['files'] {
  return requests.map(({ request, chunks }) => {
    const parts: number[] = [];
    let sentence: number | undefined;
    for (const chunk of chunks) {
      const length = samplesToMs(chunk.samples);
      const atUs = views.find((view) => view.sentence === chunk.sentence)?.atUs ?? null;
      if (atUs === null) continue;
      if (chunk.sentence === sentence) parts[parts.length - 1]! += length;
      else parts.push(atUs / 1000, samplesToMs(chunk.offset), length);
      sentence = chunk.sentence;
    }
    return { file: `provider/${request}.wav`, parts: parts.map(tenth) };
  });
}

function track(
  sounds: readonly Sounding[],
  store: SoundStore,
  files: Track['files'],
): Track & { readonly peaks: string } {
  return {
    clips: sounds.flatMap(({ atMs, samples }) =>
      store.keep(samples).flatMap(({ at, clip }) => [Math.round(atMs * samplesPerMs) + at, clip]),
    ),
    files: files.filter(({ parts }) => parts.length > 0),
    peaks: peaksOf(sounds),
  };
}

function peaksOf(sounds: readonly Sounding[]): string {
  const last = sounds.at(-1);
  if (last === undefined) return '';
  const end = Math.round(last.atMs * samplesPerMs) + last.samples.length;
  const peaks = new Uint8Array(Math.ceil(end / peakSamples));
  for (const { atMs, samples } of sounds) {
    const start = Math.round(atMs * samplesPerMs);
    let column = Math.floor(start / peakSamples);
    let from = 0;
    while (from < samples.length) {
      const to = Math.min(samples.length, (column + 1) * peakSamples - start);
      let loudest = 0;
      for (let i = from; i < to; i++) {
        const sample = samples[i]!;
        if (sample > loudest) loudest = sample;
        else if (-sample > loudest) loudest = -sample;
      }
      if (column >= 0 && column < peaks.length) {
        peaks[column] = Math.max(peaks[column]!, Math.min(255, loudest >> 7));
      }
      from = Math.max(from, to);
      column++;
    }
  }
  return Buffer.from(peaks).toString('base64');
}
