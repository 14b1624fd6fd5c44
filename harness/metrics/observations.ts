import type { Conservation } from './conservation.ts';
import type { Conversation, ProviderRequest } from './conversation.ts';
import { type SpanName, spanNames, type TurnLatency } from './latency-spans.ts';
import { type Playback, positionToUs } from './playback.ts';
import { prebufferNeededUs } from './prebuffer.ts';
import { type RecordedCell, samplesToMs } from './recorded-cell.ts';
import type { Seam } from './seams.ts';
import type { SelfHeardOnset, UnprovokedInterrupt } from './self-hearing.ts';
import { findClicks } from './signal-level.ts';
import type { StopLatency } from './stop-latency.ts';
import type { SynthesisRate } from './synthesis-rate.ts';
import type { TailMargin } from './tail-margin.ts';
import type { TurnOutcome } from './turn-outcome.ts';
import type { SentenceUnderruns } from './underruns.ts';

/** One measured value and where it can be seen in the recording. */
export interface Observation {
  /** In the unit of its metric. */
  readonly value: number;
  /** Turn of the scenario; null when it belongs to none. */
  readonly turn: number | null;
  readonly sentence?: number;
  readonly request?: number;
  /** Index into `speaker`, for what can be heard there. */
  readonly position?: number;
  readonly atUs?: number;
  /** Says what the number alone does not. */
  readonly note?: string;
  /** Lines of the trace that show it. */
  readonly seqs: readonly number[];
}

/** By metric family, or by the `evidence` name of one. */
export type Observations = Readonly<Record<string, readonly Observation[]>>;

/** Everything measured, before it is summed up. */
export interface Findings {
  readonly cell: RecordedCell;
  readonly conversation: Conversation;
  readonly playbacks: readonly Playback[];
  readonly turns: readonly TurnFindings[];
  /** As many as requests of the conversation, in the same order. */
  readonly rates: readonly SynthesisRate[];
  readonly underruns: readonly SentenceUnderruns[];
  readonly seams: readonly Seam[];
  readonly selfHeardOnsets: readonly SelfHeardOnset[];
  readonly unprovokedInterrupts: readonly UnprovokedInterrupt[];
  readonly conservation: Conservation;
}

export interface TurnFindings extends TurnOutcome {
  readonly turn: number;
  readonly latency: TurnLatency;
  readonly stopLatency: StopLatency | null;
  readonly tailMargin: TailMargin | null;
}

/** `ttfb` is observed per request instead, so that its n is the number of requests. */
const spanMetrics: readonly [SpanName, string][] = spanNames
  .filter((name) => name !== 'ttfb')
  .map((name) => [name, `${name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}_ms`]);

/** @param sound as for `measureCell` */
export function observe(findings: Findings, sound: boolean): Observations {
  const book: Record<string, Observation[]> = {};
  const add = (family: string, observation: Observation) => {
    book[family] ??= [];
    book[family].push(observation);
  };
  for (const turn of findings.turns) observeTurn(turn, add);
  for (const [i, request] of findings.conversation.requests.entries()) {
    observeRequest(request, findings.rates[i]!, findings, add);
    if (sound) observeClicks(request, findings, add);
  }
  observePlayer(findings, add);
  for (const { sentence, board } of findings.playbacks) {
    if (board.staleSamples === 0 || board.ended === null) continue;
    const { atUs, seq } = board.ended;
    add('stale_samples', { value: board.staleSamples, turn: sentence.turn, atUs, seqs: [seq] });
  }
  for (const { atUs, seq, turn } of findings.unprovokedInterrupts) {
    add('interrupts.unprovoked', { value: 1, turn, atUs, seqs: [seq] });
  }
  for (const { atUs, seq, turn, correlation, lagSamples } of findings.selfHeardOnsets) {
    const note = `${samplesToMs(lagSamples)} ms behind the speaker`;
    add('echo_correlation', { value: correlation, turn, atUs, note, seqs: [seq] });
  }
  for (const { samples, what, turn, sentence, seqs } of findings.conservation.unexplained) {
    const place = sentence === null ? {} : { sentence };
    const observation = { ...place, value: samples, turn, note: what, seqs };
    add('conservation.unexplained_samples', observation);
  }
  return book;
}

