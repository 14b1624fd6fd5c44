/** The rules of queues, player, samples and connections (sections 1.5 and 6), and of dead-locks. */

import type { Account, Entry } from './behaviour-player.contract.ts';
import { Rule, type RuleClass } from './behaviour-rule.contract.ts';
import type { Of } from './board-history.contract.ts';
import { type DeadLock, deadLocksOf } from './dead-lock.contract.ts';

/** Section 6.1: 32 wait for the main loop, one more is in the hands of the socket task. */
const heldMessages = 33;

interface Frame {
  readonly frame: number;
  readonly event: string;
}

/** A span in which the socket task stands still. */
interface Full {
  readonly connection: number;
  readonly fromUs: number;
  untilUs: number;
}

class Queues extends Rule {
  readonly name = 'queues';
  #waiting: Frame[] = [];
  #connection = 0;
  #frames = 0;
  #owed: Of<'taken'> | undefined;
  readonly full: Full[] = [];

  see(entry: Entry): void {
    switch (entry.type) {
      case 'boot':
        this.#begin(this.history.connection, entry.atUs);
        break;
      case 'connected':
        this.#begin(entry.connection, entry.atUs);
        break;
      case 'reboot':
        this.#begin(0, entry.atUs);
        break;
      case 'frameReceived':
      case 'frameRejected':
        this.#arrive(entry);
        break;
      case 'log':
        if (entry.message === 'Unexpected non-binary WebSocket message received') {
          this.#mustRead('a frame that is not binary');
        }
        break;
      case 'frameHandled':
        this.#handle(entry);
        break;
      case 'taken':
        this.#take(entry);
        break;
      default:
    }
  }

  #begin(connection: number, atUs: number): void {
    if (connection === this.#connection) return;
    this.#unfill(atUs);
    this.#connection = connection;
    this.#waiting = [];
    this.#frames = 0;
  }

  #arrive(entry: Of<'frameReceived' | 'frameRejected'>): void {
    this.#mustRead(`frame ${entry.frame}`);
    this.#frames++;
    this.expect(
      entry.connection === this.#connection && entry.frame === this.#frames,
      `frame ${entry.frame} of connection ${entry.connection}, due was ${this.#frames} of ${this.#connection}`,
    );
    if (entry.type === 'frameRejected') return;
    this.#waiting.push(entry);
    if (this.#full) {
      const { connection, atUs } = entry;
      this.full.push({ connection, fromUs: atUs, untilUs: Number.POSITIVE_INFINITY });
    }
  }

  get #full(): boolean {
    return this.history.has('Q8') && this.#waiting.length >= heldMessages;
  }

  #mustRead(what: string): void {
    if (this.#full) this.fail(`${what} is read while ${this.#waiting.length} messages wait`);
  }

  #unfill(atUs: number): void {
    const last = this.full.at(-1);
    if (last?.untilUs === Number.POSITIVE_INFINITY) last.untilUs = atUs;
  }

  #handle({ atUs, connection, frame, event }: Of<'frameHandled'>): void {
    const due = this.#waiting.shift();
    this.expect(
      connection === this.#connection && due?.frame === frame && due.event === event,
      `frame ${frame} (${event}) of ${connection} is handled, due was ${JSON.stringify(due)}`,
    );
    const taken = this.#owed;
    this.#owed = undefined;
    const name = event.startsWith('AudioChunk') ? 'audio' : event;
    this.expect(taken?.event === name, `${event} is handled, taken was ${taken?.event ?? 'none'}`);
    this.#unfill(atUs);
  }

  #take(entry: Of<'taken'>): void {
    const { server, local, socket } = entry.waiting;
    this.expect(this.#owed === undefined, `${this.#owed?.event} was taken and not handled`);
    this.#owed = serverEvents.has(entry.event) ? entry : undefined;
    if (this.history.has('Q8')) this.expect(server <= 32, `${server} server events wait`);
    this.expect(local <= 64, `${local} local events wait`);
    this.expect(socket <= 32, `${socket} messages wait for the socket`);
    const known = this.#waiting.length;
    this.expect(
      server === known || (server === known - 1 && this.history.has('Q8')),
      `${server} server events wait, but ${known} were received and not handled`,
    );
  }

  /** Section 1.5: no pong while the socket task stands still. */
  override end({ pings, behaviour }: Account): void {
    const undisturbed =
      behaviour.network === 'ideal' &&
      behaviour.actions.every(({ kind }) => !['network', 'stall', 'drop', 'freeze'].includes(kind));
    for (const { connection, sentUs, pongUs } of pings) {
      const full = this.full.find(
        (span) => span.connection === connection && span.fromUs < sentUs && sentUs < span.untilUs,
      );
      if (full !== undefined && pongUs !== undefined && pongUs < full.untilUs) {
        this.fail(`a ping of ${sentUs} µs is answered while the socket is not read`);
      }
      const busy = this.full.some(
        (span) => span.connection === connection && span.untilUs >= sentUs,
      );
      if (undisturbed && !busy && pongUs !== undefined && pongUs !== sentUs) {
        this.fail(`a ping of ${sentUs} µs is answered at ${pongUs} µs`);
      }
    }
  }
}

