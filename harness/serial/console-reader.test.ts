import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { consoleForms, resetReasons } from '../../firmware-protocol/console-forms.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import {
  applicationLines,
  bootLoaderLines,
  networkLines,
  onConsole,
  panicLines,
  romLines,
  settingLines,
} from './board-boot.contract.ts';
import { ConsoleReader, type ReadLine } from './console-reader.ts';
import type { StoryEvent } from './story-event.ts';

type Story<Type extends StoryEvent['type']> = Extract<StoryEvent, { type: Type }>;

/** A reader in virtual time with what it has told. */
function bench(options: { baud?: number | null; secrets?: string[] } = {}) {
  const clock = new SimulatedClock();
  const lines: ReadLine[] = [];
  const story: StoryEvent[] = [];
  /** Lines and events in the order in which they were told. */
  const told: string[] = [];
  const reader = new ConsoleReader({
    clock,
    baud: options.baud === undefined ? 115_200 : options.baud,
    ...(options.secrets !== undefined && { secrets: options.secrets }),
    onLine: (line) => {
      lines.push(line);
      told.push(line.text);
    },
    onStory: (event) => {
      story.push(event);
      told.push(`<${event.type}>`);
    },
  });
  return {
    clock,
    reader,
    lines,
    story,
    told,
    /** Prints lines at this instant. */
    print: (...texts: readonly string[]) => reader.push(onConsole(texts), clock.nowUs()),
    wait: (ms: number) => clock.run(clock.sleep(ms * 1000)),
    of: <Type extends StoryEvent['type']>(type: Type) =>
      story.filter((event): event is Story<Type> => event.type === type),
    states: () => story.flatMap((event) => (event.type === 'state' ? [event.to] : [])),
  };
}

const password = 'c0rrect "horse';
const printedPassword = 'c0rrect \\"horse';
const wholeBoot = [
  ...romLines('0x1 (POWERON)'),
  ...bootLoaderLines,
  ...applicationLines(),
  ...settingLines(printedPassword),
  ...networkLines,
];

test('a whole boot is told: cause, build, MAC, address, heap and states', async (t) => {
  const { print, wait, of, states, story, reader } = bench();
  print(...wholeBoot);
  await wait(20_000);
  t.like(of('reset'), [{ kind: 'power-or-pin', number: 1, name: 'POWERON', mode: 'run' }]);
  t.deepEqual(of('boot')[0]?.identity, {
    chip: 'esp32s3',
    psramMegabytes: 8,
    project: 'echokit',
    version: '0.3.2',
    elfSha256: '5f2a9c01d',
    idf: 'v5.4.1',
  });
  t.is(of('boot')[0]?.bootMs, 795);
  t.like(reader.identity, { mac: '02ec0e000002', ip: '192.0.2.7' });
  t.like(of('heap'), [{ spiramKiB: 7800, internalKiB: 190 }]);
  t.deepEqual(states(), ['Booting', 'Starting', 'JoiningWifi', 'ConnectingServer', 'Idle']);
  // No complaint of any kind.
  t.deepEqual([...new Set(story.map(({ type }) => type))].toSorted(), [
    'boot',
    'heap',
    'identity',
    'reset',
    'state',
  ]);
  t.is(reader.counts.unexpected, 0);
});

test('a board is introduced once, and its address with every boot', (t) => {
  const { print, of, reader } = bench();
  print(...networkLines, ...romLines('0x1 (POWERON)'));
  t.is(reader.identity.ip, undefined);
  print(...networkLines);
  t.deepEqual(
    of('identity').map(({ identity }) => [identity.mac, identity.ip]),
    [
      ['02ec0e000002', undefined],
      ['02ec0e000002', '192.0.2.7'],
      ['02ec0e000002', '192.0.2.7'],
    ],
  );
});

test('every form of the vectors is a line of its origin, none of EchoKit is unexpected', (t) => {
  const { vectors } = JSON.parse(
    readFileSync(
      new URL('../../firmware-protocol/vectors/console-lines.json', import.meta.url),
      'utf8',
    ),
  ) as { vectors: { line: string; event: { name: string } | null; tag?: string }[] };
  const known = new Set(consoleForms.map(({ name }) => name as string));
  let read = 0;
  for (const { line, event } of vectors) {
    if (event === null) continue;
    const { reader, lines } = bench();
    reader.push(Buffer.from(`${line}\n`), 0);
    t.is(lines[0]?.line.event?.name as string, event.name, line);
    t.not(lines[0]?.origin, 'unexpected', line);
    if (known.has(event.name)) t.regex(lines[0]!.origin, /^(firmware|system)$/, line);
    read++;
    reader.close();
  }
  t.true(read > 200, `${read}`);
});

