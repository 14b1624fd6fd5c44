/** `npm run soak`: does anything grow? Days of conversations in virtual time, then minutes in real time with processes of their own. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Option } from 'commander';
import { SystemClock } from '../clock/system-clock.ts';
import { writeWhole } from '../files/written-file.ts';
import type { LoadFigures } from '../load/load-figures.ts';
import type { LoadPlan, LoadProgress } from '../load/load-plan.ts';
import { runRealLoad } from '../load/real-load.ts';
import { isFlat, runVirtualSoak, type SoakVerdict, soakPlan } from '../load/soak.ts';
import { soakText } from '../load/soak-text.ts';
import { openLaboratory } from '../runner/laboratory.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { loadScenario } from '../scenario/load.ts';
import { cacheFolder } from './cache-folder.ts';
import { checkoutCommand, numberWithin, wholeWithin } from './checkout-command.ts';
import { exitCode } from './exit-code.ts';
import { LoadProcess } from './load-processes.ts';
import { scenarioCatalog } from './scenario-files.ts';
import { interruptSignal, processTerminal } from './terminal.ts';

interface SoakOptions {
  readonly virtualDays: number;
  readonly realMinutes: number;
  readonly devices: number;
  readonly provider: string;
  readonly seed: number;
  readonly out?: string;
}

const virtualBoards = 8;
const virtualPauseMs = 30 * 60_000;
const samplesPerPart = 96;

const options = checkoutCommand(
  'soak',
  'Does anything grow? Days of conversations in virtual time, then minutes in real time: memory, handles and listeners.',
)
  .option('--virtual-days <days>', 'of 8 boards; 0: none', numberWithin(0, 365), 2)
  .option('--real-minutes <minutes>', '0: none', numberWithin(0, 10_080), 15)
  .option('--devices <count>', 'boards in real time', wholeWithin(1, 10_000), 50)
  .addOption(
    new Option('--provider <name>', 'who speaks')
      .choices(builtInProviders.map(({ name }) => name))
      .default('openai-stream'),
  )
  .option(
    '--seed <number>',
    'another one draws other conversations',
    wholeWithin(0, 2 ** 31 - 1),
    1,
  )
  .option('--out <folder>', 'keep the samples, as JSON')
  .parse()
  .opts<SoakOptions>();
const terminal = processTerminal();
const signal = interruptSignal(terminal, 'the boards are being switched off.');
const { seed } = options;
const provider = builtInProviders.find(({ name }) => name === options.provider)!;
const catalog = scenarioCatalog(builtInProviders.map(({ name }) => name));
const load = (text: string, file: string) => loadScenario(text, file, catalog);
let flat = true;

const virtualMs = options.virtualDays * 86_400_000;
if (virtualMs > 0) {
  const plan = soakPlan({
    seed,
    devices: virtualBoards,
    provider: provider.name,
    rampMs: virtualPauseMs,
    holdMs: virtualMs,
    pauseMs: virtualPauseMs,
    load,
  });
  const { figures, verdict } = await runVirtualSoak({
    plan,
    provider,
    laboratory: await openLaboratory(cacheFolder()),
    sampleEveryMs: virtualMs / samplesPerPart,
    wallClock: new SystemClock(),
    signal,
    onProgress: progress(plan),
  });
  tell('virtual', figures, [verdict]);
}

const realMs = options.realMinutes * 60_000;
if (realMs > 0 && !signal.aborted) {
  const plan = soakPlan({
    seed,
    devices: options.devices,
    provider: provider.name,
    rampMs: Math.min(30_000, realMs / 10),
    holdMs: realMs,
    pauseMs: 5_000,
    load,
  });
  const clock = new SystemClock();
  const verdicts: SoakVerdict[] = [];
  const figures = await runRealLoad({
    plan,
    party: provider,
    boardProcesses: 1,
    openPart: () => new LoadProcess(clock),
    clock,
    signal,
    onProgress: progress(plan),
    soak: {
      everyMs: Math.max(1_000, realMs / samplesPerPart),
      verdict: (verdict) => verdicts.push(verdict),
    },
  });
  tell('real', figures, verdicts);
}
if (!flat) process.exitCode = exitCode.expectationFailed;
if (signal.aborted) process.exitCode = exitCode.interrupted;

function tell(name: string, figures: LoadFigures, verdicts: readonly SoakVerdict[]): void {
  terminal.status?.('');
  terminal.print(`${soakText(figures, verdicts)}\n`);
  flat &&= verdicts.every(isFlat) && figures.boards.voices.foreign === 0;
  const { out } = options;
  if (out === undefined) return;
  mkdirSync(out, { recursive: true });
  const { eachBoard, ...counted } = figures;
  const failedBoards = eachBoard.filter(({ failed }) => failed > 0);
  const document = JSON.stringify({ ...counted, failedBoards, verdicts }, null, 1);
  writeWhole(join(out, `soak-${name}.json`), `${document}\n`);
}

function progress({ devices, rampMs, holdMs = 0 }: LoadPlan): (now: LoadProgress) => void {
  return ({ atUs, turns, failed, connected }) =>
    terminal.status?.(
      `${(atUs / 3.6e9).toFixed(2)} of ${((rampMs + holdMs) / 3.6e6).toFixed(2)} h: ` +
        `${connected} of ${devices} boards, ${turns} turns, ${failed} failed`,
    );
}
