import { clipDisplay } from '../report/terminal-text.ts';
import type { SecretMask } from '../trace/secret-mask.ts';

/** The terminal as the commands see it: data on stdout, everything else on stderr. */
export interface Terminal {
  /** Data: what a pipe wants. */
  print(text: string): void;
  /** Progress and remarks. */
  say(text: string): void;
  /**
   * A line that a CI service is to obey. What else is shown is never taken for one, whatever it holds. Absent: there is
   * none, and it is data or a remark like any other.
   */
  command?(line: string, where: 'stdout' | 'stderr'): void;
  /**
   * A line that stays below everything that is said, until it is another one or empty. Absent where lines cannot be
   * rewritten: a file, a pipe, a CI job.
   */
  status?(line: string): void;
  readonly color: boolean;
  readonly width: number;
}

type Stream = Pick<NodeJS.WriteStream, 'write'> &
  Partial<Pick<NodeJS.WriteStream, 'isTTY' | 'columns'>>;

/** Where a program writes, and what its environment says of it. */
export interface ProgramStreams {
  readonly stdout: Stream;
  readonly stderr: Stream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** To the start of the line, and everything behind it away. */
const clearLine = '\r\u001b[2K';

/** @param named what is said, with the name of the program as the user calls it */
export function processTerminal(
  named: (text: string) => string = (text) => text,
  { stdout, stderr, env }: ProgramStreams = process,
): Terminal {
  let shown = '';
  const above = (stream: Stream, text: string): void => {
    if (shown !== '') stderr.write(clearLine);
    stream.write(text);
    if (shown !== '') stderr.write(shown);
  };
  const status = (line: string): void => {
    // A line that the terminal wraps could not be taken back.
    const fitting = clipDisplay(line, Math.max(1, (stderr.columns ?? 80) - 1));
    if (shown !== '' || fitting !== '') stderr.write(`${clearLine}${fitting}`);
    shown = fitting;
  };
  const onGithub = env['GITHUB_ACTIONS'] === 'true';
  const plain = onGithub ? withoutCommands : (text: string) => text;
  return {
    print: (text) => above(stdout, `${plain(text)}\n`),
    say: (text) => above(stderr, `${plain(named(text))}\n`),
    ...(onGithub && {
      command: (line: string, where: 'stdout' | 'stderr') =>
        above(where === 'stdout' ? stdout : stderr, `${line}\n`),
    }),
    ...(canRewrite(stderr, env) && { status }),
    color: hasColor(stdout, env),
    width: Math.max(50, stdout.columns ?? 100),
  };
}

/**
 * GitHub's runner looks for commands at the start of a line (`::name`, blanks before it do not count) and, in their older
 * form, anywhere in it (`##[name]`). JSON and XML of this program hold neither.
 */
function withoutCommands(text: string): string {
  return text.replaceAll(/^([^\S\n]*):(?=:)/gm, '$1: ').replaceAll('##[', '## [');
}

/** `NO_COLOR` goes before `FORCE_COLOR`, and both before what the stream is. Empty means not set. */
function hasColor(stdout: Stream, env: ProgramStreams['env']): boolean {
  const { NO_COLOR: no = '', FORCE_COLOR: force = '', TERM: term } = env;
  if (no !== '') return false;
  if (force !== '') return force !== '0' && force !== 'false';
  return stdout.isTTY === true && term !== 'dumb';
}

/** A CI job may have a terminal, but what reads its log has none. */
function canRewrite(stderr: Stream, { CI: ci = '', TERM: term }: ProgramStreams['env']): boolean {
  return stderr.isTTY === true && term !== 'dumb' && (ci === '' || ci === 'false' || ci === '0');
}

/** The same terminal; secrets are replaced in what it shows. */
export function maskedTerminal(terminal: Terminal, mask: SecretMask): Terminal {
  const { status, command } = terminal;
  return {
    ...terminal,
    print: (text) => terminal.print(mask.text(text)),
    say: (text) => terminal.say(mask.text(text)),
    ...(command !== undefined && {
      command: (line: string, where: 'stdout' | 'stderr') => command(mask.text(line), where),
    }),
    ...(status !== undefined && { status: (line: string) => status(mask.text(line)) }),
  };
}

/**
 * A signal that aborts on the first Ctrl-C (or a polite kill), so that a recording can be finished.
 * The second one ends the process.
 */
export function interruptSignal(terminal: Pick<Terminal, 'say'>, what: string): AbortSignal {
  const control = new AbortController();
  const stop = (name: string): void => {
    if (control.signal.aborted) process.exit(130);
    terminal.say(`\n${name}: ${what} Once more to stop at once.`);
    control.abort(new Error(`stopped by ${name}`));
  };
  process.on('SIGINT', () => stop('Ctrl-C'));
  process.on('SIGTERM', () => stop('SIGTERM'));
  return control.signal;
}
