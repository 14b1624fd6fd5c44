/**
 * A board as its serial port shows it: a chip that resets, boots, crashes and prints, and on it the emulated
 * device with its own console (EchoKit device protocol reference, sections 8.1 to 8.6). Knows nothing of who
 * listens: {@link VirtualBoard.attach} is the USB socket.
 */
import type { SerialLinkBoardState, SerialLinkKey } from '../../firmware-protocol/index.ts';
import type { Alarm, Clock } from '../clock/clock.ts';
import { bootLines, ConsolePrinter, type ConsoleSettings, romLines } from '../device/console.ts';
import type { DeviceEvent, DeviceState } from '../device/device-event.ts';
import type { DeviceProfile } from '../device/device-profile.ts';
import {
  createEmulatedDevice,
  type EmulatedDevice,
  type HeldKey,
} from '../device/emulated-device.ts';
import type { BoardSocket, SocketTaskOptions } from '../device/socket-task.ts';
import type { Dialer } from '../network/network.ts';
import type { Opus } from '../opus/opus-codec.ts';
import type { Random } from '../random/random.ts';
import type { VoiceDetection } from '../voice-detection/voice-detection.ts';
import { BoardLink } from './board-link.ts';
import { type StandingFault, type SuddenFaultName, suddenFaults } from './fault.ts';
import {
  bridgeCircuit,
  type LineCircuit,
  type Lines,
  linesOff,
  usbJtagCircuit,
} from './line-circuit.ts';
import { powerOnReset, resetText, softwareReset, usbReset } from './reset-cause.ts';
import { UartTransmitter } from './uart.ts';

export interface VirtualBoardOptions {
  readonly profile: DeviceProfile;
  /** Station MAC address, 12 lower-case hex digits: the device id, and a line of the boot. */
  readonly mac: string;
  /** Base as stored on the board: `ws://host:port/ws/`. */
  readonly serverUrl: string;
  /** Which USB socket the cable is in. */
  readonly wiring: 'bridge' | 'usb-jtag';
  readonly clock: Clock;
  readonly dialer: Dialer;
  readonly random: Random;
  readonly opus: Opus;
  readonly voiceDetection: VoiceDetection;
  readonly faults?: readonly StandingFault[];
  /** Wi-Fi settings that its console shows. */
  readonly ssid?: string;
  readonly password?: string;
  /**
   * Firmware with the serial link on the UART of the console: the audio client reaches its server through the host
   * instead of Wi-Fi. Absent: firmware as it is.
   */
  readonly serialLink?: {
    /** Of the application and its boot loader; the ROM prints at 115200. Native USB has none. */
    readonly baud: number;
  };
  /** Receives what becomes of the board, in order. MUST NOT throw. */
  observe?(event: VirtualBoardEvent): void;
  /** What the host sends. The firmware reads nothing (section 8.1); other firmware may. */
  onInput?(bytes: Uint8Array): void;
}

export type VirtualBoardEvent = { readonly atUs: number } & (
  | { readonly type: 'reset'; readonly cause: number; readonly into: 'run' | 'download' }
  /** K0 during the splash. */
  | { readonly type: 'setup' }
  | { readonly type: 'power'; readonly on: boolean }
  | { readonly type: 'port'; readonly present: boolean }
  | { readonly type: 'fault'; readonly fault: SuddenFaultName }
  | { readonly type: 'device'; readonly event: DeviceEvent }
);

/** What the chip is doing. */
export type ChipMode =
  | 'off'
  /** EN is low. */
  | 'held'
  | 'booting'
  | 'download'
  | 'running'
  /** The panic handler prints. */
  | 'crashing';

/** Whoever has the port open. */
export interface BoardHost {
  /** The bytes belong to the host. */
  onBytes(bytes: Uint8Array): void;
  /** The port went away. The attachment is void. */
  onGone(): void;
}

export interface Attachment {
  write(bytes: Uint8Array): void;
  setLines(lines: Partial<Lines>): void;
  /** The rate the host listens at; where another is not that of the chip, it gets noise. */
  setBaudRate(baud: number): void;
  /** Both lines go off. Harmless when repeated. */
  detach(): void;
}

