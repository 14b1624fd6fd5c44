/**
 * The player loop of the firmware, exact to the cycle (EchoKit device protocol reference, sections
 * 6.3 to 6.6). Pure: it knows no clock and is told the time.
 *
 * Cycle k begins at `startUs + k · 16 ms` and plays the samples from position 256·k. It first takes
 * at most one message, of those handed over at or before its beginning, and then plays a chunk of
 * 256 samples or, when the queue is empty, zeros. What does not fill a chunk stays in the rest and
 * is completed by the next samples, whatever they belong to.
 *
 * A DMA block of the speaker holds two chunks, so on a board cycles 2m and 2m + 1 probably both begin when
 * a block has become free, at `startUs + m · 32 ms` (sections 6.3 and 6.5 infer it). The formulae and worked
 * values of section 6.6 know only the even rhythm, so that is the default. The sound leaves the DMA
 * evenly either way: the sample at position p is due at `startUs + p / 16 ms`, plus what the buffers hold.
 *
 * A mouth shape that leaves the queue is an event for the main loop. When that has no room the player
 * stands still: zeros are played and no message is taken until there is room again (section 6.1).
 *
 * A prebuffer, which no firmware has, is there for the question what one would change: the first chunk of a
 * sentence is then played when so much of the sentence is queued, or all of it. After an underrun the player goes on
 * at once, as without.
 */
import { type DeviceTraits, traitsWithout } from './quirk.ts';

export const cycleUs = 16_000;
export const chunkSamples = 256;

/** When cycles begin: every 16 ms, or two at once every 32 ms. */
export type PlayerRhythm = 'even' | 'pairs';

export type PlayerMessage =
  /** A sentence begins. Changes nothing but takes a cycle. */
  | { readonly kind: 'start'; readonly sentence: number }
  /** Samples to play. The player keeps the array: the caller must not change it any more. */
  | {
      readonly kind: 'audio';
      readonly sentence: number;
      readonly samples: Int16Array;
      readonly vowel?: number;
    }
  /** The sentence is complete: put its end marker into the queue. */
  | { readonly kind: 'end'; readonly sentence: number }
  /** Clear the queue, then play the hello sound. */
  | { readonly kind: 'hello'; readonly cause: string }
  /** Replace the hello sound. */
  | { readonly kind: 'setHello'; readonly samples: Int16Array }
  | { readonly kind: 'clear'; readonly cause: string }
  /** Gain of samples that are completed to chunks from now on: divided by 2^gainShift. */
  | { readonly kind: 'volume'; readonly gainShift: number };

/** Something that happened in the player. `atUs` is the exact beginning of the cycle. */
export type PlayerTransition = {
  readonly atUs: number;
} /** The first chunk of a sentence is played. */ & (
  | { readonly type: 'playStart'; readonly sentence: number; readonly position: number }
  /** First cycle without a chunk between a sentence's first chunk and its end marker. */
  | { readonly type: 'underrunStart'; readonly sentence: number; readonly position: number }
  | {
      readonly type: 'underrunEnd';
      readonly sentence: number;
      readonly position: number;
      readonly cycles: number;
    }
  /** The end marker was popped. `position` is the end of the last chunk that was played. */
  | {
      readonly type: 'drained';
      readonly sentence: number;
      readonly position: number;
      /** What was left over when the marker was queued. */
      readonly restSamples: number;
      /** Zeros that filled the last chunk (quirk Q2 off). */
      readonly paddedSamples: number;
    }
  /** A mouth shape for the main loop; it takes a slot of its event queue. */
  | { readonly type: 'vowel'; readonly vowel: number }
  /** There was no room for a mouth shape: from this cycle on the player stands still. */
  | { readonly type: 'stallStart'; readonly position: number }
  | { readonly type: 'stallEnd'; readonly position: number; readonly cycles: number }
  | { readonly type: 'helloStart' }
  | { readonly type: 'helloDone' }
  /** The queue was thrown away; end markers in it fired at this instant. */
  | {
      readonly type: 'cleared';
      readonly samples: number;
      readonly cause: string;
      readonly firedSentences: readonly number[];
      readonly firedHello: boolean;
    }
);