test('lines carry the arrival of their first byte and of their end', async (t) => {
  const { reader, lines, clock, wait } = bench();
  reader.push(Buffer.from('I (7) echokit::app: Volume '), clock.nowUs());
  await wait(30);
  reader.push(Buffer.from('set to 4\r\n'), clock.nowUs());
  t.like(lines[0], { startUs: 0, endUs: 30_000, origin: 'firmware', end: 'whole' });
});

test('a normal turn is told as states, from K0 to the end of the answer (section 8.5)', (t) => {
  const { print, states, of, reader } = bench();
  const log = (message: string, tag = 'app', ms = 9000) =>
    print(`I (${ms}) echokit${tag === '' ? '' : `::${tag}`}: ${message}`);
  print(...networkLines);
  log('Button k0 pressed Low', '');
  log('Received event: k0');
  log('Waiting for hello response');
  log('Received Hello event', 'audio');
  log('Hello response received');
  log('Speech started', 'audio');
  log('Start submitting audio');
  log('Submitted StartChat command');
  log('Received ASR: "How"');
  log('Received EndVad event from server');
  log('Speech ended', 'audio');
  for (const sentence of ['One.', 'Two.']) {
    log(`Received StartAudio event: ${sentence}`, 'ws');
    log(`Received audio start: "${sentence}"`);
    log('Received audio end');
    log('Audio speed: 0.42x');
    log('Free SPIRAM heap size: 6800KB', '');
    log('Free INTERNAL heap size: 140KB', '');
    log('Received notify event');
  }
  log('Received request end');
  log('Received event: k0');
  t.deepEqual(states().slice(2), [
    'Idle',
    'Connecting',
    'WaitingForHello',
    'Listening',
    'Waiting',
    'Speaking',
    'Listening',
    'Idle',
  ]);
  t.is(of('heap').length, 2);
  t.is(reader.heapTrend()?.n, 2);
  t.is(reader.counts.unexpected, 0);
});

test('every cause of section 8.3 is named, with what led to it', (t) => {
  const kinds: Record<string, string> = {};
  for (const [number, { name }] of Object.entries(resetReasons)) {
    const { print, of, reader } = bench();
    print('I (5000) echokit::app: Received idle event');
    print(...romLines(`0x${Number(number).toString(16)} (${name})`));
    kinds[name] = of('reset')[0]!.kind;
    t.is(of('reset')[0]!.name, name);
    reader.close();
  }
  t.deepEqual(kinds, {
    POWERON: 'power-or-pin',
    RTC_SW_SYS: 'restart',
    DEEPSLEEP: 'other',
    TG0WDT_SYS: 'watchdog',
    TG1WDT_SYS: 'watchdog',
    RTCWDT_SYS: 'watchdog',
    TG0WDT_CPU: 'watchdog',
    RTC_SW_CPU: 'restart',
    RTCWDT_CPU: 'watchdog',
    RTCWDT_BROWN_OUT: 'brown-out',
    RTCWDT_RTC: 'watchdog',
    TG1WDT_CPU: 'watchdog',
    SUPER_WDT: 'watchdog',
    GLITCH_RTC: 'supply',
    EFUSE: 'other',
    USB_UART_CHIP_RESET: 'host',
    USB_JTAG_CHIP_RESET: 'debugger',
    POWER_GLITCH: 'supply',
  });
});

test('the number counts: builds name 0xc differently', (t) => {
  const { print, of } = bench();
  print('I (5000) echokit::app: Received idle event', ...romLines('0xc (RTC_SW_CPU_RST)'));
  t.like(of('reset'), [{ number: 12, name: 'RTC_SW_CPU' }]);
});

