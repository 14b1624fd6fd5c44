import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { baselineText, readBaseline } from '../comparison/baseline.ts';
import { cellKey } from '../comparison/comparable-run.ts';
import { gateSelfTest } from '../comparison/gate-self-test.ts';
import { writeWhole } from '../files/written-file.ts';
import { neutralize } from '../report/terminal-text.ts';
import { renderTable, type TableColumn } from '../report/text-table.ts';
import { baselineFile, openComparable } from './comparable-source.ts';
import { chosenGates, type GateOptions } from './compare-command.ts';
import { CommandError, exitCode } from './exit-code.ts';
import type { Terminal } from './terminal.ts';

export interface BaselineOptions {
  /** Folder of the baselines. */
  readonly folder: string;
  readonly json?: boolean;
}

export interface CheckBaselineOptions extends GateOptions {
  readonly resamples: number;
  readonly seed: number;
  readonly json?: boolean;
}

/** `baseline save`: keeps a run as a file to compare with. Returns the exit code. */
export function saveBaseline(
  terminal: Terminal,
  named: string,
  { folder, name, force = false }: BaselineOptions & { name: string; force?: boolean },
): number {
  if (!/^[\p{L}\p{N}][\p{L}\p{N}._-]*$/u.test(name)) {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      `--name is "${name}", which cannot name a file.`,
      'take letters, digits, ".", "_" and "-"',
    );
  }
  const file = baselineFile(name, folder);
  if (existsSync(file) && !force) {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      `There is a baseline ${file} already.`,
      'add --force to replace it, or give another --name',
    );
  }
  const { run, notes } = openComparable(named);
  for (const note of notes) terminal.say(note);
  const judged = run.conversations.filter(({ verdict }) => verdict !== 'infra');
  if (judged.length === 0) {
    throw new CommandError(
      'NOTHING_MATCHED',
      exitCode.nothingMatched,
      `${named} holds no conversation that could be judged.`,
      'save a run with results',
    );
  }
  const failed = judged.filter(({ verdict }) => verdict === 'fail').length;
  if (failed > 0) {
    terminal.say(`${failed} of ${judged.length} conversations failed, and are kept as they are.`);
  }
  mkdirSync(folder, { recursive: true });
  writeWhole(file, baselineText(run));
  terminal.print(file);
  return exitCode.passed;
}

interface ListedBaseline {
  readonly name: string;
  readonly conversations: number;
  readonly providers: readonly string[];
  readonly scenarios: readonly string[];
  readonly facts: Readonly<Record<string, string>>;
}

const columns: readonly TableColumn[] = [
  { head: ['', 'baseline'], align: 'left' },
  { head: ['conver-', 'sations'], align: 'right' },
  { head: ['', 'scenarios'], align: 'right' },
  { head: ['', 'providers'], align: 'right' },
  { head: ['', 'version'], align: 'left' },
  { head: ['', 'saved run of'], align: 'left' },
];

/** `baseline list`: what there is to compare with. Returns the exit code. */
export function listBaselines(
  terminal: Terminal,
  { folder, json = false }: BaselineOptions,
): number {
  const files = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.json'))
        .sort()
    : [];
  const listed = files.map((name) => described(join(folder, name), name.replace(/\.json$/, '')));
  if (json) {
    terminal.print(JSON.stringify(listed, null, 2));
    return exitCode.passed;
  }
  if (listed.length === 0) {
    terminal.say(`There is no baseline in ${folder}: save one with "baseline save <run>".`);
    return exitCode.passed;
  }
  const rows = listed.map(({ name, conversations, providers, scenarios, facts }) =>
    [
      name,
      `${conversations}`,
      `${scenarios.length}`,
      `${providers.length}`,
      facts['version'] ?? '—',
      facts['started'] ?? '—',
    ].map((text) => ({ text: neutralize(text) })),
  );
  for (const line of renderTable(columns, rows, terminal.width, (text) => text)) {
    terminal.print(line);
  }
  return exitCode.passed;
}

/** `baseline show`: what a baseline holds. Returns the exit code. */
export function showBaseline(
  terminal: Terminal,
  name: string,
  { folder, json = false }: BaselineOptions,
): number {
  const named = existsSync(name) ? name : baselineFile(name, folder);
  const { run } = openComparable(named);
  if (json) {
    terminal.print(JSON.stringify(run, null, 2));
    return exitCode.passed;
  }
  for (const [fact, text] of Object.entries(run.facts)) {
    terminal.print(neutralize(`${fact}: ${text}`));
  }
  const cells = new Map<string, number>();
  for (const one of run.conversations) {
    const key = cellKey(one);
    cells.set(key, (cells.get(key) ?? 0) + 1);
  }
  for (const [key, count] of cells) {
    terminal.print(neutralize(`${`${count}`.padStart(4)} × ${key}`));
  }
  return exitCode.passed;
}

/** `baseline check`: what the gates are worth with the conversations of a run or baseline. Returns the exit code. */
export function checkBaseline(
  terminal: Terminal,
  named: string,
  { resamples, seed, json = false, ...chosen }: CheckBaselineOptions,
): number {
  const gates = chosenGates(chosen);
  const { run, notes } = openComparable(named);
  for (const note of notes) terminal.say(note);
  const checked = gateSelfTest(run, { gates, resamples, seed, powerDraws: 60 });
  if (json) {
    terminal.print(JSON.stringify(checked, null, 2));
    return exitCode.passed;
  }
  const { falseAlarms } = checked;
  terminal.print(`${falseAlarms} of ${resamples} runs without a change would have been blamed.`);
  const rows = checked.gates.map(({ provider, network, metric, requests, tolerance, ...gate }) => {
    const shown = (change: number | null): string =>
      change === null
        ? '—'
        : tolerance.endsWith('%')
          ? `${(100 * change).toFixed(1)} %`
          : change.toFixed(2);
    const { conversations, found, needs } = gate;
    const what = [provider, network, metric, ...(requests === undefined ? [] : [requests])];
    return [
      what.join(' '),
      tolerance,
      `${conversations}`,
      shown(found.ownDraws),
      shown(found.sameDraws),
      `${needs}`,
    ].map((text) => ({ text: neutralize(text) }));
  });
  for (const line of renderTable(checkColumns, rows, terminal.width, (text) => text)) {
    terminal.print(line);
  }
  return exitCode.passed;
}

const checkColumns: readonly TableColumn[] = [
  { head: ['', 'gate'], align: 'left' },
  { head: ['', 'allowed'], align: 'right' },
  { head: ['', 'n'], align: 'right' },
  { head: ['found from,', 'own draws'], align: 'right' },
  { head: ['found from,', 'same draws'], align: 'right' },
  { head: ['n for twice', 'the allowed'], align: 'right' },
];

function described(file: string, name: string): ListedBaseline {
  const { conversations, facts } = readBaseline(readFileSync(file, 'utf8'), file);
  const all = (key: 'provider' | 'scenario'): string[] => [
    ...new Set(conversations.map((one) => one[key])),
  ];
  return {
    name,
    conversations: conversations.length,
    providers: all('provider'),
    scenarios: all('scenario'),
    facts,
  };
}
