import { randomBytes } from 'node:crypto';
import { ConfigError, type TtsConfig } from '../../adapters/index.ts';
import { SystemClock } from '../clock/system-clock.ts';
import {
  type ConfiguredProvider,
  type EchoKitConfig,
  readEchoKitConfigFile,
} from '../echokit-config/echokit-config.ts';
import { endpointName } from '../network/laboratory-network.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import {
  buildDoctorReport,
  type ProviderCheckReport,
  renderDoctorReport,
} from '../report/doctor-report.ts';
import {
  builtInProviders,
  configuredProvider,
  endpointsOf,
  liveBuiltIn,
  type ProviderEntry,
  standInValue,
} from '../runner/provider-catalog.ts';
import { checkProvider, probeNeeds } from '../runner/provider-check.ts';
import type { RequestBudget } from '../runner/request-budget.ts';
import { dialogueServices } from '../stand-ins/stand-in.ts';
import { cacheFolder } from './cache-folder.ts';
import { exitCode } from './exit-code.ts';
import { ffmpegPath } from './ffmpeg-path.ts';
import { checkInstallation, type Surroundings } from './installation-check.ts';
import {
  type LiveOptions,
  liveAnnouncement,
  liveBudget,
  refuseUnnamed,
  spentOf,
} from './live-providers.ts';
import { findProvider } from './provider-choice.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface DoctorCommandOptions extends LiveOptions {
  readonly provider?: readonly string[];
  readonly config?: string;
  readonly json?: boolean;
}

/** A provider whose configuration can be used, or what is wrong with it. */
type Patient =
  | { readonly name: string; readonly entry: ProviderEntry; readonly key: string }
  | { readonly name: string; readonly entry: undefined; readonly report: ProviderCheckReport };

/** `doctor`: is everything there, and does each provider work. Returns the exit code. */
export async function doctorCommand(
  terminal: Terminal,
  options: DoctorCommandOptions,
): Promise<number> {
  const budget = liveBudget(options);
  const config =
    options.config === undefined
      ? undefined
      : readEchoKitConfigFile(options.config, { environment: process.env });
  const patients = patientsOf(config, options.provider);
  if (budget !== undefined && patients.length === 0) {
    throw refuseUnnamed(builtInProviders.map(({ name }) => name));
  }
  const clock = new SystemClock();
  const random = createRandom(1, 'doctor');
  const installation = await checkInstallation({
    nodeVersion: process.version,
    cacheFolder: cacheFolder(),
    ffmpegPath: ffmpegPath(),
    clock,
    network: new SocketNetwork({ clock, random, outside: [] }),
    ports: listeningPorts(),
    load: (name) => import(name),
    proxies: ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy'].filter(
      (name) => (process.env[name] ?? '') !== '',
    ),
  });
  const signal = interruptSignal(terminal, 'the check is given up.');
  if (budget !== undefined) announce(terminal, patients, budget);
  const providers: ProviderCheckReport[] = [];
  for (const patient of patients) {
    if (signal.aborted) return exitCode.interrupted;
    providers.push(
      budget === undefined || patient.entry === undefined
        ? offlineReport(patient)
        : await liveReport(patient.entry, clock, budget, signal),
    );
  }
  const report = buildDoctorReport({
    live: budget !== undefined,
    installation,
    providers,
    ...(budget === undefined ? {} : { budget: spentOf(budget) }),
  });
  if (options.json === true) terminal.print(JSON.stringify(report, null, 2));
  else {
    const { color, width } = terminal;
    const nextSteps = nextStepsFor(options, patients.length);
    terminal.print(renderDoctorReport(report, { color, width, nextSteps }).trimEnd());
  }
  if (signal.aborted) return exitCode.interrupted;
  return report.ok ? exitCode.passed : exitCode.environment;
}

function patientsOf(
  config: EchoKitConfig | undefined,
  named: readonly string[] | undefined,
): Patient[] {
  const configured = new Map(config?.providers.map((provider) => [provider.name, provider]));
  const names = named ?? [...configured.keys()];
  const entries = new Map(builtInProviders.map((entry) => [entry.name, entry]));
  return names.map((name) => {
    const provider = configured.get(name);
    if (provider !== undefined && config !== undefined) return fromConfig(config, provider);
    findProvider({ entries, configured: [...configured.keys()] }, name);
    return fromEnvironment(name);
  });
}

function fromConfig(config: EchoKitConfig, { name, table, tts }: ConfiguredProvider): Patient {
  if (tts === undefined) {
    const own = config.problems.filter(
      ({ severity, part, message }) =>
        severity === 'error' &&
        (part === 'tts' || part === 'providers') &&
        message.startsWith(table),
    );
    const [first, ...others] = own;
    const place =
      first?.line === undefined ? '' : ` (${config.file}:${first.line}:${first.column})`;
    const more =
      others.length === 0 ? '' : `, and ${others.length} more: validate ${config.file} shows all`;
    return unusable(name, `${first?.message ?? `[${table}] cannot be used`}${place}${more}`);
  }
  const entry = configuredProvider(name, tts);
  return withoutStandInValue(name, entry);
}

