import test from 'ava';
import { createRandom } from '../random/random.ts';
import { loadOpus, type OpusDecoder, OpusError, opusFrameSamples } from './opus-codec.ts';

const opus = await loadOpus();

/** A voice-like tone with moving pitch and harmonics. */
function hum(frames: number, seed = 1): Int16Array {
  const out = new Int16Array(frames * opusFrameSamples);
  let phase = 0;
  for (let i = 0; i < out.length; i++) {
    phase += (110 + 10 * seed + 40 * Math.sin(i / 9000)) / 16_000;
    let value = 0;
    for (let h = 1; h < 12; h++) value += Math.sin(2 * Math.PI * phase * h) / h;
    out[i] = value * 3000 * (0.6 + 0.4 * Math.sin(i / 2500));
  }
  return out;
}

function frame(samples: Int16Array, index: number): Int16Array {
  return samples.subarray(index * opusFrameSamples, (index + 1) * opusFrameSamples);
}

function encodeAll(samples: Int16Array): Uint8Array[] {
  const encoder = opus.createEncoder();
  const packets: Uint8Array[] = [];
  for (let i = 0; i < samples.length / opusFrameSamples; i++) {
    packets.push(encoder.encode(frame(samples, i)));
  }
  return packets;
}

function rms(samples: Int16Array): number {
  let sum = 0;
  for (const s of samples) sum += s * s;
  return Math.sqrt(sum / samples.length);
}

function refusal(decoder: OpusDecoder, packet: Uint8Array): string | undefined {
  try {
    decoder.decode(packet);
    return undefined;
  } catch (error) {
    if (!(error instanceof OpusError)) throw error;
    return error.message;
  }
}

test('a decoded tone has the length, loudness and shape of the original', (t) => {
  const original = hum(10);
  const decoder = opus.createDecoder();
  const decoded = encodeAll(original).map((packet) => decoder.decode(packet));
  t.true(decoded.every((d) => d.length === opusFrameSamples));
  const all = Int16Array.from(decoded.flatMap((d) => [...d]));
  t.true(Math.abs(rms(all) / rms(original) - 1) < 0.1);
  // The codec delays by 104 samples (6.5 ms); aligned, the waves must correlate.
  const delay = 104;
  let product = 0;
  for (let i = 4000; i < all.length - delay; i++) product += all[i + delay]! * original[i]!;
  const energy = rms(all.subarray(4000)) * rms(original.subarray(4000)) * (all.length - 4000);
  t.true(product / energy > 0.8, `correlation ${product / energy}`);
});

test('packets are those of 120 ms VoIP in two SILK wideband frames at the automatic bitrate', (t) => {
  const packets = encodeAll(hum(50));
  // RFC 6716: configuration 11 = SILK wideband, 60 ms; code 1 or 2 = two frames.
  t.true(packets.every((p) => p[0]! >> 3 === 11 && [1, 2].includes(p[0]! & 3)));
  const mean = packets.reduce((sum, p) => sum + p.length, 0) / packets.length;
  // 17 000 bit/s in 120 ms are 255 bytes; VBR on a simple signal stays somewhat below.
  t.true(mean > 170 && mean < 290, `mean ${mean} bytes`);
});

test('the same samples give the same packets, in a new encoder and after a reset', (t) => {
  const samples = hum(6);
  const first = encodeAll(samples);
  t.deepEqual(encodeAll(samples), first);
  const encoder = opus.createEncoder();
  encoder.encode(frame(hum(1, 7), 0));
  encoder.reset();
  t.deepEqual(
    first.map((_, i) => encoder.encode(frame(samples, i))),
    first,
  );
});

test('a second load of the codec gives the same packets', async (t) => {
  const samples = hum(3);
  const encoder = (await loadOpus()).createEncoder();
  t.deepEqual(
    [0, 1, 2].map((i) => encoder.encode(frame(samples, i))),
    encodeAll(samples),
  );
});

test('a decoder after reset is as new', (t) => {
  const packets = encodeAll(hum(4));
  const fresh = opus.createDecoder();
  const expected = packets.map((p) => fresh.decode(p));
  const used = opus.createDecoder();
  for (const p of encodeAll(hum(3, 5))) used.decode(p);
  used.reset();
  t.deepEqual(
    packets.map((p) => used.decode(p)),
    expected,
  );
});