export const chipBaud = 115_200;

/** EN rises through a resistor and a capacitor; GPIO0 is looked at when it is high. */
const enableRiseUs = 2_000;
/** A key that is down for less is bouncing (section 8.1). */
const keySettleUs = 20_000;
/** From the reset to the start of the application, which begins with the serial link. */
const applicationUs = 604_000;
/** K0 counts for set-up mode from the start of the application until the Wi-Fi starts. */
const splashMs = { from: applicationUs / 1000, to: 1900 };
/** What a native USB port sends in a millisecond, whatever the baud rate. */
const usbBaud = 640_000;

const awayAfterResetUs = 1_500_000;
/** Of the speaker after a boot. */
const firstVolume = 3;

export class VirtualBoard {
  readonly #options: VirtualBoardOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #circuit: LineCircuit;
  readonly #uart: UartTransmitter;
  /** The other direction, where there is firmware that reads it. */
  readonly #fromHost: UartTransmitter;
  /** The rate of the application. */
  readonly #baud: number;
  readonly #faults: ReadonlySet<StandingFault>;
  readonly #settings: ConsoleSettings;
  readonly #portListeners = new Set<(present: boolean) => void>();

  #mode: ChipMode = 'off';
  #powered = false;
  #closed = false;
  /** Instant of the last reset. */
  #resetUs = 0;
  /** EN is on its way up. */
  #rising: Alarm | undefined;
  /** Everything that a reset makes void: lines of the boot, the end of a panic. */
  readonly #pending = new Set<Alarm>();
  #boots = 0;
  #device: EmulatedDevice | undefined;
  #link: BoardLink | undefined;
  #isSetUp = false;
  #volume = firstVolume;
  #printer: ConsolePrinter;
  #speaker: Int16Array[] = [];
  /** Nothing comes out although the application prints. */
  #silent = false;
  /** The line before was left out because of its level; so are its continuations. */
  #leftOut = false;

  #host: BoardHost | undefined;
  /** Undefined: nothing on the way to the host knows of a rate, and what the host is set to is not seen here. */
  #hostBaud: number | undefined;
  #lines: Lines = linesOff;
  #portAway = false;
  #renames = 0;
  #portReturn: Alarm | undefined;

  #buttonDown = false;
  #gpio0Low = false;
  #settling: Alarm | undefined;
  #heldKey: HeldKey | undefined;

