import type { Alarm, Clock } from '../clock/clock.ts';
import type { DeliverySchedule } from './delivery-schedule.ts';

/** The part of a clip that a chunk holds. */
export interface ClipWindow {
  /** 0 for the first chunk. */
  readonly fromMs: number;
  /** `Infinity` for the last one of a complete clip. */
  readonly toMs: number;
}

/** @param bytesPerMs of the clip as it is sent */
export function clipWindow(
  chunk: Buffer,
  offset: number,
  clip: Buffer,
  bytesPerMs: number,
): ClipWindow {
  const after = offset + chunk.length;
  const toMs = after === clip.length ? Number.POSITIVE_INFINITY : after / bytesPerMs;
  return { fromMs: offset / bytesPerMs, toMs };
}

export interface Delivery {
  /** Stops at once; neither callback is called any more. Harmless after the end. */
  cancel(): void;
}

export interface DeliveryCallbacks {
  /** The instant of the first audio byte, before the first chunk; also for a clip without audio. */
  readonly begin?: () => void;
  readonly chunk: (bytes: Buffer, offset: number) => void;
  readonly end: () => void;
}

/**
 * Hands out `clip` by `schedule`, whose instants count from `originUs`. At most one alarm is
 * pending at a time. The buffers are views of `clip`.
 */
export function deliver(
  clock: Clock,
  schedule: DeliverySchedule,
  originUs: number,
  clip: Buffer,
  callbacks: DeliveryCallbacks,
): Delivery {
  let alarm: Alarm | undefined;
  let cancelled = false;
  let index = 0;
  let offset = 0;
  const at = (us: number, action: () => void): void => {
    alarm = clock.after(originUs + us - clock.nowUs(), () => {
      if (!cancelled) action();
    });
  };
  const next = (): void => {
    for (;;) {
      if (cancelled) return;
      const chunk = schedule.chunks[index];
      if (chunk === undefined) {
        if (originUs + schedule.endUs > clock.nowUs()) at(schedule.endUs, callbacks.end);
        else callbacks.end();
        return;
      }
      if (originUs + chunk.atUs > clock.nowUs()) {
        at(chunk.atUs, next);
        return;
      }
      index++;
      const from = offset;
      offset += chunk.bytes;
      callbacks.chunk(clip.subarray(from, offset), from);
    }
  };
  at(schedule.firstByteUs, () => {
    callbacks.begin?.();
    next();
  });
  return {
    cancel: () => {
      cancelled = true;
      alarm?.cancel();
    },
  };
}
