import type { DialogueOptions } from './dialogue-script.ts';
import { plantFault } from './planted-fault.ts';
import {
  dialogueRegistry,
  echoKitPersonalities,
  platformFaults,
  standInRegistry,
} from './registry.ts';
import type { StandInFault } from './stand-in-changes.ts';
import type { ServiceStandIn, StandIn, StandInOptions } from './stand-in-contract.ts';
import { StandInError } from './stand-in-error.ts';

export type { DialogueOptions, DialogueScript, ScriptedTurn } from './dialogue-script.ts';
export type { FaultReport } from './planted-fault.ts';
export type {
  ServiceOptions,
  ServiceStandIn,
  StandIn,
  StandInOptions,
  StandInRequest,
} from './stand-in-contract.ts';
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

/** Whether no protocol of the platform can express the fault, at this moment or at all. */
export function isImpossibleFault(
  platform: string,
  fault: Pick<StandInFault, 'kind' | 'moment'>,
): boolean {
  const tables = platformFaults[platform] ?? [];
  const planted = { ...fault, afterFraction: 0.5 };
  return tables.length > 0 && tables.every((table) => 'obstacle' in plantFault(planted, table));
}

/** The personality with which a platform's stand-in serves an EchoKit server; undefined: its usual one. */
export function echoKitPersonality(platform: string): string | undefined {
  return echoKitPersonalities[platform];
}

/** A service beside speech that an EchoKit server calls. */
export type DialogueService = keyof typeof dialogueRegistry;

export const dialogueServices = Object.keys(dialogueRegistry) as readonly DialogueService[];

/** The stand-in of a service beside speech, which says what a script says. */
export function createDialogueStandIn(
  service: DialogueService,
  options: DialogueOptions,
): ServiceStandIn {
  return dialogueRegistry[service](options);
}
