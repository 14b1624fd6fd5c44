/**
 * Performs a reset strategy on a port and measures what became of its pulses: a busy machine stretches them
 * (pitfalls catalogue, R11).
 */
import type { Clock } from '../clock/clock.ts';
import type { BoardPort } from './board-port.ts';
import type { ResetStrategy } from './reset-strategy.ts';
import { SerialError } from './serial-error.ts';

/** How long the lines stood between two changes. */
export interface Pulse {
  /** The step that began it, such as `R1`. */
  readonly step: string;
  readonly plannedUs: number;
  /** From the completion of one change to that of the next. */
  readonly measuredUs: number;
}

export interface ResetAttempt {
  readonly atUs: number;
  readonly pulses: readonly Pulse[];
  /** A pulse was longer than planned by more than {@link stretchToleranceUs}. */
  readonly stretched: boolean;
}

export interface ResetReport {
  readonly strategy: ResetStrategy;
  /** In order; all but the last were stretched. */
  readonly attempts: readonly ResetAttempt[];
  /** The last attempt was stretched, too: the board may not have done what was asked. */
  readonly stretched: boolean;
  /** When the lines were back in run state. */
  readonly endUs: number;
}

/**
 * What a pulse may be too long by. A change of lines over USB takes one to two milliseconds and the wait is exact
 * on an idle machine; the shortest delay that the catalogue reports as harmful is 50 ms.
 */
export const stretchToleranceUs = 40_000;

const attemptsMaximum = 3;

/** Between two attempts, with both lines off, so that the board sees two resets and not one. */
const betweenAttemptsUs = 100_000;

export interface ResetOptions {
  readonly port: BoardPort;
  readonly clock: Clock;
  readonly strategy: ResetStrategy;
  readonly signal?: AbortSignal;
}

/**
 * Performs the strategy, up to three times while its pulses are stretched. Whatever happens, both lines are off
 * afterwards.
 *
 * @throws {SerialError} `SERIAL_NO_LINES`, `SERIAL_GONE`; the reason of the signal
 */
export async function resetBoard(options: ResetOptions): Promise<ResetReport> {
  const { port, clock, strategy, signal } = options;
  if (!port.carriesLines) throw noLines(port, 'The board cannot be reset from here');
  const attempts: ResetAttempt[] = [];
  try {
    for (;;) {
      signal?.throwIfAborted();
      const attempt = await perform(options);
      attempts.push(attempt);
      if (!attempt.stretched || attempts.length === attemptsMaximum) break;
      await port.setLines({ dtr: false, rts: false });
      await clock.sleep(betweenAttemptsUs, signal);
    }
  } catch (error) {
    // A port that is gone has no lines; what stopped us is what the caller must hear.
    await port.setLines({ dtr: false, rts: false }).catch(() => {});
    throw error;
  }
  await port.setLines({ dtr: false, rts: false });
  return { strategy, attempts, stretched: attempts.at(-1)!.stretched, endUs: clock.nowUs() };
}

async function perform({ port, clock, strategy, signal }: ResetOptions): Promise<ResetAttempt> {
  const atUs = clock.nowUs();
  const pulses: Pulse[] = [];
  let since: { readonly step: string; readonly atUs: number } | undefined;
  let plannedUs = 0;
  for (const step of strategy.steps) {
    if (step.kind === 'wait') {
      plannedUs += step.durationUs;
      await clock.sleep(step.durationUs, signal);
      continue;
    }
    signal?.throwIfAborted();
    await port.setLines(step.lines);
    const nowUs = clock.nowUs();
    if (since !== undefined) {
      pulses.push({ step: since.step, plannedUs, measuredUs: nowUs - since.atUs });
    }
    since = { step: step.text, atUs: nowUs };
    plannedUs = 0;
  }
  const stretched = pulses.some((pulse) => pulse.measuredUs - pulse.plannedUs > stretchToleranceUs);
  return { atUs, pulses, stretched };
}

/** For logs: `run-bridge: R1 100.3 ms (100 ms)`, an attempt per part. */
export function describeReset({ strategy, attempts, stretched }: ResetReport): string {
  const each = attempts.map(({ pulses }) =>
    pulses
      .filter(({ plannedUs, measuredUs }) => plannedUs > 0 || measuredUs > stretchToleranceUs)
      .map(({ step, plannedUs, measuredUs }) => {
        return `${step} ${(measuredUs / 1000).toFixed(1)} ms (${plannedUs / 1000} ms)`;
      })
      .join(', '),
  );
  const tries = attempts.length === 1 ? '' : `, ${attempts.length} attempts`;
  return `${strategy.name}: ${each.join('; ')}${tries}${stretched ? ', STRETCHED: this machine was too busy' : ''}`;
}

/** @param what the beginning of the sentence: what is not possible */
export function noLines(port: BoardPort, what: string): SerialError {
  return new SerialError(
    'SERIAL_NO_LINES',
    `${what}: ${port.address} carries no DTR and RTS.`,
    'Press the button of the board by hand, or reach it by a local port or an rfc2217:// server.',
  );
}
