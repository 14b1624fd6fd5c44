/** Plays a drawn behaviour to an emulated board in virtual time and keeps what can be observed. */
import type { Duplex } from 'node:stream';
import { encodeServerEvent, type ServerEvent } from '../../firmware-protocol/server-event.ts';
import type { Alarm } from '../clock/clock.ts';
import type { Listener } from '../network/network.ts';
import { networkProfiles } from '../network/network-profile.ts';
import { Bench, type Connection } from './device-bench.contract.ts';
import type { DeviceEvent } from './device-event.ts';
import type { TakenEvent } from './device-machine.ts';
import {
  type Action,
  audioEvent,
  type Behaviour,
  behaviourUs,
  type Door,
  helloPiece,
  type Manner,
  type Sending,
  sentenceEvents,
  speech,
} from './random-behaviour.contract.ts';

/** What the board reports, and the events that its main loop takes, in one order. */
export type Entry = DeviceEvent | ({ readonly type: 'taken'; readonly atUs: number } & TakenEvent);

export interface Ping {
  /** The number that the board gives the connection. */
  readonly connection: number;
  readonly sentUs: number;
  pongUs: number | undefined;
}

/** Everything that is known of one run from outside. */
export interface Account {
  readonly behaviour: Behaviour;
  readonly entries: readonly Entry[];
  readonly pings: readonly Ping[];
  /** Instants at which the server or the network ended a connection. */
  readonly cutsUs: readonly number[];
  /** The stack of what went wrong inside the program. */
  readonly crash: string | undefined;
  /** What was there an hour after the board was closed and the server had gone. */
  readonly left: { readonly alarms: number; readonly streams: number };
  /** Everything the speaker played: large, so computed when asked for. */
  speaker(): Int16Array;
}

const endpoint = { host: 'echokit.test', port: 8080 };

export async function playBehaviour(behaviour: Behaviour): Promise<Account> {
  const player = new BehaviourPlayer(behaviour);
  let crash: string | undefined;
  const note = (error: unknown) => {
    crash ??= error instanceof Error ? (error.stack ?? error.message) : String(error);
  };
  process.setUncaughtExceptionCaptureCallback(note);
  try {
    await player.play();
  } catch (error) {
    note(error);
  } finally {
    process.setUncaughtExceptionCaptureCallback(null);
  }
  return player.account(crash);
}

class BehaviourPlayer {
  readonly #behaviour: Behaviour;
  readonly #entries: Entry[] = [];
  readonly #pings: Ping[] = [];
  readonly #cutsUs: number[] = [];
  readonly #bench: Bench;
  readonly #alarms = new Set<Alarm>();
  #listener: Listener | undefined;
  #door: Door = { kind: 'open' };
  /** Handshakes without an answer. */
  readonly #held: { readonly serve: () => void; readonly stream: Duplex }[] = [];
  #manner: Manner = 'normal';
  #answerAfterUs = 1_000_000;
  readonly #frozen = new Set<Connection>();
  readonly #numbers = new Map<Duplex, number>();
  #lastAccepted: Duplex | undefined;
  #over = false;

