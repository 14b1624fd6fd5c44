/**
 * Makes the kept clips anew (`scenarios/clips/README.md`): runs the shipped scenarios that hold Han
 * script with every built-in provider, and keeps what the engine for Mandarin spoke in them.
 *
 * `npm run keep-clips`, in a checkout with `@echogarden/espeak-ng-emscripten`.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLaboratory } from '../runner/laboratory.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { runPlan } from '../runner/run-plan.ts';
import { planRun } from '../scenario/plan.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { bytesOf } from '../stand-ins/clip-cache.ts';
import type { FliteVoice } from '../stand-ins/flite-engine.ts';
import type { KeptClipIndex } from '../stand-ins/kept-clips.ts';
import { findMandarinEngine } from '../stand-ins/mandarin-engine.ts';
import { loadOfflineVoice, overheard } from '../stand-ins/offline-voice.ts';
import { wavHeader } from '../stand-ins/rendered-clip.ts';
import { isSignal, readVoiceName } from '../stand-ins/voice-name.ts';
import { exitCode } from './exit-code.ts';
import {
  defaultScenarioFolder,
  findScenarioFiles,
  loadScenarios,
  scenarioCatalog,
} from './scenario-files.ts';
import { processTerminal } from './terminal.ts';

const rateHz = 16_000;
const terminal = processTerminal();
const folder = join(defaultScenarioFolder(), 'clips');
const mandarin = findMandarinEngine();
if (mandarin === undefined) {
  terminal.say('The engine is missing: npm install --no-save @echogarden/espeak-ng-emscripten');
  process.exit(exitCode.environment);
}

const names = builtInProviders.map(({ name }) => name);
const catalog = scenarioCatalog(names);
const hasHan = ({ turns }: Scenario): boolean =>
  turns.some(({ say = '', reply }) => /\p{Script=Han}/u.test(say + reply));
const scenarios = loadScenarios(findScenarioFiles([defaultScenarioFolder()]), catalog);
const plan = planRun(scenarios.filter(hasHan), {
  providers: names,
  seed: 1,
  time: 'virtual',
  catalog,
});

const clips = new Map<string, { text: string; voice: FliteVoice; samples: Int16Array }>();
const voice = await loadOfflineVoice({ keptClips: 'none', mandarin });
const listening = overheard(voice, ({ spokenBy }, text, name) => {
  if (!spokenBy.includes(mandarin.version)) return;
  const { voice: timbre } = readVoiceName(name);
  if (isSignal(timbre)) return;
  const { samples } = voice.speak(text, timbre);
  // Some protocols add white space, which does not count as another text.
  const spoken = text.trim();
  clips.set(`${timbre} ${spoken}`, { text: spoken, voice: timbre, samples });
});
const recordings = mkdtempSync(join(tmpdir(), 'echokit-keep-clips-'));
try {
  await runPlan({
    plan,
    providers: new Map(builtInProviders.map((entry) => [entry.name, entry])),
    laboratory: { ...(await openLaboratory()), voice: listening },
    folder: recordings,
    signal: new AbortController().signal,
    environment: {},
  });
} finally {
  rmSync(recordings, { recursive: true, force: true });
}

mkdirSync(folder, { recursive: true });
for (const name of readdirSync(folder)) if (name.endsWith('.wav')) rmSync(join(folder, name));
const sha256 = (content: string | Buffer): string =>
  createHash('sha256').update(content).digest('hex');
const index: KeptClipIndex = {
  madeWith: mandarin.version,
  clips: [...clips.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { text, voice, samples }]) => {
      const bytes = bytesOf(samples);
      const wav = Buffer.concat([wavHeader(rateHz, 36 + bytes.length, bytes.length), bytes]);
      const file = `${voice}-${sha256(text).slice(0, 8)}.wav`;
      writeFileSync(join(folder, file), wav);
      terminal.say(`${file}  ${(samples.length / rateHz).toFixed(2)} s  ${text}`);
      return { text, voice, file, sha256: sha256(wav) };
    }),
};
writeFileSync(join(folder, 'clips.json'), `${JSON.stringify(index, null, 2)}\n`);
