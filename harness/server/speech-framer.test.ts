import test from 'ava';
import { loadOpus, type OpusEncoder } from '../opus/opus-codec.ts';
import { createRandom } from '../random/random.ts';
import { type Frame, type Framing, packetSamples, SpeechFramer } from './speech-framer.ts';

/** An encoder that keeps the samples as they are, so that order and number can be checked. */
function recordingEncoder(): OpusEncoder & { resets: number } {
  return {
    frameSamples: packetSamples,
    resets: 0,
    encode: (samples) => new Uint8Array(samples.slice().buffer),
    reset() {
      this.resets += 1;
    },
  };
}

/** Every sample tells its position, so a lost, doubled or moved one shows. */
const counting = (count: number): Int16Array =>
  Int16Array.from({ length: count }, (_, i) => (i % 32_000) + 1);

function frame(framer: SpeechFramer, samples: Int16Array, blockSamples: number): Frame[] {
  const frames: Frame[] = [];
  const drain = (): void => {
    for (let next = framer.take(); next !== undefined; next = framer.take()) frames.push(next);
  };
  framer.begin();
  for (let at = 0; at < samples.length; at += blockSamples) {
    framer.push(samples.slice(at, at + blockSamples));
    drain();
  }
  framer.end();
  drain();
  return frames;
}

function unexplained(framer: SpeechFramer): number {
  const { samplesIn, samplesOut, paddedSamples, lostSamples } = framer.ledger;
  return samplesIn + paddedSamples - samplesOut - lostSamples;
}

const same = (left: Int16Array, right: Int16Array): boolean =>
  Buffer.from(left.buffer).equals(Buffer.from(right.buffer));

function joined(frames: Frame[]): Int16Array {
  const out = new Int16Array(frames.reduce((total, piece) => total + piece.samples.length, 0));
  let at = 0;
  for (const piece of frames) {
    out.set(piece.samples, at);
    at += piece.samples.length;
  }
  return out;
}

const random = createRandom(4, 'block sizes');
const blockSizes = [1, 2, 159, 1600, 1919, 1920, 1921, 3200, 3840, 7680, 7999, 8000];
for (let i = 0; i < 40; i++) blockSizes.push(random.integer(1, 8000));

for (const opus of [true, false]) {
  const kind = opus ? 'opus' : 'raw';
  test(`${kind}: every block size keeps every sample in order and leaves nothing unexplained`, (t) => {
    for (const total of [1, 1919, 1920, 1921, 15_000, 16_000, 16_001, 20_000]) {
      const samples = counting(total);
      const padding = opus ? (packetSamples - (total % packetSamples)) % packetSamples : 0;
      for (const blockSamples of blockSizes) {
        if (blockSamples < 10 && total > 2000) continue;
        const framer = new SpeechFramer(opus ? recordingEncoder() : undefined);
        const out = joined(frame(framer, samples, blockSamples));
        t.is(unexplained(framer), 0);
        t.is(framer.ledger.samplesIn, total);
        t.is(framer.ledger.paddedSamples, padding);
        t.is(framer.ledger.lostSamples, 0);
        const expected = new Int16Array(total + padding);
        expected.set(samples);
        t.true(same(out, expected), `${total} samples in blocks of ${blockSamples}`);
      }
    }
  });
}

test('the payload is the frame, once: packets of 1920, encoder reset per sentence', (t) => {
  const encoder = recordingEncoder();
  const framer = new SpeechFramer(encoder);
  for (const sentence of [1, 2]) {
    const frames = frame(framer, counting(5000), 700);
    t.deepEqual(
      frames.map((piece) => piece.samples.length),
      [1920, 1920, 1920],
    );
    for (const piece of frames) t.deepEqual(piece.payload, new Uint8Array(piece.samples.buffer));
    t.is(framer.ledger.frames, 3);
    t.is(encoder.resets, sentence);
  }
});

test('a sentence does not depend on the one before it', async (t) => {
  const opus = await loadOpus();
  const tone = Int16Array.from({ length: 6000 }, (_, i) => Math.round(8000 * Math.sin(i * 0.2)));
  const packets = (framer: SpeechFramer): Uint8Array[] =>
    frame(framer, tone.slice(), 1000).map((piece) => piece.payload);
  const used = new SpeechFramer(opus.createEncoder());
  frame(used, counting(10_000), 3000);
  t.deepEqual(packets(used), packets(new SpeechFramer(opus.createEncoder())));
});

test('raw pieces hold 120 ms to one second, little-endian', (t) => {
  const framer = new SpeechFramer(undefined);
  t.deepEqual(
    frame(framer, counting(40_000), 40_000).map((piece) => piece.payload.length),
    [32_000, 32_000, 16_000],
  );
  t.deepEqual(
    frame(framer, counting(4500), 1000).map((piece) => piece.payload.length),
    [4000, 4000, 1000],
  );
  framer.begin();
  framer.push(Int16Array.of(1, -2, 0x1234));
  framer.end();
  t.deepEqual([...framer.take()!.payload], [1, 0, 0xfe, 0xff, 0x34, 0x12]);
});

test('lossy framing loses what the reference server loses', (t) => {
  // EchoKit device protocol reference, section 4.4, with the blocks of each provider kind.
  const cases: [framing: Framing, total: number, block: number, frames: number, lost: number][] = [
    [{ mode: 'lossy' }, 8000, 8000, 4, 320],
    [{ mode: 'lossy', blockSamples: 8000 }, 20_000, 333, 4 + 4 + 2, 320 + 320 + 160],
    [{ mode: 'lossy' }, 16_000, 1919, 0, 16_000],
    [{ mode: 'lossy' }, 7680, 1920, 4, 0],
  ];
  for (const [framing, total, block, frames, lost] of cases) {
    const framer = new SpeechFramer(recordingEncoder(), framing);
    t.is(frame(framer, counting(total), block).length, frames);
    t.is(framer.ledger.lostSamples, lost);
    t.is(framer.ledger.paddedSamples, 0);
    t.is(unexplained(framer), 0);
  }
});

test('lossy framing of raw audio loses nothing and keeps the blocks', (t) => {
  // Section 4.2: blocks as they are, cut at one second.
  const lengths = (framing: Framing, total: number, block: number): number[] => {
    const framer = new SpeechFramer(undefined, framing);
    const frames = frame(framer, counting(total), block);
    t.is(framer.ledger.lostSamples, 0);
    t.is(unexplained(framer), 0);
    t.deepEqual(
      frames.flatMap(({ samples }) => [...samples]),
      [...counting(total)],
    );
    return frames.map(({ samples }) => samples.length);
  };
  t.deepEqual(lengths({ mode: 'lossy', blockSamples: 8000 }, 20_000, 333), [8000, 8000, 4000]);
  t.deepEqual(lengths({ mode: 'lossy' }, 20_000, 100), Array(200).fill(100));
  t.deepEqual(lengths({ mode: 'lossy' }, 33_000, 33_000), [16_000, 16_000, 1000]);
});

test('an abandoned sentence counts what it did not send as lost', (t) => {
  const framer = new SpeechFramer(recordingEncoder());
  framer.begin();
  framer.push(counting(5000));
  t.is(framer.take()?.samples.length, 1920);
  framer.abandon();
  t.deepEqual(framer.ledger, {
    samplesIn: 5000,
    samplesOut: 1920,
    paddedSamples: 0,
    lostSamples: 3080,
    frames: 1,
  });
  t.is(framer.take(), undefined);
});
