import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { createRandom } from '../random/random.ts';
import { BlockCoverage } from './block-coverage.ts';
import { runCampaign } from './campaign.ts';
import { textOf, utf8 } from './draws.ts';
import {
  inputOf,
  keepFoundInput,
  readFoundInput,
  readFoundInputs,
  written,
} from './found-input.ts';
import { slope } from './fuzz-run.ts';
import { BrokenRule, type Decode, type FuzzTarget, type RuleName } from './fuzz-target.ts';
import { LastInput, readLastInput } from './last-input.ts';
import { mutated } from './mutation.ts';
import { fuzzTargets, sharedInputs } from './targets.ts';
import { tryInput } from './trial.ts';

/** Over all targets; `npm run fuzz` takes as many as it is told. */
const inputs = 1500;

test.serial('no decoder breaks a rule, whatever it is fed with', async (t) => {
  const done: string[] = [];
  for (const [target, count] of sharedInputs(fuzzTargets, inputs)) {
    const decode = await target.open();
    const { violations } = await runCampaign(target, decode, { seed: 20_261_127, inputs: count });
    t.deepEqual(
      violations.map(
        ({ rule, what, input }) => `${rule}: ${what} (${JSON.stringify(written(input))})`,
      ),
      [],
      target.name,
    );
    done.push(`${target.name} ${count}`);
  }
  t.log(done.join(', '));
});

for (const [name, found] of readFoundInputs()) {
  test.serial(`what broke a rule once breaks none any more: ${name}`, async (t) => {
    const target = fuzzTargets.find((one) => one.name === found.target)!;
    const decode = await target.open();
    for (let i = 0; i < 3; i++) {
      const random = createRandom(found.seed, i === 0 ? 'shrinking' : `shrinking/${i}`);
      t.deepEqual(await tryInput(target, decode, inputOf(found), random), undefined);
    }
  });
}

/** A decoder of numbers, one on a line, with a mistake or without. */
const numbers: Omit<FuzzTarget, 'open'> = {
  name: 'numbers',
  about: 'numbers on lines',
  share: 1,
  longestBytes: 4096,
  arrival: 'stream',
  refusals: ['NOT_A_NUMBER'],
  time: { baseUs: 2500, perByteUs: 1 },
  tokens: ['7', '\n', '-'],
  draw: (random) =>
    utf8(Array.from({ length: random.integer(0, 9) }, () => random.integer(0, 999)).join('\n')),
};

function refusal(): Error {
  return Object.assign(new Error('no number'), { code: 'NOT_A_NUMBER' });
}

function readNumbers(pieces: readonly Uint8Array[]): number[] {
  const text = pieces.map((piece) => Buffer.from(piece).toString('latin1')).join('');
  return text.split('\n').map((line) => {
    if (!/^\d*$/.test(line)) throw refusal();
    return Number(line);
  });
}

const mistakes: Readonly<Record<Exclude<RuleName, 'no-hang'>, Decode>> = {
  'documented-errors': (pieces) =>
    readNumbers(pieces).map((number) => {
      if (number === 77) throw new TypeError('77 is not handled');
      return number;
    }),
  'bounded-time': (pieces) => {
    const found = readNumbers(pieces);
    let work = 0;
    for (let i = 0; found.length > 12 && i < 4e6; i++) work = (work + i) % 7;
    return [found, work];
  },
  'bounded-memory': (pieces) => {
    const found = readNumbers(pieces);
    // Not filled with zeros, which would take time as well.
    const kept = found.some((number) => number > 9e6) ? Buffer.allocUnsafeSlow(20_000_000) : [];
    return [found, kept.length];
  },
  'input-untouched': (pieces) => {
    const found = readNumbers(pieces);
    if (found.length > 3 && pieces[0]!.length > 0) pieces[0]![0] = 0;
    return found;
  },
  'pieces-agree': (pieces) =>
    readNumbers(pieces.length > 1 ? pieces.filter(({ length }) => length !== 3) : pieces),
  'round-trip': (pieces) =>
    readNumbers(pieces).map((number) => {
      if (number > 1e6) throw new BrokenRule('round-trip', `${number}`);
      return number;
    }),
  'nothing-lost': (pieces) => {
    const found = readNumbers(pieces);
    if (found.length === 5) throw new BrokenRule('nothing-lost', 'the fifth line is gone');
    return found;
  },
  'sound-account': (pieces) => {
    const found = readNumbers(pieces);
    if (found.includes(0) && found.length > 2) throw new BrokenRule('sound-account', 'a zero');
    return found;
  },
};

test.serial(
  'a mistake against each rule is found, and its input cut to the smallest',
  async (t) => {
    const smallest: Record<string, string> = {};
    for (const [rule, decode] of Object.entries(mistakes)) {
      const target = { ...numbers, open: () => decode };
      const result = await runCampaign(target, decode, { seed: 4, inputs: 4000, violationsMax: 1 });
      const [found] = result.violations;
      t.is(found?.rule, rule as RuleName);
      smallest[rule] = textOf(found!.input);
    }
    t.is(smallest['documented-errors'], '77');
    t.is(smallest['nothing-lost'], '\n\n\n\n');
    t.is(smallest['bounded-time'], '\n'.repeat(12));
  },
);

