import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { DeviceProfile } from '../device/device-profile.ts';
import { type RecordedTraffic, recordedTraffic } from '../replay/recorded-exchange.ts';
import type { ScenarioCatalog } from '../scenario/load.ts';
import type { Cell, Plan } from '../scenario/plan.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { packetLengthsMs } from '../server/deviation-items.ts';
import type { ManifestSource } from '../trace/manifest.ts';
import { checkRecordedFiles, readEarlierTryName, readManifest } from '../trace/recorded-files.ts';
import { RecordingError } from '../trace/recording-error.ts';
import { readRecordingHeader } from '../trace/recording-reader.ts';
import { partialSuffix } from '../trace/recording-writer.ts';
import type { TraceHeader } from '../trace/trace-event.ts';
import { readWire } from '../trace/wire-traffic.ts';
import type { ProviderEntry } from './provider-catalog.ts';
import { readInputs, readMeans } from './run-inputs.ts';

/** A recorded conversation, with everything that is needed to hold it again. */
export interface ReplayableConversation {
  /** Of the recording. */
  readonly folder: string;
  readonly header: TraceHeader;
  /** Of the run that it is from; null: older recordings do not know it, and taps have none. */
  readonly runSeed: number | null;
  /** As manifests name it. */
  readonly source: ManifestSource;
  /** The same scenario, board, network, server and seed. */
  readonly cell: Cell;
  readonly provider: ProviderEntry;
  /** A board that is not built in, by its name. */
  readonly devices: ReadonlyMap<string, DeviceProfile>;
  readonly traffic: RecordedTraffic;
}

/**
 * Opens what can be replayed.
 *
 * @param path folder of a recording, or of a run: then each of its recordings, in order of their names
 * @throws {RecordingError} `RECORDING_NOT_FOUND`, `RECORDING_WITHOUT_INPUTS`, `RECORDING_WITHOUT_TRAFFIC` and those
 *   of {@link readRecordingHeader}
 * @throws {ScenarioError}
 */
export function openReplayables(path: string, catalog: ScenarioCatalog): ReplayableConversation[] {
  return recordingFolders(path).map((folder) => openReplayable(folder, catalog));
}

function openReplayable(folder: string, catalog: ScenarioCatalog): ReplayableConversation {
  const { scenario: written } = readInputs(folder, catalog);
  const answers = openRecordedAnswers(folder);
  const scenario = withPackets(written, readManifest(folder)?.plan.packetMs);
  const { header, provider } = answers;
  const { device, network, seed, repetition } = header;
  const server = (header.server ?? 'harness') as Cell['server'];
  const cell = {
    scenario,
    provider: provider.name,
    device,
    network,
    server,
    seed,
    ...(repetition !== undefined && { repetition }),
  };
  return { ...answers, cell };
}

/** In a recorded what-if the server has packets that its scenario does not ask for. */
function withPackets(scenario: Scenario, packetMs: number | undefined): Scenario {
  const known = packetLengthsMs.find((ms) => ms === packetMs);
  if (known === undefined) return scenario;
  return { ...scenario, server: { ...scenario.server, packetMs: known } };
}

/** What a recording holds of a provider, whatever was said to the board. */
export type RecordedAnswers = Omit<ReplayableConversation, 'cell'>;

/**
 * @param folder of one recording, also of a tap
 * @throws {RecordingError} `RECORDING_WITHOUT_INPUTS`, `RECORDING_WITHOUT_TRAFFIC`, `RECORDING_DAMAGED` and those of
 *   {@link readRecordingHeader}
 */
export function openRecordedAnswers(folder: string): RecordedAnswers {
  const header = readRecordingHeader(folder);
  const manifest = checkRecordedFiles(folder);
  const { provider, devices } = readMeans(folder);
  const traffic = recordedTraffic(readWire(folder));
  const external = header.server === 'external';
  if (provider === undefined && !external) {
    throw new RecordingError(
      'RECORDING_WITHOUT_INPUTS',
      `${folder} does not say which provider answered in it: there is no inputs/provider.json.`,
      'Get it once more from where it was recorded, with all of its folders; or record it again.',
    );
  }
  if (provider === undefined || traffic.dials.length === 0) {
    throw new RecordingError(
      'RECORDING_WITHOUT_TRAFFIC',
      `${folder} holds no connection to a provider.`,
      external
        ? 'Another EchoKit server spoke with its own: put "record --config" between the two.'
        : 'Nothing was spoken in it, or it was recorded by an older version; record it again.',
    );
  }
  const trace = createHash('sha256').update(readFileSync(join(folder, 'trace.jsonl')));
  return {
    folder,
    header,
    runSeed: manifest?.plan.runSeed ?? null,
    source: { name: basename(folder), trace: trace.digest('hex').slice(0, 16) },
    provider,
    devices,
    traffic,
  };
}

/**
 * Folders of recordings at `path`: itself, or the cells of a run. Unfinished ones are taken, too. Of a conversation that was
 * held more than once it is the last try.
 */
export function recordingFolders(path: string): string[] {
  if (existsSync(join(path, 'trace.jsonl'))) return [path];
  const cells = join(path, 'cells');
  const names = existsSync(cells) ? readdirSync(cells).sort() : [];
  const folders = names
    .filter((name) => readEarlierTryName(name) === undefined)
    .map((name) => join(cells, name))
    .filter((folder) => existsSync(join(folder, 'trace.jsonl')));
  if (folders.length > 0) return folders;
  throw new RecordingError(
    'RECORDING_NOT_FOUND',
    `${path} holds no recording: neither trace.jsonl nor cells/*/trace.jsonl is there.`,
    'Name the folder of a run, recordings/runs/<run>, or of one of its cells.',
  );
}

/** Folders of the tries before that of a recording, the oldest first. */
export function earlierTryFolders(folder: string): string[] {
  const cells = dirname(folder);
  const own = basename(folder, partialSuffix);
  return readdirSync(cells)
    .flatMap((name) => {
      const { cell, number = 0 } = readEarlierTryName(name) ?? {};
      const path = join(cells, name);
      return cell === own && existsSync(join(path, 'trace.jsonl')) ? [{ path, number }] : [];
    })
    .sort((a, b) => a.number - b.number)
    .map(({ path }) => path);
}

/** Every conversation as it was; the seed is that of the run they are from. */
export function replayPlan(
  conversations: readonly ReplayableConversation[],
  time: Plan['time'],
): Plan {
  const cells = conversations.map(({ cell }) => cell);
  return { seed: conversations[0]?.runSeed ?? null, time, live: false, cells, skipped: [] };
}

/** What `runPlan` needs to hold conversations again. */
export function recordedMeans(conversations: readonly ReplayableConversation[]): {
  readonly providers: ReadonlyMap<string, ProviderEntry>;
  readonly devices: ReadonlyMap<string, DeviceProfile>;
  recorded(cell: Cell): RecordedTraffic;
  source(cell: Cell): ManifestSource;
} {
  const byCell = new Map(conversations.map((one) => [one.cell, one]));
  return {
    providers: new Map(conversations.map(({ provider }) => [provider.name, provider])),
    devices: new Map(conversations.flatMap(({ devices }) => [...devices])),
    recorded: (cell) => byCell.get(cell)!.traffic,
    source: (cell) => byCell.get(cell)!.source,
  };
}
