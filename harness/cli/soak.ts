/**
 * `npm run soak`: does anything grow? Days of conversations in virtual time, then minutes in real time with processes of their own.
 * `-- --virtual-days 2 --real-minutes 15 --devices 50`; 0 leaves a part out. `--out <folder>` keeps the samples as JSON.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
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
import { exitCode } from './exit-code.ts';
import { LoadProcess } from './load-processes.ts';
import { scenarioCatalog } from './scenario-files.ts';
import { interruptSignal, processTerminal } from './terminal.ts';

const virtualBoards = 8;
const virtualPauseMs = 30 * 60_000;
const samplesPerPart = 96;

const { values } = parseArgs({
  options: {
    'virtual-days': { type: 'string', default: '2' },
    'real-minutes': { type: 'string', default: '15' },
    devices: { type: 'string', default: '50' },
    provider: { type: 'string', default: 'openai-stream' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
});
const terminal = processTerminal();
const signal = interruptSignal(terminal, 'the boards are being switched off.');
const seed = Number(values.seed);
const provider = builtInProviders.find(({ name }) => name === values.provider)!;
const catalog = scenarioCatalog(builtInProviders.map(({ name }) => name));
const load = (text: string, file: string) => loadScenario(text, file, catalog);
let flat = true;

const virtualMs = Number(values['virtual-days']) * 86_400_000;
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

const realMs = Number(values['real-minutes']) * 60_000;
if (realMs > 0 && !signal.aborted) {
  const plan = soakPlan({
    seed,
    devices: Number(values.devices),
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
  const { out } = values;
  if (out === undefined) return;
  mkdirSync(out, { recursive: true });
  const { eachBoard: _, ...counted } = figures;
  const document = JSON.stringify({ ...counted, verdicts }, null, 1);
  writeWhole(join(out, `soak-${name}.json`), `${document}\n`);
}

function progress({ devices, rampMs, holdMs = 0 }: LoadPlan): (now: LoadProgress) => void {
  return ({ atUs, turns, failed, connected }) =>
    terminal.status?.(
      `${(atUs / 3.6e9).toFixed(2)} of ${((rampMs + holdMs) / 3.6e6).toFixed(2)} h: ` +
        `${connected} of ${devices} boards, ${turns} turns, ${failed} failed`,
    );
}
