import type { Clock } from '../clock/clock.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { SystemClock } from '../clock/system-clock.ts';
import { buildConformanceReport } from '../conformance/conformance-report.ts';
import { deviceCases, runDeviceSuite } from '../conformance/device-suite.ts';
import { deviceProfiles } from '../device/device-profile.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import type { Endpoint, Network } from '../network/network.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import {
  type ConformOptions,
  casesFor,
  familyPrinter,
  finishConformance,
  listCases,
  spokenClip,
} from './conform-server-command.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface ConformDeviceOptions extends ConformOptions {
  readonly board: string;
  readonly time: 'virtual' | 'real';
  /** `host:port` at which a real board is waited for. */
  readonly listen?: string;
  readonly long?: boolean;
  readonly say: string;
}

/** `conform device`: the conformance suite of boards, against the emulated one or a real one. */
export async function conformDeviceCommand(
  terminal: Terminal,
  options: ConformDeviceOptions,
): Promise<number> {
  const cases = casesFor(deviceCases, options.only);
  if (options.list === true) return listCases(terminal, cases, options);
  const profile = profileOf(options.board);
  const { opus, voiceDetection, voice } = await openCommandLaboratory(terminal);
  const speech = spokenClip(options.say, voice);
  const random = createRandom(1, 'conformance');
  const signal = interruptSignal(terminal, 'stopping before the next case.');
  const show = familyPrinter(terminal, options, cases);
  const examine = (clock: Clock, network: Network, endpoint: Endpoint) =>
    runDeviceSuite(
      {
        clock,
        network,
        endpoint,
        random,
        opus,
        voiceDetection,
        speech,
        long: options.long === true,
        ...(options.listen === undefined
          ? { profile }
          : { ask: (request: string) => terminal.say(`>>> ${request}`) }),
      },
      {
        cases,
        signal,
        onResult: show.result,
        onListening: (port) => {
          if (options.listen === undefined) return;
          terminal.say(`Waiting for a board at port ${port}: set its server URL to`);
          terminal.say(`ws://<address of this machine>:${port}/ws/ and do what is asked for.`);
        },
      },
    );
  let results: Awaited<ReturnType<typeof runDeviceSuite>>;
  if (options.listen === undefined && options.time === 'virtual') {
    const clock = new SimulatedClock();
    const network = new MemoryNetwork(clock, random.fork('network'));
    results = await clock.run(examine(clock, network, { host: 'conformance', port: 80 }));
  } else {
    const clock = new SystemClock();
    const network = new SocketNetwork({ clock, random: random.fork('network'), outside: [] });
    const endpoint =
      options.listen === undefined ? { host: '127.0.0.1', port: 0 } : endpointOf(options.listen);
    results = await examine(clock, network, endpoint);
  }
  show.finish();
  const target = options.listen === undefined ? `the emulated ${profile.name}` : 'a real board';
  return finishConformance(
    terminal,
    buildConformanceReport('device', target, cases.length, results),
    options,
    signal,
  );
}

function profileOf(board: string) {
  const profile = Object.hasOwn(deviceProfiles, board) ? deviceProfiles[board] : undefined;
  const names = Object.values(deviceProfiles)
    .filter(({ firmware }) => firmware.endOfUtterance === 'server')
    .map(({ name }) => name);
  if (profile !== undefined && names.includes(profile.name)) return profile;
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    profile === undefined
      ? `There is no board "${board}".`
      : `The suite is about firmware 0.3.1 and 0.3.2; ${board} has an older one.`,
    `boards: ${names.join(', ')}`,
  );
}

function endpointOf(listen: string): Endpoint {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(listen) ?? [];
  if (host !== undefined && Number(port) <= 65_535) return { host, port: Number(port) };
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `"${listen}" is no address to listen on.`,
    'write host:port, for example 0.0.0.0:8080',
  );
}
