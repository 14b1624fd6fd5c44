/** `npm run build`, behind the compiler: the command line in one file, for its help. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { helpBundle } from './help-bundle.ts';

const [folder = join('dist', 'harness', 'cli')] = process.argv.slice(2);
writeFileSync(join(folder, 'help.js'), await helpBundle(join(folder, 'main.js')));
