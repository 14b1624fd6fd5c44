import { nearestName } from '../../adapters/nearest-name.ts';
import {
  type ConsoleArrival,
  consoleBenchMissing,
  type Lateness,
  measureConsoleArrival,
  measureReconnection,
} from '../bench/console-arrival.ts';
import { measureReplayLateness, type ReplayLateness } from '../bench/replay-lateness.ts';
import { measureServerLatency, type ServerLatency } from '../bench/server-latency.ts';
import { measureSimulationSpeed, type SimulationSpeed } from '../bench/simulation-speed.ts';
import type { ClockLag } from '../clock/lag-watch.ts';
import { planRun } from '../scenario/plan.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { chooseProviders } from './provider-choice.ts';
import {
  defaultScenarioFolder,
  findScenarioFiles,
  loadScenarios,
  scenarioCatalog,
} from './scenario-files.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

const benchParts = ['simulation', 'server', 'replay', 'console'] as const;

export interface BenchOptions {
  readonly json?: boolean;
  /** Default: all that this machine can. */
  readonly only?: readonly string[];
}

const frameUs = 120_000;

const consoleLines = 1_000;
const consoleReturns = 20;

/** `bench`: how fast the program is; ratios within one run wherever they mean more than milliseconds. */
export async function benchCommand(terminal: Terminal, options: BenchOptions): Promise<number> {
  const parts = options.only ?? benchParts;
  for (const part of parts) checkPart(part);
  const signal = interruptSignal(terminal, 'the benchmark is given up.');
  const speed = parts.includes('simulation') ? await simulation(terminal, signal) : undefined;
  const latency =
    parts.includes('server') && !signal.aborted ? await server(terminal, signal) : undefined;
  const replay =
    parts.includes('replay') && !signal.aborted ? await replays(terminal, signal) : undefined;
  const missing = parts.includes('console') ? await consoleBenchMissing() : undefined;
  if (missing !== undefined) {
    terminal.say(`console: left out, ${missing}`);
    if (options.only?.includes('console') === true) return exitCode.environment;
  }
  const measured =
    parts.includes('console') && missing === undefined && !signal.aborted
      ? await boardConsole(terminal)
      : undefined;
  if (signal.aborted) return exitCode.interrupted;

  if (options.json === true) {
    terminal.print(
      JSON.stringify({ schemaVersion: 1, speed, latency, replay, console: measured }, null, 2),
    );
    return exitCode.passed;
  }
  const texts = [
    ...(speed === undefined ? [] : [speedText(speed)]),
    ...(latency === undefined ? [] : [latencyText(latency)]),
    ...(replay === undefined ? [] : [replayText(replay)]),
    ...(measured === undefined ? [] : [consoleText(measured)]),
  ];
  terminal.print(texts.map((lines) => lines.join('\n')).join('\n\n'));
  return exitCode.passed;
}

function checkPart(part: string): void {
  if ((benchParts as readonly string[]).includes(part)) return;
  const meant = nearestName(part, benchParts);
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `There is no part "${part}"${meant === undefined ? '.' : `; did you mean ${meant}?`}`,
    `parts: ${benchParts.join(', ')}`,
  );
}

async function simulation(terminal: Terminal, signal: AbortSignal): Promise<SimulationSpeed> {
  terminal.say('simulation: conversations on every provider in virtual time, cold and warm');
  const { entries } = chooseProviders(terminal);
  const catalog = scenarioCatalog([...entries.keys()]);
  const scenarios = shipped(['one-question', 'long-answer'], catalog);
  const plan = planRun(scenarios, { seed: 1, time: 'virtual', catalog });
  return measureSimulationSpeed(plan, entries, signal);
}

async function server(terminal: Terminal, signal: AbortSignal): Promise<ServerLatency> {
  terminal.say('server: a conversation over loopback sockets in real time, about a minute');
  const { entries } = chooseProviders(terminal);
  const catalog = scenarioCatalog([...entries.keys()]);
  const plan = planRun(shipped(['two-turns'], catalog), {
    seed: 1,
    time: 'real',
    catalog,
    providers: ['openai-stream', 'stream_gsv', 'elevenlabs'],
    networks: ['ideal'],
  });
  return measureServerLatency(plan, entries, await openCommandLaboratory(terminal), signal);
}

