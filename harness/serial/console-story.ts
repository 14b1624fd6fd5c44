import { resetReasons } from '../../firmware-protocol/console-forms.ts';
import type { ConsoleEvent, ConsoleLine } from '../../firmware-protocol/console-line.ts';
import type { Alarm, Clock } from '../clock/clock.ts';
import { beginsCrash, CrashCollector, readFrames } from './crash.ts';
import { type HeapPair, type HeapTrend, heapTrend } from './heap-trend.ts';
import type { BoardIdentity, BoardState, ResetKind, StoryEvent, StoryFact } from './story-event.ts';

/** One line with the instants of its first byte and of its end. */
export interface TimedLine {
  readonly line: ConsoleLine;
  readonly startUs: number;
  readonly endUs: number;
}

/** What a line is a part of. */
export const lineOrigins = [
  /** Of EchoKit, with a form. */
  'firmware',
  /** Of another module. */
  'system',
  'rom',
  'panic',
  /** Of the line before, also when that was printed before the port was open. */
  'continuation',
  'blank',
  /** EchoKit's, but of no form; or no line at all. */
  'unexpected',
] as const;
export type LineOrigin = (typeof lineOrigins)[number];

/** Waits of the story. Those of the pitfalls catalogue, group R, are estimates. */
export const storyLimits = {
  /** R01: a banner so soon after the opening came from it. */
  openResetUs: 3_000_000,
  /** A native USB port may be away for so long after a reset (R05). */
  requestUs: 10_000_000,
  /** R02 */
  quietUs: 5_000_000,
  /** R10 */
  levelUs: 10_000_000,
  /** R06: the boot loader goes on within milliseconds. */
  deadUs: 5_000_000,
  /** Wi-Fi gives up after 15 s, both for the association and for the address (appendix A). */
  networkUs: 17_000_000,
  /** Section 8.6: a banner this long after the last line has no cause on the console. */
  silenceUs: 1_000_000,
  /** The lines of one crash, of one watchdog, of one error and of one banner follow each other. */
  crashUs: 3_000_000,
  watchdogUs: 300_000,
  failureUs: 200_000,
  bannerUs: 500_000,
  loopUs: 60_000_000,
  loopResets: 3,
  tornUs: 60_000_000,
  tornLines: 3,
} as const;

const romEvents: ReadonlySet<string> = new Set([
  'rom',
  'rom-build',
  'reset',
  'waiting-for-download',
  'waiting-for-spi-download',
  'no-application',
  'saved-pc',
  'rom-spi-wp',
  'rom-flash-mode',
  'rom-load',
  'rom-image-differs',
  'rom-image-sum',
  'rom-image-expected',
  'rom-image-taken',
  'entry',
]);

/** Without a crash around them they may as well be words of a sentence that the board prints. */
const ambiguousEvents: ReadonlySet<string> = new Set([
  'waiting-for-download',
  'waiting-for-spi-download',
  'rom-build',
  'rom-image-sum',
  'rom-image-expected',
  'elf',
  'rebooting',
  'caused-by',
  'early-brown-out',
  'watchdog-abort',
  'watchdog-task',
  'watchdog-running',
  'watchdog-cpu',
]);

const echokitTag = /^echokit(::|$)/;
/** The boot loader has a level of its own. */
const bootLoaderTag = /^(boot(\..*)?|esp_image|bootloader.*|secure_boot.*|flash_encrypt)$/;
/**
 * Signs that a line has lost bytes: a log line without its beginning, one that begins in the middle of
 * another, a broken prefix, a module in the middle of a word. Text that a board speaks has none of them; it may
 * hold `1) word: `, so tags without a prefix are known ones.
 */
const tornLine = new RegExp(
  [
    '^[^:]{0,12}\\) (?:echokit(?:::[a-z0-9_]+)*|wifi|esp_[a-z_]+|AFE[A-Z_]*): ?',
    '.[EWIDV] \\(\\d+\\) [A-Za-z0-9_.-]+(?:::[a-z0-9_]+)*: ?',
    '^[EWIDV] \\(\\d*[^\\d)]',
    '^[EWIDV] \\(\\d+\\) ',
    '::(?:app|audio|ws|network|bt|boards)\\b',
  ].join('|'),
);

