import test from 'ava';
import { createRandom, type Random } from '../random/random.ts';
import { loadVoiceDetection, type VoiceDetector } from '../voice-detection/voice-detection.ts';
import { Microphone, type MicrophoneOptions } from './microphone.ts';

const detection = await loadVoiceDetection();

/** Calls every frame voice that is loud. */
function loudnessDetector(): VoiceDetector {
  return { process: (samples) => samples.some((s) => Math.abs(s) > 1000), reset: () => {} };
}

function create(changes: Partial<MicrophoneOptions> = {}): Microphone {
  return new Microphone({
    startUs: 0,
    chunkSamples: 512,
    preRollChunks: 16,
    speechMinimumMs: 200,
    noiseMinimumMs: 400,
    detector: loudnessDetector(),
    ...changes,
  });
}

function tone(ms: number, amplitude = 8000): Int16Array {
  return Int16Array.from({ length: ms * 16 }, (_, i) => amplitude * Math.sin(i * 0.3) + 1100);
}

/** A buzz with syllables, which the WebRTC detector takes for a voice. */
function babble(random: Random, ms: number): Int16Array {
  const out = new Int16Array(ms * 16);
  let phase = 0;
  const pitch = random.between(100, 180);
  for (let i = 0; i < out.length; i++) {
    phase += pitch / 16_000;
    let value = 0;
    for (let h = 1; h < 20; h++) value += Math.sin(2 * Math.PI * phase * h) / Math.sqrt(h);
    out[i] = value * 2500 * (0.55 + 0.45 * Math.sin((2 * Math.PI * 4 * i) / 16_000));
  }
  return out;
}

/** Runs along the announced instants; every output with the instant at which it came. */
function run(microphone: Microphone, untilUs: number) {
  const heard: { atUs: number; what: string; samples: number[] }[] = [];
  let wakes = 0;
  for (;;) {
    const due = microphone.nextDeadlineUs();
    const atUs = due === undefined || due > untilUs ? untilUs : due;
    wakes++;
    for (const output of microphone.advanceTo(atUs)) {
      heard.push({
        atUs,
        what: output.type,
        samples: output.type === 'chunk' ? [...output.samples] : [],
      });
    }
    if (atUs === untilUs) return { heard, wakes };
  }
}

test('speech starts 200 ms into a sound, at the end of a chunk, with the audio from before', (t) => {
  const microphone = create();
  const sound = tone(500);
  microphone.play(sound, 1_000_000);
  const { heard } = run(microphone, 1_500_000);
  // 200 ms of voice are complete at 1.2 s; the chunk that holds that frame ends at 38 · 32 ms.
  t.is(heard[0]!.what, 'speechStarted');
  t.is(heard[0]!.atUs, 38 * 32_000);
  const first = heard.filter((h) => h.atUs === 38 * 32_000 && h.what === 'chunk');
  t.is(first.length, 17);
  const all = heard.flatMap((h) => h.samples);
  const onset = all.findIndex((s) => s !== 0);
  // The first chunk of the pre-roll begins at chunk 21; the sound at sample 16 000.
  t.is(onset, 16_000 - 21 * 512);
  t.deepEqual(all.slice(onset, onset + 3000), [...sound.subarray(0, 3000)]);
});

test('sounds shorter than 200 ms are not speech', (t) => {
  const microphone = create();
  microphone.play(tone(190), 1_000_000);
  t.deepEqual(run(microphone, 3_000_000).heard, []);
});

test('the gate keeps silence flowing until it is closed and 400 ms are quiet', (t) => {
  const microphone = create();
  microphone.play(tone(300), 0);
  const before = run(microphone, 2_000_000).heard;
  t.is(before.filter((h) => h.what === 'speechEnded').length, 0);
  t.is(before.filter((h) => h.what === 'chunk').length, Math.floor(2_000_000 / 32_000));
  microphone.closeGate();
  const after = run(microphone, 3_000_000).heard;
  t.deepEqual(
    after.map((h) => [h.what, h.atUs]),
    [['speechEnded', 63 * 32_000]],
  );
});

test('sounds that overlap are mixed and limited to 16 bits', (t) => {
  const microphone = create();
  microphone.play(new Int16Array(8000).fill(20_000), 0);
  microphone.play(new Int16Array(8000).fill(-5000), 64_000);
  microphone.play(new Int16Array(8000).fill(20_000), 128_000);
  const all = run(microphone, 400_000).heard.flatMap((h) => h.samples);
  t.is(all[0], 20_000);
  t.is(all[1024], 15_000);
  t.is(all[2048], 32_767);
});

test('a sound begins at the first sample at or after its instant', (t) => {
  for (const [atUs, sample] of [
    [0, 0],
    [62, 1],
    [63, 2],
    [125, 2],
  ] as const) {
    const microphone = create();
    microphone.play(new Int16Array(8000).fill(5000), atUs);
    const all = run(microphone, 400_000).heard.flatMap((h) => h.samples);
    t.is(
      all.findIndex((s) => s !== 0),
      sample,
      `${atUs} µs`,
    );
  }
});

test('silence costs nothing after a second', (t) => {
  const { wakes } = run(create(), 3_600_000_000);
  t.true(wakes < 40, `${wakes} wakes in an hour`);
});

for (const chunkSamples of [256, 512]) {
  test(`chunks of ${chunkSamples}: resting in silence changes nothing of what comes later`, (t) => {
    let speech = 0;
    for (let seed = 0; seed < 6; seed++) {
      const results = [false, true].map((eager) => {
        const random = createRandom(seed, 'microphone');
        const microphone = create({
          chunkSamples,
          eager,
          startUs: random.integer(0, 100_000),
          detector: detection.create({ aggressiveness: 3, energyGateDbfs: -50 }),
        });
        const heard = [];
        let atUs = 100_000;
        for (let i = 0; i < 5; i++) {
          atUs += random.integer(0, 6_000_000);
          heard.push(...run(microphone, atUs).heard);
          microphone.play(babble(random, random.integer(100, 1500)), atUs);
          atUs += random.integer(0, 2_500_000);
          heard.push(...run(microphone, atUs).heard);
          microphone.closeGate();
        }
        return heard;
      });
      // The instants of waking differ, what was heard and when it was complete must not.
      t.deepEqual(results[0], results[1], `seed ${seed}`);
      speech += results[0]!.filter((h) => h.what === 'speechStarted').length;
    }
    t.true(speech > 8, `speech was found ${speech} times`);
  });
}
