/** The codes of `docs/troubleshooting.md`, each with an anchor of its own, from the tables of `harness/README.md`. */

/** The part that begins with this heading has the tables, a group each. */
const partHeading = '## Error codes';

/**
 * @param text of `harness/README.md` @param folder of that file, seen from the page
 * @throws {Error} when there is no table
 */
export function errorReference(text: string, folder: string): string {
  const part = text.split(`\n${partHeading}\n`)[1]?.split('\n## ')[0] ?? '';
  const groups = part.split('\n### ').slice(1);
  if (groups.length === 0) throw new Error(`There is no "${partHeading}" with tables of codes.`);
  return groups.map((group) => errorGroup(relocated(group, folder))).join('\n');
}

function errorGroup(group: string): string {
  const [title = '', ...lines] = group.split('\n');
  const intro = lines
    .filter((line) => !line.startsWith('|'))
    .join('\n')
    .trim();
  const codes = lines.flatMap((line): string[] => {
    const [code, meaning = '', advice = ''] = cells(line);
    const name = /^`([A-Z][A-Z0-9_]+)`$/.exec(code ?? '')?.[1];
    if (name === undefined) return [];
    return [`### ${name}`, '', `${sentence(meaning)} **What to do:** ${sentence(advice)}`, ''];
  });
  return [`## ${title}`, '', ...(intro === '' ? [] : [intro, '']), ...codes].join('\n');
}

function cells(line: string): string[] {
  return line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());
}

function sentence(text: string): string {
  const capital = text.replace(/^[a-z]/, (letter) => letter.toUpperCase());
  return /[.!?:]$/.test(capital) ? capital : `${capital}.`;
}

/** Links that were relative to the other file. */
function relocated(text: string, folder: string): string {
  return text.replaceAll(/\]\((?!https?:|#|\/)([^)]+)\)/g, (_, target: string) =>
    target.startsWith('../') ? `](${target})` : `](${folder}/${target})`,
  );
}
