/** What happened in a conversation, lane under lane, on one clock. */

import { neutralize } from '../../terminal-text.ts';
import type { Timeline } from '../page-data.ts';
import { bytesOf, samplesPerMs } from './page-store.ts';
import type { SoundPicture } from './sound-picture.ts';
import { color } from './theme.ts';

/** A part of the time axis, on a canvas. */
export interface Stage {
  readonly context: CanvasRenderingContext2D;
  readonly width: number;
  readonly fromMs: number;
  readonly toMs: number;
}

interface Lane {
  readonly name: string;
  readonly height: number;
  draw(stage: Stage, top: number, timeline: Timeline, sounds: LaneSounds): void;
}

/** What of the sound is at hand by now. */
export interface LaneSounds {
  readonly said: Int16Array | null;
  readonly heard: Int16Array | null;
  readonly picture: SoundPicture;
}

const rulerHeight = 20;
const space = 4;
const peakMs = 20;

export const lanes: readonly Lane[] = [
  { name: 'user', height: 40, draw: drawUser },
  { name: 'server', height: 34, draw: drawServer },
  { name: 'provider', height: 38, draw: drawProvider },
  { name: 'network: frames written → taken by the board', height: 44, draw: drawFrames },
  { name: 'board', height: 18, draw: drawStates },
  { name: 'buffer of the board', height: 56, draw: drawBuffer },
  { name: 'speaker', height: 72, draw: drawHeard },
  {
    name: 'spectrum',
    height: 96,
    draw: (stage, top, _timeline, { picture }) => picture.draw(stage, top, 96),
  },
  { name: 'console', height: 18, draw: drawConsole },
];

export const lanesHeight = lanes.reduce((sum, { height }) => sum + height + space, rulerHeight);

export function drawLanes(stage: Stage, timeline: Timeline, sounds: LaneSounds): void {
  const { context, width } = stage;
  context.clearRect(0, 0, width, lanesHeight);
  context.font = '11px system-ui, sans-serif';
  context.textBaseline = 'middle';
  drawRuler(stage);
  let top = rulerHeight;
  for (const lane of lanes) {
    context.save();
    context.beginPath();
    context.rect(0, top, width, lane.height);
    context.clip();
    context.fillStyle = color('lane');
    context.fillRect(0, top, width, lane.height);
    lane.draw(stage, top, timeline, sounds);
    drawName(stage, lane.name, top);
    context.restore();
    top += lane.height + space;
  }
  drawTurns(stage, timeline);
}

export function xOf({ fromMs, toMs, width }: Stage, ms: number): number {
  return ((ms - fromMs) / (toMs - fromMs)) * width;
}

function isSeen({ fromMs, toMs }: Stage, from: number, to: number): boolean {
  return to >= fromMs && from <= toMs;
}

function drawName({ context }: Stage, name: string, top: number): void {
  context.fillStyle = color('veil');
  context.fillRect(0, top, context.measureText(name).width + 10, 14);
  context.fillStyle = color('muted');
  context.fillText(name, 4, top + 7.5);
}

function drawRuler(stage: Stage): void {
  const { context, width, fromMs, toMs } = stage;
  const wanted = (toMs - fromMs) / Math.max(2, width / 90);
  const steps = [
    10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000, 300_000, 600_000,
  ];
  const step = steps.find((one) => one >= wanted) ?? 3_600_000;
  const digits = step < 100 ? 2 : step < 1000 ? 1 : 0;
  for (let ms = Math.ceil(fromMs / step) * step; ms <= toMs; ms += step) {
    const x = Math.round(xOf(stage, ms)) + 0.5;
    line(context, x, rulerHeight - 4, x, lanesHeight, color('line'));
    context.fillStyle = color('muted');
    const label = `${(ms / 1000).toFixed(digits)} s`;
    context.fillText(label, Math.min(x + 3, width - context.measureText(label).width - 2), 9);
  }
}

