/** What `inspect` found, for a person at a terminal: the sentences drawn, and what is wrong with them. */
import picocolors from 'picocolors';
import type { Defect } from '../inspection/defect.ts';
import type { SoundView, StageSound } from '../inspection/sound-view.ts';
import type { InspectedSound } from './inspection-report.ts';
import { displayWidth, neutralize } from './terminal-text.ts';
import { wrapText } from './text-table.ts';

export interface InspectionTextSettings {
  readonly color: boolean;
  /** Columns of the terminal. */
  readonly width: number;
  /** Draw every sentence; otherwise those in which something is wrong. */
  readonly all: boolean;
}

type Colors = ReturnType<typeof picocolors.createColors>;

/** Columns in front of a drawing. */
const margin = 9;
const waveRows = 4;
const bufferRows = 2;
/** Defects of one kind at one stage in one sentence that are told one by one. */
const toldMax = 4;
const blocks = ' ▁▂▃▄▅▆▇█';

/** Text that ends in a line feed. */
export function renderInspection(
  sounds: readonly InspectedSound[],
  { color, width, all }: InspectionTextSettings,
): string {
  const colors = picocolors.createColors(color);
  const drawn = sounds.filter(({ defects }) => all || defects.length > 0);
  const sections = drawn.map((sound) => renderSound(sound, width, all, colors));
  const count = sounds.reduce((sum, { defects }) => sum + defects.length, 0);
  const sentences = sounds.reduce((sum, { views }) => sum + views.length, 0);
  const faulty = sounds.filter(({ defects }) => defects.length > 0).length;
  const unheard = sounds.filter((sound) => sound.unheard);
  const found =
    count === 0
      ? unheard.length === 0
        ? colors.green('nothing is wrong')
        : colors.yellow('nothing is wrong in what could be inspected')
      : colors.red(`${plural(count, 'defect')} in ${faulty} of ${plural(sounds.length, 'sound')}`);
  const end = `${plural(sentences, 'sentence')} inspected: ${found}`;
  const missing = unheard.map(({ name }) =>
    colors.yellow(
      `${neutralize(name)}: what the speaker played is not in it (speaker.wav); that stage was not inspected`,
    ),
  );
  const pauses = sounds.flatMap((sound) => pauseLines(sound, width));
  const silences = pauses.length === 0 ? [] : [pauses.join('\n')];
  return `${[...sections, ...missing, ...silences, end].join('\n\n')}\n`;
}

/** Pauses that are named one by one. */
const namedPauses = 4;

function pauseLines({ name, pauses }: InspectedSound, width: number): string[] {
  if (pauses.length === 0) return [];
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
  const total = seconds(pauses.reduce((sum, { lengthMs }) => sum + lengthMs, 0));
  const places = pauses
    .slice(0, namedPauses)
    .map(
      ({ atMs, lengthMs, abrupt }) =>
        `${seconds(lengthMs)} at ${seconds(atMs)}${abrupt ? ' in the middle of a loud sound' : ''}`,
    );
  const more = pauses.length > namedPauses ? [`${pauses.length - namedPauses} more`] : [];
  const text = `${neutralize(name)}: ${plural(pauses.length, 'pause')}, ${total} of digital silence: ${[...places, ...more].join(', ')}. Whether sound is missing there, a file alone does not tell; the recording it is from does, or --against with one that is right.`;
  return wrapText(text, width);
}

function renderSound(sound: InspectedSound, width: number, all: boolean, colors: Colors): string {
  const { name, partial, views, defects, unreadRequests } = sound;
  const lines = [colors.bold(neutralize(name)) + (partial ? colors.yellow(' (partial)') : '')];
  if (unreadRequests.length > 0) {
    const what = `The bytes of request ${unreadRequests.join(', ')} are not PCM that can be read; what is told of the provider's stage was found behind the adapter.`;
    lines.push(...wrapText(what, width).map(colors.dim));
  }
  const left = new Set(defects);
  let number = 0;
  for (const view of views) {
    const own = defects.filter((defect) => isOf(defect, view));
    if (own.length === 0 && !all) continue;
    for (const defect of own) left.delete(defect);
    lines.push('', ...renderView(view, own, number, width, colors));
    number += own.length;
  }
  const rest = [...left];
  if (rest.length > 0) lines.push('', ...defectLines(rest, number, width, colors));
  return lines.join('\n');
}

