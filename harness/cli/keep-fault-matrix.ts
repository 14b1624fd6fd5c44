/**
 * `npm run fault-matrix`: runs every fault with every provider and writes docs/fault-matrix.md. Exits with 1 when a cell
 * has no outcome, or the turn behind the fault does not work. `-- --faults a,b`: only these, and nothing is written.
 */
import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { faults } from '../faults/catalog.ts';
import {
  cellText,
  type MatrixCell,
  matrixCell,
  matrixPage,
  matrixProblem,
  matrixProviders,
} from '../runner/fault-matrix.ts';
import { openLaboratory } from '../runner/laboratory.ts';
import { cacheFolder } from './cache-folder.ts';

const { values } = parseArgs({
  options: {
    faults: { type: 'string' },
    providers: { type: 'string' },
    jobs: { type: 'string', default: `${availableParallelism()}` },
    worker: { type: 'boolean', default: false },
  },
});
const providers = values.providers?.split(',') ?? matrixProviders;
const chosen = values.faults?.split(',');
const rows = faults.filter(({ name }) => chosen === undefined || chosen.includes(name));

if (values.worker) {
  const laboratory = await openLaboratory(cacheFolder());
  for (const provider of providers) {
    for (const fault of rows) process.send!(await matrixCell(laboratory, fault, provider));
  }
  process.disconnect();
} else {
  const cells = await allCells(Math.min(Number(values.jobs), providers.length));
  const problems = cells.flatMap((cell) => matrixProblem(cell) ?? []);
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  if (chosen === undefined && values.providers === undefined) {
    const order = new Map(faults.map(({ name }, i) => [name, i]));
    const sorted = [...cells].sort((a, b) => order.get(a.fault)! - order.get(b.fault)!);
    const page = matrixPage(sorted);
    writeFileSync(new URL('../../docs/fault-matrix.md', import.meta.url), page);
    process.stdout.write(page);
  } else {
    for (const cell of cells) {
      const { fault, provider, next, remark = '' } = cell;
      process.stdout.write(`${fault} ${provider}: ${cellText(cell)}, then ${next} ${remark}\n`);
    }
  }
  process.exitCode = problems.length === 0 ? 0 : 1;
}

async function allCells(jobs: number): Promise<MatrixCell[]> {
  const cells: MatrixCell[] = [];
  const shares = Array.from({ length: jobs }, (_, i) =>
    providers.filter((_provider, at) => at % jobs === i),
  );
  const script = fileURLToPath(import.meta.url);
  const passed = values.faults === undefined ? [] : ['--faults', values.faults];
  await Promise.all(
    shares.map(
      (share) =>
        new Promise<void>((resolve, reject) => {
          const child = fork(script, ['--worker', '--providers', share.join(','), ...passed]);
          child.on('message', (cell) => {
            cells.push(cell as MatrixCell);
            if (process.stderr.isTTY) {
              process.stderr.write(`\r${cells.length} of ${rows.length * providers.length} cells`);
            }
          });
          child.once('exit', (code) =>
            code === 0 ? resolve() : reject(new Error(`A worker ended with ${code}.`)),
          );
        }),
    ),
  );
  return cells;
}
