/** A run as one HTML file that needs nothing else. */
import { createHash } from 'node:crypto';
import { deflateSync, strToU8 } from 'fflate';
import type { CellMeasurement } from '../../metrics/measure.ts';
import type { RecordedCell } from '../../metrics/recorded-cell.ts';
import { boardLines, roomLines } from '../board-report.ts';
import { reasonOf } from '../cell-failure.ts';
import { placeOf, rowLabel } from '../cell-groups.ts';
import { flakyWords, noOtherTryLines, tryLines } from '../flaky-report.ts';
import type { CellReport, RunReport } from '../run-report.ts';
import { stutterOf } from './fault-words.ts';
import {
  conversationId,
  type PageCell,
  type PageConversation,
  type PageSound,
  type PageSummary,
  soundId,
  summaryId,
  type Timeline,
  type Track,
} from './page-data.ts';
import { pageHead } from './page-head.ts';
import { htmlText, scriptJson } from './page-text.ts';
import { SoundStore, soundLimits } from './sound-store.ts';
import { timelineOf } from './timeline.ts';

/** What runs in the browser, as it is put into the page. */
export interface PageProgram {
  readonly script: string;
  readonly styles: string;
}

export interface PageOptions {
  readonly program: PageProgram;
  /** URL of a recording's folder, relative to the page, without a slash at its end; null: it will not be there. */
  readonly folderOf: (recording: string) => string | null;
  /** Applied to all data that goes into the page. */
  readonly redact: (text: string) => string;
}

/** Gathers the conversations of a run while they are in memory, one after the other, and makes the page. */
export class ReportPage {
  readonly #store: SoundStore;
  readonly #conversations = new Map<string, KeptConversation>();

  /** @param limits of the sound that the page may have itself */
  constructor(limits = soundLimits) {
    this.#store = new SoundStore(limits);
  }

