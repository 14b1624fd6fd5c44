import test from 'ava';
import { createRandom } from '../random/random.ts';
import { speechLike } from './speech-like.contract.ts';
import { loadVoiceDetection, type VoiceDetector } from './voice-detection.ts';

const detection = await loadVoiceDetection();
const settings = { aggressiveness: 3, energyGateDbfs: -50 } as const;

function noise(seconds: number, rms: number, label: string): Int16Array {
  const random = createRandom(1, label);
  return Int16Array.from({ length: Math.round(seconds * 16_000) }, () =>
    Math.max(-32_768, Math.min(32_767, Math.round(random.normal() * rms))),
  );
}

function decisions(detector: VoiceDetector, signal: Int16Array, blockSamples: number): boolean[] {
  const all: boolean[] = [];
  for (let at = 0; at < signal.length; at += blockSamples) {
    all.push(detector.process(signal.subarray(at, at + blockSamples)));
  }
  return all;
}

const share = (all: boolean[]): number => all.filter(Boolean).length / all.length;

test('speech-like sound is voice', (t) => {
  t.true(share(decisions(detection.create(settings), speechLike(2), 160)) > 0.95);
});

test('digital silence is never voice, not even right after speech', (t) => {
  const detector = detection.create(settings);
  t.is(share(decisions(detector, new Int16Array(16_000), 160)), 0);
  decisions(detector, speechLike(1), 160);
  t.is(share(decisions(detector, new Int16Array(16_000), 160)), 0);
});

test('room noise below the gate is not voice, and the same speech 40 dB lower is not either', (t) => {
  // An RMS of 65 is −54 dBFS; the gate is at −50 dBFS.
  t.is(share(decisions(detection.create(settings), noise(2, 65, 'room'), 160)), 0);
  t.is(share(decisions(detection.create(settings), speechLike(2, 80), 160)), 0);
});

test('the gate, not the detector, refuses what lies just below it', (t) => {
  const signal = noise(2, 6000, 'loud'); // −14.7 dBFS; the detector calls loud noise voice
  const open = detection.create({ aggressiveness: 3, energyGateDbfs: -18 });
  const shut = detection.create({ aggressiveness: 3, energyGateDbfs: -12 });
  t.true(share(decisions(open, signal, 160)) > 0.9);
  t.is(share(decisions(shut, signal, 160)), 0);
});

test('a block is voice when more than half of its frames are', (t) => {
  const speech = speechLike(1);
  const warmed = (): VoiceDetector => {
    const detector = detection.create(settings);
    detector.process(speech);
    return detector;
  };
  const block = (voicedFrames: number): Int16Array => {
    const samples = new Int16Array(640);
    samples.set(speech.subarray(0, voicedFrames * 160));
    return samples;
  };
  t.true(warmed().process(block(3)));
  t.false(warmed().process(block(2)));
});

test('blocks of any length see the same frames', (t) => {
  const signal = new Int16Array(16_000 * 3);
  signal.set(speechLike(1), 16_000);
  // 512 samples complete 3, 3, 3, 3 and 4 frames in turn: compare with frames grouped by hand.
  const byFrame = decisions(detection.create(settings), signal, 160);
  const expected: boolean[] = [];
  for (let end = 512; end <= signal.length - (signal.length % 512); end += 512) {
    const group = byFrame.slice(Math.floor((end - 512) / 160), Math.floor(end / 160));
    expected.push(share(group) > 0.5);
  }
  t.deepEqual(
    decisions(detection.create(settings), signal, 512).slice(0, expected.length),
    expected,
  );
  t.true(expected.includes(true) && expected.includes(false));
});

test('a call that completes no frame repeats the previous answer', (t) => {
  const detector = detection.create(settings);
  t.false(detector.process(new Int16Array(10)));
  detector.reset();
  t.true(detector.process(speechLike(1)));
  t.true(detector.process(new Int16Array(10)));
  detector.reset();
  t.false(detector.process(new Int16Array(10)));
});

test('detectors do not disturb each other and a reset one starts over', (t) => {
  const signal = new Int16Array(32_000);
  signal.set(noise(1, 900, 'before'));
  signal.set(speechLike(1, 3000), 16_000);
  const alone = decisions(
    detection.create({ aggressiveness: 1, energyGateDbfs: -60 }),
    signal,
    160,
  );

  const first = detection.create({ aggressiveness: 1, energyGateDbfs: -60 });
  const second = detection.create({ aggressiveness: 3, energyGateDbfs: -60 });
  const interleaved: boolean[] = [];
  for (let at = 0; at < signal.length; at += 160) {
    interleaved.push(first.process(signal.subarray(at, at + 160)));
    second.process(signal.subarray(signal.length - at - 160, signal.length - at));
  }
  t.deepEqual(interleaved, alone);

  first.reset();
  t.deepEqual(decisions(first, signal, 160), alone);
});
