/** The processes of a load run in real time. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { SystemClock } from '../clock/system-clock.ts';
import type { RoleAnswer, RoleRequest } from '../load/load-role.ts';
import type { LoadPart } from '../load/real-load.ts';

/** A process that is asked to end gets so long. */
const leaveLimitUs = 10_000_000;

/** What a process sends: an answer, or why there is none. */
export type PartAnswer =
  | { readonly answer: RoleAnswer }
  | { readonly error: { readonly message: string; readonly stack?: string | undefined } };

export class LoadProcess implements LoadPart {
  readonly #child: ChildProcess;
  #resolve: ((answer: RoleAnswer) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  readonly #clock: SystemClock;

  /** @param clock its instant 0 is that of all of them */
  constructor(clock: SystemClock) {
    this.#clock = clock;
    const script = new URL(import.meta.url);
    // The same file beside this one, as source or compiled.
    const worker = fileURLToPath(new URL(script.href.replace('load-processes', 'load-worker')));
    this.#child = fork(worker, [`${clock.startNs}`], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    this.#child.on('message', (message: PartAnswer) => {
      if ('answer' in message) this.#resolve?.(message.answer);
      else this.#reject?.(Object.assign(new Error(message.error.message), message.error));
    });
    this.#child.once('exit', (code) =>
      this.#reject?.(new Error(`A process of the load run ended with ${code}.`)),
    );
  }

  ask(request: RoleRequest): Promise<RoleAnswer> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (this.#child.exitCode !== null) {
        reject(new Error(`A process of the load run ended with ${this.#child.exitCode}.`));
        return;
      }
      this.#child.send(request);
    });
  }

  /** Takes the channel away: a process that holds nothing else ends by itself, within {@link leaveLimitUs} or not at all. */
  leave(): Promise<boolean> {
    return new Promise((resolve) => {
      const limit = this.#clock.after(leaveLimitUs, () => resolve(false));
      this.#child.once('exit', (code) => {
        limit.cancel();
        resolve(code === 0);
      });
      this.#child.send('leave');
    });
  }

  stop(): void {
    this.#resolve = undefined;
    this.#reject = undefined;
    this.#child.kill('SIGKILL');
  }
}
