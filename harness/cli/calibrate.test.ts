/** The command as a user starts it, on recordings of a virtual board. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { readBoardProfile } from '../runner/board-profile-file.ts';
import { boardScenario, VirtualBench } from '../runner/virtual-bench.contract.ts';
import { calibrateCommand } from './calibrate-command.ts';
import { CommandError } from './exit-code.ts';

const folder = mkdtempSync(join(tmpdir(), 'echokit-calibrate-'));
const bench = await VirtualBench.open();
test.after.always(() => {
  bench.remove();
  rmSync(folder, { recursive: true, force: true });
});

const talk = boardScenario('talk', '[[turn]]\nsay = "Hello there."\nreply = "Hi."\n');

function terminal() {
  const printed: string[] = [];
  const say = (text: string) => void printed.push(text);
  return { printed, print: say, say, color: false, width: 100 };
}

test('recordings of a board become a profile that can be read, with what it rests on', async (t) => {
  const { path } = await bench.run(talk);
  const out = join(folder, 'kitchen.toml');
  const shown = terminal();
  t.is(calibrateCommand(shown, [join(path, '..', '..')], { out }), 0);
  t.regex(shown.printed.join('\n'), /^redraw of the screen: 23\.0 ms ± 1\.0 \(n = 1/m);
  const profile = readBoardProfile(out);
  t.is(profile.name, 'kitchen-diy');
  t.true(profile.calibrated);
  t.regex(
    readFileSync(out, 'utf8'),
    /\[evidence\.redraw_us\]\nvalue_us = 23000\nerror_us = 1000\nn = 1/,
  );
});

test('recordings of an emulated board teach nothing', async (t) => {
  const { path } = await bench.emulate(talk);
  const error = t.throws(
    () => calibrateCommand(terminal(), [path], { out: join(folder, 'x.toml') }),
    { instanceOf: CommandError },
  );
  t.regex(error!.message, /None of 1 recordings is of a real board/);
});
