/** The ledger of samples for the report: counts, milliseconds, and what each difference is. */
import type { Conservation } from '../metrics/conservation.ts';
import { samplesToMs } from '../metrics/recorded-cell.ts';
import {
  type ConservationStage,
  causeDefinition,
  conservationStages,
  type DifferenceCause,
  differenceCauses,
  type SampleLedger,
} from '../metrics/sample-ledger.ts';

/** 16 kHz samples; 16 of them are a millisecond. */
export interface LedgerStageReport {
  readonly stage: ConservationStage;
  /** Null: the recording knows nothing about this stage. */
  readonly samples: number | null;
  readonly ms: number | null;
  /** On the way to this stage. `samples` of the stage before + these + `unexplained` = `samples`. */
  readonly causes: readonly LedgerCauseReport[];
  /** Null where this stage or the one before is not known. */
  readonly unexplained: number | null;
}

export interface LedgerCauseReport {
  readonly cause: DifferenceCause;
  /** Signed: what it adds. */
  readonly samples: number;
  readonly ms: number;
  /** Nobody wished for it. Absent: false. */
  readonly defect?: true;
  /** Item of `--server-model echokit-server` that does it. */
  readonly compat?: string;
}

export interface CellLedgerReport {
  readonly stages: readonly LedgerStageReport[];
  /** What belongs to no turn, the hello sound above all. The turns and this add up to `stages`. */
  readonly outside: readonly LedgerStageReport[];
  /** The provider's audio as it came. */
  readonly sources: readonly { readonly rateHz: number; readonly frames: number }[];
  /** Every contradiction, with the lines of the trace that show it. */
  readonly unexplained: Conservation['unexplained'];
}

export interface TurnLedgerReport {
  readonly stages: readonly LedgerStageReport[];
  /** False: up to 255 of the samples played may belong to the sound before or after. */
  readonly restKnown: boolean;
}

export function cellLedger(conservation: Conservation): CellLedgerReport {
  const { ledger, outside, sources, unexplained } = conservation;
  return { stages: stagesOf(ledger), outside: stagesOf(outside), sources, unexplained };
}

export function turnLedger({ turns }: Conservation, turn: number): TurnLedgerReport {
  const found = turns.find((candidate) => candidate.turn === turn);
  return { stages: stagesOf(found?.ledger ?? []), restKnown: found?.restKnown ?? true };
}

function stagesOf(ledger: SampleLedger): LedgerStageReport[] {
  return ledger.map(({ stage, samples, differences, unexplained }) => ({
    stage,
    samples,
    ms: samples === null ? null : samplesToMs(samples),
    causes: differences.map(({ cause, samples: amount }) => causeReport(cause, amount)),
    unexplained,
  }));
}

function causeReport(cause: DifferenceCause, samples: number): LedgerCauseReport {
  const { defect, compat } = causeDefinition(cause);
  return {
    cause,
    samples,
    ms: samplesToMs(samples),
    ...(defect && { defect }),
    ...(compat === undefined ? {} : { compat }),
  };
}

/** Something has no cause, or one that nobody wished for. */
export function hasLedgerFault({ stages, unexplained }: CellLedgerReport): boolean {
  return (
    unexplained.length > 0 ||
    stages.some(
      (stage) =>
        (stage.unexplained ?? 0) !== 0 || stage.causes.some(({ defect }) => defect === true),
    )
  );
}

/** The ledgers of several cells as one; a stage counts as known when it is known of any of them. */
export function addLedgers(
  ledgers: readonly (readonly LedgerStageReport[])[],
): LedgerStageReport[] {
  return conservationStages.map((stage): LedgerStageReport => {
    const all = ledgers.flatMap((stages) => stages.filter((one) => one.stage === stage));
    const counts = all.flatMap(({ samples }) => (samples === null ? [] : [samples]));
    const samples = counts.length === 0 ? null : sum(counts);
    const gaps = all.flatMap(({ unexplained }) => (unexplained === null ? [] : [unexplained]));
    return {
      stage,
      samples,
      ms: samples === null ? null : samplesToMs(samples),
      causes: (Object.keys(differenceCauses) as DifferenceCause[]).flatMap((cause) => {
        const amounts = all.flatMap(({ causes }) =>
          causes.filter((one) => one.cause === cause).map((one) => one.samples),
        );
        return amounts.length === 0 ? [] : [causeReport(cause, sum(amounts))];
      }),
      unexplained: gaps.length === 0 ? null : sum(gaps),
    };
  });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
