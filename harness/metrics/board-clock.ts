/**
 * The clock of a board against ours. The board stamps its console lines with whole milliseconds since its boot,
 * and we know when they arrived: never before they were printed, and often later (a UART that is busy, a USB
 * timer, a machine that does something else). The straight line under all arrivals is the board's clock.
 */

/** A console line that carries a stamp. */
export interface StampedArrival {
  /** Milliseconds since the boot, rounded down (EchoKit device protocol reference, section 8.2). */
  readonly ms: number;
  /** Arrival of its first byte. */
  readonly atUs: number;
}

export interface BoardClock {
  /** Instant on our clock at which the board's clock was 0. */
  readonly offsetUs: number;
  /** How much faster the board's clock runs, in parts per million; 0 where too little was seen to tell. */
  readonly driftPpm: number;
  /**
   * How far the instant of a line may be from the truth either way. A delay that every line has alike is not in
   * it: from arrivals alone it cannot be told from an offset.
   */
  readonly errorUs: number;
  /** Lines it is computed from. */
  readonly n: number;
  /** Lines whose stamp is smaller than that of the line before, in one boot. */
  readonly disorder: number;
}

/** Crystals of this kind, and those of computers, are within some tens of ppm. */
const driftUsualPpm = 40;
/** A slope beyond it is an artefact of delays. */
const driftMaximumPpm = 100;
/** Below it a delay of one millisecond would pass for more drift than a crystal has. */
const driftSpanMinimumUs = 60_000_000;
const stampStepUs = 1000;

/**
 * @param lines of one boot, in the order of their arrival
 * @returns null for fewer than two
 */
export function fitBoardClock(lines: readonly StampedArrival[]): BoardClock | null {
  if (lines.length < 2) return null;
  const points = lines.map(({ ms, atUs }) => ({ x: ms * 1000, y: atUs }));
  const spanUs = Math.max(...points.map(({ x }) => x)) - Math.min(...points.map(({ x }) => x));
  const measured = spanUs >= driftSpanMinimumUs;
  const slope = measured ? slopeOf(points) : 1;
  // Two ends that are a step wrong tilt the line; what was not measured may be as large as it gets.
  const tiltUs = measured ? stampStepUs : (spanUs * driftUsualPpm) / 1_000_000;
  const residuals = points.map(({ x, y }) => y - slope * x).sort((a, b) => a - b);
  const offsetUs = residuals[0]!;
  // How crowded the line is: were the least delay much larger than 0, the next ones would be scattered.
  const near = residuals[Math.min(residuals.length - 1, Math.ceil(residuals.length / 20))]!;
  return {
    offsetUs: Math.round(offsetUs),
    driftPpm: (1 / slope - 1) * 1_000_000,
    errorUs: Math.round(stampStepUs + tiltUs + (near - offsetUs)),
    n: lines.length,
    disorder: lines.filter(({ ms }, i) => i > 0 && ms < lines[i - 1]!.ms).length,
  };
}

/** The instant on our clock at which the board's clock showed `ms`. */
export function boardInstantUs({ offsetUs, driftPpm }: BoardClock, ms: number): number {
  return Math.round(offsetUs + (ms * 1000) / (1 + driftPpm / 1_000_000));
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/**
 * Of all straight lines below all points the one with the least sum of distances: the edge of the lower hull over
 * the mean of the stamps.
 */
function slopeOf(points: readonly Point[]): number {
  const sorted = [...points].sort((a, b) => a.x - b.x || a.y - b.y);
  const hull: Point[] = [];
  for (const point of sorted) {
    if (hull.at(-1)?.x === point.x) continue;
    while (hull.length > 1 && !turnsUp(hull.at(-2)!, hull.at(-1)!, point)) hull.pop();
    hull.push(point);
  }
  const mean = points.reduce((sum, { x }) => sum + x, 0) / points.length;
  const right = Math.max(
    1,
    hull.findIndex(({ x }) => x >= mean),
  );
  const [from, to] = [hull[right - 1]!, hull[right]!];
  const slope = (to.y - from.y) / (to.x - from.x);
  const most = driftMaximumPpm / 1_000_000;
  return Math.min(1 + most, Math.max(1 - most, slope));
}

function turnsUp(a: Point, b: Point, c: Point): boolean {
  return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x) > 0;
}
