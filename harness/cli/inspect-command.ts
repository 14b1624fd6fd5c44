import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { writeWhole } from '../files/written-file.ts';
import { type FileSound, inspectFile } from '../inspection/file-inspection.ts';
import { inspectCell } from '../inspection/inspection.ts';
import { readProviderSounds } from '../inspection/provider-sound.ts';
import { viewSentences } from '../inspection/sound-view.ts';
import { readWavSound } from '../inspection/wav-sound.ts';
import { drawInspection } from '../report/inspection-picture.ts';
import { buildInspectionReport, type InspectedSound } from '../report/inspection-report.ts';
import { renderInspection } from '../report/inspection-text.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { type RunFolder, withRunFolder } from './recorded-run-folder.ts';
import type { Terminal } from './terminal.ts';

export interface InspectOptions {
  /** A WAV file that is right. */
  readonly against?: string;
  /** What is said in a WAV file. */
  readonly text?: string;
  readonly all?: boolean;
  readonly out?: string;
  readonly json?: boolean;
}

/**
 * `inspect`: what is wrong with the sounds of recordings, or with files.
 *
 * @returns exit code 0, or 1 when there are defects
 */
export function inspectCommand(
  terminal: Terminal,
  paths: readonly string[],
  { against, text, all = false, out, json = false }: InspectOptions,
): number {
  const files = paths.filter(isWav);
  const folders = paths.filter((path) => !isWav(path));
  if (folders.length > 0 && (against !== undefined || text !== undefined)) {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      `${against !== undefined ? '--against' : '--text'} is for WAV files, and ${folders[0]} is none.`,
      'a recording has its texts and the sounds of every stage with it',
    );
  }
  const reference = against === undefined ? null : readFile(against);
  const sounds: InspectedSound[] = [
    ...folders.flatMap((path) => withRunFolder(path, inspectRun)),
    ...files.map((path) => inspectWav(path, reference, text ?? null)),
  ];
  if (json) terminal.print(JSON.stringify(buildInspectionReport(sounds), null, 2));
  else {
    const { color, width } = terminal;
    terminal.print(renderInspection(sounds, { color, width, all }).trimEnd());
  }
  if (out !== undefined) {
    const count = draw(sounds, out, all);
    terminal.say(
      count === 0
        ? 'Nothing is wrong, so nothing is drawn; --all draws everything.'
        : `${count} drawn: ${out}`,
    );
  }
  if (sounds.some(({ defects }) => defects.length > 0)) return exitCode.expectationFailed;
  return sounds.some(({ unheard }) => unheard) ? exitCode.environment : exitCode.passed;
}

function isWav(path: string): boolean {
  return /\.wav$/i.test(path) && !(existsSync(path) && statSync(path).isDirectory());
}

/** The cells of a run, partial ones included, or the one cell that was named. */
function cellFolders(folder: string): string[] {
  const cells = join(folder, 'cells');
  if (!existsSync(cells)) return [folder];
  return readdirSync(cells)
    .sort()
    .map((name) => join(cells, name));
}

function inspectRun(run: RunFolder): InspectedSound[] {
  return cellFolders(run.path).map((folder) => ({
    ...inspectFolder(folder),
    name: run.asNamed(folder),
  }));
}

function inspectFolder(folder: string): InspectedSound {
  const cell = readRecording(folder);
  const actual = existsSync(folder) ? folder : `${folder}.partial`;
  const providerSounds = readProviderSounds(actual, cell);
  return {
    name: folder,
    partial: cell.partial,
    views: viewSentences(cell, providerSounds),
    unreadRequests: [...cell.provider.keys()].filter((request) => !providerSounds.has(request)),
    unheard: cell.sent.length > 0 && cell.speaker.length === 0,
    pauses: [],
    defects: inspectCell(cell, providerSounds),
  };
}

function inspectWav(
  path: string,
  reference: FileSound | null,
  text: string | null,
): InspectedSound {
  const sound = readFile(path);
  const { samples, rateHz } = sound;
  return {
    name: path,
    partial: false,
    views: [
      {
        turn: null,
        sentence: null,
        text,
        stages: [{ stage: null, samples, rateHz }],
        playback: null,
        atUs: null,
      },
    ],
    unreadRequests: [],
    unheard: false,
    ...inspectFile(sound, reference, text),
  };
}

function readFile(path: string): FileSound {
  if (!existsSync(path)) {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      `There is no file ${path}.`,
      'name a WAV file, the folder of a run, one of its cells, or a bundle',
    );
  }
  return { file: path, ...readWavSound(readFileSync(path), path) };
}

/** One picture for each sentence in which something is wrong, or for all. */
function draw(sounds: readonly InspectedSound[], folder: string, all: boolean): number {
  mkdirSync(folder, { recursive: true });
  let count = 0;
  for (const { name, views, defects } of sounds) {
    for (const view of views) {
      const { turn, sentence } = view;
      const own = defects.filter(({ place }) => place.turn === turn && place.sentence === sentence);
      if (own.length === 0 && !all) continue;
      const which = sentence === null ? '' : `--turn-${turn ?? 0}-sentence-${sentence}`;
      writeWhole(join(folder, `${basename(name)}${which}.svg`), drawInspection(view, own));
      count++;
    }
  }
  return count;
}
