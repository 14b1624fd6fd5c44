import { closeSync, existsSync, openSync, writeSync } from 'node:fs';
import { renderConsoleCounts } from '../report/console-text.ts';
import { decodeBacktrace, decodedText, findDecoders } from '../serial/backtrace-decoder.ts';
import type { Wiring } from '../serial/board-registry.ts';
import { ConsoleSession } from '../serial/console-session.ts';
import type { StoryEvent } from '../serial/story-event.ts';
import { heapTrendText } from '../serial/story-text.ts';
import { type BoardConsoleOptions, openBoardConsole, resetForUser } from './board-access.ts';
import { CommandError, exitCode } from './exit-code.ts';
import type { MonitorOutput } from './monitor-output.ts';
import type { Terminal } from './terminal.ts';

export interface MonitorOptions extends BoardConsoleOptions {
  readonly log?: string;
  readonly reset?: boolean;
  /** How the cable reaches the chip, where neither the port nor the registry tells. */
  readonly wiring?: Wiring;
  readonly elf?: string;
}

/** `monitor`: the console of a board until Ctrl-C. */
export async function monitorCommand(
  terminal: Terminal,
  name: string | undefined,
  options: MonitorOptions,
): Promise<number> {
  const { baud } = options;
  if (options.elf !== undefined && !existsSync(options.elf)) {
    throw new CommandError('USAGE', exitCode.usage, `There is no file ${options.elf}.`);
  }
  const logFile = options.log === undefined ? undefined : openSync(options.log, 'a');
  const { clock, chosen, stop, say, access, output, secrets } = await openBoardConsole(
    terminal,
    name,
    {
      ...options,
      command: 'monitor',
      closing: 'closing the port.',
      ...(logFile !== undefined && {
        keep: (text: string) => void writeSync(logFile, `${text}\n`),
      }),
    },
  );
  const decoding = new BacktraceQueue(options.elf, output);
  const session = new ConsoleSession({
    clock,
    address: chosen.address,
    baud: chosen.wiring === 'usb-jtag' ? null : baud,
    secrets,
    ...(chosen.expectedMac !== undefined && { expectedMac: chosen.expectedMac }),
    open: (address) => access.open(address),
    locate: () => access.locate(),
    onLine: (line) => output.line(line),
    onStory: (event) => {
      output.story(event);
      decoding.hearOf(event);
      const others = event.type === 'bytes-missing' ? access.others() : undefined;
      if (others !== undefined) say(others);
    },
    onSession: (event) => output.session(event),
  });
  say(`${chosen.address}, ${chosen.because}`);
  try {
    await session.start();
    if (options.reset === true) await resetForUser(session, access, say, clock);
    await session.run(stop);
  } catch (error) {
    if (!stop.aborted) throw error;
  } finally {
    await session.close();
    await decoding.end();
    say(renderConsoleCounts(session.reader.counts));
    const trend = session.reader.heapTrend();
    if (trend !== null) say(heapTrendText(trend));
    if (logFile !== undefined) closeSync(logFile);
  }
  return exitCode.interrupted;
}

/** Backtraces that wait for the decoder: a board that crashes faster than they are decoded does so in the same place. */
const backtracesWaitingMax = 16;

/** Decodes one backtrace after the other, in their order. */
class BacktraceQueue {
  readonly #elf: string | undefined;
  readonly #output: MonitorOutput;
  readonly #decoders: readonly string[];
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(elf: string | undefined, output: MonitorOutput) {
    this.#elf = elf;
    this.#output = output;
    this.#decoders = elf === undefined ? [] : findDecoders(process.env['PATH'] ?? '');
  }

  hearOf(event: StoryEvent): void {
    const elf = this.#elf;
    if (elf === undefined) return;
    if (event.type !== 'panic' && event.type !== 'watchdog') return;
    const backtrace = event.type === 'panic' ? event.crash.backtrace : event.backtrace;
    if (backtrace.length === 0) return;
    if (this.#waiting >= backtracesWaitingMax) {
      this.#output.decoded(event.atUs, [
        `not decoded: ${this.#waiting} others wait for the decoder`,
      ]);
      return;
    }
    this.#waiting++;
    const elfSha256 = event.type === 'panic' ? event.crash.elfSha256 : undefined;
    this.#last = this.#last.then(async () => {
      const decoders = this.#decoders;
      const result = await decodeBacktrace({ elf, backtrace, elfSha256, decoders });
      this.#output.decoded(event.atUs, decodedText(result));
      this.#waiting--;
    });
  }

  /** Resolves when everything is told. */
  end(): Promise<void> {
    return this.#last;
  }
}
