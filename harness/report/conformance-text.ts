/** Conformance results for a person at a terminal: one line for a family, evidence for what failed. */
import picocolors from 'picocolors';
import type { CaseResult, CaseStatus, EvidenceLine } from '../conformance/conformance-case.ts';
import { type ConformanceReport, condense, countsOf } from '../conformance/conformance-report.ts';
import { clipDisplay, neutralize, padDisplay } from './terminal-text.ts';
import { wrapText } from './text-table.ts';

export interface ConformanceTextSettings {
  readonly color: boolean;
  readonly width: number;
}

/** Lines of evidence that are shown; the JSON document has all of them. */
const shownEvidenceLines = 14;

const familyColumns = 14;

/** One family, its failures with evidence; without a line feed at the end. */
export function renderFamily(
  family: string,
  results: readonly CaseResult[],
  { color, width }: ConformanceTextSettings,
): string {
  const colors = picocolors.createColors(color);
  const counts = countsOf(results);
  const paint: Record<CaseStatus, (text: string) => string> = {
    pass: colors.green,
    fail: colors.red,
    unsupported: colors.yellow,
    skipped: colors.dim,
  };
  const shown = (['pass', 'fail', 'unsupported', 'skipped'] as const)
    .filter((status) => counts[status] > 0)
    .map((status) => paint[status](`${counts[status]} ${word(status)}`));
  const lines = [`${padDisplay(neutralize(family), familyColumns)} ${shown.join(', ')}`];
  for (const [status, group] of reasonsOf(results)) {
    for (const [detail, cases] of group) {
      const names = cases.map(({ id }) => id.slice(family.length + 1)).join(', ');
      lines.push(...paragraph(`${status}: ${names}`, width, '  ').map(paint[status]));
      lines.push(...paragraph(detail, width, '    '));
    }
  }
  for (const result of results.filter(({ status }) => status === 'fail')) {
    lines.push(...failure(result, width, colors));
  }
  return lines.join('\n');
}

/** The last lines: counts, and what to do next. */
export function renderConformanceSummary(
  { suite, target, counts, complete, cases }: ConformanceReport,
  { color, width }: ConformanceTextSettings,
): string {
  const colors = picocolors.createColors(color);
  const { pass, fail, unsupported, skipped } = counts;
  const what = `${cases.length} ${cases.length === 1 ? 'case' : 'cases'} against ${neutralize(target)}`;
  const parts = [
    colors.green(`${pass} passed`),
    ...(fail > 0 ? [colors.red(`${fail} failed`)] : []),
    ...(unsupported > 0 ? [colors.yellow(`${unsupported} unsupported`)] : []),
    ...(skipped > 0 ? [colors.dim(`${skipped} skipped`)] : []),
  ];
  const failed = cases.filter(({ status }) => status === 'fail');
  const lines = ['', `${colors.bold(what)}: ${parts.join(', ')}`];
  if (!complete) lines.push('Stopped before the last case.');
  if (failed.length > 0) {
    const ids = failed.slice(0, 3).map(({ id }) => id);
    lines.push(
      ...paragraph(
        `Again, with everything that was sent and came: conform ${suite} … --only ${ids.join(',')} --json. ` +
          'The clauses are in firmware-protocol/README.md.',
        width,
        '',
      ),
    );
  }
  return lines.join('\n');
}

function word(status: CaseStatus): string {
  return status === 'pass' ? 'passed' : status === 'fail' ? 'failed' : status;
}

/** What is unsupported or skipped, cases with the same reason together. */
function reasonsOf(
  results: readonly CaseResult[],
): [CaseStatus, ReadonlyMap<string, CaseResult[]>][] {
  return (['unsupported', 'skipped'] as const).map((status) => {
    const reasons = new Map<string, CaseResult[]>();
    for (const result of results.filter((each) => each.status === status)) {
      reasons.set(result.detail, [...(reasons.get(result.detail) ?? []), result]);
    }
    return [status, reasons];
  });
}

function failure(
  { id, title, clause, detail, evidence }: CaseResult,
  width: number,
  colors: ReturnType<typeof picocolors.createColors>,
): string[] {
  const lines = condense(evidence);
  const cut = Math.max(0, lines.length - shownEvidenceLines);
  const startUs = lines[0]?.atUs ?? 0;
  return [
    '',
    ...paragraph(`FAIL ${id}  ${clause}`, width, '  ').map(colors.red),
    ...paragraph(title, width, '    '),
    ...paragraph(detail, width, '    ').map((line) => colors.bold(line)),
    ...(cut > 0 ? [colors.dim(`    … ${cut} lines before …`)] : []),
    ...lines.slice(cut).map((line) => colors.dim(clipDisplay(evidenceText(line, startUs), width))),
  ];
}

function evidenceText(
  { atUs, connection, direction, text }: EvidenceLine,
  startUs: number,
): string {
  const arrow = direction === 'sent' ? '→' : direction === 'received' ? '←' : '·';
  const at = ((atUs - startUs) / 1_000_000).toFixed(3).padStart(9);
  return `    ${at} s  ${connection} ${arrow} ${neutralize(text)}`;
}

function paragraph(text: string, width: number, indent: string): string[] {
  return wrapText(neutralize(text), width, [indent, indent]);
}
