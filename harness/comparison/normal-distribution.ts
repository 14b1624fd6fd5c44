/** The standard normal distribution, for sample sizes and for tests of large samples. */

/** P(Z ≤ x), with a relative error below 1e-12 in both tails down to 1e-30. */
export function normalCdf(x: number): number {
  return x < 0 ? upperTail(-x) : 1 - upperTail(x);
}

/** The z with P(Z ≤ z) = `probability`, which lies between 0 and 1. */
export function normalQuantile(probability: number): number {
  if (!(probability > 0 && probability < 1)) {
    throw new RangeError(`No quantile for the probability ${probability}.`);
  }
  if (probability > 0.5) return -normalQuantile(1 - probability);
  let low = -40;
  let high = 0;
  for (let step = 0; step < 80; step++) {
    const middle = (low + high) / 2;
    if (upperTail(-middle) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(Z > x) for x ≥ 0: a power series near the middle, a continued fraction (Laplace) in the tail. */
function upperTail(x: number): number {
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  if (x < 3) {
    let term = x;
    let sum = x;
    for (let k = 3; term > sum * 1e-17; k += 2) {
      term *= (x * x) / k;
      sum += term;
    }
    return 0.5 - density * sum;
  }
  let fraction = x;
  for (let k = 100; k > 0; k--) fraction = x + k / fraction;
  return density / fraction;
}
