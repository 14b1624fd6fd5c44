import type { Random } from '../random/random.ts';
import type { Air, Heading } from './air.ts';

/**
 * How a link behaves. Plain numbers, all of them seeded when they are drawn; named links are in
 * `network-profile.ts`.
 */
export interface LinkProfile extends DirectionProfile {
  /** What is different from the board to the server. */
  readonly up?: Partial<DirectionProfile>;
  /** What is different from the server to the board. */
  readonly down?: Partial<DirectionProfile>;
  /** Bytes under way or unread by the receiver before the sender must wait. Absent: unlimited. */
  readonly windowBytes?: number;
  /** Time to set a connection up (TCP, TLS). Absent: one round trip. */
  readonly connectUs?: number;
  /** Spans in which the air is taken by somebody else and nothing arrives in either direction. */
  readonly bursts?: readonly BurstProfile[];
  /** The radio of the board sleeps while nothing is said; data for it waits for a beacon. */
  readonly sleep?: SleepProfile;
}

export interface DirectionProfile {
  /** One way, without load. */
  readonly latencyUs: number;
  /** Added to the latency, uniform between 0 and this. Order is kept, as TCP keeps it. */
  readonly jitterUs: number;
  /** How alike the jitter of two pieces in a row is: 0 (default) not at all, towards 1 ever more. */
  readonly jitterCorrelation?: number;
  /** Absent: unlimited. */
  readonly bytesPerSecond?: number;
  /** The sender gets its turn only at multiples of this, as mobile networks grant it. */
  readonly slotUs?: number;
  readonly loss?: LossProfile;
}

/**
 * Loss of TCP segments. TCP repairs it, so it is felt as a pause: everything behind a lost segment
 * waits until its retransmission has come through.
 */
export interface LossProfile {
  /** Chance that a segment of {@link segmentBytes} is the first of a run of lost ones. */
  readonly chance: number;
  /** Mean number of transmissions in a row that are lost, 1 or more. */
  readonly meanRun: number;
  /** Wait before the first retransmission; it doubles with each further one. */
  readonly retransmitUs: number;
}

export interface BurstProfile {
  /** Mean of the exponential distribution of the gap between two of them. */
  readonly meanGapUs: number;
  /** Their length is uniform between these two. */
  readonly minimumUs: number;
  readonly maximumUs: number;
}

export interface SleepProfile {
  /** Distance of the beacons at which the board fetches what waits for it. A whole number. */
  readonly beaconUs: number;
  /** How long the radio stays awake after it has sent or received. */
  readonly awakeUs: number;
}

export const idealLink: LinkProfile = { latencyUs: 0, jitterUs: 0 };

/** TCP payload of one segment (EchoKit device protocol reference, section 6.7: MSS 1440). */
export const segmentBytes = 1440;

/** A span of time in which nothing arrives; what should have arrived does so at its end. */
export interface Stall {
  readonly fromUs: number;
  readonly untilUs: number;
}

/** The numbers that are in force in one direction. */
export function directionOf(profile: LinkProfile, heading: Heading): DirectionProfile {
  const own = profile[heading];
  return own === undefined ? profile : { ...profile, ...own };
}

/**
 * One direction of one connection: says when a piece of data arrives. Pure apart from its state;
 * the caller moves the data.
 *
 * The way of a piece: it waits for its turn (slot), takes the line for as long as its bytes need,
 * travels for the latency and a jitter, waits for the retransmission of lost segments, for what was
 * sent before it, and at last for free air ({@link Air.passUs}).
 */
export class LinkDirection {
  readonly #air: Air;
  readonly #heading: Heading;
  readonly #jitter: Random;
  readonly #losses: Random;
  #lineFreeUs = 0;
  #lastArrivalUs = 0;
  /** Standard normal; the memory of correlated jitter. */
  #jitterState: number | undefined;

  constructor(air: Air, heading: Heading, random: Random) {
    this.#air = air;
    this.#heading = heading;
    this.#jitter = random;
    this.#losses = random.fork('loss');
  }

  /** Instant at which the last of `bytes` sent at `nowUs` arrives. Never before an earlier one. */
  arrivalUs(bytes: number, nowUs: number): number {
    const profile = directionOf(this.#air.profile, this.#heading);
    const { latencyUs, bytesPerSecond, slotUs } = profile;
    const startUs = slotUs === undefined ? nowUs : Math.ceil(nowUs / slotUs) * slotUs;
    const sendingUs = bytesPerSecond === undefined ? 0 : (bytes * 1_000_000) / bytesPerSecond;
    this.#lineFreeUs = Math.max(startUs, this.#lineFreeUs) + sendingUs;
    const travelUs = latencyUs + this.#jitterUs(profile) + this.#repairUs(bytes, profile.loss);
    const dueUs = Math.max(Math.round(this.#lineFreeUs + travelUs), this.#lastArrivalUs);
    this.#air.forget(nowUs);
    this.#lastArrivalUs = this.#air.passUs(this.#heading, dueUs);
    return this.#lastArrivalUs;
  }

  #jitterUs({ jitterUs, jitterCorrelation = 0 }: DirectionProfile): number {
    if (jitterUs === 0) return 0;
    if (jitterCorrelation === 0) return this.#jitter.between(0, jitterUs);
    const fresh = this.#jitter.normal();
    const rest = Math.sqrt(1 - jitterCorrelation ** 2);
    this.#jitterState =
      this.#jitterState === undefined
        ? fresh
        : jitterCorrelation * this.#jitterState + rest * fresh;
    return jitterUs * normalShare(this.#jitterState);
  }

  /** How long lost segments hold the piece up. An end of stream (0 bytes) is never lost. */
  #repairUs(bytes: number, loss: LossProfile | undefined): number {
    if (loss === undefined) return 0;
    let longestUs = 0;
    for (let rest = bytes; rest > 0; rest -= segmentBytes) {
      if (this.#losses.next() >= loss.chance) continue;
      let waitUs = loss.retransmitUs;
      let repairUs = waitUs;
      while (this.#losses.next() >= 1 / loss.meanRun) {
        waitUs *= 2;
        repairUs += waitUs;
      }
      longestUs = Math.max(longestUs, repairUs);
    }
    return longestUs;
  }
}

/**
 * Share of a standard normal distribution below `x`, to 1e-7 (Abramowitz and Stegun, formula
 * 26.2.17). It turns the correlated normal draws into uniform ones.
 */
export function normalShare(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const series =
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const tail = (Math.exp(-(x ** 2) / 2) / Math.sqrt(2 * Math.PI)) * series;
  return x < 0 ? tail : 1 - tail;
}
