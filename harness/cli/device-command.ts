import { nearestName } from '../../adapters/nearest-name.ts';
import { SystemClock } from '../clock/system-clock.ts';
import type { Acoustics } from '../device/acoustics.ts';
import { ConsolePrinter } from '../device/console.ts';
import type { DeviceEvent } from '../device/device-event.ts';
import { type DeviceProfile, deviceProfiles } from '../device/device-profile.ts';
import { createEmulatedDevice, type EmulatedDevice } from '../device/emulated-device.ts';
import { quirkIds } from '../device/quirk.ts';
import { checkWritable, writeWhole } from '../files/written-file.ts';
import { findAudible } from '../metrics/audibility.ts';
import { endpointOfUrl } from '../network/endpoint-url.ts';
import { readAuthorities } from '../network/server-certificate.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { neutralize } from '../report/terminal-text.ts';
import { secretsOfServerUrl } from '../server/access-token.ts';
import { SecretMask } from '../trace/secret-mask.ts';
import { encodeWav } from '../trace/wav-file.ts';
import { closeText } from './close-code.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { playInteractively } from './interactive-device.ts';
import { processKeyboard } from './keyboard.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface DeviceCommandOptions {
  readonly say: readonly string[];
  readonly board: string;
  readonly id: string;
  readonly save?: string;
  readonly timeout: number;
  /** Ids, not yet checked. */
  readonly quirksOff: readonly string[];
  readonly noiseDbfs?: number;
  readonly echoDb?: number;
  readonly echoDelayMs?: number;
  readonly console: boolean;
  /** Certificates of the authority of a server at `wss:`. */
  readonly ca?: string;
}

/** Of silence before each clip. */
const beforeClipUs = 300_000;
const readyLimitSeconds = 20;

/**
 * `device`: an emulated board against any EchoKit server, in real time: at a keyboard with its keys, otherwise, or
 * with `--say`, as a conversation that ends by itself.
 */
