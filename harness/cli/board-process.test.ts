/**
 * `run --board` as a process of its own, at a virtual board behind an RFC 2217 server, which carries the lines: however
 * the process ends, the port is free afterwards, both lines are off, and what was recorded can be read.
 */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import { diy } from '../device/device-profile.ts';
import { findAudible } from '../metrics/audibility.ts';
import type { Listener } from '../network/network.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import type { RunReport } from '../report/run-report.ts';
import { type Laboratory, openLaboratory } from '../runner/laboratory.ts';
import { ownCacheFolder } from '../runner/test-cache.contract.ts';
import type { Recording } from '../trace/recorded-cell.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { listenWithRfc2217 } from '../virtual-board/rfc2217-server.ts';
import { type Attachment, VirtualBoard } from '../virtual-board/virtual-board.ts';
import { ProgramStarter, type Running } from './started-program.contract.ts';

const laboratory: Laboratory = await openLaboratory(await ownCacheFolder());
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
  /** When the player of the board started. */
  speakerStartUs = 0;
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
        if (event.type === 'device' && event.event.type === 'boot' && desk !== undefined) {
          desk.speakerStartUs = event.event.speakerStartUs;
        }
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

const said = 'Hello there, how are you today?';
const talk = programs.file(
  'talk.toml',
  `title = "Talk"\n[[turn]]\nsay = "${said}"\nreply = "Fine, and it is nice to hear from you again."\n`,
);
const scenario = programs.file(
  'short.toml',
  'title = "Short"\n[[turn]]\nsay = "Hello."\nreply = "Hi."\n',
);

function run(
  desk: Desk,
  name: string,
  { environment = {}, file = scenario, more = [] }: RunSetting = {},
): { program: Running; out: string } {
  const out = join(programs.folder, name);
  const program = programs.start(
    [
      ...['run', '--board', desk.address, '--wiring', 'bridge', '--provider', 'openai', file],
      ...['--server-address', desk.serverAddress, '--speak', 'person', '--out', out],
      ...more,
    ],
    environment,
  );
  return { program, out };
}

interface RunSetting {
  readonly environment?: Readonly<Record<string, string>>;
  readonly file?: string;
  readonly more?: readonly string[];
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
    environment: {
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(planted)}`,
    },
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

/** A microphone in the room, at a port: the board and who speaks to it, both late by the latency, and noise. */
async function microphone(
  desk: Desk,
  clips: readonly { readonly atUs: number; readonly samples: Int16Array }[],
): Promise<number> {
  const latencyUs = 120_000;
  const random = createRandom(3, 'microphone');
  const server = createServer((socket) => {
    const startUs = clock.nowUs();
    let captured = 0;
    const deliver = (): void => {
      if (socket.destroyed) return;
      const until = Math.floor((clock.nowUs() - latencyUs - startUs) / 62.5);
      const piece = Buffer.alloc(2 * Math.max(0, until - captured));
      const sounds = [{ atUs: desk.speakerStartUs, samples: desk.board.speaker() }, ...clips];
      for (let i = 0; i < piece.length / 2; i++) {
        const atUs = startUs + (captured + i) * 62.5;
        let sample = (random.next() * 2 - 1) * 100;
        for (const { atUs: fromUs, samples } of sounds) {
          sample += 0.3 * (samples[Math.round((atUs - fromUs) / 62.5)] ?? 0);
        }
        piece.writeInt16LE(Math.round(sample), 2 * i);
      }
      captured += piece.length / 2;
      socket.write(piece);
      clock.after(100_000, deliver);
    };
    socket.on('error', () => {});
    clock.after(100_000, deliver);
  });
  open.push(async () => {
    server.close();
  });
  server.listen(0, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

test('a whole run: a person is asked and speaks, a program records the room, and the report has what was heard in it', async (t) => {
  t.timeout(90_000);
  const desk = await Desk.set();
  const clips: { atUs: number; samples: Int16Array }[] = [];
  const port = await microphone(desk, clips);
  const listener = `require('net').connect(${port},'${host}').pipe(process.stdout)`;
  const { program, out } = run(desk, 'room', {
    file: talk,
    more: ['--json', '--room-program', `"${process.execPath}" -e "${listener}"`],
  });
  program.child.stderr!.on('data', (text: string) => {
    if (!text.includes('Say now') || clips.length > 0) return;
    const { samples } = laboratory.voice.speak(said, 'rms');
    clips.push({ atUs: clock.nowUs(), samples });
    desk.board.hear(samples);
  });
  const { exit, stdout, stderr } = await program.ended;
  t.is(exit, 0, stderr);
  for (const step of ['resetting', 'boots firmware', 'connected to', 'listening', 'answering']) {
    t.regex(stderr, new RegExp(`^ +[0-9.]+ s {2}${step}`, 'm'));
  }
  const [cell] = (JSON.parse(stdout) as RunReport).cells;
  const { turns, problem } = cell!.room!;
  t.is(problem, null);
  const [turn] = turns;
  t.true(turn!.user.found && turn!.answer.found, JSON.stringify(turns));
  // The truth, from the board itself.
  const { atUs, samples } = clips[0]!;
  const speaker = desk.board.speaker();
  const index = (us: number): number => Math.round((us - desk.speakerStartUs) / 62.5);
  const stopUs = atUs + (findAudible(samples)!.last + 1) * 62.5;
  // What is left of the sound before comes first (quirk Q2).
  const begun = speaker.findIndex((sample, i) => i >= index(stopUs) && sample !== 0) + 256;
  const trueMs = (findAudible(speaker, begun)!.first - index(stopUs)) / 16;
  t.true(
    Math.abs(turn!.heardMs! - trueMs) <= turn!.errorMs!,
    `${turn!.heardMs} ± ${turn!.errorMs} ms for ${trueMs} ms`,
  );
  t.true(recordingBelow(out).room!.length > 5 * 16_000);
});
