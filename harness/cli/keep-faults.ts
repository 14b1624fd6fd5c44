/** `npm run keep-faults`: writes the tables of the fault library into its page. */
import { readFileSync, writeFileSync } from 'node:fs';
import { faultTables } from '../faults/fault-table.ts';

const page = new URL('../faults/README.md', import.meta.url);
const marks = ['<!-- tables: npm run keep-faults -->', '<!-- end of tables -->'] as const;
const text = readFileSync(page, 'utf8');
const [before] = text.split(marks[0]);
const [, after] = text.split(marks[1]);
writeFileSync(page, `${before}${marks[0]}\n\n${faultTables()}\n\n${marks[1]}${after}`);
