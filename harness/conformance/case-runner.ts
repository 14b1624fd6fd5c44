import type { Clock } from '../clock/clock.ts';
import { NetworkError } from '../network/network-error.ts';
import {
  type CaseResult,
  type CaseStatus,
  type ConformanceCase,
  type EvidenceLine,
  Nonconformity,
  Skipped,
  Unsupported,
} from './conformance-case.ts';

/** What a case plays on; made for each case and cleared away after it. */
export interface CaseStage {
  readonly evidence: EvidenceLine[];
  /** Closes everything the case has opened. */
  clear(): void;
}

export interface RunCasesOptions<Stage extends CaseStage> {
  readonly cases: readonly ConformanceCase<Stage>[];
  readonly clock: Clock;
  /** @param signal aborts when the case has had its time */
  readonly createStage: (signal: AbortSignal) => Stage;
  /** No case lasts longer, whatever it waits for. */
  readonly caseLimitMs: number;
  /** Stops before the next case. */
  readonly signal: AbortSignal;
  readonly onResult?: (result: CaseResult) => void;
}

/**
 * Plays cases one after the other. Nothing of a case outlives it: when its time is up it fails, its
 * connections are closed and the next one begins.
 */
export async function runCases<Stage extends CaseStage>(
  options: RunCasesOptions<Stage>,
): Promise<CaseResult[]> {
  const { cases, signal, onResult } = options;
  const results: CaseResult[] = [];
  for (const each of cases) {
    if (signal.aborted) break;
    const result = await runCase(each, options);
    results.push(result);
    onResult?.(result);
  }
  return results;
}

async function runCase<Stage extends CaseStage>(
  { id, title, clause, play }: ConformanceCase<Stage>,
  { clock, createStage, caseLimitMs, signal }: RunCasesOptions<Stage>,
): Promise<CaseResult> {
  const startUs = clock.nowUs();
  const control = new AbortController();
  const stage = createStage(AbortSignal.any([control.signal, signal]));
  const limit = new Nonconformity(
    `the case did not come to its end within ${caseLimitMs / 1000} s, the limit of every case`,
  );
  let give: (error: unknown) => void = () => {};
  const givenUp = new Promise<never>((_resolve, reject) => {
    give = reject;
  });
  const alarm = clock.after(caseLimitMs * 1000, () => give(limit));
  const stop = (): void => give(new Skipped('stopped'));
  signal.addEventListener('abort', stop, { once: true });
  const playing = play(stage);
  let status: CaseStatus = 'pass';
  let detail = '';
  try {
    await Promise.race([playing, givenUp]);
  } catch (error) {
    if (error instanceof Unsupported) status = 'unsupported';
    else if (error instanceof Skipped) status = 'skipped';
    else if (error instanceof Nonconformity || error instanceof NetworkError) status = 'fail';
    else throw error;
    detail = (error as Error).message;
  } finally {
    alarm.cancel();
    signal.removeEventListener('abort', stop);
    control.abort(limit);
    stage.clear();
    // What still waits hears of the abort; its outcome is known already.
    await playing.catch(() => {});
  }
  const evidence = [...stage.evidence].sort((a, b) => a.atUs - b.atUs);
  return { id, title, clause, status, detail, startUs, endUs: clock.nowUs(), evidence };
}
