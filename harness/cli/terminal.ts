import type { SecretMask } from '../trace/secret-mask.ts';

/** The terminal as the commands see it: data on stdout, everything else on stderr. */
export interface Terminal {
  /** Data: what a pipe wants. */
  print(text: string): void;
  /** Progress and remarks. */
  say(text: string): void;
  readonly color: boolean;
  readonly width: number;
}

/** @param named what is said, with the name of the program as the user calls it */
export function processTerminal(named: (text: string) => string = (text) => text): Terminal {
  const { stdout, stderr, env } = process;
  const noColor = (env['NO_COLOR'] ?? '') !== '';
  return {
    print: (text) => void stdout.write(`${text}\n`),
    say: (text) => void stderr.write(`${named(text)}\n`),
    color: stdout.isTTY === true && !noColor && env['TERM'] !== 'dumb',
    width: Math.max(50, stdout.columns ?? 100),
  };
}

/** The same terminal; secrets are replaced in what it shows. */
export function maskedTerminal(terminal: Terminal, mask: SecretMask): Terminal {
  return {
    ...terminal,
    print: (text) => terminal.print(mask.text(text)),
    say: (text) => terminal.say(mask.text(text)),
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
