/** WAV bytes as real services write them (TTS provider protocol reference, section 2.2). For tests. */

export interface WavFixture {
  readonly rateHz: number;
  readonly channels?: number;
  /** Default 16. */
  readonly bits?: number;
  readonly float?: boolean;
  /** The format chunk in its extensible form. */
  readonly extensible?: boolean;
  /** What the header says; absent: the truth. */
  readonly riffSize?: number;
  readonly dataSize?: number;
  /** Chunks before and after the sample data, complete with their headers. */
  readonly before?: Uint8Array;
  readonly after?: Uint8Array;
}

export function wavBytes(data: Uint8Array, fixture: WavFixture): Uint8Array {
  return bytesOf(wavHeader(data.length, fixture), data, fixture.after ?? new Uint8Array(0));
}

export function wavHeader(dataBytes: number, fixture: WavFixture): Uint8Array {
  const { rateHz, channels = 1, bits = 16, float = false, extensible = false } = fixture;
  const code = float ? 3 : 1;
  const frame = (channels * bits) / 8;
  const before = fixture.before ?? new Uint8Array(0);
  const formatBytes = extensible ? 40 : 16;
  const format = new DataView(new ArrayBuffer(formatBytes));
  format.setUint16(0, extensible ? 0xfffe : code, true);
  format.setUint16(2, channels, true);
  format.setUint32(4, rateHz, true);
  format.setUint32(8, rateHz * frame, true);
  format.setUint16(12, frame, true);
  format.setUint16(14, bits, true);
  if (extensible) {
    format.setUint16(16, 22, true);
    format.setUint16(18, bits, true);
    format.setUint16(24, code, true);
    const guid = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];
    for (const [i, byte] of guid.entries()) format.setUint8(26 + i, byte);
  }
  const content = bytesOf(
    latin('WAVE'),
    chunk('fmt ', new Uint8Array(format.buffer)),
    before,
    latin('data'),
    uint32(fixture.dataSize ?? dataBytes),
  );
  const riffSize = fixture.riffSize ?? content.length + dataBytes + (fixture.after?.length ?? 0);
  return bytesOf(latin('RIFF'), uint32(riffSize), content);
}

export function chunk(id: string, content: Uint8Array): Uint8Array {
  return bytesOf(latin(id), uint32(content.length), content, new Uint8Array(content.length % 2));
}

export function bytesOf(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export function latin(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

/** Samples as little-endian bytes. */
export function pcmBytes(samples: ArrayLike<number>): Uint8Array {
  return new Uint8Array(Int16Array.from(samples).buffer);
}

/** Cuts `bytes` at the given places (taken modulo the length, in any order). */
export function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort(
    (a, b) => a - b,
  );
  return [...sorted, bytes.length].map((end, i) => bytes.slice(i === 0 ? 0 : sorted[i - 1], end));
}

function uint32(value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value, true);
  return new Uint8Array(view.buffer);
}
