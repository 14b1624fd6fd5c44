/** A room whose sound is made here: what the virtual board truly plays and hears, late and in noise. */
import test from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import { findAudible } from '../metrics/audibility.ts';
import { measureRoom } from '../metrics/room-measurement.ts';
import { createRandom } from '../random/random.ts';
import { buildRunReport } from '../report/run-report.ts';
import { renderTerminalReport } from '../report/terminal-report.ts';
import { checkReportFormat } from '../trace/format-check.contract.ts';
import type { VirtualBoard, VirtualBoardEvent } from '../virtual-board/virtual-board.ts';
import type { RoomListener, RoomRecorder } from './room-capture.ts';
import { commandRecorder } from './room-program.ts';
import { type BoardRun, boardScenario, VirtualBench } from './virtual-bench.contract.ts';

const bench = await VirtualBench.open();
test.after.always(() => bench.remove());

const scenario = boardScenario(
  'two-turns',
  `[[turn]]
say = "How far away is the moon?"
reply = "The moon is about three hundred and eighty thousand kilometers away."
[[turn]]
say = "And how long does light take from there?"
reply = "Light from the moon needs a little more than one second."
`,
);

interface RoomSetting {
  /** From the microphone of the host to this program; nobody knows it. */
  readonly latencyUs: number;
  /** How loud the board and the user are in the capture; 0: not at all. */
  readonly board: number;
  readonly user: number;
  /** Largest sample of the noise. */
  readonly noise: number;
}

/** The truth: what sounded when. */
interface Heard {
  /** Last voiced sample of each clip of the user. */
  readonly userStopsUs: number[];
  board: VirtualBoard | undefined;
  speakerStartUs: number;
  captureStartUs: number;
}

async function runInRoom(setting: RoomSetting): Promise<{ run: BoardRun; truth: Heard }> {
  const truth: Heard = { userStopsUs: [], board: undefined, speakerStartUs: 0, captureStartUs: 0 };
  const clips: { readonly atUs: number; readonly samples: Int16Array }[] = [];
  const random = createRandom(5, 'room');
  let now: () => number = () => 0;
  const recorder: RoomRecorder = {
    name: 'planted',
    start(listener: RoomListener, clock) {
      now = () => clock.nowUs();
      const startUs = clock.nowUs();
      truth.captureStartUs = startUs;
      let captured = 0;
      let stopped = false;
      const deliver = (): void => {
        if (stopped) return;
        // What was in the air a latency ago arrives now.
        const until = Math.floor((clock.nowUs() - setting.latencyUs - startUs) / 62.5);
        const piece = new Int16Array(Math.max(0, until - captured));
        const atUs = startUs + captured * 62.5;
        add(piece, atUs, truth.board!.speaker(), truth.speakerStartUs, setting.board);
        for (const clip of clips) add(piece, atUs, clip.samples, clip.atUs, setting.user);
        for (let i = 0; i < piece.length; i++) {
          piece[i]! += Math.round((random.next() * 2 - 1) * setting.noise);
        }
        captured += piece.length;
        if (piece.length > 0) listener.sound(piece);
        clock.after(200_000, deliver);
      };
      clock.after(200_000, deliver);
      return {
        stop: async () => {
          stopped = true;
        },
      };
    },
  };
  const run = await bench.run(scenario, {
    // The model does not see how long a message is under way through the air, so the estimate is wrong.
    network: 'far-server',
    board: {
      observe: (event: VirtualBoardEvent) => {
        if (event.type === 'device' && event.event.type === 'boot') {
          truth.speakerStartUs = event.event.speakerStartUs;
        }
      },
    },
    hear: (samples, board) => {
      clips.push({ atUs: now(), samples });
      truth.userStopsUs.push(now() + (findAudible(samples)!.last + 1) * 62.5);
      board.hear(samples);
    },
    script: (board) => {
      truth.board = board;
    },
    equipment: { room: recorder },
  });
  return { run, truth };
}

/** Adds a sound that begins at `startUs` to a piece of the room that begins at `atUs`. */
function add(
  piece: Int16Array,
  atUs: number,
  sound: Int16Array,
  startUs: number,
  gain: number,
): void {
  const offset = Math.round((atUs - startUs) / 62.5);
  for (let i = Math.max(0, -offset); i < piece.length && offset + i < sound.length; i++) {
    piece[i] = Math.max(
      -32_000,
      Math.min(32_000, piece[i]! + Math.round(sound[offset + i]! * gain)),
    );
  }
}

/**
 * The first audible sample of the answer at the board's speaker behind an instant. What is left of the sound before, up to
 * 255 samples, comes first (quirk Q2), and is none of it.
 */
function firstAudibleUs(speaker: Int16Array, { speakerStartUs }: Heard, fromUs: number): number {
  const from = Math.round((fromUs - speakerStartUs) / 62.5);
  const begun = speaker.findIndex((sample, i) => i >= from && sample !== 0);
  return speakerStartUs + findAudible(speaker, begun + 256)!.first * 62.5;
}

function reportOf(run: BoardRun): string {
  const report = checkReportFormat(
    buildRunReport({
      cells: [run],
      run: { id: 'r', seed: 1, time: 'virtual', live: false },
      environment: {},
    }),
  );
  const settings = { color: false, width: 200, recordingsFolder: '.', nextSteps: [] };
  return renderTerminalReport(report, settings);
}

