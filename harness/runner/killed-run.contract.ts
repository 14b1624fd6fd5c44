/**
 * For tests: a conversation in a process of its own, which is killed at a write of its recording. Started with the
 * folder of the recording and the number of that write, from 0; half of its bytes get to the disk. Without a number it
 * runs to its end and prints how many writes there were.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const [folder = '', killAt = 'never'] = process.argv.slice(2);
let writes = 0;
let armed = false;

/** @param half does a part of what is to be done */
function step(half: () => void): void {
  if (!armed) return;
  if (`${writes++}` !== killAt) return;
  half();
  process.kill(process.pid, 'SIGKILL');
  for (;;);
}

const { writeSync, openSync, writeFileSync, renameSync } = fs;
const halfOf = (data: string | Uint8Array): string | Uint8Array => data.slice(0, data.length / 2);
Object.assign(fs, {
  writeSync: (file: number, data: string | Uint8Array, ...rest: [number?, number?, number?]) => {
    const write = (part: string | Uint8Array): number =>
      typeof part === 'string' ? writeSync(file, part) : writeSync(file, part, ...rest);
    // Where a place is named, a part of the bytes has to go there.
    step(() => void (rest.length === 0 && write(halfOf(data))));
    return write(data);
  },
  openSync: (path: string, flags: string) => {
    step(() => {});
    return openSync(path, flags);
  },
  writeFileSync: (path: string, data: string | Uint8Array) => {
    step(() => writeFileSync(path, halfOf(data)));
    writeFileSync(path, data);
  },
  renameSync: (from: string, to: string) => {
    step(() => {});
    renameSync(from, to);
  },
});
syncBuiltinESMExports();

const { openLaboratory } = await import('./laboratory.ts');
const { testCacheFolder } = await import('./test-cache.contract.ts');
const { builtInProviders } = await import('./provider-catalog.ts');
const { runPlan } = await import('./run-plan.ts');
const { planRun } = await import('../scenario/plan.ts');
const { killedScenario, killedProvider } = await import('./killed-scenario.contract.ts');
const laboratory = await openLaboratory(testCacheFolder('killed-run'));
const provider = builtInProviders.find(({ name }) => name === killedProvider)!;
armed = true;
await runPlan({
  plan: planRun([killedScenario()], {
    providers: [killedProvider],
    seed: 1,
    time: 'virtual',
    catalog: { providers: [killedProvider], devices: ['diy'], networks: ['good-wifi'] },
  }),
  providers: new Map([[killedProvider, provider]]),
  laboratory,
  folder,
  signal: new AbortController().signal,
  environment: {},
});
process.stdout.write(`${writes}\n`);
process.exit();
