/** `run --devices`: many boards at once. What is asked is made a plan here; `harness/load` holds the conversations. */
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { SystemClock, wallClockIso } from '../clock/system-clock.ts';
import type { DeviceProfile } from '../device/device-profile.ts';
import { writeWhole } from '../files/written-file.ts';
import { searchLimit } from '../load/limit-search.ts';
import type { LoadFigures } from '../load/load-figures.ts';
import type { LoadPlan, LoadProgress } from '../load/load-plan.ts';
import { type LoadLimit, type LoadReport, loadMetrics, loadReport } from '../load/load-report.ts';
import { loadText } from '../load/load-text.ts';
import { runRealLoad } from '../load/real-load.ts';
import { defaultThresholds, judge, readThreshold, type Threshold } from '../load/threshold.ts';
import { runVirtualLoad } from '../load/virtual-load.ts';
import type { ProviderEntry } from '../runner/provider-catalog.ts';
import { planRun } from '../scenario/plan.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { newRunFolder } from './carried-run.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { LoadProcess } from './load-processes.ts';
import { programEnvironment } from './program-environment.ts';
import { chooseProviders, findProvider } from './provider-choice.ts';
import type { RunCommandOptions } from './run-command.ts';
import {
  defaultScenarioFolder,
  findScenarioFiles,
  loadScenarios,
  scenarioCatalog,
} from './scenario-files.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface LoadOptions {
  /** How many boards; present: it is a load run. */
  readonly devices?: number;
  /** Milliseconds. */
  readonly ramp?: number;
  /** Milliseconds. */
  readonly for?: number;
  readonly turns?: number;
  /** Milliseconds. */
  readonly pause?: number;
  readonly threshold?: readonly string[];
  readonly findLimit?: boolean;
  readonly checkVoices?: boolean;
}

const defaults = { rampMs: 10_000, holdMs: 60_000, pauseMs: 1_000 };
const progressEveryUs = 500_000;
/** Of --find-limit: more are not tried, and so near is near enough. */
const limitMost = 20_000;
const limitPrecision = 0.05;

/** Options of `run` that record or compare conversations one by one, which a load run does not. */
const meaningless = [
  'replay',
  'refresh',
  'board',
  'baseline',
  'gate',
  'allowDifferent',
  'repeat',
  'shard',
  'durations',
  'twin',
  'blame',
  'ledger',
  'live',
  'verbose',
  'output',
  'secret',
  'only',
  'tag',
  'excludeTag',
  'list',
] as const;

export async function loadCommand(
  terminal: Terminal,
  paths: readonly string[],
  options: RunCommandOptions & { readonly devices: number },
  profiles: {
    readonly names: readonly string[];
    readonly byName: ReadonlyMap<string, DeviceProfile>;
  },
): Promise<number> {
  checkOptions(options);
  const { devices, time = 'real', seed, quiet = false, json = false } = options;
  const { server } = options;
  const choice = chooseProviders(terminal, options.config);
  const scenarios = loadedScenarios(paths, [...choice.entries.keys()], profiles.byName);
  const provider = findProvider(choice, providerName(options, choice.configured, scenarios));
  // Another server answers what it likes, in one voice.
  const checksVoices = options.checkVoices !== false && server === undefined;
  const thresholds = readThresholds(options.threshold, time, checksVoices);
  const catalog = scenarioCatalog([...choice.entries.keys()]);
  const planned = planRun(scenarios, {
    providers: server === undefined ? [provider.name] : [],
    devices: profiles.names,
    networks: options.network,
    servers: options.serverModel,
    seed,
    time,
    external: server !== undefined,
    catalog: { ...catalog, devices: [...catalog.devices, ...profiles.byName.keys()] },
  });
  const [first] = planned.cells;
  if (first === undefined)
    throw usage(`Nothing can be held: ${planned.skipped[0]?.reason}.`, 'name another scenario');
  const plan: LoadPlan = {
    devices,
    rampMs: options.ramp ?? defaults.rampMs,
    ...(options.turns !== undefined && { turns: options.turns }),
    ...(options.for !== undefined
      ? { holdMs: options.for }
      : options.turns === undefined && { holdMs: defaults.holdMs }),
    pauseMs: options.pause ?? defaults.pauseMs,
    checksVoices,
    seed,
    cells: planned.cells,
    profiles: profiles.byName,
  };
  const signal = interruptSignal(terminal, 'the boards are being switched off.');
  const startedAt = wallClockIso();
  const party = server === undefined ? provider : { serverUrl: server };
  const attempt = async (one: LoadPlan): Promise<LoadFigures> => {
    const progress = new LoadProgressLine(terminal, one, quiet);
    try {
      return await carriedLoad({ terminal, plan: one, party, signal, progress, time });
    } finally {
      progress.over();
    }
  };
  const say = (text: string): void => (quiet ? undefined : terminal.say(text));
  const found =
    options.findLimit === true
      ? await foundLimit({ plan, thresholds, attempt, signal, say })
      : { plan, figures: await attempt(plan) };
  const { figures } = found;
  if (figures === undefined) return exitCode.interrupted;
  const folder = newRunFolder(
    options.out,
    startedAt.replaceAll(/[:.]/g, '-').replace(/-\d{3}Z$/, 'Z'),
  );
  const report = loadReport({
    plan: found.plan,
    figures,
    thresholds,
    id: folder.id,
    startedAt,
    ...(server !== undefined && { server }),
    ...(found.limit !== undefined && { limit: found.limit }),
    environment: { ...programEnvironment(options.version) },
  });
  return show(terminal, report, join(folder.path, 'load.json'), { json, signal });
}

