/** The documents as a reader uses them: links lead somewhere, both READMEs have the same commands. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { ProgramStarter } from '../cli/started-program.contract.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const program = new ProgramStarter();
test.after.always(() => program.remove());

const skipped = new Set(['node_modules', '.git', 'dist', '.cache', 'runs']);

function markdownFiles(folder = root): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : markdownFiles(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

/** Without blocks of code and inline code, whose brackets are no links. */
function prose(text: string): string {
  return text.replaceAll(/^(```+)[^\n]*\n.*?^\1$/gms, '').replaceAll(/(`+)(?:(?!\1).)+\1/g, 'code');
}

/** As GitHub makes them: lower case, spaces to hyphens, everything else but letters, digits, - and _ away. */
function anchorsOf(path: string): ReadonlySet<string> {
  const text = readFileSync(path, 'utf8').replaceAll(/^(```+)[^\n]*\n.*?^\1$/gms, '');
  const seen = new Map<string, number>();
  const anchors = [...text.matchAll(/^#{1,6} +(.+?) *#*$/gm)].map(([, heading]) => {
    const plain = heading!.replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1');
    const slug = plain
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
      .replaceAll(' ', '-');
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    return count === 0 ? slug : `${slug}-${count}`;
  });
  const named = [...text.matchAll(/<a (?:id|name)="([^"]+)"/g)].map(([, name]) => name!);
  return new Set([...anchors, ...named]);
}

test('every relative link of every document leads to a file, and to a heading where it names one', (t) => {
  const files = markdownFiles();
  t.true(files.length > 25, 'the documents were found');
  const anchors = new Map<string, ReadonlySet<string>>();
  const broken: string[] = [];
  let links = 0;
  for (const file of files) {
    for (const [, written] of prose(readFileSync(file, 'utf8')).matchAll(/\]\(([^)\s]+)\)/g)) {
      const target = decodeURIComponent(written!);
      if (/^[a-z]+:/.test(target)) continue;
      links++;
      const [path = '', anchor] = target.split('#');
      const to = path === '' ? file : join(dirname(file), path);
      const at = `${relative(root, file)}: ${target}`;
      if (!existsSync(to)) broken.push(at);
      else if (anchor !== undefined) {
        if (statSync(to).isDirectory()) {
          broken.push(`${at} (a folder has no headings)`);
          continue;
        }
        const known = anchors.get(to) ?? anchorsOf(to);
        anchors.set(to, known);
        if (!known.has(anchor)) broken.push(`${at} (no such heading)`);
      }
    }
  }
  t.true(links > 100, `${links} links were found`);
  t.deepEqual(broken, []);
});

/** Options of every command, by its name; read off the completion script, which has all of them. */
async function commandTable(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const { stdout } = await program.start(['completion', 'fish']).ended;
  const table = new Map<string, Set<string>>();
  for (const [, command, option] of stdout.matchAll(/_is \\'([^']*)\\'' -l ([a-z0-9-]+)/g)) {
    const options = table.get(command!) ?? new Set(['help', 'version']);
    options.add(option!);
    table.set(command!, options);
  }
  for (const [, command, child] of stdout.matchAll(/_is \\'([^']*)\\'' -a '([^']+)' -d/g)) {
    const name = [command, child].filter((part) => part !== '').join(' ');
    if (!table.has(name)) table.set(name, new Set(['help']));
  }
  return table;
}

interface CommandLine {
  readonly file: string;
  readonly line: string;
  readonly words: readonly string[];
}

/** What a reader would type: in blocks of code, behind the name of the program. */
function commandLines(file: string): CommandLine[] {
  const blocks = readFileSync(file, 'utf8').matchAll(/^```(?:sh|yaml)\n(.*?)^```$/gms);
  return [...blocks].flatMap(([, block]) =>
    block!.split('\n').flatMap((line): CommandLine[] => {
      const [, typed] =
        /(?:npm run -s harness --|(?:npx --yes |npx |- |^|\s)echokit-harness(?:@\S+)?)(?: +([^#|>]*))?(?:[#|>]|$)/.exec(
          line,
        ) ?? [];
      if (typed === undefined) return [];
      return [{ file: relative(root, file), line: line.trim(), words: typed.trim().split(/\s+/) }];
    }),
  );
}

test('every command line of the documents is one that the program has', async (t) => {
  const table = await commandTable();
  t.true((table.get('run')?.size ?? 0) > 25 && table.size > 20, `${table.size} commands`);
  const lines = markdownFiles()
    .filter((file) => !file.includes('official-clients'))
    .flatMap(commandLines);
  t.true(lines.length > 80, `${lines.length} command lines were found`);
  const wrong: string[] = [];
  for (const { file, line, words } of lines) {
    const [first = '', second = ''] = words;
    const command = table.has(`${first} ${second}`) ? `${first} ${second}` : first;
    const options = table.get(first.startsWith('-') ? 'run' : command);
    if (options === undefined) wrong.push(`${file}: no command "${command}": ${line}`);
    const parent = table.get(first);
    for (const word of words.filter((one) => /^--[a-z]/.test(one))) {
      const option = word.slice(2).split('=')[0]!;
      if (!options?.has(option) && !parent?.has(option)) wrong.push(`${file}: no ${word}: ${line}`);
    }
  }
  t.deepEqual(wrong, []);
});

/** What a translation must not change: blocks without their comments, levels of headings, rows of tables, links. */
function skeleton(text: string) {
  const blocks = [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, block]) =>
    language === 'sh' ? block!.replaceAll(/ *#.*$/gm, '') : block!,
  );
  const rest = text.replaceAll(/^```.*?^```$/gms, '');
  return {
    blocks,
    headings: [...rest.matchAll(/^(#+) /gm)].map(([, level]) => level!),
    rows: [...rest.matchAll(/^\|/gm)].length,
    links: [...rest.matchAll(/\]\(([^)#\s]+)[^)\s]*\)/g)]
      .map(([, target]) => target!)
      .filter((target) => !/^README|^docs\/zh\//.test(target))
      .sort(),
    commands: [
      ...rest.matchAll(
        /`((?:npm|run|replay|doctor|conform|init|compare|faults|inspect|stand-ins)[^`]*)`/g,
      ),
    ]
      .map(([, command]) => command!)
      .sort(),
  };
}

test('the README in Chinese has the commands, examples, headings, rows and links of the English one', (t) => {
  const english = skeleton(readFileSync(join(root, 'README.md'), 'utf8'));
  t.true(english.blocks.length >= 4 && english.links.length > 20);
  t.deepEqual(skeleton(readFileSync(join(root, 'README.zh-CN.md'), 'utf8')), english);
});

test('the README in Chinese has no heading that was forgotten in English', (t) => {
  const text = readFileSync(join(root, 'README.zh-CN.md'), 'utf8').replaceAll(
    /^```.*?^```$/gms,
    '',
  );
  for (const [, heading] of text.matchAll(/^#{2,} (.*)$/gm)) t.regex(heading!, /\p{Script=Han}/u);
});
