import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { openReplayables, recordingFolders } from '../runner/recorded-run.ts';
import {
  type FileDifference,
  fileDifferences,
  firstDifferentLine,
  type InputDifference,
  inputDifferences,
  recordedSums,
  repeatConversation,
} from '../runner/repeated-run.ts';
import { readManifest } from '../trace/recorded-files.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { exitCode } from './exit-code.ts';
import { programEnvironment } from './program-environment.ts';
import { readRepetition } from './recorded-bundle.ts';
import { type RunFolder, withRunFolder } from './recorded-run-folder.ts';
import { scenarioCatalog } from './scenario-files.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface ReproCommandOptions {
  readonly json?: boolean;
  readonly version: string;
}

interface Reproduction {
  readonly cell: string;
  /** `other`: the bytes differ. */
  readonly outcome: 'same' | 'other';
  readonly files: number;
  readonly differences: readonly FileDifference[];
  /** What is not as it was; with the same bytes it made no difference. */
  readonly inputs: readonly InputDifference[];
}

/** `repro`: holds the conversations of a bundle again and compares the bytes. Returns the exit code. */
export async function reproCommand(
  terminal: Terminal,
  path: string,
  options: ReproCommandOptions,
): Promise<number> {
  return await withRunFolder(path, (run) => reproduce(terminal, path, run, options));
}

async function reproduce(
  terminal: Terminal,
  path: string,
  run: RunFolder,
  { json = false, version }: ReproCommandOptions,
): Promise<number> {
  const scratch = mkdtempSync(join(tmpdir(), 'echokit-repro-'));
  try {
    const catalog = scenarioCatalog(builtInProviders.map(({ name }) => name));
    const folders = recordingFolders(run.path);
    const repetition = readRepetition(run.path);
    const signal = interruptSignal(terminal, 'the comparison stops.');
    const laboratory = await openCommandLaboratory(terminal);
    const environment = programEnvironment(version);
    const results: Reproduction[] = [];
    for (const folder of folders) {
      const [conversation] = openReplayables(folder, catalog);
      const held = { laboratory, folder: scratch, environment, signal };
      const { recording } = await repeatConversation(conversation!, held);
      if (signal.aborted) return exitCode.interrupted;
      const cell = basename(folder);
      const now = join(scratch, recording);
      const expected = repetition[cell] ?? recordedSums(folder);
      const before = readManifest(folder);
      const after = readManifest(now);
      const differences = fileDifferences(expected, recordedSums(now)).map(({ file, text }) => ({
        file,
        text:
          file === 'trace.jsonl' && repetition[cell] === undefined
            ? firstDifferentLine(
                readFileSync(join(folder, file), 'utf8'),
                readFileSync(join(now, file), 'utf8'),
              )
            : text,
      }));
      results.push({
        cell,
        outcome: differences.length === 0 ? 'same' : 'other',
        files: Object.keys(expected).length,
        differences,
        inputs: before === undefined ? [] : inputDifferences(before, after!),
      });
    }
    if (json)
      terminal.print(JSON.stringify({ schemaVersion: 1, bundle: path, cells: results }, null, 2));
    else for (const result of results) terminal.print(described(result));
    return results.every(({ outcome }) => outcome === 'same')
      ? exitCode.passed
      : exitCode.expectationFailed;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function described({ cell, outcome, files, differences, inputs }: Reproduction): string {
  const changed = inputs.map(
    ({ input, expected, got }) => `  ${input.padEnd(12)} expected ${expected}, got ${got}`,
  );
  if (outcome === 'same') {
    const lines = [`${cell}: the same bytes in ${files} files`];
    return [
      ...lines,
      ...(changed.length === 0 ? [] : ['  although this is not as it was:', ...changed]),
    ].join('\n');
  }
  const shown = differences.slice(0, 8).map(({ file, text }) => `  ${file}: ${text}`);
  const rest = differences.length - shown.length;
  return [
    `${cell}: ${differences.length} of ${files} files are not the same`,
    ...(changed.length === 0
      ? ['  Every input that is on record is as it was: this is a defect, please report it.']
      : ['  Inputs that are not as they were:', ...changed]),
    ...shown,
    ...(rest > 0 ? [`  and ${rest} more files`] : []),
  ].join('\n');
}