function isOf(defect: Defect, { turn, sentence }: SoundView): boolean {
  return defect.place.turn === turn && defect.place.sentence === sentence;
}

function renderView(
  view: SoundView,
  defects: readonly Defect[],
  firstNumber: number,
  width: number,
  colors: Colors,
): string[] {
  const shown = view.stages.at(-1)!;
  const durationMs = (shown.samples.length * 1000) / shown.rateHz;
  const columns = width - margin - 1;
  const place = [
    ...(view.turn === null ? [] : [`turn ${view.turn}`]),
    ...(view.sentence === null ? [] : [`sentence ${view.sentence}`]),
    `${(durationMs / 1000).toFixed(2)} s`,
  ].join(', ');
  const text = view.text === null ? '' : `: ${neutralize(view.text)}`;
  const label = (title: string): string => colors.dim(`${title.padEnd(margin - 1)} `);
  const lines = wrapText(`${place}${text}`, width);
  const wave = drawWave(shown, columns, waveRows);
  const title = shown.stage ?? 'file';
  lines.push(
    ...wave.map(
      (row, i) => label(i === Math.floor(waveRows / 2) - 1 ? title : '') + colors.cyan(row),
    ),
  );
  if (view.playback !== null && shown.stage === 'played') {
    const { buffer, gaps } = view.playback;
    const most = Math.max(1, ...buffer.map(({ ms }) => ms));
    const rows = drawBuffer(buffer, durationMs, columns, bufferRows);
    const titles = ['buffer', `${Math.round(most)} ms`];
    lines.push(...rows.map((row, i) => label(titles[i] ?? '') + row));
    if (gaps.length > 0) {
      lines.push(label('gaps') + colors.red(drawSpans(gaps, durationMs, columns)));
    }
  }
  lines.push(label('') + colors.dim(timeAxis(durationMs, columns)));
  lines.push(
    ...markLines(defects, firstNumber, durationMs, columns).map(
      (line) => label('') + colors.red(line),
    ),
  );
  return [...lines, ...defectLines(defects, firstNumber, width, colors)];
}

/** Extremes per column in dots of Braille: two columns and four rows of dots in a character. */
function drawWave({ samples }: StageSound, columns: number, rows: number): string[] {
  const dots = rows * 4;
  const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 1);
  const cells = Array.from({ length: rows }, () => new Uint8Array(columns));
  for (let x = 0; x < 2 * columns; x++) {
    const from = Math.floor((x * samples.length) / (2 * columns));
    const to = Math.max(from + 1, Math.floor(((x + 1) * samples.length) / (2 * columns)));
    let [low, high] = [0, 0];
    for (let i = from; i < Math.min(to, samples.length); i++) {
      low = Math.min(low, samples[i]!);
      high = Math.max(high, samples[i]!);
    }
    const top = Math.round(((1 - high / peak) / 2) * (dots - 1));
    const bottom = Math.round(((1 - low / peak) / 2) * (dots - 1));
    for (let y = top; y <= bottom; y++) {
      const row = cells[y >> 2]!;
      row[x >> 1] = row[x >> 1]! | brailleDot[x & 1]![y & 3]!;
    }
  }
  return cells.map((row) => String.fromCodePoint(...[...row].map((bits) => 0x2800 + bits)));
}

/** Bit of a dot in its character, by column and row. */
const brailleDot = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
] as const;

function drawBuffer(
  buffer: readonly { readonly atMs: number; readonly ms: number }[],
  durationMs: number,
  columns: number,
  rows: number,
): string[] {
  const most = Math.max(1, ...buffer.map(({ ms }) => ms));
  const lines: string[] = Array.from({ length: rows }, () => '');
  for (let x = 0; x < columns; x++) {
    const level = (levelAt(buffer, (x * durationMs) / columns) / most) * rows * 8;
    for (let row = 0; row < rows; row++) {
      const inRow = Math.max(0, Math.min(8, Math.round(level - (rows - 1 - row) * 8)));
      lines[row] += blocks[inRow]!;
    }
  }
  return lines;
}

