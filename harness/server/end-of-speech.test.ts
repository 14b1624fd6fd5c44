import test from 'ava';
import { EndOfSpeech, type EndOfSpeechSettings, SpeechLatch } from './end-of-speech.ts';

/** Feeds 32 ms pieces and says at which piece (from 1) each decision fell. */
function decisions(
  probabilities: number[],
  settings: Partial<EndOfSpeechSettings> = {},
): { steps: [piece: number, step: string][]; speech: boolean } {
  const listening = new EndOfSpeech(settings);
  const steps: [number, string][] = [];
  for (const [index, probability] of probabilities.entries()) {
    const step = listening.piece(probability);
    if (step !== 'listening') steps.push([index + 1, step]);
    if (step === 'end') break;
  }
  return { steps, speech: listening.speech };
}

const speech = (pieces: number): number[] => Array(pieces).fill(0.9);
const silence = (pieces: number): number[] => Array(pieces).fill(0.1);

test('an utterance without speech ends after 16 pieces, 512 ms, the first value above 500', (t) => {
  t.deepEqual(decisions(silence(40)), { steps: [[16, 'end']], speech: false });
});

test('speech, six silent pieces to leave it, then 16 more end the turn', (t) => {
  t.deepEqual(decisions([...speech(30), ...silence(40)]), {
    steps: [
      [30 + 6, 'pause'],
      [30 + 6 + 16, 'end'],
    ],
    speech: true,
  });
});

test('leading silence below the hang-over does not matter', (t) => {
  t.deepEqual(decisions([...silence(15), ...speech(30), ...silence(40)]).steps, [
    [51, 'pause'],
    [67, 'end'],
  ]);
});

test('talking again within the hang-over starts another round', (t) => {
  t.deepEqual(decisions([...speech(30), ...silence(21), ...speech(30), ...silence(40)]).steps, [
    [36, 'pause'],
    [30 + 21 + 30 + 6, 'pause'],
    [30 + 21 + 30 + 6 + 16, 'end'],
  ]);
});

test('a short word in the hang-over delays the end but makes no round', (t) => {
  // 3 voiced pieces and 5 of the silent ones count as speech: 256 ms, less than the minimum.
  t.deepEqual(decisions([...speech(30), ...silence(10), ...speech(3), ...silence(40)]).steps, [
    [36, 'pause'],
    [43 + 5 + 16, 'end'],
  ]);
});

test('a pause shorter than six pieces is no pause', (t) => {
  t.deepEqual(decisions([...speech(10), ...silence(5), ...speech(10), ...silence(5)]).steps, []);
});

test('speech of exactly the minimum stops the round and counts as none', (t) => {
  // 9 pieces and the 5 of the tail before speech is left: 14 × 32 = 448 ms.
  const word = [...speech(9), ...silence(40)];
  t.deepEqual(decisions(word, { minSpeechDurationMs: 448 }), {
    steps: [[15, 'end']],
    speech: false,
  });
  t.deepEqual(decisions(word, { minSpeechDurationMs: 447 }).steps[0], [15, 'pause']);
  t.deepEqual(decisions(word, { minSpeechDurationMs: 449 }).steps, [[9 + 5 + 16, 'end']]);
});

test('between the thresholds nothing changes', (t) => {
  const between = Array<number>(30).fill(0.4);
  // Out of speech, 0.4 is not speech; in speech, it is not silence.
  t.deepEqual(decisions(between).steps, [[16, 'end']]);
  t.deepEqual(decisions([...speech(10), ...between, ...between]).steps, []);
  t.deepEqual(decisions([...speech(10), ...between], { negThreshold: 0.45 }).steps[0], [
    16,
    'pause',
  ]);
});

test('the settings of [asr.vad] do what their names say', (t) => {
  const utterance = [...speech(30), ...silence(200)];
  t.deepEqual(decisions(utterance, { hangoverMs: 1000 }).steps, [
    [36, 'pause'],
    [36 + 32, 'end'],
  ]);
  t.deepEqual(decisions(utterance, { maxSilenceDurationMs: 400 }).steps[0], [30 + 12, 'pause']);
  // A threshold above 0.95 is capped, so certain speech is still found.
  t.true(decisions([...Array(30).fill(0.96), ...silence(40)], { threshold: 1 }).speech);
  t.false(decisions([...Array(30).fill(0.94), ...silence(40)], { threshold: 1 }).speech);
});

test('the latch notes speech once and for all', (t) => {
  const latch = new SpeechLatch();
  for (const probability of silence(5)) latch.piece(probability);
  t.false(latch.speech);
  latch.piece(0.9);
  for (const probability of silence(50)) latch.piece(probability);
  t.true(latch.speech);
});
