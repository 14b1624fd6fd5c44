/** `npm run build`, behind the compiler: puts what a report page runs in the browser into the package. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { builtFiles, bundledProgram } from './page-program.ts';

const folder = join('dist', 'harness', 'report', 'page', 'browser');
mkdirSync(folder, { recursive: true });
for (const [name, text] of builtFiles(await bundledProgram())) {
  writeFileSync(join(folder, name), text);
}
