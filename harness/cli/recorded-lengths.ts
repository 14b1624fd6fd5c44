/** How long conversations took when they were last recorded. */
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';

/** Older runs are not looked at. */
const newestRuns = 20;
/** The last event of a conversation is short. */
const tailBytes = 64 * 1024;

/**
 * Length in milliseconds on the clock of the conversation, by the name of the cell: of each its newest whole recording.
 *
 * @param out the folder of the runs; it need not be there
 */
export function recordedLengths(
  out: string,
  cells: readonly string[],
): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const runs = existsSync(out) ? readdirSync(out).sort().reverse() : [];
  for (const run of runs.slice(0, newestRuns)) {
    for (const cell of cells) {
      if (found.has(cell)) continue;
      const trace = join(out, run, 'cells', cell, 'trace.jsonl');
      const ms = existsSync(trace) ? lastInstantMs(trace) : undefined;
      if (ms !== undefined) found.set(cell, ms);
    }
  }
  return found;
}

/** Of the last line; undefined when it cannot be read. */
function lastInstantMs(trace: string): number | undefined {
  const file = openSync(trace, 'r');
  try {
    const { size } = fstatSync(file);
    const tail = Buffer.alloc(Math.min(size, tailBytes));
    readSync(file, tail, 0, tail.length, size - tail.length);
    const last = tail.toString('utf8').trimEnd().split('\n').at(-1) ?? '';
    const { atUs } = JSON.parse(last) as { atUs?: unknown };
    return typeof atUs === 'number' ? Math.round(atUs / 1000) : undefined;
  } catch {
    // A recording that was broken off says nothing about how long it takes.
    return undefined;
  } finally {
    closeSync(file);
  }
}
