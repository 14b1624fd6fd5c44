import type { Random } from '../random/random.ts';
import type { BurstProfile, LinkProfile, Stall } from './link.ts';

/** `up`: from the board (the client that dialed) to the server. */
export type Heading = 'up' | 'down';

/**
 * What all connections to one endpoint share: the profile in force, planned stalls, bursts of
 * interference and the sleep of the board's radio. Two connections at the same instant meet the same
 * air.
 */
export class Air {
  readonly #random: Random;
  readonly #stalls: Record<Heading, Stall[]> = { up: [], down: [] };
  #profile: LinkProfile;
  #bursts: Bursts[] = [];
  #beaconPhaseUs = 0;
  #awakeFromUs = 0;
  #awakeUntilUs = 0;
  #changes = 0;

  constructor(profile: LinkProfile, random: Random) {
    this.#random = random;
    this.#profile = profile;
    this.change(profile, 0);
  }

  get profile(): LinkProfile {
    return this.#profile;
  }

  /** From `nowUs` on the air is another one. What is under way arrives as it was going to. */
  change(profile: LinkProfile, nowUs: number): void {
    this.#profile = profile;
    const random = this.#random.fork(`air/${++this.#changes}`);
    this.#bursts = (profile.bursts ?? []).map(
      (burst, index) => new Bursts(burst, random.fork(`burst/${index}`), nowUs),
    );
    this.#beaconPhaseUs =
      profile.sleep === undefined
        ? 0
        : random.fork('beacon').integer(0, profile.sleep.beaconUs - 1);
    // Whoever has just associated is awake.
    this.#awakeFromUs = nowUs;
    this.#awakeUntilUs = nowUs + (profile.sleep?.awakeUs ?? 0);
  }

  stall(heading: Heading, stall: Stall): void {
    this.#stalls[heading].push(stall);
  }

  /** Nobody is going to ask for an instant before `nowUs` any more: what was over by then is let go of. */
  forget(nowUs: number): void {
    for (const stalls of [this.#stalls.up, this.#stalls.down]) dropOver(stalls, nowUs);
    for (const bursts of this.#bursts) bursts.forget(nowUs);
  }

  /** The first instant from `atUs` on at which a piece of data gets through. */
  passUs(heading: Heading, atUs: number): number {
    let passUs = atUs;
    for (;;) {
      let clearUs = this.#fetchedUs(heading, passUs);
      for (const stall of this.#stalls[heading]) {
        if (clearUs >= stall.fromUs && clearUs < stall.untilUs) clearUs = stall.untilUs;
      }
      for (const bursts of this.#bursts) clearUs = bursts.endUs(clearUs);
      if (clearUs === passUs) break;
      passUs = clearUs;
    }
    this.#wake(passUs);
    return passUs;
  }

  /** Data for a sleeping board waits for the next beacon; what the board sends wakes it. */
  #fetchedUs(heading: Heading, atUs: number): number {
    const { sleep } = this.#profile;
    if (sleep === undefined || heading === 'up') return atUs;
    if (atUs >= this.#awakeFromUs && atUs <= this.#awakeUntilUs) return atUs;
    const beacon = Math.ceil((atUs - this.#beaconPhaseUs) / sleep.beaconUs);
    return this.#beaconPhaseUs + beacon * sleep.beaconUs;
  }

  #wake(atUs: number): void {
    const { sleep } = this.#profile;
    if (sleep === undefined) return;
    if (atUs < this.#awakeFromUs || atUs > this.#awakeUntilUs) this.#awakeFromUs = atUs;
    this.#awakeUntilUs = Math.max(this.#awakeUntilUs, atUs + sleep.awakeUs);
  }
}

/** Stalls may overlap and come in any order, so each is looked at; there are few. */
function dropOver(stalls: Stall[], nowUs: number): void {
  for (let i = stalls.length - 1; i >= 0; i--) {
    if (stalls[i]!.untilUs <= nowUs) stalls.splice(i, 1);
  }
}

/** One kind of interference, as far into the future as somebody has asked. */
class Bursts {
  readonly #profile: BurstProfile;
  readonly #random: Random;
  readonly #past: Stall[] = [];
  #knownUntilUs: number;

  constructor(profile: BurstProfile, random: Random, fromUs: number) {
    this.#profile = profile;
    this.#random = random;
    this.#knownUntilUs = fromUs;
  }

  forget(nowUs: number): void {
    const kept = this.#past.findIndex(({ untilUs }) => untilUs > nowUs);
    this.#past.splice(0, kept === -1 ? this.#past.length : kept);
  }

  /** The end of the burst at `atUs`, or `atUs` when there is none. */
  endUs(atUs: number): number {
    const { meanGapUs, minimumUs, maximumUs } = this.#profile;
    while (this.#knownUntilUs <= atUs) {
      const fromUs =
        this.#knownUntilUs + Math.round(-meanGapUs * Math.log(1 - this.#random.next()));
      const untilUs = fromUs + Math.round(this.#random.between(minimumUs, maximumUs));
      this.#past.push({ fromUs, untilUs });
      this.#knownUntilUs = untilUs;
    }
    const burst = this.#past.findLast(({ fromUs }) => fromUs <= atUs);
    return burst !== undefined && atUs < burst.untilUs ? burst.untilUs : atUs;
  }
}
