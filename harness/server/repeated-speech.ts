/**
 * Synthesis that is tried again when it fails, as the EchoKit server does for some platforms (EchoKit
 * device protocol reference, section 7.6). What was delivered before the failure stays delivered, so
 * the listener may hear it twice (quirk Q38).
 */
import type { EchoKitTries, SpeechEvent, SpeechSession } from '../../adapters/index.ts';
import { SpeechError } from '../../adapters/index.ts';
import type { Clock } from '../clock/clock.ts';
import { FollowingController } from '../clock/following-controller.ts';
import type { ProviderEvent } from './server-event.ts';

export interface RepeatedSpeechOptions extends EchoKitTries {
  readonly clock: Clock;
  /** Hears of each failure that is tried again. */
  onRetry(event: ProviderEvent): void;
}

/** Takes whole texts only: a text that is still being written cannot be said again. */
export function repeatedSpeech(
  session: SpeechSession,
  options: RepeatedSpeechOptions,
): SpeechSession {
  return {
    capabilities: { ...session.capabilities, textIn: 'whole', marks: false },
    speak: (text, signal) => speak(session, options, text, signal),
    close: () => session.close(),
  };
}

async function* speak(
  session: SpeechSession,
  options: RepeatedSpeechOptions,
  text: AsyncIterable<string>,
  signal: AbortSignal,
): AsyncGenerator<SpeechEvent, void> {
  const { clock, count, only, timeoutMs, onRetry } = options;
  let whole = '';
  for await (const piece of text) whole += piece;
  const before = { samples: 0, sourceFrames: 0 };
  for (let attempt = 1; ; attempt++) {
    const stop = new FollowingController(signal);
    const limit =
      timeoutMs === undefined
        ? undefined
        : clock.after(timeoutMs * 1000, () => stop.abort(timeoutError(timeoutMs)));
    const delivered = { samples: 0, sourceFrames: 0 };
    let request = 0;
    try {
      for await (const event of session.speak(once(whole), stop.signal)) {
        request = event.request;
        if (event.type === 'audio') {
          // From here on it is the board that may be slow.
          limit?.cancel();
          delivered.samples += event.samples.length;
          delivered.sourceFrames += (event.samples.length * event.sourceRateHz) / 16_000;
        }
        yield event.type === 'end' ? withEarlier(event, before) : event;
      }
      return;
    } catch (error) {
      signal.throwIfAborted();
      const hopeless = attempt === count || !(error instanceof SpeechError);
      if (hopeless || (only !== undefined && error.kind !== only)) throw error;
      onRetry({
        type: 'retry',
        atUs: clock.nowUs(),
        request,
        attempt,
        kind: error.kind,
        code: error.code,
        message: error.message,
        deliveredSamples: delivered.samples,
      });
      before.samples += delivered.samples;
      before.sourceFrames += delivered.sourceFrames;
    } finally {
      limit?.cancel();
      stop.release();
    }
  }
}

/** The utterance has all that was delivered, the failed tries included. */
function withEarlier<End extends { samples: number; sourceFrames: number }>(
  end: End,
  before: { readonly samples: number; readonly sourceFrames: number },
): End {
  return {
    ...end,
    samples: end.samples + before.samples,
    sourceFrames: end.sourceFrames + Math.round(before.sourceFrames),
  };
}

function timeoutError(timeoutMs: number): SpeechError {
  return new SpeechError({
    kind: 'timeout',
    message: `The answer was not complete within ${timeoutMs} ms of the request.`,
    retryable: true,
    deliveredSamples: 0,
  });
}

async function* once(text: string): AsyncGenerator<string, void> {
  yield text;
}
