import test from 'ava';
import { addLedgers, hasLedgerFault, type LedgerStageReport } from './ledger-report.ts';
import { ledgerTables } from './ledger-tables.ts';
import { plantRunReport, plantTurn } from './planted-report.contract.ts';
import type { CellReport } from './run-report.ts';
import { displayWidth } from './terminal-text.ts';

const same = (text: string): string => text;
const plain = { bold: same, dim: same, red: same, yellow: same };

// Each turn is 20000 samples: ten packets, and 800 that need 1120 more to fill the eleventh. Of 21120
// the player plays 82 chunks of 256; the other 128 come in front of the second turn.
const turns = [plantTurn(), plantTurn({ startMs: 10_000 })];
const { cells } = plantRunReport([{ provider: 'openai', turns }]);
const cell = cells[0]!;

/** The same cell on a server that dropped what fills no packet instead of filling it up. */
function lossy(planted: CellReport): CellReport {
  const stages = planted.ledger.stages.map((stage): LedgerStageReport => {
    if (stage.stage !== 'framed') return stage;
    const lost = { cause: 'remainder', samples: -1600, ms: -100, defect: true } as const;
    return { ...stage, samples: 38_400, ms: 2400, causes: [lost] };
  });
  return { ...planted, server: 'echokit-server', ledger: { ...planted.ledger, stages } };
}

test('the ledger of a cell, turn by turn, to the character', (t) => {
  const lines = ledgerTables(cells, { detail: 'all', width: 100 }, plain);
  t.deepEqual(
    lines.slice(0, 12),
    `Sample ledger: one-question · openai · diy · good-wifi (samples at 16 kHz; they came at 16 kHz)
                turn 1  turn 2  outside     all      ms
provider         20000   20000        0   40000  2500.0
normalised       20000   20000        0   40000  2500.0
  padding        +1120   +1120            +2240  +140.0
framed           21120   21120        0   42240  2640.0
received         21120   21120        0   42240  2640.0
decoded          21120   21120        0   42240  2640.0
  hello sound                    +11239  +11239  +702.4
for the player   21120   21120    11239   53479  3342.4
  rest            -128    +128
played           20992   21248    11239   53479  3342.4`.split('\n'),
  );
  t.true(lines.at(-1)!.length > 0);
  t.true(lines.join(' ').includes('padding = zeros that fill the last packet of a sentence'));
});

test('without the wish for it the ledger is shown only where something is wrong', (t) => {
  t.deepEqual(ledgerTables(cells, { detail: 'sums', width: 100 }, plain), []);
  t.false(hasLedgerFault(cell.ledger));
  const both = [cell, lossy(cell)];
  const lines = ledgerTables(both, { detail: 'sums', width: 100 }, plain);
  t.deepEqual(lines.slice(0, 5), [
    'Sample ledger (ms; turn by turn and in samples with --ledger)',
    '                  openai*',
    'provider           2500.0',
    'normalised         2500.0',
    '  rest of blocks   -100.0',
  ]);
});

test('of many cells the faulty ones are shown turn by turn, and all of them as one', (t) => {
  const many = [...Array.from({ length: 40 }, () => cell), lossy(cell)];
  const lines = ledgerTables(many, { detail: 'faulty', width: 100 }, plain);
  t.true(lines.length < 60, `${lines.length} lines`);
  t.deepEqual(
    lines.filter((line) => line.startsWith('Sample ledger')),
    [
      'Sample ledger: one-question · openai · diy · good-wifi · echokit-server (samples at 16 kHz; they',
      'Sample ledger: all cells together; in 40 of 41 cells every sample has a good cause (each turn by',
    ],
  );
  const from = lines.findIndex((line) => line.startsWith('Sample ledger: all'));
  t.regex(lines.slice(from).join('\n'), /^provider +1640000 +102500\.0$/m);
  const clean = ledgerTables([cell], { detail: 'faulty', width: 100 }, plain);
  t.regex(clean[0]!, /in 1 of 1 cell every sample has a good cause/);
});

test('samples without a cause are shown with the contradiction and its place in the trace', (t) => {
  const what = 'samples of frame 4 of connection 1: 1800, expected 1920';
  const unexplained = [
    { to: 'decoded', samples: -120, what, turn: 1, sentence: 1, seqs: [31] } as const,
  ];
  const stages = cell.ledger.stages.map((stage) =>
    stage.stage === 'decoded' ? { ...stage, unexplained: -120 } : stage,
  );
  const broken = { ...cell, ledger: { ...cell.ledger, stages, unexplained } };
  const short = ledgerTables([broken], { detail: 'sums', width: 100 }, plain);
  t.true(short.some((line) => /^ {2}unexplained +-7\.5$/.test(line)));
  const full = ledgerTables([broken], { detail: 'all', width: 100 }, plain);
  t.true(full.includes(`  decoded: ${what} (seq 31)`));
});

test('the ledgers of two cells are added stage by stage and cause by cause', (t) => {
  const sum = addLedgers([cell.ledger.stages, lossy(cell).ledger.stages]);
  const framed = sum.find(({ stage }) => stage === 'framed')!;
  t.is(framed.samples, 42_240 + 38_400);
  t.deepEqual(framed.causes, [
    { cause: 'padding', samples: 2240, ms: 140 },
    { cause: 'remainder', samples: -1600, ms: -100, defect: true, compat: 'audio-blocks' },
  ]);
});

test('in the document the turns and what is outside of them add up to the cell', (t) => {
  for (const [i, stage] of cell.ledger.stages.entries()) {
    const parts = [...cell.turns.map(({ ledger }) => ledger.stages[i]!), cell.ledger.outside[i]!];
    t.is(
      parts.reduce((sum, part) => sum + part.samples!, 0),
      stage.samples!,
      stage.stage,
    );
    t.is(stage.ms, stage.samples! / 16);
    const before = i === 0 ? stage.samples! : cell.ledger.stages[i - 1]!.samples!;
    const caused = stage.causes.reduce((sum, { samples }) => sum + samples, 0);
    t.is(before + caused + stage.unexplained!, stage.samples!);
  }
});

test('a cell of many turns fits a narrow terminal', (t) => {
  const many = Array.from({ length: 9 }, (_, i) => plantTurn({ startMs: i * 10_000 }));
  const report = plantRunReport([{ provider: 'openai', turns: many }]);
  const lines = ledgerTables(report.cells, { detail: 'all', width: 50 }, plain);
  for (const line of lines) t.true(displayWidth(line) <= 50, line);
  for (let turn = 1; turn <= 9; turn++) t.true(lines.join('\n').includes(`turn ${turn}`));
});