const serverEvents: ReadonlySet<string> = new Set([
  'ASR',
  'Action',
  'StartAudio',
  'audio',
  'EndAudio',
  'EndVad',
  'EndResponse',
  'HelloStart',
  'HelloChunk',
  'HelloEnd',
  'StartVideo',
  'EndVideo',
]);

/** Section 6.3: everything in the player happens at the beginning of a cycle. */
class Cycles extends Rule {
  readonly name = 'cycles';
  #underrun: Of<'underrunStart'> | undefined;
  #stall: Of<'playerStalled'> | undefined;
  #lastEnd = 0;

  see(entry: Entry): void {
    switch (entry.type) {
      case 'boot':
        this.#underrun = undefined;
        this.#stall = undefined;
        this.#lastEnd = 0;
        break;
      case 'playStart':
        this.#at(entry);
        break;
      case 'underrunStart':
        this.#at(entry);
        this.expect(this.#underrun === undefined, 'an underrun within an underrun');
        this.#underrun = entry;
        break;
      case 'underrunEnd':
        this.#at(entry);
        this.expect(
          256 * entry.cycles === entry.position - (this.#underrun?.position ?? 0),
          `an underrun of ${entry.cycles} cycles ends at ${entry.position}`,
        );
        this.expect(this.#underrun?.sentence === entry.sentence, 'of another sentence');
        this.#underrun = undefined;
        break;
      case 'drained':
        this.#onGrid(entry.atUs);
        this.expect(entry.position % 256 === 0, `drained at ${entry.position}`);
        this.expect(entry.position >= this.#lastEnd, 'drained before an earlier one');
        this.expect(entry.position <= this.#position(entry.atUs), 'drained before it was played');
        this.expect(entry.restSamples < 256, `a rest of ${entry.restSamples}`);
        this.#lastEnd = entry.position;
        break;
      case 'playerStalled':
        this.#at(entry);
        this.expect(this.#stall === undefined, 'stands still twice');
        this.#stall = entry;
        break;
      case 'playerResumed':
        this.#at(entry);
        this.expect(
          256 * entry.cycles === entry.position - (this.#stall?.position ?? 0),
          `stood still for ${entry.cycles} cycles until ${entry.position}`,
        );
        this.#stall = undefined;
        break;
      case 'log':
        if (entry.message === 'Received Hello event') this.#onGrid(entry.atUs);
        break;
      default:
    }
  }

  #position(atUs: number): number {
    return ((atUs - this.history.speakerStartUs) / 16_000) * 256;
  }

  #onGrid(atUs: number): void {
    const offUs = (atUs - this.history.speakerStartUs) % 16_000;
    this.expect(offUs === 0, `${offUs} µs after the beginning of a cycle`);
  }

  #at({ atUs, position }: { readonly atUs: number; readonly position: number }): void {
    this.#onGrid(atUs);
    this.expect(position === this.#position(atUs), `position ${position}`);
  }
}

/** Samples are neither invented nor lost. */
class Ledger extends Rule {
  readonly name = 'samples';
  #handed = 0;
  #cleared = 0;
  #helloSamples = 0;
  #helloPieces = 0;
  #helloDone = false;
  /** Hellos that the player has not taken yet. */
  #hellos: number[] = [];

  see(entry: Entry): void {
    switch (entry.type) {
      case 'boot':
        // 22 478 bytes with a header of 44, which quirk Q4 plays.
        this.#helloSamples = this.history.has('Q4') ? 11_239 : 11_217;
        this.#helloPieces = 0;
        this.#helloDone = false;
        this.#hellos = [];
        break;
      case 'frameHandled':
        if (entry.disposition === 'played' || entry.disposition === 'held') {
          this.#handed += entry.samples ?? 0;
        }
        if (entry.event === 'HelloStart') this.#helloPieces = 0;
        if (entry.event === 'HelloChunk' && !this.#helloDone) this.#helloPieces++;
        if (entry.event === 'HelloEnd' && !this.#helloDone) {
          this.#helloDone = true;
          this.#helloSamples = -this.#helloPieces;
          this.#helloPieces = 0;
        }
        break;
      case 'log':
        if (entry.message === 'Waiting for hello response') this.#hellos.push(this.#helloSamples);
        if (entry.message === 'Received Hello event') this.#play();
        break;
      case 'playerCleared':
        this.#cleared += entry.samples;
        break;
      case 'finished':
        this.#finished = entry;
        break;
      default:
    }
  }

  #finished: Of<'finished'> | undefined;
  /** Pieces of hello files that were played; their length is known at the end. */
  #pieces: number[] = [];

  #play(): void {
    const hello = this.#hellos.shift();
    if (hello === undefined) this.fail('a hello that nobody asked for');
    else if (hello <= 0) this.#pieces.push(-hello);
    else this.#handed += hello;
  }

  override end({ behaviour }: Account): void {
    const finished = this.#finished;
    if (finished === undefined) {
      this.fail('the board did not finish');
      return;
    }
    const { helloPieceBytes } = behaviour;
    const {
      pushedSamples,
      playedSamples,
      clearedSamples,
      queuedSamples,
      heldSamples,
      restSamples,
    } = finished;
    const files = this.#pieces.map((count) => (count * helloPieceBytes) >> 1);
    const handed = files.reduce((sum, samples) => sum + samples, this.#handed);
    this.expect(pushedSamples === handed, `${pushedSamples} pushed, ${handed} were handed over`);
    this.expect(
      clearedSamples === this.#cleared,
      `${clearedSamples} cleared, ${this.#cleared} were reported`,
    );
    const found = playedSamples + clearedSamples + queuedSamples + heldSamples + restSamples;
    this.expect(pushedSamples === found, `${pushedSamples} pushed, ${found} found`);
  }
}

class Instants extends Rule {
  readonly name = 'instants';
  #lastUs = 0;

  see({ type, atUs }: Entry): void {
    this.expect(Number.isInteger(atUs), `${type} at ${atUs}`);
    this.expect(atUs >= this.#lastUs, `${type} at ${atUs}, after ${this.#lastUs}`);
    this.expect(this.history.phase !== 'closed', `${type} after the end`);
    this.#lastUs = atUs;
  }
}

/** A board that does nothing has a reason with a name. */
class DeadLocks extends Rule {
  readonly name = 'dead-locks have a name';

  see(): void {}

  override end({ entries }: Account): void {
    for (const lock of deadLocksOf(entries, this.history.profile)) this.#judge(lock);
  }

  #judge({ quirk, why, fromUs, untilUs }: DeadLock): void {
    const span = `from ${fromUs} to ${untilUs} µs`;
    if (quirk === undefined) this.fail(`${why}, ${span}: nothing explains it`);
    else if (!this.history.has(quirk)) this.fail(`${why}, ${span}, without quirk ${quirk}`);
  }
}

export const meansRules: readonly RuleClass[] = [Queues, Cycles, Ledger, Instants, DeadLocks];
