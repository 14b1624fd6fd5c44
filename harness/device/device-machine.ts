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
import { type DeviceTraits, traitsWithout } from './quirk.ts';
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
/** Limits that the firmware does not have (quirks Q40, Q41 and Q12 off), chosen. */
export const handshakeLimitUs = 10_000_000;
const answerLimitUs = 30_000_000;
const closeLimitUs = 1_000_000;

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
  /** `speech`: the front end says that this chunk is speech. */
  | {
      readonly type: 'micChunk';
      readonly samples: Int16Array;
      readonly speech: boolean;
      readonly seen?: SeenUplink;
    }
  | { readonly type: 'micEnd' }
  /** A mouth shape left the player. */
  | { readonly type: 'vowel'; readonly vowel: number }
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

/**
 * The chunk was not heard here: another board, which this one follows, was seen to send it, or to interrupt
 * the answer. What that one has decided is not decided again.
 */
export type SeenUplink = 'sent' | 'interrupted';

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
  | { readonly type: 'openGate' }
  /** Only when somebody looks on. */
  | { readonly type: 'taken'; readonly taken: TakenEvent }
  /** The main loop has ended and the chip restarts. Nothing follows. */
  | { readonly type: 'reboot'; readonly cause: string };

/** One event as the main loop takes it: for whoever checks the board from outside. */
export interface TakenEvent {
  readonly event: MachineEventName;
  /** The state that it meets. */
  readonly state: DeviceState;
  /** Lengths of the three queues of section 6.1 just before, this event included. */
  readonly waiting: { readonly server: number; readonly local: number; readonly socket: number };
}

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
type Task<Result = void> = Generator<Wait, Result, void>;

type KeyEventName = 'k0Short' | 'k0Long' | 'volumeUp' | 'volumeDown';
type LocalEvent =
  | { readonly name: KeyEventName | 'micEnd' | 'vowel' }
  | {
      readonly name: 'micChunk';
      readonly samples: Int16Array;
      readonly speech: boolean;
      readonly seen?: SeenUplink;
    };

interface Taken {
  readonly name: MachineEventName;
  readonly samples?: Int16Array;
  readonly speech?: boolean;
  readonly seen?: SeenUplink;
  readonly downlink?: Extract<MachineInput, { type: 'downlink' }>;
}

export class DeviceMachine {
  readonly #profile: DeviceProfile;
  readonly #traits: DeviceTraits;
  readonly #task: Task;
  #wait: Wait = { ready: () => true };
  #nowUs: number;
  #effects: MachineEffect[] = [];
  #rebooted = false;

  readonly #inbound: Extract<MachineInput, { type: 'downlink' }>[] = [];
  readonly #local: LocalEvent[] = [];
  /** Keys and ends of speech that found the queue full: whoever sends them waits for room (6.1). */
  readonly #waitingForRoom: LocalEvent[] = [];
  readonly #outbound: UplinkMessage[] = [];
  #transmitting = false;
  #connection: number;
  #linkUp = true;
  /** Quirk Q6 off: the loss of the connection is an event. */
  #linkLost = false;
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
  /** End markers in the player (quirk Q16 off, where the next sentence does not wait for them). */
  #undrained = 0;
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
  #idleSinceUs: number;
  #waitingSinceUs = 0;
  /** Unbroken speech until now (quirk Q15 off). */
  #voicedSamples = 0;
  #rejectionLogged = false;
  readonly #watched: boolean;

  /**
   * The board has booted and `connection` is open.
   *
   * @param watched with an effect `taken` for every event that the task takes
   */
  constructor(profile: DeviceProfile, connection: number, nowUs: number, watched = false) {
    this.#profile = profile;
    this.#watched = watched;
    this.#traits = traitsWithout(profile.quirksOff);
    this.#connection = connection;
    this.#nowUs = nowUs;
    this.#idleSinceUs = nowUs;
    this.#measureStartUs = nowUs;
    this.#downloadRatio = profile.constants.downloadRatioAtBoot;
    this.#volume = this.#traits.volumeCounterIsWrong ? profile.constants.volumeAtBoot : fullVolume;
    this.#task = this.#mainLoop();
  }

