/**
 * The parts of a run as one: read one after the other, checked against each other, their cells put into the order of the
 * plan on the disk. Of each cell no more than a line is kept in memory.
 */
import {
  closeSync,
  constants,
  copyFileSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { flakinessOf, type HeldConversation } from '../comparison/flaky.ts';
import { epochMs } from '../report/ctrf-report.ts';
import { heldConversation, withFlakiness } from '../report/flaky-report.ts';
import { jsonText } from '../report/json-text.ts';
import type {
  CellReport,
  NotRunReport,
  ReportedRun,
  RunBudget,
  RunFacts,
  RunReport,
  ShardFacts,
} from '../report/run-report.ts';
import { CommandError, exitCode } from './exit-code.ts';

/** A cell of one of the parts. */
interface KeptCell {
  /** Where its text is in the spool. */
  readonly offset: number;
  readonly bytes: number;
  readonly verdict: CellReport['verdict'];
  /** Folder of the part. */
  readonly folder: string;
  readonly recording: string;
  /** Of the tries before it. */
  readonly earlier: readonly string[];
  readonly held: HeldConversation;
}

export interface MergedRun {
  readonly report: ReportedRun;
  readonly verdicts: readonly CellReport['verdict'][];
  /** Recordings by what the report calls them, and where they are now. */
  readonly recordings: readonly { readonly from: string; readonly to: string }[];
}

/** What of the parts is kept while they are read. */
interface Gathered {
  readonly first: RunReport;
  readonly firstPath: string;
  readonly plan: ShardFacts;
  /** By the place in the plan. */
  readonly cells: (KeptCell | undefined)[];
  readonly notRun: (NotRunReport | undefined)[];
  readonly skipped: NotRunReport[];
  /** Path of each part, by its number. */
  readonly parts: (string | undefined)[];
  readonly runs: Pick<RunFacts, 'startedAt' | 'durationMs' | 'budget'>[];
}

/**
 * @param spool file for the texts of the cells; not there yet
 * @throws {CommandError} `MERGE_…`
 */
export function readParts(paths: readonly string[], spool: string, id: string): MergedRun {
  const file = openSync(spool, 'wx+');
  try {
    let offset = 0;
    let all: Gathered | undefined;
    for (const path of paths) {
      const { report, folder } = readPart(path);
      const shard = shardOf(report, path);
      all ??= begun(report, path, shard);
      checkSame(all, report, path, shard);
      checkPlaces(all, report, path, shard);
      all.parts[shard.index - 1] = path;
      all.runs.push(report.run);
      for (const [i, cell] of report.cells.entries()) {
        const text = Buffer.from(jsonText(cell, 0));
        for (let at = 0; at < text.length; ) at += writeSync(file, text, at);
        all.cells[shard.places[i]!] = {
          offset,
          bytes: text.length,
          verdict: cell.verdict,
          folder,
          recording: cell.recording,
          earlier: cell.earlierTries?.map((one) => one.recording) ?? [],
          held: heldConversation(cell, report),
        };
        offset += text.length;
      }
      const left = shard.places.slice(report.cells.length);
      const skipped = report.notRun.length - left.length;
      all.skipped.push(...report.notRun.slice(0, skipped));
      for (const [i, place] of left.entries()) all.notRun[place] = report.notRun[skipped + i]!;
    }
    return joined(complete(all), spool, id);
  } finally {
    closeSync(file);
  }
}

function readPart(path: string): { readonly report: RunReport; readonly folder: string } {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  const file = isFolder ? join(path, 'report.json') : path;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw refused(
      'MERGE_UNREADABLE',
      `${file} cannot be read: ${(error as Error).message}.`,
      'name the folder of a run, or its report.json; a run that was killed has none',
      exitCode.environment,
    );
  }
  try {
    return { report: JSON.parse(text) as RunReport, folder: dirname(file) };
  } catch (error) {
    throw refused(
      'MERGE_UNREADABLE',
      `${file} is no JSON: ${(error as Error).message}.`,
      'fetch it once more from where it was made',
      exitCode.environment,
    );
  }
}

function shardOf(report: RunReport | null, path: string): ShardFacts {
  const { run, cells, notRun }: Partial<RunReport> = report ?? {};
  const shard = run?.shard;
  if (!isShard(shard) || !Array.isArray(cells) || !Array.isArray(notRun)) {
    throw refused(
      'MERGE_NOT_A_SHARD',
      `${path} is not a part of a divided run.`,
      'merge joins what run --shard <i>/<n> has recorded; "report" shows several whole runs together',
    );
  }
  return shard;
}

