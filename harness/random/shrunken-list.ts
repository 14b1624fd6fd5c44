/**
 * The shortest list that can be found that still does what the whole one does: leaves out ever smaller pieces of it
 * (delta debugging).
 *
 * @param stillDoes asked for each candidate
 * @param asks how often it may be asked
 */
export async function shrunkenList<T>(
  items: readonly T[],
  stillDoes: (candidate: readonly T[]) => Promise<boolean>,
  asks: number,
): Promise<readonly T[]> {
  let shortest = items;
  let left = asks;
  for (let piece = Math.ceil(shortest.length / 2); piece >= 1 && left > 0; ) {
    let shortened = false;
    for (let at = 0; at < shortest.length && left > 0; left--) {
      const candidate = shortest.toSpliced(at, piece);
      if (await stillDoes(candidate)) {
        shortest = candidate;
        shortened = true;
      } else at += piece;
    }
    if (piece === 1 && !shortened) break;
    piece = shortened ? Math.min(piece, Math.ceil(shortest.length / 2)) : piece >> 1;
  }
  return shortest;
}
