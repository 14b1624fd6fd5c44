/** The run as JUnit XML, in the shape that Jenkins, GitLab, Azure and the readers of GitHub Actions share. */

import { numberAt } from './cell-comparison.ts';
import { failedCell, placeOfCell } from './cell-failure.ts';
import { titleInScenario } from './cell-groups.ts';
import { flakyWords, noOtherTryLines, tryLines } from './flaky-report.ts';
import type { CellReport, NotRunReport, ReportedRun, TryReport } from './run-report.ts';
import { clipText } from './terminal-text.ts';
import { xmlAttributes, xmlText } from './xml-text.ts';

/** What readers show beside a name; the whole stands in the body. */
const messageCharacters = 500;

/** Numbers that stand as properties of a test case. */
const properties = [
  'audible_at_speaker_ms.p50',
  'audible_at_speaker_ms.p95',
  'ttfb_ms.p50',
  'ttfa_ms.p50',
  'underruns.count',
  'underruns.total_ms',
  'seam_ms.p50',
  'prebuffer_needed_ms.max',
  'audio_seconds.played',
  'loudness_lufs',
] as const;

interface Counts {
  tests: number;
  failures: number;
  errors: number;
  skipped: number;
  durationMs: number;
}

/**
 * A suite for each scenario, a case for each cell, in pieces. A verdict `fail` is a failure and `infra` an error, since
 * nothing can be said of the product then; cells that were not run are skipped. Times are those of the
 * conversations, in seconds. Cells of a scenario that do not follow each other make several suites of one name. Tries that could
 * not be judged stand in the elements of Maven Surefire: `flakyError` where a later one passed, else `rerunError`.
 */
export function* junitReport(report: ReportedRun): Iterable<string> {
  const suites = countSuites(report);
  const all = total(suites.map(({ counts }) => counts));
  yield '<?xml version="1.0" encoding="UTF-8"?>\n';
  yield `<testsuites${xmlAttributes({ name: 'echokit-harness', ...attributesOf(all) })}>\n`;
  const cells = report.cells[Symbol.iterator]();
  for (const { scenario, counts, cells: count, notRun } of suites) {
    yield `  <testsuite${xmlAttributes({
      name: scenario,
      ...attributesOf(counts),
      skipped: counts.skipped,
      timestamp: report.run.startedAt?.replace(/\.\d+Z?$|Z$/, ''),
    })}>\n`;
    yield* runProperties(report);
    for (let i = 0; i < count; i++) {
      yield* testCase(cells.next().value as CellReport, report.run.time);
    }
    for (const cell of notRun) yield* skippedCase(cell);
    yield '  </testsuite>\n';
  }
  yield '</testsuites>\n';
}

interface Suite {
  readonly scenario: string;
  readonly counts: Counts;
  readonly notRun: NotRunReport[];
  cells: number;
}

function countSuites({ cells, notRun }: ReportedRun): Suite[] {
  const suites: Suite[] = [];
  const open = (scenario: string): Suite => {
    const counts = { tests: 0, failures: 0, errors: 0, skipped: 0, durationMs: 0 };
    const suite = { scenario, counts, notRun: [], cells: 0 };
    suites.push(suite);
    return suite;
  };
  for (const { scenario, verdict, durationMs } of cells) {
    const last = suites.at(-1);
    const suite = last?.scenario === scenario ? last : open(scenario);
    suite.cells++;
    suite.counts.tests++;
    suite.counts.durationMs += durationMs;
    if (verdict === 'fail') suite.counts.failures++;
    if (verdict === 'infra') suite.counts.errors++;
  }
  for (const cell of notRun) {
    const suite =
      suites.findLast(({ scenario }) => scenario === cell.scenario) ?? open(cell.scenario);
    suite.notRun.push(cell);
    suite.counts.tests++;
    suite.counts.skipped++;
  }
  return suites;
}

function total(all: readonly Counts[]): Counts {
  const sum = (part: (counts: Counts) => number) =>
    all.reduce((before, counts) => before + part(counts), 0);
  return {
    tests: sum(({ tests }) => tests),
    failures: sum(({ failures }) => failures),
    errors: sum(({ errors }) => errors),
    skipped: sum(({ skipped }) => skipped),
    durationMs: sum(({ durationMs }) => durationMs),
  };
}

function attributesOf({ tests, failures, errors, durationMs }: Counts) {
  return { tests, failures, errors, time: seconds(durationMs) };
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}

