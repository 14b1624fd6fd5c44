/**
 * A real board as the board of a conversation: its console is read, it is reset and pressed through the lines of
 * its port or by a person, spoken to through the air, and followed by its shadow. What the board does wrong is
 * told apart from what is tested on it.
 */
import type { Duplex } from 'node:stream';
import type { Alarm, Clock } from '../clock/clock.ts';
import type { DeviceEvent, DeviceState } from '../device/device-event.ts';
import type { DeviceProfile } from '../device/device-profile.ts';
import { findAudible } from '../metrics/audibility.ts';
import type { LaboratoryNetwork, LinkDisturbance } from '../network/laboratory-network.ts';
import type { Dialer, Endpoint } from '../network/network.ts';
import type { Opus } from '../opus/opus-codec.ts';
import type { Random } from '../random/random.ts';
import type { BoardPort } from '../serial/board-port.ts';
import { ConsoleReader, type ReadLine } from '../serial/console-reader.ts';
import { type BoardWiring, pressK0 } from '../serial/key-press.ts';
import { linkLimitUs, noLink } from '../serial/link-absence.ts';
import { resetBoard } from '../serial/reset-run.ts';
import type { ResetStrategy } from '../serial/reset-strategy.ts';
import { SerialError } from '../serial/serial-error.ts';
import type { StoryEvent } from '../serial/story-event.ts';
import { explainStory } from '../serial/story-text.ts';
import type { UnnumberedEvent } from '../trace/recording-writer.ts';
import type { SuddenFaultName } from '../virtual-board/fault.ts';
import type { VoiceDetection } from '../voice-detection/voice-detection.ts';
import type { BoardInHand, Speaking } from './board-in-hand.ts';
import { BoardRunError, type BoardRunErrorCode } from './board-run-error.ts';
import { type LinkEquipment, LinkedBoard } from './linked-board.ts';
import type { RoomRecorder } from './room-capture.ts';
import { ShadowBoard } from './shadow-board.ts';
import { SpeakerTap } from './speaker-tap.ts';
import { ConnectionTap, type TapObserver, type TappedConnection } from './tapped-connection.ts';
import { personsVoice, type VoicePath } from './voice-path.ts';

/** A board and what there is to use it with. */
export interface BoardEquipment {
  /** As the user calls it; for messages and the recording. */
  readonly name: string;
  /**
   * Opens its port, also again after it has vanished and returned, maybe under another name.
   *
   * @throws {SerialError} when it is not there
   */
  openPort(): Promise<BoardPort>;
  /** How the cable gets to the chip. Absent: unknown, and K0 is pressed by hand. */
  readonly wiring?: BoardWiring | undefined;
  /** Its firmware has the serial link: server, keys and microphone are reached through the cable. Absent: Wi-Fi. */
  readonly link?: LinkEquipment | undefined;
  /** How it is reset into its application. Absent: it runs already, or a person resets it. */
  readonly reset?: ResetStrategy | undefined;
  /** Absent: a person speaks. */
  readonly voice?: VoicePath | undefined;
  /** Records the room that the board is in. Absent: nothing does. */
  readonly room?: RoomRecorder | undefined;
  /** Asks the person at the board for something. */
  ask(text: string): void;
  /** Tells that person what becomes of the board: a clause without a period. */
  tell(text: string): void;
  /** Where our server listens. Absent: where the board says that it connects to. */
  readonly serverAddress?: Endpoint | undefined;
  /** Makes a virtual board break down. Absent: a real one does as it likes. */
  suffer?(failure: SuddenFaultName): void;
  /** Addresses of this machine. */
  readonly ownAddresses: readonly string[];
  /** The board that must be at the other end: its Wi-Fi station, 12 lower-case hex digits. */
  readonly mac?: string | undefined;
}

/** A board for each conversation, on the clock and, where it is virtual, the network of that one. */
export type BoardSource = (means: {
  readonly clock: Clock;
  readonly network: LaboratoryNetwork;
}) => BoardEquipment;

export interface BoardOnCableOptions {
  readonly equipment: BoardEquipment;
  /** The model of its shadow. */
  readonly profile: DeviceProfile;
  readonly clock: Clock;
  readonly random: Random;
  readonly opus: Opus;
  readonly voiceDetection: VoiceDetection;
  /** Reaches our server, for a board on a serial link. */
  readonly dialer: Dialer;
  /** What its console may print and nobody may read. */
  readonly secrets?: readonly string[] | undefined;
  record(event: UnnumberedEvent): void;
  /** What the shadow says of the board. */
  observe(event: DeviceEvent): void;
}

