import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { unzipSync } from 'fflate';
import { measureCell, type TurnMeasurement } from '../metrics/measure.ts';
import { metricTree } from '../report/run-report.ts';
import { checkRecordingFormat, formatProblem } from './format-check.contract.ts';
import { parseTrace, readRecording } from './recording-reader.ts';
import { type SchemaName, schemaFiles, schemaText } from './shipped-schema.contract.ts';
import { traceFormatVersion } from './trace-event.ts';
import {
  type UpgradeStep,
  type UpgradeSteps,
  upgradeSteps,
  upgradeTrace,
  type WrittenTrace,
} from './trace-upgrade.ts';
import { schemasOfTypes } from './type-schema.contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'formats-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

/** The runs of the first version, with the reports that it made of them. */
const runs = ['cut', 'interrupted', 'restart', 'slow'];
unpack(new URL('../../recordings/fixtures/first-version.zip', import.meta.url));

function unpack(archive: URL): void {
  const files = unzipSync(readFileSync(fileURLToPath(archive)));
  for (const [name, bytes] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
}

interface OldReport {
  readonly cells: readonly {
    readonly recording: string;
    readonly metrics: object;
    readonly turns: readonly {
      readonly turn: number;
      readonly verdict: string;
      readonly failure?: { readonly kind: string };
      readonly audible_at_speaker_ms: number | null;
      readonly metrics: object;
      readonly underruns: readonly { readonly position: number; readonly durationMs: number }[];
      readonly sentences: readonly object[];
    }[];
  }[];
}

function oldCell(run: string): { cell: OldReport['cells'][number]; path: string } {
  const report = JSON.parse(readFileSync(join(folder, run, 'report.json'), 'utf8')) as OldReport;
  const [cell] = report.cells;
  return { cell: cell!, path: join(folder, run, cell!.recording) };
}

/** Every value of `before` that `now` has not; what is only in `now` is new since. */
function changes(before: unknown, now: unknown, path = ''): string[] {
  if (typeof before !== 'object' || before === null) {
    return Object.is(before, now) ? [] : [`${path}: ${before} became ${now}`];
  }
  return Object.entries(before).flatMap(([key, value]) =>
    changes(value, (now as Record<string, unknown> | undefined)?.[key], `${path}/${key}`),
  );
}

/** As JSON says it. */
function plain(value: object): unknown {
  return JSON.parse(JSON.stringify(value));
}

test('the shipped schemas are those of the types', (t) => {
  for (const [name, schema] of Object.entries(schemasOfTypes())) {
    const shipped = readFileSync(schemaFiles[name as SchemaName], 'utf8');
    t.true(shipped === schemaText(schema), `${name}: write it anew with npm run schemas`);
  }
});

test('recordings of the first version report the numbers that it reported', (t) => {
  let values = 0;
  for (const run of runs) {
    const { cell, path } = oldCell(run);
    const now = measureCell(readRecording(path));
    const before = plain(cell.metrics);
    values += JSON.stringify(before).split(':').length;
    t.deepEqual(changes(before, plain(metricTree(now.metrics))), [], run);
    t.is(now.turns.length, cell.turns.length, run);
    for (const [index, turn] of cell.turns.entries()) {
      const same = now.turns[index] as TurnMeasurement;
      t.deepEqual(changes(turn.metrics, plain(metricTree(same.metrics))), [], run);
      t.is(same.outcome, turn.verdict as never);
      t.is(same.failure?.kind, turn.failure?.kind);
      t.deepEqual(
        same.sentences.map(({ sentence, text }) => ({ sentence, text })),
        turn.sentences as never,
      );
      if (same.outcome === 'failed') t.is(turn.audible_at_speaker_ms, null);
      else t.is(same.audibleAtSpeakerUs! / 1000, turn.audible_at_speaker_ms!);
      const gaps = now.underruns
        .flatMap(({ underruns }) => underruns)
        .filter((gap) => gap.turn === turn.turn)
        .map(({ position, durationUs }) => ({ position, durationMs: durationUs / 1000 }));
      t.deepEqual(
        gaps,
        turn.underruns.map(({ position, durationMs }) => ({ position, durationMs })),
      );
    }
  }
  t.true(values > 400, `${values} values`);
  const all = runs.flatMap((run) => oldCell(run).cell.turns);
  t.true(all.some(({ underruns }) => underruns.length > 0));
  t.deepEqual([...new Set(all.map(({ verdict }) => verdict))].sort(), [
    'failed',
    'interrupted',
    'ok',
  ]);
  t.true(all.some(({ failure }) => failure?.kind === 'reboot'));
});

test('recordings of the first version fit the schemas of today', (t) => {
  for (const run of runs) t.notThrows(() => checkRecordingFormat(oldCell(run).path));
});

test('a line with a field that is missing, misspelled, of another kind or too many does not fit', (t) => {
  const examples = new Map<string, Record<string, unknown>>();
  for (const run of runs) {
    const text = readFileSync(join(oldCell(run).path, 'trace.jsonl'), 'utf8');
    for (const line of text.trimEnd().split('\n')) {
      const record = JSON.parse(line) as Record<string, unknown>;
      examples.set(`${record['source']} ${record['type']}`, record);
    }
  }
  t.true(examples.size > 45, `${examples.size} kinds of lines`);
  const optional = new Set(
    [
      'sentence samples disposition contentType requestId status providerCode failure message detail final level',
    ].flatMap((names) => names.split(' ')),
  );
  for (const [name, record] of examples) {
    t.is(formatProblem('trace', record), undefined, name);
    t.not(formatProblem('trace', { ...record, surplus: 1 }), undefined, name);
    for (const [field, value] of Object.entries(record)) {
      const { [field]: taken, ...without } = record;
      t.not(
        formatProblem('trace', { ...without, [`${field}x`]: taken }),
        undefined,
        `${name} ${field}x`,
      );
      t.not(
        formatProblem('trace', { ...record, [field]: null }),
        undefined,
        `${name} ${field} null`,
      );
      const other = typeof value === 'number' ? `${value}` : 7.5;
      t.not(formatProblem('trace', { ...record, [field]: other }), undefined, `${name} ${field}`);
      if (!optional.has(field)) {
        t.not(formatProblem('trace', without), undefined, `${name} without ${field}`);
      }
    }
  }
  t.not(
    formatProblem('trace', { seq: 1, source: 'device', type: 'turnStart', atUs: 0 }),
    undefined,
  );
  t.regex(
    formatProblem('trace', { seq: 1.5, source: 'device', type: 'setup', atUs: 0 })!,
    /\/seq must be integer/,
  );
});

// An older format made up for the purpose: version 1 had milliseconds, version 2 called the source `board`.
const toTwo: UpgradeStep = ({ header, events }) => ({
  header,
  events: events.map(({ atMs, ...event }) => ({ ...event, atUs: (atMs as number) * 1000 })),
});
const toThree: UpgradeStep = ({ header, events }) => ({
  header: { ...header, time: 'virtual' },
  events: events.map((event) => ({ ...event, source: 'device' })),
});
const steps: UpgradeSteps<3> = { 1: toTwo, 2: toThree };
/** What a table of steps has to hold is the compiler's business. */
function stepsOf<Version extends number>(table: UpgradeSteps<Version>): object {
  return table;
}

function trace(formatVersion: number, event: Record<string, unknown>): WrittenTrace {
  return { header: { type: 'header', formatVersion }, events: [event] };
}

test('an older trace goes through every step from its version on, once, in order', (t) => {
  const wanted = {
    header: { type: 'header', formatVersion: 3, time: 'virtual' },
    events: [{ seq: 1, source: 'device', atUs: 2000 }],
  };
  const first = trace(1, { seq: 1, source: 'board', atMs: 2 });
  const before = structuredClone(first);
  t.deepEqual(upgradeTrace(first, steps, 3), wanted as never);
  t.deepEqual(first, before, 'nothing of the old trace was changed');
  t.deepEqual(
    upgradeTrace(trace(2, { seq: 1, source: 'board', atUs: 2000 }), steps, 3),
    wanted as never,
  );
  const current = trace(3, { seq: 1, source: 'device', atUs: 2000 });
  t.is(upgradeTrace(current, steps, 3), current);
});

test('a table of steps that misses one does not compile', (t) => {
  // @ts-expect-error The step from version 2 is missing.
  stepsOf<3>({ 1: toTwo });
  t.deepEqual(Object.keys(stepsOf<3>({ 1: toTwo, 2: toThree })), ['1', '2']);
});

test('there is no way from a version of the future, and none from what is no version', (t) => {
  for (const version of [4, 99, 0, -1, 1.5, Number.NaN, '1' as never, undefined as never]) {
    t.is(upgradeTrace(trace(version, {}), steps, 3), undefined, `${version}`);
  }
});

test('the reader upgrades: there is a step for every version before today’s', (t) => {
  t.deepEqual(
    Object.keys(upgradeSteps).map(Number),
    Array.from({ length: traceFormatVersion - 1 }, (_, index) => index + 1),
  );
  const text = readFileSync(join(oldCell('slow').path, 'trace.jsonl'), 'utf8');
  t.is(
    parseTrace(Buffer.from(text), 'trace.jsonl', false).header.formatVersion,
    traceFormatVersion,
  );
});
