/** What a person names as secret, beside what the program knows itself. */
import { expandVariables } from '../../adapters/config-table.ts';
import { secretCharactersMin } from '../../adapters/secret-spellings.ts';
import { CommandError, exitCode } from './exit-code.ts';
import { tokenVariable } from './open-address.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The values of `--secret`, each as it is or `${NAME}` for a variable, as in configurations; and the token of `serve`,
 * when the environment has it.
 *
 * @throws {CommandError} `USAGE` for a variable that is not set, and for what is too short to be looked for
 */
export function namedSecrets(options: readonly string[], environment: Environment): string[] {
  const token = environment[tokenVariable] ?? '';
  const named = options.map((option) => namedSecret(option, environment));
  return [...named, ...(token === '' ? [] : [token])];
}

function namedSecret(option: string, environment: Environment): string {
  const variable = /^\$\{(\w+)\}$/.exec(option)?.[1];
  const { text, unset } =
    variable === undefined ? { text: option, unset: [] } : expandVariables(option, environment);
  if (unset.length > 0) {
    throw new CommandError(
      'USAGE',
      exitCode.usage,
      `--secret names the environment variable ${variable}, and it is not set or empty.`,
      `set ${variable}, or leave this --secret out`,
    );
  }
  if (text.length >= secretCharactersMin) return text;
  throw new CommandError(
    'USAGE',
    exitCode.usage,
    `--secret${variable === undefined ? '' : ` (${variable})`} has ${text.length} characters, and less than ${secretCharactersMin} stand in too many words.`,
    'name the whole value that no output may have',
  );
}
