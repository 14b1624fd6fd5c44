import { createInterface } from 'node:readline';
import type { Clock } from '../clock/clock.ts';
import { SystemClock } from '../clock/system-clock.ts';
import { deviceProfiles } from '../device/device-profile.ts';
import { endpointOfUrl } from '../network/endpoint-url.ts';
import type { Listener } from '../network/network.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import {
  type StandingFault,
  type SuddenFaultName,
  standingFaults,
  suddenFaults,
} from '../virtual-board/fault.ts';
import { listenOnSocket } from '../virtual-board/network-link.ts';
import { PtyLink } from '../virtual-board/pty-link.ts';
import { listenWithRfc2217 } from '../virtual-board/rfc2217-server.ts';
import { VirtualBoard, type VirtualBoardEvent } from '../virtual-board/virtual-board.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { openAddressWarning } from './open-address.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface VirtualBoardCommandOptions {
  readonly pty?: string;
  readonly rfc2217?: number;
  readonly socket?: number;
  readonly host: string;
  readonly board: string;
  readonly firmware?: string;
  readonly wiring: 'bridge' | 'usb-jtag';
  /** Firmware with the serial link, and the rate of its UART. */
  readonly serialLink?: number;
  readonly id: string;
  readonly server: string;
  readonly fault: readonly string[];
}

/** A sudden fault without `@seconds` happens this long after the start. */
const faultAfterSeconds = 15;

/** What can be typed, and what it does. */
const inputHelp =
  'type: k0 | k0 long | say <text> | fail <fault> | power off | power on | quit (each with Enter)';

/** `virtual-board`: a board at a port of this machine, until it is interrupted. */
export async function virtualBoardCommand(
  terminal: Terminal,
  options: VirtualBoardCommandOptions,
): Promise<number> {
  const { profile, standing, sudden } = checkOptions(options);
  const clock = new SystemClock();
  const random = createRandom(1, 'virtual-board');
  const { opus, voiceDetection, voice } = await openCommandLaboratory(terminal);
  const signal = interruptSignal(terminal, 'switching the board off.');
  const network = new SocketNetwork({
    clock,
    random: random.fork('network'),
    outside: [endpointOfUrl(new URL(options.server))],
  });
  const board = new VirtualBoard({
    profile,
    mac: options.id,
    serverUrl: options.server,
    wiring: options.wiring,
    clock,
    dialer: network,
    random,
    opus,
    voiceDetection,
    faults: standing,
    ...(options.serialLink !== undefined && { serialLink: { baud: options.serialLink } }),
    observe: (event) => {
      const line = describe(event);
      if (line !== undefined) terminal.say(`${seconds(event.atUs)}  ${line}`);
    },
  });
  const listeners: Listener[] = [];
  let link: PtyLink | undefined;
  const end = new AbortController();
  signal.addEventListener('abort', () => end.abort());
  const input = createInterface({ input: process.stdin, terminal: false });
  try {
    const { host } = options;
    if (options.rfc2217 !== undefined) {
      const endpoint = { host, port: options.rfc2217 };
      const listener = await listenWithRfc2217({ network, endpoint, board });
      listeners.push(listener);
      terminal.print(`rfc2217://${host}:${listener.endpoint.port}`);
    }
    if (options.socket !== undefined) {
      const listener = await listenOnSocket(network, { host, port: options.socket }, board);
      listeners.push(listener);
      terminal.print(`socket://${host}:${listener.endpoint.port}`);
    }
    const warning =
      listeners.length === 0 ? undefined : openAddressWarning(host, 'the console of this board');
    if (warning !== undefined) terminal.say(warning);
    board.powerOn();
    if (options.pty !== undefined) {
      let shown: string | undefined;
      link = await PtyLink.start({
        board,
        path: options.pty,
        onReady: (path) => {
          if (path !== shown) terminal.print(path);
          shown = path;
        },
      });
    }
    terminal.say(inputHelp);
    for (const { name, atSeconds } of sudden) {
      clock.after(atSeconds * 1_000_000, () => board.fail(name));
    }
    input.on('line', (line) => {
      const said = act(line.trim(), board, clock, (text) => voice.speak(text, 'rms').samples);
      if (said === 'quit') end.abort();
      else if (said !== undefined) terminal.say(said);
    });
    await new Promise<void>((resolve) => {
      if (end.signal.aborted) resolve();
      end.signal.addEventListener('abort', () => resolve());
    });
  } finally {
    input.close();
    await board.close();
    await link?.close();
    for (const listener of listeners) await listener.close();
  }
  return signal.aborted ? exitCode.interrupted : exitCode.passed;
}