interface FoundLimit {
  readonly plan: LoadPlan;
  /** Undefined: it was stopped before the first try was over. */
  readonly figures: LoadFigures | undefined;
  readonly limit?: LoadLimit;
}

/** As many boards as hold the thresholds; the figures are those of the most that did, or of the fewest that did not. */
async function foundLimit({
  plan,
  thresholds,
  attempt,
  signal,
  say,
}: {
  readonly plan: LoadPlan;
  readonly thresholds: readonly Threshold[];
  readonly attempt: (plan: LoadPlan) => Promise<LoadFigures>;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}): Promise<FoundLimit> {
  const { held, broken, tries } = await searchLimit({
    from: plan.devices,
    most: limitMost,
    precision: limitPrecision,
    signal,
    attempt: async (devices) => {
      const figures = await attempt({ ...plan, devices });
      const results = judge(thresholds, loadMetrics(figures));
      const passed = results.every((one) => one.passed);
      const wrong = results.filter((one) => !one.passed).map(({ rule }) => rule);
      say(`${devices} boards: ${passed ? 'held' : `broke ${wrong.join(', ')}`}`);
      return { devices, figures, results, passed };
    },
    isHeld: ({ passed }) => passed,
  });
  const shown = tries.find(({ devices }) => devices === (held ?? broken));
  return {
    plan: { ...plan, devices: shown?.devices ?? plan.devices },
    figures: shown?.figures,
    limit: {
      boards: held,
      broken,
      tries: tries.map(({ devices, figures, results, passed }) => {
        const { audible_at_speaker_ms, late_cycles } = loadMetrics(figures);
        return {
          devices,
          passed,
          thresholds: results,
          audible_at_speaker_ms,
          late_cycles: late_cycles.share,
        };
      }),
    },
  };
}

interface CarriedLoad {
  readonly terminal: Terminal;
  readonly plan: LoadPlan;
  readonly party: ProviderEntry | { readonly serverUrl: string };
  readonly signal: AbortSignal;
  readonly progress: LoadProgressLine;
  readonly time: 'virtual' | 'real';
}

async function carriedLoad(carried: CarriedLoad): Promise<LoadFigures> {
  const { terminal, plan, party, signal, progress, time } = carried;
  const clock = new SystemClock();
  const onProgress = (now: LoadProgress): void => progress.show(now);
  if (time === 'real') {
    return runRealLoad({
      plan,
      party,
      boardProcesses: boardProcesses(plan.devices),
      openPart: () => new LoadProcess(clock),
      clock,
      signal,
      onProgress,
    });
  }
  if ('serverUrl' in party) throw new RangeError('Another server is not driven in virtual time.');
  const laboratory = await openCommandLaboratory(terminal);
  return runVirtualLoad({
    plan,
    provider: party,
    laboratory,
    wallClock: clock,
    signal,
    onProgress,
  });
}

/** One processor is the server's; a process bears some hundred boards. */
function boardProcesses(devices: number): number {
  return Math.max(1, Math.min(availableParallelism() - 1, Math.ceil(devices / 100)));
}

function show(
  terminal: Terminal,
  report: LoadReport,
  path: string,
  { json, signal }: { readonly json: boolean; readonly signal: AbortSignal },
): number {
  const text = `${JSON.stringify(report, null, 2)}\n`;
  writeWhole(path, text);
  if (json) terminal.print(text.trimEnd());
  else {
    terminal.print(loadText(report));
    terminal.print(`\nEvery board: ${relative('.', path) || path}`);
  }
  if (signal.aborted) return exitCode.interrupted;
  return report.verdict === 'pass' ? exitCode.passed : exitCode.expectationFailed;
}

