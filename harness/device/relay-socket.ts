/**
 * The WebSocket of a board whose events are for somebody else, such as a board on a serial line: the same client as the
 * emulated board's, without its state machine.
 */
import { SocketTask, type SocketTaskOptions } from './socket-task.ts';

export interface RelaySocketListener {
  onOpen(): void;
  onBinary(bytes: Uint8Array): void;
  /** It has ended, or did not come about (1006 and why). Called once, and not after `drop`. */
  onClosed(code: number, reason: string): void;
}

export interface RelaySocket {
  send(data: string | Uint8Array): void;
  /** Stops reading from the network, or goes on. */
  hold(held: boolean): void;
  /** Begins the closing handshake with code 1000. */
  close(): void;
  /** Breaks off without a close frame. Nothing is reported after. */
  drop(): void;
}

/** So much may wait for a server that does not read; a serial line brings it in minutes. */
const waitingBytesMax = 4 * 1024 * 1024;

/**
 * Connects without compression. `wss:` is refused, because there is no TLS here: give a `ws:` URL. The listener is never
 * called within this call. A server that does not read what is sent is given up (1006) when 4 MiB wait for it.
 */
export function openRelaySocket(
  options: Pick<SocketTaskOptions, 'url' | 'clock' | 'dialer' | 'random'>,
  listener: RelaySocketListener,
): RelaySocket {
  let problem = '';
  let waitingBytes = 0;
  let isGivenUp = false;
  const task = new SocketTask({
    ...options,
    offersCompression: false,
    refusesSecure: true,
    onOpen: () => listener.onOpen(),
    onFailure: (message) => listener.onClosed(1006, message),
    onArrival: () => {
      for (const arrival of task.arrivals.splice(0)) {
        if (arrival.kind === 'binary') listener.onBinary(arrival.data);
        else if (arrival.kind === 'error') problem = arrival.message;
        else if (arrival.kind === 'closed') listener.onClosed(arrival.code, problem);
      }
    },
  });
  return {
    send: (data) => {
      if (isGivenUp) return;
      const bytes = Buffer.byteLength(data);
      waitingBytes += bytes;
      task.send(data, () => {
        waitingBytes -= bytes;
      });
      if (waitingBytes <= waitingBytesMax) return;
      isGivenUp = true;
      task.drop();
      listener.onClosed(1006, `the server has not read the last ${waitingBytes} bytes`);
    },
    hold: (held) => task.hold(held),
    close: () => task.close(),
    drop: () => task.drop(),
  };
}
