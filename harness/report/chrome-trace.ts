/**
 * Recordings as a trace in the JSON format of Chrome, which Perfetto (ui.perfetto.dev) opens: who did what when, on one
 * clock. Every cell has a process for each part (user, server, provider, network, board); instants are those of the
 * recording, in µs.
 */
import { viewSentences } from '../inspection/sound-view.ts';
import { type Conversation, readConversation } from '../metrics/conversation.ts';
import { measureLatency, type SpanName, spanNames } from '../metrics/latency-spans.ts';
import { defaultMeasureSettings } from '../metrics/measure.ts';
import { positionToUs, readPlaybacks } from '../metrics/playback.ts';
import type { RecordedCell } from '../metrics/recorded-cell.ts';
import { measureUnderruns } from '../metrics/underruns.ts';
import { jsonText } from './json-text.ts';
import { clipText, neutralize } from './terminal-text.ts';

export interface TracedCell {
  /** In words; stands in front of its processes where there are several cells. */
  readonly name: string;
  readonly recording: RecordedCell;
}

/** One line of the list `traceEvents`. */
export interface ChromeEvent {
  readonly ph: 'X' | 'i' | 'C' | 'M';
  readonly name: string;
  readonly cat?: string;
  readonly pid: number;
  readonly tid: number;
  /** µs; absent for metadata. */
  readonly ts?: number;
  readonly dur?: number;
  /** Of an instant: its thread. */
  readonly s?: 't';
  readonly args?: Readonly<Record<string, unknown>>;
}

const parts = ['user', 'server', 'provider', 'network', 'board'] as const;
type Part = (typeof parts)[number];

const nameCharacters = 120;
/** Distance of the values of a counter while it falls steadily. */
const counterStepUs = 20_000;

/** In pieces, one for each cell: only one recording need be in memory. */
export function* chromeTrace(cells: Iterable<TracedCell>): Iterable<string> {
  yield '{\n"displayTimeUnit": "ms",\n"traceEvents": [';
  let index = 0;
  for (const cell of cells) {
    const lines = chromeEvents(cell, index).map((event) => jsonText(event, 0));
    yield `${index++ === 0 ? '' : ','}\n${lines.join(',\n')}`;
  }
  yield '\n]\n}\n';
}

/** @param index of the cell, from 0: its processes are numbered from ten times that on */
export function chromeEvents({ name, recording }: TracedCell, index: number): ChromeEvent[] {
  const sheet = new Sheet(name, index * 10);
  const conversation = readConversation(recording);
  drawUser(sheet, conversation, recording);
  drawServer(sheet, conversation);
  drawProvider(sheet, conversation);
  drawNetwork(sheet, conversation, recording);
  drawBoard(sheet, conversation, recording);
  return sheet.events();
}

interface Span {
  readonly name: string;
  readonly startUs: number;
  readonly endUs: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

interface Track {
  readonly part: Part;
  readonly name: string;
  readonly spans: Span[];
  readonly instants: { readonly name: string; readonly atUs: number; readonly args: object }[];
}

/** Collects what is to be drawn, then gives spans that overlap without one holding the other threads of their own. */
class Sheet {
  readonly #name: string;
  readonly #firstPid: number;
  readonly #tracks: Track[] = [];
  readonly #counters: { part: Part; name: string; atUs: number; args: object }[] = [];

  constructor(name: string, firstPid: number) {
    this.#name = name;
    this.#firstPid = firstPid;
  }

  span(part: Part, track: string, span: Span): void {
    this.#track(part, track).spans.push(span);
  }

  instant(part: Part, track: string, atUs: number, name: string, args: object = {}): void {
    this.#track(part, track).instants.push({ atUs, name, args });
  }

  counter(part: Part, name: string, atUs: number, args: object): void {
    this.#counters.push({ part, name, atUs, args });
  }

  #track(part: Part, name: string): Track {
    const found = this.#tracks.find((track) => track.part === part && track.name === name);
    if (found !== undefined) return found;
    const track: Track = { part, name, spans: [], instants: [] };
    this.#tracks.push(track);
    return track;
  }

