import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import type { AdapterDeps } from '../speech-adapter.ts';
import { connectTimeout, dial, targetOf } from './dial.ts';
import { speechError } from './provider-failure.ts';
import { alarmAfter } from './time-limit.ts';

/** Larger messages are refused; speech services stay below 1 MiB. */
const messageBytesMax = 16 * 1024 * 1024;
const refusalBytesMax = 64 * 1024;

export interface OpenedWebSocket {
  /** Open and without listeners. End it with `terminate()`: `close()` waits on real time. */
  readonly socket: WebSocket;
  readonly stream: Duplex;
  readonly headers: IncomingHttpHeaders;
}

/** The server answered the upgrade with an ordinary HTTP response. */
export interface UpgradeRefusal {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/**
 * Opens a WebSocket over a dialed stream within `limitMs`, upgrade included. Offers no compression.
 * Nothing is left open when it fails or `stopped` aborts.
 *
 * @param onRefusal makes the error for an upgrade that was answered with another status than 101
 * @throws {SpeechError} kind `timeout`, `network` or `protocol`; the signal's reason when it aborts
 */
export async function openWebSocket(
  url: URL,
  headers: Readonly<Record<string, string>>,
  limitMs: number,
  deps: AdapterDeps,
  stopped: AbortSignal,
  onRefusal: (refusal: UpgradeRefusal) => Error,
): Promise<OpenedWebSocket> {
  const target = targetOf(url);
  const beganUs = deps.clock.nowUs();
  const stream = await dial(target, limitMs, deps, stopped);
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, {
      createConnection: () => stream as never,
      generateMask: (mask) => void mask.set(deps.randomBytes(mask.length)),
      headers,
      maxPayload: messageBytesMax,
      perMessageDeflate: false,
    });
    let upgrade: IncomingHttpHeaders = {};
    let settled = false;
    const settle = (action: () => void): void => {
      if (settled) return;
      settled = true;
      alarm.cancel();
      stopped.removeEventListener('abort', onStop);
      stream.off('close', onClose);
      socket.removeAllListeners();
      // A socket that is being torn down still reports errors; nobody needs them.
      socket.on('error', () => {});
      action();
    };
    const give = (error: unknown): void =>
      settle(() => {
        socket.terminate();
        stream.destroy();
        reject(error);
      });
    const onStop = (): void => give(stopped.reason);
    const onClose = (): void => give(broken(target, new Error('the connection closed')));
    const leftMs = limitMs - (deps.clock.nowUs() - beganUs) / 1_000;
    const alarm = alarmAfter(deps.clock, leftMs, () => give(connectTimeout(target, limitMs)));
    stopped.addEventListener('abort', onStop);
    stream.once('close', onClose);
    socket.on('upgrade', (response) => {
      upgrade = response.headers;
    });
    socket.on('open', () => settle(() => resolve({ socket, stream, headers: upgrade })));
    socket.on('error', (error) => give(broken(target, error)));
    socket.on('unexpected-response', (_request, response) => {
      stream.off('close', onClose);
      const pieces: Buffer[] = [];
      let size = 0;
      const finish = (): void =>
        give(
          onRefusal({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(pieces).toString('utf8'),
          }),
        );
      response.on('data', (piece: Buffer) => {
        pieces.push(piece);
        size += piece.length;
        if (size > refusalBytesMax) finish();
      });
      response.on('end', finish);
      response.on('error', finish);
      response.on('close', finish);
    });
    if (stopped.aborted) onStop();
    else if (stream.destroyed) onClose();
  });
}

function broken(target: { host: string; port: number }, error: Error & { code?: string }): Error {
  const { code = '', message } = error;
  // Thrown by the WebSocket library itself: the other side does not speak the protocol.
  const protocol =
    code.startsWith('HPE_') ||
    code.startsWith('WS_') ||
    /^(?:Invalid|Server sent|Server indicated)/.test(message);
  return speechError(
    {
      kind: protocol ? 'protocol' : 'network',
      message: `No WebSocket at ${target.host}:${target.port}: ${message}.`,
      cause: error,
    },
    0,
  );
}
