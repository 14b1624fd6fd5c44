import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeviceProfile } from '../device/device-profile.ts';
import { blameUnderruns, type UnderrunBlame } from '../metrics/blame.ts';
import type { BoardMeasurement } from '../metrics/board-measurement.ts';
import { readConversation } from '../metrics/conversation.ts';
import type { CellMeasurement } from '../metrics/measure.ts';
import { measureRoom, type RoomMeasurement } from '../metrics/room-measurement.ts';
import { endpointName } from '../network/laboratory-network.ts';
import type { RecordedTraffic } from '../replay/recorded-exchange.ts';
import { type Cell, cellName, externalServer, type Plan } from '../scenario/plan.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { compatOf } from '../server/compat.ts';
import type { Personality } from '../stand-ins/personality.ts';
import type {
  ManifestBoard,
  ManifestEnvironment,
  ManifestInputs,
  ManifestPersonality,
  ManifestPlan,
  ManifestSource,
  RecordingManifest,
} from '../trace/manifest.ts';
import type { Recording } from '../trace/recorded-cell.ts';
import { earlierTryName } from '../trace/recorded-files.ts';
import { readRecording } from '../trace/recording-reader.ts';
import {
  boardSpeakerFile,
  microphoneFile,
  RecordingWriteError,
  RecordingWriter,
  roomFile,
} from '../trace/recording-writer.ts';
import {
  type ReplayKind,
  type TraceEvent,
  type TraceHeader,
  traceFormatVersion,
} from '../trace/trace-event.ts';
import type { Verdict } from '../verdict/judge.ts';
import { whyNoOtherTry } from '../verdict/second-try.ts';
import type { BoardSource } from './board-on-cable.ts';
import { inputDigests } from './input-digests.ts';
import type { Laboratory } from './laboratory.ts';
import { checkPersonalities } from './personality-choice.ts';
import { exampleTable, type ProviderEntry, providerEntry } from './provider-catalog.ts';
import { judgeRecording } from './recording-verdict.ts';
import type { RequestBudget } from './request-budget.ts';
import { isSilentRoom, profileOf, runCell, userVoice } from './run-cell.ts';
import { keepInputs } from './run-inputs.ts';
import { type ExternalServer, isExternal } from './server-side.ts';

export interface RunPlanOptions {
  readonly plan: Plan;
  /** Entries for every provider name of the plan but `external`. */
  readonly providers: ReadonlyMap<string, ProviderEntry>;
  readonly laboratory: Laboratory;
  /** The server of cells whose server is `external`. */
  readonly external?: ExternalServer;
  /** A board on a cable in place of the emulated ones: its name, and a way to it for each conversation. */
  readonly board?: { readonly name: string; readonly source: BoardSource };
  /** Boards of the plan beside the built-in ones, by name. */
  readonly devices?: ReadonlyMap<string, DeviceProfile>;
  /** Folder of this run; each cell gets `cells/<name>` in it. */
  readonly folder: string;
  /** Beside those of its provider: what must not get into a recording. */
  readonly secrets?: readonly string[];
  /** What answers in the place of the provider of a cell. Absent: its stand-in or the real service. */
  readonly recorded?: (cell: Cell) => RecordedTraffic;
  /** Something is not as it was in the recordings that answer. */
  readonly whatIf?: boolean;
  /** The recording that this is from, or that the cell is recorded anew for. Absent: none. */
  readonly source?: (cell: Cell) => ManifestSource;
  /** Shared by all cells; the run stops when it refuses a request. Absent: no limit. */
  readonly budget?: RequestBudget;
  /**
   * How often a conversation that could not be judged (`infra`) is held again with the same inputs, where it may come
   * out otherwise. Every try stays on record; the last one counts. Default: never.
   */
  readonly retries?: number;
  /** Stops after the cell in progress, whose recording is completed. */
  readonly signal: AbortSignal;
  /** Facts for the manifests: versions, host, date. */
  readonly environment: ManifestEnvironment;
  /** Finds out whose fault each underrun was. */
  readonly blame?: boolean;
  /** False: level, loudness, clicks and silence of what was heard are not measured. */
  readonly sound?: boolean;
  readonly onCell?: (result: CellResult, index: number) => void;
  /** Called with the recording that counts of each cell, as it was read back from the disk. */
  readonly onRecording?: (
    recording: string,
    recorded: Recording,
    measurement: CellMeasurement,
  ) => void;
  /** Called before each try with those before it, which could not be judged. */
  readonly onTry?: (cell: Cell, index: number, earlier: readonly EarlierTry[]) => void;
  /** Called with every event when it is recorded; secrets are not yet replaced in it. */
  readonly onEvent?: (event: TraceEvent, cell: Cell) => void;
}

