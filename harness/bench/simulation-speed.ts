import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Laboratory, openLaboratory } from '../runner/laboratory.ts';
import { runPlan } from '../runner/run-plan.ts';
import { type Plan, planRun } from '../scenario/plan.ts';
import type { BenchMeans, BenchMeasurement } from './bench-part.ts';
import { type Figure, repeated } from './figure.ts';
import { inYardsticks } from './yardstick.ts';

/** What a quick bench holds conversations with: plain HTTP, a streamed WAV, and sockets of two kinds. */
const quickProviders = ['openai-stream', 'stream_gsv', 'elevenlabs', 'cosyvoice'];
const quickRounds = 6;
const fullRounds = 6;
/** In one round, after the one with empty caches. */
const warmPasses = 2;

/** One round: a laboratory without anything in its caches, then the same again. */
interface Round {
  readonly simulatedSeconds: number;
  readonly coldUs: number;
  readonly coldYardsticks: number;
  readonly warmUs: number;
  readonly warmYardsticks: number;
}

/**
 * Seconds of conversation for each second of processor time, everything included: speaking, encoding, the wire, the
 * board, metrics, and the recording on the disk. What a round remembers is thrown away with its laboratory.
 */
export const simulationSpeed: BenchMeasurement = {
  async measure(means) {
    const plan = planOf(means);
    const rounds: Round[] = [];
    // The first round also compiles the program, and counts for nothing.
    for (let round = 0; round <= (means.full ? fullRounds : quickRounds); round++) {
      if (means.signal.aborted) break;
      const measured = await oneRound(plan, means);
      if (round > 0) rounds.push(measured);
    }
    return speedFigures(rounds, plan.cells.length);
  },
};

function planOf({ full, catalog, scenarios }: BenchMeans): Plan {
  const chosen = full ? scenarios('one-question', 'long-answer') : scenarios('one-question');
  const providers = full ? {} : { providers: quickProviders };
  return planRun(chosen, { seed: 1, time: 'virtual', catalog, ...providers });
}

async function oneRound(plan: Plan, means: BenchMeans): Promise<Round> {
  const laboratory = await openLaboratory();
  let simulatedUs = 0;
  const cold = await inYardsticks(async () => {
    simulatedUs = await pass(plan, laboratory, means);
  });
  const warm = await inYardsticks(async () => {
    for (let again = 0; again < warmPasses; again++) await pass(plan, laboratory, means);
  });
  return {
    simulatedSeconds: simulatedUs / 1_000_000,
    coldUs: cold.us,
    coldYardsticks: cold.yardsticks,
    warmUs: warm.us / warmPasses,
    warmYardsticks: warm.yardsticks / warmPasses,
  };
}

/** @returns how long the conversations took on their own clocks, in µs */
async function pass(plan: Plan, laboratory: Laboratory, means: BenchMeans): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'echokit-bench-'));
  try {
    const { providers, signal } = means;
    const results = await runPlan({ plan, providers, laboratory, folder, signal, environment: {} });
    return results.reduce((sum, { durationUs }) => sum + durationUs, 0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function speedFigures(rounds: readonly Round[], cells: number): Figure[] {
  const seconds = rounds[0]?.simulatedSeconds ?? 0;
  const of = `${cells} conversations, ${seconds.toFixed(0)} s`;
  return [
    repeated(
      rounds.map(({ coldUs }) => (1_000_000 * seconds) / coldUs),
      {
        id: 'speed.cold',
        label: `simulated per processor second, nothing remembered (${of})`,
        unit: 's/s',
        better: 'higher',
        kind: 'here',
        goal: 40,
      },
    ),
    repeated(
      rounds.map(({ warmUs }) => (1_000_000 * seconds) / warmUs),
      {
        id: 'speed.warm',
        label: 'simulated per processor second, clips and packets remembered',
        unit: 's/s',
        better: 'higher',
        kind: 'here',
        goal: 1_000,
      },
    ),
    repeated(
      rounds.map(({ coldUs, warmUs }) => coldUs / warmUs),
      {
        id: 'speed.warm_over_cold',
        label: 'warm over cold',
        unit: '×',
        better: 'higher',
        kind: 'ratio',
      },
    ),
    repeated(
      rounds.map(({ coldYardsticks }) => coldYardsticks / seconds),
      {
        id: 'speed.cold_yardsticks',
        label: 'yardsticks for a simulated second, cold',
        unit: '',
        better: 'lower',
        kind: 'ratio',
      },
    ),
    repeated(
      rounds.map(({ warmYardsticks }) => warmYardsticks / seconds),
      {
        id: 'speed.warm_yardsticks',
        label: 'yardsticks for a simulated second, warm',
        unit: '',
        better: 'lower',
        kind: 'ratio',
      },
    ),
  ];
}