/** Heap pairs of one boot that its trend is computed from, the newest: one comes with every sentence. */
const heapPairsMax = 4096;
/** Lines of one error, and tasks of one watchdog, whatever goes on printing them. */
const causesMax = 64;
const tasksMax = 64;

/** The board's clock has begun anew when it falls by so much. */
const clockFallMs = 3_000;

interface Banner {
  readonly atUs: number;
  readonly silentUs: number | null;
}

/** Why the firmware restarts the chip, when it says so. */
interface Ending {
  readonly atUs: number;
  readonly because: string;
}

/**
 * Turns the lines of a console into a story. Deadlines (a boot that says nothing, a console that dies) come
 * from the injected clock, with which the instants of the lines must agree.
 */
export class ConsoleStory {
  readonly #clock: Clock;
  readonly #listener: (event: StoryEvent) => void;
  readonly #alarms = new Map<string, Alarm>();

  #state: BoardState = 'Unknown';
  #identity: BoardIdentity = {};
  #openedUs: number | undefined;
  #requestedUs: number | undefined;
  #lastLineUs: number | undefined;
  #lastMs: number | undefined;
  #linesSinceBoot = 0;
  #banner: Banner | undefined;
  #crash: { readonly collector: CrashCollector; readonly atUs: number } | undefined;
  #crashEndedUs: number | undefined;
  #watchdog:
    | { readonly atUs: number; starved: string[]; running: string[]; frames: string }
    | undefined;
  #failure: { readonly atUs: number; reason: string; causes: string[] } | undefined;
  #ending: Ending | undefined;
  #brownOutUs: number | undefined;
  #spiramKiB: number | undefined;
  #heap: HeapPair[] = [];
  #afterSentence = false;
  #dead = false;
  #resets: number[] = [];
  #torn: number[] = [];
  /** The line before can go on in lines without a prefix. */
  #continued: ConsoleEvent['name'] | 'other' | undefined;
  #noApplication = false;
  /** No line has come since the port was opened: the first may be the rest of one. */
  #joining = false;
  /** The port was away before it was opened the last time. */
  #returned = false;
  /** What it means when the application starts before a reset is told. Undefined: one was, or the board is new to us. */
  #untoldReset: string | undefined;
  /** While a line is read: what it tells, for behind the line. */
  #told: StoryEvent[] | undefined;

  constructor(clock: Clock, listener: (event: StoryEvent) => void) {
    this.#clock = clock;
    this.#listener = listener;
  }

  get state(): BoardState {
    return this.#state;
  }

  get identity(): BoardIdentity {
    return this.#identity;
  }

