/**
 * Requests of the server to services beside speech: recognition, language model, the callback of a
 * recording. Over the given dialer, without a time limit: whoever calls has one, or has none on
 * purpose. Not for speech, whose adapters measure more.
 */
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import type { AdapterDeps } from '../../adapters/index.ts';
import { HttpConnections } from '../../adapters/transport/http-connections.ts';

export type ServiceDeps = Pick<AdapterDeps, 'clock' | 'dialer'> & {
  /** Is asked before every request and throws for one that must not be made; absent: all may be. */
  readonly admit?: () => void;
};

export interface ServiceRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface ServiceAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The body as it arrives. Leaving the iteration early closes the connection. */
  readonly pieces: AsyncIterable<Buffer>;
}

/** A request could not be made, or its answer broke off. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  readonly code = 'SERVICE_UNREACHABLE';
}

const neverMs = Number.POSITIVE_INFINITY;

/** One service at one URL; connections are kept between requests. */
export class Service {
  readonly #url: URL;
  readonly #connections: HttpConnections;
  readonly #admit: (() => void) | undefined;

  constructor(url: string, deps: ServiceDeps) {
    this.#url = new URL(url);
    this.#admit = deps.admit;
    const noBytes = (): Uint8Array => new Uint8Array(0);
    this.#connections = new HttpConnections(this.#url, neverMs, { ...deps, randomBytes: noBytes });
  }

  /**
   * POSTs and resolves when the head of the answer is there.
   *
   * @param signal ends everything about the request at once, also while the body is read
   * @throws {ServiceError}; {@link SpeechError} when there is no connection; the signal's reason; what
   *   `admit` throws
   */
  async post({ headers, body }: ServiceRequest, signal: AbortSignal): Promise<ServiceAnswer> {
    this.#admit?.();
    const { stream, agent } = await this.#connections.acquire(signal);
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        stream.destroy();
        reject(signal.reason);
      };
      const broken = (error: Error): void => {
        signal.removeEventListener('abort', stop);
        stream.destroy();
        reject(this.#broken(error));
      };
      const onClose = (): void => broken(new Error('the connection closed'));
      if (signal.aborted) return stop();
      if (stream.destroyed) return onClose();
      signal.addEventListener('abort', stop);
      stream.once('close', onClose);
      const request = httpRequest({
        agent,
        method: 'POST',
        path: this.#url.pathname + this.#url.search,
        headers: { Host: this.#url.host, ...headers, 'Content-Length': body.length },
      });
      request.on('error', broken);
      request.on('response', (response) => {
        agent.heed(response.headers['keep-alive']);
        stream.off('close', onClose);
        const release = (): void => signal.removeEventListener('abort', stop);
        const explain = (error: Error): Error =>
          signal.aborted ? signal.reason : this.#broken(error);
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          pieces: piecesOf(response, explain, (whole) => {
            release();
            if (!whole) stream.destroy();
          }),
        });
      });
      request.end(body);
    });
  }

  close(): void {
    this.#connections.close();
  }

  #broken(cause: Error): ServiceError {
    const message = `The connection to ${this.#url.host} broke before the answer was complete (${cause.message}).`;
    return new ServiceError(message, { cause });
  }
}

async function* piecesOf(
  response: AsyncIterable<Buffer>,
  explain: (error: Error) => Error,
  over: (whole: boolean) => void,
): AsyncGenerator<Buffer, void> {
  let whole = false;
  try {
    yield* response;
    whole = true;
  } catch (error) {
    throw explain(error as Error);
  } finally {
    over(whole);
  }
}

/** The whole body as text, cut at `bytesMax`. */
export async function textOf({ pieces }: ServiceAnswer, bytesMax = 1024 * 1024): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const piece of pieces) {
    parts.push(piece);
    size += piece.length;
    if (size > bytesMax) break;
  }
  return Buffer.concat(parts).toString('utf8');
}
