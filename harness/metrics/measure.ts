/**
 * From a recording to numbers. Pure: the same files give the same measurement.
 *
 * Every number of the flat summary comes from observations, single values with the turn, the
 * instant and the trace lines they were taken from, so that a verdict can show what it rests on.
 */
import { type AudibilitySettings, defaultAudibility } from './audibility.ts';
import { type Conservation, measureConservation } from './conservation.ts';
import { readConversation } from './conversation.ts';
import { measureLatency, type TurnLatency } from './latency-spans.ts';
import {
  type Findings,
  type Observations,
  observe,
  prebufferOf,
  type TurnFindings,
} from './observations.ts';
import { readPlaybacks } from './playback.ts';
import type { RecordedCell } from './recorded-cell.ts';
import { measureSeams, type Seam } from './seams.ts';
import { findSelfHeardOnsets, findUnprovokedInterrupts } from './self-hearing.ts';
import { measureStopLatency } from './stop-latency.ts';
import { type MetricSummary, summarize } from './summary.ts';
import { measureSynthesis, type SynthesisRate } from './synthesis-rate.ts';
import { measureTailMargin } from './tail-margin.ts';
import { type TurnFailure, turnOutcome } from './turn-outcome.ts';
import { measureUnderruns, type SentenceUnderruns } from './underruns.ts';

export interface MeasureSettings {
  readonly audibility: AudibilitySettings;
}

export const defaultMeasureSettings: MeasureSettings = { audibility: defaultAudibility };

export interface CellMeasurement {
  readonly turns: readonly TurnMeasurement[];
  readonly metrics: MetricSummary;
  readonly requests: readonly SynthesisRate[];
  readonly underruns: readonly SentenceUnderruns[];
  readonly seams: readonly Seam[];
  readonly conservation: Conservation;
  readonly observations: Observations;
  /** From the beginning of the recording to its last event. */
  readonly durationUs: number;
  /** How the recording ended; null when it just stops. */
  readonly end: { readonly outcome: string; readonly detail?: string; readonly seq: number } | null;
  readonly settings: MeasureSettings;
}

export interface TurnMeasurement extends TurnLatency {
  readonly turn: number;
  /** `ok`: heard to its end. `interrupted`: the user cut it off. */
  readonly outcome: 'ok' | 'interrupted' | 'failed';
  readonly failure: TurnFailure | null;
  readonly stopLatencyUs: number | null;
  readonly tailMarginUs: number | null;
  readonly sentences: readonly SentenceMeasurement[];
  /** Numbers of the provider requests it made. */
  readonly requests: readonly number[];
  readonly metrics: MetricSummary;
}

export interface SentenceMeasurement {
  /** The server's number, or the board's own when the server's is unknown. */
  readonly sentence: number;
  readonly text: string | null;
  /** Indices into `speaker`, `endPosition` exclusive; null when it was not played. */
  readonly startPosition: number | null;
  readonly endPosition: number | null;
  readonly prebufferNeededUs: number | null;
}

/**
 * @param sound whether level, loudness, clicks and silence of what was heard are measured, which takes as long as everything
 *   else; without it they are null
 */
export function measureCell(
  cell: RecordedCell,
  settings: MeasureSettings = defaultMeasureSettings,
  sound = true,
): CellMeasurement {
  const { audibility } = settings;
  const conversation = readConversation(cell);
  const playbacks = readPlaybacks(conversation, cell);
  const turns = conversation.turns.map((turn): TurnFindings => {
    const latency = measureLatency(turn, playbacks, conversation, cell, audibility);
    const own = playbacks.filter(({ sentence }) => sentence.turn === turn.number);
    const result = turnOutcome(turn, own, conversation, latency, cell.speaker.length);
    return {
      ...result,
      turn: turn.number,
      latency,
      stopLatency: measureStopLatency(turn, playbacks, conversation, cell, audibility),
      tailMargin:
        result.outcome === 'interrupted' ? null : measureTailMargin(turn, playbacks, conversation),
    };
  });
  const findings: Findings = {
    cell,
    conversation,
    playbacks,
    turns,
    rates: conversation.requests.map((request) => measureSynthesis(request, cell, audibility)),
    underruns: measureUnderruns(conversation, playbacks, cell),
    seams: measureSeams(playbacks, cell, audibility),
    selfHeardOnsets: findSelfHeardOnsets(conversation, cell, audibility),
    unprovokedInterrupts: findUnprovokedInterrupts(conversation),
    conservation: measureConservation(conversation, playbacks, cell),
  };
  const observations = observe(findings, sound);
  const { end } = conversation;
  return {
    turns: turns.map((turn) => ({
      ...turnMeasurement(turn, findings),
      metrics: summarize(findings, observations, turn.turn, audibility, sound),
    })),
    metrics: summarize(findings, observations, null, audibility, sound),
    requests: findings.rates,
    underruns: findings.underruns,
    seams: findings.seams,
    conservation: findings.conservation,
    observations,
    durationUs: conversation.lastUs,
    end:
      end === null
        ? null
        : {
            outcome: end.outcome,
            seq: end.seq,
            ...(end.detail === undefined ? {} : { detail: end.detail }),
          },
    settings,
  };
}

function turnMeasurement(
  { turn, latency, outcome, failure, stopLatency, tailMargin }: TurnFindings,
  { conversation, playbacks }: Findings,
): Omit<TurnMeasurement, 'metrics'> {
  const requests = conversation.turns.find(({ number }) => number === turn)?.requests ?? [];
  const own = playbacks.filter(({ sentence }) => sentence.turn === turn);
  return {
    turn,
    outcome,
    failure,
    ...latency,
    stopLatencyUs: stopLatency?.durationUs ?? null,
    tailMarginUs: tailMargin?.marginUs ?? null,
    sentences: own.map((playback) => ({
      sentence: playback.sentence.number ?? playback.board.number,
      text: playback.sentence.text,
      startPosition: playback.startPosition,
      endPosition: playback.endPosition,
      prebufferNeededUs: prebufferOf(playback),
    })),
    requests: requests.map(({ request }) => request),
  };
}
