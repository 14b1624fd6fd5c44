/** What a conformance case is, and how one ends. */

export type CaseStatus = 'pass' | 'fail' | 'unsupported' | 'skipped';

export interface ConformanceCase<Stage> {
  /** `family/name`; both kebab-case, unique in its suite. */
  readonly id: string;
  /** A sentence that is true when the case passes. */
  readonly title: string;
  /** The clause of `firmware-protocol/README.md` that demands it. */
  readonly clause: string;
  /**
   * Plays the case. It passes when this resolves.
   *
   * @throws {Nonconformity} it fails; {@link Unsupported}, {@link Skipped}. Everything else is a defect of
   *   the suite.
   */
  play(stage: Stage): Promise<void>;
}

export interface CaseResult {
  readonly id: string;
  readonly title: string;
  readonly clause: string;
  readonly status: CaseStatus;
  /** Why it did not pass; empty when it did. */
  readonly detail: string;
  readonly startUs: number;
  readonly endUs: number;
  /** What was sent and what came, oldest first. */
  readonly evidence: readonly EvidenceLine[];
}

export interface EvidenceLine {
  readonly atUs: number;
  /** Counts the connections of the case from 1; 0: a remark. */
  readonly connection: number;
  readonly direction: 'sent' | 'received' | 'remark';
  readonly text: string;
}

/** What is under test did something else than the clause demands. */
export class Nonconformity extends Error {
  override readonly name = 'Nonconformity';
}

/** What is under test does not have what the case is about, and need not. */
export class Unsupported extends Error {
  override readonly name = 'Unsupported';
}

/** The case could not be played; it says nothing about what is under test. */
export class Skipped extends Error {
  override readonly name = 'Skipped';
}

/** @throws {Nonconformity} with `otherwise` when `condition` does not hold */
export function demand(condition: boolean, otherwise: string | (() => string)): asserts condition {
  if (condition) return;
  throw new Nonconformity(typeof otherwise === 'string' ? otherwise : otherwise());
}

export function familyOf({ id }: { readonly id: string }): string {
  return id.slice(0, id.indexOf('/'));
}

/**
 * Cases of the named families, or with the named ids, in their own order.
 *
 * @returns an empty list when nothing has any of the names
 */
export function chosenCases<Case extends { readonly id: string }>(
  cases: readonly Case[],
  names: readonly string[],
): Case[] {
  if (names.length === 0) return [...cases];
  return cases.filter((each) => names.includes(each.id) || names.includes(familyOf(each)));
}
