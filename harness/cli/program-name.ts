/**
 * How this program is called where it runs: hints, examples and usage name it as it was started, so that a line of them
 * can be typed again. Everything else writes `echokit-harness <command>`; the terminal and the help put this name there.
 */
import { relative } from 'node:path';

const installedName = 'echokit-harness';

export interface ProgramStart {
  /** The script that Node runs, absolute. */
  readonly script: string;
  /** With what npm says of itself: `npm_command`, `npm_lifecycle_event`. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly folder: string;
}

export function programName({ script, environment, folder }: ProgramStart): string {
  const { npm_command: command, npm_lifecycle_event: npmScript } = environment;
  if (script.endsWith('.ts')) {
    // Without -s npm writes lines of its own into the output.
    if (npmScript === 'harness' || npmScript === 'start') return 'npm run -s harness --';
    return `npx tsx ${relative(folder, script)}`;
  }
  if (command === 'exec') return `npx ${installedName}`;
  const isInstalled = !script.endsWith('.js') || /[/\\]node_modules[/\\]/.test(script);
  return isInstalled ? installedName : `node ${relative(folder, script)}`;
}

/** @param commands of the program: its name before anything else is only a name */
export function namedAsStarted(text: string, name: string, commands: readonly string[]): string {
  if (name === installedName) return text;
  const called = new RegExp(`\\b${installedName}(?= (?:(?:${commands.join('|')})\\b|\\[))`, 'g');
  return text.replace(called, () => name);
}
