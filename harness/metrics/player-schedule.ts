/**
 * What the player of the board must have done with the messages it was given: closed formulas of
 * the EchoKit device protocol reference, sections 6.3 to 6.6. Written apart from the emulated
 * board, so that one can be checked against the other.
 *
 * The player runs cycles of 16 ms; cycle k starts at `startUs + k * 16 ms` and plays the samples
 * from position 256 k. A cycle takes at most one message, and a message that arrives at the very
 * start of a cycle is taken by it. Samples become chunks of 256; what does not fill a chunk stays
 * and is completed by the next samples, whatever sentence they belong to.
 */
export const cycleUs = 16_000;
export const chunkSamples = 256;

export type PlayerMessage = {
  readonly atUs: number;
  /** The sentence it belongs to, any number that tells sentences apart. */
  readonly sentence: number;
} & (
  | { readonly kind: 'samples'; readonly samples: number }
  | { readonly kind: 'end' }
  | { readonly kind: 'clear' }
  /** The answer was ended without an end marker: waiting is over. Takes no cycle. */
  | { readonly kind: 'abandon' }
  /** Start, volume, hello bytes: changes nothing but takes a cycle. */
  | { readonly kind: 'other' }
);

/** What may be different on a board whose quirks were switched off. */
export interface PlayerRules {
  /** What fills no chunk at the end marker stays; otherwise it is played with zeros behind it (Q2). */
  readonly keepsRest: boolean;
  /** Clearing the queue leaves the rest (Q3). */
  readonly clearKeepsRest: boolean;
  /** A cycle takes at most one message; otherwise all that are there (Q17). */
  readonly oneMessagePerCycle: boolean;
  /** Cycles that begin at one instant: 2 where they come in pairs, every 32 ms. */
  readonly cyclesAtOnce: 1 | 2;
  /** A sentence begins when so many of its chunks are there, or all of them. */
  readonly prebufferChunks: number;
}

export const firmwareRules: PlayerRules = {
  keepsRest: true,
  clearKeepsRest: true,
  oneMessagePerCycle: true,
  cyclesAtOnce: 1,
  prebufferChunks: 0,
};

/** The first cycle that begins at or after `atUs`; negative before `startUs`. */
export function cycleFrom(atUs: number, startUs: number, { cyclesAtOnce }: PlayerRules): number {
  return cyclesAtOnce * Math.ceil((atUs - startUs) / (cyclesAtOnce * cycleUs));
}

/** The player stood still: these cycles played nothing, and no message was taken until they were over. */
export interface Stall {
  readonly cycle: number;
  /** Infinite when it never ended. */
  readonly cycles: number;
}

/** A run of cycles that found the queue empty inside a sentence, or stood still in it. */
export interface EmptyRun {
  readonly cycle: number;
  readonly cycles: number;
}

export interface SentenceSchedule {
  readonly sentence: number;
  /** Samples left over from before, played at the start of this sentence's first chunk. */
  readonly restBefore: number;
  readonly restAfter: number;
  readonly pushedSamples: number;
  /** Chunks that were played. */
  readonly chunks: number;
  /** Zeros in the played chunks that filled up the last one. */
  readonly paddedSamples: number;
  /** Samples of chunks thrown away by a `clear`, such zeros left out. */
  readonly clearedSamples: number;
  /** Cycle of the first chunk; null when no chunk was completed. */
  readonly firstCycle: number | null;
  /** First cycle after the last chunk; null when no chunk was played. */
  readonly endCycle: number | null;
  /** Cycle in which the end marker was popped; null when there was none. */
  readonly drainedCycle: number | null;
  /** Between the first chunk and the end marker, in order. */
  readonly emptyRuns: readonly EmptyRun[];
}

interface OpenSentence {
  sentence: number;
  restBefore: number;
  restAfter: number;
  pushed: number;
  cleared: number;
  /** Zeros behind the last samples, and the cycle that plays them. */
  padding: { readonly samples: number; readonly cycle: number } | null;
  /** Chunks that wait for the prebuffer to be full; null once the sentence has begun. */
  waiting: number | null;
  /** Played chunks as spans of consecutive cycles, in order. */
  spans: { cycle: number; chunks: number }[];
  drainedCycle: number | null;
  /** The wait for an end marker is given up: the queue was cleared or the answer ended. */
  givenUpCycle: number | null;
}

/**
 * @param messages in the order in which the main loop sent them; a sentence's messages are together.
 * @param startUs instant of cycle 0.
 * @param restSamples what the player had left over before the first message.
 * @param cyclesPlayed the recording ends before this cycle; absent: everything is played out.
 * @param stalls in order.
 */