test.serial('the decoder without a mistake breaks no rule', async (t) => {
  const target = { ...numbers, open: () => readNumbers };
  const { violations } = await runCampaign(target, readNumbers, { seed: 4, inputs: 800 });
  t.deepEqual(violations, []);
});

test.serial('the same seed gives the same inputs', async (t) => {
  const seen = async (seed: number): Promise<string[]> => {
    const all: string[] = [];
    const onInput = (input: Uint8Array) => void all.push(Buffer.from(input).toString('hex'));
    await runCampaign({ ...numbers, open: () => readNumbers }, readNumbers, {
      seed,
      inputs: 60,
      onInput,
    });
    return all;
  };
  t.deepEqual(await seen(1), await seen(1));
  t.notDeepEqual(await seen(1), await seen(2));
});

test.serial('what the coverage tells brings the inputs further', async (t) => {
  // Each digit of a lock is a block of its own, which chance alone does not get to.
  const open = (key: string): number => {
    if (key[0] !== 'k') return 0;
    if (key[1] !== '7') return 1;
    if (key[2] !== 'q') return 2;
    if (key[3] !== '9') return 3;
    return 4;
  };
  const reached = async (feedback: boolean): Promise<number> => {
    let most = 0;
    const decode: Decode = ([input]) => {
      const depth = open(Buffer.from(input!).toString('latin1'));
      most = Math.max(most, depth);
      return depth;
    };
    const target: FuzzTarget = {
      ...numbers,
      arrival: 'whole',
      tokens: ['k', '7', 'q', '9'],
      draw: () => utf8('0000'),
      open: () => decode,
    };
    const coverage = new BlockCoverage(/fuzzing\.test/);
    await runCampaign(target, decode, { seed: 3, inputs: 2500, coverage, feedback });
    coverage.stop();
    return most;
  };
  t.is(await reached(true), 4);
  t.true((await reached(false)) < 4);
});

test.serial('a found input is kept as readable text and read back to the byte', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const bytes = Buffer.concat([
    Buffer.from('assert failed: '),
    Buffer.from(':1 ('.repeat(9000)),
    Buffer.from([0, 255, 254]),
    Buffer.alloc(500, 7),
  ]);
  const found = { target: 'console', rule: 'bounded-time', what: 'slow', seed: 9 } as const;
  const path = keepFoundInput(found, bytes, folder);
  const read = readFoundInput(path);
  t.deepEqual(Buffer.from(inputOf(read)), bytes);
  t.like(read, found);
  t.deepEqual(read.input, [
    { text: 'assert failed: ' },
    { text: ':1 (', times: 9000 },
    { hex: '00fffe' },
    { hex: '07', times: 500 },
  ]);
  for (let seed = 0; seed < 40; seed++) {
    const random = createRandom(seed);
    const source = { tokens: ['ab'], partner: random.bytes(50), longestBytes: 3000 };
    const any = mutated(random.bytes(40), random, source);
    t.deepEqual(Buffer.from(inputOf({ input: written(any) })), Buffer.from(any));
    t.true(any.length <= 3000);
  }
});

test('the input that ended a process is read back, whatever came before it', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'last');
  const last = new LastInput(file, 8);
  t.teardown(() => last.close());
  t.is(readLastInput(file), undefined);
  // Read while it is open: a process that has ended closed nothing.
  for (const input of [[1, 2, 3, 4, 5, 6, 7, 8], [9, 10], []]) {
    last.note(Uint8Array.from(input));
    t.deepEqual([...readLastInput(file)!], input);
  }
});

test.serial('a slope is that of the line through the points', (t) => {
  t.is(
    slope([
      [0, 5],
      [10, 25],
      [20, 45],
    ]),
    2,
  );
  t.is(slope([[3, 5]]), 0);
});

test.serial(
  'every target has a name, a share and words, and its own grammar breaks no decoder',
  async (t) => {
    t.is(new Set(fuzzTargets.map(({ name }) => name)).size, fuzzTargets.length);
    for (const target of fuzzTargets) {
      t.regex(target.name, /^[a-z][a-z-]+$/);
      const random = createRandom(1, target.name);
      const drawn = Array.from({ length: 20 }, () => target.draw(random));
      t.true(
        drawn.some(({ length }) => length > 0),
        target.name,
      );
      t.true(
        drawn.every(({ length }) => length <= 1 << 17),
        target.name,
      );
    }
  },
);

test('the targets share exactly the inputs that were asked for', (t) => {
  for (const inputs of [1_500, 99_999, 1_000_000]) {
    const counts = [...sharedInputs(fuzzTargets, inputs).values()];
    t.is(
      counts.reduce((sum, count) => sum + count, 0),
      inputs,
    );
    t.true(counts.every((count) => count >= 1));
  }
});
