/** What goes into a bundle of a run, and what must not. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { BundleError, type BundleFiles } from '../bundle/bundle-file.ts';
import { filesOf } from '../bundle/bundle-folder.ts';
import type { Laboratory } from '../runner/laboratory.ts';
import { earlierTryFolders, openReplayables, recordingFolders } from '../runner/recorded-run.ts';
import { recordedSums, repeatConversation, speaksFromRecording } from '../runner/repeated-run.ts';
import type { ScenarioCatalog } from '../scenario/load.ts';
import { RecordingError } from '../trace/recording-error.ts';
import { SecretMask } from '../trace/secret-mask.ts';
import { programEnvironment } from './program-environment.ts';
import { recordedReport } from './recorded-report.ts';

/** Where a bundle says what a repetition has to give. */
export const repetitionFile = 'repetition.json';
/** Where a golden recording says why it is one. */
export const goldenFile = 'golden.json';

/** By cell: SHA-256 of each file that a repetition leaves. Absent: the files of the recording itself. */
export type Repetition = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface BundledRun {
  readonly files: BundleFiles;
  readonly notes: readonly string[];
  /** How many of its recordings can be held again from the bundle. */
  readonly repeatable: number;
}

export interface BundlingMeans {
  readonly catalog: ScenarioCatalog;
  readonly version: string;
  readonly signal: AbortSignal;
  /** Called when a conversation has to be held again. */
  laboratory(): Promise<Laboratory>;
}

/**
 * A run as it is put into a bundle: its recordings under `cells/`, the report that they make, and what a repetition
 * gives where that is not the recording itself.
 *
 * @param path folder of a run or of one recording
 * @throws {BundleError} `BUNDLE_SECRET`
 * @throws {RecordingError} when there is none
 */
export async function bundledRun(path: string, means: BundlingMeans): Promise<BundledRun> {
  const folders = recordingFolders(path);
  const files = new Map<string, Uint8Array>();
  for (const folder of folders.flatMap((one) => [...earlierTryFolders(one), one])) {
    for (const [name, content] of filesOf(folder, `cells/${basename(folder)}/`)) {
      files.set(name, content);
    }
  }
  checkSecrets(files);
  const { report, notes } = recordedReport(path, means.catalog);
  const { cells } = report;
  const named = {
    ...report,
    cells: cells.map((cell, index) => ({
      ...cell,
      recording: `cells/${basename(folders[index]!)}`,
      ...(cell.earlierTries !== undefined && {
        earlierTries: cell.earlierTries.map((one) => ({
          ...one,
          recording: `cells/${basename(one.recording)}`,
        })),
      }),
    })),
  };
  files.set('report.json', Buffer.from(`${JSON.stringify(named, null, 2)}\n`));
  const unrepeatable: string[] = [];
  const repetition = await repetitionOf(folders, means, unrepeatable);
  if (Object.keys(repetition).length > 0) {
    files.set(repetitionFile, Buffer.from(`${JSON.stringify(repetition, null, 1)}\n`));
  }
  const repeatable = folders.length - unrepeatable.length;
  return { files, notes: [...notes, ...unrepeatable], repeatable };
}

/** What was recorded in real time cannot be repeated to the byte; held again from the recording, it can. */
async function repetitionOf(
  folders: readonly string[],
  { catalog, laboratory, version, signal }: BundlingMeans,
  notes: string[],
): Promise<Repetition> {
  const sums: Record<string, Record<string, string>> = {};
  for (const folder of folders) {
    try {
      const [conversation] = openReplayables(folder, catalog);
      if (conversation!.header.time === 'virtual' || !speaksFromRecording(conversation!)) continue;
      const scratch = mkdtempSync(join(tmpdir(), 'echokit-repetition-'));
      try {
        const environment = programEnvironment(version);
        const held = { laboratory: await laboratory(), folder: scratch, environment, signal };
        const { recording } = await repeatConversation(conversation!, held);
        sums[basename(folder)] = { ...recordedSums(join(scratch, recording)) };
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    } catch (error) {
      if (!(error instanceof RecordingError)) throw error;
      notes.push(`${folder} cannot be held again from the bundle. ${error.message}`);
    }
  }
  return sums;
}

/**
 * What is known of credentials was replaced when it was recorded. This looks once more, for what stands in fields that
 * carry them: a recording of an older version, or one that somebody has changed.
 */
export function checkSecrets(files: BundleFiles): void {
  for (const [path, content] of files) {
    if (path.endsWith('.wav')) continue;
    let same = true;
    let at = 0;
    const stream = new SecretMask([]).wire((bytes) => {
      same &&= Buffer.from(bytes).equals(content.subarray(at, at + bytes.length));
      at += bytes.length;
    });
    stream.push(content);
    stream.end();
    if (same) continue;
    throw new BundleError(
      'BUNDLE_SECRET',
      `${path} holds what looks like a credential, in a field such as Authorization or "api_key".`,
      'Record it again with this version, which replaces credentials, or replace it in the file.',
    );
  }
}

/** What `repetition.json` of an unpacked bundle says. */
export function readRepetition(folder: string): Repetition {
  try {
    return JSON.parse(readFileSync(join(folder, repetitionFile), 'utf8')) as Repetition;
  } catch {
    return {};
  }
}