/** Estimates, but for those of the pitfalls catalogue, group R. */
export const boardLimits = {
  /** From the reset to the line that names the server. */
  serverLineUs: 8_000_000,
  /** From the reset to the connection: 15 s each for the association and for DHCP (appendix A), and the boot. */
  connectUs: 40_000_000,
  /** From the connection to the line that the main loop runs, also for boards that do not print it. */
  settleUs: 1_000_000,
  /** R05: a port that is not back by then does not come back. */
  returnUs: 10_000_000,
  returnStepUs: 200_000,
  /** A press of K0 shows itself at once; three tries to connect and their pauses are well below this. */
  keyUs: 10_000_000,
  personUs: 60_000_000,
  /** A person is asked again after it. */
  remindUs: 15_000_000,
  /** From the last word to the first sound from the board; its frames are half a second long. */
  hearUs: 5_000_000,
} as const;

/** What the board does, for the person who looks on. */
const stateWords: Readonly<Record<DeviceState, string>> = {
  Idle: 'idle',
  Listening: 'listening',
  Waiting: 'has heard; waits for the answer',
  Speaking: 'answering',
};

/** Interruption by voice leaves no trace in the traffic; a person has done what was asked after this. */
const silentToggleUs = 4_000_000;

export class BoardOnCable implements BoardInHand {
  readonly #options: BoardOnCableOptions;
  readonly #reader: ConsoleReader;
  readonly #tap: ConnectionTap;
  readonly #link: LinkedBoard | undefined;
  /** Absent: its volume keys cannot be reached. */
  readonly turnVolume?: (key: 'volume-up' | 'volume-down') => void;
  readonly #trouble = new AbortController();
  readonly #watchers = new Set<() => void>();
  #speakerTap: SpeakerTap | undefined;
  #port: BoardPort | undefined;
  #shadow: ShadowBoard | undefined;
  #voicePath: VoicePath | undefined;
  #storedUrl: string | undefined;
  #closed = false;
  #resetDone = false;
  /** The console prints what the main loop does. */
  #consoleTells = false;
  #interruptAllowed = false;
  /** A crash was told, and the boot behind it not yet. */
  #crashTold = false;
  #keysTaken = 0;
  #connections = 0;
  /** Of a board that runs: by K0 or by an interruption, not by a boot. */
  #reconnections = 0;
  #restarts = 0;
  #toggles = 0;
  /** Somebody made trouble for the connections, as the scenario wanted. */
  #disturbances = 0;
  /** What the microphone has heard of the words that are being said; its instants are the board's. */
  #voice: { readonly firstUs: number; readonly lastUs: number } | undefined;
  /** Samples of the uplink since the words began, with a voice in them or without. */
  #uplinkSamples = 0;
  #utterancesOver = 0;
  /** K0 was pressed, and nothing has come of it yet. */
  #awaitedKey: Alarm | undefined;
  /** Words were said, and nothing has been heard of them yet. */
  #awaitedVoice: Alarm | undefined;