  events(): ChromeEvent[] {
    const events: ChromeEvent[] = [];
    for (const [place, part] of parts.entries()) {
      const pid = this.#firstPid + place;
      const meta = (name: string, args: object, tid = 0): void =>
        void events.push({ ph: 'M', name, pid, tid, args: { ...args } });
      meta('process_name', { name: shown(`${part} · ${this.#name}`) });
      meta('process_sort_index', { sort_index: pid });
      let tid = 0;
      for (const track of this.#tracks.filter((one) => one.part === part)) {
        const lanes = inLanes(track.spans);
        for (const [lane, spans] of (lanes.length === 0 ? [[]] : lanes).entries()) {
          tid++;
          meta('thread_name', { name: lane === 0 ? track.name : `${track.name} ${lane + 1}` }, tid);
          meta('thread_sort_index', { sort_index: tid }, tid);
          for (const { name, startUs, endUs, args } of spans) {
            events.push({
              ph: 'X',
              name: shown(name),
              cat: part,
              pid,
              tid,
              ts: startUs,
              dur: endUs - startUs,
              ...(args !== undefined && { args: shownArgs(args) }),
            });
          }
          if (lane > 0) continue;
          for (const { name, atUs, args } of track.instants) {
            events.push({
              ph: 'i',
              name: shown(name),
              cat: part,
              pid,
              tid,
              ts: atUs,
              s: 't',
              args: shownArgs(args),
            });
          }
        }
      }
      for (const { name, atUs, args } of this.#counters.filter((one) => one.part === part)) {
        events.push({ ph: 'C', name, cat: part, pid, tid: 0, ts: atUs, args: { ...args } });
      }
    }
    return events;
  }
}

/** In each lane every two spans follow each other, or one holds the other. */
function inLanes(spans: readonly Span[]): Span[][] {
  const lanes: { readonly spans: Span[]; readonly open: Span[] }[] = [];
  const sorted = spans.toSorted((a, b) => a.startUs - b.startUs || b.endUs - a.endUs);
  for (const span of sorted) {
    const lane = lanes.find(({ open }) => {
      while (open.length > 0 && open.at(-1)!.endUs <= span.startUs) open.pop();
      return open.length === 0 || open.at(-1)!.endUs >= span.endUs;
    });
    if (lane === undefined) lanes.push({ spans: [span], open: [span] });
    else {
      lane.spans.push(span);
      lane.open.push(span);
    }
  }
  return lanes.map((lane) => lane.spans);
}

function shown(text: string): string {
  return neutralize(clipText(text, nameCharacters));
}

function shownArgs(args: object): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(args).map(([name, value]) => [
      name,
      typeof value === 'string' ? neutralize(value) : value,
    ]),
  );
}

function drawUser(sheet: Sheet, conversation: Conversation, cell: RecordedCell): void {
  for (const turn of conversation.turns) {
    if (turn.started === null) continue;
    sheet.span('user', 'turns', {
      name: `turn ${turn.number}`,
      startUs: turn.started.atUs,
      endUs: turn.ended?.atUs ?? conversation.lastUs,
      args: { outcome: turn.ended?.outcome ?? 'cut short' },
    });
  }
  const playbacks = readPlaybacks(conversation, cell);
  for (const turn of conversation.turns) {
    const { audibility } = defaultMeasureSettings;
    const { marks, spans, audibleAtSpeakerUs } = measureLatency(
      turn,
      playbacks,
      conversation,
      cell,
      audibility,
    );
    if (marks.userStop === null || audibleAtSpeakerUs === null) continue;
    const startUs = marks.userStop.atUs;
    sheet.span('user', 'wait for the answer', {
      name: `heard after ${(audibleAtSpeakerUs / 1000).toFixed(0)} ms`,
      startUs,
      endUs: startUs + audibleAtSpeakerUs,
      args: { turn: turn.number },
    });
    let atUs = startUs;
    for (const name of spanNames) {
      const durationUs = spans[name];
      // Without all marks the spans have no places of their own.
      if (durationUs === null) break;
      if (durationUs === 0) continue;
      sheet.span('user', 'wait for the answer', {
        name: spanWords[name],
        startUs: atUs,
        endUs: atUs + durationUs,
      });
      atUs += durationUs;
    }
  }
  for (const event of cell.events) {
    if (event.source !== 'user') continue;
    if (event.type === 'speechStart' || event.type === 'sound') {
      sheet.span('user', 'speech', {
        name: event.text,
        startUs: event.atUs,
        endUs: event.atUs + Math.round(event.samples * 62.5),
        args: { turn: event.turn, seq: event.seq },
      });
    } else if (event.type === 'speechStop') {
      sheet.instant('user', 'speech', event.atUs, 'last voiced sample', { seq: event.seq });
    } else {
      const name = `${event.key}, ${event.press} press`;
      sheet.instant('user', 'keys', event.atUs, name, { seq: event.seq });
    }
  }
}

const spanWords: Readonly<Record<SpanName, string>> = {
  endOfTurn: 'end of turn',
  firstText: 'first text',
  sentenceReady: 'sentence ready',
  handover: 'handover',
  textOptimization: 'text optimization',
  connect: 'connect',
  ttfb: 'ttfb',
  serverHold: 'server hold',
  downlink: 'downlink',
  playStart: 'play start',
  leadSilence: 'lead silence',
};

