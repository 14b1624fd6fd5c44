/**
 * The other side of a conversation: our server with a provider and what it calls, or a server that runs
 * somewhere and is taken as it is.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { SystemClock } from '../clock/system-clock.ts';
import { endpointOfUrl } from '../network/endpoint-url.ts';
import type { LaboratoryNetwork } from '../network/laboratory-network.ts';
import type { Dialer, Endpoint } from '../network/network.ts';
import type { Random } from '../random/random.ts';
import type { RecordedTraffic } from '../replay/recorded-exchange.ts';
import { RecordedProvider, type ReplayDeviation } from '../replay/recorded-provider.ts';
import { ThreadedProvider } from '../replay/threaded-provider.ts';
import { TappedDialer } from '../replay/wire-tap.ts';
import type { Cell } from '../scenario/plan.ts';
import type { Turn } from '../scenario/scenario.ts';
import { createAdapterServer, type Intervention } from '../server/adapter-server.ts';
import { compatOf, compatSettings, openCompatSpeech } from '../server/compat.ts';
import { endOfSpeechDefaults } from '../server/end-of-speech.ts';
import type { OfflineVoice } from '../stand-ins/offline-voice.ts';
import type { Personality } from '../stand-ins/personality.ts';
import type { RecordingWriter, UnnumberedEvent } from '../trace/recording-writer.ts';
import { openDialogueServices } from './dialogue-services.ts';
import type { FaultInjector } from './fault-injector.ts';
import type { Laboratory } from './laboratory.ts';
import { personalityOf } from './personality-choice.ts';
import { endpointsOf, type ProviderEntry } from './provider-catalog.ts';
import { impersonateProvider } from './provider-stand-ins.ts';
import { type RequestBudget, withinBudget } from './request-budget.ts';

/** An EchoKit server that is not ours. Nothing is known of what it does but what the board gets. */
export interface ExternalServer {
  /** As stored on a board: `ws://host:port/ws/`. */
  readonly serverUrl: string;
}

export function isExternal(party: ProviderEntry | ExternalServer): party is ExternalServer {
  return 'serverUrl' in party;
}

export interface ServerSideOptions {
  readonly cell: Cell;
  /** Whose speech our server asks for, or a server that is not ours. */
  readonly provider: ProviderEntry | ExternalServer;
  /** Speaks with the real service; only in real time. */
  readonly live: boolean;
  /** What a recording holds of the provider answers in its place. Not with `live`. */
  readonly recorded?: RecordedTraffic | undefined;
  /** Asked before every request. The conversation ends when it refuses one. Absent: no limit. */
  readonly budget?: RequestBudget | undefined;
  readonly laboratory: Laboratory;
  readonly writer: RecordingWriter;
}

/** What may be reached beyond this program. */
export function outsideOf({
  provider,
  live,
}: Pick<ServerSideOptions, 'provider' | 'live'>): Endpoint[] {
  if (isExternal(provider)) return [endpointOfUrl(new URL(provider.serverUrl))];
  return live ? endpointsOf(provider) : [];
}

export interface ServerSide {
  /** As stored on the board. */
  readonly url: string;
  readonly endpoint: Endpoint;
  /** Of the stand-in; undefined in a live run and with an external server. */
  readonly personality: Personality | undefined;
  /** As `AdapterServer.intervene`; an external server cannot be made to do anything. */
  intervene(intervention: Intervention): boolean;
  /** The conversation has come to its end: what a replay should have asked for and did not is reported. */
  conclude(): Promise<void>;
  /** Nothing is reported any more when it has resolved. */
  close(): Promise<void>;
}

/** Where a board of its own finds our server, and what stands between the two. */
export interface ServerPlace {
  readonly endpoint: Endpoint;
  /** Hands the server the stream it is to use in place of one that was accepted. */
  attach(stream: Duplex): Duplex;
}

export interface ServerSideMeans {
  /** Absent: only the laboratory's board finds the server. */
  readonly place?: ServerPlace | undefined;
  readonly clock: Clock;
  readonly network: LaboratoryNetwork;
  readonly voice: OfflineVoice;
  readonly random: Random;
  /** What is planned to go wrong. */
  readonly faults: FaultInjector;
  record(event: UnnumberedEvent): void;
}

/** Where the board finds our server; a name that only exists in the laboratory. */
const serverEndpoint = { host: 'echokit-server', port: 8080 };

export async function openServerSide(
  options: ServerSideOptions,
  means: ServerSideMeans,
): Promise<ServerSide> {
  const { provider } = options;
  if (!isExternal(provider)) return openOwnServer(options, provider, means);
  return {
    url: provider.serverUrl,
    endpoint: endpointOfUrl(new URL(provider.serverUrl)),
    personality: undefined,
    intervene: () => false,
    conclude: async () => {},
    close: async () => {},
  };
}

