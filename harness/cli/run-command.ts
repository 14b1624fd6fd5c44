import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { SystemClock, wallClockIso } from '../clock/system-clock.ts';
import { buildRunReport, type RunReport } from '../report/run-report.ts';
import { renderTerminalReport } from '../report/terminal-report.ts';
import { type CellResult, runPlan } from '../runner/run-plan.ts';
import { type Cell, planRun } from '../scenario/plan.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { exitCode } from './exit-code.ts';
import { chooseProviders, unusedSections } from './provider-choice.ts';
import {
  defaultScenarioFolder,
  findScenarioFiles,
  loadScenarios,
  scenarioCatalog,
} from './scenario-files.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface RunCommandOptions {
  readonly provider?: readonly string[];
  readonly config?: string;
  readonly device?: readonly string[];
  readonly network?: readonly string[];
  readonly time: 'virtual' | 'real';
  readonly seed: number;
  readonly out: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly version: string;
}

/** `run`: load, plan, run, report. Returns the exit code. */
export async function runCommand(
  terminal: Terminal,
  paths: readonly string[],
  options: RunCommandOptions,
): Promise<number> {
  const choice = chooseProviders(terminal, options.config);
  const catalog = scenarioCatalog([...choice.entries.keys()]);
  const files = findScenarioFiles(paths.length === 0 ? [defaultScenarioFolder()] : paths);
  const scenarios = loadScenarios(files, catalog);
  const plan = planRun(scenarios, {
    providers: options.provider ?? (options.config === undefined ? undefined : choice.configured),
    devices: options.device,
    networks: options.network,
    seed: options.seed,
    time: options.time,
    catalog,
  });

  const clock = new SystemClock();
  const startedAt = wallClockIso();
  const id = startedAt.replaceAll(/[:.]/g, '-').replace(/-\d{3}Z$/, 'Z');
  const folder = newRunFolder(options.out, id);
  const environment = {
    version: options.version,
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
  };
  const say = options.quiet === true ? () => {} : (text: string) => terminal.say(text);
  const signal = interruptSignal(terminal, 'the recording of this conversation is being finished.');
  for (const line of choice.config === undefined ? [] : unusedSections(choice.config)) say(line);
  say(progressHeader(plan.cells, options));
  const results = await runPlan({
    plan,
    providers: choice.entries,
    laboratory: await openCommandLaboratory({ ...terminal, say }),
    folder: folder.path,
    signal,
    environment: { ...environment, startedAt },
    onCell: (result, index) => say(progressLine(result, index, plan.cells.length)),
  });

  const report = buildRunReport({
    cells: results,
    run: {
      id: folder.id,
      seed: options.seed,
      time: options.time,
      live: false,
      startedAt,
      durationMs: Math.round(clock.nowUs() / 1000),
    },
    environment,
  });
  writeReport(folder.path, report);
  if (options.json === true) terminal.print(JSON.stringify(report, null, 2));
  else {
    say('');
    terminal.print(
      renderTerminalReport(report, {
        color: terminal.color,
        width: terminal.width,
        recordingsFolder: relative('.', folder.path) || folder.path,
        nextSteps: nextSteps(results, folder.path),
      }).trimEnd(),
    );
  }
  if (signal.aborted) return exitCode.interrupted;
  return exitCodeOf(results);
}

/** Two runs within one second get folders of their own. */
function newRunFolder(out: string, id: string): { id: string; path: string } {
  mkdirSync(out, { recursive: true });
  for (let copy = 1; ; copy++) {
    const name = copy === 1 ? id : `${id}-${copy}`;
    try {
      mkdirSync(join(out, name));
      return { id: name, path: join(out, name) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

function writeReport(folder: string, report: RunReport): void {
  const path = join(folder, 'report.json');
  writeFileSync(`${path}.tmp`, `${JSON.stringify(report, null, 2)}\n`);
  renameSync(`${path}.tmp`, path);
}

function progressHeader(cells: readonly Cell[], options: RunCommandOptions): string {
  const count = (key: 'provider' | 'device' | 'network'): string => {
    const names = new Set(cells.map((cell) => cell[key]));
    return names.size === 1 ? [...names].join('') : `${names.size} ${key}s`;
  };
  const scenarios = new Set(cells.map((cell) => cell.scenario.name)).size;
  const noun = scenarios === 1 ? 'scenario' : 'scenarios';
  return (
    `${scenarios} ${noun} × ${count('provider')}, board ${count('device')}, ` +
    `network ${count('network')}, seed ${options.seed}, ${options.time} time, local stand-ins`
  );
}

function progressLine(result: CellResult, index: number, of: number): string {
  const { scenario, provider } = result.cell;
  const place = `${index + 1}`.padStart(`${of}`.length);
  const seconds = (result.durationUs / 1_000_000).toFixed(1);
  return `[${place}/${of}] ${scenario.name} × ${provider}: ${result.verdict.outcome} (${seconds} s of conversation)`;
}

function nextSteps(results: readonly CellResult[], folder: string): string[] {
  const worst = results.find(({ verdict }) => verdict.outcome !== 'pass') ?? results.at(-1);
  if (worst === undefined) return [];
  const recording = join(relative('.', folder) || folder, worst.recording);
  const { scenario, provider } = worst.cell;
  return [
    `listen to a board:    ${join(recording, 'speaker.wav')}`,
    `see what happened:    ${join(recording, 'trace.jsonl')}`,
    `repeat one cell:      npm run -s harness -- run ${scenario.file} --provider ${provider}`,
    'with real sockets:    npm run -s harness -- run --time real scenarios/one-question.toml',
    'write your own:       scenarios/README.md',
  ];
}

function exitCodeOf(results: readonly CellResult[]): number {
  if (results.some(({ verdict }) => verdict.outcome === 'fail')) return exitCode.expectationFailed;
  if (results.some(({ verdict }) => verdict.outcome === 'infra')) return exitCode.environment;
  return exitCode.passed;
}
