/** The command as a user starts it, on recordings of a virtual board. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
  t.regex(shown.printed.join('\n'), /Few values.*redraw of the screen \(n = 1\)/);
  t.regex(readFileSync(out, 'utf8'), /from 1 recording of board kitchen/);
  const profile = readBoardProfile(out);
  t.is(profile.name, 'kitchen-diy');
  t.true(profile.calibrated);
  t.regex(
    readFileSync(out, 'utf8'),
    /\[evidence\.redraw_us\]\nvalue_us = 23000\nerror_us = 1000\nn = 1/,
  );
});

test('a board that was named by its port gives its profile the name of what it is', async (t) => {
  const { path } = await bench.run(talk);
  const trace = join(path, 'trace.jsonl');
  writeFileSync(trace, readFileSync(trace, 'utf8').replace('"kitchen"', '"rfc2217://lab:4000"'));
  // As recordings were before their manifest had the sums of all files: with them this change would be told.
  const manifest = join(path, 'manifest.toml');
  writeFileSync(manifest, readFileSync(manifest, 'utf8').split('[[files]]')[0] ?? '');
  const out = join(folder, 'lab.toml');
  t.is(calibrateCommand(terminal(), [path], { out }), 0);
  t.is(readBoardProfile(out).name, 'board-02ec0e0000b1-diy');
});

test('recordings of an emulated board teach nothing', async (t) => {
  const { path } = await bench.emulate(talk);
  const error = t.throws(
    () => calibrateCommand(terminal(), [path], { out: join(folder, 'x.toml') }),
    { instanceOf: CommandError },
  );
  t.regex(error!.message, /This recording is not of a real board/);
});
