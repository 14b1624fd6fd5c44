import type { Duplex } from 'node:stream';
import { nearestName } from '../../adapters/index.ts';
import { SystemClock } from '../clock/system-clock.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { builtInProviders, builtInTables, exampleTable } from '../runner/provider-catalog.ts';
import { findPersonality } from '../stand-ins/personality-catalog.ts';
import {
  createDialogueStandIn,
  createStandIn,
  type DialogueService,
  dialogueServices,
  echoKitPersonality,
  type ServiceStandIn,
  type StandInRequest,
} from '../stand-ins/stand-in.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { openAddressWarning } from './open-address.ts';
import { obstacleLine, requestDetail, requestJson, requestLine } from './request-log.ts';
import { loadScript } from './scenario-files.ts';
import { renderStandInConfig } from './stand-in-config.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface StandInsCommandOptions {
  readonly host: string;
  readonly port: number;
  /** Services to start; default: all. */
  readonly only?: readonly string[];
  /** Platform of `[tts]`; default: the first that is started. */
  readonly tts?: string;
  readonly scenario?: string;
  /** `platform=personality`; goes before what the scenario says. */
  readonly personality?: readonly string[];
  readonly verbose?: boolean;
  readonly json?: boolean;
}

type Table = Readonly<Record<string, unknown>>;

/** `stand-ins`: everything an EchoKit server calls, on real ports, until Ctrl-C. */
export async function standInsCommand(
  terminal: Terminal,
  options: StandInsCommandOptions,
): Promise<number> {
  const platforms = [...new Set(builtInProviders.map(({ tts }) => tts.platform))];
  // Ports count up in this order. What came later stands at the end, so that nothing has moved.
  const services = [
    ...dialogueServices.filter((service) => service !== 'paraformer'),
    ...platforms,
    'paraformer',
  ];
  const chosen = chosenServices(services, options);
  const scenario = loadScript(options.scenario, Object.keys(builtInTables));
  const personalities = new Map([
    ...scenario.personalities,
    ...givenPersonalities(options, chosen),
  ]);
  const tables = new Map(
    platforms.map((platform) => [platform, exampleTable(platform, personalities.get(platform))]),
  );
  const clock = new SystemClock();
  const random = createRandom(1, 'stand-ins');
  const { voice, encoder } = await openCommandLaboratory(terminal);
  const network = new SocketNetwork({ clock, random, outside: [] });
  const signal = interruptSignal(terminal, 'closing the stand-ins.');
  const log = (service: string) => (request: StandInRequest) => {
    if (options.json === true) terminal.print(requestJson(service, request));
    else terminal.say(requestLine(service, request));
    if (options.verbose === true && options.json !== true) terminal.say(requestDetail(request));
  };
  const { recognitionMs } = scenario.server;
  const create = (service: string): ServiceStandIn => {
    const own = { clock, random: random.fork(service), onRequest: log(service) };
    if (isDialogue(service)) {
      const script = { turns: scenario.turns, recognitionMs };
      return createDialogueStandIn(service, { ...own, script });
    }
    const personality = personalities.get(service) ?? echoKitPersonality(service);
    return createStandIn({
      platform: service,
      voice,
      encoder,
      ...own,
      changes: scenario.standIn,
      onFault: (report) => {
        const line = obstacleLine(service, report);
        if (line === undefined) return;
        if (options.json === true)
          terminal.print(JSON.stringify({ type: 'fault', service, ...report }));
        else terminal.say(line);
      },
      ...(personality !== undefined && { personality }),
    });
  };
  const closing: (() => Promise<void>)[] = [];
  const addresses = new Map<string, string>();
  for (const [index, service] of services.entries()) {
    if (!chosen.includes(service)) continue;
    const standIn = create(service);
    // A service has the same port whatever else is started.
    const port = options.port === 0 ? 0 : options.port + index;
    const listener = await network.listen({ host: options.host, port }, (stream: Duplex) =>
      standIn.accept(stream),
    );
    closing.push(
      () => listener.close(),
      () => standIn.close(),
    );
    addresses.set(service, `${reachable(options.host)}:${listener.endpoint.port}`);
  }

  const speech = [...tables].flatMap(([platform, table]): [string, Table][] => {
    const address = addresses.get(platform);
    if (address === undefined) return [];
    return [[platform, { ...table, url: localUrl(table['url'] as string, address) }]];
  });
  const first = speech.findIndex(([platform]) => platform === options.tts);
  if (first > 0) speech.unshift(...speech.splice(first, 1));
  const dialogue = Object.fromEntries(
    dialogueServices.flatMap((service) => {
      const address = addresses.get(service);
      const scheme = service === 'paraformer' ? 'ws' : 'http';
      return address === undefined ? [] : [[service, `${scheme}://${address}`]];
    }),
  );
  const config = renderStandInConfig({ dialogue, speech });
  if (options.json === true) {
    const ready = { type: 'ready', addresses: Object.fromEntries(addresses), config };
    terminal.print(JSON.stringify(ready));
  } else {
    terminal.print(config);
  }
  terminal.say(
    `${addresses.size} stand-ins are running: ${[...addresses.keys()].join(', ')}. ` +
      `They say what "${scenario.title}" says. ` +
      'Start an EchoKit server with the configuration above; requests follow. Ctrl-C ends it.',
  );
  const warning = openAddressWarning(options.host, 'these stand-ins');
  if (warning !== undefined) {
    terminal.say(`${warning} Any key opens them; they have no secrets and call nobody.`);
  }
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await Promise.all(closing.map((close) => close()));
  return exitCode.interrupted;
}

/**
 * @throws {CommandError} `USAGE`
 * @throws {StandInError} `STAND_IN_NO_PERSONALITY`
 */
function givenPersonalities(
  { personality: given = [] }: StandInsCommandOptions,
  chosen: readonly string[],
): [string, string][] {
  const platforms = chosen.filter((service) => !isDialogue(service));
  return given.map((pair) => {
    const [platform = '', name = ''] = pair.split('=');
    demand('--personality', platform, platforms);
    return [platform, findPersonality(name, platform).name];
  });
}

/** @throws {CommandError} `USAGE` for a name that is not there, or that `--only` leaves out */
function chosenServices(
  services: readonly string[],
  { only, tts }: StandInsCommandOptions,
): readonly string[] {
  const platforms = services.filter((service) => !isDialogue(service));
  for (const name of only ?? []) demand('--only', name, services);
  if (tts !== undefined) demand('--tts', tts, platforms);
  if (tts !== undefined && only !== undefined && !only.includes(tts)) {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      `--tts is "${tts}", which --only does not start.`,
      `write --only ${[...only, tts].join(',')}`,
    );
  }
  return only ?? services;
}

function demand(option: string, name: string, names: readonly string[]): void {
  if (names.includes(name)) return;
  const nearest = nearestName(name, names);
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `${option}: there is no stand-in "${name}".${nearest === undefined ? '' : ` Did you mean "${nearest}"?`}`,
    `stand-ins: ${names.join(', ')}`,
  );
}

function isDialogue(service: string): service is DialogueService {
  return (dialogueServices as readonly string[]).includes(service);
}

/** An address of all interfaces is none to connect to. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

function localUrl(original: string, here: string): string {
  const { protocol, pathname } = new URL(original);
  const scheme = protocol === 'wss:' || protocol === 'ws:' ? 'ws' : 'http';
  return `${scheme}://${here}${pathname}`;
}
