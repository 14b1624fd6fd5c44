/** How an output is written, on the command line and in the configuration file: `<kind>=<file>`. */
import { nearestName } from '../../adapters/nearest-name.ts';

/** The path that stands for standard output. */
export const standardOutput = '-';

export interface WrittenOutput<Kind extends string> {
  readonly kind: Kind;
  readonly path: string;
}

/** What is wrong with it, and what would be right. */
export interface OutputProblem {
  readonly message: string;
  readonly hint: string;
}

/** @param kinds those that exist */
export function readWrittenOutput<Kind extends string>(
  written: string,
  kinds: readonly Kind[],
): WrittenOutput<Kind> | OutputProblem {
  const [, name = written, path = ''] = /^([^=]*)=(.*)$/s.exec(written) ?? [];
  const kind = kinds.find((one) => one === name);
  if (kind === undefined) {
    const meant = nearestName(name, kinds);
    return {
      message: `there is no output "${name}"${meant === undefined ? '' : `: did you mean "${meant}"?`}`,
      hint: `outputs: ${kinds.join(', ')}; for example junit=results.xml`,
    };
  }
  if (path === '') {
    return {
      message: 'it names no file',
      hint: `${kind}=<file>, or ${kind}=${standardOutput} for standard output`,
    };
  }
  return { kind, path };
}
