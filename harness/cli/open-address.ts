import { isLoopback } from '../network/endpoint-url.ts';
import { tokenProblem } from '../server/access-token.ts';
import { CommandError, exitCode } from './exit-code.ts';

/** The token of `serve`; what stands in a variable is in no list of processes. */
export const tokenVariable = 'ECHOKIT_HARNESS_TOKEN';

/** What to say of an address that other machines reach; nothing when only this one does. */
export function openAddressWarning(host: string, what: string): string | undefined {
  if (isLoopback(host)) return undefined;
  const where =
    host === '0.0.0.0' || host === '::'
      ? 'every network of this machine'
      : `the network of ${host}`;
  return `Warning: ${what} can be reached from ${where}.`;
}

/**
 * The token that callers must show: of the option, else of the environment.
 *
 * @throws {CommandError} `USAGE`
 */
export function chosenToken(option: string | undefined): string | undefined {
  const token = option ?? process.env[tokenVariable];
  if (token === undefined || (option === undefined && token === '')) return undefined;
  const problem = tokenProblem(token);
  if (problem === undefined) return token;
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `${option === undefined ? tokenVariable : '--token'}: ${problem}`,
    'make one with: openssl rand -hex 16',
  );
}
