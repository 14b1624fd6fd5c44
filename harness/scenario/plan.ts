import type { Scenario } from './scenario.ts';

/** Everything a run does, decided before it starts. Pure data; written into the manifest. */
export interface Plan {
  readonly seed: number;
  readonly time: 'virtual' | 'real';
  readonly cells: readonly Cell[];
}

/** One conversation: a scenario with one provider, one board and one network. */
export interface Cell {
  readonly scenario: Scenario;
  /** Name of a provider entry, for example `openai-stream`. */
  readonly provider: string;
  readonly device: string;
  readonly network: string;
  /** Derived from the plan's seed and the scenario's name only, so that cells are comparable. */
  readonly seed: number;
}

/** File-name safe: `one-question--elevenlabs--diy--good-wifi`. */
export function cellName(cell: Cell): string {
  return [cell.scenario.name, cell.provider, cell.device, cell.network].join('--');
}