test('the answer is found in the room to a few ms, whatever the latency of the capture, where the estimate is off', async (t) => {
  const found: number[][] = [];
  for (const latencyUs of [5_000, 380_000]) {
    const { run, truth } = await runInRoom({ latencyUs, board: 0.3, user: 0.2, noise: 120 });
    t.is(run.verdict.outcome, 'pass', JSON.stringify(run.verdict.failures));
    const { turns, problem } = run.room!;
    t.is(problem, null);
    const speaker = truth.board!.speaker();
    found.push(
      turns.map(({ heardMs, errorMs, estimatedMs }, i) => {
        const stopUs = truth.userStopsUs[i]!;
        const trueMs = (firstAudibleUs(speaker, truth, stopUs) - stopUs) / 1000;
        const wrong = heardMs! - trueMs;
        t.true(Math.abs(wrong) <= 4, `${latencyUs} µs, turn ${i + 1}: ${wrong.toFixed(2)} ms off`);
        t.true(Math.abs(wrong) <= errorMs!);
        t.log(
          `latency ${latencyUs / 1000} ms, turn ${i + 1}: room ${wrong.toFixed(2)} ms off, estimate ${(estimatedMs! - trueMs).toFixed(2)}`,
        );
        return heardMs!;
      }),
    );
    t.regex(reportOf(run), /turn 1: heard \d+ ± 20 ms after the last word; estimated: \d+ ms, so/);
    // A break of 96 ms that only the board had, 2 s behind its first sound, moves nothing.
    const { recorded } = run;
    const room = recorded.room!;
    const firstUs = firstAudibleUs(speaker, truth, truth.userStopsUs[0]!);
    const place = Math.round((firstUs - truth.captureStartUs) / 62.5) + 2 * 16_000;
    const broken = new Int16Array(room.length + 1536);
    broken.set(room.subarray(0, place));
    broken.set(room.subarray(place), place + 1536);
    const [turn] = measureRoom({ ...recorded, room: broken })!.turns;
    t.true(Math.abs(turn!.heardMs! - turns[0]!.heardMs!) <= 1, `${turn!.heardMs} ms`);
  }
  t.is(found[0]!.length, 2);
});

test('a room with nothing but noise in it is refused, and the report says so', async (t) => {
  const { run } = await runInRoom({ latencyUs: 40_000, board: 0, user: 0, noise: 4_000 });
  for (const { heardMs, user, answer } of run.room!.turns) {
    t.is(heardMs, null);
    t.false(user.found);
    t.false(answer.found);
  }
  t.regex(
    reportOf(run),
    /turn 1: not measured, the user's words were not found: nothing is like it: correlation 0\.\d\d, and 0\.\d\d is needed; the answer was not found/,
  );
});

test('without the words of the user in the room the latency of the capture is unknown, and only a bound is told', async (t) => {
  const { run, truth } = await runInRoom({ latencyUs: 150_000, board: 0.3, user: 0, noise: 120 });
  const [turn] = run.room!.turns;
  t.is(turn!.heardMs, null);
  t.true(turn!.answer.found);
  const speaker = truth.board!.speaker();
  const stopUs = truth.userStopsUs[0]!;
  const trueMs = (firstAudibleUs(speaker, truth, stopUs) - stopUs) / 1000;
  const laterMs = turn!.answer.found ? turn!.answer.laterMs : Number.NaN;
  // 150 ms of the capture's latency are in it.
  t.true(Math.abs(laterMs - 150 - (trueMs - turn!.estimatedMs!)) <= 6, `${laterMs} ms`);
  const words = reportOf(run).replaceAll(/\s+/g, ' ');
  t.regex(words, /the answer began at most \d+ ms later than estimated/);
});

test('a microphone that gives silence is told as one that is not permitted', async (t) => {
  const { run } = await runInRoom({ latencyUs: 0, board: 0, user: 0, noise: 0 });
  t.regex(run.room!.problem!, /nothing but silence was captured/);
  t.deepEqual(run.room!.turns, []);
});

/** Runs a command for the shell as a recorder, until `enough` or its end. */
async function record(
  t: { teardown(f: () => Promise<void>): void },
  command: string,
  enough: (samples: number) => boolean,
): Promise<{ samples: number[]; problem: string | undefined; stop: () => Promise<void> }> {
  const samples: number[] = [];
  const clock = new SystemClock();
  return new Promise((resolve) => {
    const running = commandRecorder(command).start(
      {
        sound: (piece) => {
          samples.push(...piece);
          if (enough(samples.length)) {
            resolve({ samples, problem: undefined, stop: () => running.stop() });
          }
        },
        ended: (problem) => resolve({ samples, problem, stop: () => running.stop() }),
      },
      clock,
    );
    t.teardown(() => running.stop());
  });
}

test('a command records: samples that come in halves are put together, and it is stopped with what its shell has started', async (t) => {
  t.timeout(20_000);
  const program =
    'process.stdout.write(Buffer.of(1,0,2));setTimeout(()=>process.stdout.write(Buffer.of(0,3,0xff)),50);setInterval(()=>{},1000)';
  const command = `"${process.execPath}" -e "${program}" & wait`;
  const { samples, stop } = await record(t, command, (count) => count >= 3);
  t.deepEqual(samples, [1, 2, 3 - 256]);
  await stop();
  t.pass('it has ended');
});

test('a command that ends by itself is told with its words', async (t) => {
  t.timeout(20_000);
  const { problem } = await record(t, 'echo no microphone >&2; exit 3', () => false);
  t.is(problem, 'echo no microphone >&2; exit 3: no microphone');
});
