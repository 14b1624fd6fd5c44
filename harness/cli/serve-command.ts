import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { SystemClock, wallClockMs, wallClockStamp } from '../clock/system-clock.ts';
import { endpointOfUrl, isLoopback } from '../network/endpoint-url.ts';
import { endpointName } from '../network/laboratory-network.ts';
import { readServerCertificate } from '../network/server-certificate.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { openDialogueServices } from '../runner/dialogue-services.ts';
import { personalityOf } from '../runner/personality-choice.ts';
import { endpointsOf } from '../runner/provider-catalog.ts';
import { impersonateProvider } from '../runner/provider-stand-ins.ts';
import { withinBudget } from '../runner/request-budget.ts';
import { changesStandIn } from '../scenario/plan.ts';
import type { Scenario, Turn } from '../scenario/scenario.ts';
import { createAdapterServer, type RecordNotice } from '../server/adapter-server.ts';
import { compatOf, compatSettings, openCompatSpeech } from '../server/compat.ts';
import type { ServerModel } from '../server/compat-items.ts';
import type { ServerObservation } from '../server/conversation.ts';
import { endOfSpeechDefaults } from '../server/end-of-speech.ts';
import { recordFolder } from '../server/record-store.ts';
import { Service, textOf } from '../server/service-call.ts';
import { SecretMask } from '../trace/secret-mask.ts';
import { closeText } from './close-code.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { configuredScenario } from './configured-scenario.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { type LiveOptions, liveAnnouncement, liveBudget, liveProviders } from './live-providers.ts';
import { liveServices, openLiveServices } from './live-services.ts';
import { chosenToken, openAddressWarning, tokenVariable } from './open-address.ts';
import { chooseProviders, findProvider, unusedSections } from './provider-choice.ts';
import { obstacleLine } from './request-log.ts';
import { loadScript } from './scenario-files.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface ServeCommandOptions extends LiveOptions {
  /** Default: the first provider of `config`, without one `openai`. */
  readonly provider?: string;
  readonly config?: string;
  /** Default: `addr` of `config`, without one this machine. */
  readonly host?: string;
  /** Default: `addr` of `config`, without one 8080. */
  readonly port?: number;
  readonly scenario?: string;
  /** What callers must show; default: the variable, without it nothing. */
  readonly token?: string;
  /** Files of a certificate and its key; both or none. */
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  /** Folder for recordings of boards; without one there are none. */
  readonly record?: string;
  /** Default: what the scenario says. */
  readonly serverModel?: ServerModel;
}

