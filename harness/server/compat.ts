/**
 * A server that does what the EchoKit server does, for runs that show before and after side by side:
 * settings of the conversation and wrappings of the speech, one for each of the `compatItems`.
 */
import {
  type AdapterDeps,
  adapterFor,
  type EchoKitTries,
  echoKitConversion,
  platformNamed,
  type SpeechSession,
} from '../../adapters/index.ts';
import type { Clock } from '../clock/clock.ts';
import { type CompatId, compatIds, type ServerModel } from './compat-items.ts';
import { repeatedSpeech } from './repeated-speech.ts';
import type { ProviderEvent } from './server-event.ts';
import type { ServerSettings } from './server-settings.ts';
import { echoKitWorkerQueue, echoKitWorkers, sharedWorkers } from './shared-workers.ts';
import { wholeTexts } from './whole-texts.ts';

/** What a server of this model does as the EchoKit server, less what is left out. */
export function compatOf(model: ServerModel, without: readonly CompatId[] = []): Compat {
  const ids = model === 'harness' ? [] : compatIds.filter((id) => !without.includes(id));
  return new Set(ids);
}

export type Compat = ReadonlySet<CompatId>;

/** @param platform of the speech */
export function compatSettings(compat: Compat, platform: string): Partial<ServerSettings> {
  const blockSamples = platformNamed(platform)?.echoKit.blockSamples;
  const forever = Number.POSITIVE_INFINITY;
  const settings: { readonly [Id in CompatId]?: Partial<ServerSettings> } = {
    'audio-blocks': {
      framing: { mode: 'lossy', ...(blockSamples !== undefined && { blockSamples }) },
    },
    // The workers are the limit, not the answer.
    'shared-workers': { parallelRequests: echoKitWorkers + echoKitWorkerQueue },
    'no-time-limits': { recognitionTimeoutMs: forever, replyTimeoutMs: forever },
    'late-end-vad': { endVad: 'recognized' },
    'no-early-text': { earlyText: false },
    'interim-discarded': { interimFallback: false },
    'submit-leaks': { submitStartsAfresh: false },
    'submit-ends-session': { submitInStreamMode: 'endsSession' },
    'restart-unnoticed': { restart: 'ignored' },
    'record-faults': { recordAsEchoKit: true },
    'unbounded-downlink': { downlinkBufferBytes: forever },
  };
  return Object.assign({}, ...[...compat].map((id) => settings[id]));
}

export interface CompatSpeechOptions {
  readonly compat: Compat;
  readonly tts: { readonly platform: string; readonly config: unknown };
  readonly deps: AdapterDeps & { readonly clock: Clock };
  /** Puts the session under a limit, every try of a request included. */
  limit?(session: SpeechSession): SpeechSession;
  /** Hears of requests that are tried again. */
  onRetry(event: ProviderEvent): void;
}

/** The session of a platform as a server of this kind uses it. */
export function openCompatSpeech(options: CompatSpeechOptions): SpeechSession {
  const { compat, tts, limit = (session) => session, onRetry } = options;
  const platform = platformNamed(tts.platform);
  if (platform === undefined) throw new RangeError(`No adapter for platform "${tts.platform}".`);
  const config = compat.has('plain-requests') ? platform.echoKit.configure(tts.config) : tts.config;
  const deps = compat.has('plain-resampling')
    ? { ...options.deps, conversion: echoKitConversion }
    : options.deps;
  let session = limit(adapterFor(tts).open(config, deps));
  if (compat.has('whole-texts')) session = wholeTexts(session);
  const tries: EchoKitTries | undefined = platform.echoKit.tries?.(tts.config);
  if (compat.has('retries') && tries !== undefined) {
    session = repeatedSpeech(session, { ...tries, clock: options.deps.clock, onRetry });
  }
  return compat.has('shared-workers') ? sharedWorkers(session) : session;
}
