/**
 * The main loop of the firmware (EchoKit device protocol reference, sections 3.3 and 5): one task
 * that takes one event after the other. Pure: it is given inputs and the time and answers with
 * effects; sockets, player and microphone are driven by whoever reads them.
 *
 * The task is written as a generator, so that a K0 press can wait for a connection and then for the
 * hello sound in the middle of its handling, as the firmware does, while the queues fill up.
 */
import type { DeviceEvent, DeviceKey, DeviceState } from './device-event.ts';
import type { DeviceProfile } from './device-profile.ts';
import type { PlayerMessage } from './player.ts';
import {
  type InstantAction,
  isInstant,
  type LastingAction,
  type MachineEventName,
  type Transition,
  transitionsOf,
} from './transition-table.ts';

const bytesPerSecond = 32_000;
/** The volume from which on samples are played as they are. */
const fullVolume = 5;

/** A message of the server as the socket task hands it to the main loop: audio is decoded. */
export type DownlinkEvent =
  | {
      readonly type:
        | 'HelloStart'
        | 'HelloEnd'
        | 'EndAudio'
        | 'EndVad'
        | 'EndResponse'
        | 'StartVideo'
        | 'EndVideo';
    }
  | { readonly type: 'HelloChunk'; readonly data: Uint8Array }
  | { readonly type: 'ASR'; readonly text: string }
  | { readonly type: 'Action'; readonly action: string }
  | { readonly type: 'StartAudio'; readonly text: string }
  | {
      readonly type: 'audio';
      /** The protocol's name of the event. */
      readonly event: string;
      readonly samples: Int16Array;
      readonly vowel: number;
    };

/** Where a message came from, as in {@link DeviceEvent}. */
export interface FrameOrigin {
  readonly connection: number;
  readonly frame: number;
}

export type MachineInput =
  | ({ readonly type: 'downlink'; readonly event: DownlinkEvent } & FrameOrigin)
  | { readonly type: 'micChunk'; readonly samples: Int16Array }
  | { readonly type: 'micEnd' }
  | { readonly type: 'key'; readonly key: DeviceKey; readonly press: 'short' | 'long' }
  /** Answers to the effect `connect`. */
  | { readonly type: 'connected'; readonly connection: number }
  | { readonly type: 'connectFailed'; readonly message: string }
  /** The socket task of a connection has ended. */
  | { readonly type: 'linkDown'; readonly connection: number }
  /** The socket has taken the message of the last effect `transmit`. */
  | { readonly type: 'transmitted' }
  /** The player popped or threw away an end marker. */
  | { readonly type: 'sentencePlayed' }
  | { readonly type: 'helloPlayed' };

export type UplinkMessage =
  | { readonly kind: 'startChat' }
  | { readonly kind: 'submit' }
  | { readonly kind: 'audio'; readonly samples: Int16Array; readonly capturedSamples: number };

type WithoutInstant<T> = T extends unknown ? Omit<T, 'atUs'> : never;
/** What the board reports, the instant left out: it is that of the call. */
export type DeviceReport = WithoutInstant<DeviceEvent>;

export type MachineEffect =
  | { readonly type: 'report'; readonly event: DeviceReport }
  /** Open a connection with `reconnect=true`; the answer is an input. */
  | { readonly type: 'connect'; readonly attempt: number }
  /** Forget the old connection without a close frame. */
  | { readonly type: 'dropConnection'; readonly connection: number }
  /** Close the connection with code 1000. */
  | { readonly type: 'closeConnection' }
  | { readonly type: 'transmit'; readonly message: UplinkMessage }
  | { readonly type: 'player'; readonly message: PlayerMessage }
  /** The sentence will get no end marker. */
  | { readonly type: 'abandonSentence'; readonly sentence: number }
  | { readonly type: 'closeGate' }
  /** The main loop has ended and the chip restarts. Nothing follows. */
  | { readonly type: 'reboot'; readonly cause: string };

