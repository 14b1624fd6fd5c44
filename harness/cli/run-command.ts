import { join, relative } from 'node:path';
import { nearestName } from '../../adapters/nearest-name.ts';
import type { ConditionName } from '../comparison/comparable-run.ts';
import type { DeviceProfile } from '../device/device-profile.ts';
import { checkHarnessConfig } from '../harness-config/harness-config.ts';
import { readBoardProfile } from '../runner/board-profile-file.ts';
import { planNeeds } from '../runner/plan-needs.ts';
import { openRecordedAnswers, openReplayables, recordingFolders } from '../runner/recorded-run.ts';
import type { CellResult } from '../runner/run-plan.ts';
import { type Cell, defaultMatrix, type Plan, planRun } from '../scenario/plan.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { isSelective, selectCells, tagsOf } from '../scenario/selection.ts';
import { secretsOfServerUrl } from '../server/access-token.ts';
import { SecretMask } from '../trace/secret-mask.ts';
import { type BoardOptions, boardOnDesk } from './board-on-desk.ts';
import { carryOut } from './carried-run.ts';
import {
  type ConfiguredDefaults,
  checkConfiguredOutputs,
  configuredLine,
} from './configured-run.ts';
import { configuredScenario } from './configured-scenario.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { runBaseline } from './gated-run.ts';
import { type LiveOptions, liveAnnouncement, liveBudget, liveProviders } from './live-providers.ts';
import type { LoadOptions } from './load-command.ts';
import { namedSecrets } from './named-secrets.ts';
import { outputKinds } from './output-kinds.ts';
import { chooseProviders, unusedSections } from './provider-choice.ts';
import {
  differencesFrom,
  refreshedProvider,
  refreshLines,
  replaySteps,
} from './refreshed-recording.ts';
import { listRun } from './run-list.ts';
import type { OutputOptions } from './run-outputs.ts';
import { readShard, type ShardedPlan, shardOf } from './run-shard.ts';
import {
  defaultScenarioFolder,
  findScenarioFiles,
  loadScenarios,
  scenarioCatalog,
} from './scenario-files.ts';
import { interruptSignal, maskedTerminal, type Terminal } from './terminal.ts';

export interface RunCommandOptions extends LiveOptions, BoardOptions, OutputOptions, LoadOptions {
  readonly provider?: readonly string[];
  readonly config?: string;
  readonly device?: readonly string[];
  readonly network?: readonly string[];
  readonly serverModel?: readonly string[];
  /** URL of an EchoKit server that is not ours. */
  readonly server?: string;
  /** Folder of a recording that answers in the place of the provider. */
  readonly replay?: string;
  /** With `replay` and `live`: what differs from the recording is recorded anew. */
  readonly refresh?: boolean;
  /** Default: `real` with `live`, else `virtual`. */
  readonly time?: 'virtual' | 'real';
  readonly seed: number;
  /** How often each conversation is held, each time with draws of its own. Default: once. */
  readonly repeat?: number;
  /** How often a conversation that could not be judged is held again. */
  readonly retries?: number;
  /** What the run is held to. */
  readonly baseline?: string;
  readonly gate?: readonly string[];
  readonly allowDifferent?: readonly ConditionName[];
  readonly out: string;
  /** Show where a real board and its model part. */
  readonly twin?: boolean;
  /** Find out whose fault each underrun was. */
  readonly blame?: boolean;
  /** Show the ledger of samples turn by turn: of cells in which something is wrong, or of all. */
  readonly ledger?: 'faulty' | 'all';
  readonly quiet?: boolean;
  /** Say every event when it happens. */
  readonly verbose?: boolean;
  /** Which conversations are wanted; see `Selection`. */
  readonly only?: readonly string[];
  readonly tag?: readonly string[];
  readonly excludeTag?: readonly string[];
  /** `<i>/<n>`: run one of n parts. */
  readonly shard?: string;
  /** Run or report that tells how long conversations are, for parts of one length. */
  readonly durations?: string;
  /** Values that nothing shown or recorded may have, or `${NAME}` for variables of the environment. */
  readonly secret?: readonly string[];
  /** Show what would be run, and run nothing. */
  readonly list?: boolean;
  /** What `echokit-harness.toml` has contributed. */
  readonly configured?: ConfiguredDefaults;
  readonly version: string;
}

