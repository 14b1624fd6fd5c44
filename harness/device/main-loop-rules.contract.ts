/** The rules of the main loop: transitions, timers, utterances, restarts (sections 3.3 and 5). */

import type { Entry } from './behaviour-player.contract.ts';
import { Rule, type RuleClass } from './behaviour-rule.contract.ts';
import type { Of } from './board-history.contract.ts';
import type { QuirkId } from './quirk.ts';
import type { MachineEventName, Transition } from './transition-table.ts';
import { transitionsOf } from './transition-table.ts';

const second = 1_000_000;
/** The longest handling of one event that waits for nothing: a full queue to the socket, and screens. */
const handlingUs = 31 * second;

/** Events that a board with the quirk never meets. */
const eventsWithout: { readonly [Event in MachineEventName]?: QuirkId } = {
  linkLost: 'Q6',
  answerTimer: 'Q41',
};

/** Section 5.2: what the board says caused a change of state, and the events that may do so. */
const causes: Readonly<Record<string, MachineEventName>> = {
  k0: 'k0Short',
  'idle timer': 'idleTimer',
  'connection lost': 'linkLost',
  'no answer': 'answerTimer',
  Submit: 'micEnd',
  'barge-in': 'micChunk',
  StartAudio: 'StartAudio',
  EndVad: 'EndVad',
  EndResponse: 'EndResponse',
};

class Transitions extends Rule {
  readonly name = 'transition table';
  #open: { readonly taken: Of<'taken'>; readonly due: Transition; changes: number } | undefined;

  see(entry: Entry): void {
    if (entry.type === 'taken') {
      this.#close();
      const { event, state } = entry;
      this.expect(
        state === this.history.state,
        `${event} met ${state}, reported was ${this.history.state}`,
      );
      const quirk = eventsWithout[event];
      if (quirk !== undefined) this.expect(!this.history.has(quirk), `${event} with ${quirk}`);
      const due = transitionsOf(this.history.profile.firmware)[event]?.[state];
      if (due === undefined) this.fail(`${event} in ${state} is not in the table`);
      else this.#open = { taken: entry, due, changes: 0 };
    } else if (entry.type === 'state') this.#change(entry);
    else if (entry.type === 'reboot' || entry.type === 'boot') this.#open = undefined;
  }

  #change({ from, to, cause }: Of<'state'>): void {
    const { state } = this.history;
    this.expect(from === state, `from ${from}, but the board was ${state}`);
    this.expect(from !== to, `${from} becomes ${to}`);
    const open = this.#open;
    if (open === undefined) {
      this.fail(`${from} → ${to} without an event`);
      return;
    }
    open.changes++;
    if (this.#givesUp()) {
      this.expect(to === 'Idle', `three failed tries lead to ${to}`);
      return;
    }
    const { event } = open.taken;
    this.expect(open.changes === 1, `${event} changes the state ${open.changes} times`);
    this.expect(
      open.due.to === to && open.taken.state === from,
      `${event} in ${open.taken.state} leads to ${open.due.to ?? 'no change'}, not ${from} → ${to}`,
    );
    this.expect(causes[cause] === event, `the cause of ${event} is told as "${cause}"`);
  }

  /** Quirk Q7 off: all tries to connect have failed. */
  #givesUp(): boolean {
    const { reconnectTries } = this.history.profile.constants;
    return !this.history.has('Q7') && this.history.failures.length === reconnectTries;
  }

  #close(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined || open.changes > 0 || open.due.conditional === true) return;
    const { to } = open.due;
    if (to === undefined || to === open.taken.state || this.#givesUp()) return;
    this.fail(`${open.taken.event} in ${open.taken.state} did not lead to ${to}`);
  }

  override end(): void {
    if (this.history.signUs < this.history.nowUs - handlingUs && this.history.wait === undefined) {
      this.#close();
    }
  }
}

/** Section 5.7: what must have been before a restart. */
class Reboots extends Rule {
  readonly name = 'restarts are explained';
  #lastKeyUs = -1;
  #lastSentUs = -1;
  #lastLines: string[] = [];

