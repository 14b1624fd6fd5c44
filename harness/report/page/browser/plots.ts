/** Histograms and curves, drawn by uPlot; beside each the same as a table. */
import uPlot from 'uplot';
import { distribution } from '../../../metrics/distribution.ts';
import { histogram } from '../histogram.ts';
import type { PrebufferLine } from '../page-data.ts';
import { details, element, plural, table } from './element.ts';
import { color, onThemeChange } from './theme.ts';

const width = 340;
const height = 190;

export function histogramPlot(title: string, none: string, values: readonly number[]): HTMLElement {
  const figures = distribution(values);
  if (figures === null) {
    return element(
      'figure',
      { class: 'plot' },
      element('figcaption', {}, title),
      element('p', { class: 'none' }, none),
    );
  }
  const bins = histogram(values);
  const binMs = bins[0]!.toMs - bins[0]!.fromMs;
  // A few bars are not drawn as wide as the plot.
  const margin = binMs * Math.max(0, 4 - bins.length);
  const round = (value: number): string => `${Math.round(value)} ms`;
  const words = `n ${figures.n}, median ${round(figures.p50)}, longest ${round(figures.max)}`;
  return plot(
    title,
    words,
    [bins.map(({ fromMs, toMs }) => (fromMs + toMs) / 2), bins.map(({ count }) => count)],
    () => ({
      scales: {
        x: { time: false, range: [bins[0]!.fromMs - margin, bins.at(-1)!.toMs + margin] },
        y: { range: (_u, _min, max) => [0, Math.max(1, max)] },
      },
      axes: [axis('ms'), { ...axis('how many'), incrs: wholeSteps }],
      series: [
        {},
        {
          label: 'how many',
          fill: color('provider'),
          stroke: color('provider'),
          paths: uPlot.paths.bars!({ size: [0.9, 60] }),
          points: { show: false },
        },
      ],
    }),
    table(
      title,
      [{ head: 'from ms' }, { head: 'to ms', number: true }, { head: 'how many', number: true }],
      bins
        .filter(({ count }) => count > 0)
        .map(({ fromMs, toMs, count }) => [`${fromMs}`, `${toMs}`, `${count}`]),
    ),
  );
}

/** There is no half of a gap. */
const wholeSteps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000];

/** What a longer prebuffer saves of silence, and what it costs of waiting. */
export function prebufferPlot({ points, kneeMs, enoughMs }: PrebufferLine): HTMLElement {
  const rows: { buffer: number; delay: number; count: number; ms: number }[] = [];
  for (let i = 0; i + 3 < points.length; i += 4) {
    rows.push({
      buffer: points[i]!,
      delay: points[i + 1]!,
      count: points[i + 2]!,
      ms: points[i + 3]!,
    });
  }
  const knee = rows.find(({ buffer }) => buffer === kneeMs);
  const enough =
    enoughMs === null
      ? 'Not even 10 s would have been enough.'
      : `A prebuffer of ${Math.round(enoughMs)} ms would have been enough.`;
  const bend =
    knee === undefined || knee.buffer === enoughMs
      ? ''
      : ` Knee at ${Math.round(knee.buffer)} ms: begins ${Math.round(knee.delay)} ms later, ${plural(knee.count, 'underrun')} of ${Math.round(knee.ms)} ms left.`;
  const line = (label: string, name: string): uPlot.Series => ({
    label,
    stroke: color(name),
    width: 2,
    points: { show: false },
    paths: uPlot.paths.stepped!({ align: 1 }),
  });
  return plot(
    'What a prebuffer would have changed',
    enough + bend,
    [rows.map(({ buffer }) => buffer), rows.map(({ ms }) => ms), rows.map(({ delay }) => delay)],
    () => ({
      scales: { x: { time: false }, y: { range: (_u, _min, max) => [0, Math.max(1, max)] } },
      axes: [axis('prebuffer, ms'), axis('ms')],
      series: [{}, line('silence left', 'gap'), line('begins later by', 'provider')],
    }),
    table(
      'What a prebuffer would have changed',
      ['prebuffer ms', 'begins later by ms', 'underruns', 'silence left, ms'].map((head) => ({
        head,
        number: true,
      })),
      thinned(rows).map(({ buffer, delay, count, ms }) => [
        `${Math.round(buffer)}`,
        `${Math.round(delay)}`,
        `${count}`,
        `${Math.round(ms)}`,
      ]),
    ),
    element(
      'small',
      { class: 'key' },
      element('span', { class: 'silence' }, '■ silence left'),
      ' ',
      element('span', { class: 'later' }, '■ begins later by'),
    ),
  );
}

/** At most some forty, the last one always. */
function thinned<Row>(rows: readonly Row[]): Row[] {
  const every = Math.ceil(rows.length / 40);
  return rows.filter((_, i) => i % every === 0 || i === rows.length - 1);
}

function axis(label: string): uPlot.Axis {
  return {
    label,
    labelSize: 18,
    labelFont: '11px system-ui, sans-serif',
    font: '11px system-ui, sans-serif',
    size: 44,
    stroke: color('muted'),
    grid: { stroke: color('line'), width: 1 },
    ticks: { stroke: color('line'), width: 1 },
  };
}

function plot(
  title: string,
  words: string,
  points: [number[], ...number[][]],
  how: () => Omit<uPlot.Options, 'width' | 'height'>,
  alternative: HTMLElement,
  key: HTMLElement | null = null,
): HTMLElement {
  const canvas = element('div', {
    class: 'canvas',
    role: 'img',
    'aria-label': `${title}: ${words}`,
  });
  let shown: uPlot | undefined;
  const draw = (): void => {
    shown?.destroy();
    shown = new uPlot(
      { ...how(), width, height, legend: { show: false }, cursor: { show: false } },
      points,
      canvas,
    );
  };
  const stop = onThemeChange(() => {
    if (canvas.isConnected) draw();
    else stop();
  });
  draw();
  return element(
    'figure',
    { class: 'plot' },
    element('figcaption', {}, title, element('small', {}, words)),
    canvas,
    key,
    details('as a table', alternative),
  );
}