  constructor(options: VirtualBoardOptions) {
    const { clock, profile, serverUrl, mac, ssid, password } = options;
    this.#options = options;
    this.#clock = clock;
    this.#random = options.random.fork('virtual board');
    this.#circuit = options.wiring === 'bridge' ? bridgeCircuit() : usbJtagCircuit();
    this.#faults = new Set(options.faults ?? []);
    this.#settings = {
      profile,
      serverUrl,
      mac,
      ...(ssid === undefined ? {} : { ssid }),
      ...(password === undefined ? {} : { password }),
    };
    this.#printer = new ConsolePrinter(this.#settings);
    const { wiring, serialLink } = options;
    this.#baud = wiring === 'bridge' ? (serialLink?.baud ?? chipBaud) : usbBaud;
    this.#uart = new UartTransmitter(clock, this.#baud, (bytes, rate) => this.#toHost(bytes, rate));
    this.#fromHost = new UartTransmitter(clock, this.#baud, (bytes) => this.#link?.receive(bytes));
  }

  get mode(): ChipMode {
    return this.#mode;
  }

  /** The state of the device; Idle while none is running. */
  get state(): DeviceState {
    return this.#device?.state ?? 'Idle';
  }

  /** The system of the host shows a port: the board has power and the cable is in. */
  get portPresent(): boolean {
    return this.#powered && !this.#portAway;
  }

  /** Somebody has the port open. */
  get attached(): boolean {
    return this.#host !== undefined;
  }

  /** How often the port has returned under another name than it had before (R05). */
  get renames(): number {
    return this.#renames;
  }

  /** Called when the port comes or goes. */
  onPort(listener: (present: boolean) => void): void {
    this.#portListeners.add(listener);
  }

  powerOn(): void {
    if (this.#powered || this.#closed) return;
    this.#powered = true;
    this.#portAway = false;
    this.#silent = false;
    this.#dying = false;
    this.#observe({ type: 'power', on: true });
    this.#tellPort();
    this.#start(powerOnReset, this.#gpio0Low ? 'download' : 'run');
  }

  powerOff(): void {
    if (!this.#powered) return;
    this.#powered = false;
    this.#portReturn?.cancel();
    this.#stopChip('off');
    this.#observe({ type: 'power', on: false });
    this.#loseHost();
    this.#tellPort();
  }

  /** Switches everything off for good. */
  async close(): Promise<void> {
    this.powerOff();
    this.#portReturn?.cancel();
    this.#closed = true;
  }

  /** A sound at the microphone from now on; not heard while the serial link has taken the microphone's place. */
  hear(samples: Int16Array): void {
    if (this.#link?.injecting !== true) this.#device?.hear(samples);
  }

  /** Samples for the microphone that the serial link of this boot brought too late for their place. */
  get lateSamples(): number {
    return this.#link?.lateSamples ?? 0;
  }

  /** What the speaker played until now, one boot behind the other without the time in between. */
  speaker(): Int16Array {
    const parts = [...this.#speaker];
    if (this.#device !== undefined) parts.push(this.#device.speaker().samples);
    const joined = new Int16Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      joined.set(part, at);
      at += part.length;
    }
    return joined;
  }

  /** A finger on K0 (the BOOT button). */
  holdButton(): HeldKey {
    this.#buttonDown = true;
    const sinceUs = this.#clock.nowUs();
    this.#pinsChanged();
    return {
      release: () => {
        this.#buttonDown = false;
        this.#pinsChanged();
        const heldUs = this.#clock.nowUs() - sinceUs;
        if (this.#mode === 'running' && heldUs >= keySettleUs)
          this.#link?.keyReleased('k0', heldUs);
      },
    };
  }

  /** Bytes of a firmware that says more than its console. */
  transmit(bytes: Uint8Array): void {
    if (this.#powered && !this.#silent) this.#uart.write(bytes);
  }

  /** Something goes wrong now. Without effect on a board that is not on. */
  fail(name: SuddenFaultName): void {
    if (!this.#powered) return;
    const { lines, aftermath, ...fault } = suddenFaults[name];
    this.#observe({ type: 'fault', fault: name });
    const ms = Math.floor((this.#clock.nowUs() - this.#resetUs) / 1000);
    const text = lines(ms)
      .map((line) => `${line}\r\n`)
      .join('');
    switch (aftermath.kind) {
      case 'go on':
        this.#printLog(text);
        return;
      case 'silent':
        this.#silent = true;
        return;
      case 'reset':
        this.#dropLink();
        this.#dropDevice();
        this.#cancelPending();
        this.#mode = 'crashing';
        if ('log' in fault) this.#printLog(text);
        else this.#print(text);
        this.#later(this.#uart.idleUs - this.#clock.nowUs(), () =>
          this.#start(aftermath.cause, 'run'),
        );
        return;
      case 'power off':
        this.powerOff();
        return;
      case 'power cycle':
        this.powerOff();
        this.#portReturn = this.#clock.after(aftermath.offUs, () => this.powerOn());
        return;
      case 'vanish':
        this.#vanish(aftermath.awayUs, aftermath.as === 'other name');
        return;
    }
  }

  // ---- the port ----

  /**
   * Opens the port. What the chip sends while nobody has it open is lost.
   *
   * @returns undefined when somebody has it open, or there is none
   */
  attach(host: BoardHost): Attachment | undefined {
    if (this.#host !== undefined || !this.portPresent) return undefined;
    this.#host = host;
    this.#hostBaud = undefined;
    const mine = () => this.#host === host;
    if (this.#faults.has('reset-on-open') || this.#faults.has('download-on-open')) {
      // The system turns the lines over one after the other.
      this.#setLines({ dtr: false, rts: true });
      this.#setLines(this.#faults.has('download-on-open') ? { dtr: true, rts: false } : linesOff);
    }
    return {
      write: (bytes) => {
        if (mine()) this.#takeFromHost(bytes);
      },
      setLines: (lines) => {
        if (mine()) this.#setLines({ ...this.#lines, ...lines });
      },
      setBaudRate: (baud) => {
        if (mine()) this.#hostBaud = baud;
      },
      detach: () => {
        if (!mine()) return;
        this.#host = undefined;
        this.#setLines(linesOff);
      },
    };
  }

  #setLines(lines: Lines): void {
    const before = this.#lines;
    this.#lines = lines;
    const into = this.#circuit.reset(before, lines);
    if (into !== undefined && this.#powered) {
      this.#start(usbReset, into);
      this.#afterHostReset();
    }
    this.#pinsChanged();
  }

  #vanish(awayUs: number, renamed: boolean): void {
    if (!this.portPresent) return;
    this.#portAway = true;
    this.#loseHost();
    this.#tellPort();
    this.#portReturn = this.#clock.after(awayUs, () => {
      this.#portAway = false;
      if (renamed) this.#renames += 1;
      this.#tellPort();
    });
  }

  #loseHost(): void {
    const host = this.#host;
    this.#host = undefined;
    host?.onGone();
    // The bridge or the USB unit has lost them with the cable.
    this.#setLines(linesOff);
  }

  #tellPort(): void {
    const present = this.portPresent;
    this.#observe({ type: 'port', present });
    for (const listener of this.#portListeners) listener(present);
  }

  #toHost(bytes: Uint8Array, baud: number): void {
    if (this.#host === undefined) return;
    if (this.#faults.has('stolen-bytes') && this.#random.next() < 0.5) return;
    const wrong =
      this.#faults.has('wrong-baud') ||
      (this.#options.wiring === 'bridge' && baud !== (this.#hostBaud ?? this.#baud));
    this.#host.onBytes(wrong ? noise(this.#random, bytes.length) : bytes);
  }

  #takeFromHost(bytes: Uint8Array): void {
    this.#options.onInput?.(bytes);
    if (this.#options.serialLink === undefined) return;
    const wrong =
      this.#options.wiring === 'bridge' && (this.#hostBaud ?? this.#baud) !== this.#baud;
    this.#fromHost.write(wrong ? noise(this.#random, bytes.length) : bytes);
  }

  // ---- pins ----

  #pinsChanged(): void {
    const pins = this.#circuit.pins(this.#lines);
    if (pins.enableLow) {
      this.#rising?.cancel();
      this.#rising = undefined;
      if (this.#powered && this.#mode !== 'held') this.#stopChip('held');
    } else if (this.#mode === 'held' && this.#rising === undefined) {
      this.#rising = this.#clock.after(enableRiseUs, () => this.#enableHigh());
    }
    const low = pins.gpio0Low || this.#buttonDown;
    if (low === this.#gpio0Low) return;
    this.#gpio0Low = low;
    if (low) this.#keyDown();
    else this.#keyUp();
  }

  #enableHigh(): void {
    this.#rising = undefined;
    if (this.#mode !== 'held') return;
    this.#start(powerOnReset, this.#gpio0Low ? 'download' : 'run');
    this.#afterHostReset();
  }

  #keyDown(): void {
    const sinceUs = this.#clock.nowUs();
    this.#settling = this.#clock.after(keySettleUs, () => {
      this.#settling = undefined;
      const ms = (this.#clock.nowUs() - this.#resetUs) / 1000;
      if (this.#mode === 'running') this.#heldKey = this.#device?.holdK0(sinceUs);
      else if (this.#mode === 'booting' && ms >= splashMs.from && ms < splashMs.to) this.#setUp();
    });
  }

  #keyUp(): void {
    this.#settling?.cancel();
    this.#settling = undefined;
    this.#heldKey?.release();
    this.#heldKey = undefined;
  }

  // ---- the chip ----

  #start(cause: number, into: 'run' | 'download', next: 'connect' | 'setup' = 'connect'): void {
    const restart = cause === softwareReset && this.#device !== undefined;
    this.#dropLink();
    if (!restart) this.#dropDevice();
    this.#cancelPending();
    // A restart by software lets the UART finish; one from outside cuts it off.
    if (cause === usbReset) this.#uart.clear();
    this.#resetUs = this.#clock.nowUs();
    this.#leftOut = false;
    this.#observe({ type: 'reset', cause, into });
    if (this.#faults.has('garbage-at-start')) this.#write(noise(this.#random, 600));
    const rom = romLines(resetText(cause), {
      ...(into === 'download' ? { strap: '0x0 (DOWNLOAD(USB/UART0))' } : {}),
      ...(cause === powerOnReset ? {} : { savedPc: '0x40377c4a' }),
    });
    if (into === 'download') rom.push('waiting for download');
    this.#print(rom.map((line) => `${line}\r\n`).join(''), chipBaud);
    if (into === 'download') {
      this.#mode = 'download';
      return;
    }
    this.#mode = 'booting';
    this.#printer = new ConsolePrinter(this.#settings);
    this.#printer.skipBoot(this.#resetUs);
    const boot = ++this.#boots;
    this.#printBoot(bootLines(this.#settings, next), 0);
    this.#volume = firstVolume;
    this.#later(applicationUs, () => this.#startLink());
    // After a restart of its own the device knows by itself when it has booted.
    if (restart) return;
    this.#later(this.#options.profile.constants.bootUs, () => {
      this.#device = this.#createDevice(boot);
      this.#mode = 'running';
      // Unreachable: the device has printed it and waits for K0.
      this.#device.boot().catch(() => {});
    });
  }

  /** Prints each line at its instant. */
  #printBoot(lines: ReturnType<typeof bootLines>, from: number): void {
    const line = lines[from];
    if (line === undefined) return;
    this.#later(this.#resetUs + line.ms * 1000 - this.#clock.nowUs(), () => {
      this.#printLog(line.text);
      if (this.#dying && line.text.includes('entropy source')) this.#silent = true;
      this.#printBoot(lines, from + 1);
    });
  }

  /** The console dies in this boot. */
  #dying = false;

  #afterHostReset(): void {
    this.#dying =
      this.#faults.has('dead-console') ||
      (this.#faults.has('dead-console-sometimes') && this.#random.next() < 0.05);
    if (this.#faults.has('vanish-on-reset')) this.#vanish(awayAfterResetUs, true);
  }

  #startLink(): void {
    const { serialLink, profile, mac } = this.#options;
    if (serialLink === undefined) return;
    const chip = this;
    this.#link = new BoardLink({
      clock: this.#clock,
      random: this.#random.fork(`link, boot ${this.#boots}`),
      baud: this.#baud,
      output: (bytes) => this.transmit(bytes),
      facts: { board: profile.name, firmware: profile.firmware.version, mac },
      resetUs: this.#resetUs,
      board: {
        get state() {
          return chip.#linkState();
        },
        get volume() {
          return chip.#volume;
        },
        press: (key) => this.#pressByLink(key),
        release: (key) => this.#releaseByLink(key),
        hear: (samples) => this.#device?.hear(samples),
        played: (from) => this.#device?.played(from) ?? new Int16Array(0),
      },
    });
  }

  #linkState(): SerialLinkBoardState {
    if (this.#mode !== 'running') return 'starting';
    if (this.#isSetUp) return 'setup';
    return this.state.toLowerCase() as Lowercase<DeviceState>;
  }

  #pressByLink(key: SerialLinkKey): void {
    if (key !== 'k0') {
      this.#device?.press(key, 'short');
      return;
    }
    this.#buttonDown = true;
    this.#pinsChanged();
  }

  #releaseByLink(key: SerialLinkKey): void {
    if (key !== 'k0') return;
    this.#buttonDown = false;
    this.#pinsChanged();
  }

  #dropLink(): void {
    this.#link?.stop();
    this.#link = undefined;
    this.#fromHost.clear();
  }

  #setUp(): void {
    this.#cancelPending();
    this.#dropDevice();
    this.#observe({ type: 'setup' });
    this.#device = this.#createDevice(++this.#boots);
    this.#mode = 'running';
    this.#device.setUp();
  }

  #stopChip(mode: 'off' | 'held'): void {
    this.#dropLink();
    this.#dropDevice();
    this.#cancelPending();
    this.#uart.clear();
    this.#mode = mode;
  }

  #createDevice(boot: number): EmulatedDevice {
    const { profile, mac, serverUrl, clock, dialer, opus, voiceDetection } = this.#options;
    return createEmulatedDevice({
      profile,
      deviceId: mac,
      serverUrl,
      clock,
      dialer,
      ...(this.#options.serialLink !== undefined && {
        openSocket: (request: SocketTaskOptions) => this.#openByLink(request),
      }),
      random: this.#random.fork(`boot ${boot}`),
      opus,
      voiceDetection,
      observe: (event) => this.#deviceReports(event),
    });
  }

  /** A device asks for its server when it has booted, and the link stands since the start of the application. */
  #openByLink(request: SocketTaskOptions): BoardSocket {
    if (this.#link === undefined) this.#startLink();
    return this.#link!.openSocket(request);
  }

  #deviceReports(event: DeviceEvent): void {
    this.#observe({ type: 'device', event });
    this.#printLog(this.#printer.print(event));
    if (event.type === 'volume') this.#volume = event.level;
    if (event.type === 'setup') this.#isSetUp = true;
    if (event.type === 'boot' || event.type === 'reboot') this.#isSetUp = false;
    if (event.type === 'reboot') {
      this.#mode = 'crashing';
      // The device still has to say what it loses.
      this.#later(0, () => this.#start(softwareReset, 'run', event.into ?? 'connect'));
    } else if (event.type === 'setup' || event.type === 'connecting') this.#mode = 'running';
    this.#link?.stateChanged();
  }

  #dropDevice(): void {
    const device = this.#device;
    if (device === undefined) return;
    this.#speaker.push(device.speaker().samples);
    // What it says while it is taken down is not printed: the chip is gone already.
    this.#device = undefined;
    this.#heldKey = undefined;
    const silent = this.#silent;
    this.#silent = true;
    void device.close();
    this.#silent = silent;
  }

  #later(delayUs: number, callback: () => void): void {
    const alarm = this.#clock.after(delayUs, () => {
      this.#pending.delete(alarm);
      callback();
    });
    this.#pending.add(alarm);
  }

  #cancelPending(): void {
    for (const alarm of this.#pending) alarm.cancel();
    this.#pending.clear();
  }

  // ---- the console ----

  /** Text of the ROM and the panic handler, which no log level holds back. */
  #print(text: string, baud = this.#baud): void {
    this.#leftOut = false;
    this.#write(Buffer.from(text), baud);
  }

  #printLog(text: string): void {
    if (text === '') return;
    if (!this.#faults.has('errors-only')) {
      this.#write(Buffer.from(text));
      return;
    }
    const kept = text.split(/(?<=\n)/).filter((line) => {
      const level = /^([EWIDV]) \(\d+\) /.exec(line)?.[1];
      if (level !== undefined) this.#leftOut = level !== 'E';
      return !this.#leftOut;
    });
    this.#write(Buffer.from(kept.join('')));
  }

  #write(bytes: Uint8Array, baud = this.#baud): void {
    if (this.#silent) return;
    // Native USB has no rate, and whatever is said at the ROM's is heard.
    this.#uart.write(bytes, this.#options.wiring === 'bridge' ? baud : this.#baud);
    this.#link?.textWritten(bytes.length);
  }

  #observe(event: DistributiveOmit<VirtualBoardEvent, 'atUs'>): void {
    this.#options.observe?.({ atUs: this.#clock.nowUs(), ...event } as VirtualBoardEvent);
  }
}

type DistributiveOmit<T, K extends keyof T> = T extends unknown ? Omit<T, K> : never;

/** Bytes that no text holds, as a wrong baud rate makes them: no line end among them. */
function noise(random: Random, length: number): Uint8Array {
  return random.bytes(length).map((byte) => byte | 0x80);
}
