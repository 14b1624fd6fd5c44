/** What a run says in a few sentences: who speaks first, who stutters, and whose fault that was. */
import { type Comparison, compareCells } from '../cell-comparison.ts';
import { groupBy } from '../cell-groups.ts';
import { addStutters } from './fault-words.ts';
import type { PageCell, Stutter } from './page-data.ts';

export interface ProviderAnswer {
  /** The name of its row. */
  readonly row: string;
  readonly conversations: number;
  readonly turns: { readonly answered: number; readonly failed: number };
  /** The median over the conversations that all of them held; null: it was not heard in them. */
  readonly heardMs: number | null;
  /** Answers that it rests on. */
  readonly n: number;
  /** Why it has no place in the order; null: it has one. */
  readonly unranked: string | null;
  /** Of all its conversations; null: nothing was played. */
  readonly stutter: readonly Stutter[] | null;
}

export interface RunAnswers {
  /** Who is heard first comes first; those without a place are last. */
  readonly providers: readonly ProviderAnswer[];
  /** Conversations that everybody held, of each one, and so are compared. */
  readonly compared: number;
  /** Some held others as well. */
  readonly partly: boolean;
}

/** Of a provider that answers less, it is not said how fast it is. */
const leastAnswered = 0.9;

export function runAnswers(cells: readonly PageCell[]): RunAnswers {
  const byRow = groupBy(cells, ({ row }) => row);
  // Where the run itself failed, nothing can be said about a provider.
  const judged = (group: readonly PageCell[]) => group.filter(({ verdict }) => verdict !== 'infra');
  const conditions = [...byRow.values()]
    .map(judged)
    .filter(({ length }) => length > 0)
    .map((group) => new Set(group.map(conditionOf)));
  const [first = new Set<string>(), ...others] = conditions;
  const common = new Set([...first].filter((one) => others.every((other) => other.has(one))));
  const providers = [...byRow].map(([row, group]): ProviderAnswer => {
    const compared = judged(group).filter((cell) => common.has(conditionOf(cell)));
    const { turnsAnswered, turnsFailed } = compareCells(judged(group));
    const { underrunCount } = compareCells(group);
    const { audibleP50Ms } = compareCells(compared);
    const values = compared.flatMap((cell) => cell.values['audible_at_speaker_ms'] ?? []);
    return {
      row,
      conversations: group.length,
      turns: { answered: turnsAnswered, failed: turnsFailed },
      heardMs: audibleP50Ms,
      n: values.length,
      unranked:
        judged(group).length === 0
          ? 'its conversations could not be judged'
          : unranked(compareCells(compared), compared.length),
      stutter: underrunCount === null ? null : addStutters(group.flatMap((cell) => cell.stutter)),
    };
  });
  providers.sort(
    (a, b) =>
      Number(a.unranked !== null) - Number(b.unranked !== null) ||
      (a.heardMs ?? Number.POSITIVE_INFINITY) - (b.heardMs ?? Number.POSITIVE_INFINITY),
  );
  return {
    providers,
    compared: common.size,
    partly: conditions.some(({ size }) => size !== common.size),
  };
}

function conditionOf({ scenario, board, network }: PageCell): string {
  return JSON.stringify([scenario, board, network]);
}

function unranked(
  { turnsAnswered, turnsFailed, audibleP50Ms }: Comparison,
  compared: number,
): string | null {
  if (compared === 0) return 'it held none of the conversations that the others held';
  const turns = turnsAnswered + turnsFailed;
  if (turns > 0 && turnsAnswered < leastAnswered * turns) {
    return `${turnsFailed} of ${turns} turns failed`;
  }
  return audibleP50Ms === null ? 'no answer was heard' : null;
}
