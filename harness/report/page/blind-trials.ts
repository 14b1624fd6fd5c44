/** Which pairs are heard blind, in which order. */
import { createRandom } from '../../random/random.ts';
import type { PageCell } from './page-data.ts';

export interface BlindTrial {
  /** Indices of cells of the same scenario, board and network. */
  readonly a: number;
  readonly b: number;
}

/** At most so many: nobody listens to more. */
export const mostTrials = 20;

/** Pairs of providers that held the same conversation; order and sides are drawn from the seed. */
export function blindTrials(cells: readonly PageCell[], seed: number): BlindTrial[] {
  const random = createRandom(seed, 'blind-listening');
  const groups = new Map<string, number[]>();
  for (const [i, { scenario, board, network, row, values }] of cells.entries()) {
    // Of what was not heard there is nothing to hear.
    if ((values['audible_at_speaker_ms'] ?? []).length === 0) continue;
    const key = JSON.stringify([scenario, board, network]);
    const group = groups.get(key) ?? [];
    // One who held it several times is heard once.
    if (group.some((other) => cells[other]!.row === row)) continue;
    groups.set(key, [...group, i]);
  }
  const shuffle = <Item>(items: readonly Item[]): Item[] => {
    const left = [...items];
    return items.map(() => left.splice(random.integer(0, left.length - 1), 1)[0]!);
  };
  const pairs: BlindTrial[] = [];
  // Every conversation once around: each one against the next, so that all are heard equally often.
  for (const group of shuffle([...groups.values()].filter(({ length }) => length > 1))) {
    const order = shuffle(group);
    const rounds = order.length === 2 ? 1 : order.length;
    for (let i = 0; i < rounds; i++) {
      const [a, b] = [order[i]!, order[(i + 1) % order.length]!];
      pairs.push(random.next() < 0.5 ? { a, b } : { a: b, b: a });
    }
    if (pairs.length >= 4 * mostTrials) break;
  }
  return shuffle(pairs).slice(0, mostTrials);
}
