/** `run --shard i/n`: the part of a plan that this machine runs. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { RunReport, ShardFacts } from '../report/run-report.ts';
import { type PlanMeans, planFacts } from '../runner/plan-facts.ts';
import { estimatedLengthMs } from '../scenario/conversation-length.ts';
import { cellName, type Plan } from '../scenario/plan.ts';
import { divideCells, type Shard } from '../scenario/shard.ts';
import { CommandError, exitCode } from './exit-code.ts';

/** More parts than this are a slip of the finger. */
const mostShards = 10_000;

/** @throws {CommandError} `USAGE` */
export function readShard(written: string): Shard {
  const [, index = 0, of = 0] = (/^(\d+)\/(\d+)$/.exec(written) ?? []).map(Number);
  if (of >= 1 && of <= mostShards && index >= 1 && index <= of) return { index, of };
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `--shard is "${written}"; it must be <i>/<n>, i from 1 to n, n at most ${mostShards}.`,
    'for example --shard 1/4 on the first of four machines',
  );
}

export interface ShardedPlan {
  readonly plan: Plan;
  readonly facts: ShardFacts;
  /** Of the conversations, on their own clock. */
  readonly lengthMs: number;
}

/**
 * What cannot be run is told by the first part, once.
 *
 * @param durations run or report that tells how long the conversations are; default: their scripts
 * @throws {CommandError}
 */
export function shardOf(
  whole: Plan,
  shard: Shard,
  durations: string | undefined,
  means: PlanMeans,
): ShardedPlan {
  const lengths = lengthsOf(whole, durations === undefined ? new Map() : recorded(durations));
  const weighed = whole.cells.map((cell, i) => ({ name: cellName(cell), lengthMs: lengths[i]! }));
  const places = divideCells(weighed, shard.of)[shard.index - 1]!;
  const plan = {
    ...whole,
    cells: places.map((place) => whole.cells[place]!),
    skipped: shard.index === 1 ? whole.skipped : [],
  };
  return {
    plan,
    facts: { ...shard, places, plan: planFacts(whole, means) },
    lengthMs: places.reduce((sum, place) => sum + lengths[place]!, 0),
  };
}

/** Where nothing is known the script is read, in the measure of what is known. */
function lengthsOf({ cells }: Plan, known: ReadonlyMap<string, number>): number[] {
  const estimates = new Map(cells.map(({ scenario }) => [scenario, estimatedLengthMs(scenario)]));
  let knownMs = 0;
  let estimatedMs = 0;
  for (const cell of cells) {
    const ms = known.get(cellName(cell));
    if (ms === undefined) continue;
    knownMs += ms;
    estimatedMs += estimates.get(cell.scenario)!;
  }
  const factor = estimatedMs === 0 ? 1 : knownMs / estimatedMs;
  return cells.map(
    (cell) => known.get(cellName(cell)) ?? Math.round(estimates.get(cell.scenario)! * factor),
  );
}

/** By the name of the cell, which is that of its folder. */
function recorded(path: string): Map<string, number> {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  const file = isFolder ? join(path, 'report.json') : path;
  if (!existsSync(file)) throw notReadable(`${file} is not there`);
  let report: RunReport;
  try {
    report = JSON.parse(readFileSync(file, 'utf8')) as RunReport;
  } catch (error) {
    throw notReadable(`${file} is no JSON: ${(error as Error).message}`);
  }
  if (!Array.isArray(report.cells)) throw notReadable(`${file} is no report of a run`);
  return new Map(
    report.cells.flatMap(({ recording, durationMs }): [string, number][] =>
      typeof durationMs === 'number' ? [[recording.split('/').at(-1)!, durationMs]] : [],
    ),
  );
}

function notReadable(what: string): CommandError {
  return new CommandError(
    'USAGE',
    exitCode.usage,
    `--durations: ${what}.`,
    'name the folder of a run, or its report.json; all shards must get the same one',
  );
}
