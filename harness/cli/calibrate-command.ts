import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'smol-toml';
import { deviceProfiles } from '../device/device-profile.ts';
import { checkWritable, writeWhole } from '../files/written-file.ts';
import { type Calibration, calibrate, type LearnedConstant } from '../metrics/board-calibration.ts';
import { measureBoard } from '../metrics/board-measurement.ts';
import { boardProfileTable, parseBoardProfile } from '../runner/board-profile-file.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { CommandError, exitCode } from './exit-code.ts';
import type { Terminal } from './terminal.ts';

export interface CalibrateOptions {
  readonly out: string;
  /** Of the profile. Default: that of the board, and its model. */
  readonly name?: string;
}

/** `calibrate`: what recordings of a real board tell of its constants, into a file for `run --device`. */
export function calibrateCommand(
  terminal: Terminal,
  folders: readonly string[],
  { out, name }: CalibrateOptions,
): number {
  checkWritable(out);
  const cells = folders.flatMap(cellFolders).map(readRecording);
  const onBoards = cells.filter(({ header }) => header.board !== undefined);
  const names = [...new Set(onBoards.map(({ header }) => `${header.board} ${header.device}`))];
  const [first, another] = names;
  if (first === undefined) {
    throw new CommandError(
      'NOTHING_MATCHED',
      exitCode.nothingMatched,
      cells.length === 1
        ? 'This recording is not of a real board.'
        : `None of ${cells.length} recordings is of a real board.`,
      'record some: echokit-harness run --board <name> scenarios/two-turns.toml',
    );
  }
  if (another !== undefined) {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      `These are recordings of several boards or models: ${names.join(', ')}.`,
      'name the runs of one board',
    );
  }
  const { board, device } = onBoards[0]!.header;
  const base = deviceProfiles[device];
  if (base === undefined) {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      `The model of these recordings, ${device}, is a profile file itself.`,
      'calibrate with recordings of a built-in model: run --board without --device, or with a name',
    );
  }
  const learned = calibrate(onBoards, base.constants.redrawUs);
  for (const line of describe(learned)) terminal.print(line);
  const few = meanings.flatMap(([key, meaning]) => {
    const n = learned[key]?.n ?? Number.POSITIVE_INFINITY;
    return n < enough ? [`${meaning} (n = ${n})`] : [];
  });
  if (few.length > 0) {
    terminal.say(
      `Few values, so the range of what is usual is not known: ${few.join(', ')}. Record until n is ${enough} or more.`,
    );
  }
  const mac = onBoards.map((cell) => measureBoard(cell)?.mac).find((found) => found !== null);
  const called = profileName(board!, mac ?? undefined);
  const table = boardProfileTable(name ?? `${called}-${device}`, device, learned);
  const recordings = onBoards.length === 1 ? '1 recording' : `${onBoards.length} recordings`;
  const text = `# Written by echokit-harness calibrate, from ${recordings} of board ${board}.\n${stringify(table)}\n`;
  // What is written can be read.
  parseBoardProfile(text, out);
  writeWhole(out, text);
  terminal.say(`${out}: use it with run --device ${out}`);
  return exitCode.passed;
}

/** The cells of a run, or the one cell that was named. */
function cellFolders(folder: string): string[] {
  const cells = join(folder, 'cells');
  if (!existsSync(cells)) return [folder];
  return readdirSync(cells)
    .filter((name) => !name.endsWith('.partial'))
    .sort()
    .map((name) => join(cells, name));
}

/** Below it the 5th and 95th percentiles are the smallest and the largest value. */
const enough = 20;

/** A board that was named by its port is called by what it is: another one may hang there tomorrow. */
function profileName(board: string, mac: string | undefined): string {
  const byPort = /[/\\:]|^COM\d+$/i.test(board);
  if (byPort && mac !== undefined) return `board-${mac}`;
  const name = board
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  return name.slice(0, 30).replace(/-+$/, '') || 'board';
}

const meanings: readonly (readonly [keyof Calibration, string])[] = [
  ['redrawUs', 'redraw of the screen'],
  ['bootUs', 'reset to connection'],
  ['sentenceOverheadUs', 'a sentence, beyond the model'],
  ['deliveryUs', 'server to board'],
];

function describe(learned: Calibration): string[] {
  return meanings.map(([key, meaning]) => {
    const constant: LearnedConstant | null = learned[key];
    if (constant === null) return `${meaning}: not told by these recordings`;
    const ms = (us: number): string => (us / 1000).toFixed(1);
    const { valueUs, errorUs, n, p5Us, p95Us } = constant;
    return `${meaning}: ${ms(valueUs)} ms ± ${ms(errorUs)} (n = ${n}, 5 to 95 %: ${ms(p5Us)} to ${ms(p95Us)})`;
  });
}
