/** The document itself as text: `report.json` of a run, `--json`, `--output json=…`. */
import { jsonWithList } from './json-text.ts';
import type { ReportedRun } from './run-report.ts';

/** In pieces, one for each cell; members stand in the order in which the report has them. */
export function jsonReport(report: ReportedRun): Iterable<string> {
  const members = Object.entries(report);
  const place = members.findIndex(([name]) => name === 'cells');
  const before = Object.fromEntries(members.slice(0, place));
  const after = Object.fromEntries(members.slice(place + 1));
  return jsonWithList(before, 'cells', report.cells, after);
}
