/**
 * One conversation from beginning to end: the story of a run. Stand-in, server, board and user are
 * put on one clock and one network; everything they report goes into the recording. In a live run the
 * real service is in the place of the stand-in, and the one address outside that can be reached; with an
 * external server that is.
 */
import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';
import { LagWatch } from '../clock/lag-watch.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { SystemClock } from '../clock/system-clock.ts';
import type { DeviceEvent } from '../device/device-event.ts';
import { type DeviceProfile, deviceProfiles } from '../device/device-profile.ts';
import { createEmulatedDevice, DeviceError } from '../device/emulated-device.ts';
import { quirkIds } from '../device/quirk.ts';
import type { LaboratoryNetwork } from '../network/laboratory-network.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { NetworkError } from '../network/network-error.ts';
import { networkProfiles } from '../network/network-profile.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import type { Cell } from '../scenario/plan.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { readUserWav } from '../scenario/user-wav.ts';
import { noisyPort } from '../serial/line-noise.ts';
import { SerialError } from '../serial/serial-error.ts';
import { overheard } from '../stand-ins/offline-voice.ts';
import type { Personality } from '../stand-ins/personality.ts';
import type { RecordingWriter, UnnumberedEvent } from '../trace/recording-writer.ts';
import { type BoardInHand, type ConversationNetwork, emulatedBoard } from './board-in-hand.ts';
import { type BoardEquipment, BoardOnCable, type BoardSource } from './board-on-cable.ts';
import { BoardRunError } from './board-run-error.ts';
import { FaultInjector, type FaultTargets } from './fault-injector.ts';
import { captureRoom } from './room-capture.ts';
import { ScriptedUser } from './scripted-user.ts';
import {
  openServerSide,
  outsideOf,
  type ServerSide,
  type ServerSideMeans,
  type ServerSideOptions,
} from './server-side.ts';
import { SoundProgramError } from './sound-program.ts';

export interface RunCellOptions extends ServerSideOptions {
  readonly time: 'virtual' | 'real';
  /** A board on a cable in place of the emulated one. The cell's board is then the model of its shadow. */
  readonly board?: BoardSource | undefined;
  /** Boards beside the built-in ones, by name. */
  readonly devices?: ReadonlyMap<string, DeviceProfile> | undefined;
  /** Of the user, for whoever reads the console of a board; `writer` knows them already. */
  readonly secrets?: readonly string[] | undefined;
  /** Stops the conversation; the recording is completed nevertheless. */
  readonly signal: AbortSignal;
}

export interface RunCellResult {
  readonly outcome: 'finished' | 'interrupted' | 'failed';
  /** Why the conversation did not even begin: the board cannot be had, or its server has no place. */
  readonly failedStart?: Error;
  /** How long the conversation took on its own clock. */
  readonly durationUs: number;
  /** Who spoke for the user and for the provider's stand-in: `Speech.spokenBy`, sorted. */
  readonly spokenBy: readonly string[];
  /** Of the stand-in; undefined in a live run and with an external server. */
  readonly personality: Personality | undefined;
}

/** A locally administered MAC address. */
const deviceId = '02ec0e000001';
/** After the last answer, so that its end is on the recording. */
const afterglowUs = 500_000;
/** The voice of the scripted user: another one than the default of the stand-ins. */
export const userVoice = 'rms';

/** Runs the conversation and closes the recording's files; the caller writes its manifest. */
export async function runCell(options: RunCellOptions): Promise<RunCellResult> {
  if (options.time === 'virtual') {
    if (outsideOf(options).length > 0) {
      throw new RangeError('What is outside of this program cannot be reached in virtual time.');
    }
    const clock = new SimulatedClock();
    const network = new MemoryNetwork(clock, createRandom(options.cell.seed, 'network'));
    return clock.run(converse(options, clock, network), virtualLimitUs(options.cell.scenario));
  }
  const clock = new SystemClock();
  const random = createRandom(options.cell.seed, 'network');
  const outside = outsideOf(options);
  return converse(options, clock, new SocketNetwork({ clock, random, outside }));
}

/** The longest that may pass beside the turns: boot, keys, waits for a board that comes back. */
const besideTurnsUs = 3_600_000_000;

/**
 * After so much virtual time a conversation is given up with `CLOCK_LIMIT`: it hangs, in a world in which there is always another
 * alarm. Every turn may take its limit, and as much again until the next one begins.
 */
function virtualLimitUs({ turns }: Scenario): number {
  return turns.reduce((sum, { timeoutMs }) => sum + 2000 * timeoutMs, besideTurnsUs);
}

/** Whether the microphone hears nothing but the user. */
export function isSilentRoom({ device }: Scenario): boolean {
  return device.noiseDbfs === undefined && device.echo === undefined;
}

