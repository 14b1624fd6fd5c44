/**
 * The valid name that somebody most likely meant, or nothing when none is close.
 *
 * Case, `_`, `-` and spaces do not count; after that at most one edit in three characters may
 * differ. An edit is a character inserted, deleted or replaced, or two neighbors swapped. Of equally
 * near names the first wins.
 */
export function nearestName(given: string, valid: readonly string[]): string | undefined {
  const wanted = fold(given);
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const name of valid) {
    const candidate = fold(name);
    const distance = editDistance(wanted, candidate);
    const limit = Math.max(1, Math.floor(Math.max(wanted.length, candidate.length) / 3));
    if (distance <= limit && distance < Math.max(wanted.length, candidate.length)) {
      if (!best || distance < best.distance) best = { name, distance };
    }
  }
  return best?.name;
}

function fold(name: string): string {
  return name.toLowerCase().replaceAll(/[\s_-]/g, '');
}

/** Optimal string alignment distance. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(replace, last[j]! + 1, row[j - 1]! + 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) cost = Math.min(cost, beforeLast[j - 2]! + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
