import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ProgramStarter } from './started-program.contract.ts';

const programs = new ProgramStarter();
test.after.always(() => programs.remove());
const registry = join(programs.folder, 'boards.toml');
const boards = (...args: string[]) =>
  programs.start(['boards', ...args], { ECHOKIT_HARNESS_BOARDS: registry }).ended;

test('boards are entered by what they are, listed and forgotten', async (t) => {
  const added = await boards('add', 'kitchen', '--mac', '02:EC:0E:00:00:02');
  t.is(added.exit, 0, added.stderr);
  t.regex(added.stderr, /kitchen: MAC 02ec0e000002, in .*boards\.toml/);
  const remote = await boards('add', 'lab', '--port', 'rfc2217://127.0.0.1:4000');
  t.is(remote.exit, 0, remote.stderr);
  t.regex(
    readFileSync(registry, 'utf8'),
    /\[boards\.lab\]\naddress = "rfc2217:\/\/127\.0\.0\.1:4000"/,
  );

  const listed = await boards('--json');
  const document = JSON.parse(listed.stdout) as { boards: { name: string }[]; ports: unknown[] };
  t.deepEqual(
    document.boards.map(({ name }) => name),
    ['kitchen', 'lab'],
  );
  t.regex((await boards()).stdout, /lab: rfc2217:\/\/127\.0\.0\.1:4000/);

  t.is((await boards('forget', 'lab')).exit, 0);
  const unknown = await boards('forget', 'lab');
  t.is(unknown.exit, 2);
  t.regex(unknown.stderr, /There is no board lab .*\[BOARD_UNKNOWN\]\nhint: known: kitchen/);
});

test('a local port is no identity: it is not entered as an address', async (t) => {
  const refused = await boards('add', 'desk', '--address', '/dev/ttyUSB0');
  t.is(refused.exit, 2);
  t.regex(refused.stderr, /local ports change their names.*\[BOARD_ENTRY\]/);
});
