/**
 * Every fault with every provider, in virtual time: what the turn that it strikes is told as, and whether the next turn
 * works. Whether a fault can happen with a provider is found out by running it, and not looked up.
 */
import { faults, layerOf } from '../faults/catalog.ts';
import { type Fault, type FaultLayer, faultLevels } from '../faults/fault.ts';
import { levelNames, markdownTable } from '../faults/fault-table.ts';
import type { Laboratory } from './laboratory.ts';
import { type PassedRun, passRun } from './passing-run.ts';
import { builtInProviders } from './provider-catalog.ts';

export const matrixProviders: readonly string[] = builtInProviders.map(({ name }) => name);

export interface MatrixCell {
  readonly fault: string;
  readonly provider: string;
  /**
   * Class of the turn that it strikes: a failure class, `ok`, `interrupted`, or `infra` and the code of the board or
   * the recording. Null: the fault cannot happen with this provider.
   */
  readonly outcome: string | null;
  /** Of an outcome: defects that the verdict tells beside it. Of none: why it cannot happen. */
  readonly remark?: string;
  /**
   * Of the turn behind it; null: by its nature the conversation ends with this fault. A board that has lost its connection
   * unnoticed finds out with its next utterance and restarts (quirk Q6): then it is the turn behind that one.
   */
  readonly next: string | null;
}

/** Nothing may come behind them: the recording, or the board, is gone. */
const endings: readonly string[] = ['disk-full', 'unplug'];

/** How long a turn may take: longer than every limit of an adapter, so that what is told is its own class. */
const turnLimitMs = 70_000;

function scenarioWith(fault: Fault): string {
  const { name, level } = fault;
  // The connection of the first sentence is there when that of the second one is needed.
  const reply =
    level === 'network' ? 'This answer never ends. It goes on.' : 'This answer never ends.';
  return `title = "${name}"

[[turn]]
say = "Go on."
reply = "${reply}"
timeout_ms = ${turnLimitMs}
fault = [{ name = "${name}" }]

[[turn]]
say = "Go on."
reply = "This one is heard."
recover = true
${lostUnnoticed.has(layerOf(fault)) ? thirdTurn : ''}`;
}

/** With faults of these the board may lose its connection while it listens. */
const lostUnnoticed: ReadonlySet<FaultLayer> = new Set(['board-link', 'server']);
const thirdTurn = `
[[turn]]
say = "Go on."
reply = "This one is heard."
recover = true
`;

/** Faults of the line need a link on it to be felt; those of the port a console. */
function cableOf(fault: Fault): 'console' | number | undefined {
  if (fault.level !== 'serial') return undefined;
  return layerOf(fault) === 'line' ? 921_600 : 'console';
}

export async function matrixCell(
  laboratory: Laboratory,
  fault: Fault,
  provider: string,
): Promise<MatrixCell> {
  const cable = cableOf(fault);
  try {
    return await passRun(
      laboratory,
      {
        toml: scenarioWith(fault),
        name: fault.name,
        provider,
        device: 'diy',
        network: 'good-wifi',
        seed: 1,
        ...(cable !== undefined && { cable }),
      },
      (run) => ({ fault: fault.name, provider, ...told(fault, run) }),
    );
  } catch (error) {
    const { code = 'error', message } = error as Error & { readonly code?: string };
    return {
      fault: fault.name,
      provider,
      outcome: `thrown: ${code}`,
      remark: message,
      next: 'none',
    };
  }
}

function told(
  fault: Fault,
  { result: { measurement, verdict, earlierTries = [] }, recording }: PassedRun,
): Pick<MatrixCell, 'outcome' | 'remark' | 'next'> {
  const reports = recording.events.flatMap((event) =>
    event.source === 'harness' && event.type === 'faultStruck' && event.turn === 1 ? [event] : [],
  );
  const [turn, second, third] = measurement.turns;
  const follower = second?.failure?.kind === 'reboot' ? (third ?? second) : second;
  const next = endings.includes(fault.name)
    ? null
    : (follower?.failure?.kind ?? follower?.outcome ?? 'none');
  const happened = reports.some(({ obstacle }) => obstacle === undefined);
  if (!happened && earlierTries.length === 0) {
    const remark = reports[0]?.obstacle ?? 'what it happens to did not come';
    return { outcome: null, remark, next };
  }
  const infra = [...earlierTries.map((one) => one.verdict), verdict]
    .flatMap(({ failures }) => failures)
    .find((failure) => failure.class === 'infra');
  const defects = verdict.failures.filter(({ class: kind }) => kind === 'defect');
  return {
    outcome: infra === undefined ? (turn?.failure?.kind ?? turn?.outcome ?? 'none') : infra.code,
    ...(defects.length > 0 && { remark: defects.map(({ code }) => code).join(', ') }),
    next,
  };
}