/** `serve`: the adapter server on a real port, until Ctrl-C. */
export async function serveCommand(
  terminal: Terminal,
  options: ServeCommandOptions,
): Promise<number> {
  checkProviderName(options.provider);
  const token = chosenToken(options.token);
  const certificate = chosenCertificate(options);
  const budget = liveBudget(options);
  // A scenario that is named is what the server follows.
  const asks = budget !== undefined && options.scenario === undefined;
  const choice = chooseProviders(
    terminal,
    options.config,
    ['addr', 'hello_wav', 'record', 'asr.vad', ...(asks ? (['asr', 'llm'] as const) : [])],
    budget === undefined ? 'stand-ins' : 'services',
  );
  const { config } = choice;
  const host = options.host ?? config?.addr?.host ?? '127.0.0.1';
  const port = options.port ?? config?.addr?.port ?? 8080;
  const name = options.provider ?? choice.configured[0];
  const provider =
    budget === undefined
      ? findProvider(choice, name ?? 'openai')
      : [...liveProviders(choice, name === undefined ? undefined : [name]).values()][0]!;
  const scenario = loadScript(options.scenario, [...choice.entries.keys()]);
  if (budget !== undefined) refuseStandInChanges(scenario);
  const clock = new SystemClock();
  const random = createRandom(1, 'serve');
  const { opus, voiceDetection, voice, encoder } = await openCommandLaboratory(terminal);
  const services = asks ? liveServices(config) : [];
  const callbackUrl = options.record === undefined ? undefined : config?.recordCallback;
  const callback = callbackUrl === undefined ? undefined : endpointOfUrl(new URL(callbackUrl));
  const outside =
    budget === undefined
      ? []
      : [
          ...endpointsOf(provider),
          ...services.map(({ endpoint }) => endpoint),
          ...(callback ? [callback] : []),
        ];
  const network = new SocketNetwork({ clock, random: random.fork('network'), outside });
  const personality = personalityOf(provider, { scenario });
  const standIns =
    budget !== undefined
      ? undefined
      : await impersonateProvider(provider, network, {
          voice,
          encoder,
          clock,
          random: random.fork('stand-in'),
          changes: scenario.standIn,
          onFault: (report) => {
            const line = obstacleLine(provider.name, report);
            if (line !== undefined) terminal.say(line);
          },
          ...(personality !== undefined && { personality }),
        });
  const hello = scenario.server.helloWav ?? config?.helloWav;
  const keys = services.flatMap(({ apiKey }) => (apiKey ? [apiKey] : []));
  const mask = new SecretMask([...provider.tts.secrets, ...keys]);
  const show = (event: ServerObservation): void => {
    const text = describe(event, budget === undefined ? provider.name : undefined);
    if (text !== undefined) terminal.say(mask.text(`${seconds(event.atUs)}  ${text}`));
  };
  const { platform } = provider.tts;
  const model = options.serverModel ?? scenario.server.model;
  const compat = compatOf(model, scenario.server.compatExcept);
  const speech = openCompatSpeech({
    compat,
    tts: provider.tts,
    deps: {
      clock,
      dialer: network,
      // Ids of requests are made of these, and a real service has seen those of every start before.
      randomBytes: budget === undefined ? (count) => random.bytes(count) : randomBytes,
    },
    limit: (opened) => (budget === undefined ? opened : withinBudget(opened, budget)),
    onRetry: (event) => show({ source: 'provider', ...event }),
  });
  const admit = (): void => budget?.take({ requests: 1, characters: 0 });
  const asked =
    config && services.length > 0
      ? openLiveServices(config, { clock, dialer: network, randomBytes, admit })
      : undefined;
  const { asrService, llmService } = configuredScenario(scenario, config).server;
  const played = {
    asrService: asked?.recognizer ? 'script' : asrService,
    llmService: asked?.replies ? 'script' : llmService,
  } as const;
  const dialogue = await openDialogueServices(
    { ...scenario, server: { ...scenario.server, ...played } },
    network,
    { clock, random: random.fork('dialogue'), turnOf: (turn) => turnOf(scenario, turn) },
  );
  const isCallable = callback !== undefined && (budget !== undefined || isLoopback(callback.host));
  if (callback !== undefined && !isCallable) {
    terminal.say(`${callbackUrl} is not called without --live: it is not on this machine.`);
  }
  const notices = isCallable ? new Service(callbackUrl!, { clock, dialer: network }) : undefined;
  const server = createAdapterServer({
    clock,
    opus,
    voiceDetection,
    speech,
    platform,
    settings: {
      endOfSpeech: { ...endOfSpeechDefaults, ...config?.endOfSpeech, ...scenario.server.vad },
      ...compatSettings(compat, platform),
    },
    ...(hello === undefined ? {} : { hello: readFileSync(hello) }),
    recognizer: asked?.recognizer ?? dialogue.recognizer,
    replies: asked?.replies ?? dialogue.replies,
    ...(options.record !== undefined && { records: recordFolder(options.record, wallClockStamp) }),
    ...(notices && { recordCallback: (notice) => postNotice(notices, notice, clock) }),
    ...(token !== undefined && { token }),
    observe: show,
  });
  const askedSections = services.map(({ section }) => section);
  const unused = config === undefined ? [] : unusedSections(config, askedSections);
  for (const line of unused) terminal.say(line);
  const signal = interruptSignal(terminal, 'closing the connections.');
  const listener = await network.listen(
    { host, port },
    (stream: Duplex) => server.accept(stream),
    certificate,
  );
  const shown = host === '0.0.0.0' ? '<address of this machine>' : host;
  const path = token === undefined ? '/ws/' : '/token/<token>/ws/';
  const scheme = certificate === undefined ? 'ws' : 'wss';
  terminal.print(`${scheme}://${shown}:${listener.endpoint.port}${path}`);
  if (token !== undefined) {
    terminal.say('Put your token in the place of <token>: whoever does not show it is refused.');
  }
  const warning = openAddressWarning(host, 'this server');
  if (warning !== undefined) terminal.say(warning);
  if (warning !== undefined && token === undefined) {
    terminal.say(
      `Everybody there can talk to it${budget === undefined ? '' : ', and spend what the services cost'}: ` +
        `boards have no password. --token, or ${tokenVariable}, lets in only who shows a token.`,
    );
  }
  if (budget !== undefined) {
    const announced = new Map([[provider.name, provider]]);
    terminal.say(liveAnnouncement(announced, budget).join('\n'));
    for (const { section, endpoint } of services) {
      terminal.say(`  ${section}: ${endpointName(endpoint)} is asked, too; its requests count.`);
    }
  }
  terminal.say(
    `Speaking with ${budget === undefined ? 'the stand-in of' : 'the real'} ${provider.name}, ` +
      `answering from ${asked?.replies ? '[llm]' : `"${scenario.title}"`}${servicesOf(played)}${model === 'harness' ? '' : `, as ${model}`}. Ctrl-C ends it.`,
  );
  if (asked?.recognizer === undefined && asked?.replies === undefined) {
    terminal.say(
      `Whatever is said, it understands and answers the turns of ${options.scenario ?? 'that script'}, one after the other; ` +
        '--scenario names another, --live with --config asks real services.',
    );
  }
  await aborted(signal);
  await listener.close();
  await server.close();
  await speech.close();
  notices?.close();
  asked?.close();
  await dialogue.close();
  await standIns?.close();
  return exitCode.interrupted;
}

