/** How long somebody has been speaking in audio that arrives in pieces, by its level alone. */

/** RMS above it is a voice; full scale is 1. -45 dBFS. */
const voicedRms = 10 ** (-45 / 20);
const windowMs = 20;

/** The state behind one window of 20 ms, of the sentence that is being spoken. */
export interface SpokenWindow {
  readonly voicedMs: number;
  /** Since the last voiced window. */
  readonly silentMs: number;
}

export class VoicedAudio {
  readonly #rateHz: number;
  #rest: Buffer = Buffer.alloc(0);
  #windows = 0;
  #voicedMs = 0;
  #silentMs = 0;
  #beginMs = 0;
  #endMs = 0;

  /** @param rateHz of 16-bit mono samples */
  constructor(rateHz: number) {
    this.#rateHz = rateHz;
  }

  get seconds(): number {
    return (this.#windows * windowMs) / 1000;
  }

  /** Where the voice of the sentence begins and ends in the audio; of the last one when it has ended. */
  get sentence(): { readonly beginMs: number; readonly endMs: number } {
    return { beginMs: this.#beginMs, endMs: this.#endMs };
  }

  /** Takes little-endian samples; odd bytes wait for their other half. */
  *push(bytes: Buffer): Generator<SpokenWindow, void> {
    const size = 2 * Math.round((this.#rateHz * windowMs) / 1000);
    const all = Buffer.concat([this.#rest, bytes]);
    let at = 0;
    for (; at + size <= all.length; at += size) {
      this.#judge(all.subarray(at, at + size));
      yield { voicedMs: this.#voicedMs, silentMs: this.#silentMs };
    }
    this.#rest = all.subarray(at);
  }

  /** What follows is another sentence. */
  beginSentence(): void {
    this.#voicedMs = 0;
    this.#silentMs = 0;
  }

  #judge(window: Buffer): void {
    let sum = 0;
    for (let i = 0; i < window.length; i += 2) sum += (window.readInt16LE(i) / 32_768) ** 2;
    const isVoiced = Math.sqrt((2 * sum) / window.length) > voicedRms;
    const startMs = this.#windows * windowMs;
    this.#windows += 1;
    if (!isVoiced) {
      this.#silentMs += windowMs;
      return;
    }
    if (this.#voicedMs === 0) this.#beginMs = startMs;
    this.#voicedMs += windowMs;
    this.#silentMs = 0;
    this.#endMs = startMs + windowMs;
  }
}
