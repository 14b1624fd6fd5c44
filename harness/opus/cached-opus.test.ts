import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { createRandom, type Random } from '../random/random.ts';
import { cachedOpus } from './cached-opus.ts';
import {
  loadOpus,
  type Opus,
  type OpusDecoder,
  OpusError,
  opusFrameSamples,
} from './opus-codec.ts';

const opus = await loadOpus();

/** Frames of a few kinds, so that beginnings are shared and continuations are not. */
function frameOf(kind: number): Int16Array {
  if (kind === 0) return new Int16Array(opusFrameSamples);
  const random = createRandom(kind, 'frame');
  return Int16Array.from(
    { length: opusFrameSamples },
    (_, i) => 6000 * Math.sin((i * kind) / 20) + random.integer(-500, 500),
  );
}
const frames = [0, 1, 2, 3].map(frameOf);

/** Sentences of frames by number; a new sentence begins with a reset. */
function sentences(random: Random): number[][] {
  return Array.from({ length: random.integer(1, 6) }, () =>
    Array.from({ length: random.integer(0, 6) }, () => random.integer(0, 3)),
  );
}

function encodeAll(codec: Opus, spoken: readonly (readonly number[])[]): string[] {
  const encoder = codec.createEncoder();
  return spoken.flatMap((sentence) => {
    encoder.reset();
    return sentence.map((kind) => {
      const packet = encoder.encode(frames[kind]!);
      const hex = Buffer.from(packet).toString('hex');
      // It is the caller's own.
      packet.fill(0);
      return hex;
    });
  });
}

/** What comes out of a decoder, or what it says. */
function decoded(decoder: OpusDecoder, packet: Uint8Array): string {
  try {
    const samples = decoder.decode(packet);
    const hex = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength).toString('hex');
    samples.fill(0);
    return hex;
  } catch (error) {
    if (!(error instanceof OpusError)) throw error;
    return error.message;
  }
}

test('packets from the cache are those of the encoder, whatever was encoded before', (t) => {
  const cached = cachedOpus(opus);
  for (let seed = 0; seed < 25; seed++) {
    const spoken = sentences(createRandom(seed, 'sentences'));
    t.deepEqual(encodeAll(cached, spoken), encodeAll(opus, spoken), `seed ${seed}`);
  }
  const { made, known } = cached.counts.packets;
  t.true(made > 20 && known > 100, `${made} made, ${known} known`);
});

test('sounds from the cache are those of the decoder, also behind packets that it refuses', (t) => {
  const encoder = opus.createEncoder();
  const packets = [...frames, ...frames].map((frame) => encoder.encode(frame));
  const broken = Uint8Array.from([0xff, 0xff, 0xff]);
  const choices = [...packets, broken, new Uint8Array(0)];
  const cached = cachedOpus(opus);
  for (let seed = 0; seed < 40; seed++) {
    const random = createRandom(seed, 'packets');
    const [mine, plain] = [cached.createDecoder(), opus.createDecoder()];
    for (let i = 0; i < 8; i++) {
      if (random.next() < 0.3) {
        mine.reset();
        plain.reset();
      }
      const packet = choices[random.integer(0, random.next() < 0.8 ? 2 : choices.length - 1)]!;
      t.is(decoded(mine, packet), decoded(plain, packet), `seed ${seed}, packet ${i}`);
    }
  }
  t.true(cached.counts.sounds.known > 50, String(cached.counts.sounds.known));
});

test('packets are kept on the disk for the next process, and damage to them is noticed and dropped', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'echokit-packets-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const spoken = [
    [1, 2, 3],
    [2, 2],
    [0, 1],
  ];
  const truth = encodeAll(opus, spoken);
  const run = () => {
    const cached = cachedOpus(opus, folder);
    t.deepEqual(encodeAll(cached, spoken), truth);
    return { ...cached.counts.packets };
  };
  t.deepEqual(run(), { made: 7, known: 0, dropped: 0 });
  t.deepEqual(run(), { made: 0, known: 7, dropped: 0 });

  const [name] = readdirSync(folder);
  const file = join(folder, name!);
  const whole = readFileSync(file);
  // Every byte that can be wrong: what is behind it is lost, and nothing wrong comes out.
  const random = createRandom(1, 'damage');
  for (let i = 0; i < 12; i++) {
    const damaged = Buffer.from(whole);
    const at = random.integer(0, whole.length - 1);
    damaged[at] = damaged[at]! ^ 0x40;
    writeFileSync(file, damaged);
    const { made, known, dropped } = run();
    t.true(dropped > 0 && made > 0, `byte ${at}`);
    t.is(made + known, 7);
    t.deepEqual(run(), { made: 0, known: 7, dropped: 0 }, `after byte ${at}`);
  }
  // A writer was killed in the middle of an entry.
  writeFileSync(file, whole);
  appendFileSync(file, whole.subarray(0, 50));
  t.deepEqual(run(), { made: 0, known: 7, dropped: 50 });
  t.true(readFileSync(file).equals(whole));
});

test('a folder that cannot be written costs time and nothing else', (t) => {
  const folder = join(mkdtempSync(join(tmpdir(), 'echokit-packets-')), 'file');
  writeFileSync(folder, '');
  t.teardown(() => rmSync(join(folder, '..'), { recursive: true, force: true }));
  const cached = cachedOpus(opus, folder);
  t.deepEqual(encodeAll(cached, [[1, 2]]), encodeAll(opus, [[1, 2]]));
});

test('a frame of a wrong length is refused as by the encoder, and leaves it as it was', (t) => {
  const encoder = cachedOpus(opus).createEncoder();
  const first = encoder.encode(frames[1]!);
  t.throws(() => encoder.encode(new Int16Array(7)), { code: 'OPUS_FRAME_LENGTH' });
  const plain = opus.createEncoder();
  t.deepEqual(first, plain.encode(frames[1]!));
  t.deepEqual(encoder.encode(frames[2]!), plain.encode(frames[2]!));
});