  constructor(behaviour: Behaviour) {
    this.#behaviour = behaviour;
    const { profile, network, seed } = behaviour;
    this.#bench = new Bench(
      networkProfiles[network]!.link,
      profile,
      undefined,
      {},
      {
        seed,
        watchMainLoop: (taken) => this.#entries.push({ type: 'taken', ...taken }),
      },
    );
    this.#bench.onEvent = (event) => this.#observe(event);
    this.#bench.onHandshake = (serve, stream) => this.#handshake(serve, stream);
    this.#bench.onConnection = (connection) => this.#welcome(connection);
    this.#bench.onMessage = (connection, what) => this.#answer(connection, what);
    this.#countAlarms();
  }

  play(): Promise<void> {
    const bench = this.#bench;
    return bench.run(async () => {
      await this.#openDoor({ kind: 'open' });
      const actions = [...this.#behaviour.actions];
      while (actions[0]?.atUs === 0) await this.#act(actions.shift()!);
      bench.device.boot().catch(() => {});
      for (const action of actions) {
        await bench.pass(action.atUs - bench.clock.nowUs());
        await this.#act(action);
      }
      await bench.pass(behaviourUs - bench.clock.nowUs());
      await bench.device.close();
      await this.#end();
    });
  }

  account(crash: string | undefined): Account {
    return {
      behaviour: this.#behaviour,
      entries: this.#entries,
      pings: this.#pings,
      cutsUs: this.#cutsUs,
      crash,
      left: {
        alarms: this.#alarms.size,
        streams: this.#bench.dialed.filter((stream) => !stream.destroyed).length,
      },
      speaker: () => this.#bench.device.speaker().samples,
    };
  }

  async #end(): Promise<void> {
    this.#over = true;
    await this.#listener?.close();
    for (const { stream } of this.#held.splice(0)) stream.destroy();
    for (const { socket } of this.#bench.connections) socket.terminate();
    // Megabytes that were sent over a fast link arrive over a slow one.
    await this.#bench.pass(3_600_000_000);
  }

  #countAlarms(): void {
    const { clock } = this.#bench;
    const after = clock.after.bind(clock);
    clock.after = (delayUs, callback) => {
      const alarm = after(delayUs, () => {
        this.#alarms.delete(counted);
        callback();
      });
      const counted: Alarm = {
        dueUs: alarm.dueUs,
        cancel: () => {
          this.#alarms.delete(counted);
          alarm.cancel();
        },
      };
      this.#alarms.add(counted);
      return counted;
    };
  }

  #observe(event: DeviceEvent): void {
    this.#entries.push(event);
    // The board makes one connection at a time, so the last accepted stream is this one.
    if (event.type === 'connected' && this.#lastAccepted !== undefined) {
      this.#numbers.set(this.#lastAccepted, event.connection);
    }
  }

  // ---- the server ----

  async #openDoor(door: Door): Promise<void> {
    this.#door = door;
    if (door.kind === 'closed') {
      await this.#listener?.close();
      this.#listener = undefined;
    } else this.#listener ??= await this.#bench.listen();
  }

  #handshake(serve: () => void, stream: Duplex): void {
    const door = this.#door;
    const answer = () => {
      if (stream.destroyed || this.#over) return;
      this.#lastAccepted = stream;
      serve();
    };
    switch (door.kind) {
      case 'slow':
        this.#bench.clock.after(door.delayUs, answer);
        return;
      case 'silent':
        this.#held.push({ serve: answer, stream });
        return;
      case 'refusing':
        stream.end(`HTTP/1.1 ${door.status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
        return;
      default:
        answer();
    }
  }

  #welcome(connection: Connection): void {
    connection.socket.on('pong', () => {
      const number = this.#numberOf(connection);
      const ping = this.#pings.find((p) => p.connection === number && p.pongUs === undefined);
      if (ping !== undefined) ping.pongUs = this.#bench.clock.nowUs();
    });
    const { helloPieces, helloPieceBytes } = this.#behaviour;
    if (connection.request.url?.includes('reconnect=true') === true || helloPieces === 0) return;
    const data = helloPiece(helloPieceBytes);
    const pieces = Array.from({ length: helloPieces }, () => ({
      type: 'HelloChunk' as const,
      data,
    }));
    connection.send({ type: 'HelloStart' }, ...pieces, { type: 'HelloEnd' });
  }

  #numberOf({ request }: Connection): number | undefined {
    return this.#numbers.get(request.socket as Duplex);
  }

  /** The utterance is heard to its end, or to its beginning where the server has to end it. */
  #answer(connection: Connection, what: string): void {
    const asked = this.#behaviour.profile.firmware.endOfUtterance === 'server' ? 'Start' : 'Submit';
    if (!what.includes(`"${asked}`) || this.#frozen.has(connection)) return;
    let atUs = this.#answerAfterUs;
    for (const { waitUs, event } of this.#events(this.#manner)) {
      atUs += waitUs;
      this.#bench.clock.after(atUs, () => {
        if (!this.#over && !this.#frozen.has(connection)) connection.send(event);
      });
    }
  }

  #events(manner: Manner): { readonly waitUs: number; readonly event: ServerEvent }[] {
    const { profile } = this.#behaviour;
    const endVad: ServerEvent[] = profile.firmware.query.streamAsr ? [{ type: 'EndVad' }] : [];
    const asr: ServerEvent = { type: 'ASR', text: 'What is new?' };
    const spoken = [...sentenceEvents(profile, 12), ...sentenceEvents(profile, 7)];
    const end: ServerEvent = { type: 'EndResponse' };
    const at = (waitUs: number, events: readonly ServerEvent[]) =>
      events.map((event) => ({ waitUs, event }));
    switch (manner) {
      case 'normal':
        return at(40_000, [asr, ...endVad, asr, ...spoken, end]);
      case 'silent':
        return [];
      case 'endVadOnly':
        return at(0, endVad);
      case 'recognitionOnly':
        return at(500_000, [asr, asr]);
      case 'noEndVad':
        return at(10_000, [asr, ...spoken, end]);
      case 'empty':
        return at(0, [...endVad, end]);
      case 'doubled':
        return at(
          20_000,
          [...endVad, asr, ...spoken, end].flatMap((event) => [event, event]),
        );
      case 'cut':
        return at(30_000, [...endVad, asr, ...spoken.slice(0, 9), end]);
      case 'slow':
        return [
          ...at(0, [...endVad, asr]),
          ...at(180_000, [{ type: 'StartAudio', text: 'S' }, audioEvent(profile, 0)]),
          ...at(180_000, [audioEvent(profile, 1), { type: 'EndAudio' }]),
          ...at(0, [...sentenceEvents(profile, 5), end]),
        ];
    }
  }

  // ---- actions ----

  async #act(action: Action): Promise<void> {
    const { device, network, clock } = this.#bench;
    const newest = this.#bench.connections.findLast(({ socket }) => socket.readyState === 1);
    if (['drop', 'close', 'terminate'].includes(action.kind)) this.#cutsUs.push(clock.nowUs());
    switch (action.kind) {
      case 'press':
        device.press(action.key, action.press);
        return;
      case 'speak':
        device.hear(speech(action.ms));
        return;
      case 'network':
        network.setLink(endpoint, networkProfiles[action.name]!.link);
        return;
      case 'stall':
        network.disturb(endpoint, action);
        return;
      case 'drop':
        network.disturb(endpoint, { kind: 'drop' });
        return;
      case 'door':
        await this.#openDoor(action.door);
        return;
      case 'release':
        for (const { serve, stream } of this.#held.splice(0)) {
          if (action.answer) serve();
          else stream.destroy();
        }
        return;
      case 'manner':
        this.#manner = action.manner;
        this.#answerAfterUs = action.afterUs;
        return;
      case 'send':
        if (newest === undefined || this.#frozen.has(newest)) return;
        for (const sending of action.sendings) this.#send(newest, sending, clock.nowUs());
        return;
      case 'close':
        newest?.socket.close(action.code);
        return;
      case 'terminate':
        newest?.socket.terminate();
        return;
      case 'freeze':
        if (newest === undefined) return;
        newest.socket.pause();
        this.#frozen.add(newest);
        return;
    }
  }

  #send({ socket, ...connection }: Connection, sending: Sending, nowUs: number): void {
    const number = this.#numberOf({ socket, ...connection });
    switch (sending.kind) {
      case 'events':
        for (const event of sending.events) socket.send(encodeServerEvent(event));
        return;
      case 'bytes':
        socket.send(sending.data);
        return;
      case 'text':
        socket.send('{"event":"Hello"}');
        return;
      case 'ping':
        if (number !== undefined) {
          this.#pings.push({ connection: number, sentUs: nowUs, pongUs: undefined });
        }
        socket.ping();
        return;
      case 'pong':
        socket.pong();
        return;
    }
  }
}
