import { nearestName } from '../../adapters/nearest-name.ts';
import { createRandom, type Random } from '../random/random.ts';
import { type ServerModel, serverModels } from '../server/compat-items.ts';
import type { ScenarioCatalog } from './load.ts';
import type { Scenario } from './scenario.ts';
import { ScenarioError, type ScenarioProblem } from './scenario-error.ts';

/** Everything a run does, decided before it starts. Pure data; written into the manifest. */
export interface Plan {
  /** Null: recordings are replayed that do not know the seed of their run. */
  readonly seed: number | null;
  readonly time: 'virtual' | 'real';
  /** The providers are the real services; otherwise stand-ins answer for them. */
  readonly live: boolean;
  readonly cells: readonly Cell[];
  /** Cells that were asked for and cannot be run. */
  readonly skipped: readonly SkippedCell[];
}

export interface SkippedCell {
  readonly cell: Cell;
  /** In words. */
  readonly reason: string;
}

/** One conversation: a scenario with one provider, one board, one network and one server. */
export interface Cell {
  readonly scenario: Scenario;
  /** Name of a provider entry, for example `openai-stream`. */
  readonly provider: string;
  readonly device: string;
  readonly network: string;
  /** Whose behavior the server between them has; `external`: it is not ours, and its own. */
  readonly server: ServerModel | typeof externalServer;
  /** Derived from the plan's seed, the scenario's name and the repetition only, so that cells are comparable. */
  readonly seed: number;
  /** From 1, when the plan has several. */
  readonly repetition?: number;
}

/** The provider, and the server, of a cell whose server is not ours. */
export const externalServer = 'external';

/**
 * File-name safe: `one-question--elevenlabs--diy--good-wifi`, `…--r002` for a repetition. The usual server is not named.
 */
export function cellName(cell: Cell): string {
  const { scenario, provider, device, network, server, repetition } = cell;
  const parts = [scenario.name, provider, device, network];
  const named = server !== 'harness' && server !== externalServer;
  return [
    ...parts,
    ...(named ? [server] : []),
    ...(repetition === undefined ? [] : [`r${`${repetition}`.padStart(3, '0')}`]),
  ].join('--');
}

export interface Matrix {
  readonly providers: readonly string[];
  readonly devices: readonly string[];
  readonly networks: readonly string[];
  readonly servers: readonly ServerModel[];
}

/** What a scenario runs on when neither it nor the command line says so. */
export const defaultMatrix: Matrix = {
  providers: [
    'openai',
    'openai-stream',
    'groq',
    'gsv',
    'stream_gsv',
    'elevenlabs',
    'fish',
    'cosyvoice',
  ],
  devices: ['diy'],
  networks: ['good-wifi'],
  servers: ['harness'],
};

export interface PlanOptions {
  /** From the command line: replaces what the scenarios say. Empty means absent. */
  readonly providers?: readonly string[] | undefined;
  readonly devices?: readonly string[] | undefined;
  readonly networks?: readonly string[] | undefined;
  readonly servers?: readonly string[] | undefined;
  readonly seed: number;
  readonly time: 'virtual' | 'real';
  /** Speak with the real services. Only in real time, and only with `providers` named here. */
  readonly live?: boolean;
  /** The server is not ours: `external` takes the place of providers and servers. Only in real time. */
  readonly external?: boolean;
  /** A real board plays. Only in real time. What a scenario changes about an emulated one is skipped. */
  readonly board?: boolean;
  /** How often each cell is run, each time with draws of its own. Default: 1. */
  readonly repeat?: number;
  readonly defaults?: Matrix;
  /** The names that exist; those of the command line are checked against it. */
  readonly catalog: Pick<ScenarioCatalog, 'providers' | 'devices' | 'networks'>;
}

/**
 * Every cell of every scenario, ordered by scenario as given, then by provider, device, network and
 * server as listed, repetitions behind each other; those of real time are interleaved. A name listed twice makes one cell. What a scenario changes about a stand-in has no
 * meaning for a real service: with `live` such cells are skipped.
 *
 * @throws {ScenarioError} `SCENARIO_UNKNOWN_NAME` for names of the command line,
 * `SCENARIO_DUPLICATE` for two scenarios of one name.
 */
export function planRun(scenarios: readonly Scenario[], options: PlanOptions): Plan {
  const { seed, time, live = false, external = false, defaults = defaultMatrix } = options;
  if (external && (time !== 'real' || live)) {
    throw new RangeError('An external server is driven in real time and has providers of its own.');
  }
  if (live && (time !== 'real' || (options.providers ?? []).length === 0)) {
    throw new RangeError('A live run is in real time and names its providers.');
  }
  const [first, ...others] = [...unknownNames(options), ...duplicates(scenarios)];
  if (first) throw new ScenarioError([first, ...others]);

  const cells = scenarios.flatMap((scenario) => {
    const names = (key: keyof Matrix): string[] => {
      const lists = [options[key], scenario.matrix[key], defaults[key]];
      return [...new Set(lists.find((list) => list !== undefined && list.length > 0))];
    };
    if (external) {
      return names('devices').flatMap((device) =>
        names('networks').map(
          (network): Cell => ({
            scenario,
            provider: externalServer,
            device,
            network,
            server: externalServer,
            seed: createRandom(seed, `scenario/${scenario.name}`).integer(0, 0x7fff_ffff),
          }),
        ),
      );
    }
    const { model } = scenario.server;
    const own = scenario.matrix.servers.length > 0 || model === 'harness' ? undefined : [model];
    const servers = (options.servers?.length ? undefined : own) ?? names('servers');
    const cellSeed = createRandom(seed, `scenario/${scenario.name}`).integer(0, 0x7fff_ffff);
    return names('providers').flatMap((provider) =>
      names('devices').flatMap((device) =>
        names('networks').flatMap((network) =>
          servers.map((server): Cell => {
            const place = { provider, device, network, server: server as ServerModel };
            return { scenario, ...place, seed: cellSeed };
          }),
        ),
      ),
    );
  });
  const whose = live ? 'a real service' : external ? "another server's provider" : undefined;
  const skipped = [
    ...(whose === undefined ? [] : cells.flatMap((cell) => untellable(cell, whose))),
    ...(options.board === true ? cells.flatMap(unplayable) : []),
  ].filter((one, i, all) => all.findIndex(({ cell }) => cell === one.cell) === i);
  const kept = cells.filter((cell) => !skipped.some((other) => other.cell === cell));
  return { seed, time, live, cells: repeated(kept, options), skipped };
}

