import { measureServerLatency } from '../bench/server-latency.ts';
import { measureSimulationSpeed } from '../bench/simulation-speed.ts';
import { planRun } from '../scenario/plan.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { exitCode } from './exit-code.ts';
import { chooseProviders } from './provider-choice.ts';
import {
  defaultScenarioFolder,
  findScenarioFiles,
  loadScenarios,
  scenarioCatalog,
} from './scenario-files.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

const frameUs = 120_000;

/** `bench`: figures that mean the same on any machine, because they are ratios within one run. */
export async function benchCommand(
  terminal: Terminal,
  options: { readonly json?: boolean },
): Promise<number> {
  const { entries } = chooseProviders(terminal);
  const catalog = scenarioCatalog([...entries.keys()]);
  const signal = interruptSignal(terminal, 'the benchmark is given up.');
  const scenarios = (names: readonly string[]) =>
    loadScenarios(
      findScenarioFiles(names.map((name) => `${defaultScenarioFolder()}/${name}.toml`)),
      catalog,
    );

  terminal.say('1/2  virtual time: conversations on every provider, cold and warm');
  const speed = await measureSimulationSpeed(
    planRun(scenarios(['one-question', 'long-answer']), { seed: 1, time: 'virtual', catalog }),
    entries,
    signal,
  );
  terminal.say('2/2  real time: a conversation over loopback sockets, about a minute');
  const latency = await measureServerLatency(
    planRun(scenarios(['two-turns']), {
      seed: 1,
      time: 'real',
      catalog,
      providers: ['openai-stream', 'stream_gsv', 'elevenlabs'],
      networks: ['ideal'],
    }),
    entries,
    await openCommandLaboratory(terminal),
    signal,
  );
  if (signal.aborted) return exitCode.interrupted;

  if (options.json === true) {
    terminal.print(JSON.stringify({ schemaVersion: 1, speed, latency }, null, 2));
    return exitCode.passed;
  }
  const ms = (us: number): string => `${(us / 1000).toFixed(2)} ms`;
  const percent = (us: number): string => `${((100 * us) / frameUs).toFixed(2)} %`;
  const rounds = (us: number): string => (us / latency.loopbackRoundTripP50Us).toFixed(1);
  terminal.print(
    [
      `Simulated seconds per wall second (${speed.cells} conversations, ${speed.simulatedSeconds.toFixed(0)} s):`,
      `  cold, speech synthesized on the way   ${speed.coldRatio.toFixed(0)}×`,
      `  warm, speech from the cache           ${speed.warmRatio.toFixed(0)}×   (${(speed.warmRatio / speed.coldRatio).toFixed(1)} times cold)`,
      '',
      `What the server adds in real time, provider chunk → frame on the socket (${latency.n} frames):`,
      `  p50 ${ms(latency.p50Us)}   p99 ${ms(latency.p99Us)}   max ${ms(latency.maxUs)}`,
      `  of a 120 ms frame: p50 ${percent(latency.p50Us)}, p99 ${percent(latency.p99Us)}`,
      `  in loopback round trips of 400 bytes (${ms(latency.loopbackRoundTripP50Us)}): p50 ${rounds(latency.p50Us)}, p99 ${rounds(latency.p99Us)}`,
    ].join('\n'),
  );
  return exitCode.passed;
}