/** The board of a conversation, its server, and the link between them. */
interface Seat {
  readonly side: ServerSide;
  readonly board: BoardInHand;
  readonly network: ConversationNetwork;
  /** Aborts when the board cannot go on. */
  readonly trouble?: AbortSignal;
  boot(signal: AbortSignal): Promise<void>;
  /** Switches the board off, or lets go of it. */
  leave(): Promise<void>;
  speaker(): Int16Array;
  /** What the speaker of a real board has played, where it hands that out. */
  boardSpeaker?(): Int16Array | undefined;
}

/** What faults of the scenario are done to, beside provider and server. */
function faultTargets(
  board: BoardInHand,
  network: ConversationNetwork,
  side: ServerSide,
  networkName: string,
  writer: RecordingWriter,
): FaultTargets {
  return {
    disturbBoard: (disturbance) => network.disturb(disturbance),
    changeNetwork: (name, back) => network.change(back ? networkName : name),
    intervene: (intervention) => side.intervene(intervention),
    ...(board.suffer !== undefined && { suffer: board.suffer.bind(board) }),
    burdenDisk: (burden) => writer.burden(burden),
  };
}

interface Means extends Omit<ServerSideMeans, 'place'> {
  observe(event: DeviceEvent): void;
}

async function converse(
  options: RunCellOptions,
  clock: Clock,
  network: LaboratoryNetwork,
): Promise<RunCellResult> {
  const { cell, budget, laboratory, writer } = options;
  const { scenario } = cell;
  const speakers = new Set<string>();
  const voice = overheard(laboratory.voice, ({ spokenBy }) => {
    for (const speaker of spokenBy) speakers.add(speaker);
  });
  const random = createRandom(cell.seed, 'cell');
  const record = (event: UnnumberedEvent): void => writer.event(event);
  let user: ScriptedUser | undefined;
  const observe = (event: DeviceEvent): void => {
    record({ source: 'device', ...event });
    user?.hearOf(event);
  };
  const faults = new FaultInjector({ scenario, clock, random: random.fork('faults'), record });
  const means = { clock, network, voice, random, faults, record, observe };

  const lagWatch = clock.kind === 'real' ? new LagWatch(clock) : undefined;
  let outcome: RunCellResult['outcome'] = 'finished';
  let failedStart: Error | undefined;
  let detail: string | undefined;
  let seat: Seat | undefined;
  const stops = [options.signal, writer.failed];
  if (budget !== undefined) stops.push(budget.refused);
  let signal = AbortSignal.any(stops);
  try {
    seat =
      options.board === undefined
        ? await emulatedSeat(options, means)
        : await seatOnCable(options, options.board, means);
    const { trouble, side, board: inHand, network: between } = seat;
    if (trouble !== undefined) signal = AbortSignal.any([...stops, trouble]);
    Object.assign(faults.targets, faultTargets(inHand, between, side, cell.network, writer));
    user = new ScriptedUser({
      scenario,
      clock,
      board: inHand,
      network: between,
      faults,
      networkName: cell.network,
      intervene: (intervention) => side.intervene(intervention),
      clip: ({ wav, say = '' }) =>
        wav === undefined ? voice.speak(say, userVoice).samples : readUserWav(wav),
      recordClip: (samples) => writer.userAudio(samples),
      record,
    });
    await seat.boot(signal);
    await user.converse(signal);
    await clock.sleep(afterglowUs, signal);
    await seat.side.conclude();
  } catch (error) {
    const stopped = stops.some(({ aborted }) => aborted);
    if (!stopped && !isBoardTrouble(error, options.board !== undefined)) throw error;
    outcome = stopped ? 'interrupted' : 'failed';
    if (!stopped && seat === undefined) failedStart = error as Error;
    detail = error instanceof Error ? error.message : String(error);
    if (!stopped) recordFailure(error, seat?.trouble, clock, record);
  } finally {
    faults.close();
    await seat?.leave();
    const speaker = seat?.speaker() ?? new Int16Array(0);
    // What the server reports of its end belongs to no turn; the end of the recording is behind it.
    await seat?.side.close();
    const lag = lagWatch?.stop() ?? null;
    if (lag !== null) record({ source: 'harness', type: 'lag', atUs: clock.nowUs(), ...lag });
    record({
      source: 'harness',
      type: 'end',
      atUs: clock.nowUs(),
      outcome,
      ...(detail === undefined ? {} : { detail }),
    });
    writer.close(speaker, seat?.boardSpeaker?.());
  }
  return {
    outcome,
    ...(failedStart !== undefined && { failedStart }),
    durationUs: clock.nowUs(),
    spokenBy: [...speakers].sort(),
    personality: seat?.side.personality,
  };
}

