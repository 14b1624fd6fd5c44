/** Every decoder that is fuzzed. */
import type { FuzzTarget } from './fuzz-target.ts';
import { consoleBytes, consoleStory, telnetBytes } from './targets/board-lines.ts';
import { clientCommands, connectUrls, serverEvents } from './targets/device-messages.ts';
import {
  baselines,
  bundles,
  tomlPositions,
  traces,
  wavFiles,
  writtenFiles,
} from './targets/files.ts';
import { opusPackets } from './targets/opus-packets.ts';
import {
  answerBodies,
  eventStreams,
  normalizedAudio,
  refusals,
  socketMessages,
  wavStreams,
} from './targets/provider-bytes.ts';
import { serialBodies, serialEndpoint, serialFrames } from './targets/serial-link.ts';

export const fuzzTargets: readonly FuzzTarget[] = [
  serverEvents,
  clientCommands,
  connectUrls,
  serialFrames,
  serialBodies,
  serialEndpoint,
  consoleBytes,
  consoleStory,
  telnetBytes,
  wavStreams,
  eventStreams,
  answerBodies,
  normalizedAudio,
  refusals,
  socketMessages,
  opusPackets,
  tomlPositions,
  writtenFiles,
  traces,
  bundles,
  baselines,
  wavFiles,
];

/** How many of `inputs` each target gets, by its share; at least one. */
export function sharedInputs(
  targets: readonly FuzzTarget[],
  inputs: number,
): Map<FuzzTarget, number> {
  const all = targets.reduce((sum, { share }) => sum + share, 0);
  let shares = 0;
  let given = 0;
  return new Map(
    targets.map((target) => {
      shares += target.share;
      // Each rounds what all up to it get, so that nothing is lost.
      const count = Math.max(1, Math.round((inputs * shares) / all) - given);
      given += count;
      return [target, count];
    }),
  );
}
