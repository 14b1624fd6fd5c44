/** The command line in one file, for its help. Not published: it needs the packages for developers. */
import { dirname, join, relative, resolve } from 'node:path';

/** Classes that errors are told apart by, so the commands and this file must have the same ones. */
const shared = ['harness/cli/exit-code', 'harness/toml/problem'];

/**
 * What `main` loads at its start, in one module that stands beside it. What a command loads when it is called stays where it is.
 *
 * @param main of this program, source or compiled
 */
export async function helpBundle(main: string): Promise<string> {
  const { build } = await import('esbuild');
  const folder = dirname(resolve(main));
  const root = join(folder, '..', '..');
  const { outputFiles } = await build({
    entryPoints: [main],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    legalComments: 'none',
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    plugins: [
      {
        name: 'what is loaded later',
        setup({ onResolve }) {
          onResolve({ filter: /^\./ }, ({ path, resolveDir, kind }) => {
            const at = join(resolveDir, path);
            const name = relative(root, at)
              .replaceAll('\\', '/')
              .replace(/\.[jt]s$/, '');
            if (kind !== 'dynamic-import' && !shared.includes(name)) return undefined;
            const beside = relative(folder, at).replaceAll('\\', '/');
            return { path: beside.startsWith('.') ? beside : `./${beside}`, external: true };
          });
        },
      },
    ],
  });
  return outputFiles[0]!.text;
}
