/** The console of a board for a person at a terminal, and as JSON, one document per line. */
import picocolors from 'picocolors';
import type { ConsoleCounts, ReadLine } from '../serial/console-reader.ts';
import type { SessionEvent } from '../serial/console-session.ts';
import type { StoryEvent } from '../serial/story-event.ts';
import { explainStory } from '../serial/story-text.ts';
import { neutralize } from './terminal-text.ts';

export type ConsoleColors = ReturnType<typeof picocolors.createColors>;

export function consoleColors(color: boolean): ConsoleColors {
  return picocolors.createColors(color);
}

/** Takes out of a text what must not be shown. Comes before the colors, which would be taken for a part of the text. */
export type Cleaning = (text: string) => string;

/** The line as it was printed, colored by its level, with … where it is not whole. Nothing in it acts on the terminal. */
export function renderConsoleLine(read: ReadLine, colors: ConsoleColors, clean: Cleaning): string {
  const { line, text, origin, begin, end } = read;
  const shown = `${begin === 'missing' ? '…' : ''}${neutralize(clean(text))}${end === 'whole' ? '' : '…'}`;
  if (origin === 'panic') return colors.red(shown);
  if (origin === 'rom') return colors.dim(shown);
  if (line.kind === 'bare') return origin === 'unexpected' ? colors.dim(shown) : shown;
  switch (line.level) {
    case 'E':
      return colors.red(shown);
    case 'W':
      return colors.yellow(shown);
    case 'I':
      return origin === 'firmware' ? shown : colors.dim(shown);
    default:
      return colors.dim(shown);
  }
}

/** What an event above the lines says; none for what the lines say themselves. */
export function renderStoryEvent(
  event: StoryEvent,
  colors: ConsoleColors,
  clean: Cleaning,
): string[] {
  const told = explainStory(event);
  if (told === null) return [];
  const paint = told.weight === 'trouble' ? colors.magenta : colors.cyan;
  const lines = [paint(`-- ${neutralize(clean(told.text))}`)];
  if (told.hint !== undefined) lines.push(paint(`   hint: ${neutralize(clean(told.hint))}`));
  return lines;
}

/** What happened to the port. */
export function renderSessionEvent(
  event: SessionEvent,
  colors: ConsoleColors,
  clean: Cleaning,
): string {
  const text = (() => {
    switch (event.type) {
      case 'opened':
        return `${event.address} is open${event.carriesLines ? '' : '; it has no DTR and RTS: reset the board by hand'}`;
      case 'gone':
        return `GAP: ${event.problem} Waiting for the board to return`;
      case 'closed-to-us':
        return `${event.address} is there and cannot be opened: ${event.problem}`;
      case 'returned':
        return `the board is back at ${event.address} after ${(event.awayUs / 1_000_000).toFixed(2)} s; lines of the time between are lost`;
    }
  })();
  return (event.type === 'opened' ? colors.cyan : colors.magenta)(`-- ${neutralize(clean(text))}`);
}

/** One line that sums up a session. */
export function renderConsoleCounts(counts: ConsoleCounts): string {
  const odd = [
    [counts.unexpected, 'unexpected'],
    [counts.tornLines, 'torn'],
    [counts.cutLines, 'cut'],
    [counts.invalidUtf8, 'invalid UTF-8'],
    [counts.nulBytes, 'NUL bytes'],
    [counts.unprintable, 'bytes that cannot be text'],
    [counts.gaps, counts.gaps === 1 ? 'gap' : 'gaps'],
  ] as const;
  const told = odd.filter(([count]) => count > 0).map(([count, name]) => `${count} ${name}`);
  return [`${counts.lines} lines, ${counts.bytes} bytes`, ...told].join(', ');
}

/** A line of the console as a JSON document without line breaks. */
export function consoleLineData(read: ReadLine, clean: Cleaning): string {
  const { line, text, origin, startUs, endUs, begin, end } = read;
  const parsed =
    line.kind === 'bare'
      ? { event: line.event }
      : {
          level: line.level,
          ms: line.ms,
          tag: line.tag,
          message: line.message,
          event: line.event,
        };
  return documentText({ type: 'line', startUs, endUs, begin, end, origin, ...parsed, text }, clean);
}

/** The type comes first in every document. */
export function storyData({ type, ...event }: StoryEvent | SessionEvent, clean: Cleaning): string {
  return documentText({ type, ...event }, clean);
}

/**
 * JSON has no infinity: the ratio of a sentence can be one. Texts are cleaned one by one: in the whole document a secret of
 * digits would also be found in its numbers.
 */
export function documentText(
  value: { readonly type: string; readonly [key: string]: unknown },
  clean: Cleaning,
): string {
  return JSON.stringify(value, (key, field: unknown) => {
    if (typeof field === 'string') return key === 'type' ? field : clean(field);
    return typeof field === 'number' && !Number.isFinite(field) ? String(field) : field;
  });
}