async function replays(terminal: Terminal, signal: AbortSignal): Promise<ReplayLateness> {
  terminal.say('replay: recorded conversations, replayed in real time; two and a half minutes');
  const { entries } = chooseProviders(terminal);
  const catalog = scenarioCatalog([...entries.keys()]);
  const plan = planRun(shipped(['long-answer'], catalog), {
    seed: 1,
    time: 'virtual',
    catalog,
    providers: ['openai-stream', 'cosyvoice', 'elevenlabs'],
    networks: ['ideal'],
  });
  const laboratory = await openCommandLaboratory(terminal);
  return measureReplayLateness(plan, entries, catalog, laboratory, signal);
}

function shipped(
  names: readonly string[],
  catalog: ReturnType<typeof scenarioCatalog>,
): ReturnType<typeof loadScenarios> {
  const files = names.map((name) => `${defaultScenarioFolder()}/${name}.toml`);
  return loadScenarios(findScenarioFiles(files), catalog);
}

interface ConsoleFigures {
  readonly arrival: ConsoleArrival;
  readonly reconnection: Lateness;
}

async function boardConsole(terminal: Terminal): Promise<ConsoleFigures> {
  terminal.say('console: lines over a pseudo-terminal, and a port that is away; half a minute');
  return {
    arrival: await measureConsoleArrival(consoleLines),
    reconnection: await measureReconnection(consoleReturns),
  };
}

const ms = (us: number): string => `${(us / 1000).toFixed(2)} ms`;

function speedText(speed: SimulationSpeed): string[] {
  return [
    `Simulated seconds per wall second (${speed.cells} conversations, ${speed.simulatedSeconds.toFixed(0)} s):`,
    `  cold, speech synthesized on the way   ${speed.coldRatio.toFixed(0)}×`,
    `  warm, speech from the cache           ${speed.warmRatio.toFixed(0)}×   (${(speed.warmRatio / speed.coldRatio).toFixed(1)} times cold)`,
  ];
}

function latencyText(latency: ServerLatency): string[] {
  const percent = (us: number): string => `${((100 * us) / frameUs).toFixed(2)} %`;
  const rounds = (us: number): string => (us / latency.loopbackRoundTripP50Us).toFixed(1);
  return [
    `What the server adds in real time, provider chunk → frame on the socket (${latency.n} frames):`,
    `  p50 ${ms(latency.p50Us)}   p99 ${ms(latency.p99Us)}   max ${ms(latency.maxUs)}`,
    `  of a 120 ms frame: p50 ${percent(latency.p50Us)}, p99 ${percent(latency.p99Us)}`,
    `  in loopback round trips of 400 bytes (${ms(latency.loopbackRoundTripP50Us)}): p50 ${rounds(latency.p50Us)}, p99 ${rounds(latency.p99Us)}`,
  ];
}

function replayText({ left, reached, alarms }: ReplayLateness): string[] {
  const row = ({ p50Us, p99Us, maxUs }: ClockLag): string =>
    `p50 ${ms(p50Us)}   p99 ${ms(p99Us)}   max ${ms(maxUs)}`;
  return [
    `How late a replay is in real time, piece by piece of the answers (${left.n} pieces):`,
    `  left the recording      ${row(left)}`,
    `  reached the adapter     ${row(reached)}`,
    `  alarms where that runs  ${row(alarms)}`,
  ];
}

function consoleText({ arrival, reconnection }: ConsoleFigures): string[] {
  const row = ({ p50Ms, p99Ms, maxMs }: Lateness): string =>
    `  p50 ${p50Ms.toFixed(2)} ms   p99 ${p99Ms.toFixed(2)} ms   max ${maxMs.toFixed(2)} ms`;
  return [
    `Console of a board, write at the far end → instant of the line (${arrival.n} lines, processors ${Math.round(100 * arrival.machineBusy)} % busy):`,
    row(arrival),
    `Port there again → open again (${reconnection.n} times):`,
    row(reconnection),
  ];
}