test('rst 0xc after "Rebooting..." is a crash, with the error of the main loop a restart', (t) => {
  const crashed = bench();
  crashed.print(...networkLines, ...panicLines, ...romLines('0xc (RTC_SW_CPU)'));
  t.is(crashed.of('reset')[0]?.kind, 'crash');
  t.true(crashed.states().includes('Crashed'));

  const restarted = bench();
  restarted.print(
    'E (9000) echokit: Error: All reconnect attempts failed',
    '',
    'Caused by:',
    '    0: IO error: Connection reset by peer',
    'E (9001) echokit: WebSocket task finished',
    ...romLines('0xc (RTC_SW_CPU)'),
  );
  t.deepEqual(
    restarted.of('failure').map(({ reason, causes }) => [reason, causes]),
    [['All reconnect attempts failed', ['0: IO error: Connection reset by peer']]],
  );
  const [reset] = restarted.of('reset');
  t.is(reset?.kind, 'restart');
  t.regex(reset!.because, /All reconnect attempts failed/);
  t.deepEqual(restarted.states(), ['Restarting', 'Booting']);
  t.is(restarted.reader.counts.unexpected, 0);

  const left = bench();
  left.print('I (1) echokit: Received event to enter setup', ...romLines('0xc (RTC_SW_CPU)'));
  t.like(left.of('reset'), [{ kind: 'restart', because: 'set-up mode was left' }]);
});

test('a panic is one event: cause, place, registers, backtrace and build', (t) => {
  const { print, of, told } = bench();
  print(...panicLines, ...romLines('0xc (RTC_SW_CPU)'));
  t.is(of('panic').length, 1);
  const { crash } = of('panic')[0]!;
  t.like(crash, {
    cause: 'exception',
    summary: 'LoadProhibited',
    core: 0,
    backtraceEnd: 'complete',
    elfSha256: '5f2a9c01d',
    rebooting: true,
  });
  t.like(crash.registers, { PC: 0x42008a1c, EXCVADDR: 4, A5: 0x60d23 });
  t.deepEqual(crash.backtrace, [
    { pc: 0x42008a19, sp: 0x3fcb1e90 },
    { pc: 0x4200a4ed, sp: 0x3fcb1eb0 },
    { pc: 0x4037a2c1, sp: 0x3fcb1ee0 },
  ]);
  // It stands behind its last line and before the banner.
  t.is(told[told.indexOf('Rebooting...') + 1], '<panic>');
});

test('each kind of crash of section 8.6 has its cause', (t) => {
  const of = (...lines: string[]) => {
    const { print, of, reader } = bench();
    print(...lines, 'Rebooting...');
    reader.close();
    t.is(reader.counts.unexpected, 0);
    return of('panic')[0]!.crash;
  };
  const rust = of(
    "thread 'main' panicked at src/app.rs:120:9:",
    'called `Result::unwrap()` on an `Err` value: Timeout',
    'note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace',
    '',
    'abort() was called at PC 0x4037f2d1 on core 1',
    '',
    'Backtrace:0x42001d82:0x3fce42900x4200dfff:0x3fce42b0 |<-CORRUPTED',
  );
  t.like(rust, {
    cause: 'rust-panic',
    summary: 'called `Result::unwrap()` on an `Err` value: Timeout',
    place: 'src/app.rs:120:9',
    task: 'main',
    core: 1,
    backtraceEnd: 'corrupted',
  });
  t.is(rust.backtrace.length, 2);
  t.is(
    of('memory allocation of 8192 bytes failed', 'abort() was called at PC 0x4037f2d1 on core 0')
      .cause,
    'out-of-memory',
  );
  t.is(of('abort() was called at PC 0x4037f2d1 on core 0').cause, 'abort');
  t.like(of('assert failed: xQueueGive queue.c:1709 (( pxQueue ))'), {
    cause: 'assert',
    place: 'queue.c:1709',
  });
  t.like(
    of(
      "Guru Meditation Error: Core  1 panic'ed (Unhandled debug exception). ",
      'Debug exception reason: Stack canary watchpoint triggered (afe_feed) ',
    ),
    { cause: 'stack-overflow', task: 'afe_feed', core: 1 },
  );
  t.like(of('***ERROR*** A stack overflow in task main has been detected.'), {
    cause: 'stack-overflow',
    task: 'main',
  });
  t.is(
    of("Guru Meditation Error: Core  1 panic'ed (Interrupt wdt timeout on CPU1). ").cause,
    'interrupt-watchdog',
  );
  for (const reason of [
    'StoreProhibited',
    'IllegalInstruction',
    'InstrFetchProhibited',
    'LoadStoreAlignment',
    'IntegerDivideByZero',
    'Double exception',
    'Cache disabled but cached memory region accessed',
  ]) {
    const crash = of(
      `Guru Meditation Error: Core  0 panic'ed (${reason}). Exception was unhandled.`,
    );
    t.like(crash, { cause: 'exception', summary: reason });
  }
});