async function emulatedSeat(options: RunCellOptions, means: Means): Promise<Seat> {
  const { cell, laboratory, writer } = options;
  const { clock, network, random, observe } = means;
  const { scenario } = cell;
  const side = await openServerSide(options, means);
  network.setLink(side.endpoint, networkProfiles[cell.network]!.link);
  const device = createEmulatedDevice({
    profile: profileOf(options),
    deviceId,
    serverUrl: side.url.replace(/^ws:/, `${scenario.device.scheme}:`),
    clock,
    dialer: network,
    random: random.fork('device'),
    opus: laboratory.opus,
    voiceDetection: laboratory.voiceDetection,
    observe,
    acoustics: scenario.device,
    // In a silent room the microphone hears the user, who is recorded as `user.wav`.
    ...(isSilentRoom(scenario) ? {} : { observeMicrophone: writer.microphoneAudio.bind(writer) }),
  });
  return {
    side,
    board: emulatedBoard(device, clock),
    network: {
      disturb: (disturbance) => void network.disturb(side.endpoint, disturbance),
      change: (name) => network.setLink(side.endpoint, networkProfiles[name]!.link),
    },
    boot: () => device.boot(),
    leave: () => device.close(),
    speaker: () => device.speaker().samples,
  };
}

/** The board is found first: it says where its server has to be. */
async function seatOnCable(
  options: RunCellOptions,
  source: BoardSource,
  means: Means,
): Promise<Seat> {
  const { cell, laboratory, writer, signal } = options;
  const { clock, network, random, faults, record, observe } = means;
  const found = source({ clock, network });
  const noise = random.fork('line');
  const equipment: BoardEquipment = {
    ...found,
    openPort: async () => noisyPort(await found.openPort(), noise, faults.lineNoise),
  };
  const board = new BoardOnCable({
    equipment,
    profile: profileOf(options),
    clock,
    random: random.fork('board'),
    opus: laboratory.opus,
    voiceDetection: laboratory.voiceDetection,
    dialer: network,
    secrets: options.secrets,
    record,
    observe,
  });
  faults.targets.disturbLine = () => board.disturbLine();
  try {
    const endpoint = await board.locate(signal);
    const place = { endpoint, attach: (stream: Duplex) => board.attach(stream) };
    const side = await openServerSide(options, { ...means, place });
    board.serveAt(side.endpoint);
    const { room: recorder } = equipment;
    const room =
      recorder === undefined ? undefined : captureRoom({ recorder, clock, writer, record });
    // Has a meaning for a board that is virtual and dials through this network; a real one has its own air.
    network.setLink(side.endpoint, networkProfiles[cell.network]!.link);
    return {
      side,
      board,
      network: {
        disturb: (disturbance) => board.disturb(disturbance),
        change: (name) => network.setLink(side.endpoint, networkProfiles[name]!.link),
      },
      trouble: board.trouble,
      boot: (stop) => board.boot(stop),
      leave: async () => {
        await board.close();
        await room?.stop();
      },
      speaker: () => board.speaker(),
      boardSpeaker: () => board.ownSpeaker(),
    };
  } catch (error) {
    await board.close();
    throw error;
  }
}

/** The board of a cell as it is emulated, with what its scenario changes about it. */
export function profileOf({
  cell,
  devices,
}: Pick<RunCellOptions, 'cell' | 'devices'>): DeviceProfile {
  const profile = devices?.get(cell.device) ?? deviceProfiles[cell.device];
  if (profile === undefined) throw new RangeError(`There is no board "${cell.device}".`);
  return { ...profile, ...quirksOf(cell) };
}

/** What a scenario changes about a board. */
function quirksOf({ scenario }: Cell): Pick<DeviceProfile, 'quirksOff' | 'playerRhythm'> {
  const { quirksOff, playerRhythm } = scenario.device;
  return { quirksOff: quirkIds.filter((id) => quirksOff.includes(id)), playerRhythm };
}

/** What says nothing about the product: the board cannot be reached or spoken to, or is not as it should be. */
function isBoardTrouble(error: unknown, onCable: boolean): error is Error {
  return error instanceof DeviceError || (onCable && isTroubleOnCable(error));
}

function isTroubleOnCable(
  error: unknown,
): error is BoardRunError | SerialError | SoundProgramError | NetworkError {
  return (
    error instanceof BoardRunError ||
    error instanceof SerialError ||
    error instanceof SoundProgramError ||
    // The server of its port, or the address at which ours has to listen for it.
    error instanceof NetworkError
  );
}

/** Trouble that was noticed while the user was busy is on record; what stopped the start is not. */
function recordFailure(
  error: unknown,
  trouble: AbortSignal | undefined,
  clock: Clock,
  record: (event: UnnumberedEvent) => void,
): void {
  if (trouble?.reason === error || !isTroubleOnCable(error)) return;
  const { code, message, hint } = error;
  record({ source: 'harness', type: 'boardFailure', atUs: clock.nowUs(), code, message, hint });
}
