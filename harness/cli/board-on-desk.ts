/** `run --board`: which board, how it is reached, reset and spoken to, from what the command line says. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import type { Clock } from '../clock/clock.ts';
import type { Endpoint } from '../network/network.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import type { BoardSource } from '../runner/board-on-cable.ts';
import type { RoomRecorder } from '../runner/room-capture.ts';
import { commandRecorder, findRecorder, recorderPrograms } from '../runner/room-program.ts';
import { findPlayer, playerPrograms, SoundProgramError } from '../runner/sound-program.ts';
import { loudspeakerVoice } from '../runner/voice-path.ts';
import { parseBoardAddress } from '../serial/board-address.ts';
import { boardQuestion, type ChosenBoard, chooseBoard } from '../serial/board-choice.ts';
import { BoardError } from '../serial/board-error.ts';
import { readRegistry } from '../serial/board-registry.ts';
import { openBoardPort } from '../serial/open-board-port.ts';
import { listPorts } from '../serial/port-list.ts';
import {
  findResetStrategy,
  type ResetStrategy,
  resetStrategies,
} from '../serial/reset-strategy.ts';
import { type RegistryOption, registryPath } from './board-registry-path.ts';
import { CommandError, exitCode } from './exit-code.ts';

export interface BoardOptions extends RegistryOption {
  /** A name of the registry, a port or an address. */
  readonly board?: string;
  /** `host:port` or `host` of this machine, where our server listens. */
  readonly serverAddress?: string;
  /** Default: the loudspeaker when there is a program for it. */
  readonly speak?: 'loudspeaker' | 'person';
  /** Where neither the port nor the registry tells it: a board behind a network address. */
  readonly wiring?: 'bridge' | 'usb-jtag';
  /** Record the room with a microphone of this machine. */
  readonly roomCapture?: boolean;
  /** The command that does it; 16-bit little-endian mono at 16 kHz on its standard output. */
  readonly roomProgram?: string;
  /** A reset strategy, or `none`. Default: by the wiring. */
  readonly reset?: string;
  /** Its firmware has the serial link: server, keys and words go through the cable. Default: Wi-Fi. */
  readonly link?: 'serial';
  /** Of the port; another one than that of the console with `link` only. */
  readonly baud?: number;
}

export interface BoardOnDesk {
  readonly name: string;
  readonly source: BoardSource;
  /** Which board it is and how it is spoken to, for the user. */
  readonly facts: readonly string[];
}

/** What the user is told of the board while it is used. */
export interface BoardVoice {
  /** Something has to be done now; never hidden. */
  ask(text: string): void;
  /** Progress. */
  tell(text: string): void;
}

const defaultPort = 8080;
/** A program that is asked whether it is there. */
const helpLimitMs = 10_000;
/** What the firmware prints at, and the link's default. */
const consoleBaud = 115_200;

/** @throws {CommandError} for options that cannot be meant; {BoardError} when it is not clear which board is */
export async function boardOnDesk(
  told: BoardVoice,
  asked: string,
  options: BoardOptions,
  signal: AbortSignal,
): Promise<BoardOnDesk> {
  const path = registryPath(options);
  const boards = readRegistry(path);
  const find = async (): Promise<ChosenBoard> => {
    const around = { ports: await listPorts(), boards, registryPath: path };
    try {
      return chooseBoard(boardQuestion(asked), around);
    } catch (error) {
      throw error instanceof BoardError ? forThisCommand(error) : error;
    }
  };
  const chosen = await find();
  const { baud = consoleBaud } = options;
  const byLink = options.link === 'serial';
  // Who is not named leaves the words to the link.
  const speak = byLink && options.speak === undefined ? undefined : speaking(options.speak);
  const wiring = chosen.wiring ?? options.wiring;
  const reset = resetOf(options.reset, wiring);
  const serverAddress = addressOf(options.serverAddress);
  const room = recording(options);
  const facts = [
    `board ${asked}: ${chosen.address}, ${chosen.because}`,
    speak !== undefined
      ? 'the words of the user come from the loudspeaker of this machine'
      : byLink && options.speak === undefined
        ? 'server, keys and the words of the user go through its serial link'
        : 'you are asked to say the words of the user',
    ...(room === undefined ? [] : [`the room is recorded by ${room.name}`]),
  ];
  const source: BoardSource = ({ clock }) => ({
    name: asked,
    // By what the board is, so that it is found again under another name of its port.
    openPort: async () => {
      const { address } = await find();
      return openBoardPort(address, { clock, dialer: dialerTo(address, clock), baud, signal });
    },
    wiring,
    ...(byLink && {
      link: {
        baud: wiring === 'usb-jtag' ? null : baud,
        drawBytes: randomBytes,
        carriesWords: options.speak === undefined,
      },
    }),
    reset,
    voice: speak?.(clock),
    room,
    ask: (text) => told.ask(`\u0007>>> ${text}`),
    tell: (text) => told.tell(`${(clock.nowUs() / 1_000_000).toFixed(1).padStart(8)} s  ${text}`),
    serverAddress,
    ownAddresses: ownAddresses(),
    mac: chosen.expectedMac,
  });
  return { name: asked, source, facts };
}

