/** What a recording comes to: a pure function of its files and of the scenario that it is judged by. */
import { type BoardMeasurement, measureBoard } from '../metrics/board-measurement.ts';
import { type CellMeasurement, defaultMeasureSettings, measureCell } from '../metrics/measure.ts';
import type { Expectation, Scenario } from '../scenario/scenario.ts';
import type { RecordedCell } from '../trace/recorded-cell.ts';
import { judge, type Verdict } from '../verdict/judge.ts';
import { judgeChecks } from '../verdict/trace-checks.ts';
import { consoleLines } from './console-lines.ts';
import { missedDisturbances, missedFaults, missedNamedFaults } from './missed-disturbances.ts';

export interface JudgedRecording {
  readonly measurement: CellMeasurement;
  /** Null: the board was emulated. */
  readonly board: BoardMeasurement | null;
  readonly verdict: Verdict;
}

/**
 * @param scenario undefined: nothing is known of what was expected
 * @param sound as for `measureCell`
 */
export function judgeRecording(
  recording: RecordedCell,
  scenario: Scenario | undefined,
  sound = true,
): JudgedRecording {
  const { header, events } = recording;
  const measurement = measureCell(recording, defaultMeasureSettings, sound);
  const board = measureBoard(recording);
  const live = header.live !== undefined;
  const external = header.server === 'external';
  const planned = scenario === undefined ? [] : missedDisturbances(scenario, events);
  // A provider that is not ours has no planted faults; in a recording they have happened.
  const ours = !live && !external && header.replay === undefined;
  const verdict = judge(measurement, scenario === undefined ? [] : expectationsOf(scenario), {
    live,
    external,
    boardFailures: board?.failures ?? [],
    checks:
      scenario === undefined
        ? []
        : judgeChecks(scenario.checks, {
            events,
            console: consoleLines(events, scenario.device.quirksOff),
          }),
    missedDisturbances: [
      ...planned,
      ...(ours && scenario !== undefined ? missedFaults(scenario, events) : []),
      ...(scenario === undefined || header.replay !== undefined
        ? []
        : missedNamedFaults(scenario, events)),
    ],
    replayDeviations: events.flatMap((event) =>
      event.source === 'harness' && event.type === 'replayDeviation' ? [event] : [],
    ),
  });
  return { measurement, board, verdict };
}

function expectationsOf({ expect, turns }: Scenario): Expectation[] {
  return [...expect, ...turns.flatMap((turn) => turn.expect)];
}
