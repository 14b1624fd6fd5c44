/** The processes between which `explore` shares its seeds. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Explored, Found } from '../exploration/explorer.ts';
import type { Violation } from '../exploration/invariant.ts';

export interface ExploreRequest {
  readonly kind: 'explore' | 'shrink';
  readonly seed: number;
  /** Of a request to shrink: what the smaller schedule must break, too. */
  readonly violation?: Violation;
}

export type ExploreAnswer =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'explored';
      readonly explored: Explored;
      readonly usage: ProcessUsage;
    }
  | { readonly kind: 'shrunk'; readonly found: Found };

export interface ProcessUsage {
  /** Since the process began. */
  readonly cpuMs: number;
  readonly residentBytes: number;
  /** What is still needed, objects and buffers; measured now and then, because garbage is collected for it. */
  readonly memoryBytes?: number;
}

/** One process; asked one thing at a time. */
export class ExploreProcess {
  readonly #child: ChildProcess;
  #resolve: ((answer: ExploreAnswer) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  /** @param folder for recordings, which are removed at once */
  constructor(folder: string) {
    const script = new URL(import.meta.url);
    // The same file beside this one, as source or compiled.
    const worker = fileURLToPath(
      new URL(script.href.replace('explore-processes', 'explore-worker')),
    );
    this.#child = fork(worker, [folder], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      execArgv: [...process.execArgv, '--expose-gc'],
    });
    this.#child.on('message', (answer: ExploreAnswer) => this.#resolve?.(answer));
    this.#child.once('exit', (code) =>
      this.#reject?.(new Error(`A process of the search ended with ${code}.`)),
    );
  }

  /** Resolves when it can be asked. */
  ready(): Promise<ExploreAnswer> {
    return this.#answer();
  }

  ask(request: ExploreRequest): Promise<ExploreAnswer> {
    const answer = this.#answer();
    this.#child.send(request);
    return answer;
  }

  stop(): void {
    this.#reject = undefined;
    this.#child.kill('SIGKILL');
  }

  #answer(): Promise<ExploreAnswer> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }
}
