/** The processes of the parts of `bench` that measure over real sockets. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { SessionProcess } from '../bench/session-process.ts';
import type { SessionAnswer, SessionRequest } from '../bench/session-roles.ts';

/** What a process sends: an answer, or why there is none. */
export type ProcessAnswer =
  | { readonly answer: SessionAnswer }
  | { readonly error: { readonly message: string; readonly stack?: string | undefined } };

export class BenchProcess implements SessionProcess {
  readonly #child: ChildProcess;
  #resolve: ((answer: SessionAnswer) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  /** @param startNs instant 0 of all of them, on the monotonic clock of this machine */
  constructor(startNs: bigint) {
    const script = new URL(import.meta.url);
    // The same file beside this one, as source or compiled.
    const worker = fileURLToPath(new URL(script.href.replace('bench-processes', 'bench-worker')));
    this.#child = fork(worker, [`${startNs}`], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    this.#child.on('message', (message: ProcessAnswer) => {
      if ('answer' in message) this.#resolve?.(message.answer);
      else this.#reject?.(Object.assign(new Error(message.error.message), message.error));
    });
    this.#child.once('exit', (code) =>
      this.#reject?.(new Error(`A process of the bench ended with ${code}.`)),
    );
  }

  ask(request: SessionRequest): Promise<SessionAnswer> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (this.#child.exitCode !== null) {
        reject(new Error(`A process of the bench ended with ${this.#child.exitCode}.`));
        return;
      }
      this.#child.send(request);
    });
  }

  stop(): void {
    this.#resolve = undefined;
    this.#reject = undefined;
    this.#child.kill('SIGKILL');
  }
}
