/** The server of a load run, the provider behind it, and what is counted of them. */
import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';
import type { LaboratoryNetwork } from '../network/laboratory-network.ts';
import type { Dialer, Endpoint } from '../network/network.ts';
import type { Random } from '../random/random.ts';
import type { Laboratory } from '../runner/laboratory.ts';
import { personalityOf } from '../runner/personality-choice.ts';
import type { ProviderEntry } from '../runner/provider-catalog.ts';
import { impersonateProvider } from '../runner/provider-stand-ins.ts';
import type { Cell } from '../scenario/plan.ts';
import type { Turn } from '../scenario/scenario.ts';
import { createAdapterServer } from '../server/adapter-server.ts';
import { compatOf, compatSettings, openCompatSpeech } from '../server/compat.ts';
import type { ServerObservation } from '../server/conversation.ts';
import { endOfSpeechDefaults } from '../server/end-of-speech.ts';
import { scriptedRecognizer } from '../server/recognizer.ts';
import { scriptedReply } from '../server/reply-source.ts';
import { serverLimits } from '../server/server-limits.ts';
import { Histogram, type HistogramData } from './histogram.ts';
import { boardOfDeviceId } from './loaded-board.ts';
import { inVoiceOf, signatureVoice } from './voice-signature.ts';

export interface ServerFiguresData {
  /** Requests for speech. */
  readonly requests: number;
  readonly failedRequests: number;
  /** Of failed requests, by class, and of turns that failed for another reason: how often. */
  readonly failures: Readonly<Record<string, number>>;
  /** Request bytes written → first audio byte decoded, µs. */
  readonly ttfb: HistogramData;
}

/** What is kept of different failures; the rest counts as `other`. */
const failureKindsMax = 24;

/** Counts what the server reports. */
export class ServerFigures {
  readonly ttfb = new Histogram();
  readonly failures: Record<string, number> = {};
  requests = 0;
  failedRequests = 0;
  /** Instants at which requests that have got no audio yet were written. */
  readonly #waiting = new Map<number, number>();

  hearOf(event: ServerObservation): void {
    if (event.source === 'server') {
      if (event.type === 'turnEnd' && event.outcome === 'failed') {
        this.#fail(event.failure ?? 'unknown');
      }
      return;
    }
    switch (event.type) {
      case 'request':
        this.requests += 1;
        this.#waiting.set(event.request, event.atUs);
        break;
      case 'chunk': {
        const writtenUs = this.#waiting.get(event.request);
        if (writtenUs === undefined) break;
        this.ttfb.record(event.atUs - writtenUs);
        this.#waiting.delete(event.request);
        break;
      }
      case 'failure':
        this.failedRequests += 1;
        this.#waiting.delete(event.request);
        break;
      case 'end':
      case 'cancelled':
        this.#waiting.delete(event.request);
        break;
      default:
        break;
    }
  }

  #fail(kind: string): void {
    const known = Object.hasOwn(this.failures, kind);
    const name = known || Object.keys(this.failures).length < failureKindsMax ? kind : 'other';
    this.failures[name] = (this.failures[name] ?? 0) + 1;
  }

  toData(): ServerFiguresData {
    const { requests, failedRequests, failures } = this;
    return { requests, failedRequests, failures: { ...failures }, ttfb: this.ttfb.toData() };
  }
}

export interface LoadServerOptions {
  /** What boards hold, in turn: board k the k-th, and over again from the first. All with one provider and one server. */
  readonly cells: readonly Cell[];
  readonly provider: ProviderEntry;
  readonly clock: Clock;
  /** Leads to the provider. */
  readonly dialer: Dialer;
  readonly random: Random;
  readonly laboratory: Pick<Laboratory, 'opus' | 'voiceDetection'>;
  /** Answers are said in the voice of the board that asks. */
  readonly signsVoices: boolean;
  /** Exchanges that are remembered of a conversation. Absent: as every server. */
  readonly rememberedExchanges?: number;
  /** Answers these in the voice of others, to see whether that is found. For tests. */
  readonly mixesUp?: (board: number, turn: number) => number;
}

export interface LoadServer {
  readonly figures: ServerFigures;
  /** Takes over a connection of a board. */
  accept(stream: Duplex): void;
  close(): Promise<void>;
}

/** Whose conversation a board holds. */
export function cellOfBoard(cells: readonly Cell[], board: number): Cell {
  return cells[board % cells.length]!;
}