function* runProperties({ run, environment }: ReportedRun): Iterable<string> {
  const facts = {
    run: run.id,
    seed: run.seed,
    time: run.time,
    live: run.live,
    ...(run.replay !== undefined && { replay: run.replay }),
    ...environment,
  };
  yield '    <properties>\n';
  for (const [name, value] of Object.entries(facts)) {
    if (value === null) continue;
    yield `      <property${xmlAttributes({ name, value: String(value) })}/>\n`;
  }
  yield '    </properties>\n';
}

function* testCase(cell: CellReport, time: ReportedRun['run']['time']): Iterable<string> {
  const { scenario, verdict, durationMs } = cell;
  const failed = verdict === 'pass' ? undefined : failedCell(cell);
  const place = placeOfCell(cell);
  yield `    <testcase${xmlAttributes({
    classname: scenario,
    name: titleInScenario(cell),
    time: seconds(durationMs),
    file: place.file,
    line: place.line,
  })}>\n`;
  yield '      <properties>\n';
  for (const [name, value] of Object.entries(factsOf(cell))) {
    yield `        <property${xmlAttributes({ name, value })}/>\n`;
  }
  yield '      </properties>\n';
  if (verdict !== 'pass') {
    const items = failed?.items ?? [`the verdict is ${verdict}`];
    const more = items.length > 1 ? ` (and ${items.length - 1} more)` : '';
    const element = verdict === 'fail' ? 'failure' : 'error';
    const type = cell.failure?.code ?? (verdict === 'fail' ? 'expectation' : 'infra');
    const message = clipText(items[0]!, messageCharacters) + more;
    yield `      <${element}${xmlAttributes({ type, message })}>${lines(items)}</${element}>\n`;
  }
  for (const one of cell.earlierTries ?? []) {
    yield* earlierTry(verdict === 'pass' ? 'flakyError' : 'rerunError', one);
  }
  yield `      <system-out>${lines(evidenceOf(cell, time))}</system-out>\n`;
  yield '    </testcase>\n';
}

function* earlierTry(
  element: 'flakyError' | 'rerunError',
  { failures, recording }: TryReport,
): Iterable<string> {
  const counted = failures.filter(({ expected }) => !expected);
  const items = [
    ...counted.map(({ class: kind, message }) => `${kind}: ${message}`),
    `recording: ${recording}`,
  ];
  const attributes = {
    type: counted[0]?.code ?? 'infra',
    message: clipText(items[0]!, messageCharacters),
  };
  yield `      <${element}${xmlAttributes(attributes)}><stackTrace>${lines(items)}</stackTrace></${element}>\n`;
}

function* skippedCase(cell: NotRunReport): Iterable<string> {
  const { scenario, reason } = cell;
  yield `    <testcase${xmlAttributes({ classname: scenario, name: titleInScenario(cell), time: seconds(0) })}>\n`;
  yield `      <skipped${xmlAttributes({ message: reason })}/>\n`;
  yield '    </testcase>\n';
}

function factsOf(cell: CellReport): Readonly<Record<string, string>> {
  const { provider, device, network, server, host, seed, title, recording, metrics } = cell;
  const { earlierTries, flaky } = cell;
  const numbers = properties.flatMap((path) => {
    const value = numberAt(metrics, path);
    return value === null ? [] : [[path, String(value)] as const];
  });
  return {
    title,
    provider,
    device,
    network,
    server,
    ...(host !== null && { host }),
    seed: String(seed),
    recording,
    ...(earlierTries !== undefined && { tries: String(earlierTries.length + 1) }),
    ...(flaky !== undefined && { flaky: flaky.kind }),
    ...Object.fromEntries(numbers),
  };
}

/** Everything that was judged, with what it rests on. */
function evidenceOf(cell: CellReport, time: ReportedRun['run']['time']): string[] {
  const { title, expectations, failures, turns, recording, flaky } = cell;
  return [
    `title: ${title}`,
    ...(flaky === undefined ? [] : [`flaky: ${flakyWords(flaky, time)}`]),
    ...tryLines(cell),
    ...noOtherTryLines(cell),
    ...turns.map(({ turn, verdict, failure, audible_at_speaker_ms: heard }) => {
      const after = heard === null ? '' : `, heard after ${Math.round(heard)} ms`;
      return `turn ${turn}: ${verdict}${failure === undefined ? after : `, ${failure.kind}: ${failure.message}`}`;
    }),
    ...failures.map(
      ({ class: kind, message, expected }) => `${expected ? 'expected ' : ''}${kind}: ${message}`,
    ),
    ...expectations.map(
      ({ outcome, evidence, at }) => `${outcome}: ${evidence} — ${at.file}:${at.line}`,
    ),
    `recording: ${recording}`,
  ];
}

function lines(items: readonly string[]): string {
  return items.map(xmlText).join('\n');
}
