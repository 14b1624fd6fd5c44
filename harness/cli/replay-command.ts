import { join, relative } from 'node:path';
import { nearestName } from '../../adapters/nearest-name.ts';
import { type DeviceProfile, deviceProfiles } from '../device/device-profile.ts';
import { networkNames } from '../network/network-profile.ts';
import { readBoardProfile } from '../runner/board-profile-file.ts';
import { openReplayables, recordedMeans, replayPlan } from '../runner/recorded-run.ts';
import type { CellResult } from '../runner/run-plan.ts';
import { changedConversation, changesNothing, type WhatIf } from '../runner/what-if.ts';
import type { PacketLengthMs } from '../server/deviation-items.ts';
import { carryOut, type ShownRunOptions } from './carried-run.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { chooseProviders } from './provider-choice.ts';
import { type RunFolder, withRunFolder } from './recorded-run-folder.ts';
import { askRecordings } from './recording-questions.ts';
import { scenarioCatalog } from './scenario-files.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface ReplayCommandOptions extends ShownRunOptions {
  /** Default: `virtual`. */
  readonly time?: 'virtual' | 'real';
  /** What if it had been another board (a name, or a profile in a file) … */
  readonly device?: string;
  /** … another network … */
  readonly network?: string;
  /** … a player that queues so many ms of a sentence before it begins it … */
  readonly prebuffer?: number;
  /** … Opus packets of another length in ms? */
  readonly opusFrame?: PacketLengthMs;
  /** Find out whose fault each underrun was. */
  readonly blame?: boolean;
  /** Show what each prebuffer would have changed. */
  readonly prebufferCurve?: boolean;
}

/**
 * `replay`: holds a recorded conversation again, with the recording in the place of the provider, or asks it questions
 * for which nothing has to be run. Returns the exit code.
 *
 * @param path folder of a recording or of a run, or a bundle
 */
export async function replayCommand(
  terminal: Terminal,
  path: string,
  options: ReplayCommandOptions,
): Promise<number> {
  const { blame = false, prebufferCurve = false } = options;
  const change = whatIf(options);
  const changed = !changesNothing(change);
  if (prebufferCurve && changed) {
    throw usage(
      '--prebuffer-curve asks a recording as it is, and something is to be changed here.',
      'replay it with the changes first, then ask the recording of that replay for its curve',
    );
  }
  return await withRunFolder(path, async (run) => {
    if (prebufferCurve || (blame && !changed)) {
      const questions = { blame, prebufferCurve, json: options.json === true };
      return askRecordings(terminal, run, questions);
    }
    return await replayRun(terminal, run, change, options);
  });
}

async function replayRun(
  terminal: Terminal,
  run: RunFolder,
  change: WhatIf,
  options: ReplayCommandOptions,
): Promise<number> {
  const { time = 'virtual' } = options;
  const changed = !changesNothing(change);
  const catalog = scenarioCatalog([...chooseProviders(terminal).entries.keys()]);
  const conversations = openReplayables(run.path, catalog).map((one) =>
    changedConversation(one, change),
  );
  const plan = replayPlan(conversations, time);
  const say = options.quiet === true ? () => {} : (text: string) => terminal.say(text);
  say(
    `${conversations.length} recorded ${conversations.length === 1 ? 'conversation' : 'conversations'}, ` +
      `${time} time, the provider is the recording${changed ? `; what if: ${words(change)}` : ''}`,
  );
  return await carryOut(terminal, plan, {
    ...options,
    signal: interruptSignal(terminal, 'the recording of this conversation is being finished.'),
    ...recordedMeans(conversations),
    whatIf: changed,
    nextSteps: (results, folder) => nextSteps(results, folder),
  });
}

function whatIf({ device, network, prebuffer, opusFrame }: ReplayCommandOptions): WhatIf {
  if (network !== undefined) checkName('network', network, networkNames);
  return {
    ...(device !== undefined && { device: profileNamed(device) }),
    ...(network !== undefined && { network }),
    ...(prebuffer !== undefined && { prebufferMs: prebuffer }),
    ...(opusFrame !== undefined && { opusFrameMs: opusFrame }),
  };
}

function profileNamed(name: string): DeviceProfile {
  if (name.endsWith('.toml')) return readBoardProfile(name);
  checkName('board', name, Object.keys(deviceProfiles));
  return deviceProfiles[name]!;
}

function checkName(kind: string, name: string, valid: readonly string[]): void {
  if (valid.includes(name)) return;
  const meant = nearestName(name, valid);
  const advice = meant === undefined ? '' : ` Did you mean "${meant}"?`;
  throw usage(`There is no ${kind} "${name}".${advice}`, `choose one of ${valid.join(', ')}`);
}

function usage(message: string, hint: string): CommandError {
  return new CommandError('USAGE', exitCode.usage, message, hint);
}

function words({ device, network, prebufferMs, opusFrameMs }: WhatIf): string {
  return [
    ...(device === undefined ? [] : [`board ${device.name}`]),
    ...(network === undefined ? [] : [`network ${network}`]),
    ...(prebufferMs === undefined ? [] : [`prebuffer ${prebufferMs} ms`]),
    ...(opusFrameMs === undefined ? [] : [`packets of ${opusFrameMs} ms`]),
  ].join(', ');
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
