import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../clock/system-clock.ts';
import { openLaboratory } from '../runner/laboratory.ts';
import type { ProviderEntry } from '../runner/provider-catalog.ts';
import { runPlan } from '../runner/run-plan.ts';
import type { Plan } from '../scenario/plan.ts';

/** How fast virtual time runs: seconds of conversation per second of wall time. */
export interface SimulationSpeed {
  readonly cells: number;
  /** Seconds of conversation in one pass over the plan. */
  readonly simulatedSeconds: number;
  /** First pass: every clip is synthesized. */
  readonly coldRatio: number;
  /** Second pass: clips come from memory. */
  readonly warmRatio: number;
}

/** Runs the plan twice with one laboratory whose cache starts empty; recordings are thrown away. */
export async function measureSimulationSpeed(
  plan: Plan,
  providers: ReadonlyMap<string, ProviderEntry>,
  signal: AbortSignal,
): Promise<SimulationSpeed> {
  const clock = new SystemClock();
  const laboratory = await openLaboratory();
  const pass = async (): Promise<{ simulatedSeconds: number; ratio: number }> => {
    const folder = mkdtempSync(join(tmpdir(), 'echokit-bench-'));
    try {
      const fromUs = clock.nowUs();
      const options = { plan, providers, laboratory, folder, signal, environment: {} };
      const results = await runPlan(options);
      const wallUs = clock.nowUs() - fromUs;
      const simulatedUs = results.reduce((sum, { durationUs }) => sum + durationUs, 0);
      return { simulatedSeconds: simulatedUs / 1_000_000, ratio: simulatedUs / wallUs };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
  const cold = await pass();
  const warm = await pass();
  return {
    cells: plan.cells.length,
    simulatedSeconds: cold.simulatedSeconds,
    coldRatio: cold.ratio,
    warmRatio: warm.ratio,
  };
}