/** More than any plan has; a number beyond it is not one that we have written, and room is made for so many. */
const plannedMax = 10_000_000;

function isShard(shard: Partial<ShardFacts> | null | undefined): shard is ShardFacts {
  const { index, of, places, plan } = shard ?? {};
  const isCount = (value: unknown): boolean =>
    Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= plannedMax;
  return (
    isCount(index) &&
    isCount(of) &&
    isCount(plan?.cells) &&
    typeof plan?.scenarios === 'object' &&
    plan.scenarios !== null &&
    Array.isArray(places) &&
    places.every((place) => isCount(place) && place < plan.cells)
  );
}

function begun(first: RunReport, firstPath: string, plan: ShardFacts): Gathered {
  const empty = <T>(length: number): (T | undefined)[] =>
    Array.from({ length }, (): T | undefined => undefined);
  return {
    first,
    firstPath,
    plan,
    cells: empty<KeptCell>(plan.plan.cells),
    notRun: empty<NotRunReport>(plan.plan.cells),
    skipped: [],
    parts: empty<string>(plan.of),
    runs: [],
  };
}

/** Nothing is joined that was run in different ways. */
function checkSame(
  { first, firstPath, plan }: Gathered,
  other: RunReport,
  path: string,
  shard: ShardFacts,
): void {
  const facts = ({ run, environment, schemaVersion, metricsVersion }: RunReport) => ({
    'version of the report': schemaVersion,
    'definitions of the metrics': metricsVersion,
    ...environment,
    seed: run.seed,
    time: run.time,
    live: run.live,
    replay: run.replay,
  });
  const [mine, theirs] = [facts(first), facts(other)] as Readonly<Record<string, unknown>>[];
  const names = new Set([...Object.keys(mine!), ...Object.keys(theirs!)]);
  const differences = [...names]
    .filter((name) => mine![name] !== theirs![name])
    .map((name) => `${name} ${said(mine![name])} and ${said(theirs![name])}`);
  if (shard.of !== plan.of) differences.push(`${plan.of} parts and ${shard.of}`);
  const scenarios = new Set([
    ...Object.keys(plan.plan.scenarios),
    ...Object.keys(shard.plan.scenarios),
  ]);
  for (const name of scenarios) {
    const [one, two] = [plan.plan.scenarios[name], shard.plan.scenarios[name]];
    if (one === two) continue;
    differences.push(
      one === undefined || two === undefined
        ? `scenario ${name} is only in one of them`
        : `scenario ${name} was another text`,
    );
  }
  if (differences.length === 0 && shard.plan.digest !== plan.plan.digest) {
    differences.push('other providers, boards, networks, servers or settings');
  }
  if (differences.length === 0) return;
  const shown = differences.slice(0, 5).join('; ');
  const more = differences.length > 5 ? `; and ${differences.length - 5} more` : '';
  throw refused(
    'MERGE_OTHER_PLAN',
    `${path} is not a part of the same run as ${firstPath}: ${shown}${more}.`,
    'run all parts with the same version, scenarios and options',
  );
}

function said(value: unknown): string {
  return value === undefined ? 'none' : String(value);
}

function checkPlaces(all: Gathered, report: RunReport, path: string, shard: ShardFacts): void {
  const same = all.parts[shard.index - 1];
  if (same !== undefined) {
    throw refused(
      'MERGE_SHARD_TWICE',
      `Part ${shard.index} of ${shard.of} is there twice: ${same} and ${path}.`,
      'name each part once',
    );
  }
  const { places } = shard;
  const isWhole =
    report.cells.length <= places.length &&
    report.notRun.length >= places.length - report.cells.length &&
    places.every((place) => Number.isInteger(place) && place >= 0 && place < shard.plan.cells);
  if (!isWhole) {
    throw refused(
      'MERGE_UNREADABLE',
      `${path} has ${report.cells.length} cells for ${places.length} places of its plan.`,
      'fetch it once more from where it was made',
      exitCode.environment,
    );
  }
  const taken = places.find(
    (place) => all.cells[place] !== undefined || all.notRun[place] !== undefined,
  );
  if (taken === undefined) return;
  throw refused(
    'MERGE_OTHER_PLAN',
    `${path} has a conversation that another part has, too (place ${taken + 1} of the plan).`,
    'the parts were made with different --durations; run them all with the same',
  );
}