/** The turn of the scenario that a request served; null when there is none. */
export function turnOfRequest(conversation: Conversation, request: ProviderRequest): number | null {
  return conversation.turns.find((turn) => turn.requests.includes(request))?.number ?? null;
}

/** What the sentence's arrivals at the board would have needed; see {@link prebufferNeededUs}. */
export function prebufferOf({ board, restBefore }: Playback): number | null {
  return prebufferNeededUs(
    // The start message takes a cycle of the player, so it belongs to the pattern.
    [
      { atUs: board.startPosted.atUs, samples: 0 },
      ...board.arrivals.filter(({ disposition }) => disposition !== 'dropped'),
    ],
    board.ended?.atUs ?? null,
    board.boot.speakerStartUs,
    restBefore ?? 0,
    board.boot.rules,
  );
}

type Add = (family: string, observation: Observation) => void;

/** A failed turn has no latencies: it would make a provider that fails early look fast. */
function observeTurn({ turn, latency, outcome, failure, ...rest }: TurnFindings, add: Add): void {
  if (failure !== null) {
    add('failure', {
      value: 1,
      turn,
      note: `${failure.kind}: ${failure.message}`,
      seqs: failure.seqs,
      ...(failure.sentence === null ? {} : { sentence: failure.sentence }),
      ...(failure.request === null ? {} : { request: failure.request }),
    });
  }
  if (outcome === 'failed') return;
  const { marks, spans } = latency;
  const place = { turn, ...(latency.sentence === null ? {} : { sentence: latency.sentence }) };
  const addUs = (family: string, valueUs: number | null, seqs: readonly number[]) => {
    if (valueUs !== null) add(family, { ...place, value: valueUs / 1000, seqs });
  };
  const ends = [marks.userStop, marks.firstAudible].flatMap((mark) => (mark ? [mark.seq] : []));
  addUs('audible_at_speaker_ms', latency.audibleAtSpeakerUs, ends);
  addUs('unattributed_ms', latency.unattributedUs, ends);
  for (const [name, family] of spanMetrics) addUs(family, spans[name], seqsOfSpan(name, latency));
  const { stopLatency, tailMargin } = rest;
  if (stopLatency !== null) {
    addUs('stop_latency_ms', stopLatency.durationUs, [stopLatency.interrupt.seq]);
  }
  if (tailMargin !== null) addUs('tail_margin_ms', tailMargin.marginUs, tailMargin.seqs);
}

function seqsOfSpan(name: SpanName, { marks }: TurnLatency): number[] {
  const ends = {
    endOfTurn: [marks.userStop, marks.endOfTurn],
    firstText: [marks.endOfTurn, marks.firstText],
    sentenceReady: [marks.firstText, marks.sentenceReady],
    handover: [marks.sentenceReady, marks.requestWritten],
    textOptimization: [marks.textOptimized],
    connect: [marks.requestWritten],
    ttfb: [marks.requestWritten, marks.firstAudioByte],
    serverHold: [marks.firstAudioByte, marks.firstFrameWritten],
    downlink: [marks.firstFrameWritten, marks.frameHandled],
    playStart: [marks.frameHandled, marks.firstSamplePlayed],
    leadSilence: [marks.firstSamplePlayed],
  }[name];
  return ends.flatMap((mark) => (mark === null ? [] : [mark.seq]));
}

