import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DeviceProfile } from '../device/device-profile.ts';
import { type RecordedTraffic, recordedTraffic } from '../replay/recorded-exchange.ts';
import type { ScenarioCatalog } from '../scenario/load.ts';
import type { Cell, Plan } from '../scenario/plan.ts';
import { RecordingError, readRecordingHeader } from '../trace/recording-reader.ts';
import type { TraceHeader } from '../trace/trace-event.ts';
import { readWire } from '../trace/wire-traffic.ts';
import type { ProviderEntry } from './provider-catalog.ts';
import { readInputs, readMeans } from './run-inputs.ts';

/** A recorded conversation, with everything that is needed to hold it again. */
export interface ReplayableConversation {
  /** Of the recording. */
  readonly folder: string;
  readonly header: TraceHeader;
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
  const { header, provider, traffic, devices } = openRecordedAnswers(folder);
  const { scenario } = readInputs(folder, catalog);
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
  return { folder, header, cell, provider, devices, traffic };
}

/** What a recording holds of a provider, whatever was said to the board. */
export type RecordedAnswers = Omit<ReplayableConversation, 'cell'>;

/**
 * @param folder of one recording, also of a tap
 * @throws {RecordingError} `RECORDING_WITHOUT_TRAFFIC` and those of {@link readRecordingHeader}
 */
export function openRecordedAnswers(folder: string): RecordedAnswers {
  const header = readRecordingHeader(folder);
  const { provider, devices } = readMeans(folder);
  const traffic = recordedTraffic(readWire(folder));
  if (provider === undefined || traffic.dials.length === 0) {
    const external = header.server === 'external';
    throw new RecordingError(
      'RECORDING_WITHOUT_TRAFFIC',
      `${folder} holds no connection to a provider.`,
      external
        ? 'Another EchoKit server spoke with its own: put "record --config" between the two.'
        : 'Nothing was spoken in it, or it was recorded by an older version; record it again.',
    );
  }
  return { folder, header, provider, devices, traffic };
}

/** Folders of recordings at `path`: itself, or the cells of a run. Unfinished ones are taken, too. */
export function recordingFolders(path: string): string[] {
  if (existsSync(join(path, 'trace.jsonl'))) return [path];
  const cells = join(path, 'cells');
  const names = existsSync(cells) ? readdirSync(cells).sort() : [];
  const folders = names
    // Of a conversation that was held twice the second one counts.
    .filter((name) => !name.endsWith('--first-try'))
    .map((name) => join(cells, name))
    .filter((folder) => existsSync(join(folder, 'trace.jsonl')));
  if (folders.length > 0) return folders;
  throw new RecordingError(
    'RECORDING_NOT_FOUND',
    `${path} holds no recording: neither trace.jsonl nor cells/*/trace.jsonl is there.`,
    'Name the folder of a run, recordings/runs/<run>, or of one of its cells.',
  );
}

/** Every conversation as it was. Recordings know the seed of each cell, not that of their run. */
export function replayPlan(
  conversations: readonly ReplayableConversation[],
  time: Plan['time'],
): Plan {
  const cells = conversations.map(({ cell }) => cell);
  return { seed: cells[0]?.seed ?? 0, time, live: false, cells, skipped: [] };
}

/** What `runPlan` needs to hold conversations again. */
export function recordedMeans(conversations: readonly ReplayableConversation[]): {
  readonly providers: ReadonlyMap<string, ProviderEntry>;
  readonly devices: ReadonlyMap<string, DeviceProfile>;
  recorded(cell: Cell): RecordedTraffic;
} {
  const byCell = new Map(conversations.map((one) => [one.cell, one]));
  return {
    providers: new Map(conversations.map(({ provider }) => [provider.name, provider])),
    devices: new Map(conversations.flatMap(({ devices }) => [...devices])),
    recorded: (cell) => byCell.get(cell)!.traffic,
  };
}
