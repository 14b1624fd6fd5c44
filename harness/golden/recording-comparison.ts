/**
 * A recording against its golden one: the same story, the same ledger of samples, the same latencies within a
 * tolerance, and the same sound. Pure.
 */
import { measureCell } from '../metrics/measure.ts';
import type { RecordedCell } from '../metrics/recorded-cell.ts';
import { type AudioTolerances, audioTolerances, compareAudio } from './audio-comparison.ts';

export interface RecordingTolerances {
  /** Of every latency and pause. Instants in virtual time are exact; a change of a codec moves what depends on its bytes. */
  readonly latencyMs: number;
  readonly audio: AudioTolerances;
}

export const recordingTolerances: RecordingTolerances = { latencyMs: 5, audio: audioTolerances };

export interface RecordingDifference {
  /** `story`: what was said and done; `ledger`: how many samples went where. */
  readonly kind: 'story' | 'ledger' | 'latency' | 'audio';
  /** One line for a person: what, now, then, where. */
  readonly text: string;
}

export function compareRecordings(
  golden: RecordedCell,
  now: RecordedCell,
  tolerances: RecordingTolerances = recordingTolerances,
): RecordingDifference[] {
  return [
    ...differences('story', storyOf(golden), storyOf(now)),
    ...differences('ledger', ledgerOf(golden), ledgerOf(now)),
    ...latencies(golden, now, tolerances.latencyMs),
    ...sounds(golden, now, tolerances.audio),
  ];
}

/** What happened, in order, without instants: turns, sentences, states, failures. */
function storyOf({ events }: RecordedCell): ReadonlyMap<string, string> {
  const lines = events.flatMap((event): string[] => {
    const { source, type } = event;
    if (source === 'server' && type === 'sentence') return [`server says "${event.text}"`];
    if (source === 'server' && type === 'asr' && event.final)
      return [`server heard "${event.text}"`];
    if (source === 'server' && type === 'turnEnd') {
      return [`server ends turn ${event.turn}: ${event.outcome} ${event.failure ?? ''}`.trim()];
    }
    if (source === 'provider' && type === 'failure')
      return [`request ${event.request} fails: ${event.code}`];
    if (source === 'device' && type === 'state')
      return [`board goes from ${event.from} to ${event.to}`];
    if (source === 'device' && type === 'reboot') return [`board restarts: ${event.cause}`];
    if (source === 'harness' && type === 'turnEnd')
      return [`turn ${event.turn} is ${event.outcome}`];
    return [];
  });
  return new Map(lines.map((line, index) => [`step ${index + 1}`, line]));
}

/** Samples by stage and cause, of the cell and of each sentence. */
function ledgerOf(cell: RecordedCell): ReadonlyMap<string, string> {
  const { conservation } = measureCell(cell);
  const rows = new Map<string, string>();
  for (const { stage, samples, differences } of conservation.ledger) {
    rows.set(`${stage}`, `${samples ?? 'unknown'}`);
    for (const { cause, samples: count } of differences) rows.set(`${stage}, ${cause}`, `${count}`);
  }
  rows.set('unexplained', `${conservation.unexplained.length}`);
  for (const event of cell.events) {
    if (event.source !== 'server' || event.type !== 'framed') continue;
    const { sentence, samplesIn, samplesOut, lostSamples } = event;
    rows.set(`sentence ${sentence}`, `${samplesIn} in, ${samplesOut} out, ${lostSamples} lost`);
  }
  return rows;
}

function differences(
  kind: 'story' | 'ledger',
  golden: ReadonlyMap<string, string>,
  now: ReadonlyMap<string, string>,
): RecordingDifference[] {
  const names = [...new Set([...golden.keys(), ...now.keys()])];
  return names
    .filter((name) => golden.get(name) !== now.get(name))
    .map((name) => ({
      kind,
      text: `${name}: ${now.get(name) ?? 'nothing'} instead of ${golden.get(name) ?? 'nothing'}`,
    }));
}

function latencies(
  golden: RecordedCell,
  now: RecordedCell,
  limitMs: number,
): RecordingDifference[] {
  const [before, after] = [measureCell(golden).metrics, measureCell(now).metrics];
  const isLatency = /_ms(?:\.(?:p50|max|min))?$/;
  return Object.entries(before).flatMap(([name, was]): RecordingDifference[] => {
    if (!isLatency.test(name)) return [];
    const is = after[name] ?? null;
    const near =
      typeof was === 'number' && typeof is === 'number'
        ? Math.abs(is - was) <= limitMs
        : is === was;
    if (near) return [];
    const text = `${name}: ${shown(is)} instead of ${shown(was)} (tolerance ${limitMs} ms)`;
    return [{ kind: 'latency', text }];
  });
}

function shown(value: number | string | null): string {
  return typeof value === 'number' ? value.toFixed(1) : (value ?? 'nothing');
}

function sounds(
  golden: RecordedCell,
  now: RecordedCell,
  tolerances: AudioTolerances,
): RecordingDifference[] {
  const pairs: [string, Int16Array, Int16Array | undefined][] = [
    ['speaker', golden.speaker, now.speaker],
    ['sent', golden.sent, now.sent],
    ...[...golden.provider].map(
      ([request, samples]): [string, Int16Array, Int16Array | undefined] => [
        `provider request ${request}`,
        samples,
        now.provider.get(request),
      ],
    ),
  ];
  return pairs.flatMap(([name, before, after]) =>
    after === undefined
      ? [{ kind: 'audio' as const, text: `${name}: no audio any more` }]
      : compareAudio(before, after, tolerances).map(({ text }) => ({
          kind: 'audio' as const,
          text: `${name}: ${text}`,
        })),
  );
}