/** `run`: load, plan, run, report. Returns the exit code. */
export async function runCommand(
  shown: Terminal,
  paths: readonly string[],
  options: RunCommandOptions,
): Promise<number> {
  if (options.quiet === true && options.verbose === true) {
    throw usage('--quiet and --verbose exclude each other.', 'leave one of them out');
  }
  const { configured } = options;
  if (configured !== undefined) {
    if (options.quiet !== true) shown.say(configuredLine(configured));
    checkHarnessConfig(configured.config, configured.taken, { outputs: outputKinds });
    if (options.list !== true) checkConfiguredOutputs(configured);
  }
  const { devices } = options;
  if (devices !== undefined) {
    const profiles = boardProfiles(options.device ?? []);
    const { loadCommand } = await import('./load-command.ts');
    return await loadCommand(shown, paths, { ...options, devices }, profiles);
  }
  if (options.replay !== undefined) return await runOnRecording(shown, paths, options);
  if (options.refresh === true) {
    throw usage(
      '--refresh records anew what differs from a recording, and there is none.',
      'add --replay <recording>; without one, run --live records',
    );
  }
  const { live = false, server, board } = options;
  const real = live || server !== undefined || board !== undefined;
  const { time = real ? 'real' : 'virtual' } = options;
  if (board !== undefined) checkBoard(options, time);
  else {
    const { twin, speak, wiring, reset, serverAddress, roomCapture, roomProgram, link, baud } =
      options;
    const named = {
      twin,
      speak,
      wiring,
      reset,
      'server-address': serverAddress,
      'room-capture': roomCapture,
      'room-program': roomProgram,
      link,
      baud,
    };
    const [lonely] = Object.entries(named).find(([, value]) => value !== undefined) ?? [];
    if (lonely !== undefined) {
      throw usage(`--${lonely} is about a board on a cable, and there is none.`, 'add --board');
    }
  }
  if (server !== undefined) checkExternal(server, time, options);
  if (live && time === 'virtual') {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      'Real services answer in real time: --live and --time virtual exclude each other.',
      'leave --time out',
    );
  }
  const budget = liveBudget(options);
  const choice = chooseProviders(shown, options.config, [], live ? 'services' : 'stand-ins');
  const providers = live ? liveProviders(choice, options.provider) : choice.entries;
  const profiles = boardProfiles(options.device ?? []);
  const known = scenarioCatalog([...choice.entries.keys()]);
  const catalog = { ...known, devices: [...known.devices, ...profiles.byName.keys()] };
  if (configured !== undefined) {
    checkHarnessConfig(configured.config, configured.taken, catalog);
  }
  const files = findScenarioFiles(paths.length === 0 ? [defaultScenarioFolder()] : paths);
  const scenarios = loadScenarios(files, catalog).map((scenario) =>
    configuredScenario(scenario, choice.config),
  );
  const whole = planRun(scenarios, {
    providers:
      server !== undefined
        ? []
        : live
          ? [...providers.keys()]
          : (options.provider ?? choice.configured),
    devices: board !== undefined && profiles.names.length === 0 ? ['diy'] : profiles.names,
    // A real board has its own air.
    networks: board === undefined ? options.network : ['ideal'],
    servers: options.serverModel,
    seed: options.seed,
    time,
    live,
    external: server !== undefined,
    board: board !== undefined,
    ...(options.repeat !== undefined && { repeat: options.repeat }),
    catalog,
  });
  const wanted = wantedPlan(whole, options);
  if (options.shard === undefined && options.durations !== undefined) {
    throw usage('--durations balances shards, and there are none.', 'add --shard <i>/<n>');
  }
  const part =
    options.shard === undefined
      ? undefined
      : shardOf(wanted, readShard(options.shard), options.durations, {
          providers,
          devices: profiles.byName,
          server,
          blame: options.blame === true,
        });
  const plan = part?.plan ?? wanted;
  if (real && part === undefined && plan.cells.length === 0) throw nothingLeft(plan, options);
  if (options.list === true) {
    listRun(shown, plan, options);
    return exitCode.passed;
  }
  // Its name and its gates are held to be right before anything is run; what a part came to says little of the whole.
  const named = runBaseline(shown, options, configured?.config.gates);
  const baseline = part === undefined ? named : undefined;

  const secrets = [
    ...namedSecrets(options.secret ?? [], process.env),
    ...(choice.config?.secrets ?? []),
    ...[...providers.values()].flatMap(({ tts }) => tts.secrets),
    ...secretsOfServerUrl(server ?? ''),
  ];
  const terminal = maskedTerminal(shown, new SecretMask(secrets));
  const say = options.quiet === true ? () => {} : (text: string) => terminal.say(text);
  const signal = interruptSignal(terminal, 'the recording of this conversation is being finished.');
  const told = { ask: (text: string) => terminal.say(text), tell: say };
  const onDesk = board === undefined ? undefined : await boardOnDesk(told, board, options, signal);
  for (const line of choice.config === undefined ? [] : unusedSections(choice.config)) say(line);
  say(progressHeader(plan, board, options.link));
  if (part !== undefined) say(shardLine(part));
  if (part !== undefined && named !== undefined) {
    terminal.say(
      `A part is not compared with a baseline: "merge --baseline ${options.baseline}" compares the whole with it.`,
    );
  }
  for (const line of onDesk?.facts ?? []) say(line);
  if (server !== undefined) say(standInAdvice(server, scenarios).join('\n'));
  if (budget !== undefined) {
    say(liveAnnouncement(providers, budget, planNeeds(plan, providers)).join('\n'));
  }
  for (const reason of new Set(plan.skipped.map((cell) => cell.reason))) say(`Skipped: ${reason}.`);
  const { board: _, baseline: _named, shard: _written, ...rest } = options;
  return await carryOut(terminal, plan, {
    ...rest,
    ...(baseline !== undefined && { baseline }),
    signal,
    secrets,
    providers,
    devices: profiles.byName,
    ...(onDesk !== undefined && { board: onDesk }),
    ...(budget !== undefined && { budget }),
    ...(part !== undefined && { shard: part.facts }),
    ...(server !== undefined && { external: { serverUrl: server } }),
    nextSteps: (results, folder) => nextSteps(results, folder, options),
  });
}

