/**
 * One conversation from beginning to end: the story of a run. Stand-in, server, board and user are
 * put on one clock and one network; everything they report goes into the recording. In a live run the
 * real service is in the place of the stand-in, and the one address outside that can be reached.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
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
import type { Cell } from '../scenario/plan.ts';
import type { Turn } from '../scenario/scenario.ts';
import { readUserWav } from '../scenario/user-wav.ts';
import { createAdapterServer } from '../server/adapter-server.ts';
import { compatOf, compatSettings, openCompatSpeech } from '../server/compat.ts';
import { endOfSpeechDefaults } from '../server/end-of-speech.ts';
import { overheard } from '../stand-ins/offline-voice.ts';
import type { Personality } from '../stand-ins/personality.ts';
import type { RecordingWriter, UnnumberedEvent } from '../trace/recording-writer.ts';
import { openDialogueServices } from './dialogue-services.ts';
import type { Laboratory } from './laboratory.ts';
import { personalityOf } from './personality-choice.ts';
import { endpointsOf, type ProviderEntry } from './provider-catalog.ts';
import { impersonateProvider } from './provider-stand-ins.ts';
import { type RequestBudget, withinBudget } from './request-budget.ts';
import { ScriptedUser } from './scripted-user.ts';

export interface RunCellOptions {
  readonly cell: Cell;
  readonly provider: ProviderEntry;
  readonly time: 'virtual' | 'real';
  /** Speaks with the real service; only in real time. */
  readonly live: boolean;
  /** Asked before every request. The conversation ends when it refuses one. Absent: no limit. */
  readonly budget?: RequestBudget | undefined;
  readonly laboratory: Laboratory;
  readonly writer: RecordingWriter;
  /** Stops the conversation; the recording is completed nevertheless. */
  readonly signal: AbortSignal;
}

export interface RunCellResult {
  readonly outcome: 'finished' | 'interrupted' | 'failed';
  /** How long the conversation took on its own clock. */
  readonly durationUs: number;
  /** Who spoke for the user and for the provider's stand-in: `Speech.spokenBy`, sorted. */
  readonly spokenBy: readonly string[];
  /** Of the stand-in; undefined in a live run. */
  readonly personality: Personality | undefined;
}

/** Where the board finds the server; a name that only exists in the laboratory. */
const serverEndpoint = { host: 'echokit-server', port: 8080 };
/** A locally administered MAC address. */
const deviceId = '02ec0e000001';
/** After the last answer, so that its end is on the recording. */
const afterglowUs = 500_000;
/** The voice of the scripted user: another one than the default of the stand-ins. */
const userVoice = 'rms';

/** Runs the conversation and closes the recording's files; the caller writes its manifest. */
export async function runCell(options: RunCellOptions): Promise<RunCellResult> {
  if (options.time === 'virtual') {
    if (options.live) throw new RangeError('A real service cannot be spoken with in virtual time.');
    const clock = new SimulatedClock();
    const network = new MemoryNetwork(clock, createRandom(options.cell.seed, 'network'));
    return clock.run(converse(options, clock, network));
  }
  const clock = new SystemClock();
  const random = createRandom(options.cell.seed, 'network');
  const outside = options.live ? endpointsOf(options.provider) : [];
  return converse(options, clock, new SocketNetwork({ clock, random, outside }));
}

async function converse(
  options: RunCellOptions,
  clock: Clock,
  network: LaboratoryNetwork,
): Promise<RunCellResult> {
  const { cell, provider, live, budget, laboratory, writer } = options;
  const signal =
    budget === undefined ? options.signal : AbortSignal.any([options.signal, budget.refused]);
  const { scenario } = cell;
  const { opus, voiceDetection, encoder } = laboratory;
  const speakers = new Set<string>();
  const voice = overheard(laboratory.voice, ({ spokenBy }) => {
    for (const speaker of spokenBy) speakers.add(speaker);
  });
  const random = createRandom(cell.seed, 'cell');
  const record = (event: UnnumberedEvent): void => writer.event(event);

  const personality = personalityOf(provider, cell);
  const standIns = live
    ? undefined
    : await impersonateProvider(provider, network, {
        voice,
        encoder,
        clock,
        random: random.fork('stand-in'),
        changes: scenario.standIn,
        ...(personality !== undefined && { personality }),
        onFault: (report) => record({ source: 'harness', type: 'fault', ...report }),
      });
  const compat = compatOf(cell.server, scenario.server.compatExcept);
  const session = openCompatSpeech({
    compat,
    tts: provider.tts,
    deps: {
      clock,
      dialer: network,
      // Ids of requests are made of these, and a real service has seen those of every run before.
      randomBytes: live ? randomBytes : (count) => random.bytes(count),
      observe: (wire) => writer.wire(wire),
    },
    limit: (opened) => (budget === undefined ? opened : withinBudget(opened, budget)),
    onRetry: (event) => record({ source: 'provider', ...event }),
  });
  const dialogue = await openDialogueServices(scenario, network, {
    clock,
    random: random.fork('dialogue'),
    turnOf: (turn): Turn | undefined => scenario.turns[turn - 1],
  });
  const hello = scenario.server.helloWav;
  const server = createAdapterServer({
    clock,
    opus,
    voiceDetection,
    speech: session,
    platform: provider.tts.platform,
    settings: {
      endOfSpeech: { ...endOfSpeechDefaults, ...scenario.server.vad },
      ...compatSettings(compat, provider.tts.platform),
    },
    recognizer: dialogue.recognizer,
    replies: dialogue.replies,
    ...(hello === undefined ? {} : { hello: readFileSync(hello) }),
    observe: record,
    observeAudio: (audio) => {
      if (audio.kind === 'provider') writer.providerAudio(audio.request, audio.samples);
      else writer.sentAudio(audio.samples);
    },
  });
  network.setLink(serverEndpoint, networkProfiles[cell.network]!.link);
  const listener = await network.impersonate(serverEndpoint, (stream: Duplex) =>
    server.accept(stream),
  );
  const device = createEmulatedDevice({
    profile: {
      ...deviceProfiles[cell.device]!,
      quirksOff: quirkIds.filter((id) => scenario.device.quirksOff.includes(id)),
    },
    deviceId,
    serverUrl: `ws://${serverEndpoint.host}:${serverEndpoint.port}/ws/`,
    clock,
    dialer: network,
    random: random.fork('device'),
    opus,
    voiceDetection,
    observe: (event: DeviceEvent) => {
      record({ source: 'device', ...event });
      user.hearOf(event);
    },
  });
  const user: ScriptedUser = new ScriptedUser({
    scenario,
    clock,
    device,
    network,
    networkName: cell.network,
    serverEndpoint,
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
    await server.close();
    await session.close();
    await dialogue.close();
    await standIns?.close();
    await listener.close();
    writer.close(speaker);
  }
  return {
    outcome,
    durationUs: clock.nowUs(),
    spokenBy: [...speakers].sort(),
    personality: standIns?.personality,
  };
}
