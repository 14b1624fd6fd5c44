import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { SystemClock } from '../../../harness/clock/system-clock.ts';
import { createRandom } from '../../../harness/random/random.ts';
import { openLocalPort } from '../../../harness/serial/local-port.ts';
import { SerialError } from '../../../harness/serial/serial-error.ts';
import { ConsoleLineReader } from '../../console-line.ts';
import { crc32 } from '../crc32.ts';
import { SerialLinkEndpoint, type SerialLinkEvent } from '../endpoint.ts';
import { everyFault, NoisyLine } from '../noisy-line.contract.ts';
import { buildC, removeBuilds } from './c-program.contract.ts';

test.after.always(removeBuilds);

/** Bytes per second that a pipe is said to carry; it does not wait, so nothing is as slow as a line. */
const bytesPerSecond = 200_000;

/** A conversation takes two or three seconds. */
const limitMs = 45_000;

interface Wire {
  write(bytes: Uint8Array): void;
  onBytes(listener: (bytes: Uint8Array) => void): void;
}

/**
 * A conversation in real time with `peer.c`, with faults in both directions: each event is answered with its length and
 * CRC, each piece of the microphone comes back, and each key is answered with a state.
 */
async function converse(t: ExecutionContext, wire: Wire, meanBytesBetween: number): Promise<void> {
  const random = createRandom(41, `peer ${meanBytesBetween}`);
  const noise = { meanBytesBetween, weights: everyFault };
  const lines = [
    new NoisyLine(115_200, random.fork('up'), noise),
    new NoisyLine(115_200, random.fork('down'), noise),
  ] as const;
  const through = (line: NoisyLine, bytes: Uint8Array, take: (bytes: Uint8Array) => void): void => {
    line.write(bytes, 0);
    while (line.nextUs < Number.POSITIVE_INFINITY) take(line.take());
  };
  const clock = new SystemClock();
  const expected = {
    answers: [] as string[],
    audio: [] as string[],
    states: 0,
  };
  const got = { answers: [] as string[], audio: [] as string[], states: 0 };
  const consoleReader = new ConsoleLineReader();
  const consoleLines: string[] = [];
  let finish: (() => void) | null = null;
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const hear = (event: SerialLinkEvent): void => {
    if (event.kind === 'text') {
      for (const line of consoleReader.push(event.bytes)) {
        if (line.kind === 'log' && line.tag === 'peer') consoleLines.push(line.message);
      }
    }
    if (event.kind === 'connected') speak();
    if (event.kind === 'disconnected' && event.reason !== 'closed') t.fail(event.reason);
    if (event.kind !== 'message') return;
    const { message } = event;
    if (message.type === 'client-command') got.answers.push(JSON.parse(message.text).input);
    if (message.type === 'upload-audio') {
      got.audio.push(Buffer.from(message.audio.bytes).toString('hex'));
    }
    if (message.type === 'board-state') got.states += 1;
    const answers = got.answers.length + got.audio.length + got.states;
    if (answers === 200) finish?.();
  };
  const host = new SerialLinkEndpoint({
    role: 'host',
    newSession: () => random.integer(1, 0xffff_ffff),
    bytesPerSecond,
    output: (bytes) => through(lines[0], bytes, (piece) => wire.write(piece)),
    onEvent: hear,
  });
  const speak = (): void => {
    for (let i = 0; i < 100; i++) {
      const bytes = random.bytes(random.integer(0, 1500));
      expected.answers.push(`${bytes.length} ${crc32(bytes).toString(16).padStart(8, '0')}`);
      host.send({ type: 'server-event', bytes }, clock.nowUs());
      if (i % 2 === 0) {
        const audio = { coding: 's16le', bytes: random.bytes(640) } as const;
        expected.audio.push(Buffer.from(audio.bytes).toString('hex'));
        const flags = { start: i === 0, end: i === 98, position: i * 160 };
        host.send({ type: 'microphone', ...flags, audio }, clock.nowUs());
      } else {
        expected.states += 1;
        host.send({ type: 'key', key: 'k0', action: 'tap', durationMs: 100 + i }, clock.nowUs());
      }
    }
  };
  let alarm = clock.after(0, () => {});
  const wait = (): void => {
    alarm.cancel();
    const next = host.nextDeadlineUs();
    if (next === Number.POSITIVE_INFINITY) return;
    alarm = clock.after(Math.max(0, next - clock.nowUs()), () => {
      host.due(clock.nowUs());
      wait();
    });
  };
  wire.onBytes((bytes) => {
    through(lines[1], bytes, (piece) => host.receive(piece, clock.nowUs()));
    wait();
  });
  host.start(clock.nowUs());
  wait();
  await finished;
  t.is(host.peer?.name, 'peer.c');
  host.close(clock.nowUs());
  alarm.cancel();
  t.deepEqual(got.answers, expected.answers);
  t.deepEqual(got.audio, expected.audio);
  t.is(got.states, expected.states);
  t.true(consoleLines.length > 100, `${consoleLines.length} console lines came through`);
  const faults = lines[0].faults + lines[1].faults;
  if (Number.isFinite(meanBytesBetween)) t.true(faults > 20, `${faults} faults`);
  t.log(`${faults} faults, ${host.statistics.framesRepeated} frames repeated`);
}

