/**
 * Makes the samples anew with which the gates are proved (`harness/comparison/fixtures/README.md`): a short
 * conversation in virtual time with every personality of the stand-ins, so often that its own spread shows.
 *
 * `npm run keep-gate-samples`; four minutes.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeWhole } from '../files/written-file.ts';
import { comparableRun } from '../report/comparable.ts';
import { buildRunReport, type RunReport } from '../report/run-report.ts';
import { openLaboratory } from '../runner/laboratory.ts';
import { builtInProviders, exampleTable, providerEntry } from '../runner/provider-catalog.ts';
import { runPlan } from '../runner/run-plan.ts';
import { loadScenario } from '../scenario/load.ts';
import { planRun } from '../scenario/plan.ts';
import { personalities } from '../stand-ins/personality-catalog.ts';
import { scenarioCatalog } from './scenario-files.ts';
import { processTerminal } from './terminal.ts';

const repetitions = 60;
const file = fileURLToPath(new URL('../comparison/fixtures/personalities.json', import.meta.url));

/** Personalities of sockets are reached by the provider that speaks over one. */
const spokenTo: Readonly<Record<string, string>> = {
  'elevenlabs-v4-dialogue': 'elevenlabs-v4',
  'fish-balanced-ws': 'fish-live',
  'fish-balanced-ws-2025': 'fish-live',
  'fish-open-socket': 'fish-live',
  'gsv-stream-gpu': 'stream_gsv',
};

const text = `
title = "Two short answers"

[[turn]]
say = "How far is it?"
reply = "It is not far."

[[turn]]
say = "Thank you."
reply = "You are welcome."
`;

const terminal = processTerminal();
const laboratory = await openLaboratory();
const reports: RunReport[] = [];
for (const { name, platforms } of personalities().values()) {
  const [platform] = platforms as [string];
  const builtIn = builtInProviders.find((entry) => entry.name === spokenTo[name]);
  const entry = builtIn ?? providerEntry(name, exampleTable(platform, name));
  const provider = { ...entry, name, personality: name };
  const catalog = scenarioCatalog([name]);
  const scenario = loadScenario(text, 'short-answers.toml', catalog);
  const plan = planRun([scenario], {
    providers: [name],
    seed: 1,
    time: 'virtual',
    repeat: repetitions,
    catalog,
  });
  const folder = mkdtempSync(join(tmpdir(), 'echokit-gate-samples-'));
  try {
    const cells = await runPlan({
      plan,
      providers: new Map([[name, provider]]),
      laboratory,
      folder,
      signal: new AbortController().signal,
      environment: {},
    });
    const failed = cells.filter(({ verdict }) => verdict.outcome !== 'pass').length;
    terminal.say(`${name}: ${cells.length} conversations, ${failed} failed`);
    const run = { id: 'personalities', seed: 1, time: 'virtual', live: false } as const;
    reports.push(buildRunReport({ cells, run, environment: {} }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
const lines = reports.map((report) => {
  const { conversations } = comparableRun('', [report]);
  const rows = conversations.map(({ values, numbers }) => ({
    ttfb: (values['ttfb_ms'] ?? []).map(({ turn, value, reused }) => [turn, value, reused ? 1 : 0]),
    audible: (values['audible_at_speaker_ms'] ?? []).map(({ turn, value }) => [turn, value]),
    underrunMs: numbers['underruns.total_ms'],
    playedSeconds: numbers['audio_seconds.played'],
    failed: numbers['turns.failed'],
  }));
  const [{ provider }] = conversations as [(typeof conversations)[number]];
  return `"${provider}": [\n${rows.map((row) => `  ${JSON.stringify(row)}`).join(',\n')}\n]`;
});
writeWhole(file, `{\n${lines.sort().join(',\n')}\n}\n`);
terminal.say(file);
