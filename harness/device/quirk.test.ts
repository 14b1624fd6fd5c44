import { readdirSync, readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { ServerEvent } from '../../firmware-protocol/server-event.ts';
import { ConsolePrinter } from './console.ts';
import { Bench, babble, conserved, sentence } from './device-bench.contract.ts';

import type { DeviceConstants } from './device-profile.ts';
import { diy } from './device-profile.ts';
import { absentQuirks, type QuirkId, quirkIds, quirks, traitsWithout } from './quirk.ts';

interface Setting {
  readonly latencyUs?: number;
  readonly windowBytes?: number;
  readonly constants?: Partial<DeviceConstants>;
  readonly serverUrl?: string;
}

const shown = new Set<QuirkId>();

/** Plays the same script with the quirk and without it. */
function quirkTest<Result>(
  id: QuirkId,
  title: string,
  setting: Setting,
  script: (bench: Bench) => Promise<Result>,
  check: (t: ExecutionContext, on: Result, off: Result) => void,
): void {
  shown.add(id);
  const play = (quirksOff: readonly QuirkId[]): Promise<Result> => {
    const { latencyUs = 0, windowBytes, constants, serverUrl } = setting;
    const profile = { ...diy, quirksOff, constants: { ...diy.constants, ...constants } };
    const link = { latencyUs, jitterUs: 0, ...(windowBytes === undefined ? {} : { windowBytes }) };
    const bench = new Bench(link, profile, serverUrl);
    return bench.run(async () => {
      const result = await script(bench);
      await bench.device.close();
      return result;
    });
  };
  test(`${id}: ${title}`, async (t) => {
    check(t, await play([]), await play([id]));
  });
}

/** Boots without pressing K0, so no hello is in the player. */
async function idle(bench: Bench) {
  await bench.listen();
  await bench.device.boot();
  return bench.connections[0]!;
}

/** Undecoded PCM, the only event that carries frames of any length. */
function raw(samples: number, vowel = 0): ServerEvent {
  return { type: 'AudioChunki16', data: Int16Array.from(babble(1000).subarray(0, samples)), vowel };
}

const start: ServerEvent = { type: 'StartAudio', text: 'Hi.' };
const end: ServerEvent = { type: 'EndAudio' };

quirkTest(
  'Q2',
  'the end of a sentence stays behind, or is played with zeros behind it',
  {},
  async (bench) => {
    (await idle(bench)).send(start, raw(1920), end);
    await bench.pass(1_000_000);
    await bench.device.close();
    return { drained: bench.all('drained')[0], finished: bench.all('finished')[0]! };
  },
  (t, on, off) => {
    t.like(on.drained, { restSamples: 128 });
    t.like(off.drained, { restSamples: 0, paddedSamples: 128 });
    t.like(on.finished, { pushedSamples: 1920, playedSamples: 1792, restSamples: 128 });
    t.like(off.finished, { pushedSamples: 1920, playedSamples: 1920, restSamples: 0 });
    t.is(off.drained!.position - on.drained!.position, 256);
    t.true(conserved(on.finished) && conserved(off.finished));
  },
);

quirkTest(
  'Q3',
  'K0 leaves a stale rest before the hello, or throws it away',
  {},
  async (bench) => {
    (await idle(bench)).send(start, raw(1920));
    await bench.pass(1_000_000);
    bench.device.press('k0', 'short');
    await bench.pass(2_000_000);
    await bench.device.close();
    return bench.all('finished')[0]!;
  },
  (t, on, off) => {
    t.is(on.restSamples, (128 + 11_239) % 256);
    t.is(off.restSamples, 11_239 % 256);
    t.is(on.clearedSamples, 0);
    t.is(off.clearedSamples, 128);
    t.true(conserved(on) && conserved(off));
  },
);

quirkTest(
  'Q4',
  'the hello is played with the header of its file, or without',
  {},
  async (bench) => {
    await bench.ready();
    await bench.device.close();
    return bench.all('finished')[0]!.pushedSamples;
  },
  // The built-in beep: 22 478 bytes with a header of 44.
  (t, on, off) => t.deepEqual([on, off], [11_239, 11_217]),
);

quirkTest(
  'Q5',
  'the first volume up halves the loudness, or changes nothing at full volume',
  {},
  async (bench) => {
    await idle(bench);
    bench.device.press('volume-up', 'short');
    await bench.pass(100_000);
    return bench.all('volume')[0];
  },
  (t, on, off) => {
    t.like(on, { level: 4, gainShift: 1 });
    t.like(off, { level: 5, gainShift: 0 });
  },
);

quirkTest(
  'Q6',
  'a lost connection is found out by the next utterance, or at once',
  {},
  async (bench) => {
    (await bench.ready()).socket.terminate();
    await bench.pass(500_000);
    const { state } = bench.device;
    bench.device.hear(babble(800));
    await bench.pass(2_000_000);
    return { state, reboots: bench.all('reboot').map(({ cause }) => cause) };
  },
  (t, on, off) => {
    t.deepEqual(on, { state: 'Listening', reboots: ['Failed to send message'] });
    t.deepEqual(off, { state: 'Idle', reboots: [] });
  },
);

quirkTest(
  'Q7',
  'three failed tries restart the board, or leave it Idle and usable',
  {},
  async (bench) => {
    const listener = await bench.listen();
    await bench.device.boot();
    await listener.close();
    bench.device.press('k0', 'short');
    await bench.pass(2_000_000);
    const reboots = bench.all('reboot').length;
    await bench.listen();
    bench.device.press('k0', 'short');
    await bench.pass(2_000_000);
    return { reboots, state: bench.device.state };
  },
  (t, on, off) => {
    t.is(on.reboots, 1);
    t.deepEqual(off, { reboots: 0, state: 'Listening' });
  },
);

quirkTest(
  'Q8',
  'a ping behind a full queue waits for the end of the playback, or is answered',
  { windowBytes: 5760 },
  async (bench) => {
    const server = await idle(bench);
    let pongUs = 0;
    server.socket.on('pong', () => {
      pongUs = bench.clock.nowUs();
    });
    const packets = Array.from({ length: 30 }, () => raw(1920));
    server.send(start, ...packets, end, start, ...packets, ...packets, end);
    server.socket.ping();
    await bench.pass(30_000_000);
    return pongUs;
  },
  (t, on, off) => {
    // The first sentence has 3.6 s.
    t.true(on > 3_600_000, `${on} µs`);
    t.true(off < 1_000_000, `${off} µs`);
  },
);

quirkTest(
  'Q9',
  'a ping and a close print an error each, or nothing',
  {},
  async (bench) => {
    const server = await idle(bench);
    server.socket.ping();
    server.socket.close(1001);
    await bench.pass(1_000_000);
    return bench.lines().filter((line) => line.startsWith('Unexpected non-binary')).length;
  },
  (t, on, off) => t.deepEqual([on, off], [2, 0]),
);

quirkTest(
  'Q10',
  'compression is offered, or not',
  {},
  async (bench) => (await idle(bench)).request.headers['sec-websocket-extensions'],
  (t, on, off) => {
    t.deepEqual([on, off], ['permessage-deflate; client_max_window_bits', undefined]);
  },
);

quirkTest(
  'Q11',
  'a wss address is spoken to in clear text on port 443, or refused',
  { serverUrl: 'wss://echokit.test/ws/' },
  async (bench) => {
    await bench.listen(false, 443);
    await bench.device.boot().catch(() => {});
    return [bench.connections.length, bench.all('connectFailed')[0]?.message];
  },
  (t, on, off) => {
    t.deepEqual(on, [1, undefined]);
    t.deepEqual(off, [0, 'TLS is not supported']);
  },
);

quirkTest(
  'Q12',
  'the old connection is dropped after the new one is open, or closed before',
  { latencyUs: 5_000 },
  async (bench) => {
    await bench.ready();
    const order = bench.events.map(({ type }) => type);
    return {
      code: bench.connections[0]!.closeCode,
      replacedFirst: order.lastIndexOf('connected') < order.indexOf('disconnected'),
      state: bench.device.state,
    };
  },
  (t, on, off) => {
    t.deepEqual(on, { code: 1006, replacedFirst: true, state: 'Listening' });
    t.deepEqual(off, { code: 1000, replacedFirst: false, state: 'Listening' });
  },
);

quirkTest(
  'Q13',
  'after 10 s without ASR the board gives up alone, or goes on',
  {},
  async (bench) => {
    await bench.ready();
    bench.device.hear(babble(12_000));
    await bench.pass(13_000_000);
    return {
      gaveUp: bench.lines().includes('No ASR result after 10s audio, ending request'),
      startChats: bench.all('startChat').length,
    };
  },
  (t, on, off) => {
    t.deepEqual(on, { gaveUp: true, startChats: 2 });
    t.deepEqual(off, { gaveUp: false, startChats: 1 });
  },
);

quirkTest(
  'Q14',
  'an utterance of speech that outlasts the turn has no end, or the silence that ends it',
  {},
  async (bench) => {
    const server = await bench.ready();
    bench.device.hear(babble(3000));
    await bench.pass(1_500_000);
    server.send({ type: 'ASR', text: 'x' }, { type: 'EndVad' }, { type: 'EndResponse' });
    await bench.pass(6_000_000);
    const overUs = bench.all('speech').at(-1);
    const last = bench.all('upload').at(-1)!;
    return { startChats: bench.all('startChat').length, active: overUs!.active, atUs: last.atUs };
  },
  (t, on, off) => {
    t.is(on.startChats, 2);
    t.is(off.startChats, 2);
    // Speech is over 0.4 s after the sound, which ended 4 s into the run.
    t.false(on.active);
    t.true(on.atUs < 4_500_000, `${on.atUs} µs`);
    t.true(off.atUs > 7_000_000, `${off.atUs} µs`);
  },
);

quirkTest(
  'Q15',
  'a short sound over the answer interrupts, or 0.6 s of speech are needed',
  {},
  async (bench) => {
    const server = await bench.ready();
    bench.device.press('k0', 'long');
    await bench.pass(1_500_000);
    server.send(...sentence('A long one.', 60).events);
    await bench.pass(1_000_000);
    bench.device.hear(babble(350));
    await bench.pass(2_000_000);
    const afterShort = bench.all('state').filter(({ cause }) => cause === 'barge-in').length;
    bench.device.hear(babble(1500));
    await bench.pass(2_000_000);
    return [afterShort, bench.all('state').filter(({ cause }) => cause === 'barge-in').length];
  },
  (t, on, off) => {
    t.is(on[0], 1);
    t.deepEqual(off, [0, 1]);
  },
);

quirkTest(
  'Q16',
  'two sentences are apart by the redrawing and two cycles, or not at all',
  {},
  async (bench) => {
    const server = await idle(bench);
    const [one, two] = [sentence('One.', 8), sentence('Two.', 8)];
    server.send(...one.events, ...two.events, { type: 'EndResponse' });
    await bench.pass(4_000_000);
    const gap = bench.all('playStart')[1]!.position - bench.all('drained')[0]!.position;
    const over = bench.all('state').find(({ cause }) => cause === 'EndResponse')!;
    return { gap, early: over.atUs < bench.all('drained')[1]!.atUs };
  },
  (t, on, off) => {
    t.deepEqual(on, { gap: 3 * 256, early: false });
    t.deepEqual(off, { gap: 0, early: false });
  },
);

quirkTest(
  'Q17',
  'frames of 10 ms starve the player, or do not',
  {},
  async (bench) => {
    (await idle(bench)).send(start, ...Array.from({ length: 100 }, () => raw(160)), end);
    await bench.pass(3_000_000);
    return bench.all('underrunEnd').reduce((sum, { cycles }) => sum + cycles, 0);
  },
  (t, on, off) => {
    // 16 000 samples are 62 chunks; 100 messages take 100 cycles.
    t.true(on > 30, `${on}`);
    t.is(off, 0);
  },
);

quirkTest(
  'Q18',
  'after a slow download sentences are held back, or are not',
  { constants: { downloadRatioAtBoot: 1.2 } },
  async (bench) => {
    (await idle(bench)).send(start, raw(1920), end);
    await bench.pass(1_000_000);
    return bench.all('frameHandled').flatMap(({ disposition }) => disposition ?? []);
  },
  (t, on, off) => t.deepEqual([on, off], [['held'], ['played']]),
);

quirkTest(
  'Q19',
  'EndResponse in mid sentence leaves its sound, or ends it',
  {},
  async (bench) => {
    const server = await idle(bench);
    server.send(start, ...Array.from({ length: 20 }, () => raw(1920)));
    await bench.pass(500_000);
    server.send({ type: 'EndResponse' });
    await bench.pass(3_000_000);
    await bench.device.close();
    return bench.all('finished')[0]!;
  },
  (t, on, off) => {
    t.is(on.playedSamples, 20 * 1920);
    t.true(off.playedSamples < 0.6 * 16_000, `${off.playedSamples}`);
    t.true(conserved(on) && conserved(off));
  },
);

quirkTest(
  'Q20',
  'K0 over an answer with noise and a slow handshake locks the board up, or does not',
  { latencyUs: 700_000 },
  async (bench) => {
    const server = await idle(bench);
    server.send(...sentence('A long one.', 100).events);
    await bench.pass(2_000_000);
    bench.device.press('k0', 'short');
    bench.device.hear(babble(4000));
    await bench.pass(60_000_000);
    bench.device.press('k0', 'short');
    await bench.pass(10_000_000);
    return {
      stalled: bench.all('playerStalled').length,
      resumed: bench.all('playerResumed').length,
      helloPlayed: bench.lines().includes('Hello response received'),
    };
  },
  (t, on, off) => {
    t.deepEqual(on, { stalled: 1, resumed: 0, helloPlayed: false });
    t.deepEqual(off, { stalled: 0, resumed: 0, helloPlayed: true });
  },
);

quirkTest(
  'Q21',
  'K0 keeps what was held back of the sentence, or throws it away',
  { constants: { downloadRatioAtBoot: 1.2 } },
  async (bench) => {
    (await idle(bench)).send(start, raw(1920));
    await bench.pass(500_000);
    bench.device.press('k0', 'short');
    await bench.pass(2_000_000);
    await bench.device.close();
    return bench.all('finished')[0]!;
  },
  (t, on, off) => {
    t.like(on, { heldSamples: 1920, clearedSamples: 0 });
    t.like(off, { heldSamples: 0, clearedSamples: 1920 });
    t.true(conserved(on) && conserved(off));
  },
);

quirkTest(
  'Q23',
  'the console shows the password, or asterisks',
  {},
  async (bench) => {
    await idle(bench);
    return (quirksOff: readonly QuirkId[]) => {
      const serverUrl = 'ws://echokit.test/ws/';
      const profile = { ...diy, quirksOff };
      const printer = new ConsolePrinter({ profile, serverUrl, password: 'hunter2' });
      return bench.events.map((event) => printer.print(event)).join('');
    };
  },
  (t, on, off) => {
    t.true(on([]).includes('PASS: "hunter2"'));
    const text = off(['Q23']);
    t.false(text.includes('hunter2'));
    t.true(text.includes('PASS: ***'));
  },
);

quirkTest(
  'Q25',
  'a sound during the hello begins an utterance, or is forgotten',
  {},
  async (bench) => {
    await bench.listen();
    await bench.device.boot();
    await bench.pass(1_000_000);
    bench.device.press('k0', 'short');
    bench.device.hear(babble(250));
    await bench.pass(2_000_000);
    return bench.all('startChat').length;
  },
  (t, on, off) => t.deepEqual([on, off], [1, 0]),
);

quirkTest(
  'Q26',
  'a sound in Idle floods the console, or prints one line',
  {},
  async (bench) => {
    await idle(bench);
    bench.device.hear(babble(1500));
    await bench.pass(2_500_000);
    return bench.lines().filter((line) => line.startsWith('Received MicAudioChunk while')).length;
  },
  (t, on, off) => {
    t.true(on > 30, `${on}`);
    t.is(off, 1);
  },
);

quirkTest(
  'Q40',
  'a server that accepts TCP and stays silent is waited for, or given up after 10 s',
  {},
  async (bench) => {
    await bench.network.listen({ host: 'echokit.test', port: 8080 }, () => {});
    let message: string | undefined;
    bench.device.boot().catch((error: Error) => {
      message = error.message;
    });
    await bench.pass(3_600_000_000);
    return message;
  },
  (t, on, off) => {
    t.is(on, undefined);
    t.regex(off ?? '', /timed out after 10 s/);
  },
);

quirkTest(
  'Q41',
  'EndVad without EndResponse freezes the board, or for 30 s only',
  {},
  async (bench) => {
    (await bench.ready()).send({ type: 'EndVad' });
    await bench.pass(29_000_000);
    const { state } = bench.device;
    await bench.pass(1_000_000_000);
    return [state, bench.all('state').at(-1)!.to];
  },
  (t, on, off) => {
    t.deepEqual(on, ['Waiting', 'Waiting']);
    // Listening, and after 300 quiet seconds Idle.
    t.deepEqual(off, ['Waiting', 'Idle']);
  },
);

quirkTest(
  'Q43',
  'a ping prints at level E, or at level I',
  {},
  async (bench) => {
    (await idle(bench)).socket.ping();
    await bench.pass(100_000);
    return bench.all('log').find(({ message }) => message.startsWith('Unexpected'))?.level;
  },
  (t, on, off) => t.deepEqual([on, off], ['E', 'I']),
);

test('every quirk that can be switched off is shown with it and without it', (t) => {
  t.deepEqual([...shown], [...quirkIds]);
});

// EchoKit device protocol reference, section 10: the rows of side D.
const sideD =
  'Q2 Q3 Q4 Q5 Q6 Q7 Q8 Q9 Q10 Q11 Q12 Q13 Q14 Q15 Q16 Q17 Q18 Q19 Q20 Q21 Q22 Q23 Q24 Q25 Q26 Q27 Q40 Q41 Q43';

test('every quirk of the device is listed, once', (t) => {
  const ids = [...quirks, ...absentQuirks].map(({ id }) => id);
  const number = (id: string) => Number(id.slice(1));
  t.is(ids.sort((a, b) => number(a) - number(b)).join(' '), sideD);
});

test('a board has every quirk that is not switched off', (t) => {
  t.true(Object.values(traitsWithout([])).every((has) => has));
  const without = Object.entries(traitsWithout(['Q16', 'Q2'])).filter(([, has]) => !has);
  t.deepEqual(
    without.map(([trait]) => trait),
    ['restOutlivesSentence', 'waitsForDrain'],
  );
});

test('the README has the table of quirks', (t) => {
  const readme = readFileSync(new URL('README.md', import.meta.url), 'utf8');
  const rows = [...readme.matchAll(/^\| (Q\d+) +\| (.*?) +\| (.*?) +\| (.*?) +\| (.*?) +\|$/gm)];
  const files = readdirSync(new URL('../../scenarios/quirks/', import.meta.url));
  const scenario = (id: string) => {
    const file = files.find((name) => name.startsWith(`${id}-`));
    return file === undefined ? '–' : `\`${file.replace('.toml', '')}\``;
  };
  const expected = [
    ...quirks.map(({ id, on, off, section }) => [id, on, off, section, scenario(id)]),
    ...absentQuirks.map(({ id, on, reason, section }) => [
      id,
      on,
      `cannot be seen here: ${reason}`,
      section,
      scenario(id),
    ]),
  ];
  const found = rows.map((row) => row.slice(1));
  t.deepEqual(found.sort(), expected.sort());
});
