/**
 * One conversation from beginning to end: the story of a run. Stand-in, server, board and user are
 * put on one clock and one network; everything they report goes into the recording. In a live run the
 * real service is in the place of the stand-in, and the one address outside that can be reached; with an
 * external server that is.
 */
import type { Clock } from '../clock/clock.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { SystemClock } from '../clock/system-clock.ts';
import type { DeviceEvent } from '../device/device-event.ts';
import { deviceProfiles } from '../device/device-profile.ts';
import { createEmulatedDevice, DeviceError } from '../device/emulated-device.ts';
import { quirkIds } from '../device/quirk.ts';
import type { LaboratoryNetwork } from '../network/laboratory-network.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { networkProfiles } from '../network/network-profile.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { readUserWav } from '../scenario/user-wav.ts';
import { overheard } from '../stand-ins/offline-voice.ts';
import type { Personality } from '../stand-ins/personality.ts';
import type { UnnumberedEvent } from '../trace/recording-writer.ts';
import { emulatedBoard } from './board-in-hand.ts';
import { ScriptedUser } from './scripted-user.ts';
import { openServerSide, outsideOf, type ServerSideOptions } from './server-side.ts';

export interface RunCellOptions extends ServerSideOptions {
  readonly time: 'virtual' | 'real';
  /** Stops the conversation; the recording is completed nevertheless. */
  readonly signal: AbortSignal;
}

export interface RunCellResult {
  readonly outcome: 'finished' | 'interrupted' | 'failed';
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
    return clock.run(converse(options, clock, network));
  }
  const clock = new SystemClock();
  const random = createRandom(options.cell.seed, 'network');
  const outside = outsideOf(options);
  return converse(options, clock, new SocketNetwork({ clock, random, outside }));
}

/** Whether the microphone hears nothing but the user. */
export function isSilentRoom({ device }: Scenario): boolean {
  return device.noiseDbfs === undefined && device.echo === undefined;
}

async function converse(
  options: RunCellOptions,
  clock: Clock,
  network: LaboratoryNetwork,
): Promise<RunCellResult> {
  const { cell, budget, laboratory, writer } = options;
  const signal =
    budget === undefined ? options.signal : AbortSignal.any([options.signal, budget.refused]);
  const { scenario } = cell;
  const { opus, voiceDetection } = laboratory;
  const speakers = new Set<string>();
  const voice = overheard(laboratory.voice, ({ spokenBy }) => {
    for (const speaker of spokenBy) speakers.add(speaker);
  });
  const random = createRandom(cell.seed, 'cell');
  const record = (event: UnnumberedEvent): void => writer.event(event);

  const side = await openServerSide(options, { clock, network, voice, random, record });
  network.setLink(side.endpoint, networkProfiles[cell.network]!.link);
  const device = createEmulatedDevice({
    profile: {
      ...deviceProfiles[cell.device]!,
      quirksOff: quirkIds.filter((id) => scenario.device.quirksOff.includes(id)),
      playerRhythm: scenario.device.playerRhythm,
    },
    deviceId,
    serverUrl: side.url,
    clock,
    dialer: network,
    random: random.fork('device'),
    opus,
    voiceDetection,
    observe: (event: DeviceEvent) => {
      record({ source: 'device', ...event });
      user.hearOf(event);
    },
    acoustics: scenario.device,
    // In a silent room the microphone hears the user, who is recorded as `user.wav`.
    ...(isSilentRoom(scenario) ? {} : { observeMicrophone: writer.microphoneAudio.bind(writer) }),
  });
  const user: ScriptedUser = new ScriptedUser({
    scenario,
    clock,
    board: emulatedBoard(device, clock),
    network: {
      disturb: (disturbance) => network.disturb(side.endpoint, disturbance),
      change: (name) => network.setLink(side.endpoint, networkProfiles[name]!.link),
    },
    networkName: cell.network,
    clip: (turn) =>
      turn.wav === undefined
        ? voice.speak(turn.say ?? '', userVoice).samples
        : readUserWav(turn.wav),
    recordClip: (samples) => writer.userAudio(samples),
    record,
  });

  let outcome: RunCellResult['outcome'] = 'finished';
  let detail: string | undefined;
  try {
    await device.boot();
    await user.converse(signal);
    await clock.sleep(afterglowUs, signal);
  } catch (error) {
    if (!signal.aborted && !(error instanceof DeviceError)) throw error;
    outcome = signal.aborted ? 'interrupted' : 'failed';
    detail = error instanceof Error ? error.message : String(error);
  } finally {
    await device.close();
    record({
      source: 'harness',
      type: 'end',
      atUs: clock.nowUs(),
      outcome,
      ...(detail === undefined ? {} : { detail }),
    });
    // What follows is the clearing of the table; it belongs to no turn and is not recorded.
    const speaker = device.speaker().samples;
    await side.close();
    writer.close(speaker);
  }
  return {
    outcome,
    durationUs: clock.nowUs(),
    spokenBy: [...speakers].sort(),
    personality: side.personality,
  };
}
