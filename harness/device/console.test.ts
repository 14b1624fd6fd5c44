import test from 'ava';
import { ConsoleLineReader, parseConsoleLine } from '../../firmware-protocol/console-line.ts';
import { ConsolePrinter } from './console.ts';
import { Bench, babble, sentence } from './device-bench.contract.ts';
import { type DeviceProfile, deviceProfiles, diy } from './device-profile.ts';

const serverUrl = 'ws://echokit.test:8080/ws/';

function printed(bench: Bench, profile: DeviceProfile): string {
  const printer = new ConsolePrinter({ profile, serverUrl, password: 'hunter2' });
  return bench.events.map((event) => printer.print(event)).join('');
}

function linesOf(text: string) {
  return new ConsoleLineReader().push(Buffer.from(text));
}

/** Everything a board can meet in one session: a turn, keys, noise, trouble, a restart, the hello. */
async function session(profile: DeviceProfile): Promise<Bench> {
  const bench = new Bench(undefined, profile);
  await bench.run(async () => {
    const server = await bench.ready();
    bench.device.hear(babble(1200));
    await bench.pass(1_500_000);
    server.send({ type: 'ASR', text: 'One "two"' }, { type: 'EndVad' });
    await bench.pass(2_000_000);
    server.send(
      { type: 'ASR', text: 'One "two"' },
      { type: 'Action', action: 'x' },
      ...sentence('Line one.\nLine two: three.', 6).events,
      { type: 'EndResponse' },
      { type: 'Choices', message: 'Pick', items: ['a'] },
      { type: 'AudioChunkWithVowel', data: Uint8Array.from([0x59, 1, 2, 3]), vowel: 0 },
      { type: 'HelloStart' },
      { type: 'HelloEnd' },
    );
    server.socket.ping();
    await bench.pass(3_000_000);
    for (const key of ['volume-up', 'volume-down'] as const) bench.device.press(key, 'short');
    bench.device.press('k0', 'long');
    await bench.pass(2_000_000);
    server.socket.terminate();
    bench.device.hear(babble(800));
    await bench.pass(10_000_000);
    bench.device.press('k0', 'short');
    await bench.pass(320_000_000);
  });
  return bench;
}

const recorded = new Map<string, Bench>();
for (const name of ['diy', 'box', 'cube2']) {
  recorded.set(name, await session(deviceProfiles[name]!));
}

for (const [name, bench] of recorded) {
  test(`${name}: every line is one of the console, in the form of the console`, (t) => {
    const lines = linesOf(printed(bench, deviceProfiles[name]!));
    const unknown = lines.filter((line) => line.event === null);
    // The second line of a text with a line break, once for each time it is printed raw.
    t.deepEqual(unknown, [{ kind: 'bare', text: 'Line two: three.', event: null }]);
    t.true(lines.length > 120, `${lines.length}`);
  });

  test(`${name}: milliseconds begin anew with a reset and never go back otherwise`, (t) => {
    let last = 0;
    let resets = 0;
    for (const line of linesOf(printed(bench, deviceProfiles[name]!))) {
      if (line.event?.name === 'reset') {
        resets += 1;
        last = 0;
      }
      if (line.kind !== 'log' || line.ms === null) continue;
      t.true(line.ms >= last, `${line.ms} after ${last}: ${line.message}`);
      last = line.ms;
    }
    t.is(resets, 2);
  });
}

test('a turn prints what section 8.5 says, in its order', (t) => {
  const names = linesOf(printed(recorded.get('diy')!, diy)).flatMap(
    ({ event }) => event?.name ?? [],
  );
  const from = names.indexOf('speech-started');
  const turn = names.slice(from, names.indexOf('end-response') + 1);
  t.deepEqual(
    // Warnings of the socket task stand where it reads, before what the main loop takes.
    turn.filter(
      (name) => !['mic-rejected', 'action', 'undecodable', 'bad-opus', 'not-binary'].includes(name),
    ),
    [
      'speech-started',
      'utterance-started',
      'start-chat',
      'asr',
      'end-vad',
      'speech-ended',
      'mic-end-selected',
      'mic-end',
      'asr',
      'start-audio-read',
      'start-audio',
      'end-audio',
      'audio-speed',
      'heap-spiram',
      'heap-internal',
      'drained',
      'end-response',
    ],
  );
});

test('a restart prints its reason, then the lines of the ROM with the reset of the chip itself', (t) => {
  const lines = linesOf(printed(recorded.get('diy')!, diy));
  const names = lines.flatMap(({ event }) => event?.name ?? []);
  const at = names.indexOf('restart');
  t.is(names[at - 1], 'error');
  t.true(names.slice(at).indexOf('rom') < 3);
  const resets = lines.flatMap(({ event }) => (event?.name === 'reset' ? [event.reset] : []));
  t.deepEqual(resets, [1, 12]);
});

test('every line ends with CR LF', (t) => {
  const text = printed(recorded.get('diy')!, diy);
  t.is(text.split('\n').length, text.split('\r\n').length);
  t.true(text.endsWith('\r\n'));
});

test('Q43: the mute line of the box is marked as an error, or is not', (t) => {
  const box = deviceProfiles['box']!;
  const level = (profile: DeviceProfile) =>
    linesOf(printed(recorded.get('box')!, profile)).flatMap((line) =>
      line.kind === 'log' && line.event?.name === 'codec-mute' ? [line.level] : [],
    )[0];
  t.is(level(box), 'E');
  t.is(level({ ...box, quirksOff: ['Q43'] }), 'I');
});

test('a board that cannot connect prints why, and K0 brings the lines of set-up mode', async (t) => {
  const bench = new Bench();
  await bench.run(async () => {
    await bench.device.boot().catch(() => {});
    bench.device.press('k0', 'short');
    await bench.pass(6_000_000);
    bench.device.press('k0', 'short');
    await bench.pass(6_000_000);
  });
  const names = linesOf(printed(bench, diy)).flatMap(({ event }) => event?.name ?? []);
  const seen = names.filter((name) =>
    ['reset', 'wifi-connecting', 'server-unreachable', 'setup-key', 'setup-leave'].includes(name),
  );
  t.deepEqual(seen, [
    'reset',
    'wifi-connecting',
    'server-unreachable',
    'reset',
    'setup-key',
    'setup-leave',
    'reset',
    'wifi-connecting',
    'server-unreachable',
  ]);
});

test('the password of the settings is what the console prints, and the parser hides it', (t) => {
  const text = printed(recorded.get('diy')!, diy);
  const line = text.split('\r\n').find((candidate) => candidate.includes('PASS: '))!;
  t.true(line.endsWith('PASS: "hunter2"'));
  t.false(JSON.stringify(parseConsoleLine(line)).includes('hunter2'));
});