  get state(): DeviceState {
    return this.#state;
  }

  /** The queue of server events has room; otherwise the socket task must not read on. */
  get acceptsDownlink(): boolean {
    if (!this.#traits.socketWaitsForMainLoop) return true;
    return this.#inbound.length < this.#profile.constants.inboundEvents;
  }

  /** Room in the queue of local events: keys, microphone, mouth shapes. */
  get freeLocalEvents(): number {
    return this.#profile.constants.localEvents - this.#local.length;
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
   * @returns false when the queue it belongs to was full and it is lost; a key and the end of speech
   *   are never lost, they wait for room
   */
  input(input: MachineInput): boolean {
    switch (input.type) {
      case 'downlink':
        if (input.connection !== this.#connection || !this.acceptsDownlink) return false;
        this.#inbound.push(input);
        return true;
      case 'micChunk':
        return this.#queueLocal({
          name: 'micChunk',
          samples: input.samples,
          speech: input.speech,
          ...(input.seen === undefined ? {} : { seen: input.seen }),
        });
      case 'vowel':
        return this.#queueLocal({ name: 'vowel' });
      case 'micEnd':
        return this.#queueOrWait({ name: 'micEnd' });
      case 'key':
        return this.#queueOrWait({ name: keyEvent(input.key, input.press) });
      case 'connected':
      case 'connectFailed':
        this.#dialed = input;
        return true;
      case 'linkDown':
        if (input.connection !== this.#connection) return false;
        this.#linkUp = false;
        this.#linkLost = !this.#traits.missesLostConnection;
        this.#transmitting = false;
        this.#outbound.length = 0;
        return true;
      case 'transmitted':
        this.#transmitting = false;
        return true;
      case 'sentencePlayed':
        this.#notified = true;
        this.#undrained = Math.max(0, this.#undrained - 1);
        return true;
      case 'helloPlayed':
        this.#helloPlayed = true;
        return true;
    }
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

  #queueLocal(event: LocalEvent): boolean {
    if (this.freeLocalEvents <= 0) return false;
    this.#local.push(event);
    return true;
  }

  #queueOrWait(event: LocalEvent): true {
    if (!this.#queueLocal(event)) this.#waitingForRoom.push(event);
    return true;
  }

  #mayRun(): boolean {
    const { ready, untilUs } = this.#wait;
    return ready?.() === true || (untilUs !== undefined && this.#nowUs >= untilUs());
  }

  // ---- the task ----

  *#mainLoop(): Task {
    const transitions = transitionsOf(this.#profile.firmware);
    while (!this.#rebooted) {
      yield { ready: () => this.#somethingToTake(), untilUs: () => this.#timerUs() };
      const waiting = {
        server: this.#inbound.length,
        local: this.#local.length,
        socket: this.#outbound.length,
      };
      const effects = this.#effects.length;
      const taken = this.#take();
      if (this.#watched) {
        const watched = { event: taken.name, state: this.#state, waiting };
        // Before what is reported of the taking.
        this.#effects.splice(effects, 0, { type: 'taken', taken: watched });
      }
      const transition = transitions[taken.name][this.#state];
      const { action } = transition;
      if (isInstant(action)) this.#instantActions[action](taken);
      else yield* this.#lastingActions[action](taken, transition);
      // The idle timer runs while the task waits: a handshake or a hello of minutes is no idleness.
      this.#idleSinceUs = this.#nowUs;
    }
  }

  #somethingToTake(): boolean {
    if (this.#local.length > 0 || this.#linkLost) return true;
    return (this.#waitNotify && this.#notified) || this.#readsServer();
  }

  /** Whether the next server event, if there is one, is taken. */
  #readsServer(): boolean {
    if (this.#waitNotify) return false;
    const next = this.#inbound[0]?.event.type;
    return next !== undefined && !(next === 'EndResponse' && this.#undrained > 0);
  }

  #timerUs(): number {
    return Math.min(
      this.#idleSinceUs + this.#profile.constants.idleUs,
      this.#answerDeadlineUs() ?? Number.POSITIVE_INFINITY,
    );
  }

  /** Quirk Q41 off: when waiting for an answer is given up. */
  #answerDeadlineUs(): number | undefined {
    if (this.#traits.waitsForAnswerForEver || this.#state !== 'Waiting') return undefined;
    return this.#waitingSinceUs + answerLimitUs;
  }

  /** The firmware's select picks at random among what is ready; local events go first here. */
  #take(): Taken {
    const local = this.#local.shift();
    if (local !== undefined) {
      if (this.#waitingForRoom.length > 0) this.#local.push(this.#waitingForRoom.shift()!);
      const shown = selectedNames[local.name];
      if (shown !== undefined) this.#info(`[Select] Received ${shown}`);
      return local;
    }
    if (this.#linkLost) {
      this.#linkLost = false;
      return { name: 'linkLost' };
    }
    if (this.#waitNotify && this.#notified) {
      this.#notified = false;
      return { name: 'sentencePlayed' };
    }
    const downlink = this.#readsServer() ? this.#inbound.shift() : undefined;
    if (downlink === undefined) {
      const overdue = this.#nowUs >= (this.#answerDeadlineUs() ?? Number.POSITIVE_INFINITY);
      return { name: overdue ? 'answerTimer' : 'idleTimer' };
    }
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
    rejectChunk: (taken) => this.#rejectChunk(taken),
    logMicEnd: () => this.#info('Received MicAudioEnd'),
    takeAudio: (taken) => this.#takeAudio(taken),
    dropAudio: (taken) => this.#reportAudio(taken, 'dropped'),
    endSentence: () => this.#endSentence(),
    closeGate: () => this.#effect({ type: 'closeGate' }),
    unreachable: () => {
      throw new Error('This event exists on boards with NFC only.');
    },
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
    interruptOrReject: (taken, transition) => this.#interruptOrReject(taken, transition),
    showMouth: () => this.#showMouth(),
    noticeLoss: (_taken, transition) => this.#endSession('connection lost', transition),
    giveUpAnswer: (_taken, transition) => this.#giveUpAnswer(transition),
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
    if (!(yield* this.#reconnect('k0'))) return;
    this.#helloPlayed = false;
    this.#undrained = 0;
    this.#toPlayer({ kind: 'hello', cause: 'k0' });
    this.#info('Waiting for hello response');
    yield { ready: () => this.#helloPlayed, ...this.#patience() };
    this.#info('Hello response received');
    this.#clearUtterance('k0');
    if (!this.#traits.hearsDuringHello) this.#forgetHeard();
    this.#become(transition, 'k0');
    yield* this.#redraw('Ready');
  }

  /** Quirk Q40 off: the wait has a limit. */
  #patience(): Pick<Wait, 'untilUs'> {
    if (this.#traits.waitsForEver) return {};
    const untilUs = this.#nowUs + handshakeLimitUs;
    return { untilUs: () => untilUs };
  }

  /** Quirk Q25 off: what the microphone heard meanwhile is thrown away. */
  #forgetHeard(): void {
    this.#effect({ type: 'closeGate' });
    let samples = 0;
    const kept: LocalEvent[] = [];
    for (const event of [...this.#local, ...this.#waitingForRoom.splice(0)]) {
      if (event.name === 'micChunk') samples += event.samples.length;
      else if (event.name !== 'micEnd') kept.push(event);
    }
    this.#local.length = 0;
    for (const event of kept) this.#queueOrWait(event);
    if (samples > 0) this.#report({ type: 'uploadDiscarded', samples, cause: 'hello' });
  }

  /**
   * Opens the new connection before the old one is dropped (section 5.3).
   *
   * @returns false when there is none; the board has then restarted or gone to Idle
   */
  *#reconnect(cause: string): Task<boolean> {
    const { reconnectTries, reconnectPauseUs } = this.#profile.constants;
    if (!this.#traits.dropsAfterReplacing && this.#linkUp) {
      this.#effect({ type: 'closeConnection' });
      const untilUs = this.#nowUs + closeLimitUs;
      yield { ready: () => !this.#linkUp, untilUs: () => untilUs };
    }
    for (let attempt = 1; attempt <= reconnectTries; attempt++) {
      this.#dialed = undefined;
      this.#effect({ type: 'connect', attempt });
      yield { ready: () => this.#dialed !== undefined };
      const dialed = this.#dialed as MachineInput | undefined;
      if (dialed?.type === 'connected') {
        this.#effect({ type: 'dropConnection', connection: this.#connection });
        this.#connection = dialed.connection;
        this.#linkUp = true;
        this.#linkLost = false;
        this.#transmitting = false;
        this.#inbound.length = 0;
        this.#outbound.length = 0;
        if (!this.#traits.holdOutlivesInterruption) this.#dropHold(cause);
        return true;
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
    const failure = 'All reconnect attempts failed';
    if (this.#traits.failedTriesReboot) this.#reboot(failure);
    else yield* this.#endSession(failure, { to: 'Idle' });
    return false;
  }

  *#disconnect(taken: Taken, transition: Transition): Task {
    const timer = taken.name === 'idleTimer';
    this.#info(timer ? 'Received idle event' : 'Received event: k0');
    this.#become(transition, timer ? 'idle timer' : 'k0');
    yield* this.#redraw('Idle');
    if (this.#linkUp) this.#effect({ type: 'closeConnection' });
  }

  /** Quirks Q6 and Q7 off: without a connection the board is Idle. */
  *#endSession(cause: string, transition: Pick<Transition, 'to'>): Task {
    this.#effect({ type: 'closeGate' });
    this.#clearUtterance(cause);
    this.#become(transition, cause);
    yield* this.#redraw('Idle');
  }

  /** Quirk Q41 off. */
  *#giveUpAnswer(transition: Transition): Task {
    this.#effect({ type: 'closeGate' });
    this.#clearUtterance('no answer');
    this.#become(transition, 'no answer');
    yield* this.#redraw('Ready');
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

  #rejectChunk({ seen }: Taken): void {
    // The board that is followed sent it before it took the event that changed the state here.
    if (seen !== undefined) return;
    if (this.#traits.logsEveryRejectedChunk || !this.#rejectionLogged) {
      this.#info('Received MicAudioChunk while no Listening/Speaking state, ignoring');
    }
    this.#rejectionLogged = true;
    this.#effect({ type: 'closeGate' });
  }

  /** Section 3.3. */
  *#upload(samples: Int16Array): Task {
    const { uploadFrameSamples, uploadMinimumSamples, noAsrLimitSamples } = this.#profile.constants;
    this.#capture(samples);
    this.#rejectionLogged = false;
    if (!this.#started) {
      this.#info('Start submitting audio');
      this.#started = true;
      if (!this.#traits.speechOutlastsGate) this.#effect({ type: 'openGate' });
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
    const limited = this.#serverEndsUtterance && this.#traits.givesUpWithoutRecognition;
    if (limited && this.#capturedSamples > noAsrLimitSamples && !this.#gotAsr) {
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
  *#interruptOrReject(taken: Taken, transition: Transition): Task {
    const samples = taken.samples!;
    if (taken.seen !== 'interrupted') {
      if (!this.#allowInterrupt || taken.seen !== undefined) {
        this.#rejectChunk(taken);
        return;
      }
      this.#capture(samples);
      this.#voicedSamples = taken.speech === true ? this.#voicedSamples + samples.length : 0;
      const counted = this.#traits.anyOnsetInterrupts ? this.#capturedSamples : this.#voicedSamples;
      if (counted <= this.#profile.constants.interruptSamples) return;
    }
    this.#become(transition, 'barge-in');
    yield* this.#redraw('Listening...');
    if (!(yield* this.#reconnect('barge-in'))) return;
    this.#undrained = 0;
    this.#voicedSamples = 0;
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
    if (this.#buffers()) {
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

  #buffers(): boolean {
    return this.#downloadRatio >= 1 && this.#traits.holdsSlowDownloads;
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
      this.#report({ type: 'downloadRatio', ratio, buffered: this.#buffers() });
    }
    this.#info(`Audio speed: ${ratioText(this.#downloadRatio)}x`);
    if (this.#traits.waitsForDrain) this.#waitNotify = true;
    else this.#undrained += 1;
  }

  *#endUtterance(transition: Transition): Task {
    this.#info('Received EndVad event from server');
    this.#effect({ type: 'closeGate' });
    const ageSeconds = Math.floor((this.#nowUs - this.#measureStartUs) / 1_000_000);
    this.#needCompute = ageSeconds > this.#profile.constants.ratioAgeSeconds;
    this.#clearUtterance('EndVad');
    this.#waitNotify = false;
    this.#abandonSentence();
    this.#silence('EndVad');
    this.#become(transition, 'EndVad');
    yield* this.#redraw('Waiting...');
  }

  *#endResponse(transition: Transition): Task {
    this.#info('Received request end');
    this.#effect({ type: 'closeGate' });
    this.#clearUtterance('EndResponse');
    this.#dropHold('EndResponse');
    this.#abandonSentence();
    this.#silence('EndResponse');
    this.#become(transition, 'EndResponse');
    yield* this.#redraw('Ready');
  }

  #dropHold(cause: string): void {
    const held = this.ledger().heldSamples;
    if (held === 0) return;
    this.#hold = [];
    this.#droppedHeldSamples += held;
    this.#report({ type: 'playerCleared', samples: held, cause });
  }

  /** Quirk Q19 off: the end of an answer ends its sound. */
  #silence(cause: string): void {
    if (this.#traits.endsLeaveQueue) return;
    this.#undrained = 0;
    this.#toPlayer({ kind: 'clear', cause });
  }

  /** A mouth shape changes the picture where there is one (section 4.5). */
  *#showMouth(): Task {
    if (this.#profile.avatar) yield* this.#redraw();
  }

  #acceptHello(): void {
    this.#info('Received hello end');
    if (this.#helloDone) return;
    this.#helloDone = true;
    const { playsHelloHeader } = this.#traits;
    this.#toPlayer({
      kind: 'setHello',
      samples: helloSamples(this.#helloPieces, playsHelloHeader),
    });
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
      // The loss waits in the queue of events where it is noticed (quirk Q6 off).
      if (this.#traits.missesLostConnection) this.#reboot('Failed to send message');
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

  #become(transition: Pick<Transition, 'to'>, cause: string): void {
    const to = transition.to ?? this.#state;
    if (to === this.#state) return;
    const from = this.#state;
    this.#state = to;
    if (to === 'Waiting') this.#waitingSinceUs = this.#nowUs;
    // Quirk Q6 off: it was lost in a state that takes no notice.
    if (to === 'Listening' && !this.#linkUp) this.#linkLost = !this.#traits.missesLostConnection;
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

/** What the console says of an event of the local queue when the main loop takes it (8.4). */
const selectedNames: { readonly [Name in LocalEvent['name']]?: string } = {
  k0Short: 'event: Event("k0")',
  k0Long: 'event: Event("k0_")',
  volumeUp: 'event: Event("vol_up")',
  volumeDown: 'event: Event("vol_down")',
  micEnd: 'MicAudioEnd',
};

function keyEvent(key: DeviceKey, press: 'short' | 'long'): KeyEventName {
  if (key === 'volume-up') return 'volumeUp';
  if (key === 'volume-down') return 'volumeDown';
  return press === 'long' ? 'k0Long' : 'k0Short';
}

/**
 * Bytes of the hello file as little-endian samples; an odd last byte is lost.
 *
 * @param header false: what comes before the sound in a WAV file is left out
 */
export function helloSamples(pieces: readonly Uint8Array[], header = true): Int16Array {
  const file = Buffer.concat(pieces);
  const bytes = header ? file : file.subarray(soundStart(file));
  const samples = new Int16Array(bytes.length >> 1);
  for (let i = 0; i < samples.length; i++) samples[i] = bytes.readInt16LE(2 * i);
  return samples;
}

/** Where the bytes of the `data` chunk of a WAV file begin; 0 when it is none. */
function soundStart(file: Buffer): number {
  if (file.toString('latin1', 0, 4) !== 'RIFF' || file.toString('latin1', 8, 12) !== 'WAVE')
    return 0;
  for (let at = 12; at + 8 <= file.length; ) {
    if (file.toString('latin1', at, at + 4) === 'data') return at + 8;
    const size = file.readUInt32LE(at + 4);
    at += 8 + size + (size % 2);
  }
  return 0;
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
