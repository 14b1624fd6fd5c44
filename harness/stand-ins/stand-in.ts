import { standInRegistry } from './registry.ts';
import type { StandIn, StandInOptions } from './stand-in-contract.ts';
import { StandInError } from './stand-in-error.ts';

export type { StandIn, StandInOptions, StandInRequest } from './stand-in-contract.ts';
export { StandInError } from './stand-in-error.ts';

/** Platforms there is a stand-in for, in the spelling of EchoKit's configuration. */
export const standInPlatforms: readonly string[] = Object.keys(standInRegistry);

/** @throws {StandInError} `STAND_IN_UNKNOWN`, `STAND_IN_NO_PERSONALITY` */
export function createStandIn(options: StandInOptions): StandIn {
  const create = Object.hasOwn(standInRegistry, options.platform)
    ? standInRegistry[options.platform]
    : undefined;
  if (create === undefined) {
    throw new StandInError(
      'STAND_IN_UNKNOWN',
      `There is no stand-in for the platform "${options.platform}". Known: ${standInPlatforms.join(', ')}.`,
    );
  }
  return create(options);
}
