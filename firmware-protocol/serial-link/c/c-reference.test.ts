import test, { type ExecutionContext } from 'ava';
import { createRandom } from '../../../harness/random/random.ts';
import { crc32 } from '../crc32.ts';
import { SerialLinkEndpoint } from '../endpoint.ts';
import { encodeSerialLinkFrame } from '../frame.ts';
import { runThroughNoise } from '../noise.contract.ts';
import { joined } from '../noisy-line.contract.ts';
import { bytesOf, hexOf, type SessionStep, vectorsOf } from '../serial-link-vectors.contract.ts';
import { buildC, CEnd, hexWord, Lockstep, newEnd, removeBuilds } from './c-program.contract.ts';

/** Ten times as many, for a run by hand. */
const scale = Number(process.env['SERIAL_LINK_NOISE_SCALE'] ?? '1');

test.after.always(removeBuilds);

function startC(t: ExecutionContext): Lockstep | null {
  const built = buildC(t, 'lockstep');
  return built && new Lockstep(t, built.command);
}

test('the C reference passes the vectors of CRC, stuffing, frames and ADPCM', (t) => {
  const c = startC(t);
  if (c === null) return;
  const value = (...words: readonly string[]) => c.ask(...words).value;
  for (const { name, hex, crc } of vectorsOf('crc')) t.is(value('crc', hex || '-'), crc, name);
  for (const { name, hex, stuffed, accepted, written } of vectorsOf('cobs')) {
    t.is(value('unstuff', stuffed), accepted ? hex! : 'none', name);
    if (accepted && written !== false) t.is(value('stuff', hex!), stuffed, name);
  }
  for (const { name, body, wire } of vectorsOf('frame')) t.is(value('frame', body), wire, name);
  for (const { name, samples, hex, decoded } of vectorsOf('adpcm')) {
    const bytes = Buffer.from(Int16Array.from(samples).buffer);
    t.is(value('adpcm-encode', bytes.toString('hex')), hex, name);
    t.is(value('adpcm-decode', hex), decoded.join(' '), name);
  }
  for (const hex of ['00005900', '000000', '00000001']) {
    t.is(value('adpcm-decode', hex), 'none', hex);
  }
});

test('the C reference finds text, damage and frames in the streams of the vectors, however they are cut', (t) => {
  const c = startC(t);
  if (c === null) return;
  for (const { name, wire, frameMaximumBytes, items } of vectorsOf('stream')) {
    const bytes = bytesOf(wire);
    for (const size of [bytes.length, 1, 3]) {
      // Not started, it reads and does nothing else.
      c.ask(...newEnd({ role: 'host', frameMaximumBytes }, 1));
      let found: string[] = [];
      const hear = (events: readonly string[]): void => {
        found = mergedTexts([...found, ...events]);
      };
      let frames = 0;
      for (let at = 0; at < bytes.length; at += size) {
        const piece = hexOf(bytes.subarray(at, at + size));
        hear(c.ask('receive', 1000, piece).events);
        const now = Number(c.ask('counts').value!.split(' ')[0]);
        for (; frames < now; frames++) if (size === 1) found.push('frame');
      }
      hear(c.ask('due', 501_000).events);
      const expected = items.flatMap((item) => {
        if ('frame' in item) return size === 1 ? ['frame'] : [];
        return 'text' in item ? [`text ${item.text}`] : [`damaged ${item.damaged} ${item.bytes}`];
      });
      t.deepEqual(found, mergedTexts(expected), `${name}, in pieces of ${size}`);
      t.is(frames, items.filter((item) => 'frame' in item).length, name);
    }
  }
});

function mergedTexts(words: readonly string[]): string[] {
  const out: string[] = [];
  for (const word of words) {
    if (word.startsWith('text ') && out.at(-1)?.startsWith('text ')) {
      out[out.length - 1] += word.slice(5);
    } else out.push(word);
  }
  return out;
}

test('the C reference refuses the bodies that the vectors refuse, and no other', (t) => {
  const c = startC(t);
  if (c === null) return;
  for (const { name, hex, accepted } of vectorsOf('link-frame')) {
    c.ask(...newEnd({ role: 'host' }, 1));
    c.ask('start', 0);
    c.ask('receive', 1, hexOf(encodeSerialLinkFrame(bytesOf(hex))));
    const [received, unknown] = c.ask('counts').value!.split(' ');
    t.is(received, '1', name);
    t.is(unknown, accepted ? '0' : '1', name);
  }
});

