/**
 * What if a recorded conversation had been held with another board, on another network, with another length of packets? It
 * is held again with the recorded provider, which answers every request as it did and so long after it.
 */
import { type DeviceProfile, deviceProfiles } from '../device/device-profile.ts';
import type { PacketLengthMs } from '../server/deviation-items.ts';
import type { ReplayableConversation } from './recorded-run.ts';

/** What is absent stays as it was. */
export interface WhatIf {
  readonly device?: DeviceProfile;
  /** Name of a network. */
  readonly network?: string;
  /** Audio of a sentence that the board's player queues before it begins: `DeviceProfile.prebufferMs`. */
  readonly prebufferMs?: number;
  /** Length of the server's Opus packets. */
  readonly opusFrameMs?: PacketLengthMs;
}

export function changesNothing(change: WhatIf): boolean {
  return Object.values(change).every((value) => value === undefined);
}

export function changedConversation(
  conversation: ReplayableConversation,
  { device, network, prebufferMs, opusFrameMs }: WhatIf,
): ReplayableConversation {
  const { cell, devices } = conversation;
  const { scenario } = cell;
  const board = device ?? devices.get(cell.device) ?? deviceProfiles[cell.device];
  if (board === undefined) throw new RangeError(`There is no board "${cell.device}".`);
  const own = device !== undefined || prebufferMs !== undefined;
  const profile = prebufferMs === undefined ? board : { ...board, prebufferMs };
  return {
    ...conversation,
    cell: {
      ...cell,
      device: board.name,
      ...(network !== undefined && { network }),
      scenario: {
        ...scenario,
        ...(opusFrameMs !== undefined && {
          server: { ...scenario.server, packetMs: opusFrameMs },
        }),
      },
    },
    devices: own ? new Map([...devices, [board.name, profile]]) : devices,
  };
}
