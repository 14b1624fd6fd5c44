import { randomBytes } from 'node:crypto';
import { openRelaySocket } from '../device/relay-socket.ts';
import { endpointOfUrl } from '../network/endpoint-url.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { BridgeTeller, renderTold, renderTraffic, trafficData } from '../report/bridge-text.ts';
import { consoleColors, documentText, renderConsoleCounts } from '../report/console-text.ts';
import { BridgeSession } from '../serial/bridge-session.ts';
import type { BridgeTraffic } from '../serial/bridge-traffic.ts';
import type { BridgeEvent } from '../serial/serial-link-bridge.ts';
import { type BoardConsoleOptions, openBoardConsole, resetForUser } from './board-access.ts';
import { CommandError, exitCode } from './exit-code.ts';
import type { Terminal } from './terminal.ts';

export interface BridgeOptions extends BoardConsoleOptions {
  /** As stored on a board. */
  readonly server: string;
  readonly compact?: boolean;
  readonly reset?: boolean;
}

/** `bridge`: relays between a board on a serial link and a server, until Ctrl-C. */
export async function bridgeCommand(
  terminal: Terminal,
  name: string | undefined,
  options: BridgeOptions,
): Promise<number> {
  const { json = false, baud, compact } = options;
  const base = serverBase(options.server);
  const { clock, chosen, stop, say, access, output, secrets, mask } = await openBoardConsole(
    terminal,
    name,
    {
      ...options,
      command: 'bridge',
      closing: 'ending the link and closing the port.',
    },
  );
  const random = createRandom(1, 'bridge');
  const network = new SocketNetwork({
    clock,
    random: random.fork('network'),
    outside: [endpointOfUrl(base)],
  });
  const teller = new BridgeTeller();
  const colors = consoleColors(terminal.color);
  // What the board has shown on its console, a password, is no matter of its messages and of the server's either.
  const clean = (text: string): string => mask.text(session.console.reader.redact(text));
  let refusals = 0;
  const onBridge = (event: BridgeEvent): void => {
    const told = teller.tell(event);
    if (told !== undefined) {
      const { type, ...data } = told.data;
      terminal.print(
        json
          ? documentText({ type, atUs: event.atUs, ...data }, clean)
          : renderTold(told, colors, clean),
      );
    }
    // A server that is not there is told once with what to do; the board tries by itself.
    const unreachable =
      event.kind === 'server-closed' && event.by === 'server' && event.code === 1006;
    if (!unreachable || refusals++ > 0) return;
    say(`is a server at ${base.host}? "echokit-harness serve" is one; --server names another`);
  };
  const show = (traffic: BridgeTraffic, total: boolean): void => {
    if (json) terminal.print(JSON.stringify(trafficData(traffic, total)));
    else if (total) say(`in all ${renderTraffic(traffic)}`);
    else terminal.print(colors.dim(`-- traffic: ${renderTraffic(traffic)}`));
  };
  const session = new BridgeSession({
    clock,
    address: chosen.address,
    baud: chosen.wiring === 'usb-jtag' ? null : baud,
    secrets,
    ...(chosen.expectedMac !== undefined && { expectedMac: chosen.expectedMac }),
    open: (address) => access.open(address),
    locate: () => access.locate(),
    drawBytes: randomBytes,
    dial: (target, listener) =>
      openRelaySocket({ url: serverUrl(base, target), clock, dialer: network, random }, listener),
    ...(compact !== undefined && { compactEvents: compact }),
    onLine: (line) => output.line(line),
    onStory: (event) => output.story(event),
    onSession: (event) => output.session(event),
    onBridge,
    onTraffic: (traffic) => show(traffic, false),
  });
  say(`${chosen.address}, ${chosen.because}; server ${options.server}`);
  try {
    await session.start();
    if (options.reset === true) await resetForUser(session.console, access, say, clock);
    await session.run(stop);
  } catch (error) {
    if (!stop.aborted) throw error;
  } finally {
    await session.close();
    say(renderConsoleCounts(session.console.reader.counts));
    show(session.traffic(), true);
  }
  return exitCode.interrupted;
}

/** @throws {CommandError} `USAGE` for what is no URL that a board could have stored */
function serverBase(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'ws:' && url.search === '' && url.hash === '') return url;
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `--server "${text}" is not a URL a board can use.`,
    'name it as it is stored on a board: ws://host:port/ws/, without a query',
  );
}

/**
 * Where the board wants to go, at this server: the last segment of its path, which is its id, and its query, below the
 * path of the base.
 */
export function serverUrl(base: URL, target: string): string {
  const [path = '', ...query] = target.split('?');
  const id = path.slice(path.lastIndexOf('/') + 1);
  const folder = base.pathname.endsWith('/') ? base.pathname : `${base.pathname}/`;
  return `${base.protocol}//${base.host}${folder}${id}${query.length > 0 ? `?${query.join('?')}` : ''}`;
}
