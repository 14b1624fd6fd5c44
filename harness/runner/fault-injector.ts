/**
 * Makes the named faults of a scenario happen: hands those of the turn to the layers in which they are done, and
 * reports what became of each.
 */
import type { Duplex } from 'node:stream';
import type { Alarm, Clock } from '../clock/clock.ts';
import type { HostTrouble, Injection, PlannedFault } from '../faults/fault.ts';
import { EditedStream } from '../network/edited-stream.ts';
import type { LinkDisturbance } from '../network/laboratory-network.ts';
import type { WireEdit } from '../network/wire-edit.ts';
import type { Random } from '../random/random.ts';
import type { Scenario, Turn } from '../scenario/scenario.ts';
import type { LineNoise } from '../serial/line-noise.ts';
import type { Intervention } from '../server/adapter-server.ts';
import { frameFaultEdit } from '../server/frame-fault.ts';
import type { FaultReport } from '../stand-ins/planted-fault.ts';
import type { StandInFault } from '../stand-ins/stand-in-changes.ts';
import { wireFaultEdit } from '../stand-ins/wire-fault-edit.ts';
import type { UnnumberedEvent } from '../trace/recording-writer.ts';
import type { SuddenFaultName } from '../virtual-board/fault.ts';
import type { FaultScript } from './scripted-user.ts';

/** What faults are done to; set as the parts of a conversation come up. */
export interface FaultTargets {
  /** Of the server's connections to the provider. Absent: there is no provider of ours. */
  /** @returns how many connections are open. */
  disturbProvider?(disturbance: LinkDisturbance): number;
  disturbBoard?(disturbance: LinkDisturbance): void;
  /** @param back the network of the cell is to be given back */
  changeNetwork?(network: string, back: boolean): void;
  intervene?(intervention: Intervention): boolean;
  /** As `BoardInHand.suffer`. */
  suffer?(failure: SuddenFaultName): string | undefined;
  /** The serial line of the board gets noisy. Absent: it hangs on none. */
  disturbLine?(): void;
  /** What every write to the recording goes through. */
  burdenDisk?(burden: (() => void) | undefined): void;
}

/** What happens to connections that are there, and to no others. */
const needsConnection: readonly LinkDisturbance['kind'][] = ['drop', 'half-open'];

/** A slow disk takes no longer than this in all: one that is slower than what is written to it would never be through. */
const slowDiskMs = 60_000;

/** The error of a system whose disk is full. */
function diskFull(): NodeJS.ErrnoException {
  return Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
}

interface Armed {
  readonly turn: number;
  readonly index: number;
  readonly planned: PlannedFault;
  /** Of the provider, when the turn began. */
  readonly requestsBefore: number;
  readonly edit?: WireEdit;
  /** The turn is over: says why it has not happened. */
  readonly conclude?: () => void;
  readonly struckBy: Set<number>;
  /** Requests that it could not happen to are told once each. */
  readonly toldOf: Set<number>;
}

export interface FaultInjectorOptions {
  readonly scenario: Scenario;
  readonly clock: Clock;
  readonly random: Random;
  record(event: UnnumberedEvent): void;
}

export class FaultInjector implements FaultScript {
  readonly targets: FaultTargets = {};
  readonly #options: FaultInjectorOptions;
  readonly #uses: ReadonlySet<Injection['layer']>;
  #armed: Armed[] = [];
  /** Highest ordinal of a request that the provider has counted. */
  #requests = 0;
  #noise: LineNoise | undefined;
  readonly #endings = new Set<Alarm>();

  constructor(options: FaultInjectorOptions) {
    this.#options = options;
    const planned = options.scenario.turns.flatMap(({ faults }) => faults);
    this.#uses = new Set(planned.map(({ injection }) => injection.layer));
  }

