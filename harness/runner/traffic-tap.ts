/**
 * Stands in the middle and writes down what passes: between an EchoKit server and its provider, and between a board and its
 * server. Neither of the two is ours, and neither notices but by the address that it is given.
 */
import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';
import type { DeviceProfile } from '../device/device-profile.ts';
import { measureCell } from '../metrics/measure.ts';
import { endpointOfUrl } from '../network/endpoint-url.ts';
import type { DialTarget, Endpoint, Listener, Network } from '../network/network.ts';
import { createRandom } from '../random/random.ts';
import { ForwardedRequests, relay } from '../replay/relay.ts';
import { TappedDialer } from '../replay/wire-tap.ts';
import type { RecordingManifest } from '../trace/manifest.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { RecordingWriter, type UnnumberedEvent } from '../trace/recording-writer.ts';
import { traceFormatVersion } from '../trace/trace-event.ts';
import { judge } from '../verdict/judge.ts';
import type { Laboratory } from './laboratory.ts';
import type { ProviderEntry } from './provider-catalog.ts';
import { keepProvider } from './run-inputs.ts';
import { ShadowBoard } from './shadow-board.ts';
import { ConnectionTap } from './tapped-connection.ts';

export interface TrafficTapOptions {
  /** Final name of the recording. */
  readonly folder: string;
  /** Whose traffic is recorded; absent: nobody's. */
  readonly provider?: ProviderEntry;
  /** The server of the board whose traffic is recorded, as stored on it; absent: no board's. */
  readonly server?: { readonly url: string; readonly profile: DeviceProfile };
  /** Beside those of the provider: what must not get to the disk. */
  readonly secrets?: readonly string[];
  readonly clock: Clock;
  /** Has to reach the provider and the server. */
  readonly network: Network;
  readonly laboratory: Laboratory;
  readonly environment: Readonly<Record<string, string>>;
  /** What a person wants to see. */
  tell(text: string): void;
}

/** An address to use in the place of another one. */
export interface TapPlace {
  /** `tts` and the like: the table of EchoKit's configuration; `board`: what is stored on the board. */
  readonly of: 'tts' | 'tts.text_optimization' | 'board';
  readonly url: string;
  readonly instead: string;
}

const scenario = 'tap';

export class TrafficTap {
  readonly #options: TrafficTapOptions;
  readonly #writer: RecordingWriter;
  readonly #providerWire: TappedDialer;
  readonly #boardWire: TappedDialer;
  readonly #listeners: Listener[] = [];
  readonly #streams = new Set<Duplex>();
  readonly #boards: ConnectionTap;
  readonly #places: TapPlace[] = [];
  #shadow: ShadowBoard | undefined;
  #turns = 0;
  #connections = 0;

