/**
 * How soon a line of a board is known here, over a pseudo-terminal of this machine: from the write at its other end to
 * the instant that the line carries; and how soon a port that was away is read again.
 *
 * The sender has the other end itself (socat makes the terminal and becomes the sender), sleeps between its lines and
 * puts into each of them the instant at which it writes it, on the clock that both processes share. So a line contains
 * its own truth, and nothing but the terminal of the system lies between.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../clock/system-clock.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { ConsoleReader } from '../serial/console-reader.ts';
import { ConsoleSession, type SessionEvent } from '../serial/console-session.ts';
import { hasSerialPackage } from '../serial/local-port.ts';
import { openBoardPort } from '../serial/open-board-port.ts';
import type { BenchMeasurement } from './bench-part.ts';
import { type Figure, percentile } from './figure.ts';

/** In ms, in whole microseconds. */
export interface Lateness {
  readonly n: number;
  readonly leastMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface ConsoleArrival extends Lateness {
  /** Of all processors while it was measured, this program included: a busy machine measures itself. */
  readonly machineBusy: number;
}

const quickLines = 500;
const quickReturns = 10;
const fullLines = 1_000;
const fullReturns = 20;

export const consoleArrival: BenchMeasurement = {
  missing: consoleBenchMissing,
  async measure({ full }) {
    const arrival = await measureConsoleArrival(full ? fullLines : quickLines);
    const returns = await measureReconnection(full ? fullReturns : quickReturns);
    const busy = Math.round(100 * arrival.machineBusy);
    return [
      ...figuresOf('line', `write at the far end → instant of the line (${busy} % busy)`, arrival),
      ...figuresOf('return', 'port there again → open again', returns),
    ];
  },
};

function figuresOf(what: string, label: string, { n, p50Ms, p99Ms, maxMs }: Lateness): Figure[] {
  const rows = [
    ['p50', p50Ms],
    ['p99', p99Ms],
    ['max', maxMs],
  ] as const;
  return rows.map(([rank, value]) => ({
    id: `console.${what}_${rank}`,
    label: `${label}, ${rank}`,
    value,
    unit: 'ms',
    better: 'lower',
    kind: 'here',
    n,
  }));
}

/** The first lines meet code that was never run; a board has printed a whole boot by then. */
const warmUpLines = 100;

const sender = (lines: number): string => `import { writeSync } from 'node:fs';
let left = ${lines};
const send = () => {
  if (left-- === 0) return setTimeout(() => {}, 200);
  writeSync(1, 'I (1) bench: ' + process.hrtime.bigint() / 1000n + '\\r\\n');
  setTimeout(send, 8 + (left % 5));
};
setTimeout(send, 300);
`;

/** Without socat there is no terminal to measure with, without serialport nobody to read it. */
export async function consoleBenchMissing(): Promise<string | undefined> {
  if (spawnSync('socat', ['-V']).error !== undefined) return 'socat is not installed';
  return (await hasSerialPackage()) ? undefined : 'the package serialport is not installed';
}

/**
 * @param lines that count; 8 to 12 ms lie between two of them
 * @throws {SerialError} of the port
 */
export async function measureConsoleArrival(lines: number): Promise<ConsoleArrival> {
  const folder = mkdtempSync(join(tmpdir(), 'echokit-arrival-'));
  const path = join(folder, 'board');
  const script = join(folder, 'sender.mjs');
  writeFileSync(script, sender(lines + warmUpLines));
  const clock = new SystemClock();
  const child = terminal(path, `EXEC:${process.execPath} ${script},nofork`);
  try {
    await until(clock, () => existsSync(path));
    const lateUs: number[] = [];
    const reader = new ConsoleReader({
      clock,
      baud: 115_200,
      onLine: ({ text, endUs }) => {
        const written = /bench: (\d+)$/.exec(text)?.[1];
        if (written !== undefined) lateUs.push(clock.monotonicUs(endUs) - Number(written));
      },
      onStory: () => {},
    });
    const port = await open(path, clock);
    port.onBytes((bytes, atUs) => reader.push(bytes, atUs));
    const before = processorTimes();
    await once(child, 'close');
    const after = processorTimes();
    await port.close();
    reader.close();
    return {
      ...latenessOf(lateUs.slice(warmUpLines)),
      machineBusy: 1 - (after.idle - before.idle) / (after.all - before.all),
    };
  } finally {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Takes the port away and brings it back under its name, again and again.
 *
 * @returns from the instant at which the port is there to the one at which it is open again
 */
export async function measureReconnection(returns: number): Promise<Lateness> {
  const folder = mkdtempSync(join(tmpdir(), 'echokit-return-'));
  const path = join(folder, 'board');
  const clock = new SystemClock();
  const stop = new AbortController();
  let told: (event: SessionEvent) => void = () => {};
  const next = (type: SessionEvent['type']): Promise<SessionEvent> =>
    new Promise((resolve) => {
      told = (event) => {
        if (event.type === type) resolve(event);
      };
    });
  const session = new ConsoleSession({
    clock,
    address: path,
    baud: 115_200,
    open: (address) => open(address, clock),
    locate: () => (existsSync(path) ? path : null),
    onLine: () => {},
    onStory: () => {},
    onSession: (event) => told(event),
  });
  const lateUs: number[] = [];
  let child: ChildProcess | undefined;
  let running: Promise<void> | undefined;
  /** The terminal is made under another name first: so the instant at which it is there is known. */
  const plug = async (): Promise<number> => {
    const made = `${path}.made`;
    child = terminal(made, '-');
    await until(clock, () => existsSync(made));
    renameSync(made, path);
    return clock.nowUs();
  };
  try {
    await plug();
    const opened = next('opened');
    running = session.run(stop.signal);
    await Promise.race([opened, running]);
    for (let i = 0; i < returns; i++) {
      const gone = next('gone');
      rmSync(path);
      child?.kill();
      await gone;
      // A board returns at any moment between two looks.
      await clock.sleep(150_000 + (i % 10) * 11_000);
      const returned = next('returned');
      const thereUs = await plug();
      lateUs.push((await returned).atUs - thereUs);
    }
  } finally {
    stop.abort();
    await running?.catch(() => {});
    await session.close();
    child?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
  return latenessOf(lateUs);
}

/** A pseudo-terminal at this path; `end` is what has its other end. */
function terminal(path: string, end: string): ChildProcess {
  const pty = `pty,raw,echo=0,link=${path},wait-slave,pty-interval=0.005`;
  return spawn('socat', [pty, end], { stdio: ['pipe', 'ignore', 'ignore'] });
}

function open(path: string, clock: SystemClock) {
  const random = createRandom(1, 'console bench');
  return openBoardPort(path, { clock, dialer: new SocketNetwork({ clock, random, outside: [] }) });
}

/** The caller's limit ends it. */
async function until(clock: SystemClock, condition: () => boolean): Promise<void> {
  while (!condition()) await clock.sleep(5_000);
}

function processorTimes(): { readonly idle: number; readonly all: number } {
  const times = cpus().map((cpu) => cpu.times);
  const idle = times.reduce((sum, time) => sum + time.idle, 0);
  const all = times.reduce((sum, time) => sum + Object.values(time).reduce((a, b) => a + b), 0);
  return { idle, all };
}

function latenessOf(lateUs: readonly number[]): Lateness {
  const at = (share: number): number => percentile(lateUs, share) / 1000;
  return { n: lateUs.length, leastMs: at(0), p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