test('a crash whose first lines are lost is told, too, and one that stops in the middle', async (t) => {
  const { print, of, wait } = bench();
  print(...panicLines.slice(2, 8));
  t.deepEqual(of('panic'), []);
  await wait(3_100);
  t.like(of('panic')[0]?.crash, { cause: 'unknown', rebooting: false });
  t.is(of('panic')[0]?.crash.backtrace.length, 3);
});

test('a console that is joined at the end of a crash still tells a crash from a restart', (t) => {
  for (const from of [8, 10, 12]) {
    const { print, of } = bench();
    print(...panicLines.slice(from), ...romLines('0xc (RTC_SW_CPU)'));
    t.like(of('panic')[0]?.crash, { cause: 'unknown', rebooting: true });
    t.is(of('reset')[0]?.kind, 'crash');
  }
});

test('the task watchdog is one event and no crash: the board goes on', async (t) => {
  for (const prefix of ['E (10303) task_wdt: ', '']) {
    const { print, of, wait, reader } = bench();
    print(
      'E (10303) task_wdt: Task watchdog got triggered. The following tasks/users did not reset the watchdog in time:',
      `${prefix} - IDLE0 (CPU 0)`,
      `${prefix}Tasks currently running:`,
      `${prefix}CPU 0: main`,
      `${prefix}CPU 1: IDLE1`,
      `${prefix}Print CPU 0 (current core) backtrace`,
      '',
      'Backtrace: 0x4037abc7:0x3fca53d0 0x4203713d:0x3fca53f0',
      'I (10400) echokit::app: Received idle event',
    );
    await wait(5_000);
    const [event] = of('watchdog');
    t.deepEqual(event?.starved, ['IDLE0 (CPU 0)']);
    t.deepEqual(event?.running, ['main (CPU 0)', 'IDLE1 (CPU 1)']);
    t.is(event?.backtrace.length, 2);
    t.deepEqual([of('panic').length, of('reset').length], [0, 0]);
    t.is(reader.counts.unexpected, 0);
  }
});

test('a brown-out is recognized from its line and from its number', (t) => {
  for (const [line, reset] of [
    ['I BOD: Brownout detector was triggered', '0x3 (RTC_SW_SYS)'],
    ['Brownout detector was triggered', '0xf (RTCWDT_BROWN_OUT)'],
  ] as const) {
    const { print, of } = bench();
    print('I (4000) echokit::app: Received idle event', line, ...romLines(reset));
    t.is(of('brown-out').length, 1);
    t.is(of('reset')[0]?.kind, 'brown-out');
  }
});

test('download mode is told and has no wait for log lines', async (t) => {
  const { print, of, states, wait } = bench();
  print(...romLines('0x15 (USB_UART_CHIP_RESET)', 'boot:0x0 (DOWNLOAD(USB/UART0))').slice(0, 4));
  print('waiting for download');
  await wait(30_000);
  t.is(of('reset')[0]?.mode, 'download');
  t.is(of('download-mode').length, 1);
  t.deepEqual(of('level-too-low'), []);
  t.deepEqual(states(), ['Download']);
});

test('an empty flash is told once, however often the ROM repeats it', (t) => {
  const { print, of } = bench();
  print(
    ...romLines('0x10 (RTCWDT_RTC)').slice(0, 3),
    ...Array(50).fill('invalid header: 0xffffffff'),
  );
  t.is(of('no-application').length, 1);
});

test('R01: a banner within 3 s of the opening came from it, unless this program asked for one', async (t) => {
  for (const reset of ['0x1 (POWERON)', '0x15 (USB_UART_CHIP_RESET)']) {
    const opened = bench();
    opened.reader.opened();
    await opened.wait(200);
    opened.print(...romLines(reset));
    t.is(opened.of('reset')[0]?.kind, 'on-open');

    const asked = bench();
    asked.reader.opened();
    asked.reader.resetRequested();
    await asked.wait(200);
    asked.print(...romLines(reset));
    t.is(asked.of('reset')[0]?.kind, 'requested');

    const later = bench();
    later.reader.opened();
    later.print('I (5000) echokit::app: Received idle event');
    await later.wait(3_100);
    later.print(...romLines(reset));
    t.true(['power-or-pin', 'host'].includes(later.of('reset')[0]!.kind));
  }
});