function checkOptions(options: RunCommandOptions): void {
  const given = meaningless.find((name) => options[name] !== undefined && options[name] !== false);
  if (given !== undefined) {
    const written = given.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw usage(
      `--devices and --${written} exclude each other: a load run counts, and keeps no recordings.`,
      `leave --${written} out`,
    );
  }
  if ((options.provider?.length ?? 0) > 1) {
    throw usage(
      `A load run has one provider, and --provider names ${options.provider!.length}.`,
      'run it once for each',
    );
  }
  if (options.server !== undefined && options.time === 'virtual') {
    throw usage('Another server answers in real time.', 'leave --time out');
  }
  if (options.server !== undefined && (options.provider ?? options.config) !== undefined) {
    throw usage('Another server has a provider of its own.', 'leave --provider and --config out');
  }
  if ((options.serverModel?.length ?? 0) > 1) {
    throw usage('A load run has one server.', 'name one --server-model');
  }
}

/** The scenarios of the boards. Default: the shipped one with two turns. */
function loadedScenarios(
  paths: readonly string[],
  providers: readonly string[],
  profiles: ReadonlyMap<string, DeviceProfile>,
): Scenario[] {
  const catalog = scenarioCatalog(providers);
  const named = paths.length === 0 ? [`${defaultScenarioFolder()}/two-turns.toml`] : paths;
  const scenarios = loadScenarios(findScenarioFiles(named), {
    ...catalog,
    devices: [...catalog.devices, ...profiles.keys()],
  });
  for (const { file, turns, server, standIn } of scenarios) {
    const faulty = turns.find(({ faults }) => faults.length > 0);
    const why =
      faulty !== undefined
        ? `plants the fault "${faulty.faults[0]!.name}"`
        : standIn.fault !== undefined
          ? 'plants a fault of the provider'
          : server.asrService !== 'script' || server.llmService !== 'script'
            ? 'asks services for what is understood and answered'
            : undefined;
    if (why === undefined) continue;
    throw usage(
      `${file} ${why}, and in a load run all boards share one server and one provider.`,
      'use a scenario without it; disturbances of the network and keys are possible',
    );
  }
  return scenarios;
}

function providerName(
  { provider = [] }: RunCommandOptions,
  configured: readonly string[],
  scenarios: readonly Scenario[],
): string {
  return provider[0] ?? configured[0] ?? scenarios[0]?.matrix.providers[0] ?? 'openai-stream';
}

/** @throws {CommandError} `USAGE` */
function readThresholds(
  rules: readonly string[] | undefined,
  time: 'virtual' | 'real',
  checksVoices: boolean,
): Threshold[] {
  return (rules ?? defaultThresholds(time, checksVoices)).map((rule) => {
    const read = readThreshold(rule);
    if ('problem' in read) throw usage(read.problem, read.hint);
    if (read.metric === 'late_cycles' && time === 'virtual') {
      throw usage(
        'In virtual time no cycle is late: the clock waits for every board.',
        'leave the threshold out, or take --time real',
      );
    }
    if (read.metric === 'speed' && time === 'real') {
      throw usage('Real time has one speed.', 'leave the threshold out, or take --time virtual');
    }
    return read;
  });
}

/** How far a load run is: a line that changes, or now and then a line where lines cannot be taken back. */
class LoadProgressLine {
  readonly #terminal: Terminal;
  readonly #plan: LoadPlan;
  readonly #quiet: boolean;
  readonly #clock = new SystemClock();
  #shownUs = Number.NEGATIVE_INFINITY;

  constructor(terminal: Terminal, plan: LoadPlan, quiet: boolean) {
    this.#terminal = terminal;
    this.#plan = plan;
    this.#quiet = quiet;
  }

  show({ atUs, turns, failed, connected, messages, foreign }: LoadProgress): void {
    if (this.#quiet) return;
    const { status } = this.#terminal;
    const nowUs = this.#clock.nowUs();
    const everyUs = status === undefined ? 20 * progressEveryUs : progressEveryUs;
    if (nowUs - this.#shownUs < everyUs) return;
    this.#shownUs = nowUs;
    const { devices, rampMs, holdMs } = this.#plan;
    const whole = holdMs === undefined ? '' : ` of ${((rampMs + holdMs) / 1000).toFixed(0)}`;
    const line =
      `${(atUs / 1e6).toFixed(0)}${whole} s: ${connected} of ${devices} boards, ` +
      `${turns} turns${failed > 0 ? `, ${failed} FAILED` : ''}, ${messages} messages` +
      (foreign > 0 ? `, VOICES MIXED` : '');
    if (status === undefined) this.#terminal.say(line);
    else status(line);
  }

  over(): void {
    if (!this.#quiet) this.#terminal.status?.('');
  }
}

function usage(message: string, hint: string): CommandError {
  return new CommandError('USAGE', exitCode.usage, message, hint);
}
