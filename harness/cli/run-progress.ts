/** What a run says while it goes on: a line for each conversation, a bar where lines can be rewritten, events when asked. */

import { neutralize } from '../report/terminal-text.ts';
import type { CellResult, EarlierTry } from '../runner/run-plan.ts';
import type { Cell, Plan } from '../scenario/plan.ts';
import type { TraceEvent } from '../trace/trace-event.ts';
import type { Terminal } from './terminal.ts';

export interface ProgressOptions {
  /** Says nothing at all. */
  readonly quiet?: boolean;
  /** Says every event of a conversation when it happens, but not those of single packets. */
  readonly verbose?: boolean;
  /** A real board needs preparing, and that is said. */
  readonly onBoard?: boolean;
  /** Microseconds since the start of the run. */
  readonly nowUs: () => number;
}

/** There are hundreds of each in every answer. */
const perPacket: ReadonlySet<string> = new Set([
  'device upload',
  'device frameReceived',
  'device frameHandled',
  'server uplink',
  'server frame',
  'server framed',
  'provider chunk',
  'harness lag',
]);

export class RunProgress {
  readonly #terminal: Terminal;
  readonly #plan: Plan;
  readonly #options: ProgressOptions;
  #done = 0;
  #failed = 0;

  constructor(terminal: Terminal, plan: Plan, options: ProgressOptions) {
    this.#terminal = terminal;
    this.#plan = plan;
    this.#options = options;
  }

  /** A conversation begins, perhaps once more. */
  began(cell: Cell, index: number, earlier: readonly EarlierTry[] = []): void {
    const { quiet, onBoard } = this.#options;
    if (quiet === true) return;
    const last = earlier.at(-1);
    if (last !== undefined) {
      const codes = last.verdict.failures.filter(({ expected }) => !expected);
      this.#terminal.say(
        `${this.#place(index)} ${this.#words(cell)}: could not be judged ` +
          `(${codes.map(({ code }) => neutralize(code)).join(', ')}); try ${earlier.length + 1} with the same inputs`,
      );
    }
    if (onBoard === true) {
      this.#terminal.say(`${this.#place(index)} ${cellWords(cell)}: preparing`);
    } else if (this.#options.verbose === true) {
      this.#terminal.say(`${this.#place(index)} ${this.#words(cell)}`);
    }
    this.#terminal.status?.(this.#bar(cell));
  }

  ended(result: CellResult, index: number): void {
    this.#done = index + 1;
    const passed = result.verdict.outcome === 'pass';
    if (!passed) this.#failed++;
    const { quiet, verbose } = this.#options;
    if (quiet === true) return;
    // Where there is a bar, what passed needs no line.
    if (passed && this.#terminal.status !== undefined && verbose !== true) return;
    const seconds = (result.durationUs / 1_000_000).toFixed(1);
    const { outcome } = result.verdict;
    const tries =
      result.earlierTries === undefined ? '' : ` in try ${result.earlierTries.length + 1}`;
    this.#terminal.say(
      `${this.#place(index)} ${this.#words(result.cell)}: ${outcome}${tries} (${seconds} s of conversation)`,
    );
  }

  event(event: TraceEvent): void {
    const { quiet, verbose } = this.#options;
    if (quiet === true || verbose !== true || perPacket.has(`${event.source} ${event.type}`))
      return;
    this.#terminal.say(eventLine(event));
  }

  /** Nothing is left on the screen but what was said. */
  over(): void {
    this.#terminal.status?.('');
  }

  #place(index: number): string {
    const of = this.#plan.cells.length;
    return `[${`${index + 1}`.padStart(`${of}`.length)}/${of}]`;
  }

  /** Board and network are named when the run has several. */
  #words(cell: Cell): string {
    const { cells } = this.#plan;
    const apart = (['device', 'network'] as const).flatMap((key) =>
      cells.every((other) => other[key] === cells[0]?.[key]) ? [] : [cell[key]],
    );
    return [cellWords(cell), ...apart].join(' · ');
  }

  #bar(cell: Cell): string {
    const of = this.#plan.cells.length;
    const filled = Math.floor((barWidth * this.#done) / of);
    const bar = `[${'#'.repeat(filled)}${'-'.repeat(barWidth - filled)}]`;
    const failed = this.#failed === 0 ? '' : `, ${this.#failed} not passed`;
    return `${bar} ${this.#done}/${of}${failed}${this.#timeLeft(of)}  ${this.#words(cell)}`;
  }

  /** From the pace so far; nothing is promised before the third conversation. */
  #timeLeft(of: number): string {
    if (this.#done < 2) return '';
    const seconds = (this.#options.nowUs() / 1_000_000 / this.#done) * (of - this.#done);
    if (seconds < 1) return '';
    return `, about ${seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`} left`;
  }
}

const barWidth = 24;

function cellWords({ scenario, provider, server }: Cell): string {
  const model = server === 'harness' || server === 'external' ? '' : ` × ${server}`;
  return `${scenario.name} × ${provider}${model}`;
}

/** `   2.413 s  device   state  from=Listening to=Waiting`. */
export function eventLine({ seq: _, source, type, atUs, ...fields }: TraceEvent): string {
  const values = Object.entries(fields).map(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const quoted =
      typeof value === 'string' && /[\s"]|^$/.test(value) ? JSON.stringify(value) : text;
    return `${name}=${clipped(neutralize(quoted ?? ''))}`;
  });
  const seconds = (atUs / 1_000_000).toFixed(3).padStart(8);
  return [`${seconds} s  ${source.padEnd(8)} ${type}`, ...values].join(' ');
}

/** Of a value of an event, on the line that shows it. */
const valueCharactersMax = 120;

function clipped(text: string): string {
  const characters = [...text];
  return characters.length <= valueCharactersMax
    ? text
    : `${characters.slice(0, valueCharactersMax - 1).join('')}…`;
}
