/** What a report page runs in the browser: from the package as it was built, in a checkout bundled from its sources. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PageProgram } from '../report/page/report-page.ts';

const here = dirname(fileURLToPath(import.meta.url));
const folder = join(here, '..', 'report', 'page', 'browser');
/** In the compiled package, beside what was compiled. */
const builtScript = 'page.script.txt';
const builtStyles = 'page.styles.txt';

export async function pageProgram(): Promise<PageProgram> {
  if (import.meta.url.endsWith('.ts')) return await bundledProgram();
  return {
    script: readFileSync(join(folder, builtScript), 'utf8'),
    styles: readFileSync(join(folder, builtStyles), 'utf8'),
  };
}

/** Needs the packages for developers. The same sources and versions give the same text. */
export async function bundledProgram(): Promise<PageProgram> {
  const { build } = await import('esbuild');
  const require = createRequire(import.meta.url);
  const uplot = dirname(require.resolve('uplot/package.json'));
  const built = async (entry: string, styles: string[]): Promise<string> => {
    const { outputFiles } = await build({
      entryPoints: [entry, ...styles],
      bundle: true,
      minify: true,
      write: false,
      outdir: 'out',
      format: 'iife',
      platform: 'browser',
      target: 'es2022',
      charset: 'ascii',
      legalComments: 'none',
    });
    return outputFiles.map(({ text }) => text.trim()).join('\n');
  };
  const [script, styles] = await Promise.all([
    built(join(folder, 'main.ts'), []),
    built(join(uplot, 'dist', 'uPlot.min.css'), [join(folder, 'page.css')]),
  ]);
  const licence = readFileSync(join(uplot, 'LICENSE'), 'utf8').replaceAll('*/', '');
  return { script: `/* with uPlot:\n${licence.trim()}\n*/\n${script}`, styles };
}

/** A path as a page can open it: whatever is in its names. */
export function urlPath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/** File names and contents of the compiled package. */
export function builtFiles({
  script,
  styles,
}: PageProgram): readonly (readonly [string, string])[] {
  return [
    [builtScript, script],
    [builtStyles, styles],
  ];
}