test('the C reference passes the sessions of the vectors', (t) => {
  const c = startC(t);
  if (c === null) return;
  for (const { name, role, session, settings, steps } of vectorsOf('session')) {
    c.ask(...newEnd({ ...settings, role }, session));
    for (const step of steps) {
      const { out, events } = c.ask(...wordsOf(step));
      t.deepEqual(out, [...step.out], `${name}: ${step.do} at ${step.atUs} µs writes`);
      t.deepEqual(events, [...step.events], `${name}: ${step.do} at ${step.atUs} µs tells`);
    }
  }
});

function wordsOf(step: SessionStep): (string | number)[] {
  switch (step.do) {
    case 'receive':
      return [step.do, step.atUs, step.bytes];
    case 'send':
      return [step.do, step.atUs, step.type, step.payload];
    case 'grant':
      return [step.do, step.atUs, step.messages];
    default:
      return [step.do, step.atUs];
  }
}

test('the C reference refuses settings and messages that are impossible', (t) => {
  const c = startC(t);
  if (c === null) return;
  for (const settings of [
    { frameMaximumBytes: 95 },
    { frameMaximumBytes: 4097 },
    { window: 0 },
    { window: 65 },
    { messageMaximumBytes: 95 },
  ]) {
    t.is(c.ask(...newEnd({ role: 'board', ...settings }, 1)).result, 1);
  }
  c.ask(...newEnd({ role: 'board' }, 1, 4));
  const [notConnected, direction, tooLong, busy] = [2, 3, 5, 6];
  t.is(c.ask('send', 0, 2, '7b7d').result, notConnected);
  t.is(c.ask('ping', 0).result, notConnected);
  const outgoing: string[] = [];
  const host = new SerialLinkEndpoint({
    role: 'host',
    newSession: () => 9,
    output: (bytes) => outgoing.push(hexOf(bytes)),
    onEvent: () => {},
  });
  host.start(0);
  for (const hex of c.ask('start', 0).out) host.receive(bytesOf(hex), 1);
  for (let i = 0; i < 3; i++) {
    for (const hex of outgoing.splice(0)) {
      for (const answer of c.ask('receive', 2, hex).out) host.receive(bytesOf(answer), 2);
    }
  }
  t.is(host.state, 'connected');
  for (const type of [1, 4, 9, 11]) {
    t.is(c.ask('send', 3, type, '00').result, direction, `type ${type}`);
  }
  t.is(c.ask('loose', 3, 2, '00').result, direction);
  t.is(c.ask('loose', 3, 5, '00'.repeat(359)).result, tooLong);
  t.is(c.ask('send', 3, 6, '00'.repeat(355)).result, tooLong);
  t.is(c.ask('send', 3, 3, '00'.repeat(354 + 3 * 355 + 1)).result, tooLong);
  t.is(c.ask('send', 3, 3, '00'.repeat(354 + 3 * 355)).result, 0);
  t.is(c.ask('send', 3, 2, '7b7d').result, busy);
  // To a board that offers nothing.
  c.ask(...newEnd({ role: 'host' }, 1));
  c.ask('start', 0);
  connect(c, 'host', 1, 1);
  const notOffered = 4;
  for (const type of [4, 6, 9]) {
    t.is(c.ask('send', 3, type, '00').result, notOffered, `type ${type}`);
  }
  t.is(c.ask('send', 3, 2, '7b7d').result, direction);
  t.is(c.ask('send', 3, 12, '00e803').result, 0);
});

for (const [role, baud, messages] of [
  ['board', 115_200, 700],
  ['host', 921_600, 700],
] as const) {
  test(`as the ${role} at ${baud} baud the C reference takes no wrong message and loses none`, (t) => {
    const c = startC(t);
    if (c === null) return;
    const figures = runThroughNoise({
      baud,
      seed: 8,
      meanBytesBetween: 1200,
      messages: messages * scale,
      makeHost: (s) => (role === 'host' ? new CEnd(c, s) : new SerialLinkEndpoint(s)),
      makeBoard: (s) => (role === 'board' ? new CEnd(c, s) : new SerialLinkEndpoint(s)),
    });
    t.log(
      `${figures.faults} faults, ${figures.messages} messages, ` +
        `goodput ${(100 * figures.goodput).toFixed(1)} %, stall ${figures.longestStallMs.toFixed(0)} ms`,
    );
    t.true(figures.faults > 500 * scale);
    t.is(figures.messages, 2 * messages * scale);
    t.is(figures.wrong + figures.lost + figures.recoveredLate + figures.disconnections, 0);
  });
}