  /**
   * @param recording as the report calls it
   * @param recorded as read from the disk; not needed afterwards
   */
  add(
    recording: string,
    recorded: RecordedCell & { readonly partial?: boolean },
    turns: CellMeasurement['turns'],
  ): void {
    const { tracks, ...timeline } = timelineOf(recorded, turns, this.#store);
    const { gaps } = timeline;
    this.#conversations.set(recording, { timeline: scriptJson(timeline), tracks, gaps });
  }

  /** The file, in pieces. Conversations that were not added are in it without their timelines. */
  *html(report: RunReport, { program, folderOf, redact }: PageOptions): Iterable<string> {
    const sound = this.#store.encoded();
    const folders = report.cells.map(({ recording }) => folderOf(recording));
    const summary: PageSummary = {
      id: report.run.id,
      // Only draws the order of blind listening: that of recordings whose run is not known is drawn from the first of them.
      seed: report.run.seed ?? report.cells[0]?.seed ?? 0,
      cells: report.cells.map((cell) =>
        pageCell(cell, report.run.time, this.#conversations.get(cell.recording)?.gaps),
      ),
      notRun: report.notRun,
      sound: soundOf(sound, folders),
      audibleDbfs: report.cells[0]?.settings.audibility.thresholdDbfs ?? null,
    };
    yield start(program, report.run.id);
    yield redact(pageHead(report, summary));
    yield body;
    yield data(summaryId, redact(scriptJson(summary)));
    yield `<script>${program.script}</script>\n`;
    for (const [i, cell] of report.cells.entries()) {
      const facts = scriptJson({
        ...conversationFacts(cell, report.run.time),
        folder: folders[i]!,
      });
      const kept = this.#conversations.get(cell.recording);
      const timeline = kept === undefined ? 'null' : timelineJson(kept, sound !== null);
      yield packed(conversationId(i), redact(`{"cell":${facts},"timeline":${timeline}}`));
    }
    for (const [i, { base64 }] of (sound?.clips ?? []).entries()) {
      yield bytes(soundId(i), base64);
    }
    yield '</body></html>\n';
  }
}

/** A large run has thousands, so what is not needed before the end is text. */
interface KeptConversation {
  /** JSON of its {@link Timeline}, but for the tracks. */
  readonly timeline: string;
  readonly tracks: Timeline['tracks'];
  readonly gaps: Timeline['gaps'];
}

function soundOf(
  sound: ReturnType<SoundStore['encoded']>,
  folders: readonly (string | null)[],
): PageSound {
  if (sound !== null) {
    return { kind: 'kept', shift: sound.shift, samples: sound.clips.map((clip) => clip.samples) };
  }
  if (folders.some((folder) => folder !== null)) return { kind: 'linked' };
  return { kind: 'none', why: 'there is more of it than a page can hold' };
}

function pageCell(
  cell: CellReport,
  time: RunReport['run']['time'],
  gaps: Timeline['gaps'] | undefined,
): PageCell {
  const { scenario, title, provider, network, server, verdict, metrics, values, turns } = cell;
  const [board, air] = placeOf(cell);
  const take = (names: readonly string[]) =>
    Object.fromEntries(
      names.flatMap((name) => {
        const value = metrics[name];
        return value === undefined ? [] : [[name, value] as const];
      }),
    );
  return {
    scenario,
    title,
    provider,
    row: rowLabel(cell),
    board,
    network: cell.board === undefined ? network : air,
    server,
    ...(cell.repetition !== undefined && { repetition: cell.repetition }),
    verdict,
    reason: reasonOf(cell),
    ...(cell.flaky !== undefined && { flaky: flakyWords(cell.flaky, time) }),
    stutter: stutterOf(gaps ?? unexplainedGaps(cell)),
    turns: turns.map((turn) => ({ verdict: turn.verdict })),
    metrics: take(['underruns', 'audio_seconds', 'loudness_lufs', 'conservation']),
    values: Object.fromEntries(
      comparedValues.flatMap((name) => {
        const found = values[name];
        return found === undefined ? [] : [[name, found] as const];
      }),
    ),
  };
}

const comparedValues = [
  'audible_at_speaker_ms',
  'ttfb_ms',
  'ttfa_ms',
  'seam_ms',
  'prebuffer_needed_ms',
];

/** The browser breaks lines. */
const remarkWidth = 10_000;

/** Of a conversation whose recording could not be looked at. */
function unexplainedGaps({ turns }: CellReport) {
  return turns.flatMap(({ underruns }) =>
    underruns.map(({ durationMs }) => ({ fault: 'cause not known', durationMs })),
  );
}

function conversationFacts(
  cell: CellReport,
  time: RunReport['run']['time'],
): Omit<PageConversation['cell'], 'folder'> {
  const { failures, ledger, recording, seed, host, turns, expectations, values, board, room } =
    cell;
  return {
    failures,
    ledger,
    recording,
    seed,
    host,
    turns: turns.map(({ turn, verdict, failure, audible_at_speaker_ms, spans, ledger: own }) => ({
      turn,
      verdict,
      ...(failure !== undefined && { failure }),
      audible_at_speaker_ms,
      spans,
      ledger: own,
    })),
    expectations,
    seams: values['seam_ms'] ?? [],
    remarks: [
      ...(cell.flaky === undefined ? [] : [`Flaky: ${flakyWords(cell.flaky, time)}.`]),
      ...tryLines(cell),
      ...noOtherTryLines(cell),
      ...(board === undefined ? [] : boardLines(board, cell.device, remarkWidth)),
      ...(room === undefined ? [] : roomLines(room, remarkWidth)),
    ].map((line) => line.trim()),
  };
}

/** Its tracks without what the page does not need: places in files, or the peaks of sound that it has itself. */
function timelineJson({ timeline, tracks }: KeptConversation, hasSound: boolean): string {
  const needed = Object.fromEntries(
    Object.entries(tracks).map(([name, { clips, files, peaks }]: [string, Track]) => [
      name,
      hasSound ? { clips, files: [] } : { clips: [], files, peaks },
    ]),
  );
  // One more member of the object.
  return `${timeline.slice(0, -1)},"tracks":${scriptJson(needed)}}`;
}

/** Thousands of conversations are much text, and each is read when it is wanted: deflated, in Base64. */
function packed(id: string, json: string): string {
  return bytes(id, Buffer.from(deflateSync(strToU8(json))).toString('base64'));
}

function bytes(id: string, base64: string): string {
  return `<script type="application/octet-stream" id="${id}">${base64}</script>\n`;
}

function data(id: string, json: string): string {
  return `<script type="application/json" id="${id}">${json}</script>\n`;
}

/** Nothing is loaded from anywhere, and nothing runs but what is written here. Sound may be in files beside the page. */
function start({ script, styles }: PageProgram, id: string): string {
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  const policy = [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src ${hash(styles)}`,
    'img-src data: blob:',
    "media-src 'self' file: data: blob:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${htmlText(id)} · echokit-harness</title>
<style>${styles}</style>
</head>
`;
}

/** What the script fills. */
const body = `<section id="comparison" aria-labelledby="comparison-title" tabindex="-1">
<h2 id="comparison-title">Comparison</h2>
<noscript><p>The tables, sound and pictures need JavaScript. The figures are also in <code>report.json</code> beside this file.</p></noscript>
<div id="comparison-view"></div>
</section>
<section id="conversations" aria-labelledby="conversations-title" tabindex="-1">
<h2 id="conversations-title">Conversations</h2>
<div id="conversations-view"></div>
</section>
<section id="blind" aria-labelledby="blind-title">
<h2 id="blind-title">Blind listening</h2>
<div id="blind-view"></div>
</section>
<section id="notes" aria-labelledby="notes-title">
<h2 id="notes-title">What the words mean</h2>
<div id="notes-view"></div>
</section>
</main>
`;
