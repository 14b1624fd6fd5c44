/**
 * Sound that a voice detector takes for speech. For tests. Vowels: a 120 Hz pulse train through three formant resonators, in syllables of 160 ms on, 40 ms
 * weaker. Peak about `peak`.
 */
export function speechLike(seconds: number, peak = 8000): Int16Array {
  const samples = Math.round(seconds * 16_000);
  const signal = new Float64Array(samples);
  for (let i = 0; i < samples; i += 133) signal[i] = 1;
  const formants = [
    [700, 90],
    [1220, 110],
    [2600, 160],
  ] as const;
  for (const [frequencyHz, bandwidthHz] of formants) {
    const radius = Math.exp((-Math.PI * bandwidthHz) / 16_000);
    const cosine = 2 * radius * Math.cos((2 * Math.PI * frequencyHz) / 16_000);
    for (let i = 0; i < samples; i++) {
      signal[i] =
        signal[i]! + cosine * (signal[i - 1] ?? 0) - radius * radius * (signal[i - 2] ?? 0);
    }
  }
  let largest = 0;
  for (const value of signal) largest = Math.max(largest, Math.abs(value));
  return Int16Array.from(signal, (value, i) => {
    const syllable = i % 3200 < 2560 ? 1 : 0.5;
    return Math.round((value / largest) * peak * syllable);
  });
}
