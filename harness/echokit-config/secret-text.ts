import { isTable, secretName } from '../../adapters/config-table.ts';
import type { SourceMap, SourceRange } from '../toml/source-position.ts';

const dot = '•';
/** A line that assigns to a key with such a name, also in a comment or in text that is not TOML. */
const assignment =
  /(?<![\w.'"-])([\w.'"-]*(?:key|token|secret|passw|auth)[\w.'"-]*[ \t]*=[ \t]*)([^\r\n]+)/gi;
const userOfUrl = /(:\/\/)([^\s/"'@]+)(?=@)/g;
const parameterOfUrl = /([?&][\w-]*(?:key|token|secret|passw|auth)[\w-]*=)([^\s&"'#]+)/gi;
/** Names a secret and holds none. */
const reference = /^["']?\$\{\w+\}["']?$/;

/**
 * The text of a file as it may be shown: of the same length, with dots for everything that is or may be
 * a secret.
 */
export function hideSecrets(source: SourceMap): string {
  let text = source.text;
  for (const { start, end } of secretRanges(source)) {
    text = text.slice(0, start) + dots(text.slice(start, end)) + text.slice(end);
  }
  return text
    .replaceAll(userOfUrl, (_, before: string, user: string) => before + dots(user))
    .replaceAll(parameterOfUrl, (_, before: string, value: string) => before + dots(value))
    .replaceAll(assignment, (_, key: string, value: string) => key + hiddenRest(value));
}

/** Every text of a key with such a name, at any depth. */
export function secretValues(value: unknown, secret = false): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => secretValues(item, secret));
  if (isTable(value)) {
    return Object.entries(value).flatMap(([key, item]) => secretValues(item, secretName.test(key)));
  }
  return secret && typeof value === 'string' && !reference.test(value) ? [value] : [];
}

function secretRanges(source: SourceMap): SourceRange[] {
  return source.paths().flatMap((path) => {
    const name = path.findLast((part) => typeof part === 'string');
    if (name === undefined || !secretName.test(name)) return [];
    const { key, value } = source.find(path)!;
    const written = source.text.slice(value.start, value.end);
    const isHeader = value.start <= key.start && typeof path.at(-1) === 'string';
    return isHeader || /^[[{]/.test(written) || reference.test(written) ? [] : [value];
  });
}

/** Hides a value in quotes, else the whole rest of its line. A reference to a variable stays readable. */
function hiddenRest(rest: string): string {
  const [written = rest] = /^(?:"[^"]*"|'[^']*'|•+)/.exec(rest) ?? [];
  return reference.test(written) ? rest : dots(written) + rest.slice(written.length);
}

function dots(text: string): string {
  return text.replaceAll(/[^\r\n]/g, dot);
}