test('R02: a port that is silent for 5 s after the opening is told, one byte is enough', async (t) => {
  const silent = bench();
  silent.reader.opened();
  await silent.wait(5_100);
  t.is(silent.of('quiet').length, 1);

  const talking = bench();
  talking.reader.opened();
  talking.reader.push(Buffer.from('x'), 0);
  await talking.wait(30_000);
  t.deepEqual(talking.story, []);
});

test('R06: silence right after the entropy line is a dead console, and certain once the board is heard', async (t) => {
  const dead = bench();
  dead.print(...romLines('0x15 (USB_UART_CHIP_RESET)'), ...bootLoaderLines.slice(0, 9));
  await dead.wait(4_900);
  t.deepEqual(dead.of('console-dead'), []);
  await dead.wait(3_000);
  t.is(dead.of('console-dead')[0]?.applicationLives, false);
  dead.reader.boardHeard();
  await dead.wait(10_000);
  t.deepEqual(
    dead.of('console-dead').map(({ applicationLives }) => applicationLives),
    [false, true],
  );
  // One diagnosis is enough.
  t.deepEqual(dead.of('level-too-low'), []);
});

test('R10: ten seconds of boot without an INFO line of the application mean a low log level', async (t) => {
  const low = bench();
  low.print(
    ...romLines('0x1 (POWERON)'),
    ...bootLoaderLines,
    'E (900) es8311: Es8311SetVoiceMute volume:0',
  );
  await low.wait(9_900);
  t.deepEqual(low.of('level-too-low'), []);
  await low.wait(200);
  t.is(low.of('level-too-low').length, 1);

  const normal = bench();
  normal.print(...wholeBoot);
  await normal.wait(30_000);
  t.deepEqual(normal.of('level-too-low'), []);
});

test('Wi-Fi that fails prints nothing: the time tells it, with the stage', async (t) => {
  for (const [count, stage] of [
    [1, 'association'],
    [4, 'address'],
  ] as const) {
    const { print, wait, of, states } = bench();
    print(...networkLines.slice(0, count));
    await wait(16_900);
    t.deepEqual(of('network-stalled'), []);
    await wait(200);
    t.is(of('network-stalled')[0]?.stage, stage);
    t.is(states().at(-1), 'NoWifi');
  }
});

test('a banner in the middle of a line and one without its second half are resets', async (t) => {
  const torn = bench();
  torn.reader.push(
    Buffer.concat([
      Buffer.from('I (9000) echokit::app: Recei'),
      onConsole(romLines('0x1 (POWERON)')),
    ]),
    0,
  );
  t.is(torn.lines[0]?.end, 'torn');
  t.like(torn.of('reset'), [{ kind: 'power-or-pin', number: 1 }]);

  const half = bench();
  half.print('I (9000) echokit::app: Received idle event');
  await half.wait(2_000);
  half.print('ESP-ROM:esp32s3-20210327');
  await half.wait(600);
  t.like(half.of('reset'), [{ kind: 'power-or-pin', number: null, silentUs: 2_000_000 }]);
});

test('a board whose clock falls was reset, though its banner was lost', (t) => {
  const { print, of } = bench();
  print('I (90000) echokit::app: Received idle event', 'I (795) main_task: Calling app_main()');
  t.like(of('reset'), [{ kind: 'unseen', number: null }]);
  // Early lines of the second core have no time yet: that is no reset.
  const { print: boot, of: booted } = bench();
  boot('I (812) cpu_start: Pro cpu up.', 'I (0) cpu_start: Starting scheduler', 'I (1088) a: b');
  t.deepEqual(booted('reset'), []);
});