/** The provider of one recorded conversation in another one: another scenario, board, network or server. */
async function runOnRecording(
  shown: Terminal,
  paths: readonly string[],
  options: RunCommandOptions,
): Promise<number> {
  checkReplay(options);
  const { config, provider, refresh = false, replay = '' } = options;
  const budget = liveBudget(options);
  const choice = chooseProviders(shown, config, [], refresh ? 'services' : 'stand-ins');
  const profiles = boardProfiles(options.device ?? []);
  const known = scenarioCatalog([...choice.entries.keys()]);
  const catalog = { ...known, devices: [...known.devices, ...profiles.byName.keys()] };
  const [folder = replay, another] = recordingFolders(replay);
  if (another !== undefined) {
    throw usage(
      `${replay} holds several recordings, and only one can answer.`,
      'name the folder of one cell: recordings/runs/<run>/cells/<cell>',
    );
  }
  const recorded = openRecordedAnswers(folder);
  const { header, devices, traffic } = recorded;
  const entry = refresh
    ? refreshedProvider(choice, provider, recorded.provider.name)
    : recorded.provider;
  const withRecorded = {
    ...catalog,
    providers: [...catalog.providers, entry.name],
    devices: [...catalog.devices, ...devices.keys()],
  };
  const scenarios =
    paths.length === 0
      ? openReplayables(folder, catalog).map(({ cell }) => cell.scenario)
      : loadScenarios(findScenarioFiles(paths), withRecorded);
  const isTap = header.server === 'external';
  const planned = planRun(scenarios, {
    providers: [entry.name],
    devices: profiles.names.length === 0 && !isTap ? [header.device] : profiles.names,
    networks: options.network ?? [header.network],
    servers: options.serverModel ?? [isTap ? 'echokit-server' : (header.server ?? 'harness')],
    seed: header.seed,
    time: refresh ? 'real' : (options.time ?? 'virtual'),
    live: refresh,
    catalog: withRecorded,
  });
  // What was drawn in the recorded conversation is drawn again: ids of requests, the air.
  const plan = wantedPlan(
    {
      ...planned,
      seed: recorded.runSeed,
      cells: planned.cells.map((one) => ({ ...one, seed: header.seed })),
    },
    options,
  );
  if (options.list === true) {
    listRun(shown, plan, options);
    return exitCode.passed;
  }
  const secrets = [
    ...namedSecrets(options.secret ?? [], process.env),
    ...(choice.config?.secrets ?? []),
    ...entry.tts.secrets,
  ];
  const terminal = maskedTerminal(shown, new SecretMask(secrets));
  const say = options.quiet === true ? () => {} : (text: string) => terminal.say(text);
  const { board: _, baseline: _named, shard: _written, ...rest } = options;
  const baseline = runBaseline(shown, options, options.configured?.config.gates);
  const means = {
    ...rest,
    ...(baseline !== undefined && { baseline }),
    signal: interruptSignal(terminal, 'the recording of this conversation is being finished.'),
    source: () => recorded.source,
    secrets,
    providers: new Map([[entry.name, entry]]),
    devices: new Map([...devices, ...profiles.byName]),
    nextSteps: () => [],
  };
  if (budget !== undefined) {
    if (plan.cells.length === 0) throw nothingLeft(plan, options);
    const differences = await differencesFrom(traffic, plan, { ...means, terminal });
    if (means.signal.aborted) return exitCode.interrupted;
    for (const line of refreshLines(differences, header.scenario, traffic)) say(line);
    if (differences.length > 0) {
      say(progressHeader(plan, undefined));
      say(liveAnnouncement(means.providers, budget, planNeeds(plan, means.providers)).join('\n'));
      return await carryOut(terminal, plan, { ...means, budget, nextSteps: replaySteps });
    }
  }
  const strict: Plan = refresh ? { ...plan, time: 'virtual', live: false } : plan;
  say(`${progressHeader(strict, undefined)}: the provider is the recording of ${header.scenario}`);
  return await carryOut(terminal, strict, { ...means, recorded: () => traffic });
}

