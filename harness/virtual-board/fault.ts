/**
 * What goes wrong with boards, as data: text of the console and what becomes of the chip. Crash texts:
 * EchoKit device protocol reference, section 8.6. Standing faults: pitfalls catalogue, group R.
 */
import { brownOutReset, softwareReset } from './reset-cause.ts';

/** Is so as long as the board lives. */
export const standingFaults = {
  'errors-only': 'a build that logs errors only (R10)',
  'garbage-at-start':
    'noise before the first line of every boot: 600 bytes without a line end (R09)',
  'wrong-baud': 'everything arrives as if the baud rate were wrong (R09)',
  'reset-on-open': 'opening the port resets the board (R01)',
  'download-on-open': 'opening the port leaves the board in download mode (R02)',
  'dead-console':
    'after a reset by the host the console is silent, and the application lives (R06)',
  'dead-console-sometimes': 'the same after one reset in twenty (R06)',
  'vanish-on-reset': 'a reset by the host takes the port away; it returns under another name (R05)',
  'stolen-bytes': 'another program reads the port, too, and takes half of what comes (R03)',
} as const;

export type StandingFault = keyof typeof standingFaults;

/** What the chip does after it has printed the text. */
export type Aftermath =
  | { readonly kind: 'go on' }
  /** Everything is lost, and the chip boots. */
  | { readonly kind: 'reset'; readonly cause: number }
  /** The application lives, but nothing comes out of the console. */
  | { readonly kind: 'silent' }
  | { readonly kind: 'power off' }
  /** Without power for so long. */
  | { readonly kind: 'power cycle'; readonly offUs: number }
  /** The port is away for so long; the chip has power. */
  | { readonly kind: 'vanish'; readonly awayUs: number; readonly as: 'same name' | 'other name' };

export interface SuddenFault {
  readonly about: string;
  /** Without line ends. @param ms since the boot */
  lines(ms: number): readonly string[];
  /** The lines are a log, which a low log level can leave out; otherwise the panic handler writes them. */
  readonly log?: true;
  readonly aftermath: Aftermath;
}

const backtrace =
  'Backtrace: 0x4037a1c6:0x3fcebc10 0x4037f0a1:0x3fcebc30 0x42034d5a:0x3fcebd60 0x4201a2b6:0x3fcebdb0';

const registers = [
  'Core  0 register dump:',
  'PC      : 0x4201a2b6  PS      : 0x00060e30  A0      : 0x82034d5d  A1      : 0x3fcebc10  ',
  'A2      : 0x00000000  A3      : 0x3c12a4f0  A4      : 0x00000001  A5      : 0x3fcaa1d4  ',
  'EXCVADDR: 0x00000010  LBEG    : 0x400556d5  LEND    : 0x400556e5  LCOUNT  : 0xffffffff  ',
];

const afterPanic = [
  '',
  '',
  backtrace,
  '',
  '',
  '',
  '',
  'ELF file SHA256: 000000000',
  '',
  'Rebooting...',
];

const reboot: Aftermath = { kind: 'reset', cause: softwareReset };

function panic(about: string, ...first: string[]): SuddenFault {
  return { about, lines: () => ['', ...first, ...afterPanic], aftermath: reboot };
}

function exception(about: string, reason: string): SuddenFault {
  return panic(
    about,
    `Guru Meditation Error: Core  0 panic'ed (${reason}). Exception was unhandled.`,
    '',
    ...registers,
  );
}

const aborted = 'abort() was called at PC 0x42034d5a on core 0';

/** Happens once, now. */
export const suddenFaults = {
  'rust-panic': panic(
    'a Rust panic with its backtrace, then a restart',
    "thread 'main' panicked at src/app.rs:412:31:",
    'called `Option::unwrap()` on a `None` value',
    'note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace',
    '',
    aborted,
  ),
  'guru-meditation': exception('a CPU exception, then a restart', 'LoadProhibited'),
  'interrupt-watchdog': exception(
    'interrupts were off for 300 ms, then a restart',
    'Interrupt wdt timeout on CPU0',
  ),
  'stack-overflow': panic(
    'a task ran out of stack, then a restart',
    '***ERROR*** A stack overflow in task pthread has been detected.',
  ),
  'stack-canary': panic(
    'a task wrote beyond its stack, then a restart',
    "Guru Meditation Error: Core  1 panic'ed (Unhandled debug exception). Exception was unhandled.",
    'Stack canary watchpoint triggered (pthread)',
    ...registers,
  ),
  abort: panic('abort() was called, then a restart', aborted),
  'assert-failed': panic(
    'an assertion of ESP-IDF failed, then a restart',
    'assert failed: xQueueSemaphoreTake queue.c:1709 (( pxQueue ))',
  ),
  'out-of-memory': panic(
    'no memory was left, then a restart',
    'memory allocation of 65536 bytes failed',
    '',
    aborted,
  ),
  'task-watchdog': {
    about: 'a task kept a core busy for 5 s; the board goes on',
    log: true,
    lines: (ms) => [
      `E (${ms}) task_wdt: Task watchdog got triggered. The following tasks/users did not reset the watchdog in time:`,
      ' - IDLE0 (CPU 0)',
      'Tasks currently running:',
      'CPU 0: pthread',
      'CPU 1: IDLE1',
      'Print CPU 0 (current core) backtrace',
    ],
    aftermath: { kind: 'go on' },
  },
  'brown-out': {
    about: 'the supply voltage broke down, then a restart',
    lines: () => ['I BOD: Brownout detector was triggered', ''],
    aftermath: { kind: 'reset', cause: brownOutReset },
  },
  'esp-restart': {
    about: 'the firmware restarts on purpose',
    log: true,
    lines: (ms) => [
      `E (${ms}) echokit: Error: Timeout sending message`,
      `E (${ms}) echokit: WebSocket task finished`,
    ],
    aftermath: reboot,
  },
  'power-loss': {
    about: 'no power for half a second',
    lines: () => [],
    aftermath: { kind: 'power cycle', offUs: 500_000 },
  },
  unplug: {
    about: 'the cable is pulled out: no power, no port',
    lines: () => [],
    aftermath: { kind: 'power off' },
  },
  vanish: {
    about: 'the port is away for 1.5 s and returns under another name; the board goes on (R05)',
    lines: () => [],
    aftermath: { kind: 'vanish', awayUs: 1_500_000, as: 'other name' },
  },
  'loose-cable': {
    about: 'the port is away for 1.5 s and returns under its name; the board goes on',
    lines: () => [],
    aftermath: { kind: 'vanish', awayUs: 1_500_000, as: 'same name' },
  },
  silence: {
    about:
      'the console falls silent and the application lives, until the board is without power (R06)',
    lines: () => [],
    aftermath: { kind: 'silent' },
  },
} as const satisfies { readonly [name: string]: SuddenFault };

export type SuddenFaultName = keyof typeof suddenFaults;