test('a reset whose banner was lost has the cause that was told before it, and the next one does not', async (t) => {
  const { print, of, wait } = bench();
  print('I (11715) echokit::ws: WebSocket stream ended');
  print(
    'E (11785) echokit: Error: Failed to send message',
    'E (11785) echokit: WebSocket task finished',
  );
  await wait(50);
  print('I (46) boot: Enabling RNG early entropy source...');
  await wait(60_000);
  print('I (60046) echokit::app: Received idle event');
  await wait(10_000);
  print('I (46) boot: Enabling RNG early entropy source...');
  const because = (ms: number) => `the board's clock fell from ${ms} to 46 ms; its banner was lost`;
  t.like(of('reset'), [
    { kind: 'restart', because: `its main loop failed: Failed to send message; ${because(11785)}` },
    { kind: 'unseen', because: because(60046) },
  ]);
});

test('a reset that came while the port was away is told when the application starts, and once', async (t) => {
  for (const [title, seen, kind] of [
    ['at the start of the application', [...applicationLines(), ...networkLines], 'unseen'],
    ['by the clock alone', ['I (2600) wifi:mode : sta (02:ec:0e:00:00:b1)'], 'unseen'],
    ['one that was asked for', [...applicationLines(), ...networkLines], 'requested'],
  ] as const) {
    const { print, wait, of, reader, clock } = bench();
    reader.opened();
    await wait(4_000);
    print(...wholeBoot, 'I (69000) echokit::app: Received idle event');
    await wait(10_000);
    if (kind === 'requested') reader.resetRequested();
    reader.interrupted();
    await wait(1_500);
    reader.opened();
    const returnedUs = clock.nowUs();
    print(...seen);
    await wait(1_000);
    const [, reset, another] = of('reset');
    t.like(reset, { kind, number: null, atUs: returnedUs }, title);
    t.is(another, undefined, title);
  }
  const { print, wait, of, reader } = bench();
  reader.opened();
  print(...wholeBoot);
  reader.interrupted();
  reader.opened();
  print('I (69000) echokit::app: Received idle event');
  await wait(1_000);
  t.is(of('reset').length, 1, 'a board that went on was not reset');
});

test('three resets within a minute are a boot loop, requested ones do not count', async (t) => {
  const { print, wait, of, reader } = bench();
  for (let i = 0; i < 5; i++) {
    reader.resetRequested();
    print(...romLines('0x1 (POWERON)'));
    await wait(4_000);
  }
  t.deepEqual(of('boot-loop'), []);
  for (let i = 0; i < 3; i++) {
    print(...panicLines, ...romLines('0xc (RTC_SW_CPU)'));
    await wait(4_000);
  }
  t.like(of('boot-loop'), [{ resets: 3, withinUs: 8_000_000 }]);
});

test('text of a sentence with line breaks is continuation, even when it looks like a panic line', (t) => {
  const { print, story, lines } = bench();
  print(
    'I (9000) echokit::ws: Received StartAudio event: The screen says:',
    'waiting for download',
    'Rebooting...',
    'Build: a house',
    '1) Apples: red',
    '',
    'I (9001) echokit::app: Received audio start: "The screen says"',
  );
  t.deepEqual(
    story.map(({ type }) => type),
    ['state'],
  );
  t.deepEqual(
    lines.map(({ origin }) => origin),
    [
      'firmware',
      'continuation',
      'continuation',
      'continuation',
      'continuation',
      'blank',
      'firmware',
    ],
  );
});

test('a sentence keeps its quotes', (t) => {
  const { print, lines } = bench();
  print('I (1) echokit::ws: Received StartAudio event: He said:', '"Half a quote', 'and the end."');
  t.is(lines[1]?.text, '"Half a quote');
  t.is(lines[2]?.text, 'and the end."');
});

test('R03: lines without their beginning, again and again, are told as missing bytes', (t) => {
  const { print, of, reader } = bench();
  print(
    'I (9000) echokit::app: Received idle event',
    '00) echokit::app: Received idle event',
    'it::audio: Speech started',
    'I (9002) echokit::app: Received idle event',
    '(9003) echokit::ws: WebSocket stream ended',
  );
  t.like(of('bytes-missing'), [{ torn: 3 }]);
  t.is(reader.counts.unexpected, 3);
});

test('what ends before a line is told before it, what a line tells behind it', (t) => {
  const { print, told } = bench();
  print('E (1) echokit: Error: a', 'E (2) echokit: WebSocket task finished');
  t.deepEqual(told, [
    'E (1) echokit: Error: a',
    '<failure>',
    'E (2) echokit: WebSocket task finished',
    '<state>',
  ]);
});