export interface CellResult {
  readonly cell: Cell;
  readonly measurement: CellMeasurement;
  readonly verdict: Verdict;
  /** Path of the recording, relative to the folder of the run. */
  readonly recording: string;
  /** Host and port of the real service that spoke; null: a stand-in did. */
  readonly host: string | null;
  /** Digests of what decided how it went. */
  readonly inputs: ManifestInputs;
  /** Length of the conversation on its own clock. */
  readonly durationUs: number;
  /** Who spoke for the user and for the provider's stand-in, as in the manifest. */
  readonly spokenBy: readonly string[];
  /** Of every underrun, when it was asked for. */
  readonly blame?: readonly UnderrunBlame[];
  /** Of a board on a cable: what its recording tells of it. */
  readonly board?: BoardMeasurement;
  /** Of a run with room capture: what was heard of it. */
  readonly room?: RoomMeasurement;
  /** The tries before this one, the oldest first. Absent: there was none. */
  readonly earlierTries?: readonly EarlierTry[];
  /** Why another try would change nothing, though it could not be judged. Absent: it was judged, or might. */
  readonly notTriedAgain?: string;
}

/** A try that could not be judged, behind which the conversation was held again. */
export interface EarlierTry {
  readonly verdict: Verdict;
  /** Path of its recording, relative to the folder of the run. */
  readonly recording: string;
  readonly durationUs: number;
}

/**
 * Runs the cells one after the other: record, read back, measure, judge. Stopped early, by the signal
 * or the budget, it returns the cells so far.
 *
 * @throws what keeps the first conversation on a real board from beginning: none of the others would begin either.
 *   Nothing is recorded then.
 */
export async function runPlan(options: RunPlanOptions): Promise<CellResult[]> {
  const { plan, signal, budget } = options;
  checkPersonalities(plan, options.providers);
  const results: CellResult[] = [];
  for (const [index, cell] of plan.cells.entries()) {
    if (signal.aborted || budget?.refused.aborted === true) break;
    const provider =
      cell.server === externalServer ? options.external : options.providers.get(cell.provider);
    if (provider === undefined) throw new RangeError(`No provider entry named "${cell.provider}".`);
    if (plan.time === 'real') await warmUp(options, cell, provider);
    const result = await holdCell(options, index, provider);
    results.push(result);
    options.onCell?.(result, index);
  }
  return results;
}

/**
 * Holds the conversation until it can be judged or its tries are used up (pitfalls catalogue, C02). What failed gets no
 * other try: a result is not improved by repeating it.
 */
async function holdCell(
  options: RunPlanOptions,
  index: number,
  provider: ProviderEntry | ExternalServer,
): Promise<CellResult> {
  const { plan, folder, signal, budget, retries = 0 } = options;
  const cell = plan.cells[index]!;
  const earlier: EarlierTry[] = [];
  for (;;) {
    options.onTry?.(cell, index, earlier);
    const isFirst = index === 0 && earlier.length === 0;
    const { result, recorded } = await recordCell(options, cell, provider, isFirst);
    const { verdict, recording, measurement, board } = result;
    const notTriedAgain = whyNoOtherTry({
      verdict,
      time: plan.time,
      onBoard: board !== undefined,
      scenario: cell.scenario,
    });
    const stopped = signal.aborted || budget?.refused.aborted === true;
    const isLast = earlier.length >= retries || stopped || notTriedAgain !== undefined;
    if (verdict.outcome !== 'infra' || isLast) {
      options.onRecording?.(recording, recorded, measurement);
      return {
        ...result,
        ...(earlier.length > 0 && { earlierTries: earlier }),
        ...(notTriedAgain !== undefined && { notTriedAgain }),
      };
    }
    const kept = join('cells', earlierTryName(cellName(cell), earlier.length + 1));
    renameSync(join(folder, recording), join(folder, kept));
    earlier.push({ verdict, recording: kept, durationUs: measurement.durationUs });
  }
}

