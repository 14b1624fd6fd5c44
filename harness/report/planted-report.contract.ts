/** A run made by hand, for tests of everything that is drawn from a report: its truth is planted. */
import { measureCell } from '../metrics/measure.ts';
import {
  type PlantedSentence,
  type PlantedTurn,
  plantCell,
} from '../metrics/planted-cell.contract.ts';
import { silentScenario } from '../scenario/load.ts';
import type { Cell } from '../scenario/plan.ts';
import { cellName } from '../scenario/plan.ts';
import type { Expectation } from '../scenario/scenario.ts';
import { checkReportFormat } from '../trace/format-check.contract.ts';
import { judge, type VerdictFailure } from '../verdict/judge.ts';
import { buildRunReport, type ReportedCell, type RunFacts, type RunReport } from './run-report.ts';

export interface PlantedCellPlan {
  readonly scenario?: string;
  readonly title?: string;
  readonly provider: string;
  readonly device?: string;
  readonly network?: string;
  readonly server?: Cell['server'];
  readonly turns: readonly PlantedTurn[];
  readonly expect?: readonly Expectation[];
  /** Of a live provider. */
  readonly host?: string;
  readonly repetition?: number;
  /** Default: 7. */
  readonly seed?: number;
  /** Tries before it that could not be judged: the code of each. */
  readonly earlier?: readonly string[];
}

/**
 * A turn whose spans are, in ms: end of turn 300, first text 140, sentence ready 60, handover 2,
 * connect 30, ttfb as given, server hold 2, downlink 40, then the board's cycle and the silence in
 * front of the clip. The clip comes in two pieces; the second one is late by `lateMs`.
 */
export function plantTurn(
  change: {
    readonly startMs?: number;
    readonly ttfbMs?: number;
    readonly lateMs?: number;
    readonly failure?: string;
  } = {},
): PlantedTurn {
  const { startMs = 0, ttfbMs = 400, lateMs = 0, failure } = change;
  const at = (ms: number) => (startMs + ms) * 1000;
  const sentence: PlantedSentence = {
    readyUs: at(2500),
    decidedUs: at(2501),
    connectedUs: at(2531),
    writtenUs: at(2532),
    chunks:
      failure === undefined
        ? [
            { atUs: at(2532 + ttfbMs), samples: 4000 },
            { atUs: at(2632 + ttfbMs + lateMs), samples: 16_000 },
          ]
        : [],
    leadSamples: 320,
    tailSamples: 0,
    holdUs: 2000,
    downlinkUs: 40_000,
    ...(failure === undefined ? {} : { failure }),
  };
  return {
    speechStartUs: at(1000),
    userStopUs: at(2000),
    endOfTurnUs: at(2300),
    firstTextUs: at(2440),
    sentences: [sentence],
    endUs: at(7000),
  };
}

export function plantExpectation(
  metric: string,
  operator: Expectation['operator'],
  value: Expectation['value'],
): Expectation {
  return { metric, operator, value, at: { file: 'scenarios/planted.toml', line: 12, column: 1 } };
}

export function plantReportedCell(plan: PlantedCellPlan): ReportedCell {
  const { scenario: name = 'one-question', title = 'One question, one answer' } = plan;
  const expect = plan.expect ?? [];
  const scenario = { ...silentScenario(name, `scenarios/${name}.toml`, title), expect };
  const { provider, device = 'diy', network = 'good-wifi', server = 'harness' } = plan;
  const { repetition, seed = 7, earlier } = plan;
  const place = { provider, device, network, server };
  const cell: Cell = { scenario, ...place, seed, ...(repetition !== undefined && { repetition }) };
  const recording = `cells/${cellName(cell)}`;
  const lastUs = Math.max(
    ...plan.turns.flatMap(({ endUs, sentences }) => [
      endUs,
      ...sentences.flatMap(({ chunks }) => chunks.map(({ atUs }) => atUs)),
    ]),
  );
  const { cell: recorded } = plantCell({
    speakerStartUs: 0,
    restSamples: 0,
    speakerSamples: (lastUs / 1000 + 3000) * 16,
    turns: plan.turns,
  });
  const measurement = measureCell(recorded);
  return {
    cell,
    measurement,
    verdict: judge(measurement, expect),
    recording,
    host: plan.host ?? null,
    ...(earlier !== undefined && {
      earlierTries: earlier.map((code, i) => ({
        verdict: { outcome: 'infra' as const, expectations: [], failures: [infra(code)] },
        recording: `${recording}--try-${i + 1}`,
        durationUs: 1_500_000,
      })),
    }),
  };
}

function infra(code: string): VerdictFailure {
  const message = `it was the ${code}`;
  return { class: 'infra', code, message, turn: null, expected: false, seqs: [] };
}

export function plantRunReport(
  plans: readonly PlantedCellPlan[],
  run: Partial<RunFacts> = {},
): RunReport {
  return checkReportFormat(
    buildRunReport({
      cells: plans.map(plantReportedCell),
      run: { id: 'planted-run', seed: 7, time: 'virtual', live: false, ...run },
      environment: { version: '0.1.0', node: 'v20.19.0' },
    }),
  );
}