/** Samples the main loop holds back or has thrown away itself. */
export interface MachineLedger {
  readonly heldSamples: number;
  readonly droppedHeldSamples: number;
}

/** What the task waits for. Whichever of the two is fulfilled first lets it go on. */
interface Wait {
  readonly ready?: () => boolean;
  readonly untilUs?: () => number;
}
type Task = Generator<Wait, void, void>;

type KeyEventName = 'k0Short' | 'k0Long' | 'volumeUp' | 'volumeDown';
type LocalEvent =
  | { readonly name: KeyEventName | 'micEnd' }
  | { readonly name: 'micChunk'; readonly samples: Int16Array };

interface Taken {
  readonly name: MachineEventName;
  readonly samples?: Int16Array;
  readonly downlink?: Extract<MachineInput, { type: 'downlink' }>;
}

export class DeviceMachine {
  readonly #profile: DeviceProfile;
  readonly #task: Task;
  #wait: Wait = { ready: () => true };
  #nowUs: number;
  #effects: MachineEffect[] = [];
  #rebooted = false;

  readonly #inbound: Extract<MachineInput, { type: 'downlink' }>[] = [];
  readonly #local: LocalEvent[] = [];
  readonly #outbound: UplinkMessage[] = [];
  #transmitting = false;
  #connection: number;
  #linkUp = true;
  #dialed: Extract<MachineInput, { type: 'connected' | 'connectFailed' }> | undefined;

  // The variables of section 5.1, in its order.
  #state: DeviceState = 'Idle';
  #capturedSamples = 0;
  #started = false;
  #gotAsr = false;
  #pending: Int16Array[] = [];
  #hold: Int16Array[] = [];
  #downloadRatio: number;
  #needCompute = true;
  #startFlag = false;
  #waitNotify = false;
  #helloDone = false;
  #allowInterrupt = false;
  #volume: number;

  /** Signal of end markers; remembered once when nobody waits. */
  #notified = false;
  #helloPlayed = false;
  #helloPieces: Uint8Array[] = [];
  #measureStartUs: number;
  #measuredBytes = 0;
  #sentence = 0;
  /** The last sentence has got no end marker. */
  #sentenceOpen = false;
  #droppedHeldSamples = 0;
  #lastEventUs: number;

  /** The board has booted and `connection` is open. */
  constructor(profile: DeviceProfile, connection: number, nowUs: number) {
    this.#profile = profile;
    this.#connection = connection;
    this.#nowUs = nowUs;
    this.#lastEventUs = nowUs;
    this.#measureStartUs = nowUs;
    this.#downloadRatio = profile.constants.downloadRatioAtBoot;
    this.#volume = profile.constants.volumeAtBoot;
    this.#task = this.#mainLoop();
  }

  get state(): DeviceState {
    return this.#state;
  }

  /** The queue of server events has room; otherwise the socket task must not read on. */
  get acceptsDownlink(): boolean {
    return this.#inbound.length < this.#profile.constants.inboundEvents;
  }

  ledger(): MachineLedger {
    return {
      heldSamples: this.#hold.reduce((sum, block) => sum + block.length, 0),
      droppedHeldSamples: this.#droppedHeldSamples,
    };
  }