function complete(all: Gathered | undefined): Gathered {
  if (all === undefined) throw new RangeError('There are no parts.');
  const { parts, cells, notRun, plan } = all;
  const missing = parts.flatMap((path, i) => (path === undefined ? [i + 1] : []));
  if (missing.length > 0) {
    throw refused(
      'MERGE_SHARD_MISSING',
      `Of ${plan.of} parts ${missing.length === 1 ? 'one is' : `${missing.length} are`} missing: ${ranges(missing)}.`,
      `run ${missing.length === 1 ? 'it' : 'them'} again with --shard ${missing[0]}/${plan.of}, or find out why there is no report`,
      exitCode.environment,
    );
  }
  const lost = cells.flatMap((cell, i) => ((cell ?? notRun[i]) ? [] : [i + 1]));
  if (lost.length > 0) {
    throw refused(
      'MERGE_OTHER_PLAN',
      `No part has ${lost.length} of ${plan.plan.cells} conversations (places ${ranges(lost)} of the plan).`,
      'the parts were made with different --durations; run them all with the same',
    );
  }
  return all;
}

/** `1-3, 7` */
function ranges(numbers: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const number of numbers) {
    const last = parts.at(-1);
    if (last !== undefined && last[1] === number - 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(', ');
}

function joined(all: Gathered, spool: string, id: string): MergedRun {
  const { first, runs, skipped } = all;
  const cells = all.cells.filter((cell) => cell !== undefined);
  const notRun = all.notRun.filter((cell) => cell !== undefined);
  const {
    shard: _,
    startedAt: _startedAt,
    durationMs: _durationMs,
    budget: _budget,
    ...facts
  } = first.run;
  const flakiness = flakinessOf(cells.map(({ held }) => held));
  const report = {
    ...first,
    run: { ...facts, id, ...together(runs) },
    cells: {
      *[Symbol.iterator](): Iterator<CellReport> {
        const file = openSync(spool, 'r');
        try {
          for (const [i, { offset, bytes }] of cells.entries()) {
            const text = Buffer.alloc(bytes);
            for (let at = 0; at < bytes; ) {
              at += readSync(file, text, at, bytes - at, offset + at);
            }
            // What a part knows of its own repetitions only is known of all of them now.
            yield withFlakiness(JSON.parse(text.toString()) as CellReport, flakiness[i]);
          }
        } finally {
          closeSync(file);
        }
      },
    },
    notRun: [...skipped, ...notRun],
  };
  return {
    report,
    verdicts: cells.map(({ verdict }) => verdict),
    recordings: cells.flatMap(({ folder, recording, earlier }) =>
      [recording, ...earlier].map((one) => ({ from: join(folder, one), to: one })),
    ),
  };
}

/** From the first start to the last end, and what all of them asked of real services. */
function together(runs: Gathered['runs']): Partial<RunFacts> {
  const spans = runs.flatMap(({ startedAt, durationMs = 0 }) => {
    if (startedAt === undefined) return [];
    const startMs = epochMs(startedAt);
    return [{ startedAt, startMs, endMs: startMs + durationMs }];
  });
  const [first] = spans.toSorted((a, b) => a.startMs - b.startMs);
  const budgets = runs.flatMap(({ budget }) => (budget === undefined ? [] : [budget]));
  const sum = (part: (budget: RunBudget) => number) =>
    budgets.reduce((total, budget) => total + part(budget), 0);
  return {
    ...(budgets.length > 0 && {
      budget: {
        maxRequests: sum(({ maxRequests }) => maxRequests),
        maxCharacters: sum(({ maxCharacters }) => maxCharacters),
        requests: sum(({ requests }) => requests),
        characters: sum(({ characters }) => characters),
      },
    }),
    ...(first !== undefined && {
      startedAt: first.startedAt,
      durationMs: Math.max(...spans.map(({ endMs }) => endMs)) - first.startMs,
    }),
  };
}

/**
 * Brings the folder of a recording to another place.
 *
 * @returns how: as links to the same files where the disk can, else as copies. `none`: it is not there.
 */
export function bringRecording(from: string, to: string): 'linked' | 'copied' | 'none' {
  if (statSync(from, { throwIfNoEntry: false })?.isDirectory() !== true) return 'none';
  let how: 'linked' | 'copied' = 'linked';
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      if (bringRecording(source, target) === 'copied') how = 'copied';
    } else if (entry.isFile()) {
      try {
        linkSync(source, target);
      } catch {
        // Another disk, or one without links. What stands in the way of a copy is told.
        copyFileSync(source, target, constants.COPYFILE_FICLONE);
        how = 'copied';
      }
    }
  }
  return how;
}

/** Name of the run in a folder. */
export function runName(folder: string): string {
  return basename(folder);
}

function refused(
  code: string,
  message: string,
  hint: string,
  exit: number = exitCode.usage,
): CommandError {
  return new CommandError(code, exit, message, hint);
}
