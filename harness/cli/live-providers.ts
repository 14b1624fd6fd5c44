/** The rules for whoever speaks with real services: `run --live`, `serve --live`, `doctor --live`. */
import { ConfigError } from '../../adapters/index.ts';
import { endpointName } from '../network/laboratory-network.ts';
import type { RunBudget } from '../report/run-report.ts';
import {
  endpointsOf,
  liveBuiltIn,
  type ProviderEntry,
  standInValue,
} from '../runner/provider-catalog.ts';
import { noRequests, RequestBudget, type RequestCount, sumOf } from '../runner/request-budget.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { liveLimits } from './live-limits.ts';
import { findProvider, type ProviderChoice } from './provider-choice.ts';

export interface LiveOptions {
  readonly live?: boolean;
  readonly maxRequests?: number;
  readonly maxCharacters?: number;
}

/** @throws {CommandError} `USAGE` for a limit without `--live`, which would limit nothing */
export function liveBudget(options: LiveOptions): RequestBudget | undefined {
  const { live = false, maxRequests, maxCharacters } = options;
  if (live) {
    return new RequestBudget({
      requests: maxRequests ?? liveLimits.requests,
      characters: maxCharacters ?? liveLimits.characters,
    });
  }
  if (maxRequests === undefined && maxCharacters === undefined) return undefined;
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `${maxRequests === undefined ? '--max-characters' : '--max-requests'} limits what is asked of real services, and without --live none is asked.`,
    'add --live, or leave it out: stand-ins cost nothing',
  );
}

/**
 * The providers for a live command: those named on the command line, else all of `--config`. What
 * nobody has named is never spoken with. Built-in ones take their key from the environment.
 *
 * @throws {CommandError} `USAGE`, `LIVE_STAND_IN_VALUE`
 * @throws {CommandError} `CONFIG_MISSING_KEY` for a built-in provider whose key is nowhere
 */
export function liveProviders(
  choice: ProviderChoice,
  named: readonly string[] | undefined,
): ReadonlyMap<string, ProviderEntry> {
  const names = named ?? choice.configured;
  if (names.length === 0) throw refuseUnnamed([...choice.entries.keys()]);
  return new Map(names.map((name) => [name, liveProvider(choice, name)]));
}

/** Why `--live` does nothing by itself. */
export function refuseUnnamed(names: readonly string[]): CommandError {
  return new CommandError(
    'USAGE',
    exitCode.usage,
    '--live speaks with real services, which costs money, so it only speaks with those that are named. ' +
      'Name them with --provider or --config.',
    `providers: ${names.join(', ')}`,
  );
}

function liveProvider(choice: ProviderChoice, name: string): ProviderEntry {
  const configured = findProvider(choice, name);
  if (!choice.configured.includes(name)) return builtIn(name);
  const value = standInValue(configured);
  if (value === undefined) return configured;
  throw new CommandError(
    'LIVE_STAND_IN_VALUE',
    exitCode.usage,
    `The configuration of "${name}" holds "${value}", which only a stand-in knows; it is not sent to ${endpointName(configured.endpoint)}.`,
    'write your own value there',
  );
}

function builtIn(name: string): ProviderEntry {
  try {
    return liveBuiltIn(name, process.env);
  } catch (error) {
    throw error instanceof ConfigError ? onlyForStandIns(name, error) : error;
  }
}

function onlyForStandIns(name: string, cause: ConfigError): CommandError {
  return new CommandError(
    cause.code,
    exitCode.usage,
    `The built-in provider "${name}" has values that only stand-ins accept. ${cause.message}`,
    'or name a configuration of your own with --config',
    { cause },
  );
}

/**
 * What a person must know before money is spent, as lines.
 *
 * @param needs by provider name: what the plan will ask at most; absent: not known before
 */
export function liveAnnouncement(
  providers: ReadonlyMap<string, ProviderEntry>,
  budget: RequestBudget,
  needs?: ReadonlyMap<string, RequestCount>,
): string[] {
  const rows = [...providers].map(([name, provider]) => {
    const need = needs?.get(name);
    const places = endpointsOf(provider).map(endpointName).join(' and ');
    return [name, places, need === undefined ? '' : counted(need)] as const;
  });
  const width = (column: 0 | 1): number => Math.max(...rows.map((row) => row[column].length));
  const total = needs === undefined ? noRequests : sumOf(needs.values());
  const { limits } = budget;
  const enough = total.requests <= limits.requests && total.characters <= limits.characters;
  return [
    'LIVE: text is sent to real services, which may cost money.',
    ...rows.map(([name, place, need]) =>
      `  ${name.padEnd(width(0))}  ${place.padEnd(width(1))}  ${need}`.trimEnd(),
    ),
    `  limit: ${counted(limits)} (--max-requests, --max-characters)`,
    ...(enough
      ? []
      : [`  All of it would take ${counted(total)}: the run stops when the limit is reached.`]),
  ];
}

/** For a report. */
export function spentOf({ limits, used }: RequestBudget): RunBudget {
  return { maxRequests: limits.requests, maxCharacters: limits.characters, ...used };
}

function counted({ requests, characters }: RequestCount): string {
  return `${requests} request${requests === 1 ? '' : 's'}, ${characters} characters`;
}