function fromEnvironment(name: string): Patient {
  try {
    return withoutStandInValue(name, liveBuiltIn(name, process.env));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return unusable(
      name,
      error.problems
        .map(({ message, hint }) => (hint === undefined ? message : `${message}; ${hint}`))
        .join('. '),
    );
  }
}

function withoutStandInValue(name: string, entry: ProviderEntry): Patient {
  const value = standInValue(entry);
  return value === undefined
    ? { name, entry, key: describeKeys(entry.tts) }
    : unusable(name, `the configuration holds "${value}", which only a stand-in knows`, entry);
}

function unusable(name: string, message: string, entry?: ProviderEntry): Patient {
  const report: ProviderCheckReport = {
    name,
    status: 'fail',
    problem: 'configuration',
    message: `configuration: ${message}`,
    ...(entry === undefined
      ? {}
      : { platform: entry.tts.platform, host: endpointName(entry.endpoint) }),
  };
  return { name, entry: undefined, report };
}

/** Where the key comes from; platforms without one say so. */
function describeKeys({ settings, secrets }: TtsConfig): string {
  const keys = settings.filter(({ secret }) => secret);
  const set = keys.filter(({ from }) => from === 'file' || from === 'environment');
  if (set.length === 0) return keys.some(({ required }) => required) ? 'no key' : 'needs no key';
  if (secrets.length === 0) return 'an empty key, so none is sent';
  return set
    .map(({ keyPath, from, variable }) =>
      from === 'environment' ? `key from ${variable}` : `key in ${keyPath}`,
    )
    .join(', ');
}

function offlineReport(patient: Patient): ProviderCheckReport {
  if (patient.entry === undefined) return patient.report;
  const { name, entry, key } = patient;
  const host = endpointsOf(entry).map(endpointName).join(' and ');
  const warnings = entry.tts.warnings.map(({ message }) => message);
  const doubts = warnings.length === 0 ? '' : `; ${warnings.join('; ')}`;
  return {
    name,
    platform: entry.tts.platform,
    host: endpointName(entry.endpoint),
    status: warnings.length === 0 ? 'ok' : 'note',
    message: `${entry.tts.platform} at ${host}, ${key}; not asked${doubts}`,
  };
}

async function liveReport(
  entry: ProviderEntry,
  clock: SystemClock,
  budget: RequestBudget,
  signal: AbortSignal,
): Promise<ProviderCheckReport> {
  const random = createRandom(1, 'doctor');
  const outside = endpointsOf(entry);
  const before = budget.used;
  const check = await checkProvider(entry, {
    deps: { clock, dialer: new SocketNetwork({ clock, random, outside }), randomBytes },
    budget,
    signal,
  });
  const cost = {
    requests: budget.used.requests - before.requests,
    characters: budget.used.characters - before.characters,
  };
  const host = endpointName(entry.endpoint);
  const facts = { name: entry.name, platform: entry.tts.platform, host, ...cost };
  if (check.outcome === 'failed') {
    const { problem, message } = check;
    return { ...facts, status: 'fail', problem, message: `${problem}: ${message}` };
  }
  const { outcome, ...figures } = check;
  const { connectMs, ttfbMs, totalMs, audioMs, sourceRateHz } = figures;
  const ms = (value: number): string => `${Math.round(value)} ms`;
  return {
    ...facts,
    ...figures,
    status: outcome,
    message:
      `${host}: connect ${ms(connectMs)}, first byte ${ms(ttfbMs)}, all ${ms(totalMs)}; ` +
      `${(audioMs / 1000).toFixed(2)} s of audio at ${sourceRateHz} Hz; ` +
      `${cost.requests} request${cost.requests === 1 ? '' : 's'}, ${cost.characters} characters`,
  };
}

function announce(terminal: Terminal, patients: readonly Patient[], budget: RequestBudget): void {
  const entries = patients.flatMap(({ name, entry }) =>
    entry === undefined ? [] : [[name, entry] as const],
  );
  if (entries.length === 0) return;
  const needs = new Map(entries.map(([name, entry]) => [name, probeNeeds(entry)]));
  terminal.say(`${liveAnnouncement(new Map(entries), budget, needs).join('\n')}\n`);
}

/** What commands listen on when nothing else is said. */
function listeningPorts(): Surroundings['ports'] {
  const host = '127.0.0.1';
  const platforms = new Set(builtInProviders.map(({ tts }) => tts.platform));
  const services = dialogueServices.length + platforms.size;
  const standIns = Array.from({ length: services }, (_, i) => ({ host, port: 9100 + i }));
  return [
    { command: 'serve', endpoints: [{ host, port: 8080 }] },
    { command: 'stand-ins', endpoints: standIns },
  ];
}

function nextStepsFor(
  { live, config, provider }: DoctorCommandOptions,
  patients: number,
): string[] {
  if (patients === 0) {
    return ['Providers too: doctor --config config.toml, or --provider openai; --live asks them.'];
  }
  if (live === true) return [];
  const named = [
    ...(config === undefined ? [] : [`--config ${config}`]),
    ...(provider === undefined ? [] : [`--provider ${provider.join(',')}`]),
  ];
  return [`Ask them to say "OK.": doctor --live ${named.join(' ')}`];
}
