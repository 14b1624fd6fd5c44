import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { wallClockTimes } from '../clock/system-clock.ts';
import { onConsole, panicLines, romLines } from '../serial/board-boot.contract.ts';
import { ConsoleReader } from '../serial/console-reader.ts';
import { LineFilter } from './line-filter.ts';
import { MonitorOutput, type MonitorOutputOptions } from './monitor-output.ts';

const esc = String.fromCharCode(27);

function bench(options: Partial<MonitorOutputOptions> = {}) {
  const clock = new SimulatedClock();
  const printed: string[] = [];
  const logged: string[] = [];
  const output = new MonitorOutput({
    clock,
    json: false,
    timestamps: 'none',
    filter: new LineFilter({}),
    color: false,
    clean: (text) => text,
    print: (text) => printed.push(text),
    log: (text) => logged.push(text),
    ...options,
  });
  const reader = new ConsoleReader({
    clock,
    baud: 115_200,
    onLine: (line) => output.line(line),
    onStory: (event) => output.story(event),
  });
  return { clock, printed, logged, output, reader };
}

test('a crash and the restart after it are explained under their lines', (t) => {
  const { printed, reader } = bench();
  reader.push(onConsole([...panicLines, ...romLines('0xc (RTC_SW_CPU)')]), 0);
  const rebooting = printed.indexOf('Rebooting...');
  t.regex(
    printed[rebooting + 1]!,
    /^-- CRASH \(CPU exception\): LoadProhibited on core 0; 3 frames/,
  );
  t.regex(printed[rebooting + 2]!, /^ {3}hint: .*0x42008a19/);
  const cause = printed.findIndex((line) => line.startsWith('rst:0xc'));
  t.is(printed[cause + 1], '-- reset 0xc RTC_SW_CPU: the firmware crashed');
});

test('levels have colors on a terminal and none in the log', (t) => {
  const { printed, logged, reader } = bench({ color: true });
  reader.push(
    Buffer.from('E (1) echokit: WebSocket task finished\nI (2) echokit::app: No events\n'),
    0,
  );
  t.is(printed[0], `${esc}[31mE (1) echokit: WebSocket task finished${esc}[39m`);
  t.is(printed.at(-1), 'I (2) echokit::app: No events');
  t.false(logged.join('').includes(esc));
});

test('nothing that a board prints acts on the terminal', (t) => {
  const { printed, reader } = bench();
  reader.push(
    Buffer.from(`I (2) echokit::ws: Received StartAudio event: ${esc}]0;title\u0007 \u009b2J\n`),
    0,
  );
  t.false(/\p{Cc}/u.test(printed.join('')), JSON.stringify(printed));
});

test('a filter takes lines from the screen, never from the log, and never the story', (t) => {
  const { printed, logged, reader } = bench({ filter: new LineFilter({ level: 'W' }) });
  reader.push(onConsole(['I (1) echokit::app: No events', ...romLines('0x1 (POWERON)')]), 0);
  t.deepEqual(printed, ['-- reset 0x1 POWERON: power came on, or the EN pin was pulled']);
  t.is(logged.length, 1 + romLines('0x1 (POWERON)').length + 1);
});

test('time stamps: of the run, since the boot, or none', async (t) => {
  const run = bench({ timestamps: 'run' });
  const boot = bench({ timestamps: 'boot' });
  for (const { clock, reader } of [run, boot]) {
    await clock.run(clock.sleep(1_500_000));
    reader.push(
      onConsole(['I (1) echokit::app: No events', 'ESP-ROM:esp32s3-20210327']),
      clock.nowUs(),
    );
    await clock.run(clock.sleep(250_000));
    reader.push(onConsole(['I (27) boot: Multicore bootloader']), clock.nowUs());
  }
  const lines = (printed: string[]) => printed.filter((line) => !line.startsWith('--'));
  t.is(lines(run.printed)[0], '    1.500  I (1) echokit::app: No events');
  t.deepEqual(
    lines(boot.printed).map((line) => line.slice(0, 9).trim()),
    ['—', '0.000', '0.250'],
  );
  const wall = bench({ timestamps: 'wall' });
  wall.reader.push(onConsole(['I (1) echokit::app: No events']), 0);
  t.regex(wall.printed[0]!, /^\d\d:\d\d:\d\d\.\d{3} {2}I \(1\)/);
});

