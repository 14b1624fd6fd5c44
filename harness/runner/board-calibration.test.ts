/** A virtual board whose constants were changed: what is planted in it must be found in its recordings. */
import test from 'ava';
import { stringify } from 'smol-toml';
import { diy } from '../device/device-profile.ts';
import { calibrate } from '../metrics/board-calibration.ts';
import {
  BoardProfileError,
  boardProfileTable,
  parseBoardProfile,
  readBoardProfile,
} from './board-profile-file.ts';
import { type BoardRun, boardScenario, VirtualBench } from './virtual-bench.contract.ts';

const planted = { redrawUs: 41_300, bootUs: 4_321_000 };
const slow = { ...diy, constants: { ...diy.constants, ...planted } };
const turn = '[[turn]]\nsay = "Hello there."\nreply = "Hi. How are you?"\n';
const talks = ['one', 'two', 'three'].map((name) => boardScenario(name, turn.repeat(2)));

const bench = await VirtualBench.open();
test.after.always(() => bench.remove());

/** The largest distance of a line from the model's, over all runs. */
function farthest(runs: readonly BoardRun[], line: string): number {
  return Math.max(
    ...runs.flatMap(({ board }) =>
      board!.twin.pairs
        .filter((pair) => pair.line === line)
        .map((pair) => Math.abs(pair.board.atUs - pair.model.atUs) / 1000),
    ),
  );
}

test('what was planted in a board is learned from its recordings, and its model fits with it', async (t) => {
  const runs: BoardRun[] = [];
  for (const talk of talks) {
    runs.push(await bench.run(talk, { board: { profile: slow }, network: 'good-wifi' }));
  }
  const learned = calibrate(
    runs.map(({ recorded }) => recorded),
    diy.constants.redrawUs,
  );
  const redraw = learned.redrawUs!;
  t.is(redraw.n, 6);
  t.true(redraw.errorUs <= 1000, `stated error ${redraw.errorUs} µs`);
  const wrong = Math.abs(redraw.valueUs - planted.redrawUs);
  t.true(wrong <= redraw.errorUs, `${wrong} µs off`);
  // The handshake over the air is in it.
  const lateUs = learned.bootUs!.valueUs - planted.bootUs;
  t.true(lateUs >= 0 && lateUs <= 60_000, `${lateUs} µs`);
  // Nothing is planted in the playing itself, and the way over the air is not the board's.
  t.true(
    Math.abs(learned.sentenceOverheadUs!.valueUs) <= 16_000,
    `${learned.sentenceOverheadUs!.valueUs}`,
  );
  t.true(learned.deliveryUs!.valueUs > 0 && learned.deliveryUs!.valueUs < 60_000);

  const text = stringify(boardProfileTable('kitchen-diy', 'diy', learned));
  const profile = parseBoardProfile(text, 'kitchen.toml');
  t.true(profile.calibrated);
  t.is(profile.constants.redrawUs, learned.redrawUs!.valueUs);
  t.regex(profile.sources.redrawUs, /^calibrated/);
  t.is(profile.constants.helloBytes, diy.constants.helloBytes);

  const again = await bench.run(talks[0]!, {
    board: { profile: slow },
    model: profile,
    network: 'ideal',
  });
  const before = await bench.run(talks[0]!, { board: { profile: slow }, network: 'ideal' });
  t.is(again.verdict.outcome, 'pass', JSON.stringify(again.verdict.failures));
  const tooShort = planted.redrawUs - diy.constants.redrawUs;
  t.true(farthest([again], 'Received notify event') <= 5);
  t.true(farthest([before], 'Received notify event') >= tooShort / 1000 - 5);
});

test('a profile file that cannot be meant is refused with what is wrong', (t) => {
  const good =
    'format_version = 1\nname = "kitchen"\nbase = "diy"\n[constants]\nredraw_us = 30000\n';
  t.is(parseBoardProfile(good, 'x').constants.redrawUs, 30_000);
  const refused = (text: string, message: RegExp): void => {
    const error = t.throws(() => parseBoardProfile(text, 'x.toml'), {
      instanceOf: BoardProfileError,
    });
    t.regex(error!.message, message);
  };
  refused(good.replace('= 1', '= 2'), /format_version is 2/);
  refused(good.replace('"diy"', '"toaster"'), /base "toaster" is none of diy/);
  refused(good.replace('"kitchen"', '"box"'), /not be that of a built-in board/);
  refused(
    good.replace('redraw_us', 'redraw_ms'),
    /constants\.redraw_ms is none of redraw_us, boot_us/,
  );
  refused(good.replace('30000', '-1'), /microseconds from 0/);
  refused(good.replace('30000', '"much"'), /microseconds from 0/);
  refused('name = ', /line 1/);
  t.throws(() => readBoardProfile('/nowhere/x.toml'), { instanceOf: BoardProfileError });
});

test('recordings without a console teach nothing', async (t) => {
  const run = await bench.run(talks[0]!, { board: { faults: ['errors-only'] } });
  const learned = calibrate([run.recorded], diy.constants.redrawUs);
  t.deepEqual(learned, {
    redrawUs: null,
    bootUs: null,
    sentenceOverheadUs: null,
    deliveryUs: null,
  });
});
