/** What must be the same for a difference to mean anything, and is not. */
import {
  type ComparableConversation,
  type ComparableRun,
  type ConditionName,
  cellKey,
  conditionNames,
  grouped,
} from './comparable-run.ts';
import { ComparisonError } from './comparison-error.ts';

export interface ConditionDifference {
  readonly what: ConditionName;
  /** Cells in which it is so, as `scenario · provider · board · network · server`; empty: all of them. */
  readonly cells: readonly string[];
  /** What one conversation has and the other has not, as far as it can be said. */
  readonly a: string;
  readonly b: string;
  /** Within one side, whose runs are then not of one kind. Absent: between the sides. */
  readonly within?: 'a' | 'b';
}

/** What each condition is called, for a person. */
export const conditionWords: Readonly<Record<ConditionName, string>> = {
  method: 'how it was measured',
  scenario: 'the scenario file or its sounds',
  texts: 'the words that were spoken',
  place: 'where it was measured',
  time: 'the kind of time',
  source: 'who spoke',
  provider: 'the configuration of the provider',
  personality: 'the personality of the stand-in',
  board: 'the board',
  network: 'the network',
};

/** Between the sides, and within each of them, in the order of {@link conditionNames}. */
export function conditionDifferences(a: ComparableRun, b: ComparableRun): ConditionDifference[] {
  const sides = { a: byCell(a), b: byCell(b) };
  const common = [...sides.a.keys()].filter((cell) => sides.b.has(cell));
  const method =
    a.metricsVersion === b.metricsVersion
      ? []
      : [
          {
            what: 'method' as const,
            cells: [],
            a: `version ${a.metricsVersion} of the metrics`,
            b: `version ${b.metricsVersion} of the metrics`,
          },
        ];
  const found = conditionNames.flatMap((what): ConditionDifference[] => {
    const apart = common.flatMap((cell) => {
      const pair = firstDifference(sides.a.get(cell)!, sides.b.get(cell)!, what);
      return pair === null ? [] : [{ cell, pair }];
    });
    const between = apart.length === 0 ? [] : [told(what, apart, common.length)];
    const inside = (['a', 'b'] as const).flatMap((within) => {
      const mixed = common.flatMap((cell) => {
        const all = sides[within].get(cell)!;
        const pair = firstDifference(all, all, what);
        return pair === null ? [] : [{ cell, pair }];
      });
      return mixed.length === 0 ? [] : [{ ...told(what, mixed, common.length), within }];
    });
    return [...between, ...inside];
  });
  return [...method, ...found];
}

type Pair = readonly [string, string];

function told(
  what: ConditionName,
  found: readonly { readonly cell: string; readonly pair: Pair }[],
  of: number,
): ConditionDifference {
  const [{ pair }] = found as [(typeof found)[number]];
  const cells = found.length === of ? [] : found.map(({ cell }) => cell);
  return { what, cells, a: pair[0], b: pair[1] };
}

function firstDifference(
  a: readonly ComparableConversation[],
  b: readonly ComparableConversation[],
  what: ConditionName,
): Pair | null {
  const known = (all: readonly ComparableConversation[]): string[] => [
    ...new Set(all.flatMap(({ conditions }) => conditions[what] ?? [])),
  ];
  const [ofA, ofB] = [known(a), known(b)];
  for (const one of ofA) {
    const other = ofB.find((value) => value !== one);
    if (other !== undefined) return [one, other];
  }
  return null;
}

function byCell({ conversations }: ComparableRun): Map<string, ComparableConversation[]> {
  // What could not be judged need not have spoken its words.
  return grouped(
    conversations.filter(({ verdict }) => verdict !== 'infra'),
    cellKey,
  );
}

/** @throws {ComparisonError} `COMPARISON_DIFFERENT` with everything that nobody has allowed */
export function checkDifferences(
  differences: readonly ConditionDifference[],
  allowed: ReadonlySet<ConditionName>,
): void {
  const refused = differences.filter(({ what }) => !allowed.has(what));
  if (refused.length === 0) return;
  const names = [...new Set(refused.map(({ what }) => what))];
  throw new ComparisonError(
    'COMPARISON_DIFFERENT',
    [
      'These cannot be compared as they are, because more than the program differs:',
      ...refused.map((one) => `  ${differenceText(one)}`),
    ].join('\n'),
    `measure both sides in the same way, or compare them in spite of it: --allow-different ${names.join(',')}`,
  );
}

export function differenceText({ what, a, b, cells, within }: ConditionDifference): string {
  const where =
    cells.length === 0
      ? ''
      : ` in ${cells.slice(0, 3).join('; ')}${cells.length > 3 ? ` and ${cells.length - 3} more` : ''}`;
  const who = within === undefined ? `${a} / ${b}` : `within ${within.toUpperCase()}: ${a}, ${b}`;
  return `${what}: ${conditionWords[what]} (${who})${where}`;
}