/** @param mustStart a conversation that does not begin is an error, and no result */
async function recordCell(
  options: RunPlanOptions,
  cell: Cell,
  provider: ProviderEntry | ExternalServer,
  mustStart: boolean,
): Promise<{ readonly result: CellResult; readonly recorded: Recording }> {
  const { plan, laboratory, signal, budget, environment, board } = options;
  const recording = join('cells', cellName(cell));
  const folder = join(options.folder, recording);
  const tts = isExternal(provider) ? undefined : provider.tts;
  const host = plan.live && !isExternal(provider) ? endpointName(provider.endpoint) : null;
  const except = cell.scenario.server.compatExcept;
  const replay = replayKind(options);
  const writer = new RecordingWriter(
    folder,
    traceHeader(cell, plan.time, host, board?.name, replay),
    [...(tts?.secrets ?? []), ...(options.secrets ?? [])],
  );
  const { onEvent } = options;
  if (onEvent !== undefined) writer.observe((event) => onEvent(event, cell));
  keepInputs(writer, cell, provider, options.devices);
  const { durationUs, spokenBy, personality, failedStart } = await runCell({
    cell,
    provider,
    time: plan.time,
    live: plan.live,
    recorded: options.recorded?.(cell),
    budget,
    laboratory,
    writer,
    board: board?.source,
    devices: options.devices,
    secrets: options.secrets,
    signal,
  });
  if (mustStart && failedStart !== undefined) {
    writer.discard();
    throw failedStart;
  }
  // What is judged is what was recorded, never what is still in memory.
  const recorded = readRecording(folder);
  const {
    measurement,
    board: onBoard,
    ...judged
  } = judgeRecording(recorded, cell.scenario, options.sound);
  const verdict = withWriteError(judged.verdict, writer.failed);
  const room = measureRoom(recorded);
  const inputs = inputDigests(cell, {
    profile: profileOf({ cell, devices: options.devices }),
    ...(!isExternal(provider) && { provider }),
    ...(personality !== undefined && { personality }),
  });
  const manifest: RecordingManifest = {
    formatVersion: traceFormatVersion,
    verdict: verdict.outcome,
    plan: {
      scenario: cell.scenario.name,
      title: cell.scenario.title,
      file: cell.scenario.file,
      provider: cell.provider,
      ...(isExternal(provider)
        ? { serverUrl: provider.serverUrl }
        : { platform: provider.tts.platform }),
      device: board === undefined ? cell.device : 'board',
      ...(board === undefined ? {} : { model: cell.device }),
      network: cell.network,
      server: cell.server,
      ...(cell.server === 'harness' || cell.server === externalServer
        ? {}
        : { compat: [...compatOf(cell.server, except)] }),
      seed: cell.seed,
      ...(cell.repetition !== undefined && { repetition: cell.repetition }),
      ...(plan.seed !== null && { runSeed: plan.seed }),
      time: plan.time,
      live: plan.live,
      ...(host === null ? {} : { host }),
      ...(replay === undefined ? {} : { replay }),
      ...(isExternal(provider) ? {} : { packetMs: cell.scenario.server.packetMs }),
      ...(options.source !== undefined && { recording: options.source(cell) }),
      ...(cell.scenario.device.quirksOff.length === 0
        ? {}
        : { quirksOff: cell.scenario.device.quirksOff }),
      ...(cell.scenario.device.playerRhythm === 'even'
        ? {}
        : { playerRhythm: cell.scenario.device.playerRhythm }),
      ...acousticFacts(cell.scenario),
    },
    ...(isSilentRoom(cell.scenario) ? {} : { microphone: microphoneFile }),
    ...(recorded.room !== undefined && { room: roomFile }),
    ...(personality !== undefined && { personality: provenance(personality) }),
    ...(onBoard !== null && { board: boardFacts(onBoard, writer.hasBoardSpeaker) }),
    inputs,
    environment: { ...environment, voice: spokenBy.join(', ') },
  };
  writer.finish(manifest);
  const result: CellResult = {
    cell,
    measurement,
    verdict,
    recording,
    host,
    inputs,
    durationUs,
    spokenBy,
    ...(options.blame === true && {
      blame: blameUnderruns(readConversation(recorded), recorded),
    }),
    ...(onBoard !== null && { board: onBoard }),
    ...(room !== null && { room }),
  };
  // It was read when only its manifest was still to be written; now it is whole.
  return { result, recorded: { ...recorded, partial: false } };
}

