#!/usr/bin/env node
/**
 * What an installed user starts. Reading twenty small files takes as long as showing the help, so for the help the build has put
 * them into one (`help-bundle.ts`); everything else, and a package that was built without it, is the program itself.
 */
import { existsSync } from 'node:fs';

const [first, ...others] = process.argv.slice(2);
const last = others.at(-1) ?? first;
const asksForHelp =
  last === '--help' || last === '-h' || first === 'help' || first === '--version' || first === '-V';
const help = new URL('help.js', import.meta.url);

if (asksForHelp && existsSync(help)) await import(help.href);
else await import('./main.ts');
