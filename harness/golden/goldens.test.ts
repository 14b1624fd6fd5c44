/** Every golden recording, held again: with the recording in the provider's place, and with the provider's stand-in. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { unpackBundle } from '../bundle/bundle-file.ts';
import { unpackInto } from '../bundle/bundle-folder.ts';
import { recordedReport } from '../cli/recorded-report.ts';
import { scenarioCatalog } from '../cli/scenario-files.ts';
import type { RunReport } from '../report/run-report.ts';
import { openLaboratory } from '../runner/laboratory.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { openReplayables, recordedMeans, replayPlan } from '../runner/recorded-run.ts';
import { recordedSums } from '../runner/repeated-run.ts';
import { runPlan } from '../runner/run-plan.ts';
import { ownCacheFolder } from '../runner/test-cache.contract.ts';
import { checkRecordingFormat } from '../trace/format-check.contract.ts';
import type { Recording } from '../trace/recorded-cell.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { compareRecordings } from './recording-comparison.ts';

const goldens = fileURLToPath(new URL('../../recordings/golden', import.meta.url));
const files = readdirSync(goldens).filter((name) => name.endsWith('.zip'));
const folder = mkdtempSync(join(tmpdir(), 'echokit-goldens-'));

const catalog = scenarioCatalog(builtInProviders.map(({ name }) => name));
const laboratory = await openLaboratory(await ownCacheFolder());
test.after.always(() => rmSync(folder, { recursive: true, force: true }));
const signal = new AbortController().signal;

/** Unpacks a golden recording, once. */
function unpacked(file: string): { run: string; cell: string } {
  const run = join(folder, file);
  const cell = join(run, 'cells', file.replace('.zip', ''));
  try {
    mkdirSync(run);
  } catch {
    return { run, cell };
  }
  unpackInto(run, unpackBundle(readFileSync(join(goldens, file)), file));
  return { run, cell };
}

let runs = 0;

async function heldAgain(
  cell: string,
  provider: 'recording' | 'stand-in',
  network?: string,
): Promise<{ recording: Recording; path: string }> {
  const conversations = openReplayables(cell, catalog);
  const { recorded, source, ...means } = recordedMeans(conversations);
  const plan = replayPlan(conversations, 'virtual');
  const [only] = plan.cells;
  const out = join(folder, `held-${++runs}`);
  const [result] = await runPlan({
    plan: network === undefined ? plan : { ...plan, cells: [{ ...only!, network }] },
    ...means,
    ...(provider === 'recording' && network === undefined && { recorded, source }),
    laboratory,
    folder: out,
    signal,
    environment: {},
  });
  const path = join(out, result!.recording);
  return { recording: readRecording(path), path };
}

for (const file of files) {
  test.serial(`${file.split('--')[1]}: held again, the golden recording is the same`, async (t) => {
    const { cell } = unpacked(file);
    checkRecordingFormat(cell);
    const golden = readRecording(cell);
    const advice = `${file}: when this is right, review it and run npm run keep-goldens`;
    for (const provider of ['recording', 'stand-in'] as const) {
      const { recording, path } = await heldAgain(cell, provider);
      const differences = compareRecordings(golden, recording);
      t.deepEqual(
        differences.map(({ kind, text }) => `${kind}: ${text}`),
        [],
        advice,
      );
      const [before, now] = [recordedSums(cell), recordedSums(path)];
      const other = Object.keys(before).filter((name) => before[name] !== now[name]);
      if (other.length > 0) t.log(`with its ${provider}, other bytes in ${other.join(', ')}`);
    }
  });
}

test.serial('there is one for every platform; each says why, and all are small', (t) => {
  const platforms = new Set<string>();
  let bytes = 0;
  for (const file of files) {
    const { run, cell } = unpacked(file);
    const { provider } = openReplayables(cell, catalog)[0]!;
    platforms.add(provider.tts.platform);
    const about = JSON.parse(readFileSync(join(run, 'golden.json'), 'utf8')) as { reason: string };
    t.true(about.reason.length > 20, file);
    bytes += readFileSync(join(goldens, file)).length;
  }
  const all = new Set(builtInProviders.map(({ tts }) => tts.platform));
  t.deepEqual([...platforms].sort(), [...all].sort());
  t.true(bytes < 3_000_000, `${bytes} bytes`);
});

/** Where the document of today does not say what the kept one says. */
function changedIn(kept: unknown, now: unknown, place: string): string[] {
  if (typeof kept !== 'object' || kept === null || typeof now !== 'object' || now === null) {
    return Object.is(kept, now)
      ? []
      : [`${place}: ${JSON.stringify(kept)} is now ${JSON.stringify(now)}`];
  }
  if (Array.isArray(kept) && kept.length !== (now as unknown[]).length) {
    return [`${place}: ${kept.length} are now ${(now as unknown[]).length}`];
  }
  return Object.entries(kept).flatMap(([key, value]) =>
    changedIn(value, (now as Record<string, unknown>)[key], `${place}.${key}`),
  );
}

test.serial('their reports are a function of their files', (t) => {
  for (const file of files) {
    const { run } = unpacked(file);
    const kept = JSON.parse(readFileSync(join(run, 'report.json'), 'utf8')) as RunReport;
    const { report, notes } = recordedReport(run, catalog, kept.run.id);
    t.deepEqual(notes, []);
    // Later versions say more; what was said is said still.
    t.deepEqual(changedIn(kept, JSON.parse(JSON.stringify(report)), file), []);
    t.is(report.cells[0]!.verdict, 'pass');
  }
});

test.serial(
  'another network, another answer and other sound are told apart, in words',
  async (t) => {
    const { cell } = unpacked(files.find((name) => name.includes('--elevenlabs--'))!);
    const golden = readRecording(cell);
    const { recording: slow } = await heldAgain(cell, 'stand-in', 'mobile-hotspot');
    const late = compareRecordings(golden, slow);
    t.true(
      late.some(
        ({ kind, text }) => kind === 'latency' && /audible_at_speaker_ms.* instead of /.test(text),
      ),
    );
    const quiet = { ...golden, speaker: golden.speaker.map((sample) => sample >> 1) };
    const sound = compareRecordings(golden, quiet);
    t.true(sound.length > 0 && sound.every(({ kind, text }) => kind !== 'story' && text !== ''));
    t.regex(sound.map(({ text }) => text).join('\n'), /speaker: level -\d+\.\d dBFS instead of/);
    const other = compareRecordings(golden, {
      ...golden,
      events: golden.events.map((event) =>
        event.source === 'server' && event.type === 'sentence'
          ? { ...event, text: 'At two.' }
          : event,
      ),
    });
    t.deepEqual(
      other.map(({ text }) => text.replace(/step \d+/, 'step')),
      ['step: server says "At two." instead of server says "At ten."'],
    );
    const short = { ...golden, events: golden.events.filter(({ type }) => type !== 'framed') };
    t.true(compareRecordings(golden, short).some(({ kind }) => kind === 'ledger'));
    const silent = { ...golden, provider: new Map() };
    t.true(compareRecordings(golden, silent).some(({ text }) => /no audio any more/.test(text)));
  },
);
