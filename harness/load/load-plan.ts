/** What a load run is; the same in virtual and in real time. */
import type { DeviceProfile } from '../device/device-profile.ts';
import type { Cell } from '../scenario/plan.ts';
import type { CrowdTotals } from './board-crowd.ts';

export interface LoadPlan {
  readonly devices: number;
  readonly rampMs: number;
  /** How long it goes on when all boards are on. Absent: until each has had its turns. */
  readonly holdMs?: number;
  readonly turns?: number;
  readonly pauseMs: number;
  readonly checksVoices: boolean;
  /** Exchanges that the server remembers of a conversation. Absent: as every server. */
  readonly rememberedExchanges?: number;
  readonly seed: number;
  /** What the boards hold, in turn. */
  readonly cells: readonly Cell[];
  readonly profiles: ReadonlyMap<string, DeviceProfile>;
}

export interface LoadProgress extends CrowdTotals {
  /** On the clock of the run. */
  readonly atUs: number;
}
