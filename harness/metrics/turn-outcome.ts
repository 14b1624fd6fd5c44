import type { Conversation, Turn } from './conversation.ts';
import type { TurnLatency } from './latency-spans.ts';
import { type Playback, wasCleared } from './playback.ts';

/**
 * Failure classes beside those of the providers (`auth`, `quota`, `rate-limit`, `bad-voice`,
 * `bad-request`, `too-long`, `timeout`, `truncated`, `empty`, `protocol`, `network`, `server`,
 * `budget`).
 */
export const turnFailureKinds = {
  'turn-timeout': 'the turn did not end within its limit',
  reboot: 'the board restarted',
  unfinished: 'the recording stops inside the turn',
  'no-speech': 'the server found no speech in what the user said',
  'no-answer': 'the turn ended without a sentence',
  silent: 'the answer was spoken but nothing audible left the speaker',
} as const;

export interface TurnFailure {
  /** A provider's failure class or one of {@link turnFailureKinds}. */
  readonly kind: string;
  readonly by: 'provider' | 'server' | 'turn';
  readonly message: string;
  readonly sentence: number | null;
  readonly request: number | null;
  readonly seqs: readonly number[];
}

export interface TurnOutcome {
  readonly outcome: 'ok' | 'interrupted' | 'failed';
  readonly failure: TurnFailure | null;
}

/**
 * The cause comes before its effects: a refused key, not the silence that follows from it.
 *
 * @param speakerSamples recorded of the speaker: of a run that was killed fewer than it has played, or none
 */
export function turnOutcome(
  turn: Turn,
  own: readonly Playback[],
  conversation: Conversation,
  latency: TurnLatency,
  speakerSamples: number,
): TurnOutcome {
  const failed = (failure: TurnFailure): TurnOutcome => ({ outcome: 'failed', failure });
  const turnFailure = (kind: keyof typeof turnFailureKinds, seqs: readonly number[], more = '') =>
    failed({
      kind,
      by: 'turn',
      message: turnFailureKinds[kind] + more,
      sentence: null,
      request: null,
      seqs,
    });

  const request = turn.requests.find(({ failure }) => failure !== null);
  if (request?.failure != null) {
    const { kind, message, sentence, seq } = request.failure;
    return failed({
      kind,
      by: 'provider',
      message,
      sentence,
      request: request.request,
      seqs: [seq],
    });
  }
  const serverEnd = turn.serverTurns.find(({ ended }) => ended?.outcome === 'failed')?.ended;
  if (serverEnd != null) {
    return failed({
      kind: serverEnd.failure ?? 'server',
      by: 'server',
      message: `the server ended turn ${turn.number} as failed`,
      sentence: null,
      request: null,
      seqs: [serverEnd.seq],
    });
  }
  const { ended, answer } = turn;
  const detail = ended?.detail === undefined ? '' : `: ${ended.detail}`;
  if (ended?.outcome === 'reboot') return turnFailure('reboot', [ended.seq], detail);
  if (ended?.outcome === 'timeout') return turnFailure('turn-timeout', [ended.seq], detail);
  if (
    ended?.outcome === 'interrupted' ||
    turn.interrupted !== null ||
    own.some(wasCleared) ||
    turn.serverTurns.some((serverTurn) => serverTurn.ended?.outcome === 'interrupted')
  ) {
    return { outcome: 'interrupted', failure: null };
  }
  if (ended === null) return turnFailure('unfinished', turn.started ? [turn.started.seq] : []);
  if (turn.sentences.length === 0) {
    const kind = answer?.endOfTurn?.speech === false ? 'no-speech' : 'no-answer';
    return turnFailure(kind, [answer?.endOfTurn?.seq ?? ended.seq]);
  }
  if (conversation.boots.length > 0 && latency.marks.firstAudible === null) {
    const playedUntil = Math.max(
      ...own.map(({ startPosition, endPosition }) => endPosition ?? startPosition ?? 0),
    );
    return playedUntil > speakerSamples
      ? turnFailure('unfinished', [ended.seq], '; what the speaker played is not in it')
      : turnFailure('silent', [ended.seq]);
  }
  return { outcome: 'ok', failure: null };
}
