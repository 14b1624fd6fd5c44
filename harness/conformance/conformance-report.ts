import {
  type CaseResult,
  type CaseStatus,
  type EvidenceLine,
  familyOf,
} from './conformance-case.ts';

export const conformanceSchemaVersion = 1;

/** The JSON document of a conformance run. */
export interface ConformanceReport {
  readonly schemaVersion: typeof conformanceSchemaVersion;
  readonly suite: 'server' | 'device';
  /** What was tested: a URL, or the profile of a board. */
  readonly target: string;
  /** False when it was stopped before the last case. */
  readonly complete: boolean;
  readonly counts: Readonly<Record<CaseStatus, number>>;
  readonly cases: readonly CaseResult[];
}

export function buildConformanceReport(
  suite: ConformanceReport['suite'],
  target: string,
  planned: number,
  results: readonly CaseResult[],
): ConformanceReport {
  return {
    schemaVersion: conformanceSchemaVersion,
    suite,
    target,
    complete: results.length === planned,
    counts: countsOf(results),
    cases: results.map((result) => ({ ...result, evidence: condense(result.evidence) })),
  };
}

export function countsOf(results: readonly CaseResult[]): Record<CaseStatus, number> {
  const counts: Record<CaseStatus, number> = { pass: 0, fail: 0, unsupported: 0, skipped: 0 };
  for (const { status } of results) counts[status] += 1;
  return counts;
}

/** Results by family, in the order in which families began. */
export function familiesOf(results: readonly CaseResult[]): ReadonlyMap<string, CaseResult[]> {
  const families = new Map<string, CaseResult[]>();
  for (const result of results) {
    const family = familyOf(result);
    families.set(family, [...(families.get(family) ?? []), result]);
  }
  return families;
}

/**
 * Of a run of messages of one kind on one connection the first and the last stay, with the count of what is
 * left out between them.
 */
export function condense(lines: readonly EvidenceLine[]): EvidenceLine[] {
  const out: EvidenceLine[] = [];
  for (let at = 0; at < lines.length; ) {
    const first = lines[at]!;
    let end = at + 1;
    while (end < lines.length && alike(lines[end]!, first)) end++;
    if (end - at <= 3) out.push(...lines.slice(at, end));
    else {
      const last = lines[end - 1]!;
      const remark = { atUs: last.atUs, connection: first.connection, direction: first.direction };
      out.push(first, { ...remark, text: `… ${end - at - 2} more of these …` }, last);
    }
    at = end;
  }
  return out;
}

function alike(a: EvidenceLine, b: EvidenceLine): boolean {
  return (
    a.connection === b.connection &&
    a.direction === b.direction &&
    kindOf(a) !== '' &&
    kindOf(a) === kindOf(b)
  );
}

/** Only messages with audio come in runs. */
function kindOf({ text }: EvidenceLine): string {
  return /^(AudioChunkWithVowel|AudioChunk|HelloChunk|audio|binary),? /.exec(text)?.[1] ?? '';
}