  private constructor(options: TrafficTapOptions) {
    this.#options = options;
    const { folder, provider, server, secrets = [], clock, network } = options;
    this.#writer = new RecordingWriter(
      folder,
      {
        type: 'header',
        formatVersion: traceFormatVersion,
        scenario,
        provider: provider?.name ?? 'external',
        device: server?.profile.name ?? 'none',
        network: 'ideal',
        seed: 1,
        time: clock.kind,
        server: 'external',
        board: 'tapped',
      },
      [...(provider?.tts.secrets ?? []), ...secrets],
    );
    if (provider !== undefined) keepProvider(this.#writer, provider);
    const sink =
      (side: 'provider' | 'device') =>
      (...[connection, event, data]: Parameters<RecordingWriter['wireEvent']>): void =>
        this.#writer.wireEvent(connection, event, data, side);
    this.#providerWire = new TappedDialer(network, clock, sink('provider'));
    this.#boardWire = new TappedDialer(network, clock, sink('device'));
    this.#boards = new ConnectionTap(clock, {
      connected: (connection) => {
        options.tell(`board ${connection.deviceId} connected`);
        this.#shadow ??= this.#createShadow(connection.deviceId);
        this.#shadow.connected(connection);
      },
      startChat: (connection) => {
        this.#endTurn();
        this.#record({ source: 'harness', type: 'turnStart', turn: ++this.#turns });
        this.#shadow?.startChat(connection);
      },
      audio: (connection, samples) => {
        this.#writer.userAudio(samples);
        this.#shadow?.audio(connection, samples);
      },
      closing: (connection) => this.#shadow?.closing(connection),
      ended: () => {},
      foreign: (deviceId) => this.#record({ source: 'harness', type: 'foreignBoard', deviceId }),
    });
  }

  /**
   * Starts to listen.
   *
   * @param at where; ports count up from this one, 0 takes any that is free
   * @throws {NetworkError} `NETWORK_PORT_TAKEN`, `NETWORK_LISTEN_FAILED`
   */
  static async open(options: TrafficTapOptions, at: Endpoint): Promise<TrafficTap> {
    const tap = new TrafficTap(options);
    let { port } = at;
    const listen = async (
      place: Pick<TapPlace, 'of'>,
      url: URL,
      accept: (stream: Duplex) => void,
    ): Promise<void> => {
      const listener = await options.network.listen({ host: at.host, port }, accept);
      if (port !== 0) port += 1;
      tap.#listeners.push(listener);
      const own = new URL(url);
      own.protocol = url.protocol.startsWith('ws') ? 'ws:' : 'http:';
      own.hostname = at.host === '0.0.0.0' ? '127.0.0.1' : at.host;
      own.port = `${listener.endpoint.port}`;
      tap.#places.push({ ...place, url: `${own}`, instead: `${url}` });
    };
    const { provider, server } = options;
    if (provider !== undefined) {
      for (const [of, url] of urlsOf(provider)) {
        await listen({ of }, url, (stream) => tap.#pass(stream, url, tap.#providerWire));
      }
    }
    if (server !== undefined) {
      const url = new URL(server.url);
      await listen({ of: 'board' }, url, (stream) =>
        tap.#pass(tap.#boards.attach(stream), url, tap.#boardWire),
      );
    }
    return tap;
  }

  /** What to tell the two. */
  get places(): readonly TapPlace[] {
    return this.#places;
  }

  /** Connections that came so far. */
  get connections(): number {
    return this.#connections;
  }

  /** Lets go of everybody and finishes the recording. */
  async close(): Promise<void> {
    const { folder, provider, server, clock, environment } = this.#options;
    for (const listener of this.#listeners) await listener.close();
    this.#endTurn();
    this.#record({ source: 'harness', type: 'end', outcome: 'finished' });
    for (const stream of this.#streams) stream.destroy();
    await this.#shadow?.close();
    this.#writer.close(this.#shadow?.speaker() ?? new Int16Array(0));
    const { outcome } = judge(measureCell(readRecording(folder)), [], { external: true });
    const manifest: RecordingManifest = {
      formatVersion: traceFormatVersion,
      verdict: outcome,
      plan: {
        scenario,
        title: 'Tapped traffic',
        file: '',
        provider: provider?.name ?? 'external',
        ...(provider !== undefined && { platform: provider.tts.platform }),
        ...(server !== undefined && { serverUrl: server.url, model: server.profile.name }),
        device: 'board',
        network: 'ideal',
        server: 'external',
        seed: 1,
        time: clock.kind,
      },
      environment,
    };
    this.#writer.finish(manifest);
  }

  #pass(client: Duplex, url: URL, dialer: TappedDialer): void {
    this.#connections += 1;
    this.#streams.add(client);
    client.once('close', () => this.#streams.delete(client));
    client.on('error', () => {});
    const secure = url.protocol === 'https:' || url.protocol === 'wss:';
    const target: DialTarget = { ...endpointOfUrl(url), secure };
    dialer.dial(target).then(
      (server) => {
        this.#streams.add(server);
        server.once('close', () => this.#streams.delete(server));
        const requests = new ForwardedRequests(url.host);
        relay(client, server, (chunk) => requests.push(chunk));
      },
      (error: Error) => {
        this.#options.tell(error.message);
        client.destroy();
      },
    );
  }

  #createShadow(deviceId: string): ShadowBoard {
    const { clock, laboratory, server } = this.#options;
    return new ShadowBoard({
      profile: server!.profile,
      deviceId,
      serverUrl: server!.url,
      clock,
      random: createRandom(1, 'shadow'),
      opus: laboratory.opus,
      voiceDetection: laboratory.voiceDetection,
      observe: (event) => this.#writer.event({ source: 'device', ...event }),
    });
  }

  #endTurn(): void {
    if (this.#turns === 0) return;
    const turn = this.#turns;
    this.#record({ source: 'harness', type: 'turnEnd', turn, outcome: 'finished' });
  }

  #record(event: Untimed<Extract<UnnumberedEvent, { source: 'harness' }>>): void {
    this.#writer.event({ ...event, atUs: this.#options.clock.nowUs() } as UnnumberedEvent);
  }
}

type Untimed<T> = T extends unknown ? Omit<T, 'atUs'> : never;

function urlsOf({ tts }: ProviderEntry): (readonly [TapPlace['of'], URL])[] {
  const { url } = tts.config as { readonly url: string };
  return [
    ['tts', new URL(url)],
    ...tts.otherServices.map((other) => ['tts.text_optimization', new URL(other.url)] as const),
  ];
}