/** The adapter server as in every run; what it understands and answers, the script says. */
export function openLoadServer(options: LoadServerOptions): LoadServer {
  const { cells, provider, clock, dialer, random, laboratory, signsVoices, mixesUp } = options;
  const { rememberedExchanges: historyExchanges = serverLimits.historyExchanges } = options;
  const [first] = cells;
  const { scenario, server: model } = first!;
  if (model === 'external') throw new RangeError('A server that is not ours is not opened.');
  const figures = new ServerFigures();
  const compat = compatOf(model, scenario.server.compatExcept);
  const session = openCompatSpeech({
    compat,
    tts: provider.tts,
    deps: {
      clock,
      dialer,
      randomBytes: (count) => random.bytes(count),
      observe: () => {},
    },
    limit: (opened) => opened,
    onRetry: () => {},
  });
  const turnOf = (deviceId: string, turn: number): Turn => {
    const { turns } = cellOfBoard(cells, boardOfDeviceId(deviceId) ?? 0).scenario;
    return turns[(turn - 1) % turns.length]!;
  };
  const reply = ({ deviceId, turn }: { deviceId: string; turn: number }) => {
    const { reply: text, replyPace } = turnOf(deviceId, turn);
    const board = boardOfDeviceId(deviceId) ?? 0;
    const voice = mixesUp?.(board, turn) ?? board;
    return { text: signsVoices ? inVoiceOf(voice, text) : text, ...replyPace };
  };
  const server = createAdapterServer({
    clock,
    opus: laboratory.opus,
    voiceDetection: laboratory.voiceDetection,
    speech: session,
    platform: provider.tts.platform,
    settings: {
      endOfSpeech: { ...endOfSpeechDefaults, ...scenario.server.vad },
      packetMs: scenario.server.packetMs,
      limits: { ...serverLimits, historyExchanges },
      ...compatSettings(compat, provider.tts.platform),
    },
    recognizer: scriptedRecognizer(({ deviceId, turn }) => turnOf(deviceId, turn).heard, {
      clock,
      durationMs: scenario.server.recognitionMs,
    }),
    replies: scriptedReply(reply, { clock }),
    observe: (event) => figures.hearOf(event),
  });
  return {
    figures,
    accept: (stream) => server.accept(stream),
    async close() {
      await server.close();
      await session.close();
    },
  };
}

/** One service of the provider: what it answers for, where, and how long a connection to it takes. */
export interface ProviderService {
  readonly endpoint: Endpoint;
  /** On this machine; in memory the same. */
  readonly at: Endpoint;
  readonly connectUs: number;
}

export interface LoadProvider {
  readonly services: readonly ProviderService[];
  close(): Promise<void>;
}

/** The stand-ins of the provider of a load run. */
export async function openLoadProvider(
  { cells, provider, clock, random, laboratory, signsVoices }: ProviderOptions,
  network: LaboratoryNetwork,
): Promise<LoadProvider> {
  const services: ProviderService[] = [];
  let connectUs = 0;
  const seen: LaboratoryNetwork = {
    dial: (target, signal) => network.dial(target, signal),
    listen: (endpoint, onConnection) => network.listen(endpoint, onConnection),
    disturb: (endpoint, disturbance) => network.disturb(endpoint, disturbance),
    // The link of a service is set before it listens.
    setLink: (endpoint, profile) => {
      connectUs = profile.connectUs ?? 0;
      network.setLink(endpoint, profile);
    },
    impersonate: async (endpoint, onConnection) => {
      const service = { endpoint, connectUs };
      const listener = await network.impersonate(endpoint, onConnection);
      services.push({ ...service, at: listener.endpoint });
      return listener;
    },
  };
  const [first] = cells;
  const personality = personalityOf(provider, first!);
  const standIns = await impersonateProvider(provider, seen, {
    voice: signsVoices ? signatureVoice(laboratory.voice) : laboratory.voice,
    encoder: laboratory.encoder,
    clock,
    random: random.fork('stand-in'),
    changes: first!.scenario.standIn,
    logEntries: 0,
    ...(personality !== undefined && { personality }),
  });
  return { services, close: () => standIns.close() };
}

export interface ProviderOptions extends Omit<LoadServerOptions, 'dialer' | 'laboratory'> {
  readonly laboratory: Pick<Laboratory, 'voice' | 'encoder'>;
}