  see(entry: Entry): void {
    if (entry.type === 'key' && entry.key === 'k0') this.#lastKeyUs = entry.atUs;
    if (['startChat', 'upload', 'submit', 'boot'].includes(entry.type))
      this.#lastSentUs = entry.atUs;
    if (entry.type === 'log') this.#lastLines = [...this.#lastLines.slice(-1), entry.message];
    if (entry.type === 'reboot') this.#explain(entry);
  }

  #explain({ atUs, cause }: Of<'reboot'>): void {
    const { history } = this;
    const { constants } = history.profile;
    switch (cause) {
      case 'All reconnect attempts failed': {
        this.#ends(cause);
        this.expect(history.has('Q7'), 'quirk Q7 is off');
        this.expect(this.#connects(), 'neither K0 nor a barge-in asked for a connection');
        const attempts = history.failures.map(({ attempt }) => attempt);
        const expected = Array.from({ length: constants.reconnectTries }, (_, i) => i + 1);
        this.expect(`${attempts}` === `${expected}`, `failed tries: ${attempts}`);
        const pausedUs = atUs - (history.failures.at(-1)?.atUs ?? 0);
        this.expect(
          pausedUs === constants.reconnectPauseUs,
          `${pausedUs} µs after the last failed try`,
        );
        break;
      }
      case 'Failed to send message':
        this.#ends(cause);
        this.expect(history.has('Q6'), 'quirk Q6 is off');
        this.expect(
          !history.linkUp || history.closing || this.wasCut(atUs),
          'the connection was there',
        );
        this.expect(this.#sends(), 'nothing was to be sent');
        break;
      case 'Timeout sending message': {
        this.#ends(cause);
        this.expect(history.linkUp, 'the connection was lost before');
        this.expect(this.#sends(), 'nothing was to be sent');
        // The wait began with the event, behind a screen, or when a message before it had found room.
        const takenUs = history.taken?.atUs ?? 0;
        const begins = [takenUs, takenUs + constants.redrawUs, this.#lastSentUs];
        this.expect(
          begins.includes(atUs - constants.sendTimeoutUs) &&
            this.#lastSentUs <= atUs - constants.sendTimeoutUs,
          `${atUs - takenUs} µs after the event, ${atUs - this.#lastSentUs} µs after the last message`,
        );
        break;
      }
      case 'K0 while the server cannot be reached: setup mode':
        this.expect(history.phase === 'unreachable', `the board is ${history.phase}`);
        this.expect(this.#lastKeyUs === atUs, 'no K0');
        break;
      case 'K0 in setup mode':
        this.expect(history.phase === 'setup', `the board is ${history.phase}`);
        this.expect(this.#lastKeyUs === atUs, 'no K0');
        break;
      default:
        this.fail(`section 5.7 has no cause "${cause}"`);
    }
  }

  /** The main loop has ended: the console says why. */
  #ends(cause: string): void {
    this.expect(this.history.running, `the board is ${this.history.phase}`);
    this.expect(
      this.#lastLines.join('|') === `Error: ${cause}|WebSocket task finished`,
      `the console says "${this.#lastLines.join('", "')}"`,
    );
  }

  #connects(): boolean {
    const taken = this.history.taken;
    if (taken?.event === 'micChunk') return taken.state === 'Speaking';
    return taken?.event === 'k0Short' && taken.state !== 'Listening';
  }

  #sends(): boolean {
    const { taken, profile } = this.history;
    if (taken?.event === 'micChunk') return ['Listening', 'Speaking'].includes(taken.state);
    const submits = profile.firmware.endOfUtterance === 'board';
    return submits && taken?.event === 'micEnd' && taken.state === 'Listening';
  }
}

/** Section 5.7 the other way round: the condition was met, so the board restarts. */
class DueReboots extends Rule {
  readonly name = 'restarts that are due';
  #due: { readonly untilUs: number; readonly why: string } | undefined;

  see(entry: Entry): void {
    if (entry.type === 'reboot' || entry.type === 'finished') this.#due = undefined;
    this.#check(entry.atUs);
    const { history } = this;
    const { constants } = history.profile;
    if (
      entry.type === 'key' &&
      entry.key === 'k0' &&
      ['unreachable', 'setup'].includes(history.phase)
    ) {
      this.#due = { untilUs: entry.atUs, why: `K0 while ${history.phase}` };
    }
    const failed = entry.type === 'connectFailed' && history.running;
    if (failed && entry.attempt === constants.reconnectTries && history.has('Q7')) {
      const untilUs = entry.atUs + constants.reconnectPauseUs;
      this.#due = { untilUs, why: 'all tries to connect failed' };
    }
  }

  #check(atUs: number): void {
    if (this.#due === undefined || atUs <= this.#due.untilUs) return;
    this.fail(`no restart, although ${this.#due.why}`);
    this.#due = undefined;
  }
}

/** After a restart: nothing for the time of a boot, then a connection or set-up mode. */
class Boots extends Rule {
  readonly name = 'boots';
  #reboot: Of<'reboot'> | undefined;

  see(entry: Entry): void {
    const { history } = this;
    if (entry.type === 'reboot') {
      this.#reboot = entry;
      return;
    }
    const expected = this.#reboot;
    if (expected === undefined) {
      if (entry.type === 'setup') this.fail('set-up mode without a restart');
      if (entry.type === 'boot') this.expect(history.phase === 'booting', 'a boot out of place');
      return;
    }
    if (entry.type === 'finished') return;
    const dueUs = expected.atUs + history.profile.constants.bootUs;
    if (entry.atUs === expected.atUs) return;
    this.#reboot = undefined;
    this.expect(entry.atUs === dueUs, `${entry.type} ${entry.atUs - dueUs} µs after the boot`);
    const next = expected.cause.endsWith(': setup mode') ? 'setup' : 'connecting';
    this.expect(entry.type === next, `${entry.type} instead of ${next}`);
    if (entry.type === 'connecting') this.expect(!entry.reconnect, 'reconnect=true at boot');
  }
}

/** Section 5.5: 300 s without an event. */
class IdleTimer extends Rule {
  readonly name = 'idle timer';

  see(entry: Entry): void {
    this.#overdue(entry.atUs);
    if (entry.type !== 'taken' || entry.event !== 'idleTimer') return;
    const sinceUs = entry.atUs - this.history.profile.constants.idleUs;
    const { signs } = this.history;
    this.expect(
      signs.some((sign) => sign === sinceUs || sign + this.#hiddenUs === sinceUs),
      `${entry.atUs - this.history.signUs} µs after the last sign of the main loop`,
    );
  }

  /** An avatar is redrawn without a report. */
  get #hiddenUs(): number {
    const { profile, taken } = this.history;
    return profile.avatar && taken?.event === 'vowel' ? profile.constants.redrawUs : 0;
  }

  #overdue(atUs: number): void {
    const { history } = this;
    if (!history.running || history.wait !== undefined) return;
    const dueUs = history.signUs + this.#hiddenUs + history.profile.constants.idleUs;
    if (atUs > dueUs) this.fail(`nothing ${atUs - dueUs} µs after it was due`);
  }
}

/** Section 5.3 and quirk Q40: tries, pauses, limits. */
class Connecting extends Rule {
  readonly name = 'tries to connect';
  #open: Of<'connecting'> | undefined;
  #helloSinceUs: number | undefined;

