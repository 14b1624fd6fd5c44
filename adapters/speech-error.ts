/**
 * What went wrong with a synthesis, in the words of the field. The report prints this class. `budget`
 * is a limit of the caller and thrown by no adapter.
 */
export type SpeechFailureKind =
  | 'auth'
  | 'quota'
  | 'rate-limit'
  | 'bad-voice'
  | 'bad-request'
  | 'too-long'
  | 'timeout'
  | 'truncated'
  | 'empty'
  | 'protocol'
  | 'network'
  | 'server'
  | 'budget';

export interface SpeechErrorDetail {
  readonly kind: SpeechFailureKind;
  /** What happened, with the numbers, and the provider's own words. Never a credential. */
  readonly message: string;
  /** Whether the same request may succeed later without a change. */
  readonly retryable: boolean;
  /** The provider's own code, for example `invalid_api_key`. */
  readonly providerCode?: string;
  /** HTTP status or WebSocket close code. */
  readonly status?: number;
  /** How long the provider asked to wait. */
  readonly retryAfterMs?: number;
  /** 16 kHz samples yielded before the failure. */
  readonly deliveredSamples: number;
  readonly cause?: unknown;
}

/**
 * A failed synthesis. `code` is `TTS_` and the kind in upper case, for example `TTS_RATE_LIMIT`;
 * the codes are listed in `adapters/README.md`.
 */
export class SpeechError extends Error {
  override readonly name = 'SpeechError';
  readonly code: string;
  readonly kind: SpeechFailureKind;
  readonly retryable: boolean;
  readonly providerCode: string | undefined;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;
  readonly deliveredSamples: number;

  constructor(detail: SpeechErrorDetail) {
    super(detail.message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.code = `TTS_${detail.kind.toUpperCase().replaceAll('-', '_')}`;
    this.kind = detail.kind;
    this.retryable = detail.retryable;
    this.providerCode = detail.providerCode;
    this.status = detail.status;
    this.retryAfterMs = detail.retryAfterMs;
    this.deliveredSamples = detail.deliveredSamples;
  }
}
