import { type AudibilitySettings, clipSilence } from './audibility.ts';
import type { ProviderRequest } from './conversation.ts';
import { type RecordedCell, samplesToUs } from './recorded-cell.ts';

/** How one provider request delivered its audio. Durations are null when an end is missing. */
export interface SynthesisRate {
  readonly request: number;
  readonly audioSamples: number;
  /** Request bytes written to first audio byte. */
  readonly ttfbUs: number | null;
  /** Request bytes written to arrival of the chunk that holds the first audible sample. */
  readonly ttfaUs: number | null;
  /** Decided to usable connection, wherever it fell; null when the connection was reused. */
  readonly handshakeUs: number | null;
  /** Request bytes written to last audio byte. */
  readonly synthesisUs: number | null;
  /** `synthesisUs` / duration of the audio: below 1 is faster than real time. */
  readonly rtf: number | null;
  readonly chunks: number;
  /** Between consecutive chunks with audio. */
  readonly gapsUs: readonly number[];
  /** Share of the audio that came within the first tenth of the delivery time, 0 to 1. */
  readonly burstShare: number | null;
  /**
   * False when less than a tenth of the time until the last byte lay between first and last byte
   * ("not streaming": the clip was made first and sent then). Null for clips of 2 s or less, where
   * the rule says nothing.
   */
  readonly streaming: boolean | null;
  readonly leadSilenceSamples: number | null;
  readonly tailSilenceSamples: number | null;
}

export function measureSynthesis(
  request: ProviderRequest,
  cell: RecordedCell,
  audibility: AudibilitySettings,
): SynthesisRate {
  const chunks = request.chunks.filter(({ sourceBytes }) => sourceBytes > 0);
  const first = chunks[0];
  const last = chunks[chunks.length - 1];
  const writtenUs = request.written?.atUs;
  const audioSamples = request.chunks.reduce((sum, { samples }) => sum + samples, 0);
  const since = (atUs: number | undefined): number | null =>
    writtenUs === undefined || atUs === undefined ? null : atUs - writtenUs;

  const audio = cell.provider.get(request.request) ?? new Int16Array(0);
  const silence = clipSilence(audio, audibility);
  const audibleChunk = request.chunks.find(
    ({ offset, samples }) => silence !== null && offset + samples > silence.leadSamples,
  );
  const synthesisUs = since(last?.atUs);
  const ttfbUs = since(first?.atUs);
  return {
    request: request.request,
    audioSamples,
    ttfbUs,
    ttfaUs: since(audibleChunk?.atUs),
    handshakeUs:
      request.reused || request.decidedUs === null || request.connectedUs === null
        ? null
        : request.connectedUs - request.decidedUs,
    synthesisUs,
    rtf: synthesisUs === null || audioSamples === 0 ? null : synthesisUs / (audioSamples * 62.5),
    chunks: chunks.length,
    gapsUs: chunks.slice(1).map((chunk, i) => chunk.atUs - chunks[i]!.atUs),
    burstShare: burstShare(request),
    streaming:
      synthesisUs === null || ttfbUs === null || samplesToUs(audioSamples) <= 2_000_000
        ? null
        : (synthesisUs - ttfbUs) / synthesisUs >= 0.1,
    leadSilenceSamples: silence?.leadSamples ?? null,
    tailSilenceSamples: silence?.tailSamples ?? null,
  };
}

function burstShare({ chunks }: ProviderRequest): number | null {
  const total = chunks.reduce((sum, { samples }) => sum + samples, 0);
  if (total === 0) return null;
  const startUs = chunks[0]!.atUs;
  const limitUs = startUs + (chunks[chunks.length - 1]!.atUs - startUs) / 10;
  const early = chunks.filter(({ atUs }) => atUs <= limitUs);
  return early.reduce((sum, { samples }) => sum + samples, 0) / total;
}
