/** How many boards a machine bears: the number is doubled until a threshold breaks, and what lies between is halved. */
export interface Search<Try> {
  /** The most that held; null: not even the first number did, nor any below it. */
  readonly held: number | null;
  /** The fewest that did not; null: everything held. */
  readonly broken: number | null;
  /** In the order in which they were made. */
  readonly tries: readonly Try[];
}

export interface SearchOptions<Try> {
  /** The number to begin with. */
  readonly from: number;
  /** No more than these are tried. */
  readonly most: number;
  /** It is found when what held and what broke are so near, as a share of what held. */
  readonly precision: number;
  readonly attempt: (devices: number) => Promise<Try>;
  readonly isHeld: (tried: Try) => boolean;
  readonly signal: AbortSignal;
}

export async function searchLimit<Try>(options: SearchOptions<Try>): Promise<Search<Try>> {
  const { from, most, precision, attempt, isHeld, signal } = options;
  const tries: Try[] = [];
  let held: number | null = null;
  let broken: number | null = null;
  let next = Math.min(from, most);
  while (!signal.aborted) {
    const tried = await attempt(next);
    if (signal.aborted) break;
    tries.push(tried);
    if (isHeld(tried)) held = next;
    else broken = next;
    if (broken === null) {
      if (next === most) break;
      next = Math.min(most, 2 * next);
      continue;
    }
    const low: number = held ?? 0;
    if (broken - low <= Math.max(1, Math.floor(precision * low))) break;
    next = Math.floor((low + broken) / 2);
  }
  return { held, broken, tries };
}
