import { join, relative } from 'node:path';
import { openReplayables, recordedMeans, replayPlan } from '../runner/recorded-run.ts';
import type { CellResult } from '../runner/run-plan.ts';
import { carryOut, type ShownRunOptions } from './carried-run.ts';
import { chooseProviders } from './provider-choice.ts';
import { scenarioCatalog } from './scenario-files.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface ReplayCommandOptions extends ShownRunOptions {
  /** Default: `virtual`. */
  readonly time?: 'virtual' | 'real';
}

/**
 * `replay`: holds a recorded conversation again, with the recording in the place of the provider. Returns the exit
 * code.
 *
 * @param path folder of a recording or of a run
 */
export async function replayCommand(
  terminal: Terminal,
  path: string,
  options: ReplayCommandOptions,
): Promise<number> {
  const { time = 'virtual' } = options;
  const catalog = scenarioCatalog([...chooseProviders(terminal).entries.keys()]);
  const conversations = openReplayables(path, catalog);
  const plan = replayPlan(conversations, time);
  const say = options.quiet === true ? () => {} : (text: string) => terminal.say(text);
  say(
    `${conversations.length} recorded ${conversations.length === 1 ? 'conversation' : 'conversations'}, ` +
      `${time} time, the provider is the recording`,
  );
  return await carryOut(terminal, plan, {
    ...options,
    signal: interruptSignal(terminal, 'the recording of this conversation is being finished.'),
    seed: plan.seed,
    ...recordedMeans(conversations),
    nextSteps: (results, folder) => nextSteps(results, folder),
  });
}

function nextSteps(results: readonly CellResult[], folder: string): string[] {
  const worst = results.find(({ verdict }) => verdict.outcome !== 'pass') ?? results.at(-1);
  if (worst === undefined) return [];
  const recording = join(relative('.', folder) || folder, worst.recording);
  return [
    `listen to a board:    ${join(recording, 'speaker.wav')}`,
    `see what happened:    ${join(recording, 'trace.jsonl')}`,
  ];
}