async function openOwnServer(
  { cell, live, recorded, budget, laboratory, writer }: ServerSideOptions,
  provider: ProviderEntry,
  { clock, network, voice, random, faults, record, place }: ServerSideMeans,
): Promise<ServerSide> {
  const { scenario, server: model } = cell;
  if (model === 'external') throw new RangeError('A cell of an external server needs its URL.');
  const { opus, voiceDetection, encoder } = laboratory;
  const personality = personalityOf(provider, cell);
  const recording = recorded === undefined ? undefined : await openReplay(recorded, clock, record);
  const standIns =
    live || recording !== undefined
      ? undefined
      : await impersonateProvider(
          provider,
          network,
          {
            voice,
            encoder,
            clock,
            random: random.fork('stand-in'),
            changes: scenario.standIn,
            plannedFault: faults.plannedWords,
            ...(personality !== undefined && { personality }),
            onFault: (report) => {
              if (faults.wordsReport(report)) return;
              record({ source: 'harness', type: 'fault', ...report });
            },
          },
          (stream) => faults.providerStream(stream),
        );
  faults.targets.disturbProvider = (disturbance) => network.disturb(provider.endpoint, disturbance);
  const wire = new TappedDialer(recording ?? network, clock, (connection, event, data) =>
    writer.wireEvent(connection, event, data),
  );
  const compat = compatOf(model, scenario.server.compatExcept);
  const session = openCompatSpeech({
    compat,
    tts: provider.tts,
    deps: {
      clock,
      dialer: wire,
      // Ids of requests are made of these, and a real service has seen those of every run before.
      randomBytes: live ? randomBytes : (count) => random.bytes(count),
      observe: ({ stream, ...piece }) =>
        writer.wire({ ...piece, connection: stream && wire.numberOf(stream) }),
    },
    limit: (opened) => (budget === undefined ? opened : withinBudget(opened, budget)),
    onRetry: (event) => record({ source: 'provider', ...event }),
  });
  const dialogue = await openDialogueServices(scenario, network, {
    clock,
    random: random.fork('dialogue'),
    turnOf: (turn): Turn | undefined => scenario.turns[turn - 1],
  });
  const hello = scenario.server.helloWav;
  const server = createAdapterServer({
    clock,
    opus,
    voiceDetection,
    speech: session,
    platform: provider.tts.platform,
    settings: {
      endOfSpeech: { ...endOfSpeechDefaults, ...scenario.server.vad },
      packetMs: scenario.server.packetMs,
      compression: scenario.server.compression,
      ignoredParameters: scenario.server.ignoredParameters,
      ...compatSettings(compat, provider.tts.platform),
    },
    recognizer: dialogue.recognizer,
    replies: dialogue.replies,
    ...(hello === undefined ? {} : { hello: readFileSync(hello) }),
    observe: record,
    observeAudio: (audio) => {
      if (audio.kind === 'provider') writer.providerAudio(audio.request, audio.samples);
      else writer.sentAudio(audio.samples);
    },
  });
  const listener =
    place === undefined
      ? await network.impersonate(serverEndpoint, (stream: Duplex) =>
          server.accept(faults.serverStream(stream)),
        )
      : await network.listen(place.endpoint, (stream) =>
          server.accept(faults.serverStream(place.attach(stream))),
        );
  const endpoint = place === undefined ? serverEndpoint : listener.endpoint;
  return {
    url: `ws://${endpoint.host}:${endpoint.port}/ws/`,
    endpoint,
    personality: standIns?.personality,
    intervene: (intervention) => server.intervene(intervention),
    conclude: async () => recording?.conclude(),
    async close() {
      await server.close();
      await session.close();
      await dialogue.close();
      await standIns?.close();
      await recording?.close();
      await listener.close();
    },
  };
}

/** A recording in the place of the provider. */
interface Replay extends Dialer {
  conclude(): Promise<void>;
  close(): Promise<void>;
}

async function openReplay(
  traffic: RecordedTraffic,
  clock: Clock,
  record: ServerSideMeans['record'],
): Promise<Replay> {
  const onDeviation = ({ code, message, exchange }: ReplayDeviation): void =>
    record({
      source: 'harness',
      type: 'replayDeviation',
      atUs: clock.nowUs(),
      code,
      message,
      ...(exchange !== null && { exchange }),
    });
  if (clock instanceof SystemClock) {
    const provider = await ThreadedProvider.open({ traffic, clock, onDeviation });
    return {
      dial: (target, signal) => provider.dial(target, signal),
      async conclude() {
        const lag = await provider.finish();
        if (lag === null) return;
        record({ source: 'harness', type: 'replayLag', atUs: clock.nowUs(), ...lag });
      },
      close: () => provider.close(),
    };
  }
  const provider = new RecordedProvider({
    traffic,
    clock,
    ...(clock instanceof SimulatedClock && { noteActivity: () => clock.noteActivity() }),
    onDeviation,
  });
  return {
    dial: (target, signal) => provider.dial(target, signal),
    conclude: async () => provider.finish(),
    close: async () => provider.close(),
  };
}
