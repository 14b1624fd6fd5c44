/**
 * The mouth shape that belongs to a packet of speech: its first two formants, placed among polygons
 * (EchoKit device protocol reference, section 4.5). Pure.
 */

/** Value on the wire by vowel. */
export const vowelValues = { none: 0, A: 1, E: 2, I: 3, O: 4, U: 5 } as const;
export type Vowel = keyof typeof vowelValues;

/** Only the beginning of a packet is looked at: 64 ms. */
const windowSamples = 1024;
const sampleRateHz = 16_000;
const predictionOrder = 20;
const preEmphasis = 0.97;
/** Formants are looked for below 5000 Hz. */
const binsMax = 320;
const binHz = sampleRateHz / windowSamples;

type Point = readonly [f1Hz: number, f2Hz: number];

/** The first polygon that holds the two formants wins. */
const regions: readonly (readonly [Vowel, readonly Point[]])[] = [
  [
    'A',
    [
      [500, 0],
      [1500, 0],
      [1500, 2800],
      [700, 3100],
      [800, 2800],
      [580, 1900],
      [600, 1900],
      [600, 1500],
    ],
  ],
  [
    'I',
    [
      [0, 2000],
      [200, 2100],
      [300, 3000],
      [800, 2800],
      [700, 3100],
      [500, 3200],
      [550, 5000],
      [0, 5000],
    ],
  ],
  [
    'U',
    [
      [0, 800],
      [600, 1900],
      [580, 1900],
      [200, 2100],
      [0, 2000],
    ],
  ],
  [
    'E',
    [
      [200, 2100],
      [580, 1900],
      [800, 2800],
      [300, 3000],
    ],
  ],
  [
    'O',
    [
      [0, 0],
      [500, 0],
      [650, 1500],
      [600, 1900],
      [0, 800],
    ],
  ],
  [
    'O',
    [
      [500, 3200],
      [700, 3100],
      [1500, 2800],
      [1500, 5000],
      [550, 5000],
    ],
  ],
];

const hamming = Float64Array.from(
  { length: windowSamples },
  (_, i) => 0.54 - 0.46 * Math.cos((2 * Math.PI * i) / (windowSamples - 1)),
);
const cosines = Float64Array.from({ length: windowSamples }, (_, i) =>
  Math.cos((2 * Math.PI * i) / windowSamples),
);
const sines = Float64Array.from({ length: windowSamples }, (_, i) =>
  Math.sin((2 * Math.PI * i) / windowSamples),
);

/** @param samples 16 kHz mono; what lies beyond the first 1024 does not matter, fewer are zeros */
export function vowelOf(samples: Int16Array): Vowel {
  const formants = firstFormantsHz(samples);
  return formants === undefined ? 'none' : vowelAt(...formants);
}

export function vowelAt(f1Hz: number, f2Hz: number): Vowel {
  return regions.find(([, polygon]) => holds(polygon, f1Hz, f2Hz))?.[0] ?? 'none';
}

/** The two lowest peaks of the spectral envelope; undefined for silence and for fewer than two. */
export function firstFormantsHz(samples: Int16Array): [number, number] | undefined {
  const polynomial = linearPrediction(samples);
  if (polynomial === undefined) return undefined;
  const peaks: number[] = [];
  let before = squaredMagnitude(polynomial, 0);
  let here = squaredMagnitude(polynomial, 1);
  for (let bin = 1; bin < binsMax && peaks.length < 2; bin++) {
    const after = squaredMagnitude(polynomial, bin + 1);
    // The envelope is gain / |A|²: its peaks are the valleys of the polynomial.
    if (here < before && here < after) peaks.push(bin * binHz);
    before = here;
    here = after;
  }
  const [f1, f2] = peaks;
  return f1 === undefined || f2 === undefined ? undefined : [f1, f2];
}

/** Coefficients of the prediction error filter, by Levinson and Durbin; the first one is 1. */
function linearPrediction(samples: Int16Array): Float64Array | undefined {
  const windowed = new Float64Array(windowSamples);
  for (let i = 0; i < windowSamples; i++) {
    const now = (samples[i] ?? 0) / 32_767;
    const last = i === 0 ? 0 : (samples[i - 1] ?? 0) / 32_767;
    windowed[i] = (now - preEmphasis * last) * hamming[i]!;
  }
  const correlation = new Float64Array(predictionOrder + 1);
  for (let lag = 0; lag <= predictionOrder; lag++) {
    let sum = 0;
    for (let i = lag; i < windowSamples; i++) sum += windowed[i]! * windowed[i - lag]!;
    correlation[lag] = sum;
  }
  const energy = correlation[0]!;
  if (energy <= 0) return undefined;

  let polynomial = new Float64Array(predictionOrder + 1);
  polynomial[0] = 1;
  let error = 1;
  for (let order = 1; order <= predictionOrder; order++) {
    let sum = 0;
    for (let i = 0; i < order; i++) sum += polynomial[i]! * (correlation[order - i]! / energy);
    const reflection = -sum / error;
    const next = polynomial.slice();
    for (let i = 1; i <= order; i++) next[i]! += reflection * polynomial[order - i]!;
    polynomial = next;
    error *= 1 - reflection ** 2;
    if (error <= 0) return undefined;
  }
  return polynomial;
}

/** |A|² at a bin of the 1024-point transform. */
function squaredMagnitude(polynomial: Float64Array, bin: number): number {
  let real = 0;
  let imaginary = 0;
  for (let i = 0; i < polynomial.length; i++) {
    const angle = (i * bin) % windowSamples;
    real += polynomial[i]! * cosines[angle]!;
    imaginary -= polynomial[i]! * sines[angle]!;
  }
  return real ** 2 + imaginary ** 2;
}

/** Even-odd rule. */
function holds(polygon: readonly Point[], x: number, y: number): boolean {
  let inside = false;
  polygon.forEach(([x1, y1], index) => {
    const [x2, y2] = polygon.at(index - 1)!;
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  });
  return inside;
}
