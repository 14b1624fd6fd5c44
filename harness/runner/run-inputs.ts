/**
 * What a conversation was made of, kept with its recording, so that it can be held again wherever the recording is:
 * the scenario with its WAV files, the provider's configuration without credentials, a board that is not built in.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DeviceProfile } from '../device/device-profile.ts';
import type { Endpoint } from '../network/network.ts';
import { loadScenario, type ScenarioCatalog } from '../scenario/load.ts';
import type { Cell } from '../scenario/plan.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { RecordingError } from '../trace/recording-error.ts';
import { inputsFolder, type RecordingWriter } from '../trace/recording-writer.ts';
import type { ProviderEntry } from './provider-catalog.ts';
import type { ExternalServer } from './server-side.ts';

const providerFile = 'provider.json';
const boardFile = 'board.json';
const redacted = '[redacted]';

/** Members of adapters' configurations that hold credentials, whatever their value. */
const secretMember = /^(?:api_?key|token|password)$/i;

/** `provider.json`. `config` is what the adapter was given. */
interface KeptProvider {
  readonly name: string;
  readonly platform: string;
  readonly endpoint: Endpoint;
  readonly otherServices: ProviderEntry['otherServices'];
  readonly config: unknown;
  readonly personality?: string;
}

export function keepInputs(
  writer: RecordingWriter,
  { scenario, device }: Cell,
  provider: ProviderEntry | ExternalServer,
  devices: ReadonlyMap<string, DeviceProfile> | undefined,
): void {
  writer.input(`${scenario.name}.toml`, scenario.source.text);
  for (const { written, path } of scenario.source.files) {
    writer.input(keptName(written), readFileSync(path));
  }
  const own = devices?.get(device);
  if (own !== undefined) writer.input(boardFile, json(own));
  if (!('serverUrl' in provider)) keepProvider(writer, provider);
}

/** The part of it that `run --replay` needs. */
export function keepProvider(writer: RecordingWriter, provider: ProviderEntry): void {
  writer.input(providerFile, keptProvider(provider));
}

/** The text of `provider.json`. */
export function keptProvider(provider: ProviderEntry): string {
  const { name, endpoint, otherServices, personality, tts } = provider;
  const kept: KeptProvider = {
    name,
    platform: tts.platform,
    endpoint,
    otherServices,
    config: tts.config,
    ...(personality !== undefined && { personality }),
  };
  return json(kept, tts.secrets);
}

export interface RunInputs {
  readonly scenario: Scenario;
  /** With placeholders where credentials were. Absent: the server was not ours. */
  readonly provider?: ProviderEntry;
  /** A board that is not built in, by its name. */
  readonly devices: ReadonlyMap<string, DeviceProfile>;
}

/**
 * @param folder of the recording of one cell
 * @throws {RecordingError} `RECORDING_WITHOUT_INPUTS`
 * @throws {ScenarioError} when this version reads the scenario in another way
 */
export function readInputs(folder: string, catalog: ScenarioCatalog): RunInputs {
  const inputs = join(folder, inputsFolder);
  const file = existsSync(inputs)
    ? readdirSync(inputs).find((name) => name.endsWith('.toml'))
    : undefined;
  if (file === undefined) {
    throw new RecordingError(
      'RECORDING_WITHOUT_INPUTS',
      `${folder} does not hold the scenario that was run: there is no ${inputsFolder}/*.toml.`,
      'Those of "record" and of older versions do not: their provider answers in another conversation with "run --replay <recording> <scenario>".',
    );
  }
  const { provider, devices } = readMeans(folder);
  const names = provider === undefined ? [] : [provider.name];
  const scenario = loadScenario(
    readFileSync(join(inputs, file), 'utf8'),
    join(inputs, file),
    {
      ...catalog,
      providers: [...catalog.providers, ...names],
      devices: [...catalog.devices, ...devices.keys()],
    },
    (written) => join(inputs, keptName(written)),
  );
  return { scenario, devices, ...(provider !== undefined && { provider }) };
}

/** The inputs without the scenario, which a tap knows nothing of. */
export function readMeans(folder: string): Omit<RunInputs, 'scenario'> {
  const inputs = join(folder, inputsFolder);
  const board = readJson<DeviceProfile>(join(inputs, boardFile));
  const kept = readJson<KeptProvider>(join(inputs, providerFile));
  return {
    devices: new Map(board === undefined ? [] : [[board.name, board]]),
    ...(kept !== undefined && { provider: entryOf(kept) }),
  };
}

function entryOf({
  name,
  platform,
  endpoint,
  otherServices,
  config,
  personality,
}: KeptProvider): ProviderEntry {
  return {
    name,
    endpoint,
    otherServices,
    tts: {
      platform,
      config,
      // Where each service is called is known; nothing else is asked of them.
      otherServices: otherServices.map(({ purpose, endpoint: { host, port } }) => ({
        purpose,
        url: `http://${host}:${port}/`,
      })),
      warnings: [],
      secrets: [],
      settings: [],
    },
    ...(personality !== undefined && { personality }),
  };
}

/** A path of a scenario as the name of one file. */
function keptName(written: string): string {
  return `wav-${written.replaceAll(/[^\w.-]+/g, '_')}`;
}

function json(value: unknown, secrets: readonly string[] = []): string {
  const text = JSON.stringify(
    value,
    (key, member: unknown) =>
      typeof member === 'string' &&
      member !== '' &&
      (secretMember.test(key) || secrets.includes(member))
        ? redacted
        : member,
    2,
  );
  return `${text}\n`;
}

function readJson<T>(path: string): T | undefined {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as T) : undefined;
}