/** It falls as time goes on, and jumps where something arrives. */
function levelAt(
  buffer: readonly { readonly atMs: number; readonly ms: number }[],
  atMs: number,
): number {
  const before = buffer.findLast((point) => point.atMs <= atMs);
  const after = buffer.find((point) => point.atMs > atMs);
  if (before === undefined) return 0;
  const sinking = after === undefined || after.ms < before.ms || before.ms > 0;
  return sinking ? Math.max(0, before.ms - (atMs - before.atMs)) : before.ms;
}

function drawSpans(
  spans: readonly { readonly atMs: number; readonly ms: number }[],
  durationMs: number,
  columns: number,
): string {
  const marks: string[] = new Array(columns).fill('·');
  for (const { atMs, ms } of spans) {
    const from = columnOf(atMs, durationMs, columns);
    const to = columnOf(atMs + ms, durationMs, columns);
    for (let x = from; x <= Math.min(columns - 1, Math.max(from, to)); x++) marks[x] = '█';
  }
  return marks.join('');
}

function timeAxis(durationMs: number, columns: number): string {
  const steps = [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];
  const step = steps.find((ms) => (ms / durationMs) * columns >= 10) ?? 60_000;
  let line = '';
  for (let ms = 0; ms <= durationMs; ms += step) {
    const x = Math.round((ms / durationMs) * columns);
    const text = `${ms === 0 ? '0' : (ms / 1000).toString()} s`;
    if (x < line.length || x + text.length > columns) continue;
    line = line.padEnd(x) + text;
  }
  return line;
}

/** The numbers of the defects, each below its place; those that have no room go to a further line. */
function markLines(
  defects: readonly Defect[],
  firstNumber: number,
  durationMs: number,
  columns: number,
): string[] {
  const lines: string[] = [];
  const told = new Set(toldDefects(defects));
  for (const [i, defect] of defects.entries()) {
    if (!told.has(defect)) continue;
    const text = `▲${firstNumber + i + 1}`;
    const x = Math.min(columns - text.length, columnOf(defect.place.atMs, durationMs, columns));
    const line = lines.findIndex((marks) => marks.length === 0 || marks.length < x);
    if (line >= 0) lines[line] = lines[line]!.padEnd(x) + text;
    else lines.push(''.padEnd(x) + text);
  }
  return lines;
}

function columnOf(atMs: number, durationMs: number, columns: number): number {
  return Math.max(0, Math.min(columns - 1, Math.floor((atMs / Math.max(1, durationMs)) * columns)));
}

function defectLines(
  defects: readonly Defect[],
  firstNumber: number,
  width: number,
  colors: Colors,
): string[] {
  const lines: string[] = [];
  const told = new Set(toldDefects(defects));
  const untold = new Map<string, number>();
  for (const [i, defect] of defects.entries()) {
    const { kind, stage, place, lengthMs, evidence, because } = defect;
    if (!told.has(defect)) {
      const key = `${kind}${stage === null ? '' : ` (${stage})`}`;
      untold.set(key, (untold.get(key) ?? 0) + 1);
      continue;
    }
    const where = `${neutralize(place.file)} sample ${place.sample}${place.rateHz === 16_000 ? '' : ` at ${place.rateHz} Hz`}`;
    const head = `${String(firstNumber + i + 1).padStart(3)}  ${kind}${stage === null ? '' : `, ${stage}`}`;
    const at = `at ${place.atMs.toFixed(1)} ms for ${lengthMs.toFixed(1)} ms: ${where}`;
    if (head.length + 2 + displayWidth(at) <= width) {
      lines.push(`${colors.red(head)}  ${colors.dim(at)}`);
    } else {
      lines.push(colors.red(head), ...wrapText(at, width, ['     ', '     ']).map(colors.dim));
    }
    const why = because === undefined ? evidence : `${evidence}; ${because}`;
    lines.push(...wrapText(neutralize(why), width, ['     ', '     ']));
  }
  for (const [key, count] of untold) lines.push(colors.dim(`     and ${count} more: ${key}`));
  return lines;
}

/** Of many alike the first ones are enough. */
function toldDefects(defects: readonly Defect[]): Defect[] {
  const counts = new Map<string, number>();
  return defects.filter(({ kind, stage }) => {
    const count = (counts.get(`${kind} ${stage}`) ?? 0) + 1;
    counts.set(`${kind} ${stage}`, count);
    return count <= toldMax;
  });
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
