/** A recorded conversation held again in virtual time, and whether it has left the same bytes. */
import type { ManifestEnvironment, RecordingManifest } from '../trace/manifest.ts';
import { recordedFiles } from '../trace/recorded-files.ts';
import type { Laboratory } from './laboratory.ts';
import { type ReplayableConversation, recordedMeans, replayPlan } from './recorded-run.ts';
import { type CellResult, runPlan } from './run-plan.ts';

export interface RepeatOptions {
  readonly laboratory: Laboratory;
  /** Gets the recording, as `cells/<cell>`. */
  readonly folder: string;
  readonly environment: ManifestEnvironment;
  readonly signal: AbortSignal;
}

/**
 * Whether the provider has to be the recording: a real one was asked, or a recording was, or the instants were those
 * of this world. Otherwise its stand-in speaks again.
 */
export function speaksFromRecording({ header }: ReplayableConversation): boolean {
  return header.live !== undefined || header.replay !== undefined || header.time === 'real';
}

export async function repeatConversation(
  conversation: ReplayableConversation,
  { laboratory, folder, environment, signal }: RepeatOptions,
): Promise<CellResult> {
  const { recorded, source, ...means } = recordedMeans([conversation]);
  const [result] = await runPlan({
    plan: replayPlan([conversation], 'virtual'),
    ...means,
    ...(speaksFromRecording(conversation) && { recorded, source }),
    whatIf: conversation.header.replay === 'what-if',
    laboratory,
    folder,
    signal,
    environment,
  });
  return result!;
}

/** SHA-256 of every file but the manifest, which has the facts of the wall clock; by path within the recording. */
export function recordedSums(folder: string): Readonly<Record<string, string>> {
  return Object.fromEntries(recordedFiles(folder).map(({ name, sha256 }) => [name, sha256]));
}

/** Something that decides how a run goes, and is not as it was. */
export interface InputDifference {
  readonly input: string;
  readonly expected: string;
  readonly got: string;
}

/** In the order in which a person would suspect them. */
const suspects: readonly (readonly [string, (manifest: RecordingManifest) => unknown])[] = [
  ['version', ({ environment }) => environment.version],
  ['program', ({ environment }) => environment.program],
  ['node', ({ environment }) => environment.node],
  ['voice', ({ environment }) => environment.voice],
  ['opus', ({ environment }) => environment.opus],
  ['scenario', ({ inputs }) => inputs?.scenario],
  ['provider', ({ inputs }) => inputs?.provider],
  ['personality', ({ inputs }) => inputs?.personality],
  ['profile', ({ inputs }) => inputs?.board],
  ['network', ({ inputs }) => inputs?.network],
  ['seed', ({ plan }) => plan.seed],
  ['server', ({ plan }) => plan.server],
];

/** What the two manifests say differently. What one of them does not say is not known to differ. */
export function inputDifferences(
  before: RecordingManifest,
  now: RecordingManifest,
): InputDifference[] {
  return suspects.flatMap(([input, read]) => {
    const [expected, got] = [read(before), read(now)];
    if (expected === undefined || got === undefined || expected === got) return [];
    return [{ input, expected: String(expected), got: String(got) }];
  });
}

/** A file of a recording that is not the same any more, and where a text begins to differ. */
export interface FileDifference {
  readonly file: string;
  readonly text: string;
}

export function fileDifferences(
  expected: Readonly<Record<string, string>>,
  now: Readonly<Record<string, string>>,
): FileDifference[] {
  const names = [...new Set([...Object.keys(expected), ...Object.keys(now)])].sort();
  return names.flatMap((file): FileDifference[] => {
    if (expected[file] === now[file]) return [];
    if (now[file] === undefined) return [{ file, text: 'is not there any more' }];
    if (expected[file] === undefined) return [{ file, text: 'was not there' }];
    return [{ file, text: 'has other bytes' }];
  });
}

/** So much of a line is shown. */
const lineCharactersMax = 200;

/** The first line in which two traces part. */
export function firstDifferentLine(before: string, now: string): string {
  const [a, b] = [before.split('\n'), now.split('\n')];
  const at = a.findIndex((line, i) => line !== b[i]);
  if (at < 0) return `line ${a.length + 1}: there is more now`;
  const cut = (line = '(nothing)'): string =>
    line.length > lineCharactersMax ? `${line.slice(0, lineCharactersMax)}…` : line;
  return `line ${at + 1}\n  expected ${cut(a[at])}\n  got      ${cut(b[at])}`;
}