/** Does what was typed; returns what there is to say about it. */
function act(
  line: string,
  board: VirtualBoard,
  clock: Clock,
  speak: (text: string) => Int16Array,
): string | undefined {
  const [, word, rest = ''] = /^(\S*)\s*(.*)$/.exec(line)!;
  switch (word) {
    case '':
      return undefined;
    case 'quit':
      return 'quit';
    case 'k0': {
      const key = board.holdButton();
      clock.after(rest === 'long' ? 1_300_000 : 200_000, () => key.release());
      return undefined;
    }
    case 'say':
      if (rest === '') return 'say what? For example: say How far away is the moon?';
      board.hear(speak(rest));
      return undefined;
    case 'power':
      if (rest === 'on') board.powerOn();
      else if (rest === 'off') board.powerOff();
      else return 'power on or power off?';
      return undefined;
    case 'fail':
      if (!Object.hasOwn(suddenFaults, rest)) {
        return `There is no fault "${rest}" that happens once: ${Object.keys(suddenFaults).join(', ')}`;
      }
      board.fail(rest as SuddenFaultName);
      return undefined;
    default:
      return `"${word}" is not understood. ${inputHelp}`;
  }
}

function checkOptions(options: VirtualBoardCommandOptions) {
  const usage = (message: string, hint: string): CommandError =>
    new CommandError('USAGE', exitCode.usage, message, hint);
  if (options.pty === undefined && options.rfc2217 === undefined && options.socket === undefined) {
    throw usage(
      'The board needs a port: --pty, --rfc2217 or --socket.',
      'for example: virtual-board --pty /tmp/board',
    );
  }
  const { board, firmware, server } = options;
  const name =
    firmware === undefined || Object.hasOwn(deviceProfiles, `${board}@${firmware}`) === false
      ? board
      : `${board}@${firmware}`;
  const profile = Object.hasOwn(deviceProfiles, name) ? deviceProfiles[name] : undefined;
  if (profile === undefined || (firmware !== undefined && profile.firmware.version !== firmware)) {
    const names = Object.keys(deviceProfiles).join(', ');
    throw usage(
      `There is no board "${board}"${firmware === undefined ? '' : ` with firmware ${firmware}`}.`,
      `boards, with their firmware behind @ unless it is the newest: ${names}`,
    );
  }
  if (!/^[0-9a-f]{12}$/.test(options.id)) {
    throw usage(`"${options.id}" is not a device id.`, 'an id has 12 lower-case hex digits');
  }
  if (!URL.canParse(server) || new URL(server).protocol !== 'ws:') {
    throw usage(
      `"${server}" is not a URL a board can use.`,
      'boards know only ws:// URLs, for example ws://127.0.0.1:8080/ws/',
    );
  }
  const standing: StandingFault[] = [];
  const sudden: { readonly name: SuddenFaultName; readonly atSeconds: number }[] = [];
  for (const text of options.fault) {
    const [, fault, at] = /^([^@]*)(?:@(\d+(?:\.\d+)?))?$/.exec(text) ?? [];
    if (fault !== undefined && Object.hasOwn(suddenFaults, fault)) {
      const atSeconds = at === undefined ? faultAfterSeconds : Number(at);
      sudden.push({ name: fault as SuddenFaultName, atSeconds });
    } else if (fault !== undefined && at === undefined && Object.hasOwn(standingFaults, fault)) {
      standing.push(fault as StandingFault);
    } else {
      throw usage(
        `There is no fault "${text}".`,
        `always: ${Object.keys(standingFaults).join(', ')}; once, with @seconds behind it: ${Object.keys(suddenFaults).join(', ')}`,
      );
    }
  }
  return { profile, standing, sudden };
}

function describe(event: VirtualBoardEvent): string | undefined {
  switch (event.type) {
    case 'reset':
      return `reset 0x${event.cause.toString(16)}, ${event.into === 'run' ? 'boots' : 'download mode'}`;
    case 'setup':
      return 'set-up mode';
    case 'power':
      return `power ${event.on ? 'on' : 'off'}`;
    case 'port':
      return `port ${event.present ? 'present' : 'gone'}`;
    case 'fault':
      return `fault: ${event.fault}`;
    case 'device':
      return event.event.type === 'state' ? `${event.event.from} → ${event.event.to}` : undefined;
  }
}

function seconds(atUs: number): string {
  return `${(atUs / 1_000_000).toFixed(3).padStart(9)} s`;
}
