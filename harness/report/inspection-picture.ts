/** A sentence as a picture: its waves stage by stage, spectrogram, buffer level and gaps, with the defects marked. */
import type { Defect } from '../inspection/defect.ts';
import type { SoundView, StageSound } from '../inspection/sound-view.ts';
import { PowerSpectrum } from '../inspection/spectrum.ts';
import { encodePng } from './png-image.ts';

const width = 1200;
const left = 90;
const right = 20;
const plot = width - left - right;
const waveHeight = 90;
const spectrogramHeight = 200;
const bufferHeight = 90;
const space = 14;
const rangeDb = 70;

/** An SVG file that needs no other. */
export function drawInspection(view: SoundView, defects: readonly Defect[]): string {
  const longestMs = Math.max(1, ...view.stages.map(durationMs));
  const x = (ms: number): number => left + (Math.min(ms, longestMs) / longestMs) * plot;
  const parts: string[] = [];
  const place = [
    ...(view.turn === null ? [] : [`turn ${view.turn}`]),
    ...(view.sentence === null ? [] : [`sentence ${view.sentence}`]),
  ].join(', ');
  let y = 30;
  const title = [place, view.text ?? ''].filter((text) => text !== '').join(': ');
  parts.push(`<text x="${left}" y="20" class="title">${escapeXml(shortened(title, 130))}</text>`);
  const tops = new Map<string | null, number>();
  for (const sound of view.stages) {
    parts.push(label(sound.stage ?? 'file', y + waveHeight / 2), wave(sound, y, x));
    tops.set(sound.stage, y);
    y += waveHeight + space;
  }
  const shown = view.stages.at(-1)!;
  parts.push(label('spectrum', y + 22), spectrogram(shown, y, x));
  for (const khz of [0, 2, 4, 6, 8]) {
    if (khz * 2000 > shown.rateHz) continue;
    const at = y + spectrogramHeight * (1 - (khz * 2000) / shown.rateHz);
    parts.push(`<text x="${left - 6}" y="${at + 4}" class="tick">${khz} kHz</text>`);
  }
  y += spectrogramHeight + space;
  if (view.playback !== null) {
    parts.push(label('buffer', y + bufferHeight / 2), buffer(view.playback, y, x, longestMs));
    y += bufferHeight + space;
  }
  parts.push(axis(y, x, longestMs));
  const bottom = y;
  for (const [i, defect] of defects.entries()) {
    const at = x(defect.place.atMs);
    const end = x(defect.place.atMs + defect.lengthMs);
    const top = tops.get(defect.stage) ?? 30;
    parts.push(
      `<rect x="${round(at)}" y="${top}" width="${round(Math.max(1.5, end - at))}" height="${waveHeight}" class="defect"/>`,
      `<line x1="${round(at)}" y1="${top}" x2="${round(at)}" y2="${bottom}" class="mark"/>`,
      `<text x="${round(at + 3)}" y="${top + 12}" class="number">${i + 1}</text>`,
    );
  }
  y += 30;
  for (const [i, { kind, stage, place: where, lengthMs, evidence }] of defects.entries()) {
    const text = `${i + 1}  ${kind}${stage === null ? '' : `, ${stage}`} at ${where.atMs.toFixed(1)} ms for ${lengthMs.toFixed(1)} ms: ${evidence}`;
    parts.push(
      `<text x="${left}" y="${y}" class="legend">${escapeXml(shortened(text, 160))}</text>`,
    );
    y += 18;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 6}" width="${width}" height="${y + 6}">
<style>${style}</style>
<rect width="100%" height="100%" fill="#fff"/>
${parts.join('\n')}
</svg>
`;
}

const style =
  'text{font:12px sans-serif;fill:#333}.title{font-size:14px;font-weight:bold}.tick{text-anchor:end;font-size:10px;fill:#777}' +
  '.label{text-anchor:end}.wave{fill:#2b6cb0}.frame{fill:none;stroke:#ddd}.defect{fill:#e53e3e;fill-opacity:.25}' +
  '.mark{stroke:#e53e3e;stroke-dasharray:3 3}.number{fill:#c53030;font-weight:bold}.level{fill:#38a169;fill-opacity:.35;stroke:#2f855a}' +
  '.gap{fill:#e53e3e;fill-opacity:.6}.legend{fill:#742a2a}.axis{stroke:#999}';

function label(text: string, y: number): string {
  return `<text x="${left - 8}" y="${y + 4}" class="label">${text}</text>`;
}

function wave(sound: StageSound, y: number, x: (ms: number) => number): string {
  const { samples } = sound;
  const end = x(durationMs(sound)) - left;
  const columns = Math.max(1, Math.floor(end));
  const middle = y + waveHeight / 2;
  const [tops, bottoms]: [string[], string[]] = [[], []];
  for (let column = 0; column < columns; column++) {
    const from = Math.floor((column * samples.length) / columns);
    const to = Math.max(from + 1, Math.floor(((column + 1) * samples.length) / columns));
    let [low, high] = [0, 0];
    for (let i = from; i < to; i++) {
      low = Math.min(low, samples[i] ?? 0);
      high = Math.max(high, samples[i] ?? 0);
    }
    const px = left + column;
    tops.push(`${px},${round(middle - (high / 32768) * (waveHeight / 2) - 0.4)}`);
    bottoms.push(`${px},${round(middle - (low / 32768) * (waveHeight / 2) + 0.4)}`);
  }
  return (
    `<rect x="${left}" y="${y}" width="${plot}" height="${waveHeight}" class="frame"/>` +
    `<polygon class="wave" points="${[...tops, ...bottoms.reverse()].join(' ')}"/>`
  );
}

/** From black through violet and orange to pale yellow. */
const palette = Array.from({ length: 64 }, (_, i): [number, number, number] => {
  const t = i / 63;
  const channel = (center: number, spread: number): number =>
    Math.round(255 * Math.max(0, Math.min(1, (t - center) / spread)));
  const blue = t < 0.5 ? 0.55 * Math.sin(Math.PI * 2 * t) : Math.max(0, (t - 0.75) * 2.4);
  return [channel(0.15, 0.5), channel(0.45, 0.5), Math.round(255 * Math.min(1, blue))];
});

function spectrogram(sound: StageSound, y: number, x: (ms: number) => number): string {
  const { samples } = sound;
  const columns = Math.max(1, Math.min(plot, Math.floor(x(durationMs(sound)) - left)));
  const spectrum = new PowerSpectrum(512);
  const frame = new Float64Array(spectrum.bins);
  const levels = new Float64Array(columns * spectrogramHeight);
  let loudest = Number.NEGATIVE_INFINITY;
  for (let column = 0; column < columns; column++) {
    const middle = Math.floor(((column + 0.5) * samples.length) / columns);
    spectrum.measure(samples, middle - 256, frame);
    for (let row = 0; row < spectrogramHeight; row++) {
      const bin = ((spectrogramHeight - 1 - row) / (spectrogramHeight - 1)) * (spectrum.bins - 1);
      const [low, part] = [Math.floor(bin), bin % 1];
      const power = frame[low]! * (1 - part) + (frame[low + 1] ?? 0) * part;
      const level = 10 * Math.log10(power + 1e-14);
      levels[row * columns + column] = level;
      loudest = Math.max(loudest, level);
    }
  }
  const pixels = Uint8Array.from(levels, (level) =>
    Math.round(Math.max(0, Math.min(1, 1 + (level - loudest) / rangeDb)) * (palette.length - 1)),
  );
  const png = encodePng(pixels, columns, palette).toString('base64');
  return (
    `<rect x="${left}" y="${y}" width="${plot}" height="${spectrogramHeight}" fill="#000"/>` +
    `<image x="${left}" y="${y}" width="${columns}" height="${spectrogramHeight}" preserveAspectRatio="none" href="data:image/png;base64,${png}"/>`
  );
}

function buffer(
  { buffer: points, gaps }: NonNullable<SoundView['playback']>,
  y: number,
  x: (ms: number) => number,
  longestMs: number,
): string {
  const most = Math.max(1, ...points.map(({ ms }) => ms));
  const py = (ms: number): number => y + bufferHeight - (ms / most) * (bufferHeight - 12);
  const corners: string[] = [`${left},${y + bufferHeight}`];
  for (const [i, { atMs, ms }] of points.entries()) {
    const last = points[i - 1];
    // It falls by what is played, and jumps when something arrives.
    if (last !== undefined) {
      const fallen = last.ms === 0 ? 0 : Math.max(0, last.ms - (atMs - last.atMs));
      corners.push(`${round(x(atMs))},${round(py(Math.min(fallen, ms)))}`);
    }
    corners.push(`${round(x(atMs))},${round(py(ms))}`);
  }
  corners.push(`${round(x(Math.min(longestMs, points.at(-1)?.atMs ?? 0)))},${y + bufferHeight}`);
  const holes = gaps.map(
    ({ atMs, ms }) =>
      `<rect x="${round(x(atMs))}" y="${y}" width="${round(Math.max(1, x(atMs + ms) - x(atMs)))}" height="${bufferHeight}" class="gap"/>`,
  );
  return (
    `<rect x="${left}" y="${y}" width="${plot}" height="${bufferHeight}" class="frame"/>` +
    `<polygon class="level" points="${corners.join(' ')}"/>${holes.join('')}` +
    `<text x="${left - 6}" y="${y + 14}" class="tick">${Math.round(most)} ms</text>`
  );
}

function axis(y: number, x: (ms: number) => number, longestMs: number): string {
  const step =
    [100, 200, 500, 1000, 2000, 5000, 10_000].find((ms) => longestMs / ms <= 14) ?? 30_000;
  const ticks: string[] = [
    `<line x1="${left}" y1="${y}" x2="${left + plot}" y2="${y}" class="axis"/>`,
  ];
  for (let ms = 0; ms <= longestMs; ms += step) {
    ticks.push(
      `<line x1="${round(x(ms))}" y1="${y}" x2="${round(x(ms))}" y2="${y + 4}" class="axis"/>`,
      `<text x="${round(x(ms))}" y="${y + 16}" text-anchor="middle" style="font-size:10px">${ms / 1000} s</text>`,
    );
  }
  return ticks.join('');
}

function durationMs({ samples, rateHz }: StageSound): number {
  return (samples.length * 1000) / rateHz;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function shortened(text: string, length: number): string {
  const characters = [...text];
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join('')}…`;
}

/** Also without the control characters that XML forbids. */
function escapeXml(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replaceAll(/\p{Cc}/gu, ' ').replaceAll(/[&<>"]/g, (character) => names[character]!);
}
