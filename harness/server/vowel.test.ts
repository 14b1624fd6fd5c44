import test from 'ava';
import fc from 'fast-check';
import { buzz } from './planted-speech.contract.ts';
import { firstFormantsHz, type Vowel, vowelAt, vowelOf, vowelValues } from './vowel.ts';

test('the values on the wire are those of the protocol', (t) => {
  t.deepEqual(vowelValues, { none: 0, A: 1, E: 2, I: 3, O: 4, U: 5 });
});

test('formants planted in a buzz are found', (t) => {
  // Peterson and Barney's averages for men, in Hz: three formants and a plausible fourth.
  const vowels: readonly (readonly [number, number, number])[] = [
    [730, 1090, 2440],
    [530, 1840, 2480],
    [270, 2290, 3010],
    [570, 840, 2410],
    [300, 870, 2240],
  ];
  for (const [f1, f2, f3] of vowels) {
    const samples = buzz([f1, f2, f3, 3_700], 1920);
    const found = firstFormantsHz(samples);
    t.truthy(found);
    t.true(Math.abs(found![0] - f1) < 70, `${found![0]} for ${f1}`);
    t.true(Math.abs(found![1] - f2) < 70, `${found![1]} for ${f2}`);
  }
});

test('a point in the middle of a region is its vowel, and the first region wins', (t) => {
  const points: readonly (readonly [number, number, Vowel])[] = [
    [1000, 1500, 'A'],
    [200, 3500, 'I'],
    [200, 1600, 'U'],
    [450, 2500, 'E'],
    [300, 600, 'O'],
    [1000, 4000, 'O'],
    [560, 500, 'A'],
    [2000, 2500, 'none'],
    [300, 6000, 'none'],
  ];
  for (const [f1, f2, vowel] of points) t.is(vowelAt(f1, f2), vowel, `${f1}, ${f2}`);
});

test('silence, a constant and too little signal have no vowel', (t) => {
  t.is(vowelOf(new Int16Array(1920)), 'none');
  t.is(vowelOf(new Int16Array(0)), 'none');
  t.is(typeof vowelOf(new Int16Array(1920).fill(32_767)), 'string');
});

test('what lies behind the first 64 ms changes nothing', (t) => {
  const samples = buzz([730, 1090, 2440], 1920);
  const other = samples.slice();
  other.fill(-20_000, 1024);
  t.deepEqual(firstFormantsHz(other), firstFormantsHz(samples));
  t.deepEqual(firstFormantsHz(samples.subarray(0, 1024)), firstFormantsHz(samples));
});

test('a second way to the same envelope finds the same peaks', (t) => {
  const property = fc.property(
    fc.array(fc.integer({ min: 150, max: 4_800 }), { minLength: 2, maxLength: 5 }),
    fc.integer({ min: 40, max: 400 }),
    fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    (formants, bandwidthHz, seed) => {
      // A little noise keeps the equations well conditioned, as real speech does.
      let state = seed;
      const samples = buzz(formants, 1920, bandwidthHz).map((sample) => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
        return sample + (state % 41) - 20;
      });
      t.deepEqual(firstFormantsHz(samples), peaksByElimination(samples));
    },
  );
  fc.assert(property, { numRuns: 200, seed: 5 });
});

/** Normal equations by Gaussian elimination, and the envelope by the definition of the transform. */
function peaksByElimination(samples: Int16Array): [number, number] | undefined {
  const x = Array.from({ length: 1024 }, (_, i) => samples[i]! / 32_767);
  const y = x.map((value, i) => (i === 0 ? value : value - 0.97 * x[i - 1]!));
  const w = y.map((value, i) => value * (0.54 - 0.46 * Math.cos((2 * Math.PI * i) / 1023)));
  const r = Array.from({ length: 21 }, (_, lag) =>
    w.slice(lag).reduce((sum, value, i) => sum + value * w[i]!, 0),
  );
  const rows = Array.from({ length: 20 }, (_, row) => [
    ...Array.from({ length: 20 }, (_unused, column) => r[Math.abs(row - column)]! / r[0]!),
    -r[row + 1]! / r[0]!,
  ]);
  for (let pivot = 0; pivot < 20; pivot++) {
    for (let row = 0; row < 20; row++) {
      if (row === pivot) continue;
      const factor = rows[row]![pivot]! / rows[pivot]![pivot]!;
      for (let column = pivot; column <= 20; column++) {
        rows[row]![column]! -= factor * rows[pivot]![column]!;
      }
    }
  }
  const a = [1, ...rows.map((row, i) => row[20]! / row[i]!)];
  const envelope = Array.from({ length: 321 }, (_, bin) => {
    const at = (part: (angle: number) => number): number =>
      a.reduce((sum, value, i) => sum + value * part((2 * Math.PI * i * bin) / 1024), 0);
    return -Math.log(at(Math.cos) ** 2 + at(Math.sin) ** 2);
  });
  const peaks = envelope.flatMap((value, bin) =>
    bin >= 1 && bin < 320 && value > envelope[bin - 1]! && value > envelope[bin + 1]!
      ? [bin * 15.625]
      : [],
  );
  return peaks.length < 2 ? undefined : [peaks[0]!, peaks[1]!];
}