/** Where every sample is. `pushed = played + cleared + queued + rest`, always. */
export interface PlayerLedger {
  /** Handed over, the hello included from the moment the player takes it. */
  readonly pushedSamples: number;
  readonly playedSamples: number;
  readonly clearedSamples: number;
  /** In messages not yet taken and in chunks not yet played. */
  readonly queuedSamples: number;
  readonly restSamples: number;
}

/** For accounting only: the sentence will get no end marker. Costs the player nothing. */
interface AbandonNote {
  readonly kind: 'abandon';
  readonly sentence: number;
}

type Letter = { readonly atUs: number; readonly message: PlayerMessage | AbandonNote };

interface AudioItem {
  readonly kind: 'audio';
  readonly sentence: number;
  /** A whole number of chunks, gain applied. */
  readonly samples: Int16Array;
  /** Zeros at the end that nobody handed over; less than a chunk, and only in items of one chunk. */
  readonly padding: number;
  /** Samples already played. */
  played: number;
  /** Its first chunk is the first of the sentence. */
  readonly first: boolean;
}

type QueueItem =
  | AudioItem
  | { readonly kind: 'vowel'; readonly vowel: number }
  | {
      readonly kind: 'marker';
      readonly sentence: number;
      readonly restSamples: number;
      readonly paddedSamples: number;
    }
  | { readonly kind: 'helloMarker' };

/** A stretch of `samples` that was played without a break from `cycle` on. */
interface PlayedRun {
  readonly cycle: number;
  readonly samples: Int16Array;
  readonly from: number;
  to: number;
}

export interface PlayerOptions {
  /** Beginning of cycle 0. */
  readonly startUs: number;
  /** What `hello` plays until a `setHello`. */
  readonly helloSamples: Int16Array;
  /** Default: those of the firmware. */
  readonly traits?: DeviceTraits;
  /** Default `even`. */
  readonly rhythm?: PlayerRhythm;
  /** Audio of a sentence that is queued before its first chunk is played, rounded up to chunks. Default 0. */
  readonly prebufferMs?: number;
  /** What was played longer ago is forgotten, and reads as zeros. Default: nothing is. */
  readonly keepPlayedMs?: number;
}

/** `sentence` of samples that belong to none (the hello). */
const noSentence = 0;

export class Player {
  readonly startUs: number;
  readonly #traits: DeviceTraits;
  /** Cycles that begin at one instant. */
  readonly #cyclesAtOnce: 1 | 2;
  readonly #prebufferChunks: number;
  readonly #keptCycles: number;
  readonly #inbox: Letter[] = [];
  readonly #queue: QueueItem[] = [];
  readonly #runs: PlayedRun[] = [];
  #helloSamples: Int16Array;
  /** The next cycle to run; all before it are final. */
  #cycle = 0;
  #rest: Int16Array = new Int16Array(0);
  #gainShift = 0;
  /** The sentence between its first chunk and its end marker. */
  #speaking: number | undefined;
  #underrunSince: number | undefined;
  /** The last sentence of which a chunk was completed. */
  #chunkedSentence = noSentence;
  #abandonedSentence = noSentence;
  #lastAudioEnd = 0;
  /** The cycle in which a mouth shape found no room. */
  #stalledSince: number | undefined;
  /** Mouth shapes that the event queue can still take in this {@link advanceTo}. */
  #eventSlots = Number.POSITIVE_INFINITY;
  #pushed = 0;
  #played = 0;
  #cleared = 0;

  constructor(options: PlayerOptions) {
    this.startUs = options.startUs;
    this.#helloSamples = options.helloSamples;
    this.#traits = options.traits ?? traitsWithout([]);
    this.#cyclesAtOnce = options.rhythm === 'pairs' ? 2 : 1;
    this.#prebufferChunks = Math.ceil(((options.prebufferMs ?? 0) * 1000) / cycleUs);
    const keptMs = options.keepPlayedMs ?? Number.POSITIVE_INFINITY;
    this.#keptCycles = Math.ceil((keptMs * 1000) / cycleUs);
  }

