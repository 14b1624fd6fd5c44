/**
 * A crash of the firmware as one thing: the lines of the panic handler collected
 * (EchoKit device protocol reference, section 8.6).
 */
import type { ConsoleEvent, ConsoleLine } from '../../firmware-protocol/console-line.ts';

export type CrashCause =
  | 'rust-panic'
  | 'out-of-memory'
  | 'abort'
  | 'assert'
  | 'stack-overflow'
  | 'interrupt-watchdog'
  | 'exception'
  /** Its first lines were lost. */
  | 'unknown';

export interface StackFrame {
  /** Address of the code. */
  readonly pc: number;
  readonly sp: number;
}

export interface Crash {
  readonly cause: CrashCause;
  /** One line that says what it was, in the words of the console. */
  readonly summary: string;
  /** Where a Rust panic or an assert says it was: `src/app.rs:120:9`. */
  readonly place?: string;
  readonly core?: number;
  /** The task, or the thread of a Rust panic. */
  readonly task?: string;
  /** By name: PC, PS, A0 …, EXCCAUSE, EXCVADDR. */
  readonly registers: Readonly<Record<string, number>>;
  /** Innermost first. */
  readonly backtrace: readonly StackFrame[];
  /** How it ended; `missing`: none came. */
  readonly backtraceEnd: 'complete' | 'corrupted' | 'continues' | 'missing';
  /** The first digits of the checksum of the program, as far as the console prints them. */
  readonly elfSha256?: string;
  /** The panic handler said that it restarts the chip. */
  readonly rebooting: boolean;
}

/** Lines of the message of a Rust panic; further ones belong to the crash and are left out of its summary. */
const messageLinesMax = 64;

/** Lines that begin a crash; those behind the register dump do when its first lines were lost. */
const beginnings: ReadonlySet<string> = new Set([
  'rust-panic',
  'rust-panic-numbered',
  'allocation-failed',
  'abort',
  'assert-failed',
  'guru-meditation',
  'debug-exception',
  'stack-canary',
  'stack-overflow',
  'register-dump',
  'backtrace',
  'elf',
  'rebooting',
]);

/** Whether the line opens a {@link CrashCollector}. */
export function beginsCrash(event: ConsoleEvent | null): boolean {
  return event !== null && beginnings.has(event.name);
}

/** The frames of a backtrace; some builds print them without the spaces between. */
export function readFrames(frames: string): StackFrame[] {
  return [...frames.matchAll(/0x([0-9a-f]{8}):0x([0-9a-f]{8})/gi)].map(([, pc, sp]) => ({
    pc: Number.parseInt(pc!, 16),
    sp: Number.parseInt(sp!, 16),
  }));
}

/** Takes the lines of one crash. */
export class CrashCollector {
  #cause: CrashCause = 'unknown';
  #summary: string | undefined;
  #place: string | undefined;
  #core: number | undefined;
  #task: string | undefined;
  #registers: Record<string, number> = {};
  #backtrace: StackFrame[] = [];
  #backtraceEnd: Crash['backtraceEnd'] = 'missing';
  #elfSha256: string | undefined;
  #rebooting = false;
  /** The message of a Rust panic stands in the lines behind. */
  #message: string[] | undefined;

  /** @returns whether the line belongs to the crash */
  take(line: ConsoleLine): boolean {
    const { event } = line;
    if (event === null) return this.#text(line);
    switch (event.name) {
      case 'rust-panic':
      case 'rust-panic-numbered':
        this.#is('rust-panic', `thread '${event.thread}' panicked`);
        this.#place = `${event.file}:${event.line}:${event.column}`;
        this.#task = event.thread;
        this.#message = [];
        return true;
      case 'allocation-failed':
        this.#is('out-of-memory', `memory allocation of ${event.bytes} bytes failed`);
        break;
      case 'abort':
        this.#is('abort', `abort() was called at PC ${hex(event.pc)} on core ${event.core}`);
        this.#core ??= event.core;
        this.#registers['PC'] ??= event.pc;
        break;
      case 'assert-failed':
        this.#is('assert', `assert failed: ${event.function} (${event.expression})`);
        this.#place = `${event.file}:${event.line}`;
        break;
      case 'guru-meditation':
        this.#is(
          /interrupt wdt/i.test(event.reason) ? 'interrupt-watchdog' : 'exception',
          event.reason,
        );
        this.#core = Number(event.core);
        break;
      case 'debug-exception': {
        const [, task] = /^Stack canary watchpoint triggered \((.*)\)$/.exec(event.reason) ?? [];
        if (task === undefined) this.#summary = event.reason;
        else this.#overflow(task);
        break;
      }
      case 'stack-canary':
      case 'stack-overflow':
        this.#overflow(event.task);
        break;
      case 'register-dump':
        this.#core ??= Number(event.core);
        break;
      case 'registers':
        for (const [, name, value] of event.registers.matchAll(/(\S+) *: (0x\w{8})/g)) {
          this.#registers[name!] = Number(value);
        }
        break;
      case 'backtrace':
        // The stack of the other core may follow: the first one is that of the crash.
        if (this.#backtrace.length > 0) break;
        this.#backtrace = readFrames(event.frames);
        this.#backtraceEnd = event.frames.includes('CORRUPTED')
          ? 'corrupted'
          : event.frames.includes('CONTINUES')
            ? 'continues'
            : 'complete';
        break;
      case 'elf':
        this.#elfSha256 = event.sha256;
        break;
      case 'rebooting':
        this.#rebooting = true;
        break;
      case 'isr-context':
        break;
      default:
        return false;
    }
    this.#message = undefined;
    return true;
  }

  crash(): Crash {
    return {
      cause: this.#cause,
      summary: this.#summary ?? 'the first lines of the crash are missing',
      ...(this.#place !== undefined && { place: this.#place }),
      ...(this.#core !== undefined && { core: this.#core }),
      ...(this.#task !== undefined && { task: this.#task }),
      registers: this.#registers,
      backtrace: this.#backtrace,
      backtraceEnd: this.#backtraceEnd,
      ...(this.#elfSha256 !== undefined && { elfSha256: this.#elfSha256 }),
      rebooting: this.#rebooting,
    };
  }

  /** The first cause counts: an abort after a Rust panic is its consequence. */
  #is(cause: CrashCause, summary: string): void {
    if (this.#cause !== 'unknown') return;
    this.#cause = cause;
    this.#summary = summary;
  }

  /** More exact than the exception through which it showed. */
  #overflow(task: string): void {
    this.#cause = 'stack-overflow';
    this.#summary = `stack overflow in task ${task}`;
    this.#task = task;
  }

  #text(line: ConsoleLine): boolean {
    if (line.kind === 'log') {
      // A core dump is written between the backtrace and the restart.
      return line.tag.startsWith('esp_core_dump');
    }
    const text = line.text.trim();
    if (text === '' || text.startsWith('note: run with `RUST_BACKTRACE')) {
      if (this.#message?.length !== 0) this.#message = undefined;
    } else if (this.#message !== undefined && this.#message.length < messageLinesMax) {
      this.#message.push(text);
      this.#summary = this.#message.join(' ');
    }
    return true;
  }
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
