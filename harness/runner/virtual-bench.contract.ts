/** For tests: whole runs on virtual boards that hang on ports in memory, in virtual time. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DeviceProfile, deviceProfiles, diy } from '../device/device-profile.ts';
import { quirkIds } from '../device/quirk.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { networkNames } from '../network/network-profile.ts';
import { createRandom } from '../random/random.ts';
import { loadScenario } from '../scenario/load.ts';
import { type Plan, planRun } from '../scenario/plan.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { resetStrategies } from '../serial/reset-strategy.ts';
import { checkRecordingFormat } from '../trace/format-check.contract.ts';
import type { Recording } from '../trace/recorded-cell.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { MemoryPorts } from '../virtual-board/memory-ports.ts';
import { VirtualBoard, type VirtualBoardOptions } from '../virtual-board/virtual-board.ts';
import type { BoardEquipment, BoardSource } from './board-on-cable.ts';
import { type Laboratory, openLaboratory } from './laboratory.ts';
import { builtInProviders } from './provider-catalog.ts';
import { type CellResult, runPlan } from './run-plan.ts';
import { directVoice } from './voice-path.ts';

export const mac = '02ec0e0000b1';
const endpoint = { host: 'server.test', port: 8080 };

export const catalog = {
  metrics: metricCatalog,
  providers: builtInProviders.map(({ name }) => name),
  devices: Object.keys(deviceProfiles),
  networks: networkNames,
  quirks: quirkIds,
};

export interface BoardSetting {
  /** What the virtual board is; the shadow believes `model`. */
  readonly board?: Partial<VirtualBoardOptions>;
  readonly model?: DeviceProfile;
  readonly equipment?: Partial<BoardEquipment>;
  /** What becomes of the words of the user. Default: they are at the microphone. */
  readonly hear?: (samples: Int16Array, board: VirtualBoard) => void;
  /** Called for each try with the powered board. */
  readonly script?: (board: VirtualBoard, tries: number, means: Means) => void;
}

export interface Means {
  readonly clock: Parameters<BoardSource>[0]['clock'];
  readonly ports: MemoryPorts;
}

export interface BoardRunOptions extends BoardSetting {
  readonly provider?: string;
  readonly network?: string;
  readonly signal?: AbortSignal;
}

export interface BoardRun extends CellResult {
  readonly recorded: Recording;
  readonly path: string;
  /** Ports that were open when the run was over. */
  readonly leftOpen: number;
}

export class VirtualBench {
  readonly #folder = mkdtempSync(join(tmpdir(), 'echokit-virtual-bench-'));
  readonly laboratory: Laboratory;
  #runs = 0;

  private constructor(laboratory: Laboratory) {
    this.laboratory = laboratory;
  }

  static async open(): Promise<VirtualBench> {
    return new VirtualBench(await openLaboratory());
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** A source that plugs in a fresh board for each try. */
  source(
    setting: BoardSetting,
    boards: VirtualBoard[] = [],
    open: Set<object> = new Set(),
  ): BoardSource {
    return ({ clock, network }) => {
      const ports = new MemoryPorts({ clock });
      const board = new VirtualBoard({
        profile: diy,
        mac,
        serverUrl: `ws://${endpoint.host}:${endpoint.port}/ws/`,
        wiring: 'bridge',
        clock,
        dialer: network,
        random: createRandom(1, 'virtual board'),
        opus: this.laboratory.opus,
        voiceDetection: this.laboratory.voiceDetection,
        ...setting.board,
      });
      boards.push(board);
      ports.plug('tty0', board);
      board.powerOn();
      setting.script?.(board, boards.length, { clock, ports });
      return {
        name: 'kitchen',
        openPort: async () => {
          const port = await ports.open(ports.names()[0] ?? 'tty0');
          open.add(port);
          const onGone = port.onGone.bind(port);
          port.onGone = (listener) =>
            onGone((problem) => {
              open.delete(port);
              listener(problem);
            });
          const close = port.close.bind(port);
          port.close = async () => {
            open.delete(port);
            await close();
          };
          return port;
        },
        wiring: 'bridge',
        reset: resetStrategies['run-bridge'],
        voice: directVoice(clock, (samples) => {
          if (setting.hear === undefined) board.hear(samples);
          else setting.hear(samples, board);
        }),
        ask: () => {},
        tell: () => {},
        serverAddress: endpoint,
        ownAddresses: [endpoint.host],
        ...setting.equipment,
      };
    };
  }

  /** The same conversation with the emulated board. */
  async emulate(
    scenario: Scenario,
    { provider = 'openai', network = 'ideal' } = {},
  ): Promise<CellResult & { readonly path: string }> {
    const folder = join(this.#folder, `${++this.#runs}`);
    const [result] = await runPlan({
      plan: planOf(scenario, provider, network),
      providers,
      laboratory: this.laboratory,
      folder,
      signal: new AbortController().signal,
      environment: {},
    });
    return { ...result!, path: join(folder, result!.recording) };
  }

  async run(scenario: Scenario, options: BoardRunOptions = {}): Promise<BoardRun> {
    const { provider = 'openai', network = 'ideal', model = diy } = options;
    const { signal = new AbortController().signal } = options;
    const folder = join(this.#folder, `${++this.#runs}`);
    const boards: VirtualBoard[] = [];
    const open = new Set<object>();
    const [result] = await runPlan({
      plan: planOf(scenario, provider, network, model),
      devices: new Map([[model.name, model]]),
      providers,
      laboratory: this.laboratory,
      board: { name: 'kitchen', source: this.source(options, boards, open) },
      folder,
      signal,
      environment: {},
    });
    for (const board of boards) await board.close();
    const path = join(folder, result!.recording);
    checkRecordingFormat(path);
    return { ...result!, recorded: readRecording(path), path, leftOpen: open.size };
  }
}

const providers = new Map(builtInProviders.map((entry) => [entry.name, entry]));

function planOf(
  scenario: Scenario,
  provider: string,
  network: string,
  model: DeviceProfile = diy,
): Plan {
  return planRun([scenario], {
    providers: [provider],
    networks: [network],
    devices: [model.name],
    seed: 1,
    time: 'virtual',
    catalog: { ...catalog, devices: [model.name] },
  });
}

/** @param toml text of a scenario file without its title */
export function boardScenario(name: string, toml: string): Scenario {
  return loadScenario(`title = "${name}"\n${toml}`, `${name}.toml`, catalog);
}