  /** Of the sentences since the last boot; null while there are fewer than two. */
  heapTrend(): HeapTrend | null {
    return heapTrend(this.#heap);
  }

  /** The port was opened, for the first time or again. */
  opened(atUs: number): void {
    this.#returned = this.#openedUs !== undefined;
    if (this.#returned) this.#untoldReset = 'the reset came while the port was away';
    this.#openedUs = atUs;
    this.#joining = true;
    this.#after('quiet', storyLimits.quietUs, () =>
      this.#tell(atUs, { type: 'quiet', silentUs: storyLimits.quietUs }),
    );
  }

  /** The owner of the port resets the board now: the banner that follows is no surprise. */
  resetRequested(atUs: number): void {
    this.#requestedUs = atUs;
    this.#untoldReset ??= 'its banner was lost';
  }

  /** The board shows itself elsewhere: it connected to a server, for example. */
  boardHeard(atUs: number): void {
    if (!this.#dead) return;
    this.#dead = false;
    const silentUs = atUs - (this.#lastLineUs ?? atUs);
    this.#tell(atUs, { type: 'console-dead', silentUs, applicationLives: true });
  }

  /** Lines may have been lost: what is half told is told, and nothing continues. */
  interrupted(): void {
    this.#endFailure();
    this.#endWatchdog();
    this.#endCrash();
    this.#endBanner();
    this.#continued = undefined;
    for (const name of ['quiet', 'level', 'dead', 'network']) this.#cancel(name);
  }

  /** Tells what is half told and forgets the deadlines. */
  close(): void {
    this.interrupted();
    for (const name of [...this.#alarms.keys()]) this.#cancel(name);
  }

  /**
   * Lines must come in their order. What ended before the line is told first, then `show` is called,
   * then comes what the line itself tells. `joined` is the rest of a line whose beginning came before the opening.
   */
  read(timed: TimedLine, show: (origin: LineOrigin | 'joined') => void): void {
    this.#cancel('quiet');
    this.#cancel('dead');
    this.#dead = false;
    const told: StoryEvent[] = [];
    this.#told = told;
    const origin = this.#read(timed);
    this.#told = undefined;
    this.#lastLineUs = timed.endUs;
    this.#linesSinceBoot++;
    show(origin);
    for (const event of told) this.#listener(event);
  }

  /** Bytes came that could not be text: they make no story, but nothing is silent either. */
  noise(): void {
    this.#cancel('quiet');
    this.#cancel('dead');
  }

  #read(timed: TimedLine): LineOrigin | 'joined' {
    const { line, startUs } = timed;
    const event = this.#believed(line);
    const joining = this.#joining;
    this.#joining = false;
    if (joining && line.kind === 'bare' && event === null && line.text !== '') return 'joined';
    if (event?.name === 'rom') {
      this.#endFailure();
      this.#endWatchdog();
      this.#endCrash();
      this.#endBanner();
      this.#begin(startUs);
      this.#identity = { ...this.#identity, chip: event.chip };
      return 'rom';
    }
    if (event !== null && romEvents.has(event.name)) return this.#readRom(event, startUs);
    if (line.kind === 'log') this.#endBanner();
    if (this.#crash === undefined && beginsCrash(event) && !this.#inWatchdog(event)) {
      this.#endFailure();
      this.#endWatchdog();
      this.#crash = { collector: new CrashCollector(), atUs: startUs };
      this.#enter(startUs, 'Crashed', event!.name);
    }
    if (this.#crash?.collector.take(line) === true) {
      this.#after('crash', storyLimits.crashUs, () => this.#endCrash());
      this.#continued = undefined;
      if (event?.name === 'rebooting') this.#endCrash('behind');
      return line.kind === 'bare' && line.text.trim() === '' ? 'blank' : 'panic';
    }
    if (this.#readWatchdog(event, line, startUs)) return line.kind === 'bare' ? 'panic' : 'system';
    if (line.kind === 'bare') return this.#readBare(event, line.text, startUs);
    this.#endFailure();
    this.#readClock(line.ms, startUs);
    this.#continued = event?.name ?? 'other';
    if (line.level === 'I' && !bootLoaderTag.test(line.tag)) this.#cancel('level');
    if (event !== null) this.#readEvent(event, line.ms, startUs);
    if (event !== null) return echokitTag.test(line.tag) ? 'firmware' : 'system';
    if (tornLine.test(line.message)) this.#countTorn(startUs);
    else if (!echokitTag.test(line.tag)) return 'system';
    return 'unexpected';
  }

  /** The event of the line, but for text of a sentence that only looks like one. */
  #believed(line: ConsoleLine): ConsoleEvent | null {
    const { event } = line;
    if (event === null || line.kind === 'log' || !ambiguousEvents.has(event.name)) return event;
    return this.#continued === 'start-audio-read' ? null : event;
  }

  #readRom(event: ConsoleEvent, atUs: number): LineOrigin {
    switch (event.name) {
      case 'reset': {
        // A torn banner: this line has what counts.
        if (this.#banner === undefined) {
          this.#endCrash();
          this.#begin(atUs);
        }
        this.#tellReset(event.reset, event.reason, /DOWNLOAD/.test(event.mode));
        break;
      }
      case 'waiting-for-download':
      case 'waiting-for-spi-download':
        this.#endBanner();
        this.#cancel('level');
        this.#enter(atUs, 'Download', event.name);
        this.#tell(atUs, { type: 'download-mode' });
        break;
      case 'no-application':
        // The ROM repeats it for ever.
        if (!this.#noApplication) this.#tell(atUs, { type: 'no-application' });
        this.#noApplication = true;
        this.#cancel('level');
        break;
    }
    return 'rom';
  }

  #begin(atUs: number): void {
    const silentUs = this.#lastLineUs === undefined ? null : atUs - this.#lastLineUs;
    this.#banner = { atUs, silentUs };
    this.#after('banner', storyLimits.bannerUs, () => this.#endBanner());
    this.#continued = undefined;
    this.#lastMs = undefined;
    this.#noApplication = false;
    this.#linesSinceBoot = 0;
    this.#heap = [];
    // The address is that of a boot.
    const { ip: _, ...lasting } = this.#identity;
    this.#identity = lasting;
    this.#spiramKiB = undefined;
    this.#afterSentence = false;
    this.#cancel('network');
  }

  /** The banner's second half did not come. */
  #endBanner(): void {
    if (this.#banner !== undefined) this.#before(() => this.#tellReset(null, null, null));
  }

  #tellReset(number: number | null, name: string | null, download: boolean | null): void {
    const banner = this.#banner;
    if (banner === undefined) return;
    this.#banner = undefined;
    this.#cancel('banner');
    const { atUs, silentUs } = banner;
    const { kind, because } = this.#explain(number, atUs, silentUs);
    this.#tell(atUs, {
      type: 'reset',
      kind,
      number,
      name: number === null ? null : (resetReasons[number]?.name ?? name),
      because,
      mode: download === null ? 'unknown' : download ? 'download' : 'run',
      silentUs,
    });
    this.#forgetCauses();
    this.#enter(atUs, download === true ? 'Download' : 'Booting', 'reset');
    if (download !== true) {
      const waitedUs = storyLimits.levelUs - (this.#clock.nowUs() - atUs);
      this.#after('level', waitedUs, () => {
        const lines = this.#linesSinceBoot;
        this.#tell(atUs, { type: 'level-too-low', waitedUs: storyLimits.levelUs, lines });
      });
    }
    this.#countReset(kind, atUs);
  }

  #explain(
    number: number | null,
    atUs: number,
    silentUs: number | null,
  ): { readonly kind: ResetKind; readonly because: string } {
    const within = (sinceUs: number | undefined, limitUs: number): boolean =>
      sinceUs !== undefined && atUs - sinceUs <= limitUs;
    const cause = number === null ? undefined : resetReasons[number]?.cause;
    const software = number === 0x0c || number === 0x03 || number === null;
    const outside = number === 0x01 || number === 0x15 || number === null;
    if (number === 0x0f || (software && within(this.#brownOutUs, storyLimits.crashUs))) {
      return { kind: 'brown-out', because: 'the supply voltage fell too low' };
    }
    if (software && within(this.#crashEndedUs, storyLimits.crashUs)) {
      return { kind: 'crash', because: 'the firmware crashed' };
    }
    if (outside && within(this.#requestedUs, storyLimits.requestUs)) {
      return { kind: 'requested', because: 'this program reset the board' };
    }
    if (outside && within(this.#openedUs, storyLimits.openResetUs)) {
      if (this.#returned) {
        return { kind: 'power-or-pin', because: 'the port had gone and came back with it' };
      }
      return { kind: 'on-open', because: 'opening the port moved its lines' };
    }
    if (number === 0x01) {
      return { kind: 'power-or-pin', because: 'power came on, or the EN pin was pulled' };
    }
    if (number === 0x15) {
      return { kind: 'host', because: 'another program reset it over the USB port' };
    }
    if (number === 0x16) return { kind: 'debugger', because: 'a debugger reset it' };
    if (software && this.#ending !== undefined) {
      return { kind: 'restart', because: this.#ending.because };
    }
    if (number === null) {
      const silent = silentUs === null || silentUs > storyLimits.silenceUs;
      return silent
        ? { kind: 'power-or-pin', because: 'no line came before it: power, or an external reset' }
        : { kind: 'software', because: 'the line with the cause is missing' };
    }
    if (software) {
      return silentUs === null
        ? { kind: 'software', because: 'a restart or a crash; the lines before were not seen' }
        : { kind: 'restart', because: 'the firmware restarted the chip and gave no cause' };
    }
    if (number === 0x13 || number === 0x17) {
      return { kind: 'supply', because: cause ?? 'supply problem' };
    }
    const watchdog = resetReasons[number]?.name.includes('WDT') === true;
    return { kind: watchdog ? 'watchdog' : 'other', because: cause ?? 'an unknown cause' };
  }

  #countReset(kind: ResetKind, atUs: number): void {
    if (kind === 'requested' || kind === 'on-open') return;
    this.#resets = [...this.#resets.filter((us) => atUs - us <= storyLimits.loopUs), atUs];
    if (this.#resets.length < storyLimits.loopResets) return;
    this.#tell(atUs, {
      type: 'boot-loop',
      resets: this.#resets.length,
      withinUs: atUs - this.#resets[0]!,
    });
    this.#resets = [];
  }

  /** The clock of the board runs from its boot: it falls when a banner was lost. */
  #readClock(ms: number | null, atUs: number): void {
    if (ms === null) return;
    if (this.#lastMs !== undefined && this.#lastMs - ms > clockFallMs && ms < this.#lastMs / 2) {
      const silentUs = this.#lastLineUs === undefined ? null : atUs - this.#lastLineUs;
      const because = `the board's clock fell from ${this.#lastMs} to ${ms} ms; its banner was lost`;
      this.#begin(atUs);
      this.#banner = undefined;
      this.#cancel('banner');
      this.#tellUnseen(atUs, because, silentUs);
    }
    this.#lastMs = ms;
  }

  /** The application starts; there may be nothing to be seen of the reset before it. */
  #checkStart(atUs: number): void {
    const because = this.#untoldReset;
    if (because === undefined) return;
    const silentUs = this.#lastLineUs === undefined ? null : atUs - this.#lastLineUs;
    this.#begin(atUs);
    this.#banner = undefined;
    this.#cancel('banner');
    this.#tellUnseen(atUs, `the application starts anew; ${because}`, silentUs);
  }

  /** @param sign how it is known that there was a reset at all; why, the lines before may have said */
  #tellUnseen(atUs: number, sign: string, silentUs: number | null): void {
    const { kind, because } = this.#explainUnseen(atUs, sign);
    this.#forgetCauses();
    const reset = { type: 'reset', number: null, name: null, mode: 'run' } as const;
    this.#tell(atUs, { ...reset, kind, because, silentUs });
    this.#enter(atUs, 'Booting', 'reset');
    this.#countReset(kind, atUs);
  }

  #explainUnseen(
    atUs: number,
    sign: string,
  ): { readonly kind: ResetKind; readonly because: string } {
    const within = (sinceUs: number | undefined, limitUs: number): boolean =>
      sinceUs !== undefined && atUs - sinceUs <= limitUs;
    if (within(this.#requestedUs, storyLimits.requestUs))
      return { kind: 'requested', because: sign };
    if (within(this.#crashEndedUs, storyLimits.crashUs)) {
      return { kind: 'crash', because: `the firmware crashed; ${sign}` };
    }
    if (this.#ending !== undefined) {
      return { kind: 'restart', because: `${this.#ending.because}; ${sign}` };
    }
    return { kind: 'unseen', because: sign };
  }

  /** Of the next reset none of it is the cause. */
  #forgetCauses(): void {
    this.#untoldReset = undefined;
    this.#ending = undefined;
    this.#crashEndedUs = undefined;
    this.#brownOutUs = undefined;
    this.#requestedUs = undefined;
  }

  #readBare(event: ConsoleEvent | null, text: string, atUs: number): LineOrigin {
    if (text.trim() === '') return 'blank';
    if (event?.name === 'early-brown-out') {
      this.#brownOut(atUs);
      return 'panic';
    }
    if (this.#failure !== undefined) {
      if (event?.name !== 'caused-by' && this.#failure.causes.length < causesMax) {
        this.#failure.causes.push(text.trim());
      }
      this.#after('failure', storyLimits.failureUs, () => this.#endFailure());
      return 'continuation';
    }
    if (event !== null) return 'panic';
    if (tornLine.test(text) || text.includes('\ufffd')) {
      if (tornLine.test(text)) this.#countTorn(atUs);
      return 'unexpected';
    }
    return this.#continued === undefined ? 'unexpected' : 'continuation';
  }

  #countTorn(atUs: number): void {
    this.#torn = [...this.#torn.filter((us) => atUs - us <= storyLimits.tornUs), atUs];
    if (this.#torn.length < storyLimits.tornLines) return;
    const withinUs = atUs - this.#torn[0]!;
    this.#tell(atUs, { type: 'bytes-missing', torn: this.#torn.length, withinUs });
    this.#torn = [];
  }

  #inWatchdog(event: ConsoleEvent | null): boolean {
    return this.#watchdog !== undefined && event?.name === 'backtrace';
  }

  #readWatchdog(event: ConsoleEvent | null, line: ConsoleLine, atUs: number): boolean {
    if (event?.name === 'task-watchdog') {
      this.#endFailure();
      this.#endWatchdog();
      this.#continued = undefined;
      this.#watchdog = { atUs, starved: [], running: [], frames: '' };
      if (line.kind === 'log') this.#readClock(line.ms, atUs);
    } else if (this.#watchdog === undefined) return false;
    else if (event?.name === 'watchdog-task') {
      if (this.#watchdog.starved.length < tasksMax) {
        this.#watchdog.starved.push(`${event.task} (CPU ${event.cpu})`);
      }
    } else if (event?.name === 'watchdog-cpu') {
      if (this.#watchdog.running.length < tasksMax) {
        this.#watchdog.running.push(`${event.task} (CPU ${event.cpu})`);
      }
    } else if (event?.name === 'backtrace') this.#watchdog.frames ||= event.frames;
    else if (line.kind === 'log' && line.tag !== 'task_wdt') {
      // The other core goes on.
      return false;
    } else if (line.kind === 'bare' && event === null && line.text.trim() !== '') return false;
    this.#after('watchdog', storyLimits.watchdogUs, () => this.#endWatchdog());
    return true;
  }

  #readEvent(event: ConsoleEvent, ms: number | null, atUs: number): void {
    switch (event.name) {
      case 'brown-out':
        this.#brownOut(atUs);
        break;
      case 'entropy-source':
        this.#after('dead', storyLimits.deadUs, () => {
          this.#dead = true;
          this.#cancel('level');
          const silentUs = storyLimits.deadUs;
          this.#tell(atUs, { type: 'console-dead', silentUs, applicationLives: false });
        });
        break;
      case 'psram-found':
        this.#identity = { ...this.#identity, psramMegabytes: event.megabytes };
        break;
      case 'app-project':
        this.#identity = { ...this.#identity, project: event.project };
        break;
      case 'app-version':
        this.#identity = { ...this.#identity, version: event.version };
        break;
      case 'app-elf':
        this.#identity = { ...this.#identity, elfSha256: event.sha256.replace(/\.+$/, '') };
        break;
      case 'app-idf':
        this.#identity = { ...this.#identity, idf: event.version };
        break;
      case 'app-main':
        this.#checkStart(atUs);
        this.#untoldReset = 'its banner was lost';
        this.#tell(atUs, { type: 'boot', identity: this.#identity, bootMs: ms });
        break;
      case 'wifi-mac':
        this.#identify(atUs, { mac: event.mac.replaceAll(':', '').toLowerCase() });
        break;
      case 'wifi-ip':
        this.#identify(atUs, { ip: event.ip });
        break;
      case 'heap-spiram':
        this.#spiramKiB = event.kib;
        break;
      case 'heap-internal':
        this.#readHeap(event.kib, atUs);
        break;
      case 'audio-speed':
        this.#afterSentence = true;
        break;
      case 'error':
        this.#failure = { atUs, reason: event.reason, causes: [] };
        this.#after('failure', storyLimits.failureUs, () => this.#endFailure());
        break;
      case 'restart':
        this.#ending = {
          atUs,
          because: this.#ending?.because ?? 'the main loop of the firmware ended',
        };
        break;
      case 'setup-key':
      case 'setup-leave':
        this.#ending = { atUs, because: 'set-up mode was left' };
        break;
      case 'k0-edge':
        if (this.#state === 'NoServer' || this.#state === 'NoWifi') {
          this.#ending = { atUs, because: 'K0 was pressed on an error screen' };
        }
        break;
    }
    const to = stateAfter(event.name, this.#state);
    if (to !== undefined) this.#enter(atUs, to, event.name);
  }

  #readHeap(internalKiB: number, atUs: number): void {
    const spiramKiB = this.#spiramKiB;
    this.#spiramKiB = undefined;
    if (spiramKiB === undefined) return;
    this.#tell(atUs, { type: 'heap', spiramKiB, internalKiB });
    // The pairs of the start-up fall while the parts of the firmware are set up.
    if (!this.#afterSentence) return;
    this.#heap.push({ atUs, spiramKiB, internalKiB });
    if (this.#heap.length > heapPairsMax) this.#heap.shift();
    this.#afterSentence = false;
  }

  #identify(atUs: number, fact: { readonly mac: string } | { readonly ip: string }): void {
    const known: BoardIdentity = this.#identity;
    if ('mac' in fact ? known.mac === fact.mac : known.ip === fact.ip) return;
    this.#identity = { ...this.#identity, ...fact };
    const news = 'mac' in fact ? 'mac' : 'ip';
    this.#tell(atUs, { type: 'identity', news, identity: this.#identity });
  }

  #brownOut(atUs: number): void {
    this.#brownOutUs = atUs;
    this.#tell(atUs, { type: 'brown-out' });
  }

  #enter(atUs: number, to: BoardState, cause: string): void {
    const from = this.#state;
    if (from === to && to !== 'JoiningWifi') return;
    this.#state = to;
    if (from !== to) this.#tell(atUs, { type: 'state', from, to, cause });
    this.#cancel('network');
    if (to !== 'JoiningWifi') return;
    const stage = cause === 'wifi-dhcp' ? 'address' : 'association';
    this.#after('network', storyLimits.networkUs, () => {
      this.#tell(atUs, { type: 'network-stalled', stage, waitedUs: storyLimits.networkUs });
      this.#enter(this.#clock.nowUs(), 'NoWifi', 'network-stalled');
    });
  }

  #endFailure(): void {
    const failure = this.#failure;
    if (failure === undefined) return;
    this.#failure = undefined;
    this.#cancel('failure');
    const { atUs, reason, causes } = failure;
    this.#ending = { atUs, because: `its main loop failed: ${[reason, ...causes].join('; ')}` };
    this.#before(() => this.#tell(atUs, { type: 'failure', reason, causes }));
  }

  #endWatchdog(): void {
    const watchdog = this.#watchdog;
    if (watchdog === undefined) return;
    this.#watchdog = undefined;
    this.#cancel('watchdog');
    const { atUs, starved, running, frames } = watchdog;
    const backtrace = readFrames(frames);
    this.#before(() => this.#tell(atUs, { type: 'watchdog', starved, running, backtrace }));
  }

  #endCrash(place: 'before' | 'behind' = 'before'): void {
    const crash = this.#crash;
    if (crash === undefined) return;
    this.#crash = undefined;
    this.#cancel('crash');
    this.#crashEndedUs = this.#clock.nowUs();
    const tell = () => this.#tell(crash.atUs, { type: 'panic', crash: crash.collector.crash() });
    if (place === 'before') this.#before(tell);
    else tell();
  }

  /** What is told within comes before the line that is being read. */
  #before(tell: () => void): void {
    const told = this.#told;
    this.#told = undefined;
    tell();
    this.#told = told;
  }

  #tell(atUs: number, fact: StoryFact): void {
    const event = { atUs, ...fact };
    if (this.#told === undefined) this.#listener(event);
    else this.#told.push(event);
  }

  #after(name: string, delayUs: number, callback: () => void): void {
    this.#cancel(name);
    const alarm = this.#clock.after(delayUs, () => {
      this.#alarms.delete(name);
      callback();
    });
    this.#alarms.set(name, alarm);
  }

  #cancel(name: string): void {
    this.#alarms.get(name)?.cancel();
    this.#alarms.delete(name);
  }
}

