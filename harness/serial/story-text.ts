/** What an event of the console's story means, and what to do about it, in words for people. */
import type { HeapTrend } from './heap-trend.ts';
import type { ResetStory, StoryEvent } from './story-event.ts';

export interface StoryText {
  /** `note`: as it should be. `trouble`: something a user will want to know. */
  readonly weight: 'note' | 'trouble';
  /** One line without a period. */
  readonly text: string;
  /** What to try next. */
  readonly hint?: string;
}

const note = (text: string): StoryText => ({ weight: 'note', text });
const trouble = (text: string, hint?: string): StoryText =>
  hint === undefined ? { weight: 'trouble', text } : { weight: 'trouble', text, hint };

/** @returns null for what the lines themselves say well enough: states and heap */
export function explainStory(event: StoryEvent): StoryText | null {
  switch (event.type) {
    case 'state':
    case 'heap':
      return null;
    case 'reset':
      return explainReset(event);
    case 'boot': {
      const { project = 'an application', version, elfSha256, idf } = event.identity;
      // Some builds print zeros.
      const build = elfSha256 === undefined || /^0*$/.test(elfSha256) ? '' : `, build ${elfSha256}`;
      const framework = idf === undefined ? '' : `, ESP-IDF ${idf}`;
      return note(`${project} ${version ?? 'of an unknown version'} starts${build}${framework}`);
    }
    case 'identity': {
      const { mac, ip } = event.identity;
      return note(`the board has ${event.news === 'mac' ? `device id ${mac}` : `address ${ip}`}`);
    }
    case 'panic': {
      const { cause, summary, place, core, task, backtrace, backtraceEnd, rebooting } = event.crash;
      const where = [
        ...(place === undefined ? [] : [`at ${place}`]),
        ...(task === undefined || cause === 'stack-overflow' ? [] : [`in ${task}`]),
        ...(core === undefined ? [] : [`on core ${core}`]),
      ].join(' ');
      const stack =
        backtrace.length === 0
          ? 'no backtrace'
          : `${backtrace.length} frames${backtraceEnd === 'complete' ? '' : `, ${backtraceEnd}`}`;
      const end = rebooting ? 'it restarts' : 'no restart was announced';
      const frames =
        backtrace.length === 0
          ? ''
          : `; ${backtrace.map(({ pc }) => `0x${pc.toString(16)}`).join(' ')}`;
      return trouble(
        `CRASH (${crashNames[cause]}): ${summary}${where === '' ? '' : ` ${where}`}; ${stack}; ${end}`,
        `${crashHints[cause]}${frames}`,
      );
    }
    case 'watchdog':
      return trouble(
        `a task holds a core for more than 5 s: ${event.starved.join(', ') || 'unknown'} did not run` +
          (event.running.length === 0 ? '' : `, running: ${event.running.join(', ')}`),
        'the board goes on; timings around this instant are worth nothing',
      );
    case 'brown-out':
      return trouble(
        'the supply voltage of the board fell too low',
        'another USB port, a shorter cable, a powered hub; a loud speaker draws the most',
      );
    case 'download-mode':
      return trouble(
        'the board waits for a download and runs nothing: K0 (GPIO0) was low at the reset',
        'let go of K0 and reset the board: by its button, or with "monitor --reset" where the port has lines',
      );
    case 'no-application':
      return trouble('the flash of the board holds no program', 'flash the firmware');
    case 'failure':
      return trouble(
        `the main loop failed: ${[event.reason, ...event.causes].join('; ')}`,
        'the board restarts by itself',
      );
    case 'boot-loop':
      return trouble(
        `${event.resets} resets within ${seconds(event.withinUs)}: the board does not stay up`,
        'look at the first crash; check the supply; flash the firmware again',
      );
    case 'quiet':
      return note(
        `no byte for ${seconds(event.silentUs)}: an idle board prints nothing, and neither does one ` +
          'without power, in download mode or with a dead console; press K0 or reset it to see which',
      );
    case 'level-too-low':
      return trouble(
        `no INFO line within ${seconds(event.waitedUs)} of the boot (${event.lines} lines came): ` +
          'log level too low in this build, or the application hangs',
        'the state of the board can be followed from its traffic with the server only',
      );
    case 'console-dead':
      return trouble(
        `the console stopped after the entropy-source line, ${seconds(event.silentUs)} ago` +
          (event.applicationLives ? ', while the board itself runs' : ''),
        event.applicationLives
          ? 'its USB console is lost until a power cycle: unplug the board for two seconds'
          : 'see whether the board still connects to its server; unplug it for two seconds',
      );
    case 'network-stalled':
      return trouble(
        `the board has not ${event.stage === 'address' ? 'got an address' : 'joined its Wi-Fi'} after ` +
          `${seconds(event.waitedUs)}; it prints nothing then and waits for K0`,
        event.stage === 'address'
          ? 'check the DHCP server of the network'
          : 'check name and password of the network and that it has 2.4 GHz',
      );
    case 'wrong-baud':
      return trouble(
        `${Math.round(event.share * 100)} % of the last ${event.bytes} bytes cannot be text`,
        event.baud === null
          ? 'this USB port has no baud rate: another program is talking to it, or other firmware is'
          : event.baud === 115_200
            ? 'the port is at 115200 baud, which the firmware uses: other firmware, or bad wiring'
            : `the port is at ${event.baud} baud, the firmware prints at 115200: --baud 115200`,
      );
    case 'bytes-missing':
      return trouble(
        `${event.torn} lines without their beginning within ${seconds(event.withinUs)}`,
        'another program reads the same port; close it',
      );
  }
}