  /** The provider's end of a connection, where something is planned for its answers. */
  providerStream(stream: Duplex): Duplex {
    if (!this.#uses.has('provider-wire')) return stream;
    return new EditedStream(stream, this.#options.clock, (answer) => {
      this.#requests = Math.max(this.#requests, answer);
      return this.#editsFor('provider-wire', answer);
    });
  }

  /** The server's end of a connection of a board, where something is planned for its messages. */
  serverStream(stream: Duplex): Duplex {
    if (!this.#uses.has('board-wire')) return stream;
    return new EditedStream(stream, this.#options.clock, () => this.#editsFor('board-wire', 0));
  }

  /** What the stand-in of the provider is to say to a request. */
  readonly plannedWords = (request: number): StandInFault | undefined => {
    this.#requests = Math.max(this.#requests, request);
    const armed = this.#armed.find(
      (one) => one.planned.injection.layer === 'provider-words' && isMeant(one, request),
    );
    const injection = armed?.planned.injection;
    if (injection?.layer !== 'provider-words') return undefined;
    return { ...injection.fault, request };
  };

  /** Takes note of what became of a fault in the words of the provider. */
  readonly wordsReport = ({ request, moment, obstacle }: FaultReport): boolean => {
    const armed = this.#armed.find(
      (one) => one.planned.injection.layer === 'provider-words' && isMeant(one, request),
    );
    if (armed === undefined) return false;
    if (moment !== undefined) this.#struck(armed, request);
    else this.#unfit(armed, request, obstacle ?? 'its protocol cannot express it');
    return true;
  };

  /** Of the serial line, now. */
  readonly lineNoise = (): LineNoise | undefined => this.#noise;

