/**
 * A board and its model, which got the same messages: which lines both printed and how far apart, and where the
 * two part. Only lines that follow from messages, keys and playing are compared; what each hears, and what a boot
 * prints, is its own.
 */
import { nearestRank } from './distribution.ts';

/** A console line. */
export interface ConsoleEntry {
  readonly seq: number;
  /** When it was printed, on our clock. */
  readonly atUs: number;
  readonly tag: string;
  readonly message: string;
}

export interface TwinComparison {
  /** Lines that both printed. */
  readonly matched: number;
  readonly onlyBoard: readonly ConsoleEntry[];
  readonly onlyModel: readonly ConsoleEntry[];
  /** The first line that only one of them printed; null: there is none. */
  readonly parting: (ConsoleEntry & { readonly who: 'board' | 'model' }) | null;
  /** Of all lines; null: none was matched. */
  readonly all: LineDelay | null;
  /** Of those that begin and end the playing of a sentence, which estimates of playout rest on. */
  readonly playout: LineDelay | null;
  /** By the beginning of the message, in order of the first occurrence. */
  readonly lines: readonly (LineDelay & { readonly line: string })[];
  readonly pairs: readonly TwinPair[];
}

/** How much later the board printed; negative: earlier. */
export interface LineDelay {
  readonly medianMs: number;
  /** Of the magnitude. */
  readonly p95Ms: number;
  readonly n: number;
}

export interface TwinPair {
  readonly line: string;
  readonly board: ConsoleEntry;
  readonly model: ConsoleEntry;
}

/** Beginnings of the messages that are compared, by tag (EchoKit device protocol reference, section 8.4). */
const compared: Readonly<Record<string, readonly string[]>> = {
  'echokit::app': [
    'Received event: k0',
    'Waiting for hello response',
    'Hello response received',
    'Set allow_interrupt',
    'Volume set',
    'Start submitting audio',
    'Submitted StartChat command',
    'Received ASR',
    'Received EndVad event from server',
    'Received action',
    'Received audio start',
    'Received audio end',
    'Audio speed',
    'Received notify event',
    'Received request end',
    'Received hello start',
    'Received hello end',
  ],
  'echokit::audio': ['Received Hello event'],
  'echokit::ws': [
    'Received StartAudio event',
    'Failed to deserialize binary data',
    'Failed to decode opus audio chunk',
  ],
};

/** A sentence begins to be played and has been played. */
const playoutLines: ReadonlySet<string> = new Set([
  'Received audio start',
  'Received notify event',
]);

/**
 * Each task of the firmware prints its own lines in order, while those of different tasks may change places; so each
 * tag is compared by itself.
 *
 * @param board @param model in order of their instants
 */
export function compareTwins(
  board: readonly ConsoleEntry[],
  model: readonly ConsoleEntry[],
): TwinComparison {
  const pairs: TwinPair[] = [];
  const onlyBoard: ConsoleEntry[] = [];
  const onlyModel: ConsoleEntry[] = [];
  for (const tag of Object.keys(compared)) {
    const ours = keyed(board, tag);
    const theirs = keyed(model, tag);
    const common = longestCommon(ours, theirs);
    for (const [i, j] of common) {
      pairs.push({ line: ours[i]!.line, board: ours[i]!.entry, model: theirs[j]!.entry });
    }
    const inOurs = new Set(common.map(([i]) => i));
    const inTheirs = new Set(common.map(([, j]) => j));
    onlyBoard.push(...ours.filter((_, i) => !inOurs.has(i)).map(({ entry }) => entry));
    onlyModel.push(...theirs.filter((_, j) => !inTheirs.has(j)).map(({ entry }) => entry));
  }
  const byTime = (a: ConsoleEntry, b: ConsoleEntry) => a.atUs - b.atUs;
  pairs.sort((a, b) => byTime(a.board, b.board));
  onlyBoard.sort(byTime);
  onlyModel.sort(byTime);
  const kinds = [...new Set(pairs.map(({ line }) => line))];
  return {
    matched: pairs.length,
    onlyBoard,
    onlyModel,
    parting: partingOf(onlyBoard[0], onlyModel[0]),
    all: delayOf(pairs),
    playout: delayOf(pairs.filter(({ line }) => playoutLines.has(line))),
    lines: kinds.map((line) => ({ line, ...delayOf(pairs.filter((p) => p.line === line))! })),
    pairs,
  };
}

interface Keyed {
  readonly line: string;
  /** Two lines are alike when this is. */
  readonly key: string;
  readonly entry: ConsoleEntry;
}

function keyed(entries: readonly ConsoleEntry[], tag: string): Keyed[] {
  return entries.flatMap((entry): Keyed[] => {
    if (entry.tag !== tag) return [];
    const line = compared[tag]!.find((beginning) => entry.message.startsWith(beginning));
    if (line === undefined) return [];
    // A measured ratio differs by a hundredth; it is the same line nevertheless.
    const key = line === 'Audio speed' ? line : entry.message.split(/\r?\n/)[0]!;
    return [{ line, key, entry }];
  });
}

/** Pairs of indices of a longest common subsequence. Where several are possible, the earliest lines are paired. */
function longestCommon(a: readonly Keyed[], b: readonly Keyed[]): [number, number][] {
  const width = b.length + 1;
  // Length of the best pairing of a[i..] and b[j..].
  const best = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      best[i * width + j] =
        a[i]!.key === b[j]!.key
          ? best[(i + 1) * width + j + 1]! + 1
          : Math.max(best[(i + 1) * width + j]!, best[i * width + j + 1]!);
    }
  }
  const common: [number, number][] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i]!.key === b[j]!.key) common.push([i++, j++]);
    else if (best[(i + 1) * width + j]! >= best[i * width + j + 1]!) i++;
    else j++;
  }
  return common;
}

function partingOf(
  board: ConsoleEntry | undefined,
  model: ConsoleEntry | undefined,
): TwinComparison['parting'] {
  if (board !== undefined && (model === undefined || board.atUs <= model.atUs)) {
    return { ...board, who: 'board' };
  }
  return model === undefined ? null : { ...model, who: 'model' };
}

function delayOf(pairs: readonly TwinPair[]): LineDelay | null {
  if (pairs.length === 0) return null;
  const delays = pairs.map(({ board, model }) => (board.atUs - model.atUs) / 1000);
  const sorted = [...delays].sort((a, b) => a - b);
  const magnitudes = delays.map(Math.abs).sort((a, b) => a - b);
  return { medianMs: nearestRank(sorted, 50), p95Ms: nearestRank(magnitudes, 95), n: pairs.length };
}