function observeRequest(
  request: ProviderRequest,
  rate: SynthesisRate,
  { conversation }: Findings,
  add: Add,
): void {
  const place = placeOf(request, conversation);
  const seqs = seqsOf(request);
  const put = (family: string, value: number | null, note?: string) => {
    if (value === null) return;
    add(family, { ...place, value, seqs, ...(note === undefined ? {} : { note }) });
  };
  const ms = (us: number | null) => (us === null ? null : us / 1000);

  put('requests', 1);
  if (request.reused) put('requests.reused', 1);
  if (request.failure !== null) return;
  put('ttfb_ms', ms(rate.ttfbUs));
  put('ttfa_ms', ms(rate.ttfaUs));
  put('handshake_ms', ms(rate.handshakeUs));
  // What a request would have delivered after it was stopped is not known.
  if (request.cancelled !== null) return;
  put('rtf', rate.rtf);
  if (rate.chunks > 0) put('chunks', rate.chunks);
  for (const gap of rate.gapsUs) put('chunk_gap_ms', gap / 1000);
  put('burst_share', rate.burstShare);
  const inMs = (samples: number | null) => (samples === null ? null : samplesToMs(samples));
  put('provider_lead_silence_ms', inMs(rate.leadSilenceSamples));
  put('provider_tail_silence_ms', inMs(rate.tailSilenceSamples));
  if (rate.streaming === false) {
    const first = ms(rate.ttfbUs);
    put('requests.not_streaming', 1, `first byte ${first} ms, last ${ms(rate.synthesisUs)} ms`);
  }
}

/** Of what was delivered whole. */
function observeClicks(request: ProviderRequest, { cell, conversation }: Findings, add: Add): void {
  if (request.failure !== null || request.cancelled !== null) return;
  const place = placeOf(request, conversation);
  const seqs = seqsOf(request);
  for (const index of findClicks(cell.provider.get(request.request) ?? new Int16Array(0))) {
    const note = `at ${(index / 16_000).toFixed(4)} s of the clip`;
    add('clicks', { ...place, value: 1, seqs, note });
  }
}

function placeOf(request: ProviderRequest, conversation: Conversation) {
  return {
    turn: turnOfRequest(conversation, request),
    request: request.request,
    ...(request.sentence === null ? {} : { sentence: request.sentence }),
  };
}

/** When it was sent, and its first and last piece. */
function seqsOf({ written, chunks }: ProviderRequest): number[] {
  const lines = [written, chunks[0] ?? null, chunks.at(-1) ?? null];
  return [...new Set(lines.flatMap((mark) => (mark === null ? [] : [mark.seq])))];
}

function observePlayer(findings: Findings, add: Add): void {
  const { conversation } = findings;
  for (const { turn, sentence, underruns, verified, disagreements, seqs } of findings.underruns) {
    for (const run of underruns) {
      add('underruns', {
        value: run.durationUs / 1000,
        turn,
        sentence,
        position: run.position,
        atUs: run.atUs,
        seqs: run.seqs,
        ...(run.trailing ? { note: 'after the last sound, waiting for the end marker' } : {}),
      });
    }
    if (verified === false) {
      const note = disagreements.join('; ');
      add('underruns.unverified', { value: 1, turn, sentence, note, seqs });
    }
  }
  for (const { turn, sentence, position, gapSamples, pauseSamples, seqs } of findings.seams) {
    const atUs = positionToUs(conversation, position);
    const place = { turn, sentence, position, atUs, seqs };
    add('seam_ms', { ...place, value: samplesToMs(gapSamples) });
    if (pauseSamples !== null) add('pause_ms', { ...place, value: samplesToMs(pauseSamples) });
  }
  for (const playback of findings.playbacks) {
    const neededUs = prebufferOf(playback);
    if (neededUs === null) continue;
    add('prebuffer_needed_ms', {
      value: neededUs / 1000,
      turn: playback.sentence.turn,
      sentence: playback.sentence.number ?? playback.board.number,
      seqs: playback.board.arrivals.slice(0, 1).map(({ seq }) => seq),
    });
  }
}