function drawServer(sheet: Sheet, { turns, sentences, lastUs }: Conversation): void {
  for (const { serverTurns } of turns) {
    for (const { turn, started, endOfTurn, firstText, ended } of serverTurns) {
      sheet.span('server', 'turns', {
        name: `turn ${turn}`,
        startUs: started.atUs,
        endUs: ended?.atUs ?? lastUs,
        args: {
          outcome: ended?.outcome ?? 'cut short',
          ...(ended?.failure !== undefined && { failure: ended.failure }),
          seq: started.seq,
        },
      });
      if (endOfTurn !== null) {
        const { atUs, by, speech, seq } = endOfTurn;
        sheet.instant('server', 'turns', atUs, `end of turn by ${by}`, { speech, seq });
      }
      if (firstText !== null) {
        sheet.instant('server', 'turns', firstText.atUs, 'first text', { seq: firstText.seq });
      }
    }
  }
  for (const { number, text, ready, framed, frames, optimized } of sentences) {
    if (ready === null) continue;
    sheet.span('server', 'sentences', {
      name: `${number ?? '?'}: ${text ?? ''}`,
      startUs: ready.atUs,
      endUs: Math.max(ready.atUs, framed?.atUs ?? frames.at(-1)?.atUs ?? ready.atUs),
      args: {
        frames: frames.length,
        ...(framed !== null && { samplesIn: framed.samplesIn, samplesOut: framed.samplesOut }),
        seq: ready.seq,
      },
    });
    if (optimized !== null) {
      const { startedUs, atUs } = optimized;
      const name = `text optimization of ${number}`;
      sheet.span('server', 'text optimization', { name, startUs: startedUs, endUs: atUs });
    }
  }
}

function drawProvider(sheet: Sheet, { requests, lastUs }: Conversation): void {
  for (const request of requests) {
    const { decidedUs, connectedUs, written, chunks, end, failure, cancelled } = request;
    const startUs = decidedUs ?? written?.atUs ?? failure?.atUs;
    if (startUs === undefined) continue;
    const over = end ?? failure ?? cancelled;
    const endUs = Math.max(startUs, over?.atUs ?? lastUs);
    const part = (name: string, fromUs: number, toUs: number, args: object = {}): void => {
      if (fromUs >= startUs && toUs <= endUs && toUs > fromUs) {
        sheet.span('provider', 'requests', {
          name,
          startUs: fromUs,
          endUs: toUs,
          args: { request: request.request, ...args },
        });
      }
    };
    sheet.span('provider', 'requests', {
      name: `request ${request.request}${request.platform === null ? '' : `, ${request.platform}`}`,
      startUs,
      endUs,
      args: {
        request: request.request,
        reused: request.reused,
        chunks: chunks.length,
        ...(failure !== null && { failure: failure.kind, message: failure.message }),
        ...(cancelled !== null && { cancelled: true }),
        ...(written !== null && { seq: written.seq }),
      },
    });
    if (connectedUs !== null) part('connect', startUs, connectedUs);
    const [first, last] = [chunks[0], chunks.at(-1)];
    if (written !== null && first !== undefined) part('ttfb', written.atUs, first.atUs);
    if (first !== undefined && last !== undefined) {
      part('audio', first.atUs, last.atUs, {
        samples: chunks.reduce((sum, { samples }) => sum + samples, 0),
      });
    }
    for (const { atUs, samples, sourceBytes, seq } of chunks) {
      const name = `${(samples / 16).toFixed(0)} ms of audio`;
      sheet.instant('provider', 'chunks', atUs, name, {
        request: request.request,
        samples,
        bytes: sourceBytes,
        seq,
      });
    }
    if (failure !== null) {
      const { atUs, kind, message, seq } = failure;
      sheet.instant('provider', 'failures', atUs, `${kind}: ${message}`, { seq });
    }
  }
}

function drawNetwork(sheet: Sheet, { frames, lastUs }: Conversation, cell: RecordedCell): void {
  for (const { atUs, received, event, bytes, samples, frame, seq } of frames) {
    if (received === null) {
      sheet.instant('network', 'lost', atUs, event, { frame, bytes, seq });
      continue;
    }
    sheet.span('network', 'to the board', {
      name: event,
      startUs: atUs,
      endUs: Math.max(atUs, received.atUs),
      args: { frame, bytes, ...(samples > 0 && { samples }), seq },
    });
  }
  for (const event of cell.events) {
    if (event.source !== 'network') continue;
    const { atUs, seq, turn } = event;
    if (event.type === 'stall' || event.type === 'away') {
      sheet.span('network', 'disturbances', {
        name: event.type === 'stall' ? `stall, ${event.direction}` : 'away',
        startUs: atUs,
        endUs: event.durationUs === undefined ? Math.max(atUs, lastUs) : atUs + event.durationUs,
        args: { turn, seq },
      });
    } else {
      const name = event.type === 'drop' ? 'connection dropped' : `now ${event.network}`;
      sheet.instant('network', 'disturbances', atUs, name, { turn, seq });
    }
  }
}

