/**
 * `npm run fault-matrix`: runs every fault with every provider and writes docs/fault-matrix.md. Exits with 1 when a cell
 * has no outcome, or the turn behind the fault does not work; nothing is written then.
 */
import { fork } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Option } from 'commander';
import { faults } from '../faults/catalog.ts';
import {
  cellsOfPage,
  cellText,
  type MatrixCell,
  matrixCell,
  matrixPage,
  matrixProblem,
  matrixProviders,
} from '../runner/fault-matrix.ts';
import { openLaboratory } from '../runner/laboratory.ts';
import { cacheFolder } from './cache-folder.ts';
import { checkoutCommand, namesOf, wholeWithin } from './checkout-command.ts';

interface MatrixOptions {
  readonly faults?: readonly string[];
  readonly providers: readonly string[];
  readonly jobs: number;
  readonly worker?: boolean;
}

const options = checkoutCommand(
  'fault-matrix',
  'Runs every fault with every provider and writes docs/fault-matrix.md.',
)
  .option(
    '--faults <names>',
    'measure only these anew, separated by commas; the others stay as they are in the page',
    namesOf(faults.map(({ name }) => name)),
  )
  .addOption(
    new Option('--providers <names>', 'separated by commas')
      .argParser(namesOf(matrixProviders))
      .default(matrixProviders, 'all'),
  )
  .addOption(
    new Option('--jobs <count>', 'processes side by side')
      .argParser(wholeWithin(1, 1000))
      .default(availableParallelism(), 'one for each processor'),
  )
  .addOption(new Option('--worker', 'of one of these processes').hideHelp())
  .parse()
  .opts<MatrixOptions>();
const { providers, faults: chosen } = options;
const rows = faults.filter(({ name }) => chosen === undefined || chosen.includes(name));

if (options.worker) {
  const laboratory = await openLaboratory(cacheFolder());
  for (const provider of providers) {
    for (const fault of rows) process.send!(await matrixCell(laboratory, fault, provider));
  }
  process.disconnect();
} else {
  const cells = await allCells(Math.min(options.jobs, providers.length));
  const problems = cells.flatMap((cell) => matrixProblem(cell) ?? []);
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  for (const cell of chosen === undefined ? [] : cells) {
    const { fault, provider, next, remark = '' } = cell;
    process.stdout.write(`${fault} ${provider}: ${cellText(cell)}, then ${next} ${remark}\n`);
  }
  if (problems.length === 0) {
    const file = new URL('../../docs/fault-matrix.md', import.meta.url);
    const kept = existsSync(file) ? cellsOfPage(readFileSync(file, 'utf8')) : [];
    const known = new Set(faults.map(({ name }) => name));
    const all = [
      ...kept.filter((old) => known.has(old.fault) && !cells.some((cell) => isSame(cell, old))),
      ...cells,
    ];
    const page = matrixPage(all);
    writeFileSync(file, page);
    if (chosen === undefined) process.stdout.write(page);
  }
  process.exitCode = problems.length === 0 ? 0 : 1;
}

function isSame(a: MatrixCell, b: MatrixCell): boolean {
  return a.fault === b.fault && a.provider === b.provider;
}

async function allCells(jobs: number): Promise<MatrixCell[]> {
  const cells: MatrixCell[] = [];
  const shares = Array.from({ length: jobs }, (_, i) =>
    providers.filter((_provider, at) => at % jobs === i),
  );
  const script = fileURLToPath(import.meta.url);
  const passed = chosen === undefined ? [] : ['--faults', chosen.join(',')];
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
