import type { Duplex } from 'node:stream';
import { stringify } from 'smol-toml';
import { SystemClock } from '../clock/system-clock.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { builtInTables } from '../runner/provider-catalog.ts';
import { createStandIn, type StandInRequest } from '../stand-ins/stand-in.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { exitCode } from './exit-code.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface StandInsCommandOptions {
  readonly host: string;
  readonly port: number;
}

/** `stand-ins`: the local provider cloud on real ports, until Ctrl-C. */
export async function standInsCommand(
  terminal: Terminal,
  options: StandInsCommandOptions,
): Promise<number> {
  const clock = new SystemClock();
  const random = createRandom(1, 'stand-ins');
  const { voice, encoder } = await openCommandLaboratory(terminal);
  const network = new SocketNetwork({ clock, random, outside: [] });
  const signal = interruptSignal(terminal, 'closing the stand-ins.');
  const closing: (() => Promise<void>)[] = [];
  for (const [index, table] of uniquePlatforms().entries()) {
    const platform = table['platform'] as string;
    const standIn = createStandIn({
      platform,
      voice,
      encoder,
      clock,
      random: random.fork(platform),
      onRequest: (request) => terminal.say(logLine(platform, request)),
    });
    const port = options.port === 0 ? 0 : options.port + index;
    const listener = await network.listen({ host: options.host, port }, (stream: Duplex) =>
      standIn.accept(stream),
    );
    closing.push(
      () => listener.close(),
      () => standIn.close(),
    );
    const here = `${options.host}:${listener.endpoint.port}`;
    terminal.print(
      `${stringify({ tts: { ...table, url: localUrl(table['url'] as string, here) } })}\n`,
    );
  }
  terminal.say(
    'Put one of these sections into the config.toml of an EchoKit server. Ctrl-C ends it.',
  );
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await Promise.all(closing.map((close) => close()));
  return exitCode.interrupted;
}

/** One built-in `[tts]` table per platform. */
function uniquePlatforms(): Readonly<Record<string, unknown>>[] {
  const byPlatform = new Map<unknown, Readonly<Record<string, unknown>>>();
  for (const table of Object.values(builtInTables)) {
    if (!byPlatform.has(table['platform'])) byPlatform.set(table['platform'], table);
  }
  return [...byPlatform.values()];
}

function localUrl(original: string, here: string): string {
  const { protocol, pathname } = new URL(original);
  const scheme = protocol === 'wss:' || protocol === 'ws:' ? 'ws' : 'http';
  return `${scheme}://${here}${pathname}`;
}

function logLine(platform: string, request: StandInRequest): string {
  const { method, path, status, outcome, audioSeconds, error, atUs } = request;
  const at = `${(atUs / 1_000_000).toFixed(3).padStart(9)} s`;
  const audio = audioSeconds > 0 ? `, ${audioSeconds.toFixed(2)} s of audio` : '';
  const what = error === undefined ? '' : `, ${error}`;
  return `${at}  ${platform}: ${method} ${path} → ${status}, ${outcome}${audio}${what}`;
}
