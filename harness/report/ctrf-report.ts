/** The run as Common Test Report Format, https://ctrf.io, specification 0.0.0. */
import { numberAt } from './cell-comparison.ts';
import { failedCell, placeOfCell } from './cell-failure.ts';
import { titleInScenario } from './cell-groups.ts';
import { jsonText } from './json-text.ts';
import type { CellReport, NotRunReport, ReportedRun, TryReport } from './run-report.ts';
import { neutralize } from './terminal-text.ts';

const statuses = { pass: 'passed', fail: 'failed', infra: 'other' } as const;

/**
 * A test for each cell, in pieces. `infra` is `other`: nothing failed, and nothing passed. Durations are those of the
 * conversations; start and stop of the run are those of the wall clock, 0 where it is not known.
 */
export function* ctrfReport(report: ReportedRun): Iterable<string> {
  const { run, cells, notRun, environment } = report;
  const counts = { passed: 0, failed: 0, skipped: notRun.length, pending: 0, other: 0 };
  const scenarios = new Set(notRun.map(({ scenario }) => scenario));
  let durationMs = 0;
  let flaky = 0;
  for (const cell of cells) {
    if (cell.flaky !== undefined) flaky++;
    counts[statuses[cell.verdict]]++;
    durationMs += cell.durationMs;
    scenarios.add(cell.scenario);
  }
  const { passed, failed, skipped, pending, other } = counts;
  const start = run.startedAt === undefined ? 0 : epochMs(run.startedAt);
  const version = environment['version'];
  const head = {
    reportFormat: 'CTRF',
    specVersion: '0.0.0',
    ...(run.startedAt !== undefined && { timestamp: run.startedAt }),
    generatedBy: 'echokit-harness',
  };
  const tool = {
    name: 'echokit-harness',
    ...(typeof version === 'string' && { version }),
  };
  const summary = {
    tests: passed + failed + skipped + pending + other,
    passed,
    failed,
    skipped,
    pending,
    other,
    flaky,
    suites: scenarios.size,
    start,
    stop: start + Math.round(run.durationMs ?? 0),
    duration: Math.round(durationMs),
  };
  const facts = {
    environment: { reportName: run.id, extra: { ...environment } },
    extra: { seed: run.seed, time: run.time, live: run.live },
  };
  const parts = Object.entries(head).map(
    ([name, value]) => `${jsonText(name)}: ${jsonText(value)}`,
  );
  yield `{\n  ${parts.join(',\n  ')},\n  "results": {\n`;
  yield `  "tool": ${jsonText(tool, 0)},\n  "summary": ${jsonText(summary, 0)},\n  "tests": [`;
  let count = 0;
  for (const cell of cells) yield `${count++ === 0 ? '' : ','}\n    ${jsonText(testOf(cell), 0)}`;
  for (const cell of notRun) {
    yield `${count++ === 0 ? '' : ','}\n    ${jsonText(skippedTest(cell), 0)}`;
  }
  yield `\n  ],\n  "environment": ${jsonText(facts.environment, 0)},\n  "extra": ${jsonText(facts.extra, 0)}\n  }\n}\n`;
}

function testOf(cell: CellReport): object {
  const { scenario, title, provider, device, network, server, host, verdict, metrics } = cell;
  const failed = verdict === 'pass' ? undefined : failedCell(cell);
  const place = placeOfCell(cell);
  const { earlierTries, flaky } = cell;
  return {
    name: neutralize(titleInScenario(cell)),
    status: statuses[verdict],
    duration: Math.round(cell.durationMs),
    suite: [neutralize(scenario)],
    ...(failed !== undefined && {
      message: neutralize(failed.items[0]!),
      trace: failed.items.map(neutralize).join('\n'),
    }),
    rawStatus: verdict,
    type: 'conversation',
    filePath: neutralize(place.file),
    ...(place.line !== undefined && { line: place.line }),
    device: neutralize(device),
    ...(earlierTries !== undefined && {
      retries: earlierTries.length,
      retryAttempts: earlierTries.map(attemptOf),
    }),
    ...(flaky !== undefined && { flaky: true }),
    parameters: {
      provider,
      device,
      network,
      server,
      seed: cell.seed,
      ...(host !== null && { host }),
    },
    extra: {
      title,
      recording: cell.recording,
      audible_at_speaker_ms_p50: numberAt(metrics, 'audible_at_speaker_ms.p50'),
      ttfa_ms_p50: numberAt(metrics, 'ttfa_ms.p50'),
      underruns: numberAt(metrics, 'underruns.count'),
      underruns_total_ms: numberAt(metrics, 'underruns.total_ms'),
      ...(flaky !== undefined && { flaky }),
    },
  };
}

function attemptOf({ verdict, failures, durationMs, recording }: TryReport, i: number): object {
  const messages = failures
    .filter(({ expected }) => !expected)
    .map(({ code, message }) => neutralize(`${code}: ${message}`));
  return {
    attempt: i + 1,
    status: statuses[verdict],
    duration: Math.round(durationMs),
    ...(messages.length > 0 && { message: messages[0], trace: messages.join('\n') }),
    extra: { recording },
  };
}

function skippedTest(cell: NotRunReport): object {
  return {
    name: neutralize(titleInScenario(cell)),
    status: 'skipped',
    duration: 0,
    suite: [neutralize(cell.scenario)],
    message: neutralize(cell.reason),
    rawStatus: 'not run',
    type: 'conversation',
  };
}

/** Of an instant in UTC as `startedAt` has it. Days are counted as in the Gregorian calendar, from March on. */
export function epochMs(iso: string): number {
  const found = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,3}))?/.exec(iso);
  if (found === null) return 0;
  const [year, month, day, hours, minutes, seconds] = found.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const ms = Number((found[7] ?? '0').padEnd(3, '0'));
  const shifted = month <= 2 ? year - 1 : year;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const leapDays = Math.floor(shifted / 4) - Math.floor(shifted / 100) + Math.floor(shifted / 400);
  const days = shifted * 365 + leapDays + dayOfYear - 719_468;
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + ms;
}
