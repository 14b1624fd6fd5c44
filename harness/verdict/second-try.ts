/** Whether it is worth while to hold a conversation again that could not be judged. */
import type { Scenario } from '../scenario/scenario.ts';
import type { Verdict } from './judge.ts';

export interface JudgedConversation {
  readonly verdict: Pick<Verdict, 'outcome' | 'failures'>;
  readonly time: 'virtual' | 'real';
  /** A board on a cable played. */
  readonly onBoard: boolean;
  /** Undefined: it is not known. */
  readonly scenario: Pick<Scenario, 'turns'> | undefined;
}

/**
 * Why another try with the same inputs would only pretend to be one; undefined: it may come out otherwise. In virtual
 * time that is what comes from outside of it: a disk, a signal, a kill, a real board.
 */
export function whyNoOtherTry({
  verdict: { outcome, failures },
  time,
  onBoard,
  scenario,
}: JudgedConversation): string | undefined {
  if (outcome !== 'infra') return undefined;
  const codes = failures.filter(({ expected }) => !expected).map(({ code }) => code);
  if (codes.some(isOfDisk) && scenario?.turns.some(fillsDisk) === true) {
    return 'the scenario plants the fault "disk-full", and would again';
  }
  if (time === 'real' || onBoard || codes.some((code) => isOfDisk(code) || isStopped(code))) {
    return undefined;
  }
  return 'in virtual time the same inputs come out the same';
}

/** A recording that ends in the middle tells of the disk only while it is made. */
function isOfDisk(code: string): boolean {
  return code.startsWith('RECORDING_') || code === 'cut-short';
}

function isStopped(code: string): boolean {
  return code === 'run-interrupted';
}

function fillsDisk({ faults }: Scenario['turns'][number]): boolean {
  return faults.some(
    ({ injection }) => injection.layer === 'host' && injection.trouble.kind === 'disk-full',
  );
}