  see(entry: Entry): void {
    const { history } = this;
    const { constants } = history.profile;
    const limitUs = history.has('Q40') ? Number.POSITIVE_INFINITY : 10 * second;
    if (this.#open !== undefined && entry.atUs > this.#open.atUs + limitUs) {
      this.fail('a handshake lasts longer than 10 s without quirk Q40');
      this.#open = undefined;
    }
    if (this.#helloSinceUs !== undefined && entry.atUs > this.#helloSinceUs + limitUs) {
      this.fail('a hello lasts longer than 10 s without quirk Q40');
      this.#helloSinceUs = undefined;
    }
    switch (entry.type) {
      case 'reboot':
        this.#open = undefined;
        this.#helloSinceUs = undefined;
        break;
      case 'connecting': {
        this.expect(this.#open === undefined, 'two at a time');
        this.#open = entry;
        this.expect(
          entry.url.includes('reconnect=true') === entry.reconnect,
          `the URL is ${entry.url}`,
        );
        if (!entry.reconnect) break;
        this.expect(entry.attempt === history.failures.length + 1, `try ${entry.attempt}`);
        this.expect(entry.attempt <= constants.reconnectTries, `try ${entry.attempt}`);
        const last = history.failures.at(-1);
        if (last === undefined) break;
        const pauseUs = entry.atUs - last.atUs;
        this.expect(pauseUs === constants.reconnectPauseUs, `a pause of ${pauseUs} µs`);
        break;
      }
      case 'connected':
      case 'connectFailed': {
        const open = this.#open;
        this.#open = undefined;
        if (open === undefined) {
          this.fail(`${entry.type} without a try`);
          break;
        }
        if (entry.type === 'connectFailed' && entry.message.startsWith('timed out')) {
          this.expect(entry.atUs === open.atUs + limitUs, `${entry.atUs - open.atUs} µs`);
        }
        break;
      }
      case 'log':
        if (entry.message === 'Waiting for hello response') this.#helloSinceUs = entry.atUs;
        if (entry.message === 'Hello response received') this.#helloSinceUs = undefined;
        break;
      default:
    }
  }
}

interface Owed {
  readonly type: 'startChat' | 'upload' | 'submit';
  readonly samples?: number;
  readonly captured?: number;
}

/** Section 3.3: what is uploaded, discarded and given up; 5.6: when an answer is interrupted. */
class Utterances extends Rule {
  readonly name = 'utterances';
  #captured = 0;
  #pending = 0;
  #started = false;
  #gotAsr = false;
  #allowInterrupt = false;
  /** Messages that the main loop has handed to the socket task, and that task not yet to the socket. */
  #owed: Owed[] = [];
  #discards: { readonly samples: number; readonly cause: string }[] = [];
  #givesUp = false;
  #interrupts = false;
  /** The board must restart before the next event. */
  #rebootDue = false;
  /** The connection was cut, and a message has met its end. */
  #dead = false;

