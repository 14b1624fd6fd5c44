/**
 * What can be concluded of a board from its reports alone: phase, state, connection, and what its main
 * loop is busy with. Knows the entries and the written rules, not the machine.
 */
import type { Entry } from './behaviour-player.contract.ts';
import type { DeviceState } from './device-event.ts';
import type { DeviceProfile } from './device-profile.ts';
import type { QuirkId } from './quirk.ts';

export type Of<Type extends Entry['type']> = Extract<Entry, { type: Type }>;

export type BoardPhase =
  | 'off'
  /** Connects for the first time since the reset. */
  | 'booting'
  | 'unreachable'
  | 'running'
  | 'restarting'
  | 'setup'
  | 'closed';

/** `handshake` and `hello`: the main loop takes nothing until it is over (section 5.3). */
export type Wait = 'handshake' | 'hello';

export class BoardHistory {
  readonly profile: DeviceProfile;
  phase: BoardPhase = 'off';
  phaseSinceUs = 0;
  state: DeviceState = 'Idle';
  stateSinceUs = 0;
  speakerStartUs = 0;
  /** The connection that the main loop uses; 0 before the first. */
  connection = 0;
  linkUp = false;
  linkDownSinceUs = 0;
  /** The board has asked for the end of the connection. */
  closing = false;
  taken: Of<'taken'> | undefined;
  wait: Wait | undefined;
  waitSinceUs = 0;
  /** Failed tries to connect since the last event that the main loop took. */
  readonly failures: Of<'connectFailed'>[] = [];
  /** The player stands still since. */
  stalledSinceUs: number | undefined;
  /** Instants at which the main loop gave a sign of itself, the last event it took first. */
  readonly signs: number[] = [0];
  nowUs = 0;

  constructor(profile: DeviceProfile) {
    this.profile = profile;
  }

  /** The board has the quirk. */
  has(quirk: QuirkId): boolean {
    return !this.profile.quirksOff.includes(quirk);
  }

  get running(): boolean {
    return this.phase === 'running';
  }

  /** The last sign of the main loop. */
  get signUs(): number {
    return this.signs.at(-1)!;
  }

  add(entry: Entry): void {
    this.nowUs = entry.atUs;
    switch (entry.type) {
      case 'boot':
        this.#enter('running', entry.atUs);
        this.speakerStartUs = entry.speakerStartUs;
        this.#reset(entry.atUs);
        break;
      case 'reboot':
        this.#enter('restarting', entry.atUs);
        this.#reset(entry.atUs);
        this.linkUp = false;
        break;
      case 'setup':
        this.#enter('setup', entry.atUs);
        break;
      case 'finished':
        this.#enter('closed', entry.atUs);
        break;
      case 'connecting':
        if (!entry.reconnect) this.#enter('booting', entry.atUs);
        this.#waitFor('handshake', entry.atUs);
        break;
      case 'connected':
        this.#waitFor(undefined, entry.atUs);
        this.failures.length = 0;
        this.connection = entry.connection;
        this.linkUp = true;
        this.closing = false;
        break;
      case 'connectFailed':
        this.#waitFor(undefined, entry.atUs);
        if (this.phase === 'booting') this.#enter('unreachable', entry.atUs);
        else this.failures.push(entry);
        break;
      case 'disconnected':
        if (entry.connection !== this.connection) break;
        this.linkUp = false;
        this.linkDownSinceUs = entry.atUs;
        break;
      case 'state':
        this.state = entry.to;
        this.stateSinceUs = entry.atUs;
        break;
      case 'taken':
        this.taken = entry;
        this.failures.length = 0;
        this.signs.length = 0;
        this.#closes(entry);
        break;
      case 'playerStalled':
        this.stalledSinceUs = entry.atUs;
        break;
      case 'playerResumed':
        this.stalledSinceUs = undefined;
        break;
      case 'log':
        if (entry.message === 'Waiting for hello response') this.#waitFor('hello', entry.atUs);
        if (entry.message === 'Hello response received') this.#waitFor(undefined, entry.atUs);
        break;
      default:
    }
    if (isSign(entry)) this.signs.push(entry.atUs);
  }

  #closes({ event, state }: Of<'taken'>): void {
    const replaced = event === 'k0Short' || (event === 'micChunk' && state === 'Speaking');
    if (state === 'Listening') this.closing ||= event === 'k0Short' || event === 'idleTimer';
    else if (replaced && !this.has('Q12')) this.closing = true;
  }

  #enter(phase: BoardPhase, atUs: number): void {
    this.phase = phase;
    this.phaseSinceUs = atUs;
  }

  #waitFor(wait: Wait | undefined, atUs: number): void {
    this.wait = wait;
    this.waitSinceUs = atUs;
  }

  #reset(atUs: number): void {
    this.state = 'Idle';
    this.stateSinceUs = atUs;
    this.taken = undefined;
    this.wait = undefined;
    this.failures.length = 0;
    this.signs.splice(0, this.signs.length, atUs);
    this.stalledSinceUs = undefined;
  }
}

/** Reports that the main loop makes while it handles something. */
function isSign(entry: Entry): boolean {
  switch (entry.type) {
    case 'taken':
    case 'display':
    case 'connected':
    case 'connectFailed':
    case 'startChat':
    case 'upload':
    case 'submit':
      return true;
    case 'log':
      return entry.tag === 'echokit::app';
    default:
      return false;
  }
}