/** What a UART that is set to `rate` takes from a line on which `bytes` are sent at 115,200 baud, 8N1. */
function sampled(bytes: Uint8Array, rate: number): Uint8Array {
  const bits: number[] = [];
  for (const byte of bytes) {
    bits.push(0);
    for (let i = 0; i < 8; i++) bits.push((byte >> i) & 1);
    bits.push(1);
  }
  const level = (seconds: number): number => bits[Math.floor(seconds * 115_200)] ?? 1;
  const end = bits.length / 115_200;
  const taken: number[] = [];
  const step = 1 / (16 * Math.max(rate, 115_200));
  for (let at = 0; at < end; ) {
    if (level(at) === 1) {
      at += step;
      continue;
    }
    let byte = 0;
    for (let i = 0; i < 8; i++) byte |= level(at + (1.5 + i) / rate) << i;
    taken.push(byte);
    at += 9.5 / rate;
    // A break holds the line low; the next start bit needs a high level first.
    while (level(at) === 0 && at < end) at += step;
  }
  return Uint8Array.from(taken);
}

test('R09: a wrong baud rate is named, and text of any language is not taken for one', (t) => {
  const sent = onConsole([...wholeBoot, ...wholeBoot]);
  t.deepEqual(sampled(sent.subarray(0, 500), 115_200), new Uint8Array(sent.subarray(0, 500)));
  for (const rate of [9600, 38_400, 57_600, 74_880, 230_400, 460_800, 921_600]) {
    const { reader, of } = bench({ baud: rate });
    reader.push(sampled(sent, rate), 0);
    t.is(of('wrong-baud').length >= 1, true, `${rate}`);
    t.is(of('wrong-baud')[0]?.baud, rate);
    t.true(of('wrong-baud')[0]!.share >= 0.15);
    t.deepEqual(of('panic'), []);
    reader.close();
  }
  const { print, of, reader } = bench();
  for (let i = 0; i < 40; i++) {
    print('I (1) echokit::app: Received ASR: "月亮离我们有多远？ Ça va, привет 🙂"');
  }
  t.deepEqual(of('wrong-baud'), []);
  t.is(reader.counts.unprintable, 0);
});

test('a few bytes of noise when the port opens are counted and spoil nothing', (t) => {
  const { reader, of } = bench();
  reader.push(Uint8Array.from([0xff, 0, 0xf0, 0x80, 0x0a]), 0);
  reader.push(onConsole(wholeBoot), 0);
  t.deepEqual(of('wrong-baud'), []);
  t.is(of('boot').length, 1);
  t.true(reader.counts.invalidUtf8 > 0 && reader.counts.nulBytes === 1);
  t.is(reader.counts.unexpected, 1);
});

test('a board that never stops printing costs no memory: lines of a crash and of an error, tasks, heap pairs', async (t) => {
  const { reader, print, of, wait } = bench();
  const many = Array.from({ length: 200 }, (_, i) => i);
  print(...panicLines.slice(0, 1), ...many.map((i) => `panic text ${i}`));
  print("thread 'main' panicked at src/app.rs:120:9:", ...many.map((i) => `message ${i}`));
  await wait(60_000);
  const panics = of('panic').map(({ crash }) => crash.summary);
  t.true(panics.length > 0 && panics.every((summary) => summary.split('message').length <= 65));
  for (let i = 0; i < 4_200; i++) {
    print(
      'I (9) echokit::app: Received audio: 32000',
      'I (9) echokit::app: Audio speed: 1.5x',
      `I (9) echokit: Free SPIRAM heap size: ${4_000 - (i % 7)}KB`,
      `I (9) echokit: Free INTERNAL heap size: ${100 + (i % 3)}KB`,
    );
  }
  t.is(reader.heapTrend()?.n, 4096);
});

