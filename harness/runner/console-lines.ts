import { ConsolePrinter } from '../device/console.ts';
import { deviceProfiles } from '../device/device-profile.ts';
import { quirkIds } from '../device/quirk.ts';
import type { TraceEvent } from '../trace/trace-event.ts';
import type { ConsoleLine } from '../verdict/trace-checks.ts';

/**
 * What the console of the board printed during a recording: as its port told, or, for an emulated one, as
 * a real one would have printed it.
 *
 * @param events in order of time. @param quirksOff of the emulated board.
 */
export function consoleLines(
  events: readonly TraceEvent[],
  quirksOff: readonly string[],
): ConsoleLine[] {
  if (events.some(({ source }) => source === 'serial')) {
    return events.flatMap((event) =>
      event.source === 'serial' && event.type === 'line'
        ? [{ atUs: event.atUs, text: event.text }]
        : [],
    );
  }
  const own = events.flatMap((event) => (event.source === 'device' ? [event] : []));
  const profile = deviceProfiles[own.find((event) => event.type === 'boot')?.profile ?? ''];
  if (profile === undefined) return [];
  const serverUrl =
    own.find((event) => event.type === 'connecting')?.url.replace(/[^/]*$/, '') ?? '';
  const off = quirkIds.filter((id) => quirksOff.includes(id));
  const printer = new ConsolePrinter({ profile: { ...profile, quirksOff: off }, serverUrl });
  return own.flatMap((event) =>
    printer
      .print(event)
      .split('\r\n')
      .filter((text) => text !== '')
      .map((text) => ({ atUs: event.atUs, text })),
  );
}