  constructor(options: BoardOnCableOptions) {
    const { equipment } = options;
    this.#options = options;
    if (equipment.link !== undefined) {
      const link = this.#createLink(equipment.link);
      this.#link = link;
      this.turnVolume = (key) => link.turnVolume(key);
    }
    this.#reader = new ConsoleReader({
      clock: options.clock,
      baud: equipment.wiring === 'usb-jtag' ? null : (equipment.link?.baud ?? 115_200),
      ...(options.secrets !== undefined && { secrets: options.secrets }),
      onLine: (line) => this.#read(line),
      onStory: (event) => this.#hear(event),
    });
    this.#tap = new ConnectionTap(options.clock, this.#tapObserver(), equipment.mac);
  }

  suffer(failure: SuddenFaultName): string | undefined {
    const { equipment } = this.#options;
    if (equipment.suffer === undefined) return 'a real board breaks down when it likes';
    equipment.suffer(failure);
    return undefined;
  }

  get state(): DeviceState {
    return this.#shadow?.state ?? 'Idle';
  }

  /** Aborts, with a {@link BoardRunError}, when there is no use in going on. */
  get trouble(): AbortSignal {
    return this.#trouble.signal;
  }

  /**
   * What the board's own speaker has played, as far as its serial link has handed it out: zeros where nothing came, one
   * boot behind the other. Undefined: it hands nothing out.
   */
  ownSpeaker(): Int16Array | undefined {
    return this.#speakerTap?.joined();
  }

  /** The speaker by the model. */
  speaker(): Int16Array {
    return this.#shadow?.speaker() ?? new Int16Array(0);
  }

  /** The stream that our server is given in place of one that the board has opened. */
  attach(stream: Duplex): Duplex {
    return this.#tap.attach(stream);
  }

  disturb(disturbance: LinkDisturbance): void {
    this.#disturbances += 1;
    this.#tap.disturb(disturbance);
  }

  /** Takes note of noise on its serial line, on which a link carries words and answers. */
  disturbLine(): void {
    if (this.#link !== undefined) this.#disturbances += 1;
  }

  /**
   * Opens the port and finds out where our server must listen.
   *
   * @throws {SerialError} when the port cannot be had; {@link BoardRunError} `BOARD_SERVER_UNKNOWN`,
   *   `BOARD_SERVER_ELSEWHERE`
   */
  async locate(signal: AbortSignal): Promise<Endpoint> {
    const { equipment } = this.#options;
    this.#use(await equipment.openPort());
    if (this.#link !== undefined) return { host: '127.0.0.1', port: 0 };
    if (equipment.serverAddress !== undefined) return equipment.serverAddress;
    await this.#reset(signal);
    const told = await this.#until(
      () => this.#storedUrl !== undefined,
      boardLimits.serverLineUs,
      AbortSignal.any([signal, this.trouble]),
    );
    if (!told) {
      throw new BoardRunError(
        'BOARD_SERVER_UNKNOWN',
        `${equipment.name} did not say on its console which server it connects to.`,
        'Say where it does: --server-address <address of this machine>:<port>, as in the URL that is stored on it.',
      );
    }
    return this.#storedEndpoint();
  }

  /** Our server listens there: what a board on a serial link is connected to. */
  serveAt(endpoint: Endpoint): void {
    this.#link?.serveAt(endpoint);
  }

  #storedEndpoint(): Endpoint {
    const { equipment } = this.#options;
    const url = URL.canParse(this.#storedUrl!) ? new URL(this.#storedUrl!) : undefined;
    if (url === undefined || !equipment.ownAddresses.includes(url.hostname)) {
      throw new BoardRunError(
        'BOARD_SERVER_ELSEWHERE',
        `${equipment.name} connects to "${this.#storedUrl}", which is not this machine (${equipment.ownAddresses.join(', ')}).`,
        'Store the URL of this machine on it (set-up mode, K0 during its splash), or name it with --server-address when a name or a router leads here.',
      );
    }
    return { host: url.hostname, port: url.port === '' ? 80 : Number(url.port) };
  }

  /**
   * Resets the board, where that is possible, and waits until it has connected. Our server listens already.
   *
   * @throws {BoardRunError} when it does not
   */
  async boot(signal: AbortSignal): Promise<void> {
    const { equipment, clock } = this.#options;
    const both = AbortSignal.any([signal, this.trouble]);
    const canReset = await this.#reset(both);
    if (this.#link !== undefined) await this.#awaitLink(this.#link, both);
    if (!canReset) {
      // A board that runs connects when K0 is pressed.
      if (this.#link !== undefined) await this.#awaitIdle(this.#link, both);
      return;
    }
    const connected = await this.#until(() => this.#connections > 0, boardLimits.connectUs, both);
    if (connected) {
      // The server's answer may be under way to the board for a while, and K0 counts when its main loop runs.
      await this.#until(() => this.#reader.state === 'Idle', boardLimits.settleUs, both);
      // What the shadow has not finished with its boot is done at this instant.
      await clock.sleep(0, both);
      return;
    }
    const { lines } = this.#reader.counts;
    const seen =
      lines === 0 ? 'and its console says nothing' : `its console says: ${this.#reader.state}`;
    throw new BoardRunError(
      lines === 0 ? 'BOARD_SILENT' : 'BOARD_NO_SERVER',
      `${equipment.name} did not connect within ${boardLimits.connectUs / 1_000_000} s of its reset, ${seen}.`,
      lines === 0
        ? 'Check the cable, the port and the power of the board; reset it by hand and look at it with "monitor".'
        : `Check its Wi-Fi and whether ${this.#storedUrl ?? 'the server stored on it'} is this machine; a firewall may hold the port closed.`,
    );
  }

  async #awaitLink(link: LinkedBoard, signal: AbortSignal): Promise<void> {
    const { equipment } = this.#options;
    const answered = () => link.peer !== undefined || link.refusal !== undefined;
    const told = await this.#until(answered, linkLimitUs, signal);
    if (link.peer !== undefined) return;
    const address = this.#port?.address ?? equipment.name;
    if (!told) throw noLink(address, this.#reader.counts, equipment.link?.baud ?? null);
    throw new SerialError(
      'SERIAL_LINK_REFUSED',
      `${equipment.name} and this program cannot talk over the serial link: ${link.refusal}`,
      'Bring the firmware or this program up to date.',
    );
  }

  /** A board that was not reset is as it was left, or still boots; K0 leads to Listening from Idle only. */
  async #awaitIdle(link: LinkedBoard, signal: AbortSignal): Promise<void> {
    const { equipment } = this.#options;
    const { settleUs, connectUs, keyUs } = boardLimits;
    // It tells its state when it is connected. Of one that does not, there is nothing to wait for.
    if (!(await this.#until(() => link.state !== undefined, settleUs, signal))) return;
    await this.#until(() => link.state !== 'starting', connectUs, signal);
    // From an answer K0 leads to Listening, and from there to Idle.
    for (let presses = 0; presses < 2; presses++) {
      const from = link.state;
      if (from !== 'listening' && from !== 'waiting' && from !== 'speaking') break;
      equipment.tell(`it was left ${from}: pressing K0`);
      await link.press('short', signal);
      await this.#until(() => link.state !== from, keyUs, signal);
    }
    if (link.state === 'idle') return;
    throw new BoardRunError(
      'BOARD_NOT_IDLE',
      `${equipment.name} was not reset, and its state is "${link.state}" and not "idle".`,
      'Reset it by hand, or switch it off and on, and begin again when it is idle.',
    );
  }

  async press(press: 'short' | 'long', signal: AbortSignal): Promise<void> {
    const both = AbortSignal.any([signal, this.trouble]);
    const { equipment, clock, record } = this.#options;
    const port = this.#port;
    const { wiring } = equipment;
    const byLink = this.#link?.peer?.capabilities.includes('keys') === true;
    const byDtr = !byLink && port?.carriesLines === true && wiring === 'bridge';
    const by = byLink ? 'link' : byDtr ? 'dtr' : 'hand';
    record({ source: 'serial', type: 'press', atUs: clock.nowUs(), press, by });
    const before = this.#pressesSeen(press);
    if (byLink) {
      if (await this.#link!.press(press, both)) {
        if (press === 'short') this.#expectKey(before, 'the serial link');
        return;
      }
      throw this.#fail(
        'BOARD_KEY_WITHOUT_EFFECT',
        `K0 of ${equipment.name} could not be pressed: the serial link was lost before the board had taken it.`,
        'Look at the board with "bridge".',
      );
    }
    if (byDtr) {
      try {
        await pressK0({ port, clock, wiring, press, signal: both });
      } catch (error) {
        if (both.aborted || !(error instanceof SerialError)) throw error;
        const message = `K0 of ${equipment.name} could not be pressed: ${error.message}`;
        throw this.#fail('BOARD_KEY_WITHOUT_EFFECT', message, error.hint);
      }
      if (press === 'short') this.#expectKey(before, 'DTR');
      else if (!this.#consoleTells) this.#toggleInterrupt(!this.#interruptAllowed);
      return;
    }
    const text =
      press === 'short'
        ? `Press K0 of ${equipment.name} now, shortly`
        : `Hold K0 of ${equipment.name} now for two seconds`;
    if (press === 'long' && !this.#consoleTells) {
      equipment.ask(`${text}.`);
      await clock.sleep(silentToggleUs, both);
      this.#toggleInterrupt(!this.#interruptAllowed);
      return;
    }
    if (await this.#askForKey(text, () => this.#pressesSeen(press) > before, both)) return;
    throw this.#fail(
      'BOARD_KEY_WITHOUT_EFFECT',
      `K0 of ${equipment.name} was not pressed within ${boardLimits.personUs / 1_000_000} s, or the board did not take it.`,
      'Press it when asked, or plug the cable into the socket of the UART bridge, where DTR presses it.',
    );
  }

  async speak(
    samples: Int16Array,
    begun: (startUs: number) => void,
    how: Speaking,
  ): Promise<number> {
    const { equipment } = this.#options;
    const signal = AbortSignal.any([how.signal, this.trouble]);
    this.#awaitedVoice?.cancel();
    this.#voice = undefined;
    this.#uplinkSamples = 0;
    const byLink = equipment.link?.carriesWords === true ? this.#link?.voice : undefined;
    const voice = byLink ?? equipment.voice;
    this.#voicePath = voice ?? this.#person(how.turn.timeoutMs * 1000);
    const listening = this.#listening();
    const stopUs = await this.#voicePath.speak(samples, begun, { ...how, signal });
    if (voice !== undefined) this.#expectVoice(listening);
    return stopUs;
  }

  /**
   * Releases the port, with its lines in run state, and ends the connections of the board: nothing is sent to it
   * any more. The shadow ends, too.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#awaitedKey?.cancel();
    this.#awaitedVoice?.cancel();
    this.#reader.close();
    await this.#link?.stop();
    await this.#tap.close();
    await this.#port?.close();
    await this.#shadow?.close();
  }

  // ---- the person at the board ----

  /**
   * Asks, and asks again, until `done` holds; false when the time is up.
   *
   * @param text without a period
   */
  async #ask(text: string, done: () => boolean, signal: AbortSignal): Promise<boolean> {
    const { ask } = this.#options.equipment;
    const { personUs, remindUs } = boardLimits;
    ask(`${text} (within ${personUs / 1_000_000} s).`);
    for (let leftUs: number = personUs; ; ask(`${text} (${leftUs / 1_000_000} s left).`)) {
      if (await this.#until(done, Math.min(leftUs, remindUs), signal)) return true;
      leftUs -= remindUs;
      if (leftUs <= 0) return false;
    }
  }

  /** K0 while a board starts leads into its set-up mode, so who was asked for it is asked again afterwards. */
  async #askForKey(text: string, seen: () => boolean, signal: AbortSignal): Promise<boolean> {
    const { equipment } = this.#options;
    for (;;) {
      const { restarted, connected } = this.#since();
      await this.#ask(text, () => seen() || restarted(), signal);
      if (seen()) return true;
      if (!restarted()) return false;
      equipment.tell('starts anew: do not press K0 until asked again');
      if (!(await this.#until(connected, boardLimits.connectUs, signal))) return false;
    }
  }

  #since(): { readonly restarted: () => boolean; readonly connected: () => boolean } {
    const restarts = this.#restarts;
    const connections = this.#connections;
    return {
      restarted: () => this.#restarts > restarts,
      connected: () => this.#connections > connections,
    };
  }

  /** @param limitUs for what comes between the voice and the server's decision that it is over */
  #person(limitUs: number): VoicePath {
    const { clock, equipment } = this.#options;
    const { restarted } = this.#since();
    return personsVoice({
      clock,
      askToSpeak: async (text, signal) => {
        if (await this.#ask(text, () => this.#voice !== undefined || restarted(), signal)) {
          return this.#voice?.firstUs;
        }
        const seconds = boardLimits.personUs / 1_000_000;
        throw this.#fail(
          'BOARD_HEARD_NOTHING',
          `${equipment.name} heard nobody within ${seconds} s: ${this.#heardInstead()}.`,
          'Speak when asked, close to the board. If you did, its microphone hears nothing: look at it with "monitor".',
        );
      },
      lastVoiceUs: () => this.#voice?.lastUs ?? clock.nowUs(),
      utteranceOver: async (signal) => {
        const before = this.#utterancesOver;
        await this.#until(() => this.#utterancesOver > before || restarted(), limitUs, signal);
      },
    });
  }

  #heardInstead(): string {
    return this.#uplinkSamples === 0
      ? 'no sound came from it'
      : `of the ${(this.#uplinkSamples / 16_000).toFixed(1)} s of sound that came from it nothing was loud enough for a voice`;
  }

  /**
   * Tells whether the board has been listening without a break since now: with its port there, and over a connection and a
   * link that nobody disturbed.
   */
  #listening(): () => boolean {
    const { restarted } = this.#since();
    const disturbances = this.#disturbances;
    const port = this.#port;
    const listens = (): boolean => this.state === 'Listening';
    const listened = listens();
    return () =>
      listened &&
      listens() &&
      !restarted() &&
      this.#port === port &&
      this.#disturbances === disturbances;
  }

  /** A board that was spoken to and sends nothing cannot be answered, which says nothing of the answer. */
  #expectVoice(listening: () => boolean): void {
    const { clock, equipment } = this.#options;
    this.#awaitedVoice = clock.after(boardLimits.hearUs, () => {
      if (this.#voice !== undefined || !listening()) return;
      this.#fail(
        'BOARD_HEARD_NOTHING',
        `${equipment.name} did not hear the words of the user: ${this.#heardInstead()}, ` +
          `${boardLimits.hearUs / 1_000_000} s after the last word.`,
        'Turn the loudspeaker of this machine up and put the board in front of it, or say the words yourself: --speak person.',
      );
    });
  }

  // ---- the port ----

  #use(port: BoardPort): void {
    this.#port = port;
    this.#reader.opened();
    if (this.#link !== undefined) {
      this.#link.use(port);
      return;
    }
    port.onBytes((bytes, atUs) => this.#hearConsole(bytes, atUs));
    port.onGone((problem) => this.#lost(problem));
  }

  #hearConsole(bytes: Uint8Array, atUs: number): void {
    if (!this.#closed) this.#reader.push(bytes, atUs);
  }

  #lost(problem: Error): void {
    const { clock, record, equipment } = this.#options;
    if (this.#closed) return;
    this.#port = undefined;
    this.#reader.interrupted();
    record({ source: 'serial', type: 'gone', atUs: clock.nowUs(), message: problem.message });
    equipment.tell('its port has vanished; waiting for it');
    void this.#reopen(clock.nowUs());
  }

  #createLink(link: LinkEquipment): LinkedBoard {
    const { clock, dialer, random, record, equipment } = this.#options;
    return new LinkedBoard({
      link,
      clock,
      dialer,
      random: random.fork('link'),
      onText: (bytes, atUs) => this.#hearConsole(bytes, atUs),
      onGone: (problem) => this.#lost(problem),
      onSpeaker: (position, samples) => {
        this.#speakerTap ??= new SpeakerTap();
        this.#speakerTap.push(position, samples);
      },
      onRemark: (text) => {
        if (this.#closed) return;
        record({ source: 'serial', type: 'remark', atUs: clock.nowUs(), kind: 'link', text });
        equipment.tell(text);
      },
      onChange: () => this.#changed(),
    });
  }

  /** R05: a port that vanished on a reset returns by itself. */
  async #reopen(goneUs: number): Promise<void> {
    const { equipment, clock, record } = this.#options;
    let last = 'the port is not there';
    while (clock.nowUs() - goneUs < boardLimits.returnUs && !this.#closed) {
      await clock.sleep(boardLimits.returnStepUs);
      if (this.#closed) return;
      try {
        const port = await equipment.openPort();
        if (this.#closed) {
          await port.close();
          return;
        }
        const atUs = clock.nowUs();
        record({
          source: 'serial',
          type: 'returned',
          atUs,
          address: port.address,
          awayUs: atUs - goneUs,
        });
        equipment.tell(`its port is back after ${((atUs - goneUs) / 1_000_000).toFixed(1)} s`);
        this.#use(port);
        return;
      } catch (error) {
        last = error instanceof Error ? error.message : String(error);
      }
    }
    if (this.#closed) return;
    this.#fail(
      'BOARD_PORT_GONE',
      `The port of ${equipment.name} vanished and was not back after ${boardLimits.returnUs / 1_000_000} s: ${last}`,
      'Check the cable and the power of the board; after that, repeat the run.',
    );
  }

  /** @returns false when it cannot be reset from here */
  async #reset(signal: AbortSignal): Promise<boolean> {
    const { equipment, clock } = this.#options;
    if (this.#resetDone) return true;
    const port = this.#port;
    const { reset: strategy } = equipment;
    if (strategy === undefined || port?.carriesLines !== true) return false;
    this.#resetDone = true;
    equipment.tell(`resetting (${strategy.name})`);
    this.#reader.resetRequested();
    try {
      await resetBoard({ port, clock, strategy, signal });
    } catch (error) {
      // Native USB may take the port away in the middle of it; what counts is whether the board boots.
      if ((error as { code?: string }).code !== 'SERIAL_GONE') throw error;
    }
    return true;
  }

  // ---- what the console says ----

  #read({ line, text, startUs }: ReadLine): void {
    const { record } = this.#options;
    const { event } = line;
    record({
      source: 'serial',
      type: 'line',
      atUs: startUs,
      text,
      ...(line.kind === 'log' && {
        level: line.level,
        tag: line.tag,
        message: line.message,
        ...(line.ms !== null && { ms: line.ms }),
      }),
    });
    if (line.kind === 'log' && line.level === 'I' && line.tag === 'echokit::app') {
      this.#consoleTells = true;
    }
    if (line.kind === 'log' && line.tag === 'echokit::app') {
      if (line.message === 'Received event: k0') {
        this.#keysTaken += 1;
        this.#shadow?.keyTaken();
      }
      const allowed = /^Set allow_interrupt to (true|false)$/.exec(line.message)?.[1];
      if (allowed !== undefined) this.#toggleInterrupt(allowed === 'true');
    }
    if (event?.name === 'server-url') this.#storedUrl ??= event.url;
    this.#changed();
  }

  #hear(event: StoryEvent): void {
    const { record, equipment } = this.#options;
    const { atUs } = event;
    switch (event.type) {
      case 'reset':
        record({ source: 'serial', type: 'reset', atUs, kind: event.kind, because: event.because });
        this.#restarts += 1;
        this.#interruptAllowed = false;
        if (event.kind !== 'requested') equipment.tell(`reset: ${event.because}`);
        this.#shadow?.restarted(event.because);
        this.#judgeReset(event);
        break;
      case 'state':
        record({ source: 'serial', type: 'boardState', atUs, from: event.from, to: event.to });
        // A board on a serial link needs neither Wi-Fi nor the server that is stored on it.
        if (event.to === 'NoServer' && this.#link === undefined)
          this.#failAs('BOARD_NO_SERVER', event, this.#unreachable());
        break;
      case 'boot':
        this.#crashTold = false;
        equipment.tell(`boots firmware ${event.identity.version ?? 'of an unknown version'}`);
        this.#identify(event.identity.version, event.identity.mac, atUs);
        break;
      case 'identity':
        if (event.identity.mac !== undefined && event.identity.ip === undefined) {
          equipment.tell(`has the MAC ${event.identity.mac}`);
        }
        this.#identify(event.identity.version, event.identity.mac, atUs);
        break;
      case 'panic':
        this.#crashTold = true;
        this.#failAs('BOARD_CRASHED', event);
        break;
      case 'brown-out':
        this.#crashTold = true;
        this.#failAs('BOARD_POWER', event);
        break;
      case 'download-mode':
        this.#failAs('BOARD_DOWNLOAD_MODE', event);
        break;
      case 'no-application':
        this.#failAs('BOARD_NO_APPLICATION', event);
        break;
      case 'boot-loop':
        this.#failAs('BOARD_BOOT_LOOP', event);
        break;
      case 'network-stalled':
        if (this.#link === undefined) this.#failAs('BOARD_NO_WIFI', event);
        break;
      case 'heap':
        break;
      default: {
        const { text } = explainStory(event) ?? { text: event.type };
        record({ source: 'serial', type: 'remark', atUs, kind: event.type, text });
      }
    }
    if (event.type !== 'heap' && equipment.mac !== undefined) this.#checkIdentity();
    this.#changed();
  }

  #unreachable(): string {
    return (
      `It connects to ${this.#storedUrl ?? 'the server stored on it'}: ` +
      'check that this is this machine, and that no firewall holds the port closed.'
    );
  }

  /** A board that restarts itself does what its firmware does; any other reset is the bench's. */
  #judgeReset(event: StoryEvent & { readonly type: 'reset' }): void {
    switch (event.kind) {
      case 'requested':
      case 'restart':
      case 'software':
      // Told by the event before it.
      case 'crash':
      case 'brown-out':
        return;
      case 'supply':
        this.#failAs('BOARD_POWER', event);
        return;
      case 'watchdog':
        this.#failAs('BOARD_CRASHED', event);
        return;
      case 'unseen':
        // At the rate of a link the banner of the ROM cannot be read: this is the end of the crash before it.
        if (this.#crashTold) return;
        if (this.#connections > 0) this.#failAs('BOARD_RESET', event);
        return;
      default:
        // Before it has connected, it may have been reset by the opening of the port.
        if (this.#connections > 0) this.#failAs('BOARD_RESET', event);
    }
  }

  #identify(firmware: string | undefined, mac: string | undefined, atUs: number): void {
    this.#options.record({
      source: 'serial',
      type: 'identity',
      atUs,
      ...(firmware !== undefined && { firmware }),
      ...(mac !== undefined && { mac }),
    });
  }

  #checkIdentity(): void {
    const { equipment } = this.#options;
    const { mac } = this.#reader.identity;
    if (mac === undefined || mac === equipment.mac) return;
    this.#fail(
      'BOARD_WRONG',
      `The board at ${this.#port?.address ?? 'this port'} is ${mac}, and ${equipment.name} is ${equipment.mac}.`,
      'Port names follow the order of plugging in: look with "boards" where it is now.',
    );
  }

  // ---- what the server sees ----

  #tapObserver(): TapObserver {
    const { clock, record, equipment } = this.#options;
    const atBoard = (connection: TappedConnection): TappedConnection =>
      this.#link?.asArrived(connection) ?? connection;
    return {
      connected: (connection) => {
        this.#connections += 1;
        if (connection.reconnect) this.#reconnections += 1;
        this.#reader.boardHeard();
        equipment.tell(connection.reconnect ? 'connected anew' : 'connected to this machine');
        this.#shadow ??= this.#createShadow(connection.deviceId);
        this.#shadow.connected(atBoard(connection));
        this.#changed();
      },
      startChat: (connection) => this.#shadow?.startChat(atBoard(connection)),
      audio: (connection, samples) => {
        this.#noteVoice(samples);
        this.#shadow?.audio(atBoard(connection), samples);
      },
      closing: (connection) => {
        this.#shadow?.closing(atBoard(connection));
        this.#changed();
      },
      ended: () => {},
      foreign: (deviceId) =>
        record({ source: 'harness', type: 'foreignBoard', atUs: clock.nowUs(), deviceId }),
    };
  }

  #createShadow(deviceId: string): ShadowBoard {
    const { equipment, profile, clock, random, opus, voiceDetection, observe } = this.#options;
    return new ShadowBoard({
      profile,
      deviceId,
      serverUrl: this.#storedUrl ?? 'ws://server/ws/',
      clock,
      random: random.fork('shadow'),
      opus,
      voiceDetection,
      observe: (event) => {
        if (event.type === 'frameHandled' && event.event === 'EndVad') this.#utterancesOver += 1;
        if (event.type === 'state') equipment.tell(stateWords[event.to]);
        observe(event);
        this.#changed();
      },
    });
  }

  /** A frame of the uplink has just arrived; its last sample was at the microphone a little before. */
  #noteVoice(samples: Int16Array): void {
    this.#uplinkSamples += samples.length;
    const range = findAudible(samples);
    if (range === null) return;
    const instant = (sample: number): number =>
      this.#options.clock.nowUs() - Math.round((samples.length - 1 - sample) * 62.5);
    this.#voice = {
      firstUs: this.#voice?.firstUs ?? instant(range.first),
      lastUs: instant(range.last),
    };
    this.#changed();
  }

  #toggleInterrupt(allowed: boolean): void {
    this.#toggles += 1;
    this.#interruptAllowed = allowed;
    this.#shadow?.interruptSet(allowed);
    this.#changed();
  }

  // ---- keys ----

  #pressesSeen(press: 'short' | 'long'): number {
    if (press === 'long') return this.#toggles;
    return this.#keysTaken + this.#reconnections;
  }

  #expectKey(before: number, through: 'DTR' | 'the serial link'): void {
    const { equipment, clock } = this.#options;
    if (this.#pressesSeen('short') > before) return;
    this.#awaitedKey?.cancel();
    this.#awaitedKey = clock.after(boardLimits.keyUs, () => {
      if (this.#pressesSeen('short') > before || this.#closed) return;
      this.#fail(
        'BOARD_KEY_WITHOUT_EFFECT',
        `K0 of ${equipment.name} was pressed through ${through}, and nothing came of it within ${boardLimits.keyUs / 1_000_000} s.`,
        through === 'DTR'
          ? 'DTR may not reach GPIO0 on this board, or the board hangs: press K0 by hand (wiring = "usb-jtag" in the registry), or reset it.'
          : 'Its firmware takes the key and does nothing with it, or hangs: look at it with "bridge", or reset it.',
      );
    });
  }

  // ---- trouble ----

  #failAs(code: BoardRunErrorCode, event: StoryEvent, hint?: string): void {
    const { equipment } = this.#options;
    const said = explainStory(event);
    const text = said?.text ?? `its console says ${event.type === 'state' ? event.to : event.type}`;
    this.#fail(
      code,
      `${equipment.name}: ${text}.`,
      hint ?? said?.hint ?? 'Look at it with "monitor".',
    );
  }

  #fail(code: BoardRunErrorCode, message: string, hint: string): BoardRunError {
    const failure = new BoardRunError(code, message, hint);
    const { record, clock, equipment } = this.#options;
    if (this.#closed) return failure;
    record({ source: 'harness', type: 'boardFailure', atUs: clock.nowUs(), code, message, hint });
    equipment.tell(`${message} ${hint} [${code}]`);
    // A board that has crashed boots again, and the conversation shows what that does.
    if (!survivable.has(code)) this.#trouble.abort(failure);
    this.#changed();
    return failure;
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  /** Waits until something makes `condition` true; false when time is up. */
  #until(condition: () => boolean, limitUs: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const settle = (action: () => void): void => {
        this.#watchers.delete(check);
        alarm.cancel();
        signal.removeEventListener('abort', abort);
        action();
      };
      const check = (): void => {
        if (condition()) settle(() => resolve(true));
      };
      const abort = (): void => settle(() => reject(signal.reason));
      const alarm = this.#options.clock.after(limitUs, () => settle(() => resolve(false)));
      this.#watchers.add(check);
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      else check();
    });
  }
}

const survivable: ReadonlySet<BoardRunErrorCode> = new Set([
  'BOARD_CRASHED',
  'BOARD_RESET',
  'BOARD_POWER',
  'BOARD_PORT_GONE',
]);