test('no password reaches a line or an event, whole, torn or repeated', (t) => {
  const { reader, lines, story, print } = bench({ secrets: ['sk-live-123456'] });
  print(...wholeBoot);
  print(
    'I (1) echokit::bt: New pass: tulip-garden',
    'second line of it',
    'I (2) echokit::bt: Wrote to pass characteristic: tulip-garden -> rose-garden',
    'I (3) wifi:psk: something-else',
    'ASS: "half of a line',
    'I (608) echoklast part of it"',
    'w pass: beheaded value',
    `E (4) echokit: Error: cannot join with ${printedPassword} and tulip-garden at sk-live-123456`,
  );
  reader.push(Buffer.from('I (9) echokit: PASS: "cut-off-by-the-'), 0);
  reader.interrupted();
  reader.close();
  const all = JSON.stringify([lines, story]);
  for (const secret of [
    password,
    printedPassword,
    'c0rrect',
    'tulip',
    'rose-garden',
    'second line',
    'something-else',
    'half of a line',
    'last part',
    'beheaded',
    'sk-live',
    'cut-off',
  ]) {
    t.false(all.includes(secret), secret);
  }
  t.is(all.split('[redacted]').length > 8, true);
});

test('a port that is opened in the middle of a line: its rest is marked and no trouble, also after every return', (t) => {
  const { reader, lines, of } = bench();
  for (let i = 0; i < 4; i++) {
    reader.opened();
    reader.push(
      Buffer.from('1234) echokit::app: Received idle event\r\nI (9) echokit::app: No events\r\n'),
      0,
    );
    reader.interrupted();
  }
  t.deepEqual(
    lines.slice(0, 2).map(({ text, begin, origin }) => [text, begin, origin]),
    [
      ['1234) echokit::app: Received idle event', 'missing', 'continuation'],
      ['I (9) echokit::app: No events', 'whole', 'firmware'],
    ],
  );
  t.is(reader.counts.unexpected, 0);
  t.deepEqual(of('bytes-missing'), []);
  // One that begins with the opening is whole, whatever it is.
  for (const first of ['ESP-ROM:esp32s3-20210327', 'I (9) wifi: x', '']) {
    const other = bench();
    other.reader.opened();
    other.print(first);
    t.is(other.lines[0]?.begin, 'whole', first);
  }
});

test('a gap ends the line that was open, and what follows continues nothing', async (t) => {
  const { reader, lines, print, wait, of } = bench();
  reader.opened();
  reader.push(Buffer.from('I (9000) echokit::app: Rece'), 0);
  reader.interrupted();
  await wait(1_500);
  reader.opened();
  print('ived idle event', ...romLines('0x1 (POWERON)'));
  t.is(lines[0]?.end, 'closed');
  t.like(lines[1], { text: 'ived idle event', begin: 'missing' });
  t.is(reader.counts.gaps, 1);
  // It came back because the board got power, not because we opened it.
  t.is(of('reset')[0]?.kind, 'power-or-pin');
});

test('lines and story are the same however the bytes are cut', (t) => {
  const transcript = onConsole([
    ...wholeBoot,
    'I (9000) echokit::ws: Received StartAudio event: 你好。',
    'Zweite Zeile – é',
    ...panicLines,
    ...romLines('0xc (RTC_SW_CPU)'),
    ...bootLoaderLines,
    ...applicationLines(),
  ]);
  const told = (cuts: readonly number[]): string => {
    const { reader, told, lines, story } = bench();
    let at = 0;
    for (const cut of [...cuts.toSorted((a, b) => a - b), transcript.length]) {
      reader.push(transcript.subarray(at, cut), 0);
      at = cut;
    }
    reader.close();
    return JSON.stringify([told, lines, story]);
  };
  const whole = told([]);
  t.true(whole.includes('<panic>'));
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: transcript.length }), { maxLength: 300 }),
      (cuts) => told(cuts) === whole,
    ),
    { seed: 71, numRuns: 40 },
  );
});

test('garbage between lines is never fatal, and the next line is read again', (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.constantFrom(...wholeBoot, ...panicLines).map((line) => Buffer.from(`${line}\n`)),
        ),
        { maxLength: 30 },
      ),
      (pieces) => {
        const { reader, lines, clock } = bench();
        for (const piece of pieces) reader.push(piece, clock.nowUs());
        reader.push(Buffer.from('\nI (99) echokit::app: Volume set to 4\n'), clock.nowUs());
        const found = lines.at(-1)?.line.event?.name === 'volume-set';
        const { bytes } = reader.counts;
        reader.close();
        return found && bytes === pieces.reduce((sum, piece) => sum + piece.length, 0) + 38;
      },
    ),
    { seed: 72, numRuns: 150 },
  );
  t.pass();
});
