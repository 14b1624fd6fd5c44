import { closeSync, existsSync, openSync, writeSync } from 'node:fs';
import type { Clock } from '../clock/clock.ts';
import { SystemClock } from '../clock/system-clock.ts';
import { renderConsoleCounts } from '../report/console-text.ts';
import { decodeBacktrace, decodedText, findDecoders } from '../serial/backtrace-decoder.ts';
import { boardQuestion, type ChosenBoard, chooseBoard } from '../serial/board-choice.ts';
import { readRegistry, type Wiring } from '../serial/board-registry.ts';
import { ConsoleSession } from '../serial/console-session.ts';
import { listPorts } from '../serial/port-list.ts';
import { SerialError } from '../serial/serial-error.ts';
import type { StoryEvent } from '../serial/story-event.ts';
import { heapTrendText } from '../serial/story-text.ts';
import { type BoardAccess, boardAccess } from './board-access.ts';
import { type RegistryOption, registryPath } from './boards-command.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { LineFilter } from './line-filter.ts';
import { MonitorOutput, type TimestampKind } from './monitor-output.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface MonitorOptions extends RegistryOption {
  readonly port?: string;
  readonly baud: number;
  readonly json?: boolean;
  readonly filter?: string;
  readonly level?: string;
  readonly log?: string;
  readonly timestamps: TimestampKind;
  readonly reset?: boolean;
  /** How the cable reaches the chip, where neither the port nor the registry tells. */
  readonly wiring?: Wiring;
  /** No remarks on stderr but errors. */
  readonly quiet?: boolean;
  readonly elf?: string;
  readonly secret: readonly string[];
}

/** `monitor`: the console of a board until Ctrl-C. */
export async function monitorCommand(
  terminal: Terminal,
  name: string | undefined,
  options: MonitorOptions,
): Promise<number> {
  const { json = false, timestamps, baud } = options;
  const filter = new LineFilter(options);
  if (options.elf !== undefined && !existsSync(options.elf)) {
    throw new CommandError('USAGE', exitCode.usage, `There is no file ${options.elf}.`);
  }
  const found = await chosenBoard(name, options);
  const wiring = options.wiring ?? found.wiring;
  const chosen: ChosenBoard = { ...found, ...(wiring !== undefined && { wiring }) };
  const clock = new SystemClock();
  const signal = interruptSignal(
    options.quiet === true ? { say: () => {} } : terminal,
    'closing the port.',
  );
  // A pipe whose reader has left ends it, too.
  const stop = new AbortController();
  signal.addEventListener('abort', () => stop.abort());
  process.stdout.on('error', () => stop.abort());
  const say = (text: string): void => {
    if (options.quiet !== true) terminal.say(`monitor: ${text}`);
  };
  const access = boardAccess({ clock, chosen, baud, say, signal: stop.signal });
  const logFile = options.log === undefined ? undefined : openSync(options.log, 'a');
  const output = new MonitorOutput({
    clock,
    json,
    timestamps,
    filter,
    color: terminal.color,
    print: (text) => terminal.print(text),
    ...(logFile !== undefined && { log: (text: string) => void writeSync(logFile, `${text}\n`) }),
  });
  const decoding = new BacktraceQueue(options.elf, output);
  const session = new ConsoleSession({
    clock,
    address: chosen.address,
    baud: chosen.wiring === 'usb-jtag' ? null : baud,
    secrets: options.secret,
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
    if (options.reset === true) await reset(session, access, say, clock);
    await session.run(stop.signal);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
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

/** The board that a command with these options is about. */
export async function chosenBoard(
  name: string | undefined,
  options: Pick<MonitorOptions, 'port' | 'registry'>,
): Promise<ChosenBoard> {
  const path = registryPath(options);
  const asked = name === undefined ? {} : boardQuestion(name);
  const port = options.port ?? asked.port;
  // A network address needs no list of the ports of this machine.
  const ports = port?.includes('://') === true ? [] : await listPorts();
  return chooseBoard(
    { ...asked, ...(port !== undefined && { port }) },
    { ports, boards: readRegistry(path), registryPath: path },
  );
}

/** Restarts the board, and says how it went. */
export async function reset(
  session: ConsoleSession,
  access: BoardAccess,
  say: (text: string) => void,
  clock: Clock,
): Promise<void> {
  const { port, reader } = session;
  if (port === undefined) return;
  reader.resetRequested();
  const atUs = clock.nowUs();
  try {
    say(`reset, ${await access.reset(port)}`);
  } catch (error) {
    // A native USB port vanishes in the middle: the reset has happened, and the port returns.
    if (!(error instanceof SerialError) || error.code !== 'SERIAL_GONE') throw error;
    say(`the port vanished ${((clock.nowUs() - atUs) / 1000).toFixed(0)} ms after the reset`);
  }
}

/** Decodes one backtrace after the other, in their order. */
class BacktraceQueue {
  readonly #elf: string | undefined;
  readonly #output: MonitorOutput;
  readonly #decoders: readonly string[];
  #last: Promise<void> = Promise.resolve();

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
    const elfSha256 = event.type === 'panic' ? event.crash.elfSha256 : undefined;
    this.#last = this.#last.then(async () => {
      const decoders = this.#decoders;
      const result = await decodeBacktrace({ elf, backtrace, elfSha256, decoders });
      this.#output.decoded(event.atUs, decodedText(result));
    });
  }

  /** Resolves when everything is told. */
  end(): Promise<void> {
    return this.#last;
  }
}
