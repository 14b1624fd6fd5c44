/**
 * Which lines `monitor` shows: `--level` and `--filter`. An expression is a list of words that must all hold:
 *
 *     tag=echokit::*,AFE  level=W  event=asr,start-audio  origin=firmware  text~"Opus|VAD"  !event=mic-rejected
 */
import { nearestName } from '../../adapters/nearest-name.ts';
import {
  bareForms,
  type ConsoleLevel,
  consoleForms,
} from '../../firmware-protocol/console-forms.ts';
import type { ReadLine } from '../serial/console-reader.ts';
import { lineOrigins } from '../serial/console-story.ts';
import { CommandError, exitCode } from './exit-code.ts';

const levels: readonly ConsoleLevel[] = ['E', 'W', 'I', 'D', 'V'];

/** What can stand behind a key; tags and text are anybody's. */
const knownNames: Readonly<Record<string, readonly string[]>> = {
  event: [...consoleForms, ...bareForms].map(({ name }) => name),
  origin: lineOrigins,
};

type Test = (line: ReadLine) => boolean;

export class LineFilter {
  readonly #tests: readonly Test[];
  /** A continuation is shown with its line. */
  #shown = true;

  /**
   * @param level lowest level to show
   * @throws {CommandError} `USAGE`
   */
  constructor(options: {
    readonly level?: string | undefined;
    readonly filter?: string | undefined;
  }) {
    const { level, filter = '' } = options;
    this.#tests = [
      ...(level === undefined ? [] : [atLeast(level, '--level')]),
      ...splitWords(filter).map((word) => wordTest(word)),
    ];
  }

  /** Lines must come in their order. */
  shows(line: ReadLine): boolean {
    const { origin } = line;
    if (origin === 'continuation' || origin === 'blank') return this.#shown;
    this.#shown = this.#tests.every((test) => test(line));
    return this.#shown;
  }
}

function splitWords(filter: string): string[] {
  return filter.match(/(?:[^\s"]|"[^"]*")+/g) ?? [];
}

function wordTest(word: string): Test {
  const [, negation, key, operator, quoted = ''] =
    /^(!?)(tag|level|event|origin|text)([=~])(.+)$/s.exec(word) ?? [];
  const value = quoted.replaceAll('"', '');
  if (key === undefined || value === '' || (operator === '~') !== (key === 'text')) {
    throw filterError(`"${word}" is no condition.`);
  }
  const test = conditionOf(key, value);
  return negation === '!' ? (line) => !test(line) : test;
}

function conditionOf(key: string, value: string): Test {
  if (key === 'level') return atLeast(value, '--filter');
  if (key === 'text') {
    let pattern: RegExp;
    try {
      pattern = new RegExp(value, 'i');
    } catch (error) {
      throw filterError(`"${value}" is no regular expression: ${(error as Error).message}.`);
    }
    return ({ text }) => pattern.test(text);
  }
  const wanted = value.split(',').map((part) => {
    const escaped = part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('\\*', '.*');
    const pattern = new RegExp(`^${escaped}$`);
    checkKnown(key, part, pattern);
    return pattern;
  });
  return ({ line, origin }) => {
    const has =
      key === 'origin'
        ? origin
        : key === 'event'
          ? line.event?.name
          : line.kind === 'log'
            ? line.tag
            : undefined;
    return has !== undefined && wanted.some((pattern) => pattern.test(has));
  };
}

/** A condition that no line can ever meet is a mistake. */
function checkKnown(key: string, part: string, pattern: RegExp): void {
  const names = knownNames[key];
  if (names === undefined || names.some((name) => pattern.test(name))) return;
  const meant = nearestName(part, names);
  const which = meant === undefined ? '' : `; did you mean ${meant}?`;
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `There is no ${key} "${part}"${which === '' ? '.' : which}`,
    names.length < 20
      ? `one of ${names.join(', ')}; * stands for any letters`
      : `"monitor --json" shows the name of each line's event; * stands for any letters, as in event=ble-*`,
  );
}

/** A panic counts as an error, what else has no level as information. */
function atLeast(level: string, option: '--level' | '--filter'): Test {
  const lowest = levels.indexOf(level as ConsoleLevel);
  if (lowest === -1) {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      `${option}: "${level}" is no level.`,
      `levels are ${levels.join(', ')}: errors, warnings, information, debugging, everything`,
    );
  }
  return ({ line, origin }) => {
    const has = line.kind === 'log' ? line.level : origin === 'panic' ? 'E' : 'I';
    return levels.indexOf(has) <= lowest;
  };
}

function filterError(message: string): CommandError {
  return new CommandError(
    'USAGE',
    exitCode.usage,
    message,
    'write tag=, level=, event=, origin= or text~, with ! before it to leave lines out: monitor --help',
  );
}
