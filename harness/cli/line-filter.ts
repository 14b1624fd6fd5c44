/**
 * Which lines `monitor` shows: `--level` and `--filter`. An expression is a list of words that must all hold:
 *
 *     tag=echokit::*,AFE  level=W  event=asr,start-audio  origin=firmware  text~"Opus|VAD"  !event=mic-rejected
 */
import type { ConsoleLevel } from '../../firmware-protocol/console-forms.ts';
import type { ReadLine } from '../serial/console-reader.ts';
import { CommandError, exitCode } from './exit-code.ts';

const levels: readonly ConsoleLevel[] = ['E', 'W', 'I', 'D', 'V'];

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
      ...(level === undefined ? [] : [atLeast(level)]),
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
  if (key === 'level') return atLeast(value);
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
    return new RegExp(`^${escaped}$`);
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

/** A panic counts as an error, what else has no level as information. */
function atLeast(level: string): Test {
  const lowest = levels.indexOf(level as ConsoleLevel);
  if (lowest === -1) throw filterError(`"${level}" is no level; levels: ${levels.join(', ')}.`);
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