  see(entry: Entry): void {
    switch (entry.type) {
      case 'boot':
      case 'reboot':
        this.#forget();
        break;
      case 'taken':
        this.#settled();
        this.#take(entry);
        break;
      case 'connected':
        this.#owed = [];
        this.#dead = false;
        if (!this.#interrupts) break;
        this.#started = true;
        this.#gotAsr = false;
        this.#send({ type: 'startChat' });
        break;
      case 'disconnected':
        if (entry.connection === this.history.connection) this.#owed = [];
        break;
      case 'startChat':
      case 'upload':
      case 'submit':
        this.#sent(entry);
        break;
      case 'uploadDiscarded':
        this.#discarded(entry);
        break;
      case 'state':
        if (entry.cause === 'barge-in') {
          this.expect(this.#allowInterrupt, 'an interruption that is not allowed');
          if (this.history.has('Q15')) this.expect(this.#interrupts, 'interrupted too early');
          this.#interrupts = true;
        }
        break;
      case 'connectFailed': {
        // Quirk Q7 off: the board gives up and lives on.
        const { reconnectTries } = this.history.profile.constants;
        const last = this.history.running && entry.attempt === reconnectTries;
        if (last && !this.history.has('Q7')) this.#clear('All reconnect attempts failed');
        break;
      }
      case 'log':
        this.#line(entry.message);
        break;
      case 'display':
        if (entry.text.startsWith('Interrupt: ')) {
          this.expect(entry.text === `Interrupt: ${this.#allowInterrupt}`, entry.text);
        }
        break;
      default:
    }
  }

  #take({ atUs, event, state, waiting }: Of<'taken'>): void {
    const { history } = this;
    const { socket } = waiting;
    if (history.linkUp && !history.closing && socket !== this.#owed.length) {
      const what = `${socket} messages wait for the socket, ${this.#owed.length} were not sent`;
      this.expect(socket === 0 && this.wasCut(atUs), what);
      this.#owed = [];
      // The socket refuses what it is given, and the board knows (it reports it when it has read so far).
      this.#dead = true;
    }
    const talking = state === 'Listening' || state === 'Speaking';
    switch (event) {
      case 'k0Long':
        this.#allowInterrupt = !this.#allowInterrupt;
        break;
      case 'ASR':
        this.#gotAsr = true;
        break;
      case 'EndVad':
        if (talking) this.#clear('EndVad');
        break;
      case 'EndResponse':
        this.#clear('EndResponse');
        break;
      case 'linkLost':
        if (state === 'Listening') this.#clear('connection lost');
        break;
      case 'answerTimer':
        if (state === 'Waiting') this.#clear('no answer');
        break;
      case 'micEnd':
        if (state === 'Listening' && this.#submits && this.#started) this.#submit();
        break;
      case 'micChunk':
        if (state === 'Listening') this.#upload();
        if (state === 'Speaking' && this.#allowInterrupt) this.#listenOver();
        break;
      default:
    }
  }

  get #submits(): boolean {
    return this.history.profile.firmware.endOfUtterance === 'board';
  }

  #capture(): void {
    const { frontEndChunkSamples } = this.history.profile.constants;
    this.#captured += frontEndChunkSamples;
    this.#pending += frontEndChunkSamples;
  }

  #upload(): void {
    this.#capture();
    if (!this.#started) {
      this.#started = true;
      this.#send({ type: 'startChat' });
    }
    if (this.#pending < 8192 || this.#captured <= 0.3 * 16_000) return;
    this.#send({ type: 'upload', samples: this.#pending, captured: this.#captured });
    this.#pending = 0;
    const limited = !this.#submits && this.history.has('Q13') && !this.#gotAsr;
    if (limited && this.#captured > 10 * 16_000) {
      this.#givesUp = true;
      this.#clear('no ASR within 10 s');
    }
  }

  #submit(): void {
    if (this.#pending > 0) {
      this.#send({ type: 'upload', samples: this.#pending, captured: this.#captured });
    }
    this.#pending = 0;
    this.#send({ type: 'submit' });
    this.#clear('Submit');
  }

  #listenOver(): void {
    this.#capture();
    if (this.#captured > 0.6 * 16_000 && this.history.has('Q15')) this.#interrupts = true;
  }

  #send(message: Owed): void {
    const { history } = this;
    if (this.#dead) return;
    if (history.linkUp || this.#interrupts) this.#owed.push(message);
    else if (history.has('Q6')) this.#rebootDue = true;
  }

  #sent(entry: Of<'startChat' | 'upload' | 'submit'>): void {
    const message = this.#owed.shift();
    const upload = entry.type === 'upload' ? entry : undefined;
    this.expect(
      message?.type === entry.type &&
        message.samples === upload?.samples &&
        message.captured === upload?.capturedSamples,
      `sent ${JSON.stringify(entry)}, due was ${JSON.stringify(message)}`,
    );
  }

  #clear(cause: string): void {
    if (this.#pending > 0) this.#discards.push({ samples: this.#pending, cause });
    this.#captured = 0;
    this.#pending = 0;
    this.#started = false;
    this.#gotAsr = false;
  }

  #discarded({ samples, cause }: Of<'uploadDiscarded'>): void {
    if (cause === 'event queue full' || cause === 'hello') return;
    const due = this.#discards.shift();
    this.expect(
      due?.samples === samples && due.cause === cause,
      `${samples} samples discarded (${cause}), due was ${JSON.stringify(due)}`,
    );
  }