for (const meanBytesBetween of [Number.POSITIVE_INFINITY, 2500]) {
  const how = Number.isFinite(meanBytesBetween) ? 'with faults' : 'without faults';
  test.serial(`a conversation with the C peer over a pipe, ${how}`, async (t) => {
    t.timeout(limitMs);
    const built = buildC(t, 'peer');
    if (built === null) return;
    const [program, ...args] = built.command;
    const child = spawn(program, [...args, String(bytesPerSecond)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    t.teardown(() => child.kill('SIGKILL'));
    child.stdin.on('error', () => {});
    await converse(
      t,
      {
        write: (bytes) => child.stdin.write(bytes),
        onBytes: (listener) => child.stdout.on('data', listener),
      },
      meanBytesBetween,
    );
    child.stdin.end();
    t.is(await ended, 0, 'no sanitizer has found anything');
  });
}

test.serial('a conversation with the C peer over a pseudo-terminal, with faults', async (t) => {
  t.timeout(limitMs);
  const built = buildC(t, 'peer');
  if (built === null) return;
  try {
    execFileSync('socat', ['-V'], { stdio: 'ignore', timeout: limitMs });
  } catch {
    t.log('skipped: there is no socat; Debian: apt-get install socat');
    t.pass();
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'serial-link-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'port');
  const relay = spawn(
    'socat',
    [
      '-d',
      '-d',
      `PTY,raw,echo=0,link=${path}`,
      `EXEC:${[...built.command, bytesPerSecond].join(' ')}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  // The peer ends with it, because its input does.
  t.teardown(() => relay.kill('SIGKILL'));
  await new Promise<void>((resolve, reject) => {
    let said = '';
    relay.stderr.on('data', (bytes: Buffer) => {
      said += bytes.toString();
      if (said.includes('starting data transfer') && existsSync(path)) resolve();
    });
    relay.once('error', reject);
    relay.once('close', () => reject(new Error(`socat has ended: ${said}`)));
  });
  // Not a stream of node:tty: where it cannot open the terminal a second time it writes blocking, and while
  // socat writes towards us, the two would wait for each other for ever.
  const port = await openLocalPort(path, { clock: new SystemClock(), baud: 115_200 }).catch(
    (error: unknown) => {
      if (error instanceof SerialError && error.code === 'SERIAL_PACKAGE_MISSING') return null;
      throw error;
    },
  );
  if (port === null) {
    t.log('skipped: there is no package serialport; npm install serialport');
    t.pass();
    return;
  }
  t.teardown(() => port.close());
  port.onGone((problem) => t.log(problem.message));
  await converse(
    t,
    {
      // Whatever is lost with the port is missed by the conversation.
      write: (bytes) => void port.write(bytes).catch(() => {}),
      onBytes: (listener) => port.onBytes(listener),
    },
    2500,
  );
});