  /** It waits for room in the event queue. */
  get stalled(): boolean {
    return this.#stalledSince !== undefined;
  }

  /** Hands a message over. Instants must not go back, nor before the last {@link advanceTo}. */
  post(message: PlayerMessage, atUs: number): void {
    if (message.kind === 'audio') this.#pushed += message.samples.length;
    this.#inbox.push({ atUs, message });
  }

  /**
   * The server has ended the answer without an end marker for `sentence`: when its audio has been
   * played, the empty queue is no underrun. The firmware's player does not notice; this is not one
   * of its messages.
   */
  abandon(sentence: number, atUs: number): void {
    this.#inbox.push({ atUs, message: { kind: 'abandon', sentence } });
  }

  /**
   * Runs every cycle that begins before `atUs` and returns what happened, in order. A cycle that
   * begins exactly at `atUs` stays open, because something may still be handed over at that instant.
   *
   * @param eventSlots mouth shapes that the main loop's queue has room for
   */
  advanceTo(atUs: number, eventSlots = Number.POSITIVE_INFINITY): PlayerTransition[] {
    const happened: PlayerTransition[] = [];
    this.#eventSlots = eventSlots;
    const end = this.#cyclesBefore(atUs);
    while (this.#cycle < end) this.#runFrom(end, happened);
    return happened;
  }

  /**
   * The instant to call {@link advanceTo} with to learn of the next happening, if nothing new is
   * handed over: one microsecond after its cycle begins. May be early, never late; undefined when
   * nothing can happen.
   *
   * @param eventSlots as in {@link advanceTo}
   */
  nextDeadlineUs(eventSlots = Number.POSITIVE_INFINITY): number | undefined {
    if (this.stalled) return eventSlots > 0 ? this.#cycleStart(this.#cycle) + 1 : undefined;
    const cycle = Math.min(this.#nextQueueCycle(), this.#nextClearCycle());
    return cycle === Number.POSITIVE_INFINITY ? undefined : this.#cycleStart(cycle) + 1;
  }

  /** Index of the sample after the last that is final. */
  get position(): number {
    return this.#cycle * chunkSamples;
  }

  ledger(): PlayerLedger {
    let queuedSamples = 0;
    for (const { message } of this.#inbox) {
      if (message.kind === 'audio') queuedSamples += message.samples.length;
    }
    for (const item of this.#queue) {
      if (item.kind === 'audio') queuedSamples += unplayed(item);
    }
    return {
      pushedSamples: this.#pushed,
      playedSamples: this.#played,
      clearedSamples: this.#cleared,
      queuedSamples,
      restSamples: this.#rest.length,
    };
  }

  /** Everything played until now from sample 0, zeros where nothing was or is kept. A fresh array. */
  speaker(): Int16Array {
    const out = new Int16Array(this.position);
    for (const run of this.#runs) {
      out.set(run.samples.subarray(run.from, run.to), run.cycle * chunkSamples);
    }
    return out;
  }

  /**
   * Copies what was played from position `from` on; zeros before 0 and where nothing was.
   *
   * @throws {RangeError} when it asks for more than is final
   */
  copyPlayed(from: number, into: Int16Array): void {
    const end = from + into.length;
    if (end > this.position) {
      throw new RangeError(`Samples to ${end} were asked for; ${this.position} are played.`);
    }
    into.fill(0);
    for (let i = this.#firstRunAfter(from); i < this.#runs.length; i++) {
      const run = this.#runs[i]!;
      const start = run.cycle * chunkSamples;
      if (start >= end) return;
      // The part of the run that is asked for, as positions.
      const first = Math.max(start, from);
      const last = Math.min(endOfRun(run), end);
      const offset = run.from - start;
      into.set(run.samples.subarray(first + offset, last + offset), first - from);
    }
  }

  /**
   * The first position from `from` on at which something was or may be played, as far as it has been handed over;
   * infinite when there is none.
   */
  nextSoundAt(from: number): number {
    const run = this.#runs[this.#firstRunAfter(from)];
    if (run !== undefined) return Math.max(from, run.cycle * chunkSamples);
    const waiting = this.#inbox.length > 0 || this.#queue.some(({ kind }) => kind === 'audio');
    return waiting ? Math.max(from, this.position) : Number.POSITIVE_INFINITY;
  }

  /** Index of the first run that ends behind `position`. */
  #firstRunAfter(position: number): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (endOfRun(this.#runs[middle]!) > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Runs the current cycle and all after it in which only the same goes on. */
  #runFrom(end: number, happened: PlayerTransition[]): void {
    // A cycle that stood still has taken its message already.
    if (!this.stalled) this.#takeMessages(happened);
    const next = this.#inbox[0];
    const until =
      next === undefined
        ? end
        : Math.min(end, Math.max(this.#cycle + 1, this.#visibleCycle(next.atUs)));

    for (let item = this.#queue[0]; item !== undefined; item = this.#queue[0]) {
      if (item.kind === 'audio') {
        if (this.#isHeldBack(item)) break;
        this.#playFrom(item, until, happened);
        return;
      }
      if (item.kind === 'vowel' && !this.#passVowel(item.vowel, happened)) {
        this.#playNothing(end, happened);
        return;
      }
      this.#queue.shift();
      if (item.kind !== 'vowel') this.#popMarker(item, happened);
    }
    this.#playNothing(until, happened);
  }

  /** It begins a sentence of which not enough is queued yet. */
  #isHeldBack({ sentence, first, played }: AudioItem): boolean {
    if (this.#prebufferChunks === 0 || !first || played > 0) return false;
    if (sentence <= this.#abandonedSentence) return false;
    let chunks = 0;
    for (const item of this.#queue) {
      if (item.kind === 'marker' && item.sentence === sentence) return false;
      if (item.kind !== 'audio' || item.sentence !== sentence) continue;
      chunks += item.samples.length / chunkSamples;
      if (chunks >= this.#prebufferChunks) return false;
    }
    return true;
  }

  /** Hands a mouth shape to the main loop; false when the player has to wait for room. */
  #passVowel(vowel: number, happened: PlayerTransition[]): boolean {
    const atUs = this.#cycleStart(this.#cycle);
    if (this.#eventSlots <= 0) {
      if (!this.#traits.vowelsBlockPlayer) return true;
      if (this.#stalledSince === undefined) {
        this.#stalledSince = this.#cycle;
        happened.push({ type: 'stallStart', atUs, position: this.position });
      }
      return false;
    }
    this.#eventSlots -= 1;
    if (this.#stalledSince !== undefined) {
      const cycles = this.#cycle - this.#stalledSince;
      this.#stalledSince = undefined;
      happened.push({ type: 'stallEnd', atUs, position: this.position, cycles });
    }
    happened.push({ type: 'vowel', atUs, vowel });
    return true;
  }

  #takeMessages(happened: PlayerTransition[]): void {
    const nowUs = this.#cycleStart(this.#cycle);
    for (let letter = this.#inbox[0]; letter !== undefined; letter = this.#inbox[0]) {
      if (letter.atUs > nowUs) return;
      this.#inbox.shift();
      if (letter.message.kind !== 'abandon') {
        this.#apply(letter.message, happened);
        if (this.#traits.oneMessagePerCycle) return;
        continue;
      }
      this.#abandonedSentence = letter.message.sentence;
      if ((this.#speaking ?? Number.POSITIVE_INFINITY) <= letter.message.sentence) {
        this.#endUnderrun(happened);
      }
    }
  }

  #apply(message: PlayerMessage, happened: PlayerTransition[]): void {
    switch (message.kind) {
      case 'start':
        break;
      case 'audio':
        if (message.vowel !== undefined) this.#queue.push({ kind: 'vowel', vowel: message.vowel });
        this.#push(message.samples, message.sentence);
        break;
      case 'end':
        this.#endSentence(message.sentence);
        break;
      case 'hello':
        happened.push({ type: 'helloStart', atUs: this.#cycleStart(this.#cycle) });
        this.#clear(message.cause, happened);
        this.#pushed += this.#helloSamples.length;
        this.#push(this.#helloSamples, noSentence);
        this.#flush(noSentence);
        this.#queue.push({ kind: 'helloMarker' });
        break;
      case 'setHello':
        this.#helloSamples = message.samples;
        break;
      case 'clear':
        this.#clear(message.cause, happened);
        break;
      case 'volume':
        this.#gainShift = message.gainShift;
        break;
    }
  }

  #endSentence(sentence: number): void {
    const paddedSamples = this.#flush(sentence);
    const restSamples = this.#rest.length;
    this.#queue.push(
      { kind: 'vowel', vowel: 0 },
      { kind: 'marker', sentence, restSamples, paddedSamples },
    );
  }

  /**
   * Quirk Q2 off: what fills no chunk is played with zeros behind it.
   *
   * @returns the number of zeros
   */
  #flush(sentence: number): number {
    const restSamples = this.#rest.length;
    if (this.#traits.restOutlivesSentence || restSamples === 0) return 0;
    const padding = chunkSamples - restSamples;
    this.#push(new Int16Array(padding), sentence, padding);
    return padding;
  }

  /** Completes chunks from the rest and `samples`. Their gain is that of now (section 6.4). */
  #push(samples: Int16Array, sentence: number, padding = 0): void {
    const total = this.#rest.length + samples.length;
    const whole = total - (total % chunkSamples);
    const joined = new Int16Array(total);
    joined.set(this.#rest);
    joined.set(samples, this.#rest.length);
    this.#rest = joined.slice(whole);
    if (whole === 0) return;
    const chunks = joined.subarray(0, whole);
    if (this.#gainShift > 0) {
      // Storing into an Int16Array truncates toward zero, as the firmware's integer division.
      for (let i = 0; i < whole; i++) chunks[i] = chunks[i]! / 2 ** this.#gainShift;
    }
    const first = sentence !== noSentence && sentence !== this.#chunkedSentence;
    if (first) this.#chunkedSentence = sentence;
    this.#queue.push({ kind: 'audio', sentence, samples: chunks, padding, played: 0, first });
  }

  #clear(cause: string, happened: PlayerTransition[]): void {
    const firedSentences: number[] = [];
    let firedHello = false;
    let samples = 0;
    for (const item of this.#queue) {
      if (item.kind === 'audio') samples += unplayed(item);
      else if (item.kind === 'marker') firedSentences.push(item.sentence);
      else if (item.kind === 'helloMarker') firedHello = true;
    }
    this.#queue.length = 0;
    if (!this.#traits.restOutlivesClear) {
      samples += this.#rest.length;
      this.#rest = new Int16Array(0);
    }
    this.#cleared += samples;
    this.#endUnderrun(happened);
    this.#speaking = undefined;
    const atUs = this.#cycleStart(this.#cycle);
    happened.push({ type: 'cleared', atUs, samples, cause, firedSentences, firedHello });
  }

  #playFrom(item: AudioItem, until: number, happened: PlayerTransition[]): void {
    this.#endUnderrun(happened);
    if (item.first && item.played === 0) {
      this.#speaking = item.sentence;
      happened.push({
        atUs: this.#cycleStart(this.#cycle),
        type: 'playStart',
        sentence: item.sentence,
        position: this.position,
      });
    }
    const from = item.played;
    const cycles = Math.min((item.samples.length - from) / chunkSamples, until - this.#cycle);
    item.played = from + cycles * chunkSamples;
    const over = item.played === item.samples.length;
    if (over) this.#queue.shift();

    const last = this.#runs[this.#runs.length - 1];
    if (last?.samples === item.samples) last.to = item.played;
    else {
      this.#forget();
      this.#runs.push({ cycle: this.#cycle, samples: item.samples, from: from, to: item.played });
    }
    this.#cycle += cycles;
    this.#played += cycles * chunkSamples - (over ? item.padding : 0);
    this.#lastAudioEnd = this.position;
  }

  /** Lets go of what is not to be kept. */
  #forget(): void {
    if (this.#keptCycles === Number.POSITIVE_INFINITY) return;
    const old = this.#firstRunAfter((this.#cycle - this.#keptCycles) * chunkSamples);
    if (old > 0) this.#runs.splice(0, old);
  }

  #playNothing(until: number, happened: PlayerTransition[]): void {
    if (this.#speaking !== undefined && this.#speaking <= this.#abandonedSentence) {
      this.#speaking = undefined;
    }
    if (this.#speaking !== undefined && this.#underrunSince === undefined) {
      this.#underrunSince = this.#cycle;
      happened.push({
        atUs: this.#cycleStart(this.#cycle),
        type: 'underrunStart',
        sentence: this.#speaking,
        position: this.position,
      });
    }
    this.#cycle = until;
  }

  #endUnderrun(happened: PlayerTransition[]): void {
    if (this.#underrunSince === undefined) return;
    happened.push({
      atUs: this.#cycleStart(this.#cycle),
      type: 'underrunEnd',
      sentence: this.#speaking!,
      position: this.position,
      cycles: this.#cycle - this.#underrunSince,
    });
    this.#underrunSince = undefined;
  }

  #popMarker(
    item: Extract<QueueItem, { kind: 'marker' | 'helloMarker' }>,
    happened: PlayerTransition[],
  ): void {
    const atUs = this.#cycleStart(this.#cycle);
    if (item.kind === 'helloMarker') {
      happened.push({ type: 'helloDone', atUs });
      return;
    }
    const spoken = this.#speaking === item.sentence;
    if (spoken) {
      this.#endUnderrun(happened);
      this.#speaking = undefined;
    }
    happened.push({
      atUs,
      type: 'drained',
      sentence: item.sentence,
      position: spoken ? this.#lastAudioEnd : this.position,
      restSamples: item.restSamples,
      paddedSamples: item.paddedSamples,
    });
  }

  /** The first cycle in which the queue, left alone, or the next message could show something. */
  #nextQueueCycle(): number {
    let chunks = 0;
    for (const item of this.#queue) {
      if (item.kind !== 'audio') return this.#cycle + chunks;
      if (this.#isHeldBack(item)) break;
      if (this.#underrunSince !== undefined || (item.first && item.played === 0)) {
        return this.#cycle + chunks;
      }
      chunks += (item.samples.length - item.played) / chunkSamples;
    }
    const empty = this.#cycle + chunks;
    if (this.#speaking !== undefined && this.#underrunSince === undefined) return empty;
    const next = this.#inbox[0];
    return next === undefined
      ? Number.POSITIVE_INFINITY
      : Math.max(empty, this.#visibleCycle(next.atUs));
  }

  /** No cycle before this one can take the first message that throws the queue away. */
  #nextClearCycle(): number {
    let ahead = 0;
    for (const { message, atUs } of this.#inbox) {
      if (message.kind === 'hello' || message.kind === 'clear') {
        return Math.max(this.#cycle + ahead, this.#visibleCycle(atUs));
      }
      if (message.kind !== 'abandon' && this.#traits.oneMessagePerCycle) ahead++;
    }
    return Number.POSITIVE_INFINITY;
  }

  #cycleStart(cycle: number): number {
    return this.startUs + (cycle - (cycle % this.#cyclesAtOnce)) * cycleUs;
  }

  /** The first cycle that can take what is handed over at `atUs`. */
  #visibleCycle(atUs: number): number {
    return Math.max(0, this.#cyclesBefore(atUs));
  }

  /** How many cycles begin before `atUs`. */
  #cyclesBefore(atUs: number): number {
    return Math.ceil((atUs - this.startUs) / (cycleUs * this.#cyclesAtOnce)) * this.#cyclesAtOnce;
  }
}

/** Position of the sample after its last. */
function endOfRun({ cycle, from, to }: PlayedRun): number {
  return cycle * chunkSamples + to - from;
}

/** Samples of it that were handed over and not played. */
function unplayed({ samples, padding, played }: AudioItem): number {
  return Math.max(0, samples.length - padding - played);
}
