import type { SystemClock } from '../clock/system-clock.ts';
import type { Laboratory } from '../runner/laboratory.ts';
import type { ProviderEntry } from '../runner/provider-catalog.ts';
import type { ScenarioCatalog } from '../scenario/load.ts';
import type { Scenario } from '../scenario/scenario.ts';
import type { Figure } from './figure.ts';
import type { SessionProcess } from './session-process.ts';

/** What a part measures with. */
export interface BenchMeans {
  readonly clock: SystemClock;
  /** Measures longer and surer: what `--full` asks for. */
  readonly full: boolean;
  /** Aborts when the bench is given up; a part then throws or returns what it has. */
  readonly signal: AbortSignal;
  readonly providers: ReadonlyMap<string, ProviderEntry>;
  readonly catalog: ScenarioCatalog;
  /** Shipped scenarios by their names. */
  scenarios(...names: readonly string[]): Scenario[];
  /** With the user's cache; opened once for all parts. */
  laboratory(): Promise<Laboratory>;
  /** Arguments of `node` that start this program, without its own. */
  readonly program: readonly string[];
  /** Where `package.json` is. */
  readonly packageFolder: string;
  /** What `report` does with a run, its text thrown away. */
  writeReport(run: string, files: { readonly json: string; readonly html?: string }): Promise<void>;
  /** A process that can be a provider, a server or boards; whoever opens it stops it. */
  openProcess(): SessionProcess;
  /** Remarks while it measures. */
  say(text: string): void;
}

/** One thing that `bench` measures; a line of `bench-parts.ts`. */
export interface BenchPart {
  readonly name: string;
  /** What is measured, in one line. */
  readonly about: string;
  /** About how long it takes on an idle machine, in seconds. */
  readonly seconds: number;
  /** Also without `--only`; absent: yes. */
  readonly always?: false;
  /** Loads what measures it, when it is asked for. */
  load(): Promise<BenchMeasurement>;
}

export interface BenchMeasurement {
  /** Why it cannot be measured on this machine; undefined: it can. */
  missing?(means: BenchMeans): Promise<string | undefined>;
  measure(means: BenchMeans): Promise<readonly Figure[]>;
}
