import type { Duplex } from 'node:stream';
import type { AdapterDeps } from '../speech-adapter.ts';
import type { SpeechError } from '../speech-error.ts';
import { speechError } from './provider-failure.ts';
import { alarmAfter } from './time-limit.ts';

export interface DialedTarget {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
}

/** Where a URL points; the dialer does TLS when it says `https:` or `wss:`. */
export function targetOf(url: URL): DialedTarget {
  const secure = url.protocol === 'https:' || url.protocol === 'wss:';
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    secure,
  };
}

/**
 * Opens a stream within `limitMs`. Nothing is left open when it fails or when `stopped` aborts, not
 * even by a dialer that answers late.
 *
 * @throws {SpeechError} kind `timeout` or `network`; the signal's reason when it aborts
 */
export function dial(
  target: DialedTarget,
  limitMs: number,
  deps: AdapterDeps,
  stopped: AbortSignal,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    if (stopped.aborted) {
      reject(stopped.reason);
      return;
    }
    const abort = new AbortController();
    let settled = false;
    const settle = (action: () => void): void => {
      if (settled) return;
      settled = true;
      alarm.cancel();
      stopped.removeEventListener('abort', onStop);
      action();
    };
    const give = (reason: unknown): void =>
      settle(() => {
        abort.abort(reason);
        reject(reason);
      });
    const onStop = (): void => give(stopped.reason);
    stopped.addEventListener('abort', onStop);
    const alarm = alarmAfter(deps.clock, limitMs, () => give(connectTimeout(target, limitMs)));
    deps.dialer.dial(target, abort.signal).then(
      (stream) => {
        // A stream without a listener would end the process when it fails between two owners.
        stream.on('error', () => {});
        if (settled) stream.destroy();
        else settle(() => resolve(stream));
      },
      (error: unknown) => settle(() => reject(dialError(target, error))),
    );
  });
}

export function connectTimeout(target: DialedTarget, limitMs: number): SpeechError {
  return speechError(
    {
      kind: 'timeout',
      message: `No connection to ${target.host}:${target.port} within ${limitMs} ms. Check the address and the network.`,
    },
    0,
  );
}

function dialError(target: DialedTarget, error: unknown): SpeechError {
  const { code, message, hint } = error as { code?: unknown; message?: unknown; hint?: unknown };
  return speechError(
    {
      kind: 'network',
      // A dialer that knows what to try next has said where already.
      message:
        typeof hint === 'string'
          ? `${String(message)} ${hint}`
          : `No connection to ${target.host}:${target.port}: ${String(message ?? error)}`,
      retryable: code !== 'NETWORK_OUTSIDE_FORBIDDEN',
      cause: error,
    },
    0,
  );
}
