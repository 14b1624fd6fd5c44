import { readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { adapterFor } from '../../adapters/index.ts';
import { SystemClock } from '../clock/system-clock.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { endpointsOf } from '../runner/provider-catalog.ts';
import { impersonateProvider } from '../runner/provider-stand-ins.ts';
import type { Scenario, Turn } from '../scenario/scenario.ts';
import { createAdapterServer } from '../server/adapter-server.ts';
import type { ServerObservation } from '../server/conversation.ts';
import { endOfSpeechDefaults } from '../server/end-of-speech.ts';
import { scriptedRecognizer } from '../server/recognizer.ts';
import { scriptedReply } from '../server/reply-source.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { chooseProviders, findProvider, unusedSections } from './provider-choice.ts';
import { loadScript } from './scenario-files.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface ServeCommandOptions {
  /** Default: the first provider of `config`, without one `openai`. */
  readonly provider?: string;
  readonly config?: string;
  /** Default: `addr` of `config`, without one this machine. */
  readonly host?: string;
  /** Default: `addr` of `config`, without one 8080. */
  readonly port?: number;
  readonly scenario?: string;
  readonly live?: boolean;
}

/** `serve`: the adapter server on a real port, until Ctrl-C. */
export async function serveCommand(
  terminal: Terminal,
  options: ServeCommandOptions,
): Promise<number> {
  const choice = chooseProviders(terminal, options.config, ['addr', 'hello_wav', 'asr.vad']);
  const { config } = choice;
  const host = options.host ?? config?.addr?.host ?? '127.0.0.1';
  const port = options.port ?? config?.addr?.port ?? 8080;
  const name = options.provider ?? choice.configured[0] ?? 'openai';
  const provider = findProvider(choice, name);
  if (options.live === true && !choice.configured.includes(name)) {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      options.config === undefined
        ? '--live needs --config: the built-in providers have keys that only stand-ins accept.'
        : `--live needs a provider of ${options.config}: the key of the built-in "${name}" is accepted by stand-ins only.`,
    );
  }
  const scenario = loadScript(options.scenario, [...choice.entries.keys()]);
  const clock = new SystemClock();
  const random = createRandom(1, 'serve');
  const { opus, voiceDetection, voice, encoder } = await openCommandLaboratory(terminal);
  const outside = options.live === true ? endpointsOf(provider) : [];
  const network = new SocketNetwork({ clock, random: random.fork('network'), outside });
  const standIns =
    options.live === true
      ? undefined
      : await impersonateProvider(provider, network, {
          voice,
          encoder,
          clock,
          random: random.fork('stand-in'),
          changes: scenario.standIn,
        });
  const hello = scenario.server.helloWav ?? config?.helloWav;
  const speech = adapterFor(provider.tts).open(provider.tts.config, {
    clock,
    dialer: network,
    randomBytes: (count) => random.bytes(count),
  });
  const server = createAdapterServer({
    clock,
    opus,
    voiceDetection,
    speech,
    platform: provider.tts.platform,
    settings: { endOfSpeech: { ...endOfSpeechDefaults, ...config?.endOfSpeech } },
    ...(hello === undefined ? {} : { hello: readFileSync(hello) }),
    recognizer: scriptedRecognizer(({ turn }) => turnOf(scenario, turn).heard, {
      clock,
      durationMs: scenario.server.recognitionMs,
    }),
    replies: scriptedReply(
      ({ turn }) => {
        const { reply, replyPace } = turnOf(scenario, turn);
        return { text: reply, ...replyPace };
      },
      { clock },
    ),
    observe: (event) => {
      const text = describe(event);
      if (text !== undefined) terminal.say(`${seconds(event.atUs)}  ${text}`);
    },
  });
  for (const line of config === undefined ? [] : unusedSections(config)) terminal.say(line);
  const signal = interruptSignal(terminal, 'closing the connections.');
  const listener = await network.listen({ host, port }, (stream: Duplex) => server.accept(stream));
  const shown = host === '0.0.0.0' ? '<address of this machine>' : host;
  terminal.print(`ws://${shown}:${listener.endpoint.port}/ws/`);
  if (!['127.0.0.1', '::1', 'localhost'].includes(host)) {
    terminal.say('Everybody who reaches this address can talk to it: boards have no password.');
  }
  terminal.say(
    `Speaking with ${options.live === true ? 'the real' : 'the stand-in of'} ${provider.name}, ` +
      `answering from "${scenario.title}". Ctrl-C ends it.`,
  );
  await aborted(signal);
  await listener.close();
  await server.close();
  await speech.close();
  await standIns?.close();
  return exitCode.interrupted;
}

/** The script starts again when it has come to its end. */
function turnOf({ turns }: Scenario, turn: number): Turn {
  return turns[(turn - 1) % turns.length]!;
}

/** What a person watching the server wants to see; audio frames and text pieces are left out. */
function describe(event: ServerObservation): string | undefined {
  if (event.source === 'provider') {
    if (event.type === 'request') return `provider   request ${event.request}: ${event.url}`;
    if (event.type === 'failure') return `provider   failed: ${event.kind}: ${event.message}`;
    return undefined;
  }
  switch (event.type) {
    case 'connected':
      return `board ${event.deviceId} connected${event.reconnect ? ' again' : ''} (opus ${event.opus}, stream_asr ${event.streamAsr})`;
    case 'disconnected':
      return `connection ${event.connection} closed (${event.code})`;
    case 'turnStart':
      return `turn ${event.turn}     the user speaks`;
    case 'endOfTurn':
      return `turn ${event.turn}     the user has finished (${event.by})`;
    case 'asr':
      return event.final ? `turn ${event.turn}     understood: ${event.text}` : undefined;
    case 'sentence':
      return `turn ${event.turn}     sentence ${event.sentence}: ${event.text}`;
    case 'turnEnd':
      return `turn ${event.turn}     ${event.outcome}${event.failure === undefined ? '' : ` (${event.failure})`}`;
    default:
      return undefined;
  }
}

function seconds(atUs: number): string {
  return `${(atUs / 1_000_000).toFixed(3).padStart(9)} s`;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
