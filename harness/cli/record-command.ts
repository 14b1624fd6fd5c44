import { join } from 'node:path';
import { SystemClock, wallClockIso } from '../clock/system-clock.ts';
import { deviceProfiles } from '../device/device-profile.ts';
import { writeWhole } from '../files/written-file.ts';
import { endpointOfUrl, isLoopback } from '../network/endpoint-url.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { endpointsOf } from '../runner/provider-catalog.ts';
import { type TapPlace, TrafficTap } from '../runner/traffic-tap.ts';
import { secretsOfServerUrl } from '../server/access-token.ts';
import { SecretMask } from '../trace/secret-mask.ts';
import { newRunFolder } from './carried-run.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { namedSecrets } from './named-secrets.ts';
import { openAddressWarning } from './open-address.ts';
import { chooseProviders, findProvider } from './provider-choice.ts';
import { recordedReport } from './recorded-report.ts';
import { scenarioCatalog } from './scenario-files.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface RecordCommandOptions {
  /** Default: the first of `config`, when that is given. */
  readonly provider?: string;
  readonly config?: string;
  /** URL of an EchoKit server, as stored on a board. */
  readonly server?: string;
  /** Model of the board, for what cannot be seen from outside. */
  readonly board: string;
  readonly host: string;
  readonly port: number;
  readonly out: string;
  /** The provider is on another machine. */
  readonly live?: boolean;
  /** Values that no recording may have, or `${NAME}` for variables of the environment. */
  readonly secret?: readonly string[];
  readonly version: string;
}

/** `record`: a tap between an EchoKit server and its provider, or a board and its server, until Ctrl-C. */
export async function recordCommand(
  terminal: Terminal,
  options: RecordCommandOptions,
): Promise<number> {
  const { server, live = false } = options;
  const choice = chooseProviders(terminal, options.config);
  const name = options.provider ?? choice.configured[0];
  const provider = name === undefined ? undefined : findProvider(choice, name);
  const profile = deviceProfiles[options.board];
  if (provider === undefined && server === undefined) {
    throw usage(
      'There is nothing to stand between.',
      'name the provider of a server (--provider or --config), the server of a board (--server), or both',
    );
  }
  if (profile === undefined) {
    throw usage(
      `There is no board "${options.board}".`,
      `boards: ${Object.keys(deviceProfiles).join(', ')}`,
    );
  }
  if (server !== undefined && !/^ws:\/\/[^?]+$/.test(server)) {
    throw usage(
      `"${server}" is not a URL a board can use.`,
      'name it as it is stored on a board: ws://host:port/ws/, without a query',
    );
  }
  const services = provider === undefined ? [] : endpointsOf(provider);
  const outside = services.find(({ host }) => !isLoopback(host));
  if (outside !== undefined && !live) {
    throw usage(
      `${outside.host} is not on this machine, and text that passes to it may cost money.`,
      'add --live when that is meant',
    );
  }
  const secrets = [
    ...namedSecrets(options.secret ?? [], process.env),
    ...(choice.config?.secrets ?? []),
    ...secretsOfServerUrl(server ?? ''),
  ];
  const clock = new SystemClock();
  const startedAt = wallClockIso();
  const run = newRunFolder(
    options.out,
    startedAt.replaceAll(/[:.]/g, '-').replace(/-\d{3}Z$/, 'Z'),
  );
  const folder = join(run.path, 'cells', 'tap');
  const network = new SocketNetwork({
    clock,
    random: createRandom(1, 'record'),
    outside: [...services, ...(server === undefined ? [] : [endpointOfUrl(new URL(server))])],
  });
  const signal = interruptSignal(terminal, 'the recording is being finished.');
  const tap = await TrafficTap.open(
    {
      folder,
      ...(provider !== undefined && { provider }),
      ...(server !== undefined && { server: { url: server, profile } }),
      secrets,
      clock,
      network,
      laboratory: await openCommandLaboratory(terminal),
      environment: {
        version: options.version,
        node: process.version,
        platform: `${process.platform} ${process.arch}`,
        startedAt,
      },
      tell: (text) => terminal.say(text),
    },
    { host: options.host, port: options.port },
  );
  for (const line of instructions(tap.places)) terminal.print(line);
  const warning = openAddressWarning(options.host, 'what is recorded here');
  if (warning !== undefined) {
    terminal.say(`${warning} Everybody there can pass through it, with keys of their own.`);
  }
  terminal.say('Recording until Ctrl-C.');
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await tap.close();
  const count = tap.connections;
  const { report } = recordedReport(run.path, scenarioCatalog([...choice.entries.keys()]), run.id);
  const mask = new SecretMask(secrets);
  writeWhole(join(run.path, 'report.json'), mask.text(`${JSON.stringify(report, null, 2)}\n`));
  terminal.say(`${folder}: ${count} ${count === 1 ? 'connection' : 'connections'}.`);
  return exitCode.interrupted;
}

/** What to write where. The configuration part is TOML. */
function instructions(places: readonly TapPlace[]): string[] {
  return places.flatMap(({ of, url, instead }) =>
    of === 'board'
      ? [`# the server URL of the board, instead of ${instead}:`, url]
      : [`[${of}]  # of the EchoKit server, instead of ${instead}`, `url = "${url}"`],
  );
}

function usage(message: string, hint: string): CommandError {
  return new CommandError('USAGE', exitCode.usage, message, hint);
}
