import { standInRegistry } from './registry.ts';
import type { StandIn, StandInOptions } from './stand-in-contract.ts';

export type { StandIn, StandInOptions, StandInRequest } from './stand-in-contract.ts';

/** Platforms there is a stand-in for, in the spelling of EchoKit's configuration. */
export const standInPlatforms: readonly string[] = Object.keys(standInRegistry);

/** @throws {StandInError} `STAND_IN_UNKNOWN` */
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

export class StandInError extends Error {
  override readonly name = 'StandInError';
  readonly code: 'STAND_IN_UNKNOWN';

  constructor(code: StandInError['code'], message: string) {
    super(message);
    this.code = code;
  }
}