function shardLine({ plan, facts, lengthMs }: ShardedPlan): string {
  return (
    `Shard ${facts.index} of ${facts.of}: ${plan.cells.length} of ${facts.plan.cells} conversations, ` +
    `about ${Math.round(lengthMs / 1000)} s on their own clock`
  );
}

/** Which options have a meaning beside `--replay`, with `--refresh` and without. */
function checkReplay(options: RunCommandOptions): void {
  const { live = false, refresh = false, provider, config, server, board, time } = options;
  const { shard, durations } = options;
  if (refresh && !live) {
    throw usage(
      '--refresh asks the real service when a request differs from the recording, and without --live none is asked.',
      'add --live and name the service with --config or --provider; or leave --refresh out: the differences are told',
    );
  }
  if (live && !refresh) {
    throw usage(
      '--replay and --live exclude each other: the provider is the one of the recording.',
      'leave --live out; or add --refresh: what differs from the recording is then recorded anew with the real service',
    );
  }
  const parts = { shard, durations };
  const besides = refresh
    ? { server, board, time, ...parts }
    : { provider, config, server, board, ...parts };
  const other = Object.entries(besides).find(([, value]) => value !== undefined);
  if (other === undefined) return;
  const [name] = other;
  throw usage(
    name === 'shard' || name === 'durations'
      ? `--replay and --${name} exclude each other: there is one provider, and the recording is short.`
      : name === 'time'
        ? '--refresh and --time exclude each other: the recording is tried in virtual time, a real service answers in real time.'
        : `--replay and --${name} exclude each other: the provider is the one of the recording.`,
    `leave --${name} out`,
  );
}

/** @throws {CommandError} `NOTHING_MATCHED` when the selection leaves nothing, with what there is */
function wantedPlan(whole: Plan, options: RunCommandOptions): Plan {
  const { only, tag, excludeTag } = options;
  const selection = { only, tags: tag, excludeTags: excludeTag };
  const plan = selectCells(whole, selection);
  if (!isSelective(selection) || plan.cells.length + plan.skipped.length > 0) return plan;
  const written = Object.entries({ only, tag, 'exclude-tag': excludeTag }).flatMap(
    ([name, values = []]) => values.map((value) => `--${name} ${shellWord(value)}`),
  );
  const scenarios = [...new Set(whole.cells.map(({ scenario }) => scenario.name))];
  const tags = tagsOf(whole);
  const meant = [
    ...(only ?? []).map((text) => nearestName(text, scenarios)),
    ...(tag ?? []).map((text) => nearestName(text, tags)),
  ].filter((name) => name !== undefined);
  throw new CommandError(
    'NOTHING_MATCHED',
    exitCode.nothingMatched,
    `None of ${whole.cells.length} conversations matches ${written.join(' ')}` +
      `${meant.length === 0 ? '' : `: did you mean ${meant.map((name) => `"${name}"`).join(', ')}?`}`,
    `scenarios: ${scenarios.join(', ')}; tags: ${tags.join(', ') || 'none'}; "echokit-harness run --list" shows every conversation`,
  );
}

function usage(message: string, hint: string): CommandError {
  return new CommandError('USAGE', exitCode.usage, message, hint);
}

