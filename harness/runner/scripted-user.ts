import type { Alarm, Clock } from '../clock/clock.ts';
import type { DeviceEvent } from '../device/device-event.ts';
import type { Disturbance, Scenario, Turn } from '../scenario/scenario.ts';
import type { UnnumberedEvent } from '../trace/recording-writer.ts';
import type { BoardInHand, ConversationNetwork } from './board-in-hand.ts';

export interface ScriptedUserOptions {
  readonly scenario: Scenario;
  readonly clock: Clock;
  readonly board: BoardInHand;
  readonly network: ConversationNetwork;
  /** Name of the network of the cell, which a change goes back to. */
  readonly networkName: string;
  /** 16 kHz mono. */
  readonly clip: (turn: Turn) => Int16Array;
  /** Appends to `user.wav`; returns the index of the first sample. */
  readonly recordClip: (samples: Int16Array) => number;
  readonly record: (event: UnnumberedEvent) => void;
}

/** How long the user waits for the board to get ready to listen. */
const readyLimitMs = 30_000;

/**
 * The person in the scenario: presses K0, waits until the board listens, speaks, waits for the end
 * of the answer, and disturbs the network when the script says so. Everything the board reports
 * must be handed to {@link hearOf}.
 */
export class ScriptedUser {
  readonly #options: ScriptedUserOptions;
  readonly #listeners = new Set<(event: DeviceEvent) => void>();
  /** Instant of the first arrival of each server event in the current turn. */
  #arrivals = new Map<string, number>();
  #turn = 0;
  /** The board has restarted and was not told to listen since. */
  #restarted = false;
  #running = false;
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
    for (const listener of [...this.#listeners]) listener(event);
  }

  /** Plays the whole scenario. Rejects with the signal's reason when it aborts. */
  async converse(signal: AbortSignal): Promise<void> {
    const { scenario, board, clock } = this.#options;
    // Speaking over an answer only works when the board is told to listen for it.
    const speaksOver = scenario.turns.some((turn) => turn.after !== undefined);
    if (scenario.device.allowInterrupt ?? speaksOver) {
      await this.#press('long', signal);
      await clock.sleep(1_500_000, signal);
    }
    await this.#press('short', signal);
    await this.#until(() => board.state === 'Listening', readyLimitMs, signal);
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
      return outcome !== 'timeout';
    };

    if (this.#restarted && (await this.#until(() => this.#running, readyLimitMs, signal))) {
      this.#restarted = false;
      await this.#press('short', signal);
    }
    if (turn.after === undefined) {
      const ready = await this.#until(() => board.state === 'Listening', readyLimitMs, signal);
      await clock.sleep(turn.pauseMs * 1000, signal);
      this.#begin(turn);
      if (!ready) return finish('timeout', `the board was ${board.state} and not Listening`);
    } else {
      const heard = await this.#afterEvent(turn.after, turn.timeoutMs, signal);
      this.#begin(turn);
      if (!heard) return finish('timeout', `${turn.after.event} never came`);
    }

    let rebooted: string | undefined;
    let answered = false;
    const watch = (event: DeviceEvent): void => {
      if (event.type === 'reboot') rebooted = event.cause;
      if (event.type === 'frameHandled' && event.event === 'EndResponse') answered = true;
    };
    this.#listeners.add(watch);
    const disturbing = new AbortController();
    try {
      this.#scheduleDisturbances(turn, AbortSignal.any([signal, disturbing.signal]));
      await this.#speak(turn, signal);
      if (next?.after !== undefined) {
        const heard = await this.#afterEvent(next.after, turn.timeoutMs, signal);
        return heard ? finish('interrupted') : finish('timeout', `${next.after.event} never came`);
      }
      const over = (): boolean => rebooted !== undefined || answered;
      const inTime = await this.#until(over, turn.timeoutMs, signal);
      if (rebooted !== undefined) return finish('reboot', rebooted);
      if (!inTime) {
        return finish(
          'timeout',
          `no EndResponse within ${turn.timeoutMs} ms; the board is ${board.state}`,
        );
      }
      return finish('finished');
    } finally {
      disturbing.abort(new Error('The turn is over.'));
      this.#listeners.delete(watch);
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
      (startUs) =>
        record({
          source: 'user',
          type: 'speechStart',
          atUs: startUs,
          turn: turn.number,
          text: turn.heard,
          userOffset: recordClip(samples),
          samples: samples.length,
        }),
      { turn, signal },
    );
    record({ source: 'user', type: 'speechStop', atUs: stopUs, turn: turn.number });
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

  #disturb(disturbance: Disturbance, turn: number): void {
    const { clock, network, networkName, record } = this.#options;
    const atUs = clock.nowUs();
    switch (disturbance.kind) {
      case 'drop':
        network.disturb({ kind: 'drop' });
        record({ source: 'network', type: 'drop', atUs, turn });
        break;
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
    const pressed = board.press(press, signal);
    if (pressed !== undefined) await pressed;
  }

  /** Waits for the first arrival of a server event in this turn, plus the delay. */
  async #afterEvent(
    after: { readonly event: string; readonly delayMs: number },
    limitMs: number,
    signal: AbortSignal,
  ): Promise<boolean> {
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
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
    });
  }
}
