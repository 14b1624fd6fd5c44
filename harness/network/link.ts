import type { Random } from '../random/random.ts';

/** How a link behaves, the same in both directions. Data; named ones are in `network-profile.ts`. */
export interface LinkProfile {
  /** One way, without load. */
  readonly latencyUs: number;
  /** Added to the latency, uniform between 0 and this. Order is kept, as TCP keeps it. */
  readonly jitterUs: number;
  /** Absent: unlimited. */
  readonly bytesPerSecond?: number;
  /** Bytes under way or unread by the receiver before the sender must wait. Absent: unlimited. */
  readonly windowBytes?: number;
  /** Time to set a connection up (TCP, TLS). Absent: one round trip. */
  readonly connectUs?: number;
}

export const idealLink: LinkProfile = { latencyUs: 0, jitterUs: 0 };

/** A span of time in which nothing arrives; what should have arrived does so at its end. */
export interface Stall {
  readonly fromUs: number;
  readonly untilUs: number;
}

/**
 * One direction of one connection: says when a piece of data arrives. Pure apart from its state;
 * the caller moves the data.
 */
export class LinkDirection {
  readonly #profile: LinkProfile;
  readonly #random: Random;
  /** Shared with the other connections of the same endpoint. */
  readonly #stalls: readonly Stall[];
  #lineFreeUs = 0;
  #lastArrivalUs = 0;

  constructor(profile: LinkProfile, random: Random, stalls: readonly Stall[]) {
    this.#profile = profile;
    this.#random = random;
    this.#stalls = stalls;
  }

  /** Instant at which the last of `bytes` sent at `nowUs` arrives. Never before an earlier one. */
  arrivalUs(bytes: number, nowUs: number): number {
    const { latencyUs, jitterUs, bytesPerSecond } = this.#profile;
    const sendingUs = bytesPerSecond === undefined ? 0 : (bytes * 1_000_000) / bytesPerSecond;
    this.#lineFreeUs = Math.max(nowUs, this.#lineFreeUs) + sendingUs;
    const jitter = jitterUs === 0 ? 0 : this.#random.between(0, jitterUs);
    let at = Math.round(this.#lineFreeUs + latencyUs + jitter);
    at = Math.max(at, this.#lastArrivalUs);
    for (const stall of this.#stalls) {
      if (at >= stall.fromUs && at < stall.untilUs) at = stall.untilUs;
    }
    this.#lastArrivalUs = at;
    return at;
  }
}
