import type { Alarm, Clock } from '../clock/clock.ts';
import { FollowingController } from '../clock/following-controller.ts';
import type { DeviceEvent } from '../device/device-event.ts';
import type { Act, Disturbance, Moment, Scenario, Turn } from '../scenario/scenario.ts';
import type { Intervention } from '../server/adapter-server.ts';
import type { UnnumberedEvent } from '../trace/recording-writer.ts';
import type { BoardInHand, ConversationNetwork } from './board-in-hand.ts';

export interface ScriptedUserOptions {
  readonly scenario: Scenario;
  readonly clock: Clock;
  readonly board: BoardInHand;
  readonly network: ConversationNetwork;
  /** Name of the network of the cell, which a change goes back to. */
  readonly networkName: string;
  /** Makes the server do what it does not do by itself; false when it cannot now. Absent: it never can. */
  readonly intervene?: (intervention: Intervention) => boolean;
  /** Makes the named faults of the turns happen. */
  readonly faults: FaultScript;
  /** 16 kHz mono. */
  readonly clip: (said: { readonly say?: string; readonly wav?: string }) => Int16Array;
  /** Appends to `user.wav`; returns the index of the first sample. */
  readonly recordClip: (samples: Int16Array) => number;
  readonly record: (event: UnnumberedEvent) => void;
}

/** Who makes named faults happen, as the user tells how far the conversation has come. */
export interface FaultScript {
  /** The faults of this turn may happen from now on. */
  beginTurn(turn: Turn): void;
  /** The moment of a fault has come. @param index its place among the faults of the turn, from 0 */
  strike(turn: Turn, index: number): void;
  /** Those of the turn that have not happened do not happen any more. */
  endTurn(turn: Turn): void;
}

/** How long the user waits for the board to get ready to listen. */
const readyLimitMs = 30_000;
/** From the end of a long press to the short one. */
const afterLongPressUs = 1_500_000;
/** How often K0 is pressed to get a board to listen again. */
const recoveryPresses = 3;

/**
 * The person in the scenario: presses K0, waits until the board listens, speaks, waits for the end
 * of the answer, and presses keys and disturbs network and server when the script says so. Everything the board reports
 * must be handed to {@link hearOf}.
 */
export class ScriptedUser {
  readonly #options: ScriptedUserOptions;
  readonly #listeners = new Set<(event: DeviceEvent) => void>();
  /** Called when the user has done something. */
  readonly #deeds = new Set<() => void>();
  /** Instant of the first arrival of each server event, and of the user's own moments, in the current turn. */
  #arrivals = new Map<string, number>();
  #turn = 0;
  /** The board has restarted and was not told to listen since. */
  #restarted = false;
  #running = false;
  /** The board has got its hello, which K0 is answered with. */
  #helloTaken = false;
  /** The board is submitting words whose end the server has not found yet; its screen says "Listening...". */
  #submitting = false;
  /** Networks that are to be given back. */
  readonly #changesBack = new Set<Alarm>();

  constructor(options: ScriptedUserOptions) {
    this.#options = options;
  }