/** A recording that could not be written to its end says nothing about what was recorded. */
function withWriteError(verdict: Verdict, failed: AbortSignal): Verdict {
  const error: unknown = failed.reason;
  if (!(error instanceof RecordingWriteError)) return verdict;
  const { code, message, hint } = error;
  const failure = {
    class: 'infra',
    code,
    message: `${message} ${hint}`,
    turn: null,
    expected: false,
    seqs: [],
  } as const;
  return { ...verdict, outcome: 'infra', failures: [failure, ...verdict.failures] };
}

/**
 * Speaks the cell's texts into the voice's cache by running it once in virtual time, against a
 * stand-in of the platform also in a live run: synthesis blocks the event loop, and in real time it would be measured
 * as latency of the provider.
 */
async function warmUp(
  options: RunPlanOptions,
  cell: Cell,
  provider: ProviderEntry | ExternalServer,
): Promise<void> {
  const { plan, laboratory, signal } = options;
  if (isExternal(provider)) {
    // Only the user is ours.
    for (const { say } of cell.scenario.turns) {
      if (say !== undefined) laboratory.voice.speak(say, userVoice);
    }
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'echokit-warm-up-'));
  try {
    const header = traceHeader(cell, 'virtual', null);
    const writer = new RecordingWriter(join(folder, 'cell'), header, provider.tts.secrets);
    const { platform } = provider.tts;
    // What a real service is configured to may suit no stand-in, and its key is of no use to one.
    const warming = plan.live ? providerEntry(provider.name, exampleTable(platform)) : provider;
    const how = { time: 'virtual', live: false } as const;
    const { devices } = options;
    const recorded = options.recorded?.(cell);
    await runCell({
      cell,
      provider: warming,
      ...how,
      recorded,
      laboratory,
      writer,
      devices,
      signal,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What the microphone heard beside the user, in the words of the `boot` event. */
function acousticFacts({
  device: { noiseDbfs, echo },
}: Scenario): Pick<ManifestPlan, 'noiseDbfs' | 'echoDb' | 'echoDelayMs'> {
  return {
    ...(noiseDbfs !== undefined && { noiseDbfs }),
    ...(echo !== undefined && { echoDb: echo.db, echoDelayMs: echo.delayMs }),
  };
}

/** What the stand-in was, and on whose word. */
function provenance({ name, title, evidence, date, sources }: Personality): ManifestPersonality {
  return { name, title, evidence, date, sources };
}

/** What of the board belongs into the manifest. */
function boardFacts(
  { name, mac, firmware, playoutError, clocks }: BoardMeasurement,
  hasSpeaker: boolean,
): ManifestBoard {
  return {
    name,
    ...(mac !== null && { mac }),
    ...(firmware !== null && { firmware }),
    // Instants of the player are those of the model, which got the same messages.
    estimated: true,
    ...(playoutError !== null && { playoutErrorMs: playoutError.p95Ms }),
    ...(clocks.length > 0 && { stampErrorUs: Math.max(...clocks.map(({ errorUs }) => errorUs)) }),
    ...(hasSpeaker && { speaker: boardSpeakerFile }),
  };
}

function replayKind({ recorded, whatIf = false }: RunPlanOptions): ReplayKind | undefined {
  if (recorded === undefined) return undefined;
  return whatIf ? 'what-if' : 'strict';
}

function traceHeader(
  cell: Cell,
  time: Plan['time'],
  live: string | null,
  board?: string,
  replay?: ReplayKind,
): TraceHeader {
  const { scenario, provider, device, network, server, seed, repetition } = cell;
  return {
    type: 'header',
    formatVersion: traceFormatVersion,
    scenario: scenario.name,
    provider,
    device,
    network,
    seed,
    time,
    ...(repetition === undefined ? {} : { repetition }),
    ...(server === 'harness' ? {} : { server }),
    ...(live === null ? {} : { live }),
    ...(replay === undefined ? {} : { replay }),
    ...(board === undefined ? {} : { board }),
  };
}