export async function deviceCommand(
  terminal: Terminal,
  url: string,
  options: DeviceCommandOptions,
): Promise<number> {
  checkArguments(url, options);
  const profile = profileOf(options);
  const texts = options.say.length > 0 ? options.say : ['Hello. How far away is the moon?'];
  const authorities = options.ca === undefined ? undefined : readAuthorities(options.ca);
  const clock = new SystemClock();
  const random = createRandom(1, 'device');
  const { opus, voiceDetection, voice } = await openCommandLaboratory(terminal);
  const signal = interruptSignal(terminal, 'switching the board off.');
  const create = (observe: (event: DeviceEvent) => void): EmulatedDevice =>
    createEmulatedDevice({
      profile,
      deviceId: options.id,
      serverUrl: url,
      clock,
      dialer: new SocketNetwork({
        clock,
        random: random.fork('network'),
        outside: [endpointOfUrl(new URL(url))],
        ...(authorities !== undefined && { authorities }),
      }),
      speaksTls: authorities !== undefined,
      random,
      opus,
      voiceDetection,
      observe,
      acoustics: acousticsOf(options),
    });
  const keyboard = options.say.length > 0 ? undefined : processKeyboard();
  if (keyboard !== undefined) {
    let device: EmulatedDevice | undefined;
    await playInteractively({
      clock,
      profile,
      serverUrl: new SecretMask(secretsOfServerUrl(url)).text(url),
      keyboard,
      speak: (text) => voice.speak(text, 'rms').samples,
      createDevice: (observe) => {
        device = create(observe);
        return device;
      },
      signal,
    });
    if (options.save !== undefined) saveSpeaker(terminal, options.save, device!);
    return exitCode.passed;
  }

  const clips = texts.map((text) => voice.speak(text, 'rms').samples);
  let changed = (): void => {};
  let answered = 0;
  let rebooted: string | undefined;
  let booted = false;
  let switchedOff = false;
  let said: string | undefined;
  let firstSound: ((atUs: number) => void) | undefined;
  const board = new ConsolePrinter({ profile, serverUrl: url });
  // What is not the board's must not stand between the lines of its console.
  const remark = options.console ? terminal.say : terminal.print;
  const device = create((event) => {
    if (options.console) printConsole(terminal, board.print(event));
    else {
      // Without its first connection the command ends, and says why.
      const isLast = event.type === 'connectFailed' && !booted;
      const line = isLast
        ? undefined
        : switchedOff && event.type === 'disconnected'
          ? `the board is switched off, and connection ${event.connection} ends without a goodbye`
          : describe(event);
      if (line !== undefined) terminal.say(`${seconds(event.atUs)}  ${line}`);
    }
    const understood = event.type === 'log' ? understoodIn(event.message) : undefined;
    if (said !== undefined && understood !== undefined && isOther(said, understood)) {
      said = undefined;
      terminal.say(
        `${seconds(event.atUs)}  the server understood "${printable(understood)}" and answers that: ` +
          'serve and the stand-ins follow a script, whatever is said',
      );
    }
    if (event.type === 'frameHandled' && event.event === 'EndResponse') answered++;
    if (event.type === 'playStart') firstSound?.(event.atUs);
    if (event.type === 'reboot') rebooted = event.cause;
    changed();
  });
  const until = async (condition: () => boolean, limitSeconds: number): Promise<boolean> => {
    const limitUs = clock.nowUs() + limitSeconds * 1_000_000;
    while (!condition() && !signal.aborted && rebooted === undefined) {
      if (clock.nowUs() >= limitUs) return false;
      await new Promise<void>((resolve) => {
        const alarm = clock.after(Math.min(200_000, limitUs - clock.nowUs()), resolve);
        changed = () => {
          alarm.cancel();
          resolve();
        };
      });
    }
    return condition();
  };

  let failure: string | undefined;
  try {
    await device.boot();
    booted = true;
    device.press('k0', 'short');
    if (!(await until(() => device.state === 'Listening', readyLimitSeconds))) {
      failure = rebooted ?? `the board is ${device.state} and does not listen`;
    }
    for (const [index, clip] of clips.entries()) {
      if (failure !== undefined || signal.aborted) break;
      await clock.sleep(beforeClipUs);
      const already = answered;
      const voicedUs = Math.round(((findAudible(clip)?.last ?? clip.length) + 1) * 62.5);
      const userStopUs = clock.nowUs() + voicedUs;
      let heardUs: number | undefined;
      firstSound = (atUs) => {
        if (atUs > userStopUs) heardUs ??= atUs;
      };
      terminal.say(`${seconds(clock.nowUs())}  user: ${texts[index]}`);
      said = texts[index];
      device.hear(clip);
      const over = await until(() => answered > already, options.timeout);
      if (!over && !signal.aborted) {
        failure =
          rebooted ?? `no EndResponse within ${options.timeout} s; the board is ${device.state}`;
      }
      if (heardUs !== undefined) {
        const ms = Math.round((heardUs - userStopUs) / 1000);
        remark(`turn ${index + 1}: first sample of the answer ${ms} ms after the user's last`);
      }
    }
  } finally {
    switchedOff = true;
    await device.close();
    if (options.save !== undefined) saveSpeaker({ print: remark }, options.save, device);
  }
  if (signal.aborted) return exitCode.interrupted;
  if (failure === undefined) return exitCode.passed;
  terminal.say(`The conversation failed: ${failure}.`);
  return exitCode.expectationFailed;
}

function saveSpeaker(
  terminal: Pick<Terminal, 'print'>,
  path: string,
  device: EmulatedDevice,
): void {
  const { samples } = device.speaker();
  writeWhole(path, encodeWav(samples));
  terminal.print(`${path}: ${(samples.length / 16_000).toFixed(1)} s from the speaker`);
}