  beginTurn(turn: Turn): void {
    this.#armed = turn.faults.map((planned, index): Armed => {
      const struckBy = new Set<number>();
      const armed: Armed = {
        turn: turn.number,
        index: index + 1,
        planned,
        requestsBefore: this.#requests,
        struckBy,
        toldOf: new Set(),
      };
      return Object.assign(armed, this.#editOf(armed));
    });
  }

  strike(turn: Turn, index: number): void {
    const armed = this.#armed.find((one) => one.turn === turn.number && one.index === index + 1);
    if (armed === undefined) return;
    const obstacle = this.#perform(armed.planned.injection);
    if (obstacle === undefined) this.#struck(armed, 0);
    else this.#unfit(armed, 0, obstacle);
  }

  endTurn(turn: Turn): void {
    for (const one of this.#armed.filter((armed) => armed.turn === turn.number)) one.conclude?.();
    this.#armed = this.#armed.filter((one) => one.turn !== turn.number);
    this.#noise = undefined;
    // Nobody is kept from connecting beyond the turn by what has no end of its own.
    if (turn.faults.some(({ injection }) => injection.layer === 'provider-link')) {
      this.targets.disturbProvider?.({ kind: 'lift' });
    }
  }

  /** Forgets what is still to come. */
  close(): void {
    for (const alarm of this.#endings) alarm.cancel();
    this.#endings.clear();
    this.targets.burdenDisk?.(undefined);
  }

  #editsFor(layer: Injection['layer'], answer: number): readonly WireEdit[] {
    return this.#armed.flatMap((one) =>
      one.edit !== undefined && one.planned.injection.layer === layer && isMeant(one, answer)
        ? [one.edit]
        : [],
    );
  }

  #editOf(armed: Armed): Pick<Armed, 'edit' | 'conclude'> {
    const { injection } = armed.planned;
    if (injection.layer === 'board-wire') {
      const { event, nth } = injection.fault;
      const edit = frameFaultEdit(injection.fault, { struck: () => this.#struck(armed, 0) });
      const what = event === 'sound' ? 'messages with sound' : `messages of type ${event}`;
      const conclude = (): void => {
        if (edit.seen >= nth) return;
        this.#unfit(armed, 0, `the server sent ${edit.seen} ${what}`);
      };
      return { edit, conclude };
    }
    if (injection.layer !== 'provider-wire') return {};
    const random = this.#options.random.fork(`${armed.turn}/${armed.index}`);
    const edit = wireFaultEdit(injection.fault, random, {
      struck: (answer) => this.#struck(armed, answer),
      unfit: (answer, obstacle) => this.#unfit(armed, answer, obstacle),
    });
    return { edit, conclude: () => edit.conclude() };
  }

  /** @returns why it cannot be done */
  #perform(injection: Injection): string | undefined {
    const { targets } = this;
    switch (injection.layer) {
      case 'provider-link':
        if (targets.disturbProvider === undefined) return 'the provider is not ours to disturb';
        return targets.disturbProvider(injection.disturbance) === 0 &&
          needsConnection.includes(injection.disturbance.kind)
          ? 'the provider had no open connection at that moment'
          : undefined;
      case 'board-link':
        targets.disturbBoard?.(injection.disturbance);
        return undefined;
      case 'board-network':
        targets.changeNetwork?.(injection.network, false);
        this.#later(injection.durationMs, () => targets.changeNetwork?.(injection.network, true));
        return undefined;
      case 'server':
        if (targets.intervene?.(injection.intervention) !== true) {
          return 'no board was connected to a server of ours';
        }
        if (injection.awayMs !== undefined) {
          const durationUs = injection.awayMs * 1000;
          targets.disturbBoard?.({ kind: 'unreachable', code: 'NETWORK_REFUSED', durationUs });
        }
        return undefined;
      case 'board':
        if (targets.suffer === undefined) return 'this board cannot be made to break down';
        return targets.suffer(injection.failure);
      case 'line':
        if (targets.disturbLine === undefined) return 'there is no serial line';
        targets.disturbLine();
        this.#noise = injection.noise;
        this.#later(injection.durationMs, () => {
          this.#noise = undefined;
        });
        return undefined;
      case 'host':
        return this.#troubleHost(injection.trouble);
      default:
        return undefined;
    }
  }

  #troubleHost(trouble: HostTrouble): string | undefined {
    const { clock } = this.#options;
    switch (trouble.kind) {
      case 'skip':
        clock.skip?.(trouble.ms * 1000);
        return undefined;
      case 'slow-disk': {
        let writes = 0;
        let leftMs = slowDiskMs;
        this.targets.burdenDisk?.(() => {
          writes += 1;
          if (writes % trouble.every !== 0 || leftMs <= 0) return;
          leftMs -= trouble.ms;
          clock.skip?.(trouble.ms * 1000);
        });
        return undefined;
      }
      case 'disk-full':
        // Reported first, or there would be no room for it.
        clock.after(0, () =>
          this.targets.burdenDisk?.(() => {
            throw diskFull();
          }),
        );
        return undefined;
    }
  }

  #later(ms: number, action: () => void): void {
    const alarm = this.#options.clock.after(ms * 1000, () => {
      this.#endings.delete(alarm);
      action();
    });
    this.#endings.add(alarm);
  }

  #struck(armed: Armed, request: number): void {
    if (armed.struckBy.has(request)) return;
    armed.struckBy.add(request);
    this.#report(armed, request);
  }

  #unfit(armed: Armed, request: number, obstacle: string): void {
    if (armed.toldOf.has(request)) return;
    armed.toldOf.add(request);
    this.#report(armed, request, obstacle);
  }

  #report({ turn, index, planned }: Armed, request: number, obstacle?: string): void {
    this.#options.record({
      source: 'harness',
      type: 'faultStruck',
      atUs: this.#options.clock.nowUs(),
      turn,
      index,
      name: planned.name,
      ...(request > 0 && { request }),
      ...(obstacle !== undefined && { obstacle }),
    });
  }
}

/** Whether a fault is for this request; 0 is a handshake before its request is counted. */
function isMeant({ planned, requestsBefore }: Armed, request: number): boolean {
  if (planned.request === undefined) return request === 0 || request > requestsBefore;
  const own = requestsBefore + planned.request;
  return request === 0 ? planned.request === 1 : request === own;
}