test('both implementations write and tell the same, byte for byte, through the same noise', (t) => {
  const c = startC(t);
  if (c === null) return;
  const run = {
    baud: 115_200,
    seed: 21,
    meanBytesBetween: 1500,
    messages: 200,
    makeHost: (s: ConstructorParameters<typeof SerialLinkEndpoint>[0]) => new SerialLinkEndpoint(s),
  };
  const typescript = runThroughNoise({ ...run, makeBoard: run.makeHost });
  const both = runThroughNoise({ ...run, makeBoard: (settings) => new CEnd(c, settings) });
  t.true(typescript.framesRepeated > 50);
  t.deepEqual(both, typescript);
});

test('100,000 broken buffers find nothing in the C reference that a sanitizer would tell', (t) => {
  const c = startC(t);
  if (c === null) return;
  const random = createRandom(31, 'fuzz');
  const bodies = vectorsOf('link-frame').map(({ hex }) => bytesOf(hex));
  const batch: Uint8Array[] = [];
  let buffers = 0;
  let nowUs = 0;
  for (let round = 0; round < 500 * scale; round++) {
    const settings = {
      role: random.next() < 0.5 ? ('host' as const) : ('board' as const),
      frameMaximumBytes: random.integer(96, 400),
      window: random.integer(1, 64),
      messageMaximumBytes: random.integer(96, 3000),
      ...(random.next() < 0.3 && { room: random.integer(0, 5) }),
    };
    c.ask(...newEnd(settings, 1 + round, random.integer(1, 127)));
    c.ask('start', nowUs);
    if (random.next() < 0.8) connect(c, settings.role, 1 + round, nowUs);
    for (let i = 0; i < 10; i++) {
      batch.length = 0;
      for (let k = 0; k < 20; k++) batch.push(brokenBuffer(bodies, random));
      buffers += batch.length;
      nowUs += random.integer(0, 600_000);
      // In one call, so that what is cut in one buffer goes on in the next.
      c.ask('receive', nowUs, hexWord(joined(...batch)));
      if (random.next() < 0.3) {
        const type = settings.role === 'host' ? 1 : 2;
        c.ask('send', nowUs, type, hexWord(random.bytes(random.integer(0, 2000))));
      }
      if (random.next() < 0.5) c.ask('due', nowUs + random.integer(0, 400_000));
    }
  }
  t.is(buffers, 100_000 * scale);
});

/** The hello of the other end, which makes this one connected. */
function connect(c: Lockstep, role: 'host' | 'board', session: number, nowUs: number): void {
  const hello = new Uint8Array(24);
  const view = new DataView(hello.buffer);
  hello.set([1, 1, 1, role === 'host' ? 3 : 2]);
  view.setUint32(4, 77, true);
  view.setUint32(8, session, true);
  view.setUint16(12, 200, true);
  hello.set([16, 16], 14);
  view.setUint32(16, 5000, true);
  c.ask('receive', nowUs, hexOf(encodeSerialLinkFrame(hello)));
}

/** Noise, frames with wrong contents, frames cut anywhere, and right frames with any content. */
function brokenBuffer(
  bodies: readonly Uint8Array[],
  random: ReturnType<typeof createRandom>,
): Uint8Array {
  const body = bodies[random.integer(0, bodies.length - 1)]!.slice();
  switch (random.integer(0, 6)) {
    case 0:
      return random.bytes(random.integer(1, 60));
    case 1: {
      for (let i = random.integer(1, 3); i > 0 && body.length > 1; i--) {
        body[random.integer(1, body.length - 1)] = random.integer(0, 255);
      }
      return encodeSerialLinkFrame(body);
    }
    case 2:
      return encodeSerialLinkFrame(body.subarray(0, random.integer(1, body.length)));
    case 3: {
      const frame = encodeSerialLinkFrame(body);
      frame[random.integer(0, frame.length - 1)] = random.integer(0, 255);
      return frame;
    }
    case 4: {
      // Data that often fits: numbers from 0 up, any flags.
      const data = random.bytes(random.integer(5, 120));
      data.set([5, random.integer(0, 7), random.integer(0, 3), random.integer(0, 2), 8]);
      return encodeSerialLinkFrame(data);
    }
    case 5: {
      // Any groups under a right check.
      const frame = random.bytes(random.integer(10, 150)).map((byte) => byte || 1);
      frame.set([0, 0xc1]);
      const end = frame.length - 7;
      const crc = crc32(frame.subarray(1, end));
      for (let i = 0; i < 6; i++) frame[end + i] = 0x80 | ((crc >>> (6 * i)) & 0x3f);
      frame[frame.length - 1] = 0;
      return frame;
    }
    default:
      return encodeSerialLinkFrame(body).subarray(0, random.integer(1, 20));
  }
}
