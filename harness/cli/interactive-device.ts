/** `device` at a keyboard: keys press the board's buttons, what is typed is spoken to it. */
import { existsSync } from 'node:fs';
import type { Alarm, Clock } from '../clock/clock.ts';
import { ConsolePrinter } from '../device/console.ts';
import type { DeviceEvent } from '../device/device-event.ts';
import type { DeviceProfile } from '../device/device-profile.ts';
import { DeviceError, type EmulatedDevice } from '../device/emulated-device.ts';
import { readUserWav } from '../scenario/user-wav.ts';
import { BoardPanel } from './board-panel.ts';
import type { Keyboard, KeyPress } from './keyboard.ts';

export interface InteractiveDeviceOptions {
  readonly clock: Clock;
  readonly profile: DeviceProfile;
  readonly serverUrl: string;
  readonly keyboard: Keyboard;
  /** Samples of a text. */
  readonly speak: (text: string) => Int16Array;
  readonly createDevice: (observe: (event: DeviceEvent) => void) => EmulatedDevice;
  /** Ends it from outside. */
  readonly signal: AbortSignal;
}

/** How often gauges are drawn again while nothing is reported. */
const redrawUs = 250_000;

/** Plays until `q` or Ctrl-C. The board is switched off and the terminal as before when it resolves. */
export async function playInteractively(options: InteractiveDeviceOptions): Promise<void> {
  const { clock, keyboard, profile, serverUrl, signal } = options;
  const panel = new BoardPanel();
  const printer = new ConsolePrinter({ profile, serverUrl });
  let log: string[] = [];
  let typed: string | undefined;
  let alarm: Alarm | undefined;
  let over = false;

  const device = options.createDevice((event) => {
    panel.hearOf(event);
    log.push(
      ...printer
        .print(event)
        .split(/\r?\n/)
        .filter((line) => line !== ''),
    );
    drawSoon(20_000);
  });
  const draw = (): void => {
    const gauges = { state: device.state, bufferedSamples: device.bufferedSamples(), typed };
    keyboard.write(panel.draw(log, gauges, keyboard.columns()));
    log = [];
  };
  const drawSoon = (delayUs: number): void => {
    if (over || (alarm !== undefined && alarm.dueUs <= clock.nowUs() + delayUs)) return;
    alarm?.cancel();
    alarm = clock.after(delayUs, () => {
      alarm = undefined;
      draw();
      drawSoon(redrawUs);
    });
  };
  const say = (text: string): void => {
    log.push(`you: ${text}`);
    if (!/\.wav$/i.test(text)) device.hear(options.speak(text));
    else if (!existsSync(text)) log.push(`there is no file ${text}`);
    else {
      try {
        device.hear(readUserWav(text));
      } catch (error) {
        log.push(`${text}: ${(error as Error).message}`);
      }
    }
  };
  const quit = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    const command = ({ name, sequence }: KeyPress): void => {
      if (sequence === 'K') device.press('k0', 'long');
      else if (name === 'k' || name === 'space') device.press('k0', 'short');
      else if (sequence === '+' || sequence === '=') device.press('volume-up', 'short');
      else if (sequence === '-') device.press('volume-down', 'short');
      else if (name === 's' || name === 'return') typed = '';
      else if (name === 'q') resolve();
    };
    const edit = ({ name, sequence }: KeyPress, line: string): void => {
      if (name === 'escape') typed = undefined;
      else if (name === 'backspace') typed = [...line].slice(0, -1).join('');
      else if (name === 'return') {
        typed = undefined;
        if (line.trim() !== '') say(line.trim());
      } else if (/^[^\p{Cc}]+$/u.test(sequence)) typed = line + sequence;
    };
    keyboard.listen((key) => {
      if (key.interrupt) resolve();
      else if (typed === undefined) command(key);
      else edit(key, typed);
      drawSoon(0);
    });
  });
  try {
    // A board that cannot reach its server is on, too: K0 restarts it, as on the desk.
    device.boot().catch((error: unknown) => {
      if (!(error instanceof DeviceError)) throw error;
      if (error.code === 'DEVICE_UNREACHABLE') log.push(error.message);
      drawSoon(0);
    });
    drawSoon(0);
    await quit;
  } finally {
    over = true;
    alarm?.cancel();
    await device.close();
    draw();
    keyboard.close();
  }
}