/** Names of `--device`; a file is a profile of its own. */
function boardProfiles(devices: readonly string[]): {
  readonly names: readonly string[];
  readonly byName: ReadonlyMap<string, DeviceProfile>;
} {
  const byName = new Map<string, DeviceProfile>();
  const names = devices.map((device) => {
    if (!device.endsWith('.toml')) return device;
    const profile = readBoardProfile(device);
    byName.set(profile.name, profile);
    return profile.name;
  });
  return { names, byName };
}

function checkBoard(
  { server, network, device = [], link, baud, serverAddress }: RunCommandOptions,
  time: 'virtual' | 'real',
): void {
  if (time === 'virtual') {
    throw usage(
      'A real board runs in real time: --board and --time virtual exclude each other.',
      'leave --time out',
    );
  }
  if (server !== undefined || network !== undefined) {
    const other = server === undefined ? '--network' : '--server';
    throw usage(
      `--board and ${other} exclude each other: the board connects to the server of this run, over its own air.`,
      `leave ${other} out`,
    );
  }
  if (link !== undefined && serverAddress !== undefined) {
    throw usage(
      'With --link serial the board reaches the server of this run through the cable: --server-address has no meaning.',
      'leave one of them out',
    );
  }
  if (link === undefined && baud !== undefined) {
    throw usage(
      'The console of a board is at 115200: --baud is of its serial link.',
      'add --link serial',
    );
  }
  if (device.length > 1) {
    throw usage('A board has one model: --device names several.', 'name one, or a profile file');
  }
}

function nothingLeft({ skipped }: Plan, { live = false, server }: RunCommandOptions): CommandError {
  const reasons = [...new Set(skipped.map(({ reason }) => reason))];
  const how = live ? 'live' : server === undefined ? 'on a board' : 'against another server';
  return new CommandError(
    'NOTHING_MATCHED',
    exitCode.nothingMatched,
    `No scenario is left to run ${how}: ${reasons.join('; ')}.`,
    live
      ? 'run it against the stand-in, or name another scenario'
      : 'run it with the emulated board and our own server, or name another scenario',
  );
}

function checkExternal(
  server: string,
  time: 'virtual' | 'real',
  { live, provider, config, serverModel }: RunCommandOptions,
): void {
  const parsed = URL.canParse(server) ? new URL(server) : undefined;
  if (parsed?.protocol !== 'ws:' || parsed.search !== '') {
    throw usage(
      `"${server}" is not a URL a board can use.`,
      'name it as it is stored on a board: ws://host:port/ws/, without a query',
    );
  }
  const other = Object.entries({ live, provider, config, 'server-model': serverModel }).find(
    ([, value]) => value !== undefined && value !== false,
  );
  if (other !== undefined) {
    throw usage(
      `--server and --${other[0]} exclude each other: another server has providers of its own.`,
      `leave --${other[0]} out; what that server speaks with stands in its own configuration`,
    );
  }
  if (time === 'virtual') {
    throw usage(
      'Another server runs in real time: --server and --time virtual exclude each other.',
      'leave --time out',
    );
  }
}

/** How the words of a scenario get into a server that is not ours. */
function standInAdvice(server: string, scenarios: readonly Scenario[]): string[] {
  const [first] = scenarios;
  return [
    `The server at ${server} understands and answers whatever its own services say. For the words of the`,
    'scenario, start them with it, and the server with the configuration they print:',
    `  echokit-harness stand-ins --scenario ${first?.file ?? '<file>'} > config.toml`,
    ...(scenarios.length > 1
      ? [
          'They answer from one scenario: for expectations that depend on the words, run one at a time.',
        ]
      : []),
  ];
}

function progressHeader(
  { cells, time, live, seed }: Plan,
  board: string | undefined,
  link?: RunCommandOptions['link'],
): string {
  const names = (key: 'provider' | 'device' | 'network') => [
    ...new Set(cells.map((cell) => cell[key])),
  ];
  const count = (key: 'provider' | 'device' | 'network', one: string, several: string): string => {
    const found = names(key);
    if (found.length === 1) return `${one}${found.join('')}`;
    return `${found.length} ${several}${found.length > 4 ? '' : ` (${found.join(', ')})`}`;
  };
  const scenarios = new Set(cells.map((cell) => cell.scenario.name)).size;
  const noun = scenarios === 1 ? 'scenario' : 'scenarios';
  const models = cells.every(({ server }) => server === 'harness' || server === 'external')
    ? ''
    : `server ${[...new Set(cells.map(({ server }) => server))].join(' and ')}, `;
  const external = cells.some(({ server }) => server === 'external');
  const whose = live ? 'live' : external ? 'another server' : 'local stand-ins';
  const where =
    board === undefined
      ? `${count('device', 'board ', 'boards')}, ${count('network', 'network ', 'networks')}`
      : `board ${board} over its ${link === undefined ? 'own air' : 'serial link'}, ${count('device', 'model ', 'models')}`;
  return (
    `${scenarios} ${noun} × ${count('provider', '', 'providers')}, ` +
    `${where}, ${models}${seed === null ? '' : `seed ${seed}, `}${time} time, ${whose}`
  );
}