test('sixty interleaved codecs do not touch each other', (t) => {
  const voices = Array.from({ length: 60 }, (_, v) => ({
    samples: hum(2, v),
    encoder: opus.createEncoder(),
    decoder: opus.createDecoder(),
  }));
  const together = voices.map(() => [] as { packet: Uint8Array; samples: Int16Array }[]);
  for (let i = 0; i < 2; i++) {
    for (const [v, voice] of voices.entries()) {
      const packet = voice.encoder.encode(frame(voice.samples, i));
      together[v]!.push({ packet, samples: voice.decoder.decode(packet) });
    }
  }
  for (const v of [0, 17, 59]) {
    const packets = encodeAll(voices[v]!.samples);
    const decoder = opus.createDecoder();
    t.deepEqual(
      together[v],
      packets.map((packet) => ({ packet, samples: decoder.decode(packet) })),
    );
  }
});

test('results stay as they are when the codec works on', (t) => {
  const samples = hum(3);
  const encoder = opus.createEncoder();
  const decoder = opus.createDecoder();
  const packet = encoder.encode(frame(samples, 0));
  const kept = packet.slice();
  const audio = decoder.decode(packet);
  const keptAudio = audio.slice();
  decoder.decode(encoder.encode(frame(samples, 2)));
  t.deepEqual(packet, kept);
  t.deepEqual(audio, keptAudio);
});

test('an empty packet conceals exactly 120 ms with sound like the one before', (t) => {
  const decoder = opus.createDecoder();
  let level = 0;
  for (const packet of encodeAll(hum(8))) level = rms(decoder.decode(packet));
  for (let lost = 0; lost < 4; lost++) {
    const concealed = decoder.decode(new Uint8Array());
    t.is(concealed.length, 1920);
    t.true(rms(concealed) > 0.1 * level && rms(concealed) < 1.2 * level);
  }
});

test('a loss before any packet is silence of 120 ms', (t) => {
  t.deepEqual(opus.createDecoder().decode(new Uint8Array()), new Int16Array(1920));
});

test('every legal frame length makes a packet of that length', (t) => {
  for (const frameSamples of [40, 80, 160, 320, 640, 960, 1280, 1600, 1920]) {
    const packet = opus.createEncoder({ frameSamples }).encode(hum(1).subarray(0, frameSamples));
    t.is(opus.createDecoder().decode(packet).length, frameSamples);
  }
});

test('other lengths are refused with the numbers', (t) => {
  t.throws(() => opus.createEncoder({ frameSamples: 2048 }), {
    instanceOf: OpusError,
    code: 'OPUS_FRAME_LENGTH',
    message: /2048/,
  });
  t.throws(() => opus.createEncoder().encode(new Int16Array(1919)), {
    code: 'OPUS_FRAME_LENGTH',
    message: /1919.*1920/,
  });
});

test('packets above 120 ms do not fit the output buffer', (t) => {
  const decoder = opus.createDecoder();
  // Code 3 with three 60 ms frames; code 3 with seven 20 ms CELT frames.
  for (const bytes of [
    [0x5b, 3, 0, 0, 0],
    [0x9b, 7, 0, 0],
  ]) {
    t.is(refusal(decoder, Uint8Array.from(bytes)), 'opus_decode: buffer too small');
  }
  // Six 20 ms frames are 120 ms and fit: the refusal is about the length only.
  t.is(refusal(decoder, Uint8Array.from([0x4b, 6])), undefined);
});

test('a packet with a broken structure is a corrupted stream, and the decoder goes on', (t) => {
  const packets = encodeAll(hum(3));
  const decoder = opus.createDecoder();
  decoder.decode(packets[0]!);
  // Code 1 promises two frames of equal size: an even packet length cannot be (RFC 6716, 3.2.3).
  const odd = Uint8Array.from([0x59, 1, 2, 3]);
  t.is(refusal(decoder, odd), 'opus_decode: corrupted stream');
  t.is(refusal(decoder, new Uint8Array(4000).fill(0x59)), 'opus_decode: corrupted stream');
  t.is(decoder.decode(packets[1]!).length, 1920);
});

test('random bytes never break a codec', (t) => {
  const random = createRandom(5, 'opus-garbage');
  const packets = encodeAll(hum(4));
  const decoder = opus.createDecoder();
  let refused = 0;
  for (let round = 0; round < 600; round++) {
    let packet = random.bytes(random.integer(1, 300));
    if (round % 2 === 1) {
      packet = packets[round % packets.length]!.slice(0, random.integer(1, 200));
      packet[random.integer(0, packet.length - 1)]! ^= 1 << random.integer(0, 7);
    }
    if (refusal(decoder, packet) !== undefined) refused++;
  }
  t.true(refused > 50);
  decoder.reset();
  const fresh = opus.createDecoder();
  t.deepEqual(
    packets.map((p) => decoder.decode(p)),
    packets.map((p) => fresh.decode(p)),
  );
});
