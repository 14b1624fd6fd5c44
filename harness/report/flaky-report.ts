/** What a report says of conversations that were held more than once: tries that could not be judged, and what is flaky. */
import { cellKey } from '../comparison/comparable-run.ts';
import { type Flakiness, flakinessOf, type HeldConversation } from '../comparison/flaky.ts';
import { cellTitle, groupBy } from './cell-groups.ts';
import type { CellReport, RunReport } from './run-report.ts';

/** What decides whether conversations of different reports were held with the same inputs. */
type HeldIn = Pick<RunReport, 'run' | 'environment'>;

/** Takes no more of the cell than a line. */
export function heldConversation(cell: CellReport, { run, environment }: HeldIn): HeldConversation {
  const { host, board, inputs, seed, verdict, earlierTries = [] } = cell;
  const program = ['program', 'version', 'node'].map((name) => environment[name] ?? null);
  const { time, replay = null } = run;
  const what = [cellKey(cell), host, board?.name ?? null, inputs ?? null, time, replay, program];
  return {
    inputs: JSON.stringify(what),
    seed,
    verdict,
    earlierTries: earlierTries.length,
    // What a recording answers is not in the digests.
    repeatable: time === 'virtual' && replay === null && board === undefined,
  };
}

/** The cell with what all of its repetitions show. */
export function withFlakiness(cell: CellReport, found: Flakiness | undefined): CellReport {
  const { flaky: _, ...rest } = cell;
  return found === undefined ? rest : { ...rest, flaky: found };
}

/** Of one report, or of several that are shown as one. */
export function withFlakyCells(
  reports: readonly (HeldIn & { readonly cells: readonly CellReport[] })[],
): CellReport[] {
  const cells = reports.flatMap((report) => report.cells);
  const held = reports.flatMap((report) =>
    report.cells.map((cell) => heldConversation(cell, report)),
  );
  const found = flakinessOf(held);
  return cells.map((cell, i) => withFlakiness(cell, found[i]));
}

/** One thing that is flaky: a conversation in its repetitions, or one that passed in a later try. */
export interface FlakyGroup {
  readonly cells: readonly FlakyCell[];
  readonly flaky: Flakiness;
}

/** What has to be kept of a cell to tell that it is flaky: the rest is large. */
interface FlakyCell
  extends Pick<
    CellReport,
    'scenario' | 'file' | 'provider' | 'device' | 'network' | 'server' | 'verdict' | 'recording'
  > {
  readonly board: CellReport['board'];
  readonly repetition: number | undefined;
  readonly tries: readonly string[];
  readonly flaky: Flakiness;
}

/** In the order of the report, which is read once. */
export function flakyGroups(cells: Iterable<CellReport>): FlakyGroup[] {
  const marked: FlakyCell[] = [];
  for (const cell of cells) {
    const { scenario, file, provider, device, network, server, verdict, recording } = cell;
    const { board, repetition, flaky } = cell;
    if (flaky === undefined) continue;
    const named = { scenario, file, provider, device, network, server, board, repetition };
    marked.push({ ...named, verdict, recording, flaky, tries: tryLines(cell) });
  }
  // Repetitions have one mark in common; a conversation that was tried again has its own.
  const key = ({ flaky, recording, ...cell }: FlakyCell): string =>
    flaky.kind === 'retried' ? recording : [cellKey(cell), ...Object.values(flaky)].join(' · ');
  return [...groupBy(marked, key).values()].map((group) => ({
    cells: group,
    flaky: group[0]!.flaky,
  }));
}

/** The conversation in words, once for all of its repetitions. */
export function flakyTitle({ cells, flaky }: FlakyGroup): string {
  const { board, repetition, ...cell } = cells[0]!;
  const isOne = flaky.kind === 'retried' && repetition !== undefined;
  return cellTitle({
    ...cell,
    ...(board !== undefined && { board }),
    ...(isOne && { repetition }),
  });
}

/** Where to look: the tries that could not be judged, or one that passed and one that failed. One line each. */
export function flakyEvidence({ cells, flaky }: FlakyGroup): string[] {
  if (flaky.kind === 'retried') return [...cells[0]!.tries];
  return (['pass', 'fail'] as const).flatMap((verdict) => {
    const found = cells.find((cell) => cell.verdict === verdict);
    return found === undefined ? [] : [`${verdict}: ${found.recording}`];
  });
}

/** One sentence without its end. */
export function flakyWords(
  { kind, passed, failed, infra }: Flakiness,
  time: RunReport['run']['time'],
): string {
  if (kind === 'retried') return `passed in try ${infra + 1}; ${unjudged(infra)} before it`;
  const judged = passed + failed;
  const counted =
    `passed ${passed} and failed ${failed} of ${judged} times` +
    (infra === 0 ? '' : `, and ${unjudged(infra)} more`);
  if (kind === 'not-repeatable') {
    return (
      `${counted}, with the same seed in virtual time, where the same inputs must give the same bytes: ` +
      'this is a defect of echokit-harness, please report it with both recordings'
    );
  }
  return time === 'virtual'
    ? `${counted}: it depends on the draws, and each seed repeats what came of it`
    : `${counted} with the same inputs`;
}

function unjudged(count: number): string {
  return count === 1 ? '1 that could not be judged' : `${count} that could not be judged`;
}

/** The tries of one cell, the oldest first, one line each; what came of the last one is the verdict of the cell. */
export function tryLines({ earlierTries = [] }: Pick<CellReport, 'earlierTries'>): string[] {
  return earlierTries.map(
    ({ failures, recording }, i) =>
      `try ${i + 1}: infra, ${failures
        .filter(({ expected }) => !expected)
        .map(({ code, message }) => `${code}: ${message}`)
        .join('; ')} — recording: ${recording}`,
  );
}

/** Of a cell that another try would not have helped. */
export function noOtherTryLines({ notTriedAgain }: Pick<CellReport, 'notTriedAgain'>): string[] {
  return notTriedAgain === undefined ? [] : [`not tried again: ${notTriedAgain}`];
}
