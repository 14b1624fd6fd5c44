import type { Alarm } from './clock.ts';

/** `Clock.sleep` for any clock that has `after`. */
export function sleep(
  after: (delayUs: number, callback: () => void) => Alarm,
  delayUs: number,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const stop = (): void => {
      alarm.cancel();
      reject(signal?.reason);
    };
    const alarm = after(delayUs, () => {
      signal?.removeEventListener('abort', stop);
      resolve();
    });
    signal?.addEventListener('abort', stop, { once: true });
  });
}
