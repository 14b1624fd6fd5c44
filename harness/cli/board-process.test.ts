/**
 * `run --board` as a process of its own, at a virtual board behind an RFC 2217 server, which carries the lines: however
 * the process ends, the port is free afterwards, both lines are off, and what was recorded can be read.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import { diy } from '../device/device-profile.ts';
import type { Listener } from '../network/network.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { type Laboratory, openLaboratory } from '../runner/laboratory.ts';
import type { Recording } from '../trace/recorded-cell.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { listenWithRfc2217 } from '../virtual-board/rfc2217-server.ts';
import { type Attachment, VirtualBoard } from '../virtual-board/virtual-board.ts';
import { ProgramStarter, type Running } from './started-program.contract.ts';

const laboratory: Laboratory = await openLaboratory();
const programs = new ProgramStarter();
const open: (() => Promise<void>)[] = [];
test.after.always(async () => {
  programs.remove();
  for (const close of open) await close();
});

const clock = new SystemClock();
const host = '127.0.0.1';

/** A board that is up as soon as K0 does not lead into its set-up mode any more. */
const quick = { ...diy, constants: { ...diy.constants, bootUs: 2_100_000 } };

class Desk {
  readonly board: VirtualBoard;
  readonly address: string;
  readonly serverAddress: string;
  /** What the client has left the lines at; they are off while there is none. */
  lines = { dtr: false, rts: false };
  resets: string[] = [];
  #changed: () => void = () => {};

  private constructor(board: VirtualBoard, listener: Listener, serverAddress: string) {
    this.board = board;
    this.address = `rfc2217://${host}:${listener.endpoint.port}`;
    this.serverAddress = serverAddress;
  }

  static async set(): Promise<Desk> {
    const random = createRandom(1, 'desk');
    const free = await new SocketNetwork({ clock, random, outside: [] }).listen(
      { host, port: 0 },
      () => {},
    );
    const server = { host, port: free.endpoint.port };
    await free.close();
    const network = new SocketNetwork({ clock, random, outside: [server] });
    let desk: Desk | undefined;
    const board = new VirtualBoard({
      profile: quick,
      mac: '02ec0e0000c1',
      serverUrl: `ws://${host}:${server.port}/ws/`,
      wiring: 'bridge',
      clock,
      dialer: network,
      random,
      opus: laboratory.opus,
      voiceDetection: laboratory.voiceDetection,
      observe: (event) => {
        if (event.type === 'reset') desk?.resets.push(event.into);
        desk?.change();
      },
    });
    const attach = board.attach.bind(board);
    board.attach = (client) => {
      const attachment = attach(client);
      return attachment === undefined ? undefined : desk!.#watched(attachment);
    };
    const listener = await listenWithRfc2217({ network, endpoint: { host, port: 0 }, board });
    desk = new Desk(board, listener, `${host}:${server.port}`);
    board.powerOn();
    open.push(async () => {
      await board.close();
      await listener.close();
    });
    return desk;
  }

  #watched(attachment: Attachment): Attachment {
    return {
      ...attachment,
      setLines: (lines) => {
        this.lines = { ...this.lines, ...lines };
        attachment.setLines(lines);
        this.#changed();
      },
      detach: () => {
        attachment.detach();
        this.#changed();
      },
    };
  }

  change(): void {
    this.#changed();
  }

  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#changed = () => {
        if (condition()) resolve();
      };
      this.#changed();
    });
  }

  /** Resets the board through RTS alone, which resets nothing while DTR is still on. */
  async resetsInRunState(): Promise<boolean> {
    let attachment: Attachment | undefined;
    await this.until(() => {
      attachment ??= this.board.attach({ onBytes: () => {}, onGone: () => {} });
      return attachment !== undefined;
    });
    const before = this.resets.length;
    attachment!.setLines({ rts: true });
    await clock.sleep(5_000);
    attachment!.setLines({ rts: false });
    await this.until(() => this.resets.length > before);
    return this.resets.at(-1) === 'run';
  }
}

const scenario = programs.file(
  'short.toml',
  'title = "Short"\n[[turn]]\nsay = "Hello."\nreply = "Hi."\n',
);

function run(desk: Desk, name: string, environment = {}): { program: Running; out: string } {
  const out = join(programs.folder, name);
  const program = programs.start(
    [
      ...['run', '--board', desk.address, '--wiring', 'bridge', '--provider', 'openai', scenario],
      ...['--server-address', desk.serverAddress, '--speak', 'person', '--out', out],
    ],
    environment,
  );
  return { program, out };
}

function recordingBelow(out: string): Recording {
  const [id] = readdirSync(out);
  const cells = join(out, id!, 'cells');
  const [cell] = readdirSync(cells);
  return readRecording(join(cells, cell!.replace(/\.partial$/, '')));
}

const endings: readonly {
  readonly title: string;
  readonly signal: NodeJS.Signals;
  readonly exit: number | null;
  readonly finished: boolean;
}[] = [
  { title: 'Ctrl-C', signal: 'SIGINT', exit: 130, finished: true },
  { title: 'a polite kill', signal: 'SIGTERM', exit: 130, finished: true },
  { title: 'kill -9', signal: 'SIGKILL', exit: null, finished: false },
  { title: 'a crash of the program', signal: 'SIGUSR2', exit: 70, finished: false },
];

/** A defect that strikes when this signal comes, outside of every call. */
const planted = `process.on('SIGUSR2',()=>{throw(new(Error)('planted'))})`;

async function endsCleanly(
  t: ExecutionContext,
  { title, signal, exit, finished }: (typeof endings)[number],
): Promise<void> {
  const desk = await Desk.set();
  const { program, out } = run(desk, signal, {
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(planted)}`,
  });
  // In the middle of a press of K0: left like this, the next reset would lead into download mode.
  await desk.until(() => desk.lines.dtr);
  program.child.kill(signal);
  const ended = await program.ended;
  t.is(ended.exit, exit, `${title}: ${ended.stderr}`);
  t.true(await desk.resetsInRunState(), title);
  const recording = recordingBelow(out);
  t.is(recording.partial, !finished, title);
  t.true(
    recording.events.some(({ source, type }) => source === 'serial' && type === 'press'),
    title,
  );
  const last = recording.events.toSorted((a, b) => a.seq - b.seq).at(-1)!;
  t.is(last.type === 'end', finished, `${title}: ${last.type}`);
  if (exit === 70) t.regex(ended.stderr, /This is a defect of echokit-harness.*\n.*planted/);
}

test('Ctrl-C, a polite kill, kill -9 and a crash leave the port free, its lines off and the recording readable', async (t) => {
  t.timeout(90_000);
  await Promise.all(endings.map((ending) => endsCleanly(t, ending)));
});
