import { existsSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { packBundle } from '../bundle/bundle-file.ts';
import { writeWhole } from '../files/written-file.ts';
import { renderTerminalReport } from '../report/terminal-report.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { recordingFolders } from '../runner/recorded-run.ts';
import type { ScenarioCatalog } from '../scenario/load.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { openCommandLaboratory } from './command-laboratory.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { bundledRun, goldenFile } from './recorded-bundle.ts';
import { recordedReport } from './recorded-report.ts';
import { scenarioCatalog } from './scenario-files.ts';
import { interruptSignal, type Terminal } from './terminal.ts';

export interface PromoteCommandOptions {
  readonly reason?: string;
  readonly yes?: boolean;
  readonly out: string;
  readonly version: string;
}

/** Golden recordings are in the repository for ever: short ones show as much. */
const goldenBytesMax = 400 * 1024;

/** `promote`: recordings that somebody has reviewed become golden ones. Returns the exit code. */
export async function promoteCommand(
  terminal: Terminal,
  path: string,
  { reason = '', yes = false, out, version }: PromoteCommandOptions,
): Promise<number> {
  if (reason.trim() === '') {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      'A golden recording says why it is one.',
      'add --reason "what was listened to and looked at"',
    );
  }
  const catalog = scenarioCatalog(builtInProviders.map(({ name }) => name));
  const folders = recordingFolders(path);
  for (const folder of folders) checkGolden(folder, catalog);
  const signal = interruptSignal(terminal, 'no more recordings are promoted.');
  const means = { catalog, version, signal, laboratory: () => openCommandLaboratory(terminal) };
  const packed = [];
  for (const folder of folders) {
    const { files } = await bundledRun(folder, means);
    const about = `${JSON.stringify({ reason, version }, null, 1)}\n`;
    const content = packBundle(new Map([...files, [goldenFile, Buffer.from(about)]]));
    if (content.length > goldenBytesMax) throw tooLarge(folder, content.length);
    packed.push({ target: join(out, `${basename(folder)}.zip`), content });
  }
  // Only what can become golden is shown to be reviewed.
  const { report } = recordedReport(path, catalog);
  terminal.say(
    renderTerminalReport(report, {
      color: terminal.color,
      width: terminal.width,
      recordingsFolder: path,
      nextSteps: [],
    }).trimEnd(),
  );
  const replaced = packed.filter(({ target }) => existsSync(target));
  const what =
    `${packed.length} golden ${packed.length === 1 ? 'recording' : 'recordings'} in ${out}` +
    (replaced.length === 0 ? '' : `, ${replaced.length} of them replaced`);
  if (!yes && !(await agreed(`${what}?`))) {
    terminal.say('Nothing was promoted.');
    return exitCode.interrupted;
  }
  mkdirSync(out, { recursive: true });
  for (const { target, content } of packed) {
    writeWhole(target, content);
    terminal.print(`${target}  ${(content.length / 1024).toFixed(0)} KiB`);
  }
  return exitCode.passed;
}

/** A golden recording is whole, passed, can be repeated to the byte, and nobody's key was used for it. */
function checkGolden(folder: string, catalog: ScenarioCatalog): void {
  const { header, partial } = readRecording(folder);
  const { report, notes } = recordedReport(folder, catalog);
  const [cell] = report.cells;
  const faults: readonly (readonly [boolean, string, string])[] = [
    [partial, 'is not finished', 'run it to its end'],
    [
      cell!.verdict !== 'pass',
      `has the verdict ${cell!.verdict}`,
      'a golden recording shows what is right; let the scenario expect its failure',
    ],
    [notes.length > 0, `cannot be judged: ${notes.join(' ')}`, 'record it with this version'],
    [
      header.live !== undefined,
      `was spoken by a real service, ${header.live}`,
      'replay it, look at the replay, and promote that',
    ],
    [
      header.time === 'real',
      'was recorded in real time, and no two such runs are alike',
      'replay it in virtual time and promote that',
    ],
  ];
  const [found] = faults.filter(([isFault]) => isFault);
  if (found === undefined) return;
  const [, what, hint] = found;
  throw new CommandError('NOT_GOLDEN', exitCode.usage, `${folder} ${what}.`, hint);
}

function tooLarge(folder: string, bytes: number): CommandError {
  return new CommandError(
    'NOT_GOLDEN',
    exitCode.usage,
    `${folder} takes ${(bytes / 1024).toFixed(0)} KiB; a golden recording takes ${goldenBytesMax / 1024} KiB at most.`,
    'one short question shows as much',
  );
}

async function agreed(question: string): Promise<boolean> {
  if (process.stdin.isTTY !== true) {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      'Nobody can be asked here whether the recordings have been reviewed.',
      'look at the report above, then add --yes',
    );
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(`${question} [y/N] `);
  terminal.close();
  return /^y(?:es)?$/i.test(answer.trim());
}
