/** What the programs that only a checkout has (`npm run soak` and others) share: their help, and options that are checked. */
import { Command, InvalidArgumentError } from 'commander';
import { nearestName } from '../../adapters/nearest-name.ts';
import { exitCode } from './exit-code.ts';

/** @param script name of the script in package.json */
export function checkoutCommand(script: string, description: string): Command {
  return new Command(`npm run ${script} --`)
    .description(description)
    .allowExcessArguments(false)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? exitCode.passed : exitCode.usage));
}

/** For `argParser`: a number from `minimum` to `maximum`, both included. */
export function numberWithin(minimum: number, maximum: number): (written: string) => number {
  return (written) => {
    const number = written.trim() === '' ? Number.NaN : Number(written);
    if (number >= minimum && number <= maximum) return number;
    throw new InvalidArgumentError(`It must be a number from ${minimum} to ${maximum}.`);
  };
}

/** For `argParser`: a whole number from `minimum` to `maximum`, both included. */
export function wholeWithin(minimum: number, maximum: number): (written: string) => number {
  return (written) => {
    const number = Number(written);
    if (/^\d+$/.test(written) && number >= minimum && number <= maximum) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${minimum} to ${maximum}.`);
  };
}

/** For `argParser`: names separated by commas, each one of `known`. */
export function namesOf(known: readonly string[]): (written: string) => string[] {
  return (written) => {
    const names = written.split(',').map((name) => name.trim());
    const unknown = names.find((name) => !known.includes(name));
    if (unknown === undefined) return names;
    const near = nearestName(unknown, known);
    throw new InvalidArgumentError(
      `There is no "${unknown}"; ${near === undefined ? `known: ${known.join(', ')}` : `did you mean "${near}"?`}`,
    );
  };
}