/**
 * The first repetition draws what a run without repetitions draws. In real time they are interleaved: every round
 * holds each cell once, in an order of its own, so that neither a bad minute of a service nor the place behind
 * another one falls on one provider alone.
 */
function repeated(cells: readonly Cell[], { repeat = 1, seed, time }: PlanOptions): Cell[] {
  if (repeat === 1) return [...cells];
  const round = (cell: Cell, repetition: number): Cell => {
    const label = `scenario/${cell.scenario.name}/repetition/${repetition}`;
    const own = repetition === 1 ? cell.seed : createRandom(seed, label).integer(0, 0x7fff_ffff);
    return { ...cell, seed: own, repetition };
  };
  const rounds = Array.from({ length: repeat }, (_, i) => cells.map((cell) => round(cell, i + 1)));
  if (time === 'virtual') return cells.flatMap((_, i) => rounds.map((all) => all[i]!));
  return rounds.flatMap((all, i) => shuffled(all, createRandom(seed, `order/${i + 1}`)));
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], random: Random): T[] {
  const mixed = [...items];
  for (let last = mixed.length - 1; last > 0; last--) {
    const other = random.integer(0, last);
    [mixed[last], mixed[other]] = [mixed[other]!, mixed[last]!];
  }
  return mixed;
}

/** Whether the scenario says how a stand-in behaves, which no real service can be told. */
export function changesStandIn({ standIn, personalities }: Scenario): boolean {
  return Object.keys(standIn).length > 0 || personalities.size > 0;
}

function untellable(cell: Cell, whose: string): SkippedCell[] {
  const { file, turns } = cell.scenario;
  const told: readonly string[] = ['provider-words', 'provider-wire'];
  const faulty = turns
    .flatMap(({ faults }) => faults)
    .find(({ injection }) => told.includes(injection.layer));
  if (faulty !== undefined) {
    const reason = `${file} plants the fault "${faulty.name}", which only a stand-in can show, and not ${whose}`;
    return [{ cell, reason }];
  }
  if (!changesStandIn(cell.scenario)) return [];
  return [
    {
      cell,
      reason: `${file} says in [stand_in] how a stand-in behaves, and ${whose} cannot be told how to behave`,
    },
  ];
}

/** A real board has the firmware, the room and the air that it has. */
function unplayable(cell: Cell): SkippedCell[] {
  const { file, turns, device } = cell.scenario;
  const what = [
    ...(device.quirksOff.length > 0 ? ['switches off quirks of the firmware'] : []),
    ...(device.noiseDbfs !== undefined || device.echo !== undefined ? ['makes the room'] : []),
    ...(turns.some(
      ({ disturbances, faults }) =>
        disturbances.some(({ kind }) => kind === 'change') ||
        faults.some(({ injection }) => injection.layer === 'board-network'),
    )
      ? ['changes the network']
      : []),
  ];
  if (what.length === 0) return [];
  return [{ cell, reason: `${file} ${what.join(' and ')}, which a real board cannot be told` }];
}

function unknownNames(options: PlanOptions): ScenarioProblem[] {
  const kinds = {
    providers: 'provider',
    devices: 'device',
    networks: 'network',
    servers: 'server model',
  } as const;
  return (['providers', 'devices', 'networks', 'servers'] as const).flatMap((key) => {
    const valid: readonly string[] = key === 'servers' ? serverModels : options.catalog[key];
    return (options[key] ?? [])
      .filter((name) => !valid.includes(name))
      .map((name): ScenarioProblem => {
        const meant = nearestName(name, valid);
        const advice = meant === undefined ? '' : `: did you mean "${meant}"?`;
        return {
          code: 'SCENARIO_UNKNOWN_NAME',
          file: 'command line',
          message: `unknown ${kinds[key]} "${name}"${advice}`,
          hint: `${key}: ${valid.join(', ')}`,
        };
      });
  });
}

function duplicates(scenarios: readonly Scenario[]): ScenarioProblem[] {
  const byName = new Map<string, Scenario>();
  return scenarios.flatMap((scenario): ScenarioProblem[] => {
    // Some file systems do not tell upper case from lower case.
    const name = scenario.name.toLowerCase();
    const other = byName.get(name);
    byName.set(name, other ?? scenario);
    if (!other) return [];
    return [
      {
        code: 'SCENARIO_DUPLICATE',
        file: scenario.file,
        message: `${other.file} has the same name, and their recordings would have the same folder`,
        hint: 'rename one of them, or run them apart',
      },
    ];
  });
}