export function schedulePlayer(
  messages: readonly PlayerMessage[],
  startUs: number,
  restSamples = 0,
  cyclesPlayed = Number.POSITIVE_INFINITY,
  rules = firmwareRules,
  stalls: readonly Stall[] = [],
): SentenceSchedule[] {
  const sentences = new Map<number, OpenSentence>();
  let intake = -1;
  /** First cycle in which the queue holds nothing that was pushed so far. */
  let queueFree = 0;
  let rest = restSamples;
  /** The first cycle from `cycle` on that does not stand still. */
  const moving = (cycle: number): number =>
    stalls.reduce((c, s) => (c >= s.cycle ? Math.max(c, s.cycle + s.cycles) : c), cycle);
  /** Puts chunks behind what is queued. @returns the cycle of the first of them */
  const queue = (sentence: OpenSentence, chunks: number, from: number): number => {
    const cycle = moving(Math.max(from, queueFree));
    if (chunks === 0) return cycle;
    sentence.spans.push({ cycle, chunks });
    queueFree = cycle + chunks;
    return cycle;
  };
  /** The prebuffer is full, or nothing more will come. */
  const begin = (sentence: OpenSentence, from: number): void => {
    const { waiting } = sentence;
    sentence.waiting = null;
    if (waiting !== null) queue(sentence, waiting, from);
  };

  for (const message of messages) {
    const earliest = rules.oneMessagePerCycle ? intake + 1 : intake;
    const due = Math.max(cycleFrom(message.atUs, startUs, rules), earliest);
    // The cycle in which a stall begins has taken its message, and that one goes on after it.
    const cycle = stalls.reduce(
      (c, stall) => (c > stall.cycle ? Math.max(c, stall.cycle + stall.cycles + 1) : c),
      due,
    );
    if (cycle >= cyclesPlayed) break;
    if (message.kind === 'abandon') {
      for (const sentence of sentences.values()) {
        begin(sentence, cycle);
        sentence.givenUpCycle ??= cycle;
      }
      continue;
    }
    intake = cycle;
    if (message.kind === 'clear') {
      for (const sentence of sentences.values()) clearFrom(sentence, intake);
      queueFree = Math.min(queueFree, intake);
      if (!rules.clearKeepsRest) {
        rest = 0;
        for (const sentence of sentences.values()) sentence.restAfter = 0;
      }
      continue;
    }
    if (message.kind === 'other') continue;

    let sentence = sentences.get(message.sentence);
    if (sentence === undefined) {
      sentence = {
        sentence: message.sentence,
        restBefore: rest,
        restAfter: rest,
        pushed: 0,
        cleared: 0,
        padding: null,
        waiting: rules.prebufferChunks === 0 ? null : 0,
        spans: [],
        drainedCycle: null,
        givenUpCycle: null,
      };
      sentences.set(message.sentence, sentence);
    }
    if (message.kind === 'end') {
      begin(sentence, intake);
      if (!rules.keepsRest && rest > 0) {
        sentence.padding = { samples: chunkSamples - rest, cycle: queue(sentence, 1, intake) };
        rest = 0;
      }
      sentence.drainedCycle = moving(Math.max(intake, queueFree));
    } else {
      const chunks = Math.floor((rest + message.samples) / chunkSamples);
      if (sentence.waiting === null) queue(sentence, chunks, intake);
      else {
        sentence.waiting += chunks;
        if (sentence.waiting >= rules.prebufferChunks) begin(sentence, intake);
      }
      rest = (rest + message.samples) % chunkSamples;
      sentence.pushed += message.samples;
    }
    sentence.restAfter = rest;
  }
  const all = [...sentences.values()];
  return all.map((sentence, i) => {
    // Without an end marker a sentence lasts until the next one is heard.
    const next = all.slice(i + 1).find(({ spans }) => spans.length > 0)?.spans[0]?.cycle;
    return close(sentence, cyclesPlayed, next ?? cyclesPlayed);
  });
}

function clearFrom(sentence: OpenSentence, cycle: number): void {
  if (sentence.waiting !== null && sentence.waiting > 0) {
    sentence.cleared += sentence.waiting * chunkSamples;
    sentence.waiting = null;
  }
  // Chunks already played stay played; the end marker of a cleared queue fires at once.
  sentence.cleared += truncate(sentence.spans, cycle) * chunkSamples;
  if (sentence.padding !== null && sentence.padding.cycle >= cycle) {
    sentence.cleared -= sentence.padding.samples;
    sentence.padding = null;
  }
  if (sentence.drainedCycle === null || sentence.drainedCycle > cycle) {
    sentence.drainedCycle = null;
    sentence.givenUpCycle ??= cycle;
  }
}

/** Cuts the spans at `cycle` and returns how many chunks fell away. */
function truncate(spans: { cycle: number; chunks: number }[], cycle: number): number {
  let removed = 0;
  for (const span of spans) {
    const kept = Math.max(0, Math.min(span.chunks, cycle - span.cycle));
    removed += span.chunks - kept;
    span.chunks = kept;
  }
  return removed;
}

function close(open: OpenSentence, cyclesPlayed: number, nextCycle: number): SentenceSchedule {
  truncate(open.spans, cyclesPlayed);
  const spans = open.spans.filter((span) => span.chunks > 0);
  const first = spans[0];
  const last = spans[spans.length - 1];
  const emptyRuns: EmptyRun[] = [];
  for (let i = 1; i < spans.length; i++) {
    const previousEnd = spans[i - 1]!.cycle + spans[i - 1]!.chunks;
    const cycles = spans[i]!.cycle - previousEnd;
    if (cycles > 0) emptyRuns.push({ cycle: previousEnd, cycles });
  }
  if (last !== undefined) {
    // Waiting for the end marker with an empty queue counts, until the marker, the clearing, the
    // next sentence or the end of the recording.
    const waitEnd = open.drainedCycle ?? open.givenUpCycle ?? nextCycle;
    const lastEnd = last.cycle + last.chunks;
    const cycles = Math.min(waitEnd, nextCycle, cyclesPlayed) - lastEnd;
    if (cycles > 0 && Number.isFinite(cycles)) emptyRuns.push({ cycle: lastEnd, cycles });
  }
  return {
    sentence: open.sentence,
    restBefore: open.restBefore,
    restAfter: open.restAfter,
    pushedSamples: open.pushed,
    chunks: spans.reduce((sum, span) => sum + span.chunks, 0),
    paddedSamples:
      open.padding === null || open.padding.cycle >= cyclesPlayed ? 0 : open.padding.samples,
    clearedSamples: open.cleared,
    firstCycle: first?.cycle ?? null,
    endCycle: last === undefined ? null : last.cycle + last.chunks,
    drainedCycle:
      open.drainedCycle !== null && open.drainedCycle < cyclesPlayed ? open.drainedCycle : null,
    emptyRuns,
  };
}