/** The user's last word, and the first sound of the answer: what lies between is the headline. */
function drawTurns(stage: Stage, { turns }: Timeline): void {
  const { context } = stage;
  for (const { userStopMs, firstSoundMs } of turns) {
    context.setLineDash([4, 3]);
    for (const [ms, name] of [
      [userStopMs, 'user'],
      [firstSoundMs, 'heard'],
    ] as const) {
      if (ms === null || !isSeen(stage, ms, ms)) continue;
      const x = Math.round(xOf(stage, ms)) + 0.5;
      line(context, x, rulerHeight, x, lanesHeight, color(name));
    }
    context.setLineDash([]);
    if (userStopMs === null || firstSoundMs === null) continue;
    const [from, to] = [xOf(stage, userStopMs), xOf(stage, firstSoundMs)];
    if (to < 0 || from > stage.width) continue;
    context.fillStyle = color('wait');
    context.fillRect(from, rulerHeight - 5, to - from, 5);
  }
}

function drawUser(
  stage: Stage,
  top: number,
  { user, tracks }: Timeline,
  { said }: LaneSounds,
): void {
  drawSound(stage, top, 40, said, tracks.said.peaks, 'user');
  for (const { atMs, ms, text } of user) inside(stage, text, atMs, atMs + ms, top + 32, 'text');
}

function drawServer(stage: Stage, top: number, { server, reply }: Timeline): void {
  const { context } = stage;
  context.fillStyle = color('server');
  for (const ms of reply) {
    if (isSeen(stage, ms, ms)) context.fillRect(xOf(stage, ms), top + 15, 1.2, 5);
  }
  server.forEach(({ atMs, what, text }, i) => {
    if (!isSeen(stage, atMs, atMs)) return;
    const x = xOf(stage, atMs);
    line(context, x, top + 14, x, top + 34, color('server'));
    const next = server[i + 1]?.atMs ?? stage.toMs;
    inside(stage, text === undefined ? what : `${what}: ${text}`, atMs, next, top + 27, 'text');
  });
}

function drawProvider(stage: Stage, top: number, { requests }: Timeline): void {
  const { context } = stage;
  for (const [i, one] of requests.entries()) {
    const { fromMs, writtenMs, endMs, outcome, chunks, request, message } = one;
    if (!isSeen(stage, fromMs, endMs)) continue;
    const [from, written, end] = [xOf(stage, fromMs), xOf(stage, writtenMs), xOf(stage, endMs)];
    const bad = outcome === 'failed';
    context.fillStyle = color('provider-pale');
    context.fillRect(from, top + 18, Math.max(1, end - from), 16);
    context.fillStyle = color('line');
    context.fillRect(from, top + 18, written - from, 16);
    context.fillStyle = color(bad ? 'gap' : 'provider');
    for (let at = 0; at + 1 < chunks.length; at += 2) {
      const height = Math.min(16, 3 + chunks[at + 1]! / 40);
      context.fillRect(xOf(stage, chunks[at]!) - 0.75, top + 34 - height, 1.5, height);
    }
    if (outcome !== 'complete') {
      const next = requests[i + 1]?.fromMs ?? stage.toMs;
      line(context, end, top + 14, end, top + 36, color('gap'));
      inside(stage, message ?? `request ${request} ${outcome}`, endMs, next, top + 26, 'gap');
    }
  }
}

