/** `run --list`: what a run would hold, and how long it would take. */
import { displayWidth, neutralize, padDisplay } from '../report/terminal-text.ts';
import { estimatedLengthMs } from '../scenario/conversation-length.ts';
import { cellName, type Plan } from '../scenario/plan.ts';
import { recordedLengths } from './recorded-lengths.ts';
import type { Terminal } from './terminal.ts';

export interface ListOptions {
  /** Folder of earlier runs, whose recordings tell how long a conversation is. */
  readonly out: string;
  readonly json?: boolean;
}

/** Raise it when a field changes its meaning or goes away. */
const listSchemaVersion = 1;

interface ListedCell {
  readonly cell: string;
  readonly scenario: string;
  readonly file: string;
  readonly title: string;
  readonly tags: readonly string[];
  readonly provider: string;
  readonly device: string;
  readonly network: string;
  readonly server: string;
  /** Length of the conversation on its own clock. */
  readonly lengthMs: number;
  /** Its last recording, or its script. */
  readonly lengthFrom: 'recording' | 'script';
}

export function listRun(terminal: Terminal, plan: Plan, { out, json = false }: ListOptions): void {
  const cells = listedCells(plan, out);
  const totalMs = cells.reduce((sum, { lengthMs }) => sum + lengthMs, 0);
  const notRun = plan.skipped.map(({ cell, reason }) => ({ cell: cellName(cell), reason }));
  if (json) {
    const { seed, time } = plan;
    const document = { schemaVersion: listSchemaVersion, seed, time, totalMs, cells, notRun };
    terminal.print(JSON.stringify(document, null, 2));
    return;
  }
  const label = Math.max(...cells.map(({ cell }) => displayWidth(neutralize(cell))));
  for (const { cell, lengthMs, tags } of cells) {
    const length = `${Math.max(1, Math.round(lengthMs / 1000))} s`.padStart(7);
    const tagged = tags.length === 0 ? '' : `  ${neutralize(tags.join(', '))}`;
    terminal.print(`${padDisplay(neutralize(cell), label)} ${length}${tagged}`);
  }
  const one = cells.length === 1;
  terminal.say(
    `\n${cells.length} ${one ? 'conversation' : 'conversations'}, about ${words(totalMs)} on ${one ? 'its' : 'their'} own clock` +
      `${plan.time === 'virtual' ? '; virtual time passes many times as fast' : ''}. ${lengthsFrom(cells)}`,
  );
  for (const { cell, reason } of notRun) terminal.say(`Not run: ${cell}: ${reason}`);
}

function lengthsFrom(cells: readonly ListedCell[]): string {
  const recorded = cells.filter(({ lengthFrom }) => lengthFrom === 'recording').length;
  const one = cells.length === 1;
  if (recorded === 0) return `The ${one ? 'length is' : 'lengths are'} guessed from the scripts.`;
  if (recorded < cells.length) {
    return `${recorded} of the lengths ${recorded === 1 ? 'is of an earlier recording' : 'are of earlier recordings'}, the others guessed from the scripts.`;
  }
  return one ? 'The length is of an earlier recording.' : 'The lengths are of earlier recordings.';
}

function listedCells(plan: Plan, out: string): ListedCell[] {
  const recorded = recordedLengths(out, plan.cells.map(cellName));
  return plan.cells.map((cell) => {
    const { scenario, provider, device, network, server } = cell;
    const known = recorded.get(cellName(cell));
    return {
      cell: cellName(cell),
      scenario: scenario.name,
      file: scenario.file,
      title: scenario.title,
      tags: scenario.tags,
      provider,
      device,
      network,
      server,
      lengthMs: known ?? estimatedLengthMs(scenario),
      lengthFrom: known === undefined ? 'script' : 'recording',
    };
  });
}

function words(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
