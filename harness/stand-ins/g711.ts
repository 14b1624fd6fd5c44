/**
 * Telephone companding after ITU-T G.711: 16-bit samples as one byte each. Both laws code the
 * magnitude as a segment (the position of its highest bit) and four bits below it.
 */

/** µ-law works on 14 bits, and adds a bias so that every segment has its leading bit. */
const muLawBias = 0x84;
const muLawMaximum = 0x7fff - muLawBias;

export function encodeMuLaw(samples: Int16Array): Buffer {
  const bytes = Buffer.alloc(samples.length);
  for (const [i, sample] of samples.entries()) bytes[i] = muLawByte(sample);
  return bytes;
}

export function encodeALaw(samples: Int16Array): Buffer {
  const bytes = Buffer.alloc(samples.length);
  for (const [i, sample] of samples.entries()) bytes[i] = aLawByte(sample);
  return bytes;
}

function muLawByte(sample: number): number {
  const negative = sample < 0;
  const magnitude = Math.min(Math.abs(sample), muLawMaximum) + muLawBias;
  const segment = 31 - Math.clz32(magnitude) - 7;
  const step = (magnitude >> (segment + 3)) & 0x0f;
  return ~((negative ? 0x80 : 0) | (segment << 4) | step) & 0xff;
}

function aLawByte(sample: number): number {
  const negative = sample < 0;
  // The negative half mirrors the positive one around -1/2, so -1 is as small as 0.
  const magnitude = negative ? ~sample : sample;
  const segment = magnitude < 256 ? 0 : 31 - Math.clz32(magnitude) - 7;
  const step = (magnitude >> (segment === 0 ? 4 : segment + 3)) & 0x0f;
  // Every other bit is inverted; the sign bit is set for positive samples.
  return ((negative ? 0 : 0x80) | (segment << 4) | step) ^ 0x55;
}