function nextSteps(
  results: readonly CellResult[],
  folder: string,
  options: RunCommandOptions,
): string[] {
  const { live } = options;
  const worst = results.find(({ verdict }) => verdict.outcome !== 'pass') ?? results.at(-1);
  if (worst === undefined) return [];
  const recording = join(relative('.', folder) || folder, worst.recording);
  const same = repeatArguments(worst.cell, options);
  return [
    ...listening(worst, recording),
    `see what happened:    ${join(recording, 'trace.jsonl')}`,
    // A repetition has draws of its own, which only its recording knows.
    worst.cell.repetition === undefined || worst.cell.repetition === 1
      ? `repeat one cell:      npm run -s harness -- run ${same.map(shellWord).join(' ')}`
      : `repeat one cell:      npm run -s harness -- replay ${shellWord(recording)}`,
    ...(live === true ||
    options.server !== undefined ||
    options.board !== undefined ||
    options.time === 'real'
      ? []
      : [
          'with real sockets:    npm run -s harness -- run --time real scenarios/one-question.toml',
        ]),
    'write your own:       scenarios/README.md',
  ];
}

/** Nobody can listen to the speaker of a real board; its model's is in the recording. */
function listening({ board, room }: CellResult, recording: string): string[] {
  const speaker = join(recording, 'speaker.wav');
  if (board === undefined) return [`listen to a board:    ${speaker}`];
  return [
    `listen to the model:  ${speaker} (what the board should have played)`,
    ...(room === undefined ? [] : [`listen to the room:   ${join(recording, 'room.wav')}`]),
  ];
}

/** The arguments of `run` for exactly this cell. */
function repeatArguments(cell: Cell, options: RunCommandOptions): string[] {
  const { scenario, provider, device, network, server } = cell;
  const { live, config, time, seed, out } = options;
  const unless = (usual: boolean, ...more: string[]): string[] => (usual ? [] : more);
  /** What the scenario alone would run on. */
  const alone = (key: 'devices' | 'networks' | 'servers'): readonly string[] => {
    if (scenario.matrix[key].length > 0) return scenario.matrix[key];
    return key === 'servers' ? [scenario.server.model] : defaultMatrix[key];
  };
  const usual = (key: 'devices' | 'networks' | 'servers', name: string): boolean =>
    alone(key).length === 1 && alone(key)[0] === name;
  return [
    scenario.file,
    ...unless(live !== true, '--live'),
    ...(config === undefined ? [] : ['--config', config]),
    ...(options.server === undefined ? ['--provider', provider] : ['--server', options.server]),
    ...unless(usual('devices', device), '--device', fileOf(device, options) ?? device),
    ...boardArguments(options),
    ...unless(options.board !== undefined || usual('networks', network), '--network', network),
    ...unless(options.server !== undefined || usual('servers', server), '--server-model', server),
    ...unless(live === true || options.board !== undefined || time !== 'real', '--time', 'real'),
    ...unless(seed === 1, '--seed', `${seed}`),
    ...unless(out === 'recordings/runs', '--out', out),
  ];
}

/** As a shell takes it for one word. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function boardArguments(options: RunCommandOptions): string[] {
  const { board, registry, serverAddress, speak, wiring, reset, roomProgram, link, baud } = options;
  const named = {
    board,
    registry,
    'server-address': serverAddress,
    speak,
    wiring,
    reset,
    'room-program': roomProgram,
    link,
    baud,
  };
  const room = options.roomCapture === true && roomProgram === undefined ? ['--room-capture'] : [];
  return [
    ...Object.entries(named).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name}`, `${value}`],
    ),
    ...room,
  ];
}

/** The profile file that a board of the plan comes from. */
function fileOf(device: string, { device: asked = [] }: RunCommandOptions): string | undefined {
  return asked.find((name) => name.endsWith('.toml') && readBoardProfile(name).name === device);
}
