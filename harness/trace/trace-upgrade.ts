/**
 * Traces of older formats become traces of today's, one version at a time. Whoever raises `traceFormatVersion` has
 * to add a step here, or this file does not compile; and a recording of the old format to `recordings/fixtures/`.
 */
import { traceFormatVersion } from './trace-event.ts';

/** A trace as it is written in some version: what the lines of the file say, the header first. */
export interface WrittenTrace {
  readonly header: WrittenHeader;
  /** In the order of the file. */
  readonly events: readonly Readonly<Record<string, unknown>>[];
}

export interface WrittenHeader {
  readonly type: 'header';
  readonly formatVersion: number;
  readonly [field: string]: unknown;
}

/**
 * From one version to the next. Pure: it changes nothing of what it is given. It need not set `formatVersion`.
 *
 * A step renames and recomputes; it never invents. What the old format did not tell stays absent, and whoever reads
 * the event finds it as an optional field.
 */
export type UpgradeStep = (trace: WrittenTrace) => WrittenTrace;

/** `1 | 2` for 3: every version that was before. */
type VersionsBefore<Version extends number, Counted extends readonly unknown[] = []> = [
  ...Counted,
  unknown,
]['length'] extends Version
  ? Exclude<Counted['length'], 0>
  : VersionsBefore<Version, [...Counted, unknown]> | Exclude<Counted['length'], 0>;

/** A step from every version that was to the one after it. */
export type UpgradeSteps<Version extends number> = {
  readonly [From in VersionsBefore<Version>]: UpgradeStep;
};

/** Nothing has changed its meaning since the first version, so there is none yet. */
export const upgradeSteps: UpgradeSteps<typeof traceFormatVersion> = {};

/**
 * @param steps and `version` are those of today; tests have others
 * @returns `undefined` when there is no way from the trace's version to this one
 */
export function upgradeTrace(
  trace: WrittenTrace,
  steps: Readonly<Record<number, UpgradeStep>> = upgradeSteps,
  version: number = traceFormatVersion,
): WrittenTrace | undefined {
  if (!Number.isSafeInteger(trace.header.formatVersion)) return undefined;
  let upgraded = trace;
  for (let from = trace.header.formatVersion; from !== version; from++) {
    const step = steps[from];
    // Also for a version of the future.
    if (step === undefined) return undefined;
    const { header, events } = step(upgraded);
    upgraded = { header: { ...header, formatVersion: from + 1 }, events };
  }
  return upgraded;
}