/** Here a port is named by `--board` itself; `boards add` has a `--port` of its own. */
function forThisCommand(error: BoardError): BoardError {
  const [own, ...adding] = error.hint.split(/(?=echokit-harness boards add)/);
  const hint = [own!.replaceAll('--port', '--board'), ...adding].join('');
  return new BoardError(error.code, error.message, hint, error);
}

/** What the user has named, and nothing else outside of this machine. */
function dialerTo(address: string, clock: Clock): SocketNetwork {
  const parsed = parseBoardAddress(address);
  const outside = parsed.kind === 'local' ? [] : [parsed.endpoint];
  return new SocketNetwork({ clock, random: createRandom(1, 'board on desk'), outside });
}

function speaking(
  wanted: BoardOptions['speak'],
): ((clock: Clock) => ReturnType<typeof loudspeakerVoice>) | undefined {
  if (wanted === 'person') return undefined;
  const player = findPlayer(isThere);
  if (player !== undefined) return (clock) => loudspeakerVoice(clock, player);
  if (wanted === undefined) return undefined;
  throw new SoundProgramError(
    'SOUND_PLAYER_MISSING',
    `None of the programs that play a sound is on this machine: ${playerPrograms.join(', ')}.`,
    'Install one of them, or say the words yourself: --speak person',
  );
}

function isThere(program: string): boolean {
  return (
    spawnSync(program, ['--help'], { stdio: 'ignore', timeout: helpLimitMs }).error === undefined
  );
}

/** @throws {SoundProgramError} `SOUND_RECORDER_MISSING` */
function recording({ roomCapture, roomProgram }: BoardOptions): RoomRecorder | undefined {
  if (roomProgram !== undefined) return commandRecorder(roomProgram);
  if (roomCapture !== true) return undefined;
  const { platform } = process;
  const recorder = findRecorder(platform, isThere);
  if (recorder !== undefined) return recorder;
  const known = recorderPrograms(platform);
  throw new SoundProgramError(
    'SOUND_RECORDER_MISSING',
    known.length === 0
      ? `No program is known that records a microphone on ${platform}.`
      : `None of the programs that record a microphone is on this machine: ${known.join(', ')}.`,
    'Name one: --room-program "<command>", which writes 16-bit little-endian mono at 16 kHz to its standard output',
  );
}

/** What resets the board, as far as its wiring is known; a wrong strategy could leave it in download mode. */
function resetOf(
  wanted: string | undefined,
  wiring: ChosenBoard['wiring'],
): ResetStrategy | undefined {
  if (wanted === 'none') return undefined;
  if (wanted !== undefined) return findResetStrategy(wanted);
  if (wiring === undefined) return resetStrategies['run-bridge'];
  return resetStrategies[wiring === 'bridge' ? 'run-bridge' : 'run-usb-jtag'];
}

function addressOf(text: string | undefined): Endpoint | undefined {
  if (text === undefined) return undefined;
  const url = URL.canParse(`ws://${text}/`) ? new URL(`ws://${text}/`) : undefined;
  if (url === undefined || url.hostname === '' || url.pathname !== '/' || url.username !== '') {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      `--server-address "${text}" is no address of this machine.`,
      'write <address>:<port>, as in the URL that is stored on the board: 192.168.1.5:8080',
    );
  }
  // A port that is the scheme's default is not in the URL.
  const port = /:(\d+)$/.exec(text)?.[1];
  return { host: url.hostname, port: port === undefined ? defaultPort : Number(port) };
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).map(({ address }) => address),
  );
}