/** Line by line; a server's text must not act on the terminal. */
function printConsole(terminal: Terminal, text: string): void {
  for (const line of text.split(/\r?\n/)) {
    if (line !== '') terminal.print(neutralize(line));
  }
}

function profileOf({ board, quirksOff }: DeviceCommandOptions): DeviceProfile {
  const off = quirkIds.filter((id) => quirksOff.includes(id));
  return { ...deviceProfiles[board]!, quirksOff: off };
}

function acousticsOf({ noiseDbfs, echoDb, echoDelayMs = 0 }: DeviceCommandOptions): Acoustics {
  return {
    ...(noiseDbfs !== undefined && { noiseDbfs }),
    ...(echoDb !== undefined && { echo: { db: echoDb, delayMs: echoDelayMs } }),
  };
}

function usage(message: string, hint: string): CommandError {
  return new CommandError('USAGE', exitCode.usage, message, hint);
}

function checkArguments(url: string, options: DeviceCommandOptions): void {
  // Better at the start than when the conversation is over.
  if (options.save !== undefined) checkWritable(options.save);
  if (options.say.some((text) => text.trim() === '')) {
    throw usage(
      '--say has no text: nobody would speak.',
      'for example: --say "How far is the moon?"',
    );
  }
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== 'ws:' && !(parsed?.protocol === 'wss:' && options.ca !== undefined)) {
    throw usage(
      `"${url}" is not a URL a board can use.`,
      'boards know only ws:// URLs, for example ws://127.0.0.1:8080/ws/; with --ca this one speaks wss:// all the same',
    );
  }
  if (!Object.hasOwn(deviceProfiles, options.board)) {
    const names = Object.keys(deviceProfiles).join(', ');
    throw usage(`There is no board "${options.board}".`, `boards: ${names}`);
  }
  if (!/^[0-9a-f]{12}$/.test(options.id)) {
    throw usage(`"${options.id}" is not a device id.`, 'an id has 12 lower-case hex digits');
  }
  for (const id of options.quirksOff) {
    if (quirkIds.some((known) => known === id)) continue;
    const meant = nearestName(id, quirkIds);
    throw usage(
      `There is no quirk "${id}"${meant === undefined ? '.' : `; did you mean ${meant}?`}`,
      `quirks: ${quirkIds.join(', ')}`,
    );
  }
  if (options.echoDelayMs !== undefined && options.echoDb === undefined) {
    throw usage(
      '--echo-delay-ms means nothing without --echo-db: the microphone does not hear the speaker.',
      'for example: --echo-db -12 --echo-delay-ms 20',
    );
  }
}

function describe(event: DeviceEvent): string | undefined {
  switch (event.type) {
    case 'connected':
      return `connected${event.reconnect ? ' again' : ''}`;
    case 'connectFailed':
      return `connection failed: ${event.message}`;
    case 'disconnected':
      return closeText(event.connection, event.code);
    case 'state':
      return `${event.from} → ${event.to} (${event.cause})`;
    case 'display':
      return `screen: ${printable(event.text)}`;
    case 'underrunEnd':
      return `underrun of ${event.cycles * 16} ms in sentence ${event.sentence}`;
    case 'frameRejected':
      return `message not understood: ${printable(event.reason)}`;
    case 'reboot':
      return `REBOOT: ${event.cause}`;
    default:
      return undefined;
  }
}

/** What the server has recognized, from the line of the console that shows it. */
function understoodIn(message: string): string | undefined {
  return /^Received ASR: "(.*)"$/s.exec(message)?.[1];
}

/** Neither the same words nor the beginning of them, as it comes while somebody speaks. */
function isOther(said: string, understood: string): boolean {
  const [one, two] = [said, understood].map((text) =>
    text.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, ''),
  );
  return !(one!.startsWith(two!) || two!.startsWith(one!));
}

/** A server's text must not act on the terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}|\p{Cf}/gu, '·');
}

function seconds(atUs: number): string {
  return `${(atUs / 1_000_000).toFixed(3).padStart(9)} s`;
}
