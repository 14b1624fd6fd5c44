/**
 * For tests: all TypeScript of a checkout as JavaScript in a folder of the same layout, made anew where a source has changed.
 * A test process then loads it as Node loads any JavaScript, without a loader that is asked about each import.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Of the checkout. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

const compiledFolder = join(root, '.cache', 'compiled-sources');
const digestsFile = join(compiledFolder, 'digests.json');
const sourceFolders = ['harness', 'adapters', 'firmware-protocol'];

/** @param {string} source its path, absolute or from the checkout; returns the absolute one of what it is compiled to */
export function compiledPath(source) {
  const path = source.startsWith(root) ? source.slice(root.length) : source;
  return join(compiledFolder, path.replace(/\.ts$/, '.js'));
}

/** Compiles what has changed since the last time and removes what has no source any more. Rejects with esbuild's messages. */
export async function compileSources() {
  const { sources, installed } = filesBelow(sourceFolders);
  const known = readDigests();
  const maker = digest(
    readFileSync(fileURLToPath(import.meta.url)),
    readFileSync(join(root, 'tsconfig.json')),
    readFileSync(join(root, 'node_modules', 'esbuild', 'package.json')),
    root,
  );
  const digests = Object.fromEntries(
    sources.map((source) => [source, digest(maker, readFileSync(join(root, source)))]),
  );
  const changed = sources.filter((source) => known[source] !== digests[source]);
  const removed = Object.keys(known).filter((source) => digests[source] === undefined);
  const links = installed.filter((folder) => !existsSync(join(compiledFolder, folder)));
  if (changed.length + removed.length + links.length === 0) return;

  for (const source of removed) {
    for (const end of ['', '.map']) rmSync(`${compiledPath(source)}${end}`, { force: true });
  }
  if (changed.length > 0) await compile(changed);
  for (const folder of links) link(folder);
  writeFileWhole(join(compiledFolder, 'package.json'), '{ "type": "module" }\n');
  writeFileWhole(digestsFile, JSON.stringify(digests));
}

/** Sources, and the folders of packages that belong to a part of the checkout, from which its compiled files import, too. */
function filesBelow(folders) {
  const sources = [];
  const installed = [];
  const visit = (folder) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.name === 'node_modules') installed.push(path);
      else if (entry.isDirectory()) visit(path);
      else if (entry.name.endsWith('.ts') && !entry.name.endsWith('.d.ts')) sources.push(path);
    }
  };
  for (const folder of folders) visit(folder);
  return { sources, installed };
}

async function compile(sources) {
  // Only here: most runs find everything compiled.
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: sources,
    outbase: root,
    outdir: compiledFolder,
    write: false,
    sourcemap: true,
    sourcesContent: false,
    format: 'esm',
    target: 'node20',
    logLevel: 'silent',
  });
  const made = new Set();
  for (const { path, text } of outputFiles) {
    const folder = dirname(path);
    if (!made.has(folder)) {
      mkdirSync(folder, { recursive: true });
      made.add(folder);
    }
    const source = join(root, path.slice(compiledFolder.length)).replace(/\.js$/, '.ts');
    writeFileWhole(path, path.endsWith('.js') ? asLoaded(text, source) : text);
  }
}

/** An import statement as esbuild prints it, up to the name of a source. */
const staticImport = /^((?:import|export) (?:[^;'"`]*? from )?"\.\.?\/[^"\n]*)\.ts";$/gm;
const dynamicImport = /(\bimport\("\.\.?\/[^"\n]*)\.ts"\)/g;

/** Imports name compiled files, and the module takes itself for its source: what lies beside it lies beside that. */
function asLoaded(text, source) {
  const renamed = text.replaceAll(staticImport, '$1.js";').replaceAll(dynamicImport, '$1.js")');
  if (!renamed.includes('import.meta')) return renamed;
  const [url, filename, folder] = [pathToFileURL(source).href, source, dirname(source)].map(
    (place) => JSON.stringify(place),
  );
  // Behind the code of the first line, so that the lines stay those of the source map. It runs before it: after the imports.
  const assignments = [
    `import.meta.url = ${url};`,
    `import.meta.filename = ${filename}; import.meta.dirname = ${folder};`,
  ];
  if (renamed.includes('import.meta.resolve')) {
    assignments.push(
      'import.meta.resolve = ((resolve) => (name) =>',
      `/^\\.\\.?\\//.test(name) ? new URL(name, ${url}).href : resolve(name))(import.meta.resolve);`,
    );
  }
  return `${assignments.join(' ')} ${renamed}`;
}

function link(folder) {
  const path = join(compiledFolder, folder);
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(join(root, folder), path, 'junction');
}

/** @returns {Record<string, string>} of the sources that are compiled; none where nothing is, or by nothing that can be read */
function readDigests() {
  try {
    return JSON.parse(readFileSync(digestsFile, 'utf8'));
  } catch {
    return {};
  }
}

function digest(...parts) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('base64');
}

/** Two runners may do this at the same time: what one of them reads is never half of a file. */
function writeFileWhole(path, text) {
  const part = `${path}.${process.pid}.part`;
  writeFileSync(part, text);
  renameSync(part, path);
}
