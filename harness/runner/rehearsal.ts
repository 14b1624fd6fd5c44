/** Whether a conversation would still ask its provider for what was recorded. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RecordedTraffic } from '../replay/recorded-exchange.ts';
import type { Cell, Plan } from '../scenario/plan.ts';
import { type RunPlanOptions, runPlan } from './run-plan.ts';

export interface RehearsalOptions
  extends Pick<
    RunPlanOptions,
    'providers' | 'devices' | 'laboratory' | 'secrets' | 'signal' | 'environment'
  > {
  readonly cell: Cell;
  /** Answers in the place of the provider. */
  readonly traffic: RecordedTraffic;
}

/** One way in which it is not as recorded: a code of `harness/replay/README.md`, and the differences in words. */
export interface RehearsalDifference {
  readonly code: string;
  readonly message: string;
}

/**
 * Holds the conversation once in virtual time with the recording in the place of the provider, and keeps nothing of it.
 * Nothing is sent to anybody.
 *
 * @returns none: every request is a recorded one, and every recorded one is made. What comes behind the first
 *   difference may follow from it
 */
export async function rehearse({
  cell,
  traffic,
  ...means
}: RehearsalOptions): Promise<RehearsalDifference[]> {
  const folder = mkdtempSync(join(tmpdir(), 'echokit-rehearsal-'));
  try {
    const { seed } = cell;
    const plan: Plan = { seed, time: 'virtual', live: false, cells: [cell], skipped: [] };
    const results = await runPlan({ ...means, plan, recorded: () => traffic, folder });
    return results.flatMap(({ verdict }) =>
      verdict.failures.flatMap(({ code, message }) =>
        code.startsWith('REPLAY_') ? [{ code, message }] : [],
      ),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