function drawFrames(stage: Stage, top: number, { frames, network }: Timeline): void {
  const { context } = stage;
  for (const { atMs, ms, what } of network) {
    if (!isSeen(stage, atMs, atMs + ms)) continue;
    context.fillStyle = color('gap-pale');
    context.fillRect(
      xOf(stage, atMs),
      top,
      Math.max(2, xOf(stage, atMs + ms) - xOf(stage, atMs)),
      44,
    );
    inside(stage, what, atMs, stage.toMs, top + 36, 'gap');
  }
  context.strokeStyle = color('network');
  context.lineWidth = 1;
  context.beginPath();
  for (let i = 0; i + 3 < frames.length; i += 4) {
    const written = frames[i]!;
    const taken = frames[i + 2]!;
    const until = written + Math.max(0, taken, frames[i + 1]!);
    if (!isSeen(stage, written, until)) continue;
    const x = xOf(stage, written);
    context.moveTo(x, top + 16);
    context.lineTo(x, top + 20);
    if (taken < 0) continue;
    const arrived = xOf(stage, written + taken);
    context.lineTo(arrived, top + 38);
    context.lineTo(arrived, top + 42);
  }
  context.stroke();
}

const stateColors: Readonly<Record<string, string>> = {
  Listening: 'user',
  Waiting: 'wait',
  Speaking: 'heard',
};

function drawStates(stage: Stage, top: number, { states, endMs }: Timeline): void {
  const { context } = stage;
  states.forEach(({ atMs, state }, i) => {
    const until = states[i + 1]?.atMs ?? endMs;
    if (!isSeen(stage, atMs, until)) return;
    const from = xOf(stage, atMs);
    context.globalAlpha = 0.3;
    context.fillStyle = color(stateColors[state] ?? 'line');
    context.fillRect(from, top, xOf(stage, until) - from - 1, 18);
    context.globalAlpha = 1;
    const nameEnd =
      atMs <= stage.fromMs ? stage.fromMs + (44 / stage.width) * (stage.toMs - stage.fromMs) : atMs;
    inside(stage, state, nameEnd, until, top + 9, 'text');
  });
}

function drawBuffer(stage: Stage, top: number, { sentences, gaps }: Timeline): void {
  const { context } = stage;
  const height = 56;
  const most = Math.max(
    1,
    ...sentences.flatMap(({ buffer }) => buffer.filter((_, i) => i % 2 === 1)),
  );
  const y = (ms: number): number => top + height - (ms / most) * (height - 16);
  context.fillStyle = color('buffer-pale');
  context.strokeStyle = color('buffer');
  for (const { heard, buffer } of sentences) {
    if (heard === null || !isSeen(stage, heard.atMs, heard.atMs + heard.ms)) continue;
    context.beginPath();
    context.moveTo(xOf(stage, heard.atMs), top + height);
    for (let i = 0; i + 1 < buffer.length; i += 2) {
      const at = buffer[i]!;
      const level = buffer[i + 1]!;
      const x = xOf(stage, heard.atMs + at);
      // It falls by what is played, and jumps when something arrives.
      if (i > 0) {
        const before = buffer[i - 1]!;
        const fallen = before === 0 ? 0 : Math.max(0, before - (at - buffer[i - 2]!));
        context.lineTo(x, y(Math.min(fallen, level)));
      }
      context.lineTo(x, y(level));
    }
    context.lineTo(xOf(stage, heard.atMs + (buffer.at(-2) ?? 0)), top + height);
    context.fill();
    context.stroke();
  }
  drawGaps(stage, top, height, gaps, false);
  context.fillStyle = color('muted');
  const label = `${Math.round(most)} ms`;
  context.fillText(label, stage.width - context.measureText(label).width - 4, top + 9);
}

function drawHeard(
  stage: Stage,
  top: number,
  { gaps, tracks, sentences }: Timeline,
  { heard }: LaneSounds,
): void {
  const { context } = stage;
  drawSound(stage, top, 72, heard, tracks.heard.peaks, 'heard');
  for (const { heard: played, sentence } of sentences) {
    if (played === null || !isSeen(stage, played.atMs, played.atMs)) continue;
    const x = xOf(stage, played.atMs);
    line(context, x, top + 14, x, top + 72, color('line'));
    inside(
      stage,
      `sentence ${sentence ?? '?'}`,
      played.atMs,
      played.atMs + played.ms,
      top + 65,
      'muted',
    );
  }
  drawGaps(stage, top, 72, gaps, true);
}

