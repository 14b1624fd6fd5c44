/** For tests: whole runs on virtual boards that hang on ports in memory, in virtual time. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../clock/clock.ts';
import { type DeviceProfile, deviceProfiles, diy } from '../device/device-profile.ts';
import { quirkIds } from '../device/quirk.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import type { LaboratoryNetwork } from '../network/laboratory-network.ts';
import type { Dialer } from '../network/network.ts';
import { networkNames } from '../network/network-profile.ts';
import { createRandom } from '../random/random.ts';
import { loadScenario } from '../scenario/load.ts';
import { type Plan, planRun } from '../scenario/plan.ts';
import type { Scenario } from '../scenario/scenario.ts';
import type { BoardPort } from '../serial/board-port.ts';
import { openBoardPort } from '../serial/open-board-port.ts';
import { resetStrategies } from '../serial/reset-strategy.ts';
import { checkRecordingFormat } from '../trace/format-check.contract.ts';
import type { Recording } from '../trace/recorded-cell.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { MemoryPorts } from '../virtual-board/memory-ports.ts';
import { PtyLink } from '../virtual-board/pty-link.ts';
import { listenWithRfc2217 } from '../virtual-board/rfc2217-server.ts';
import { VirtualBoard, type VirtualBoardOptions } from '../virtual-board/virtual-board.ts';
import type { BoardEquipment, BoardSource } from './board-on-cable.ts';
import { type Laboratory, openLaboratory } from './laboratory.ts';
import { builtInProviders } from './provider-catalog.ts';
import { type CellResult, runPlan } from './run-plan.ts';
import { ownCacheFolder } from './test-cache.contract.ts';
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

/** How the host gets at the board. */
export type BoardWay =
  /** A port in this process, with lines. */
  | 'memory'
  /** The same without DTR and RTS, as a pseudo-terminal is: the board is plugged in when it is needed. */
  | 'no lines'
  /** Over an RFC 2217 server, which carries lines. */
  | 'rfc2217'
  /** A real pseudo-terminal, opened by the package `serialport`; in real time, without lines. Needs socat. */
  | 'pty';

export interface BoardSetting {
  /** Default: `memory`. */
  readonly way?: BoardWay;
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
  /** Default: 1. */
  readonly retries?: number;
  /** What the user has named. */
  readonly secrets?: readonly string[];
}

export interface BoardRun extends CellResult {
  readonly recorded: Recording;
  readonly path: string;
  /** Ports that were open when the run was over. */
  readonly leftOpen: number;
  /** What the speaker of the board of the last try has really played. */
  readonly played: Int16Array;
}

export class VirtualBench {
  readonly #folder = mkdtempSync(join(tmpdir(), 'echokit-virtual-bench-'));
  readonly laboratory: Laboratory;
  readonly #ptys: PtyPlace[] = [];
  #runs = 0;

  private constructor(laboratory: Laboratory) {
    this.laboratory = laboratory;
  }

  static async open(): Promise<VirtualBench> {
    return new VirtualBench(await openLaboratory(await ownCacheFolder()));
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
      const server = setting.equipment?.serverAddress ?? endpoint;
      const board = new VirtualBoard({
        profile: diy,
        mac,
        serverUrl: `ws://${server.host}:${server.port}/ws/`,
        wiring: 'bridge',
        clock,
        dialer: network,
        random: createRandom(1, 'virtual board'),
        opus: this.laboratory.opus,
        voiceDetection: this.laboratory.voiceDetection,
        ...setting.board,
      });
      const { way = 'memory' } = setting;
      const baud = setting.equipment?.link?.baud ?? 115_200;
      boards.push(board);
      ports.plug('tty0', board);
      if (way === 'memory' || way === 'rfc2217') board.powerOn();
      const pty =
        way === 'pty' ? new PtyPlace(board, join(this.#folder, `pty-${++this.#runs}`)) : null;
      if (pty !== null) this.#ptys.push(pty);
      let opened = 0;
      setting.script?.(board, boards.length, { clock, ports });
      return {
        name: 'kitchen',
        openPort: async () => {
          if (way === 'no lines' && opened++ === 0) board.powerOn();
          const port =
            pty !== null
              ? await pty.open(clock, network)
              : way === 'rfc2217'
                ? await openOverRfc2217(board, { clock, network, baud })
                : await openInMemory(ports, { way, baud });
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
      plan: planOf(scenario, provider, network, model, options.way === 'pty' ? 'real' : 'virtual'),
      devices: new Map([[model.name, model]]),
      providers,
      laboratory: this.laboratory,
      board: { name: 'kitchen', source: this.source(options, boards, open) },
      retries: options.retries ?? 1,
      ...(options.secrets !== undefined && { secrets: options.secrets }),
      folder,
      signal,
      environment: {},
    });
    const played = boards.at(-1)?.speaker() ?? new Int16Array(0);
    for (const board of boards) await board.close();
    for (const pty of this.#ptys.splice(0)) await pty.close();
    const path = join(folder, result!.recording);
    checkRecordingFormat(path);
    return { ...result!, recorded: readRecording(path), path, leftOpen: open.size, played };
  }
}

async function openInMemory(
  ports: MemoryPorts,
  { way, baud }: { readonly way: BoardWay; readonly baud: number },
): Promise<BoardPort> {
  const port = await ports.open(ports.names()[0] ?? 'tty0', baud);
  return way === 'no lines' ? Object.defineProperty(port, 'carriesLines', { value: false }) : port;
}

/** A board that is plugged in at a pseudo-terminal when it is first opened. */
class PtyPlace {
  readonly #board: VirtualBoard;
  readonly #path: string;
  #link: PtyLink | undefined;

  constructor(board: VirtualBoard, path: string) {
    this.#board = board;
    this.#path = path;
  }

  async open(clock: Clock, dialer: Dialer): Promise<BoardPort> {
    this.#board.powerOn();
    this.#link ??= await PtyLink.start({ board: this.#board, path: this.#path });
    return openBoardPort(this.#link.path, { clock, dialer });
  }

  async close(): Promise<void> {
    await this.#link?.close();
  }
}

/** One server for each opening, as if it were restarted. */
async function openOverRfc2217(
  board: VirtualBoard,
  {
    clock,
    network,
    baud,
  }: { readonly clock: Clock; readonly network: LaboratoryNetwork; readonly baud: number },
): Promise<BoardPort> {
  const endpoint = { host: '127.0.0.1', port: 0 };
  const listener = await listenWithRfc2217({ network, endpoint, board });
  const { host, port: number } = listener.endpoint;
  const port = await openBoardPort(`rfc2217://${host}:${number}`, { clock, dialer: network, baud });
  const close = port.close.bind(port);
  port.close = async () => {
    await close();
    await listener.close();
  };
  return port;
}

const providers = new Map(builtInProviders.map((entry) => [entry.name, entry]));

function planOf(
  scenario: Scenario,
  provider: string,
  network: string,
  model: DeviceProfile = diy,
  time: Plan['time'] = 'virtual',
): Plan {
  return planRun([scenario], {
    providers: [provider],
    networks: [network],
    devices: [model.name],
    seed: 1,
    time,
    catalog: { ...catalog, devices: [model.name] },
  });
}

/** @param toml text of a scenario file without its title */
export function boardScenario(name: string, toml: string): Scenario {
  return loadScenario(`title = "${name}"\n${toml}`, `${name}.toml`, catalog);
}
