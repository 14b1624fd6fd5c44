/**
 * Conversations that do not come out the same when they are held again with the same inputs. A flaky one is neither passed nor
 * failed by it: what each of its repetitions came to stays, and this says that they differ.
 */

/** A conversation that was held, perhaps in several tries. */
export interface HeldConversation {
  /** Equal for those that were held with the same inputs, draws aside. */
  readonly inputs: string;
  /** Of its draws. */
  readonly seed: number;
  readonly verdict: 'pass' | 'fail' | 'infra';
  /** Tries before it, none of which could be judged. */
  readonly earlierTries: number;
  /** Nothing but the program decides how it goes: virtual time, and nothing from outside of it. */
  readonly repeatable: boolean;
}

export interface Flakiness {
  /**
   * `retried`: it passed after tries that could not be judged. `repetitions`: it passed in some of its repetitions and failed in
   * others. `not-repeatable`: that happened with the same draws in virtual time, which is a defect of this program.
   */
  readonly kind: 'retried' | 'repetitions' | 'not-repeatable';
  /** How often it was held, by what came of it: all of its repetitions, and all tries of them. */
  readonly passed: number;
  readonly failed: number;
  readonly infra: number;
}

/** Of each conversation, in their order; undefined: nothing shows that it is flaky. */
export function flakinessOf(held: readonly HeldConversation[]): (Flakiness | undefined)[] {
  const groups = new Map<string, Group>();
  for (const one of held) {
    const group = groups.get(one.inputs) ?? { passed: 0, failed: 0, infra: 0, draws: new Map() };
    groups.set(one.inputs, group);
    if (one.verdict === 'pass') group.passed++;
    if (one.verdict === 'fail') group.failed++;
    group.infra += one.earlierTries + (one.verdict === 'infra' ? 1 : 0);
    if (one.repeatable && one.verdict !== 'infra') {
      const verdicts = group.draws.get(one.seed) ?? new Set();
      group.draws.set(one.seed, verdicts.add(one.verdict));
    }
  }
  return held.map(({ inputs, verdict, earlierTries }) => {
    const { draws, ...counts } = groups.get(inputs)!;
    if (counts.passed > 0 && counts.failed > 0) {
      const differs = [...draws.values()].some(({ size }) => size > 1);
      return { kind: differs ? 'not-repeatable' : 'repetitions', ...counts };
    }
    if (verdict === 'pass' && earlierTries > 0) {
      return { kind: 'retried', passed: 1, failed: 0, infra: earlierTries };
    }
    return undefined;
  });
}

interface Group {
  passed: number;
  failed: number;
  infra: number;
  /** What came of the same draws. */
  readonly draws: Map<number, Set<'pass' | 'fail' | 'infra'>>;
}