  #line(message: string): void {
    if (message === 'Hello response received') this.#clear('k0');
    if (message === 'No ASR result after 10s audio, ending request') {
      this.expect(this.#givesUp, 'given up before 10 s, or with a recognition');
      this.#givesUp = false;
    }
  }

  /** The next event is taken, so everything of the last has been done. */
  #settled(): void {
    this.expect(!this.#givesUp, 'not given up after 10 s without recognition');
    this.expect(!this.#rebootDue, 'no restart, although the connection was lost');
    this.expect(this.#discards.length === 0, `not discarded: ${JSON.stringify(this.#discards)}`);
    const interrupted =
      this.history.taken?.event === 'micChunk' && this.history.state !== 'Speaking';
    if (this.#interrupts) this.expect(interrupted, 'not interrupted after 0.6 s');
    this.#givesUp = false;
    this.#rebootDue = false;
    this.#discards = [];
    this.#interrupts = false;
  }

  #forget(): void {
    this.#clear('');
    this.#owed = [];
    this.#discards = [];
    this.#givesUp = false;
    this.#interrupts = false;
    this.#rebootDue = false;
    this.#allowInterrupt = false;
  }
}

/** Section 5.5 and 5.9: every press is handled, in its order and not before its time. */
class Keys extends Rule {
  readonly name = 'keys';
  #presses: { readonly event: MachineEventName; readonly fromUs: number }[] = [];
  #level = 0;

  see(entry: Entry): void {
    const { history } = this;
    const { constants } = history.profile;
    if (entry.type === 'boot') this.#level = history.has('Q5') ? 3 : 5;
    if (entry.type === 'boot' || entry.type === 'reboot') this.#presses = [];
    if (entry.type === 'key' && history.running) {
      const long = entry.key === 'k0' && entry.press === 'long';
      const event =
        entry.key === 'k0'
          ? long
            ? 'k0Long'
            : 'k0Short'
          : entry.key === 'volume-up'
            ? 'volumeUp'
            : 'volumeDown';
      this.#presses.push({ event, fromUs: entry.atUs + (long ? constants.longPressUs : 0) });
      this.#presses.sort((a, b) => a.fromUs - b.fromUs);
    }
    if (entry.type === 'taken') this.#taken(entry);
    if (entry.type === 'volume') {
      const taken = history.taken?.event;
      const next = this.#level + (taken === 'volumeUp' ? 1 : -1);
      this.#level = Math.max(1, Math.min(5, next));
      this.expect(entry.level === this.#level, `level ${entry.level}, due was ${this.#level}`);
      this.expect(entry.gainShift === 5 - this.#level, `gain ${entry.gainShift}`);
    }
    this.#forgotten(entry.atUs);
  }

  #taken({ atUs, event }: Of<'taken'>): void {
    if (!['k0Short', 'k0Long', 'volumeUp', 'volumeDown'].includes(event)) return;
    const due = this.#presses.shift();
    this.expect(
      due?.event === event && atUs >= due.fromUs,
      `${event} is handled, due was ${JSON.stringify(due)}`,
    );
  }

  #forgotten(atUs: number): void {
    const { history } = this;
    const press = this.#presses[0];
    if (press === undefined || !history.running || history.wait !== undefined) return;
    // 64 events may be before it, each with a screen, and the socket.
    const limitUs = handlingUs + 65 * history.profile.constants.redrawUs;
    const fromUs = Math.max(press.fromUs, history.waitSinceUs);
    if (atUs <= fromUs + limitUs) return;
    this.fail(`${press.event} of ${press.fromUs} µs was never handled`);
    this.#presses.shift();
  }
}

/** Section 5.4: server events are read unless a sentence is being played. */
class Delivery extends Rule {
  readonly name = 'server events are read';
  #waiting = 0;
  #unreadSinceUs = 0;
  #waitNotify = false;
  /** Longest time that the player may need: one part for each end marker, the last part has none yet. */
  #parts = [0];
  #markerSinceUs = 0;

  see(entry: Entry): void {
    const { history } = this;
    this.#overdue(entry.atUs);
    switch (entry.type) {
      case 'boot':
      case 'reboot':
        this.#reset(entry.atUs);
        this.#waitNotify = false;
        this.#parts = [0];
        break;
      case 'connected':
        this.#reset(entry.atUs);
        break;
      case 'frameReceived':
        if (this.#waiting === 0) this.#unreadSinceUs = entry.atUs;
        this.#waiting++;
        break;
      case 'frameHandled':
        this.expect(!this.#waitNotify, `${entry.event} is read while a sentence is being played`);
        this.#waiting--;
        this.#unreadSinceUs = entry.atUs;
        if (entry.disposition === 'played' || entry.disposition === 'held') {
          this.#parts[this.#parts.length - 1]! += playingUs(entry.samples);
        }
        break;
      case 'taken': {
        const { event, state } = entry;
        const answered = event === 'EndVad' && (state === 'Listening' || state === 'Speaking');
        this.#unreadSinceUs = entry.atUs;
        if (event === 'sentencePlayed') {
          this.expect(this.#waitNotify, 'a sentence was played that nobody waits for');
          this.#waitNotify = false;
        }
        if (answered) this.#waitNotify = false;
        break;
      }
      case 'log':
        // The marker is on its way from here on.
        if (entry.message.startsWith('Audio speed: ')) {
          this.#parts.push(0);
          this.#waitNotify = history.has('Q16');
          this.#markerSinceUs = entry.atUs;
        }
        if (entry.message === 'Received Hello event') this.#parts = [second];
        break;
      case 'drained':
        if (this.#parts.length > 1) this.#parts.shift();
        // The player is done; the main loop has to hear of it now, however long the sentence was.
        this.#markerSinceUs = entry.atUs;
        break;
      default:
    }
    if (history.wait !== undefined || history.stalledSinceUs !== undefined) {
      this.#unreadSinceUs = entry.atUs;
      this.#markerSinceUs = entry.atUs;
    }
  }

  get #backlogUs(): number {
    return this.#parts.reduce((sum, part) => sum + part, 0);
  }

  #reset(atUs: number): void {
    this.#waiting = 0;
    this.#unreadSinceUs = atUs;
  }

  #overdue(atUs: number): void {
    const { history } = this;
    if (!history.running || history.wait !== undefined || history.stalledSinceUs !== undefined)
      return;
    if (this.#waitNotify) {
      // Screens, start messages and hellos before it, and the main loop in the middle of something.
      const limitUs = this.#backlogUs + handlingUs;
      if (atUs > this.#markerSinceUs + limitUs) {
        this.fail(`a sentence of ${this.#backlogUs} µs is not played to its end`);
        this.#markerSinceUs = atUs;
      }
    } else if (this.#waiting > 0 && atUs > this.#unreadSinceUs + handlingUs) {
      // Quirk Q16 off: `EndResponse` waits for the sentences before it.
      const limitUs = history.has('Q16') ? 0 : this.#backlogUs;
      if (atUs > this.#unreadSinceUs + handlingUs + limitUs) {
        this.fail(`${this.#waiting} server events wait and nobody reads them`);
        this.#unreadSinceUs = atUs;
      }
    }
  }
}

/** A message takes a cycle of 16 ms at least (section 6.3). */
function playingUs(samples = 0): number {
  return Math.max(samples * 62.5, 16_000) + 16_000;
}

/** Quirk Q41: without it, `Waiting` ends after 30 s. */
class AnswerTimer extends Rule {
  readonly name = 'limit of waiting';

  see(entry: Entry): void {
    const { history } = this;
    const waitingUs = entry.atUs - history.stateSinceUs;
    const limitUs = 30 * second;
    if (entry.type === 'taken' && entry.event === 'answerTimer') {
      this.expect(!history.has('Q41'), 'quirk Q41 is on');
      this.expect(history.state === 'Waiting' && waitingUs >= limitUs, `after ${waitingUs} µs`);
    }
    if (history.has('Q41') || !history.running || history.state !== 'Waiting') return;
    const fromUs = Math.max(history.stateSinceUs + limitUs, history.waitSinceUs, history.signUs);
    if (history.wait === undefined && entry.atUs > fromUs + handlingUs) {
      this.fail(`Waiting since ${waitingUs} µs without quirk Q41`);
    }
  }
}

export const mainLoopRules: readonly RuleClass[] = [
  Transitions,
  Reboots,
  DueReboots,
  Boots,
  IdleTimer,
  Connecting,
  Utterances,
  Keys,
  Delivery,
  AnswerTimer,
];
