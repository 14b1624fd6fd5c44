/** `run --replay --live --refresh`: a conversation that is not its recording any more is recorded anew, all of it. */
import { join, relative } from 'node:path';
import { wallClockIso } from '../clock/system-clock.ts';
import type { RecordedTraffic } from '../replay/recorded-exchange.ts';
import type { ProviderEntry } from '../runner/provider-catalog.ts';
import { type RehearsalDifference, type RehearsalOptions, rehearse } from '../runner/rehearsal.ts';
import type { CellResult } from '../runner/run-plan.ts';
import type { Plan } from '../scenario/plan.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { liveProviders } from './live-providers.ts';
import { programEnvironment } from './program-environment.ts';
import type { ProviderChoice } from './provider-choice.ts';
import type { Terminal } from './terminal.ts';

/**
 * The real service that is asked when something differs: of `--config` the one that has the name of the recorded
 * provider, or the only one.
 *
 * @param named by `--provider`
 * @throws {CommandError} `USAGE` when several could be meant, and those of {@link liveProviders}
 */
export function refreshedProvider(
  choice: ProviderChoice,
  named: readonly string[] | undefined,
  recorded: string,
): ProviderEntry {
  const { configured } = choice;
  const names = named ?? (configured.includes(recorded) ? [recorded] : configured);
  const [entry, another] = liveProviders(choice, names).values();
  if (entry !== undefined && another === undefined) return entry;
  throw usage(
    `A recording has one provider, and there are several: ${names.join(', ')}.`,
    'name one with --provider',
  );
}

export interface DifferencesOptions
  extends Pick<RehearsalOptions, 'providers' | 'devices' | 'secrets' | 'signal'> {
  readonly terminal: Terminal;
  readonly version: string;
}

/**
 * How the conversation of the plan differs from the recording; nothing is sent to find out.
 *
 * @throws {CommandError} `USAGE` when the plan has more than one conversation
 */
export async function differencesFrom(
  traffic: RecordedTraffic,
  { cells }: Plan,
  { terminal, version, ...means }: DifferencesOptions,
): Promise<RehearsalDifference[]> {
  const [cell, ...others] = cells;
  if (cell === undefined || others.length > 0) {
    throw usage(
      `--refresh records one conversation anew, and this would be ${cells.length}.`,
      'name one scenario, board, network and server',
    );
  }
  return rehearse({
    ...means,
    cell,
    traffic,
    laboratory: await openCommandLaboratory(terminal),
    environment: { ...programEnvironment(version), startedAt: wallClockIso() },
  });
}

/** Who answers which requests, and why, for a person. */
export function refreshLines(
  differences: readonly RehearsalDifference[],
  scenario: string,
  { exchanges }: RecordedTraffic,
): string[] {
  if (differences.length === 0) {
    const all = exchanges.length === 1 ? 'the one request' : `all ${exchanges.length} requests`;
    return [`Nothing differs: the recording of ${scenario} answers ${all}, and nothing is sent.`];
  }
  return [
    `The conversation is not the recording of ${scenario} any more:`,
    ...differences.map(({ code, message }) => `  ${code}: ${message}`),
    'All of it is recorded anew: the real service answers every request, the recording none.',
  ];
}

/** Lines below the report. */
export function replaySteps(results: readonly CellResult[], folder: string): string[] {
  const run = relative('.', folder) || folder;
  return results.map(
    ({ recording }) => `replay it:            npm run -s harness -- replay ${join(run, recording)}`,
  );
}

function usage(message: string, hint: string): CommandError {
  return new CommandError('USAGE', exitCode.usage, message, hint);
}