test('the time of day never falls from line to line, and follows a clock that was set', (t) => {
  // 2026-11-27, 12:00 UTC.
  let wallMs = 1_795_780_800_000;
  let runUs = 5_000_000;
  const time = wallClockTimes({ nowUs: () => runUs }, () => Math.floor(wallMs));
  const shown: string[] = [];
  for (let i = 0; i < 200; i++) {
    // Lines are shown later than they came, now more and now less, by a clock that counts whole milliseconds.
    runUs += 1_370;
    wallMs += 1.37;
    shown.push(time(runUs - ((i * 7919) % 1_300)));
  }
  t.deepEqual(shown, shown.toSorted());
  wallMs += 3_600_000;
  t.is(Number(time(runUs).slice(0, 2)) % 24, (Number(shown.at(-1)!.slice(0, 2)) + 1) % 24);
});

test('a line that is not whole is marked on its open side', (t) => {
  const { printed, reader } = bench();
  reader.opened();
  reader.push(Buffer.from('ceived idle event\r\nI (9) echokit::app: Rece'), 0);
  reader.close();
  t.deepEqual(printed, ['…ceived idle event', 'I (9) echokit::app: Rece…']);
});

test('every document begins with its type', (t) => {
  const { printed, reader, output } = bench({ json: true });
  output.session({ atUs: 0, type: 'opened', address: '/dev/ttyACM0', carriesLines: true });
  reader.push(onConsole([...panicLines, ...romLines('0xc (RTC_SW_CPU)')]), 0);
  output.decoded(0, ['main at main.rs:1']);
  t.true(printed.length > 10);
  for (const text of printed) t.regex(text, /^\{"type":"/);
});

test('JSON is one document per line, for lines, story and port, and infinity is text', (t) => {
  const { printed, reader, output } = bench({ json: true });
  output.session({ atUs: 0, type: 'opened', address: '/dev/ttyACM0', carriesLines: true });
  reader.push(
    onConsole(['I (7) echokit::app: Audio speed: infx', ...romLines('0x1 (POWERON)')]),
    5_000,
  );
  const documents = printed.map((text) => JSON.parse(text) as Record<string, unknown>);
  t.like(documents[0], { type: 'opened', address: '/dev/ttyACM0' });
  t.like(documents[1], {
    type: 'line',
    startUs: 5_000,
    level: 'I',
    ms: 7,
    tag: 'echokit::app',
    event: { name: 'audio-speed', ratio: 'Infinity' },
    origin: 'firmware',
  });
  t.true(documents.some(({ type, kind }) => type === 'reset' && kind === 'power-or-pin'));
  t.true(printed.every((text) => !text.includes('\n')));
});

test('secrets are in nothing that is printed and logged, and JSON stays JSON when they are digits or words of it', async (t) => {
  const esc = String.fromCharCode(27);
  const clean = (text: string): string => text.replaceAll(/5000|opened|firmware/g, '[redacted]');
  for (const json of [false, true]) {
    const { clock, printed, logged, output, reader } = bench({ json, clean, color: true });
    await clock.run(clock.sleep(5_000));
    output.session({ atUs: 5000, type: 'opened', address: 'tty5000', carriesLines: true });
    output.session({ atUs: 5000, type: 'gone', address: 'tty5000', problem: 'tty5000 vanished.' });
    output.decoded(5000, ['main at 5000.rs:1']);
    reader.push(
      onConsole(['E (5000) echokit::app: Received ASR: "dial 5000"', ...romLines('0x1 (POWERON)')]),
      5000,
    );
    const texts = [...printed, ...logged];
    t.true(texts.length > 20);
    if (!json) {
      t.false(
        texts.some((text) => text.includes('5000')),
        texts.join('\n'),
      );
      t.true(
        printed.some((text) => text.includes('dial [redacted]"') && text.endsWith(`${esc}[39m`)),
      );
      continue;
    }
    const documents = texts.map((text) => JSON.parse(text) as Record<string, unknown>);
    t.like(documents[0], { type: 'opened', atUs: 5000, address: 'tty[redacted]' });
    t.true(documents.some(({ startUs }) => startUs === 5000));
    t.false(
      texts.some((text) => /(?:tty|dial |\()5000/.test(text)),
      texts.join('\n'),
    );
  }
});