/** @throws {CommandError} `USAGE`; {@link CertificateError} */
function chosenCertificate({ tlsCert: cert, tlsKey: key }: ServeCommandOptions) {
  if (cert === undefined && key === undefined) return undefined;
  if (cert !== undefined && key !== undefined) {
    return readServerCertificate({ cert, key }, wallClockMs());
  }
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    'A certificate and its key belong together.',
    'name both: --tls-cert and --tls-key',
  );
}

/** One server speaks with one provider. */
function checkProviderName(name: string | undefined): void {
  if (name === undefined || (name.trim() !== '' && !name.includes(','))) return;
  const message =
    name.trim() === ''
      ? '--provider names no provider.'
      : `--provider is "${name}": serve speaks with one provider only.`;
  throw new CommandError('USAGE', exitCode.usage, message, 'name one, or start a server for each');
}

function refuseStandInChanges(scenario: Scenario): void {
  if (!changesStandIn(scenario)) return;
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `${scenario.file} says in [stand_in] how a stand-in behaves, and a real service cannot be told how to behave.`,
    'name another scenario, or leave --live out',
  );
}

/** Longest wait for whoever is told of a recording. */
const noticeLimitUs = 10_000_000;
/** What is read of its answer, and what is shown of that. */
const noticeAnswerBytesMax = 1024;
const noticeWordsCharactersMax = 200;

/** @throws when the notice was not taken */
async function postNotice(
  service: Service,
  notice: RecordNotice,
  clock: SystemClock,
): Promise<void> {
  const stop = new AbortController();
  const alarm = clock.after(noticeLimitUs, () =>
    stop.abort(new Error(`It was not answered in ${noticeLimitUs / 1_000_000} s.`)),
  );
  const body = Buffer.from(JSON.stringify(notice));
  const headers = { 'Content-Type': 'application/json' };
  try {
    const answer = await service.post({ headers, body }, stop.signal);
    const text = await textOf(answer, noticeAnswerBytesMax);
    if (answer.status < 200 || answer.status > 299) {
      throw new Error(
        `It was answered with ${answer.status}: ${text.slice(0, noticeWordsCharactersMax)}`,
      );
    }
  } finally {
    alarm.cancel();
  }
}

/** Services beside speech that are asked over the wire. */
function servicesOf(services: Pick<Scenario['server'], 'asrService' | 'llmService'>): string {
  const asked = Object.values(services).filter((service) => service !== 'script');
  return asked.length === 0
    ? ''
    : ` through the stand-in${asked.length > 1 ? 's' : ''} of ${asked.join(' and ')}`;
}

/** The script starts again when it has come to its end. */
function turnOf({ turns }: Scenario, turn: number): Turn {
  return turns[(turn - 1) % turns.length]!;
}

/**
 * What a person watching the server wants to see; audio frames and text pieces are left out.
 *
 * @param standInOf the provider whose stand-in is asked; absent: the service itself
 */
function describe(event: ServerObservation, standInOf?: string): string | undefined {
  if (event.source === 'provider') {
    if (event.type === 'request') {
      const whom =
        standInOf === undefined ? '' : ` to the stand-in of ${standInOf}, which answers for`;
      return `provider   request ${event.request}${whom === '' ? ':' : whom} ${event.url}`;
    }
    if (event.type === 'retry') {
      return `provider   request ${event.request} failed and is made again: ${event.message}`;
    }
    if (event.type === 'failure') return `provider   failed: ${event.kind}: ${event.message}`;
    return undefined;
  }
  switch (event.type) {
    case 'connected':
      return `board ${event.deviceId} connected${event.reconnect ? ' again' : ''} (opus ${event.opus}, stream_asr ${event.streamAsr})`;
    case 'disconnected':
      return closeText(event.connection, event.code);
    case 'refused':
      return `refused (${event.status}): ${event.message}  [${event.code}]`;
    case 'cut':
      return `connection ${event.connection} is ended: ${event.message}  [${event.code}]`;
    case 'recordStart':
      return `board ${event.deviceId} is recorded in ${event.file}`;
    case 'recordEnd': {
      const told = event.callback === 'none' ? '' : `; callback ${event.callback}`;
      const why = event.message === undefined ? '' : `: ${event.message}`;
      return `recorded ${(event.samples / 16_000).toFixed(1)} s in ${event.file} (${event.by})${told}${why}`;
    }
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