function drawBoard(sheet: Sheet, conversation: Conversation, cell: RecordedCell): void {
  drawStates(sheet, conversation, cell);
  const playbacks = readPlaybacks(conversation, cell);
  for (const { sentence, board, endPosition } of playbacks) {
    if (board.playStart === null || endPosition === null) continue;
    const startUs = positionToUs(conversation, board.playStart.position);
    sheet.span('board', 'player', {
      name: sentence.text ?? `sentence ${board.number}`,
      startUs,
      endUs: Math.max(startUs, positionToUs(conversation, endPosition)),
      args: { turn: sentence.turn, sentence: sentence.number ?? board.number },
    });
  }
  for (const { underruns } of measureUnderruns(conversation, playbacks, cell)) {
    for (const { atUs, durationUs, turn, sentence, trailing, position } of underruns) {
      const name = `underrun of ${(durationUs / 1000).toFixed(0)} ms`;
      const args = { turn, sentence, durationUs, trailing, position };
      sheet.instant('board', 'underruns', atUs, name, args);
    }
  }
  drawBuffer(sheet, conversation, cell);
  for (const event of cell.events) {
    const { atUs, seq } = event;
    if (event.source === 'device' && event.type === 'log') {
      const { level, tag, message } = event;
      sheet.instant('board', 'console', atUs, `${level} ${tag}: ${message}`, { seq });
    } else if (event.source === 'serial' && event.type === 'line') {
      sheet.instant('board', 'console', atUs, event.text, { seq });
    } else if (event.source === 'device' && event.type === 'display') {
      sheet.instant('board', 'screen', atUs, event.text, { seq });
    } else if (event.source === 'device' && event.type === 'reboot') {
      sheet.instant('board', 'state', atUs, `reboot: ${event.cause}`, { seq });
    }
  }
}

function drawStates(sheet: Sheet, { boots, lastUs }: Conversation, { events }: RecordedCell): void {
  let state = 'Idle';
  let sinceUs = boots[0]?.atUs ?? 0;
  const close = (atUs: number): void => {
    if (atUs > sinceUs)
      sheet.span('board', 'state', { name: state, startUs: sinceUs, endUs: atUs });
    sinceUs = atUs;
  };
  for (const event of events) {
    if (event.source !== 'device') continue;
    if (event.type === 'state') {
      close(event.atUs);
      state = event.to;
    } else if (event.type === 'boot') {
      close(event.atUs);
      state = 'Idle';
    } else if (event.type === 'reboot') {
      close(event.atUs);
      state = 'restarting';
    }
  }
  close(lastUs);
}

/** What the board has and has not played: exact where it changes its course, and in steps between. */
function drawBuffer(sheet: Sheet, conversation: Conversation, cell: RecordedCell): void {
  for (const { turn, sentence, playback } of viewSentences(cell, new Map())) {
    const played = conversation.sentences.find(
      (one) => one.turn === turn && (one.number ?? one.board?.number) === sentence,
    );
    const start = played?.board?.playStart?.position;
    if (playback === null || start === undefined) continue;
    const startUs = positionToUs(conversation, start);
    const level = (atMs: number, ms: number): void =>
      sheet.counter('board', 'buffer ms', startUs + Math.round(atMs * 1000), {
        ms: Math.round(ms * 10) / 10,
      });
    for (const [i, point] of playback.buffer.entries()) {
      level(point.atMs, point.ms);
      const next = playback.buffer[i + 1];
      if (next === undefined) continue;
      // It falls by what is played and stands in an underrun; what arrives comes at once, at the next point.
      const falls = !playback.gaps.some(
        ({ atMs, ms }) => point.atMs >= atMs && point.atMs < atMs + ms,
      );
      const stepMs = counterStepUs / 1000;
      for (let at = point.atMs + stepMs; falls && at < next.atMs; at += stepMs) {
        level(at, Math.max(0, point.ms - (at - point.atMs)));
      }
    }
    const last = playback.buffer.at(-1);
    if (last !== undefined && last.ms > 0) level(last.atMs, 0);
  }
}
