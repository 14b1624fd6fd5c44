/** A part of docs/fault-matrix.md, measured again: some cells of every level, others for every seed. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { faults } from '../faults/catalog.ts';
import { faultLevels } from '../faults/fault.ts';
import { createRandom } from '../random/random.ts';
import {
  cellsOfPage,
  cellText,
  matrixCell,
  matrixPage,
  matrixProblem,
  matrixProviders,
} from './fault-matrix.ts';
import { openLaboratory } from './laboratory.ts';

const page = readFileSync(new URL('../../docs/fault-matrix.md', import.meta.url), 'utf8');

test('the page has a cell for every fault with every provider, and each has an outcome', (t) => {
  const cells = cellsOfPage(page);
  t.is(cells.length, faults.length * matrixProviders.length);
  t.is(matrixPage(cells), page, 'a page that was read is written again as it was');
  for (const { name } of faults) {
    for (const provider of matrixProviders) {
      const cell = cells.find((one) => one.fault === name && one.provider === provider);
      t.regex(cellText(cell), /^(–|[A-Za-z_-]+( \*)?)$/, `${name} ${provider}`);
    }
  }
  t.regex(page, /, 0 without an end\./);
  const [, worked, of] = /worked in (\d+) of\s+(\d+)/.exec(page) ?? [];
  t.is(worked, of);
});

test('cells of every level are what the page says, and the turn behind the fault works', async (t) => {
  const laboratory = await openLaboratory();
  const random = createRandom(14, 'cells of the matrix');
  const cells = cellsOfPage(page);
  const perLevel = { provider: 8, server: 3, network: 4, device: 1, serial: 2, host: 2 } as const;
  for (const level of faultLevels) {
    const own = faults.filter((fault) => fault.level === level);
    for (let i = 0; i < perLevel[level]; i++) {
      const fault = own[random.integer(0, own.length - 1)]!;
      const provider = matrixProviders[random.integer(0, matrixProviders.length - 1)]!;
      const cell = await matrixCell(laboratory, fault, provider);
      const name = `${fault.name} with ${provider}`;
      const written = cells.find((one) => one.fault === fault.name && one.provider === provider);
      t.is(cellText(cell), cellText(written), name);
      t.is(matrixProblem(cell), undefined, name);
    }
  }
});
