import test from 'ava';
import { signalFor } from './synthetic-signal.ts';

const rateHz = 16_000;
const chirpSamples = 800;
/** Nine characters take 0.6 s: 12 chirps. */
const chirps = signalFor('chirp', 'x'.repeat(9));

/** Two ideal chirps, written from their definition: 50 ms, 500 to 3500 Hz and back, linear. */
const templates = [true, false].map((rising) =>
  Float64Array.from({ length: chirpSamples }, (_, i) => {
    let cycles = 0;
    for (let k = 0; k < i; k++) {
      const share = (k + 0.5) / chirpSamples;
      cycles += (500 + 3000 * (rising ? share : 1 - share)) / rateHz;
    }
    return Math.sin(2 * Math.PI * cycles);
  }),
);

/** Correlation with a template at every position, as a share of the possible. */
function matches(signal: Int16Array, template: Float64Array): number[] {
  const out: number[] = [];
  for (let at = 0; at + chirpSamples <= signal.length; at++) {
    let product = 0;
    let energy = 0;
    for (let i = 0; i < chirpSamples; i++) {
      const sample = signal[at + i]!;
      product += sample * template[i]!;
      energy += sample * sample;
    }
    out.push(energy === 0 ? 0 : product / Math.sqrt(energy * (chirpSamples / 2)));
  }
  return out;
}

/** Where chirps were found, in order, and whether they rise. */
function find(signal: Int16Array): { at: number; rising: boolean }[] {
  const found = templates.flatMap((template, index) => {
    const shares = matches(signal, template);
    const isPeak = (here: number, at: number): boolean =>
      here > 0.9 && here > (shares[at - 1] ?? 0) && here >= (shares[at + 1] ?? 0);
    return shares.flatMap((here, at) => (isPeak(here, at) ? [{ at, rising: index === 0 }] : []));
  });
  return found.sort((a, b) => a.at - b.at);
}

test('chirps lie at multiples of 800 samples, rising and falling in turn', (t) => {
  const found = find(chirps);
  t.is(found.length, 12);
  t.deepEqual(
    found,
    found.map((_, k) => ({ at: k * chirpSamples, rising: k % 2 === 0 })),
  );
});

test('chirps show where a sample was lost, and where some came twice', (t) => {
  const cut = 5 * chirpSamples + 300;
  const without = (count: number, from = cut): Int16Array =>
    Int16Array.from([...chirps.subarray(0, from), ...chirps.subarray(from + count)]);
  const twice = (count: number): Int16Array =>
    Int16Array.from([...chirps.subarray(0, cut), ...chirps.subarray(cut - count)]);
  const shifts = (signal: Int16Array): Set<number> =>
    new Set(
      find(signal)
        .filter(({ at }) => at >= 6 * chirpSamples)
        .map(({ at }) => at % chirpSamples),
    );
  for (const count of [1, 7, 160]) {
    const lost = without(count);
    const before = find(lost).filter(({ at }) => at + chirpSamples <= cut);
    t.deepEqual(
      before.map(({ at }) => at),
      [0, 1, 2, 3, 4].map((k) => k * chirpSamples),
    );
    t.deepEqual(shifts(lost), new Set([chirpSamples - count]), `${count} lost`);
    t.deepEqual(shifts(twice(count)), new Set([count]), `${count} repeated`);
  }
  // A whole chirp less: positions stay, but two neighbours point the same way.
  const rising = find(without(chirpSamples, 5 * chirpSamples)).map((chirp) => chirp.rising);
  t.deepEqual(rising.slice(0, 7), [true, false, true, false, true, true, false]);
});