/** The state that a line shows (section 5.2); undefined: it does not change. */
function stateAfter(name: ConsoleEvent['name'], state: BoardState): BoardState | undefined {
  switch (name) {
    case 'app-main':
      return 'Starting';
    case 'wifi-connecting':
    case 'wifi-dhcp':
      return 'JoiningWifi';
    case 'wifi-ip':
    case 'wifi-info':
      return 'ConnectingServer';
    case 'server-unreachable':
      return 'NoServer';
    case 'audio-started':
      return 'Idle';
    case 'ble-connected':
    case 'ble-advertising':
    case 'ble-read':
      return 'Setup';
    case 'setup-key':
    case 'setup-leave':
    case 'restart':
      return 'Restarting';
    case 'k0':
      // In Listening K0 ends the conversation; in every other state it begins one.
      if (state === 'Listening') return 'Idle';
      return ['Idle', 'Waiting', 'Speaking'].includes(state) ? 'Connecting' : undefined;
    case 'hello-awaited':
      return 'WaitingForHello';
    case 'hello-played':
    case 'start-chat':
    case 'utterance-started':
    case 'end-response':
      return 'Listening';
    case 'idle':
      return state === 'Listening' ? 'Idle' : undefined;
    case 'end-vad':
      return state === 'Idle' ? undefined : 'Waiting';
    case 'start-audio':
      return 'Speaking';
    default:
      return undefined;
  }
}