  /**
   * Puts one input where the firmware would; {@link drain} lets the task react.
   *
   * @returns false when the queue it belongs to was full and it is lost
   */
  input(input: MachineInput): boolean {
    const { localEvents } = this.#profile.constants;
    switch (input.type) {
      case 'downlink':
        if (input.connection !== this.#connection || !this.acceptsDownlink) return false;
        this.#inbound.push(input);
        return true;
      case 'micChunk':
        if (this.#local.length >= localEvents) return false;
        this.#local.push({ name: 'micChunk', samples: input.samples });
        return true;
      case 'micEnd':
        if (this.#local.length >= localEvents) return false;
        this.#local.push({ name: 'micEnd' });
        return true;
      case 'key':
        if (this.#local.length >= localEvents) return false;
        this.#local.push({ name: keyEvent(input.key, input.press) });
        return true;
      case 'connected':
      case 'connectFailed':
        this.#dialed = input;
        return true;
      case 'linkDown':
        if (input.connection !== this.#connection) return false;
        this.#linkUp = false;
        this.#transmitting = false;
        this.#outbound.length = 0;
        return true;
      case 'transmitted':
        this.#transmitting = false;
        return true;
      case 'sentencePlayed':
        this.#notified = true;
        return true;
      case 'helloPlayed':
        this.#helloPlayed = true;
        return true;
    }
  }

  /** An event without consequence reached the main loop (a mouth shape): restarts the idle timer. */
  noteEvent(atUs: number): void {
    if (atUs > this.#lastEventUs) this.#lastEventUs = atUs;
  }

  /** Lets the task run at `nowUs` until it waits; returns what it did, in order. */
  drain(nowUs: number): MachineEffect[] {
    this.#nowUs = nowUs;
    while (!this.#rebooted && this.#mayRun()) {
      const step = this.#task.next();
      if (step.done === true) break;
      this.#wait = step.value;
      this.#transmit();
    }
    this.#transmit();
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** When {@link drain} must be called if no input comes before. */
  nextDeadlineUs(): number | undefined {
    return this.#rebooted ? undefined : this.#wait.untilUs?.();
  }

  #mayRun(): boolean {
    const { ready, untilUs } = this.#wait;
    return ready?.() === true || (untilUs !== undefined && this.#nowUs >= untilUs());
  }

  // ---- the task ----

  *#mainLoop(): Task {
    const transitions = transitionsOf(this.#profile.firmware);
    while (!this.#rebooted) {
      yield { ready: () => this.#somethingToTake(), untilUs: () => this.#idleDeadlineUs() };
      const taken = this.#take();
      this.#lastEventUs = this.#nowUs;
      const transition = transitions[taken.name][this.#state];
      const { action } = transition;
      if (isInstant(action)) this.#instantActions[action](taken);
      else yield* this.#lastingActions[action](taken, transition);
    }
  }

  #somethingToTake(): boolean {
    if (this.#local.length > 0) return true;
    return this.#waitNotify ? this.#notified : this.#inbound.length > 0;
  }

  #idleDeadlineUs(): number {
    return this.#lastEventUs + this.#profile.constants.idleUs;
  }

  /** The firmware's select picks at random among what is ready; local events go first here. */
  #take(): Taken {
    const local = this.#local.shift();
    if (local !== undefined) return local;
    if (this.#waitNotify && this.#notified) {
      this.#notified = false;
      return { name: 'sentencePlayed' };
    }
    const downlink = this.#waitNotify ? undefined : this.#inbound.shift();
    if (downlink === undefined) return { name: 'idleTimer' };
    const { event, connection, frame } = downlink;
    if (event.type !== 'audio') {
      this.#report({ type: 'frameHandled', connection, frame, event: event.type });
    }
    return { name: event.type, downlink };
  }

  readonly #instantActions: {
    readonly [Name in InstantAction]: (taken: Taken) => void;
  } = {
    logIdle: () => this.#info('Received idle event'),
    resumeServerEvents: () => {
      this.#info('Received notify event');
      this.#waitNotify = false;
    },
    rejectChunk: () => this.#rejectChunk(),
    logMicEnd: () => this.#info('Received MicAudioEnd'),
    takeAudio: (taken) => this.#takeAudio(taken),
    dropAudio: (taken) => this.#reportAudio(taken, 'dropped'),
    endSentence: () => this.#endSentence(),
    closeGate: () => this.#effect({ type: 'closeGate' }),
    helloStart: () => {
      this.#info('Received hello start');
      this.#helloPieces = [];
    },
    helloChunk: (taken) => {
      const event = taken.downlink!.event;
      if (event.type === 'HelloChunk' && !this.#helloDone) this.#helloPieces.push(event.data);
    },
    helloEnd: () => this.#acceptHello(),
    ignore: () => {},
  };

  readonly #lastingActions: {
    readonly [Name in LastingAction]: (taken: Taken, transition: Transition) => Task;
  } = {
    connect: (_taken, transition) => this.#connectByKey(transition),
    disconnect: (taken, transition) => this.#disconnect(taken, transition),
    toggleInterrupt: () => this.#toggleInterrupt(),
    volumeUp: () => this.#setVolume(Math.min(fullVolume, this.#volume + 1)),
    volumeDown: () => this.#setVolume(Math.max(1, this.#volume - 1)),
    submit: (_taken, transition) => this.#submit(transition),
    upload: (taken) => this.#upload(taken.samples!),
    interruptOrReject: (taken, transition) => this.#interruptOrReject(taken.samples!, transition),
    showRecognized: (taken) => this.#showRecognized(taken),
    showAction: (taken) => this.#showAction(taken),
    startSentence: (taken, transition) => this.#startSentence(taken, transition),
    endUtterance: (_taken, transition) => this.#endUtterance(transition),
    endResponse: (_taken, transition) => this.#endResponse(transition),
  };

  // ---- keys ----

  *#connectByKey(transition: Transition): Task {
    this.#info('Received event: k0');
    this.#effect({ type: 'closeGate' });
    yield* this.#redraw('Connecting...');
    yield* this.#reconnect();
    if (this.#rebooted) return;
    this.#helloPlayed = false;
    this.#toPlayer({ kind: 'hello', cause: 'k0' });
    this.#info('Waiting for hello response');
    yield { ready: () => this.#helloPlayed };
    this.#info('Hello response received');
    this.#clearUtterance('k0');
    this.#become(transition, 'k0');
    yield* this.#redraw('Ready');
  }

  /** Opens the new connection before the old one is dropped (section 5.3). */
  *#reconnect(): Task {
    const { reconnectTries, reconnectPauseUs } = this.#profile.constants;
    for (let attempt = 1; attempt <= reconnectTries; attempt++) {
      this.#dialed = undefined;
      this.#effect({ type: 'connect', attempt });
      yield { ready: () => this.#dialed !== undefined };
      const dialed = this.#dialed as MachineInput | undefined;
      if (dialed?.type === 'connected') {
        this.#effect({ type: 'dropConnection', connection: this.#connection });
        this.#connection = dialed.connection;
        this.#linkUp = true;
        this.#transmitting = false;
        this.#inbound.length = 0;
        this.#outbound.length = 0;
        return;
      }
      const message = dialed?.type === 'connectFailed' ? dialed.message : '';
      this.#log(
        'W',
        'echokit::ws',
        `Reconnect attempt ${attempt}/${reconnectTries} failed: ${message}`,
      );
      const untilUs = this.#nowUs + reconnectPauseUs;
      yield { untilUs: () => untilUs };
    }
    this.#reboot('All reconnect attempts failed');
  }

  *#disconnect(taken: Taken, transition: Transition): Task {
    const timer = taken.name === 'idleTimer';
    this.#info(timer ? 'Received idle event' : 'Received event: k0');
    this.#become(transition, timer ? 'idle timer' : 'k0');
    yield* this.#redraw('Idle');
    if (this.#linkUp) this.#effect({ type: 'closeConnection' });
  }

  *#toggleInterrupt(): Task {
    this.#allowInterrupt = !this.#allowInterrupt;
    this.#info(`Set allow_interrupt to ${this.#allowInterrupt}`);
    yield* this.#redraw(`Interrupt: ${this.#allowInterrupt}`);
  }

  *#setVolume(level: number): Task {
    this.#volume = level;
    const gainShift = Math.max(0, fullVolume - level);
    this.#info(`Volume set to ${level}`);
    this.#report({ type: 'volume', level, gainShift });
    this.#toPlayer({ kind: 'volume', gainShift });
    yield* this.#redraw(`Volume: ${level}`);
  }

  // ---- microphone ----

  #rejectChunk(): void {
    this.#info('Received MicAudioChunk while no Listening/Speaking state, ignoring');
    this.#effect({ type: 'closeGate' });
  }

  /** Section 3.3. */
  *#upload(samples: Int16Array): Task {
    const { uploadFrameSamples, uploadMinimumSamples, noAsrLimitSamples } = this.#profile.constants;
    this.#capture(samples);
    if (!this.#started) {
      this.#info('Start submitting audio');
      this.#started = true;
      yield* this.#redraw('Listening...');
      yield* this.#send({ kind: 'startChat' });
      if (this.#rebooted) return;
      this.#info('Submitted StartChat command');
    }
    if (
      this.#pendingSamples() < uploadFrameSamples ||
      this.#capturedSamples <= uploadMinimumSamples
    ) {
      return;
    }
    const frame = concatenate(this.#pending);
    this.#pending = [];
    yield* this.#send({ kind: 'audio', samples: frame, capturedSamples: this.#capturedSamples });
    if (this.#rebooted) return;
    if (this.#serverEndsUtterance && this.#capturedSamples > noAsrLimitSamples && !this.#gotAsr) {
      this.#info('No ASR result after 10s audio, ending request');
      this.#effect({ type: 'closeGate' });
      this.#clearUtterance('no ASR within 10 s');
      yield* this.#redraw('Ready');
    }
  }

  get #serverEndsUtterance(): boolean {
    return this.#profile.firmware.endOfUtterance === 'server';
  }

  /** The user has finished: the rest of the utterance and the command that ends it. */
  *#submit(transition: Transition): Task {
    this.#info('Received MicAudioEnd');
    if (!this.#started) return;
    const rest = concatenate(this.#pending);
    this.#pending = [];
    if (rest.length > 0) {
      yield* this.#send({ kind: 'audio', samples: rest, capturedSamples: this.#capturedSamples });
      if (this.#rebooted) return;
    }
    yield* this.#send({ kind: 'submit' });
    if (this.#rebooted) return;
    this.#clearUtterance('Submit');
    this.#become(transition, 'Submit');
    yield* this.#redraw('Waiting...');
  }

  /** Barge-in, section 5.6. */
  *#interruptOrReject(samples: Int16Array, transition: Transition): Task {
    if (!this.#allowInterrupt) {
      this.#rejectChunk();
      return;
    }
    this.#capture(samples);
    if (this.#capturedSamples <= this.#profile.constants.interruptSamples) return;
    this.#become(transition, 'barge-in');
    yield* this.#redraw('Listening...');
    yield* this.#reconnect();
    if (this.#rebooted) return;
    this.#started = true;
    this.#gotAsr = false;
    yield* this.#send({ kind: 'startChat' });
    if (this.#rebooted) return;
    this.#toPlayer({ kind: 'clear', cause: 'barge-in' });
  }

  #capture(samples: Int16Array): void {
    this.#capturedSamples += samples.length;
    this.#pending.push(samples);
  }

  #pendingSamples(): number {
    return this.#pending.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  #clearUtterance(cause: string): void {
    const samples = this.#pendingSamples();
    if (samples > 0) this.#report({ type: 'uploadDiscarded', samples, cause });
    this.#capturedSamples = 0;
    this.#started = false;
    this.#pending = [];
    this.#gotAsr = false;
  }

  // ---- server events ----

  *#showRecognized(taken: Taken): Task {
    const event = taken.downlink!.event;
    const text = event.type === 'ASR' ? event.text : '';
    this.#info(`Received ASR: ${debugString(text)}`);
    this.#gotAsr = true;
    yield* this.#redraw('ASR', text);
  }

  *#showAction(taken: Taken): Task {
    const event = taken.downlink!.event;
    this.#info('Received action');
    yield* this.#redraw(`Action: ${event.type === 'Action' ? event.action : ''}`);
  }

  *#startSentence(taken: Taken, transition: Transition): Task {
    const event = taken.downlink!.event;
    const text = event.type === 'StartAudio' ? event.text : '';
    this.#info(`Received audio start: ${debugString(text)}`);
    this.#abandonSentence();
    this.#sentence += 1;
    this.#sentenceOpen = true;
    this.#startFlag = true;
    this.#become(transition, 'StartAudio');
    yield* this.#redraw(`[${ratioText(this.#downloadRatio)}x]|Speaking...`, text);
    this.#toPlayer({ kind: 'start', sentence: this.#sentence });
  }

  /** Section 5.8. */
  #takeAudio(taken: Taken): void {
    const event = taken.downlink!.event;
    if (event.type !== 'audio') return;
    if (this.#needCompute) {
      if (this.#startFlag) {
        this.#measureStartUs = this.#nowUs;
        this.#measuredBytes = 0;
      }
      this.#measuredBytes += 2 * event.samples.length;
    }
    this.#startFlag = false;
    if (this.#downloadRatio >= 1) {
      this.#hold.push(event.samples);
      this.#reportAudio(taken, 'held');
      return;
    }
    this.#reportAudio(taken, 'played');
    this.#toPlayer({
      kind: 'audio',
      sentence: this.#sentence,
      samples: event.samples,
      vowel: event.vowel,
    });
  }

  #reportAudio(taken: Taken, disposition: 'played' | 'held' | 'dropped'): void {
    const { connection, frame, event } = taken.downlink!;
    if (event.type !== 'audio') return;
    this.#report({
      type: 'frameHandled',
      connection,
      frame,
      event: event.event,
      samples: event.samples.length,
      disposition,
    });
  }

  /** Section 5.4. */
  #endSentence(): void {
    this.#info('Received audio end');
    this.#startFlag = false;
    const sentence = this.#sentence;
    if (this.#hold.length > 0) {
      this.#toPlayer({ kind: 'audio', sentence, samples: concatenate(this.#hold) });
      this.#hold = [];
    }
    this.#toPlayer({ kind: 'end', sentence });
    this.#sentenceOpen = false;
    if (this.#needCompute) {
      const elapsedUs = this.#nowUs - this.#measureStartUs;
      this.#downloadRatio = (elapsedUs * bytesPerSecond) / (this.#measuredBytes * 1_000_000);
      this.#needCompute = false;
      const ratio = this.#downloadRatio;
      this.#report({ type: 'downloadRatio', ratio, buffered: ratio >= 1 });
    }
    this.#info(`Audio speed: ${ratioText(this.#downloadRatio)}x`);
    this.#waitNotify = true;
  }

  *#endUtterance(transition: Transition): Task {
    this.#info('Received EndVad event from server');
    this.#effect({ type: 'closeGate' });
    const ageSeconds = Math.floor((this.#nowUs - this.#measureStartUs) / 1_000_000);
    this.#needCompute = ageSeconds > this.#profile.constants.ratioAgeSeconds;
    this.#clearUtterance('EndVad');
    this.#waitNotify = false;
    this.#abandonSentence();
    this.#become(transition, 'EndVad');
    yield* this.#redraw('Waiting...');
  }

  *#endResponse(transition: Transition): Task {
    this.#info('Received request end');
    this.#effect({ type: 'closeGate' });
    this.#clearUtterance('EndResponse');
    const held = this.ledger().heldSamples;
    if (held > 0) {
      this.#hold = [];
      this.#droppedHeldSamples += held;
      this.#report({ type: 'playerCleared', samples: held, cause: 'EndResponse' });
    }
    this.#abandonSentence();
    this.#become(transition, 'EndResponse');
    yield* this.#redraw('Ready');
  }

  #acceptHello(): void {
    this.#info('Received hello end');
    if (this.#helloDone) return;
    this.#helloDone = true;
    this.#toPlayer({ kind: 'setHello', samples: helloSamples(this.#helloPieces) });
    this.#helloPieces = [];
  }

  /** The sentence that is being received will get no end marker any more. */
  #abandonSentence(): void {
    if (!this.#sentenceOpen) return;
    this.#sentenceOpen = false;
    this.#effect({ type: 'abandonSentence', sentence: this.#sentence });
  }

  // ---- means ----

  /** Hands a message to the socket task; a dead or stuck one ends the main loop (section 5.7). */
  *#send(message: UplinkMessage): Task {
    const { outboundMessages, sendTimeoutUs } = this.#profile.constants;
    const full = () => this.#linkUp && this.#outbound.length >= outboundMessages;
    if (full()) {
      const untilUs = this.#nowUs + sendTimeoutUs;
      yield { ready: () => !full(), untilUs: () => untilUs };
      if (full()) {
        this.#reboot('Timeout sending message');
        return;
      }
    }
    if (!this.#linkUp) {
      this.#reboot('Failed to send message');
      return;
    }
    this.#outbound.push(message);
  }

  #transmit(): void {
    if (this.#transmitting || !this.#linkUp || this.#rebooted) return;
    const message = this.#outbound.shift();
    if (message === undefined) return;
    this.#transmitting = true;
    this.#effect({ type: 'transmit', message });
  }

  /** The screen is rewritten; the one thread of the firmware does nothing else meanwhile. */
  *#redraw(...texts: string[]): Task {
    const untilUs = this.#nowUs + this.#profile.constants.redrawUs;
    yield { untilUs: () => untilUs };
    for (const text of texts) this.#report({ type: 'display', text });
  }

  #become(transition: Transition, cause: string): void {
    const to = transition.to ?? this.#state;
    if (to === this.#state) return;
    const from = this.#state;
    this.#state = to;
    this.#report({ type: 'state', from, to, cause });
  }

  #reboot(cause: string): void {
    this.#log('E', 'echokit', `Error: ${cause}`);
    this.#log('E', 'echokit', 'WebSocket task finished');
    this.#rebooted = true;
    this.#effect({ type: 'reboot', cause });
  }

  #toPlayer(message: PlayerMessage): void {
    this.#effect({ type: 'player', message });
  }

  #info(message: string): void {
    this.#log('I', 'echokit::app', message);
  }

  #log(level: 'E' | 'W' | 'I', tag: string, message: string): void {
    this.#report({ type: 'log', level, tag, message });
  }

  #report(event: DeviceReport): void {
    this.#effect({ type: 'report', event });
  }

  #effect(effect: MachineEffect): void {
    this.#effects.push(effect);
  }
}

function keyEvent(key: DeviceKey, press: 'short' | 'long'): KeyEventName {
  if (key === 'volume-up') return 'volumeUp';
  if (key === 'volume-down') return 'volumeDown';
  return press === 'long' ? 'k0Long' : 'k0Short';
}

/** Bytes of the hello file, header included, as little-endian samples; an odd last byte is lost. */
export function helloSamples(pieces: readonly Uint8Array[]): Int16Array {
  const bytes = Buffer.concat(pieces);
  const samples = new Int16Array(bytes.length >> 1);
  for (let i = 0; i < samples.length; i++) samples[i] = bytes.readInt16LE(2 * i);
  return samples;
}

function concatenate(blocks: readonly Int16Array[]): Int16Array {
  const joined = new Int16Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    joined.set(block, at);
    at += block.length;
  }
  return joined;
}

/** As the firmware prints it with two decimals. */
function ratioText(ratio: number): string {
  return Number.isFinite(ratio) ? ratio.toFixed(2) : 'inf';
}

/** A text as Rust prints it for debugging: quoted, with escapes. */
export function debugString(text: string): string {
  const escaped = text
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
    .replaceAll('\t', '\\t')
    .replaceAll('\0', '\\0');
  return `"${escaped}"`;
}