/** What is wrong with a cell: a fault must have an outcome, and the turn behind it must work. */
export function matrixProblem({
  fault,
  provider,
  outcome,
  next,
  remark,
}: MatrixCell): string | undefined {
  const at = `${fault} with ${provider}`;
  if (outcome?.startsWith('thrown')) return `${at}: ${outcome}: ${remark}`;
  if (outcome === 'none') return `${at}: no outcome`;
  if (outcome === 'unfinished') return `${at}: the turn has no end`;
  if (next !== null && next !== 'ok') return `${at}: the turn behind it is ${next}`;
  return undefined;
}

/** The cells of a page, which has only such behind whose fault the next turn works. */
export function cellsOfPage(page: string): MatrixCell[] {
  const reasons = new Map<string, string>();
  for (const [, fault, of, reason] of page.matchAll(
    /^- `(.+)` does not apply to (.+?): (.+)\.$/gm,
  )) {
    for (const provider of of!.split(', ')) reasons.set(`${fault} ${provider}`, reason!);
  }
  const cells: MatrixCell[] = [];
  let columns: readonly string[] = [];
  for (const line of page.split('\n').filter((text) => text.startsWith('| '))) {
    const [name = '', ...row] = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
    if (name === 'fault') columns = row;
    const fault = /^`(.+)`$/.exec(name)?.[1];
    if (fault === undefined) continue;
    for (const [i, provider] of columns.entries()) {
      const [outcome = '', mark] = row[i]!.split(' ');
      const none = outcome === '–';
      const remark = none ? reasons.get(`${fault} ${provider}`) : mark;
      cells.push({
        fault,
        provider,
        outcome: none ? null : outcome,
        ...(remark !== undefined && { remark }),
        next: endings.includes(fault) ? null : 'ok',
      });
    }
  }
  return cells;
}

/** The page of the matrix. */
export function matrixPage(cells: readonly MatrixCell[]): string {
  const struck = cells.filter(({ outcome }) => outcome !== null);
  const followed = struck.filter(({ next }) => next !== null);
  const worked = followed.filter(({ next }) => next === 'ok');
  const hung = cells.filter(({ outcome }) => outcome?.startsWith('thrown') || outcome === 'none');
  return `# Every fault with every provider

Made by \`npm run fault-matrix\`: one conversation of two turns in virtual time for each cell, with the fault in the first turn. A
cell says what that turn is told as (\`failure.kind\`, or how it ended); "–": the fault cannot happen with this provider, and
below the table stands why, as it was found on the wire. A mark \`*\`: the verdict also tells that samples have no explanation,
because a message was lost or doubled between server and board. The faults are explained in
[harness/faults/README.md](../harness/faults/README.md). A test holds a part of the cells against this page.

${cells.length} cells: ${struck.length} in which the fault happened, ${hung.length} without an end. The turn behind it worked in ${worked.length} of
${followed.length}; with ${endings.map((name) => `\`${name}\``).join(' and ')} the conversation ends, as it has to.

${faultLevels.map((level) => levelPart(level, cells)).join('\n\n')}
`;
}

function levelPart(level: (typeof faultLevels)[number], cells: readonly MatrixCell[]): string {
  const own = faults.filter((fault) => fault.level === level);
  const rows = own.map(({ name }) => [
    `\`${name}\``,
    ...matrixProviders.map((provider) =>
      cellText(cells.find((cell) => cell.fault === name && cell.provider === provider)),
    ),
  ]);
  const reasons = own.flatMap(({ name }) => reasonsOf(name, cells));
  const head = ['fault', ...matrixProviders];
  return [`## ${levelNames[level]}`, markdownTable([head, ...rows]), reasons.join('\n')]
    .filter((part) => part !== '')
    .join('\n\n');
}

export function cellText(cell: MatrixCell | undefined): string {
  if (cell === undefined) return '';
  if (cell.outcome === null) return '–';
  return cell.outcome + (cell.remark === undefined ? '' : ' *');
}

/** Why a fault cannot happen, each reason once with the providers that it is true of. */
function reasonsOf(fault: string, cells: readonly MatrixCell[]): string[] {
  const reasons = new Map<string, string[]>();
  for (const cell of cells) {
    if (cell.fault !== fault || cell.outcome !== null) continue;
    // What a stand-in says begins with its own name.
    const reason = (cell.remark ?? '').replace(/^[a-z_]+: /, '');
    reasons.set(reason, [...(reasons.get(reason) ?? []), cell.provider]);
  }
  return [...reasons].map(
    ([reason, providers]) => `- \`${fault}\` does not apply to ${providers.join(', ')}: ${reason}.`,
  );
}
