/** Numbers behind `rst:` (EchoKit device protocol reference, section 8.3). */
import { resetReasons } from '../../firmware-protocol/console-forms.ts';

/** Power on, the EN pin, RTS of a bridge. */
export const powerOnReset = 0x1;
/** A restart by software after the supply broke down. */
export const brownOutReset = 0x3;
/** `esp_restart`, and the end of a panic. */
export const softwareReset = 0xc;
/** RTS of the native USB port. */
export const usbReset = 0x15;

/** As the ROM prints it: `0xc (RTC_SW_CPU)`. */
export function resetText(cause: number): string {
  return `0x${cause.toString(16)} (${resetReasons[cause]!.name})`;
}
