/** Text in XML 1.0. */
import { neutralize } from './terminal-text.ts';

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/**
 * For an attribute or between tags: one line, every character one that XML 1.0 permits (section 2.2), none with a meaning;
 * nothing either that GitHub's runner would take for a command (`##[`).
 */
export function xmlText(text: string): string {
  return neutralize(text)
    .replaceAll(/[&<>"']/g, (character) => entities[character]!)
    .replaceAll('##[', '##&#91;');
}

/** `name="value"` with a space in front of each; what is undefined is left out. */
export function xmlAttributes(
  attributes: Readonly<Record<string, string | number | undefined>>,
): string {
  return Object.entries(attributes)
    .flatMap(([name, value]) =>
      value === undefined ? [] : [` ${name}="${xmlText(String(value))}"`],
    )
    .join('');
}
