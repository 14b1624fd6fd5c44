import { join } from 'node:path';
import { runPlan } from '../runner/run-plan.ts';
import { planRun } from '../scenario/plan.ts';
import { temporaryFolder } from './bench-folder.ts';
import type { BenchMeasurement } from './bench-part.ts';
import { type Figure, repeated } from './figure.ts';
import { inYardsticks } from './yardstick.ts';

const rounds = { quick: 7, full: 20 };
const providers = ['openai-stream', 'stream_gsv', 'elevenlabs', 'cosyvoice'];

/**
 * How long reports of a known run take: the recordings are read from the disk, measured and judged, and written as JSON, and as
 * JSON and one page for a browser. What the page shows more is the difference of the two, measured in turn.
 */
export const reportTime: BenchMeasurement = {
  async measure(means) {
    const { full, catalog, scenarios, signal, writeReport } = means;
    const plan = planRun(scenarios('one-question', 'two-turns'), {
      seed: 1,
      time: 'virtual',
      catalog,
      providers,
      networks: ['ideal'],
    });
    const laboratory = await means.laboratory();
    return await temporaryFolder(async (folder) => {
      const run = join(folder, 'run');
      const how = { plan, providers: means.providers, laboratory, signal, environment: {} };
      const results = await runPlan({ ...how, folder: run });
      const json = { json: join(folder, 'report.json') };
      const page = { ...json, html: join(folder, 'report.html') };
      const took = { json: [] as Took[], page: [] as Took[] };
      // The first round compiles, and bundles what the page runs in the browser.
      for (let round = 0; round <= (full ? rounds.full : rounds.quick); round++) {
        if (signal.aborted) break;
        const measured = {
          json: await inYardsticks(() => writeReport(run, json)),
          page: await inYardsticks(() => writeReport(run, page)),
        };
        if (round === 0) continue;
        took.json.push(measured.json);
        took.page.push(measured.page);
      }
      const seconds = results.reduce((sum, { durationUs }) => sum + durationUs, 0) / 1_000_000;
      return reportFigures(took, results.length, seconds);
    });
  },
};

interface Took {
  readonly us: number;
  readonly yardsticks: number;
}

function reportFigures(
  { json, page }: { readonly json: readonly Took[]; readonly page: readonly Took[] },
  conversations: number,
  seconds: number,
): Figure[] {
  if (json.length === 0) return [];
  const of = `${conversations} conversations, ${seconds.toFixed(0)} s`;
  const figures = (name: string, label: string, took: readonly Took[]): Figure[] => [
    repeated(
      took.map(({ us }) => us / 1000),
      { id: `report.${name}`, label, unit: 'ms', better: 'lower', kind: 'here' },
    ),
    repeated(
      took.map(({ yardsticks }) => yardsticks / conversations),
      {
        id: `report.${name}_yardsticks`,
        label: '  yardsticks for a conversation',
        unit: '',
        better: 'lower',
        kind: 'ratio',
      },
    ),
  ];
  return [
    ...figures('json', `recordings measured, JSON written, processor time (${of})`, json),
    ...figures('page', 'the same and the page', page),
    repeated(
      page.map(({ us }, index) => us / json[index]!.us),
      {
        id: 'report.page_over_json',
        label: 'page and JSON over JSON alone',
        unit: '×',
        better: 'lower',
        kind: 'ratio',
      },
    ),
  ];
}