function drawGaps(
  stage: Stage,
  top: number,
  height: number,
  gaps: Timeline['gaps'],
  named: boolean,
): void {
  const { context } = stage;
  gaps.forEach(({ atMs, durationMs }, i) => {
    if (!isSeen(stage, atMs, atMs + durationMs)) return;
    const x = xOf(stage, atMs);
    const width = Math.max(2, xOf(stage, atMs + durationMs) - x);
    context.fillStyle = color('gap');
    context.globalAlpha = 0.55;
    context.fillRect(x, top, width, height);
    context.globalAlpha = 1;
    if (named) inside(stage, `${i + 1}`, atMs, stage.toMs, top + 22, 'text');
  });
}

function drawConsole(stage: Stage, top: number, { console: lines }: Timeline): void {
  for (const { atMs, level } of lines) {
    if (!isSeen(stage, atMs, atMs)) continue;
    const worse = level === 'E' || level === 'W';
    stage.context.fillStyle = color(worse ? 'gap' : 'muted');
    stage.context.fillRect(xOf(stage, atMs), top + (worse ? 1 : 8), 1.2, worse ? 17 : 10);
  }
}

/** Sound as waves; where there is none to look at, its loudest samples. */
function drawSound(
  stage: Stage,
  top: number,
  height: number,
  samples: Int16Array | null,
  peaks: string | undefined,
  name: string,
): void {
  const { context, width, fromMs, toMs } = stage;
  const middle = top + height / 2;
  context.fillStyle = color(name);
  const perPixel = (toMs - fromMs) / width;
  const levels = peaks === undefined || samples !== null ? null : bytesOf(peaks);
  for (let x = 0; x < width; x++) {
    const at = fromMs + x * perPixel;
    let [low, high] = [0, 0];
    if (samples !== null) {
      const from = Math.max(0, Math.floor(at * samplesPerMs));
      const to = Math.min(
        samples.length,
        Math.max(from + 1, Math.floor((at + perPixel) * samplesPerMs)),
      );
      for (let i = from; i < to; i++) {
        const sample = samples[i]!;
        if (sample < low) low = sample;
        if (sample > high) high = sample;
      }
    } else if (levels !== null) {
      const from = Math.max(0, Math.floor(at / peakMs));
      const to = Math.max(from + 1, Math.floor((at + perPixel) / peakMs));
      for (let i = from; i < to; i++) high = Math.max(high, (levels[i] ?? 0) * 128);
      low = -high;
    }
    if (low === 0 && high === 0) continue;
    const up = (high / 32768) * (height / 2);
    const down = (-low / 32768) * (height / 2);
    context.fillRect(x, middle - up, 1, Math.max(1, up + down));
  }
}

/** Text that begins at an instant and is cut where the next thing is. */
function inside(
  stage: Stage,
  text: string,
  fromMs: number,
  toMs: number,
  y: number,
  name: string,
): void {
  const { context } = stage;
  const from = Math.max(2, xOf(stage, fromMs) + 3);
  const room = Math.min(xOf(stage, toMs), stage.width) - from - 2;
  if (room < 12) return;
  const shown = fitted(context, neutralize(text), room);
  if (shown === '') return;
  context.fillStyle = color(name);
  context.fillText(shown, from, y);
}

function fitted(context: CanvasRenderingContext2D, text: string, room: number): string {
  if (text.length < 200 && context.measureText(text).width <= room) return text;
  let [least, most] = [0, Math.min(text.length, Math.ceil(room / 3))];
  while (least < most) {
    const half = Math.ceil((least + most) / 2);
    if (context.measureText(`${text.slice(0, half)}…`).width <= room) least = half;
    else most = half - 1;
  }
  return least < 2 ? '' : `${text.slice(0, least)}…`;
}

function line(
  context: CanvasRenderingContext2D,
  x1: number,
  y1: number,
  x2: number,
  y2: number,
  stroke: string,
): void {
  context.strokeStyle = stroke;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}