  /** Takes note of what the board reports. */
  hearOf(event: DeviceEvent): void {
    if (event.type === 'frameReceived' && !this.#arrivals.has(event.event)) {
      this.#arrivals.set(event.event, event.atUs);
    }
    if (event.type === 'reboot') {
      this.#restarted = true;
      this.#running = false;
    }
    if (event.type === 'boot') this.#running = true;
    if (event.type === 'state' && event.to === 'Listening') this.#restarted = false;
    if (event.type === 'startChat') this.#submitting = true;
    if (isEndOfSubmitting(event)) this.#submitting = false;
    if (event.type === 'frameHandled' && event.event === 'HelloEnd') this.#helloTaken = true;
    for (const listener of [...this.#listeners]) listener(event);
  }

  /** Plays the whole scenario. Rejects with the signal's reason when it aborts. */
  async converse(signal: AbortSignal): Promise<void> {
    const { scenario, board, clock } = this.#options;
    if (scenario.server.helloWav !== undefined) {
      await this.#until(() => this.#helloTaken, readyLimitMs, signal);
    }
    // Speaking over an answer only works when the board is told to listen for it.
    const speaksOver = scenario.turns.some(
      ({ after }) => after !== undefined && after.event !== 'K0',
    );
    if (scenario.device.allowInterrupt ?? speaksOver) {
      await this.#press('long', signal);
      await clock.sleep(afterLongPressUs, signal);
    }
    await this.#press('short', signal);
    const atOnce = scenario.turns[0]?.after !== undefined;
    if (!atOnce) {
      await this.#until(() => board.state === 'Listening', readyLimitMs, signal);
    }
    try {
      for (const [index, turn] of scenario.turns.entries()) {
        const next = scenario.turns[index + 1];
        if (!(await this.#take(turn, next, signal))) return;
      }
    } finally {
      for (const alarm of this.#changesBack) alarm.cancel();
    }
  }

  /** One turn; false when the conversation cannot go on. */
  async #take(turn: Turn, next: Turn | undefined, signal: AbortSignal): Promise<boolean> {
    const { clock, board, record } = this.#options;
    const finish = (
      outcome: 'finished' | 'timeout' | 'interrupted' | 'reboot',
      detail?: string,
    ): boolean => {
      record({
        source: 'harness',
        type: 'turnEnd',
        atUs: clock.nowUs(),
        turn: turn.number,
        outcome,
        ...(detail === undefined ? {} : { detail }),
      });
      // Who is going to press K0 in that case goes on.
      return outcome !== 'timeout' || next?.recover === true;
    };

    if (this.#restarted && (await this.#until(() => this.#running, readyLimitMs, signal))) {
      this.#restarted = false;
      await this.#press('short', signal);
    }
    if (turn.after === undefined) {
      // The rest of words that outlasted their turn: board and server wait until somebody speaks, and take it for the end
      // of those (quirk Q14).
      const isStuck = turn.recover && this.#submitting;
      let ready =
        !isStuck && (await this.#until(() => board.state === 'Listening', readyLimitMs, signal));
      for (let tries = 0; !ready && turn.recover && tries < recoveryPresses; tries++) {
        // K0 of a board that waits or listens for ever leads to Idle or to a restart, of one in set-up mode to a restart; the
        // next one starts a conversation.
        await this.#press('short', signal);
        ready = await this.#until(() => board.state === 'Listening', readyLimitMs, signal);
      }
      await clock.sleep(turn.pauseMs * 1000, signal);
      this.#begin(turn);
      if (!ready) return finish('timeout', `the board was ${board.state} and not Listening`);
    } else {
      const heard = await this.#afterEvent(turn.after, turn.timeoutMs, signal);
      this.#begin(turn);
      if (!heard) return finish('timeout', `${turn.after.event} never came`);
    }

    let rebooted: string | undefined;
    // The end of an answer that these words fall into is not the end of theirs: that is the one of words that the board
    // submits from now on or is still submitting (EchoKit device protocol reference, sections 5.2 and 6.2).
    let submitted = this.#submitting;
    let answered = false;
    let left = false;
    const watch = (event: DeviceEvent): void => {
      if (event.type === 'reboot') rebooted = event.cause;
      submitted ||= event.type === 'startChat' || this.#arrivals.has('EndVad');
      if (event.type === 'frameHandled' && event.event === 'EndResponse') answered ||= submitted;
      // K0 in mid answer: the board listens again, or is Idle, and no end of the answer will come.
      const byKey = event.type === 'state' && event.cause === 'k0';
      if (byKey && this.#arrivals.has('K0')) left = true;
    };
    this.#listeners.add(watch);
    const disturbing = new FollowingController(signal);
    try {
      const whileItLasts = disturbing.signal;
      this.#scheduleDisturbances(turn, whileItLasts);
      this.#scheduleFaults(turn, whileItLasts);
      const acts = this.#scheduleActs(turn, whileItLasts);
      await this.#speak(turn, signal);
      if (next?.after !== undefined) {
        const heard = await this.#afterEvent(next.after, turn.timeoutMs, signal);
        return heard ? finish('interrupted') : finish('timeout', `${next.after.event} never came`);
      }
      const over = (): boolean =>
        acts.pending === 0 && (rebooted !== undefined || answered || left);
      const inTime = await this.#until(over, turn.timeoutMs, signal);
      if (rebooted !== undefined) return finish('reboot', rebooted);
      if (!inTime) {
        return finish(
          'timeout',
          `no EndResponse within ${turn.timeoutMs} ms; the board is ${board.state}`,
        );
      }
      return finish(answered ? 'finished' : 'interrupted');
    } finally {
      disturbing.abort(new Error('The turn is over.'));
      this.#listeners.delete(watch);
      this.#options.faults.endTurn(turn);
    }
  }

  #begin(turn: Turn): void {
    this.#turn = turn.number;
    this.#arrivals = new Map();
    this.#options.record({
      source: 'harness',
      type: 'turnStart',
      atUs: this.#options.clock.nowUs(),
      turn: turn.number,
    });
  }

  /** Says the clip to the board and waits for its last voiced sample. */
  async #speak(turn: Turn, signal: AbortSignal): Promise<void> {
    const { board, clip, recordClip, record } = this.#options;
    const samples = clip(turn);
    const stopUs = await board.speak(
      samples,
      (startUs) => {
        record({
          source: 'user',
          type: 'speechStart',
          atUs: startUs,
          turn: turn.number,
          text: turn.heard,
          userOffset: recordClip(samples),
          samples: samples.length,
        });
        this.#notice('Speech');
      },
      { turn, signal },
    );
    record({ source: 'user', type: 'speechStop', atUs: stopUs, turn: turn.number });
  }

  /** @returns how many of them have not happened yet */
  #scheduleActs(turn: Turn, signal: AbortSignal): { readonly pending: number } {
    const acts = { pending: turn.acts.length };
    for (const act of turn.acts) {
      const run = async (): Promise<void> => {
        if (!(await this.#afterEvent(act.after, turn.timeoutMs, signal))) return;
        acts.pending -= 1;
        this.#act(act, turn.number, signal);
      };
      run().catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    }
    return acts;
  }

  #act(act: Act, turn: number, signal: AbortSignal): void {
    const { clock, board, clip, recordClip, record } = this.#options;
    const atUs = clock.nowUs();
    if (act.kind === 'key') {
      const { key, press } = act;
      // A board whose keys cannot be reached was not pressed, and the recording says so.
      if (key !== 'k0' && board.turnVolume === undefined) return;
      record({ source: 'user', type: 'press', atUs, turn, key, press });
      if (key === 'k0') {
        this.#notice('K0');
        // A person may still be asked for it when the turn is over.
        board.press(press, signal)?.catch((error: unknown) => {
          if (!signal.aborted) throw error;
        });
      } else board.turnVolume?.(key);
    } else {
      if (board.overhear === undefined) return;
      const { text } = act;
      const samples = clip({ say: text });
      const userOffset = recordClip(samples);
      const length = samples.length;
      record({ source: 'user', type: 'sound', atUs, turn, text, userOffset, samples: length });
      board.overhear(samples);
    }
    // A board without a connection reports nothing that would wake who waits for the act.
    for (const listener of [...this.#deeds]) listener();
  }

  /** A moment of the user's own; the first of its name in the turn counts. */
  #notice(moment: string): void {
    if (this.#arrivals.has(moment)) return;
    this.#arrivals.set(moment, this.#options.clock.nowUs());
    for (const listener of [...this.#deeds]) listener();
  }

  #scheduleDisturbances(turn: Turn, signal: AbortSignal): void {
    for (const disturbance of turn.disturbances) {
      const run = async (): Promise<void> => {
        if (!(await this.#afterEvent(disturbance.after, turn.timeoutMs, signal))) return;
        this.#disturb(disturbance, turn.number);
      };
      run().catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    }
  }

  #scheduleFaults(turn: Turn, signal: AbortSignal): void {
    const { faults } = this.#options;
    faults.beginTurn(turn);
    for (const [index, { moment }] of turn.faults.entries()) {
      if (moment === undefined) continue;
      const run = async (): Promise<void> => {
        if (await this.#afterEvent(moment, turn.timeoutMs, signal)) faults.strike(turn, index);
      };
      run().catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    }
  }

  #disturb(disturbance: Disturbance, turn: number): void {
    const { clock, network, networkName, intervene, record } = this.#options;
    const atUs = clock.nowUs();
    switch (disturbance.kind) {
      case 'drop':
        network.disturb({ kind: 'drop' });
        record({ source: 'network', type: 'drop', atUs, turn });
        break;
      case 'away': {
        const span =
          disturbance.durationMs === undefined ? {} : { durationUs: disturbance.durationMs * 1000 };
        network.disturb({ kind: 'away', ...span });
        record({ source: 'network', type: 'away', atUs, turn, ...span });
        break;
      }
      case 'ping':
        if (intervene?.({ kind: 'ping' }) !== true) break;
        record({ source: 'harness', type: 'intervention', atUs, turn, kind: 'ping' });
        break;
      case 'message': {
        const { message } = disturbance;
        if (intervene?.({ kind: 'message', event: message }) !== true) break;
        record({ source: 'harness', type: 'intervention', atUs, turn, kind: 'message', message });
        break;
      }
      case 'stall': {
        const { direction } = disturbance;
        const durationUs = disturbance.durationMs * 1000;
        network.disturb({ kind: 'stall', direction, durationUs });
        record({ source: 'network', type: 'stall', atUs, turn, direction, durationUs });
        break;
      }
      case 'change': {
        this.#changeNetwork(disturbance.to, turn, false);
        if (disturbance.durationMs === undefined) break;
        // Not tied to the turn: the air is given back even when the answer is over by then.
        const alarm = clock.after(disturbance.durationMs * 1000, () => {
          this.#changesBack.delete(alarm);
          this.#changeNetwork(networkName, turn, true);
        });
        this.#changesBack.add(alarm);
      }
    }
  }

  #changeNetwork(name: string, turn: number, back: boolean): void {
    const { clock, network, record } = this.#options;
    network.change(name);
    const atUs = clock.nowUs();
    record({ source: 'network', type: 'change', atUs, turn, network: name, back });
  }

  async #press(press: 'short' | 'long', signal: AbortSignal): Promise<void> {
    const { clock, board, record } = this.#options;
    signal.throwIfAborted();
    record({
      source: 'user',
      type: 'press',
      atUs: clock.nowUs(),
      turn: this.#turn,
      key: 'k0',
      press,
    });
    if (press === 'short') this.#notice('K0');
    const pressed = board.press(press, signal);
    if (pressed !== undefined) await pressed;
  }

  /** Waits for a moment of this turn. */
  async #afterEvent(after: Moment, limitMs: number, signal: AbortSignal): Promise<boolean> {
    const came = await this.#until(() => this.#arrivals.has(after.event), limitMs, signal);
    if (came) await this.#options.clock.sleep(after.delayMs * 1000, signal);
    return came;
  }

  /** Waits until `condition` holds after something the board reported; false when time is up. */
  #until(condition: () => boolean, limitMs: number, signal: AbortSignal): Promise<boolean> {
    if (condition()) return Promise.resolve(true);
    return new Promise((resolve, reject) => {
      const settle = (action: () => void): void => {
        this.#listeners.delete(check);
        this.#deeds.delete(check);
        alarm.cancel();
        signal.removeEventListener('abort', abort);
        action();
      };
      const check = (): void => {
        if (condition()) settle(() => resolve(true));
      };
      const abort = (): void => settle(() => reject(signal.reason));
      const alarm = this.#options.clock.after(limitMs * 1000, () => settle(() => resolve(false)));
      this.#listeners.add(check);
      this.#deeds.add(check);
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
    });
  }
}

/** The board is told that its words are heard, leaves them, or forgets them because no text of them has come for 10 s. */
function isEndOfSubmitting(event: DeviceEvent): boolean {
  if (event.type === 'display') return event.text === 'Ready';
  return event.type === 'state' || event.type === 'reboot';
}
