/**
 * Which blocks of the program's code have run, from V8's precise coverage: the feedback by which inputs are kept, and
 * the figure that says how far the inputs get.
 */
import { Session } from 'node:inspector';

interface CoverageRange {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

interface ScriptCoverage {
  readonly url: string;
  readonly functions: readonly {
    readonly isBlockCoverage: boolean;
    readonly ranges: readonly CoverageRange[];
  }[];
}

/** By function, where what had never run begins. */
export type NewCode = Map<string, number[]>;

/** One function: which of its characters have run, and where its blocks begin. */
interface KnownFunction {
  readonly ran: Uint8Array;
  readonly blocks: Set<number>;
}

/** Ours, but neither what feeds the decoders nor what stands for time, chance and wires below them. */
const counted =
  /\/(?:adapters|firmware-protocol|harness\/(?!fuzzing\/|random\/|clock\/|network\/))/;

export class BlockCoverage {
  readonly #session = new Session();
  readonly #functions = new Map<string, KnownFunction>();
  readonly #only: RegExp;

  /** Starts counting; what ran before is not seen. One at a time in a process. */
  constructor(only: RegExp = counted) {
    this.#only = only;
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /**
   * Takes what has run since the last call.
   *
   * @returns what of it had never run before; undefined: nothing
   */
  take(): NewCode | undefined {
    const found: NewCode = new Map();
    for (const [name, ran, starts] of this.#ran()) {
      let known = this.#functions.get(name);
      if (known === undefined) {
        known = { ran: new Uint8Array(ran.length), blocks: new Set() };
        this.#functions.set(name, known);
      }
      for (const start of starts) known.blocks.add(start);
      const places: number[] = [];
      for (let at = 0; at < ran.length; at++) {
        if (ran[at] === 0 || known.ran[at] === 1) continue;
        if (at === 0 || places.length === 0 || known.ran[at - 1] === 1 || ran[at - 1] === 0) {
          places.push(at);
        }
        known.ran[at] = 1;
      }
      if (places.length > 0) found.set(name, places);
    }
    return found.size > 0 ? found : undefined;
  }

  /**
   * Takes what has run since the last call and removes it from `code`.
   *
   * @returns whether there was any of it
   */
  takeFrom(code: NewCode): boolean {
    let reached = false;
    for (const [name, ran] of this.#ran()) {
      const places = code.get(name);
      if (places === undefined) continue;
      const left = places.filter((at) => ran[at] === 0);
      if (left.length < places.length) reached = true;
      if (left.length > 0) code.set(name, left);
      else code.delete(name);
    }
    return reached;
  }

  /** Blocks that have run, of all in the functions that have. */
  get blocks(): { readonly reached: number; readonly known: number } {
    let reached = 0;
    let known = 0;
    for (const { ran, blocks } of this.#functions.values()) {
      known += blocks.size;
      for (const at of blocks) reached += ran[at]!;
    }
    return { reached, known };
  }

  stop(): void {
    this.#post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
  }

  /** Of every function that has run: its name, which of its characters have, and where its blocks begin. */
  *#ran(): Generator<readonly [name: string, ran: Uint8Array, starts: readonly number[]]> {
    const { result } = this.#post('Profiler.takePreciseCoverage') as {
      readonly result: readonly ScriptCoverage[];
    };
    for (const { url, functions } of result) {
      if (!this.#only.test(url) || url.includes('/node_modules/')) continue;
      for (const { ranges } of functions) {
        const [whole] = ranges;
        if (whole === undefined || whole.count === 0) continue;
        const ran = new Uint8Array(whole.endOffset - whole.startOffset);
        // Inner ranges come behind those around them: the last one that is painted counts.
        for (const { startOffset, endOffset, count } of ranges) {
          ran.fill(
            count > 0 ? 1 : 0,
            startOffset - whole.startOffset,
            endOffset - whole.startOffset,
          );
        }
        const starts = ranges.map(({ startOffset }) => startOffset - whole.startOffset);
        yield [`${url}:${whole.startOffset}`, ran, starts];
      }
    }
  }

  /** The inspector of the own thread answers within the call. */
  #post(method: string, parameters?: object): unknown {
    let answer: unknown;
    let failure: Error | null = null;
    this.#session.post(method, parameters, (error, result) => {
      failure = error;
      answer = result;
    });
    if (failure !== null) throw failure;
    return answer;
  }
}