const crashNames = {
  'rust-panic': 'Rust panic',
  'out-of-memory': 'out of memory',
  abort: 'abort',
  assert: 'assert',
  'stack-overflow': 'stack overflow',
  'interrupt-watchdog': 'interrupt watchdog',
  exception: 'CPU exception',
  unknown: 'unknown',
} as const;

const crashHints = {
  'rust-panic': 'a bug of the firmware, or a case it does not handle',
  'out-of-memory': 'see the heap lines before: which of the two fell',
  abort: 'see the lines before',
  assert: 'a bug of the firmware or of a library',
  'stack-overflow': 'the task needs a larger stack',
  'interrupt-watchdog': 'interrupts were blocked for 300 ms',
  exception: 'decode the backtrace: "monitor --elf <program>"',
  unknown: 'the beginning was lost',
} as const;

function explainReset({ kind, number, name, because, mode }: ResetStory): StoryText {
  const which = number === null ? 'reset' : `reset 0x${number.toString(16)} ${name}`;
  const text = `${which}: ${because}${mode === 'download' ? ', into download mode' : ''}`;
  switch (kind) {
    case 'requested':
    case 'power-or-pin':
    case 'restart':
    case 'debugger':
      return note(text);
    case 'on-open':
      return trouble(
        text,
        'whatever the board was doing is over; leave the port open, or use another adapter',
      );
    case 'host':
      return trouble(text, 'close other programs that use the port');
    case 'brown-out':
    case 'supply':
      return trouble(text, 'another USB port, a shorter cable, a powered hub');
    default:
      return trouble(text);
  }
}

/** One line about the heap, with the number of pairs and the uncertainty. */
export function heapTrendText({ n, spanUs, spiram, internal }: HeapTrend): string {
  const part = (name: string, slope: HeapTrend['spiram']): string => {
    const error = slope.standardError === null ? '' : ` ± ${slope.standardError.toFixed(2)}`;
    const rate = slope.kibPerHour === null ? '' : `, ${signed(slope.kibPerHour, 0)} KiB/h`;
    return `${name} ${signed(slope.kibPerPair, 2)}${error} KiB per sentence${rate}, lowest ${slope.lowestKiB} KiB`;
  };
  return `heap over ${n} sentences in ${seconds(spanUs)}: ${part('SPIRAM', spiram)}; ${part('internal', internal)}`;
}

function signed(value: number, digits: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(digits)}`;
}

function seconds(us: number): string {
  return `${Number((us / 1_000_000).toFixed(1))} s`;
}
