/** For tests of anything that records: the ledger closes at every stage, in every turn and in all. */
import type { ExecutionContext } from 'ava';
import type { Conservation } from './conservation.ts';
import {
  type ConservationStage,
  conservationStages,
  type DifferenceCause,
  differenceCauses,
  type SampleLedger,
} from './sample-ledger.ts';

export function checkBalance(t: ExecutionContext, conservation: Conservation, name = ''): void {
  const { ledger, outside, turns, unexplained } = conservation;
  t.deepEqual(unexplained, [], name);
  const parts = turns.map(({ turn, ledger: own }) => [`turn ${turn}`, own] as const);
  const all = [...parts, ['outside', outside], ['cell', ledger]] as const;
  for (const [part, stages] of all) {
    let before: number | null = null;
    for (const { stage, samples, differences, unexplained: gap } of stages) {
      const place = `${name} ${part} ${stage}`;
      const caused = differences.reduce((sum, difference) => sum + difference.samples, 0);
      if (samples !== null && before !== null) t.is(samples, before + caused, place);
      t.true(gap === 0 || (gap === null && (samples === null || before === null)), place);
      t.true(samples === null || samples >= 0, place);
      before = samples;
    }
  }
  for (const stage of conservationStages) {
    const whole = ledger.find((one) => one.stage === stage)!.samples;
    if (whole !== null) t.is(sumOf([...turns.map((turn) => turn.ledger), outside], stage), whole);
  }
  for (const cause of Object.keys(differenceCauses) as DifferenceCause[]) {
    const sum = turns.reduce((all, turn) => all + amountOf(turn.ledger, cause), 0);
    t.is(sum + amountOf(outside, cause), amountOf(ledger, cause), `${name} ${cause}`);
  }
}

/** What a cause adds in a ledger; 0 where it does not occur. */
export function amountOf(ledger: SampleLedger, cause: DifferenceCause): number {
  const found = ledger.flatMap(({ differences }) => differences);
  return found.find((difference) => difference.cause === cause)?.samples ?? 0;
}

export function samplesAt(ledger: SampleLedger, stage: ConservationStage): number | null {
  return ledger.find((one) => one.stage === stage)?.samples ?? null;
}

function sumOf(ledgers: readonly SampleLedger[], stage: ConservationStage): number {
  return ledgers.reduce((sum, ledger) => sum + (samplesAt(ledger, stage) ?? 0), 0);
}
