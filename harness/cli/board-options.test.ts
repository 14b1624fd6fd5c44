/** What cannot be meant is refused before a port is opened, and what cannot be had leaves nothing behind. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { CommandError } from './exit-code.ts';
import { type RunCommandOptions, runCommand } from './run-command.ts';

const terminal = { print: () => {}, say: () => {}, color: false, width: 100 };
const usual: RunCommandOptions = {
  seed: 1,
  out: '/nowhere',
  version: '0',
};

const refused: readonly (readonly [string, Partial<RunCommandOptions>, RegExp])[] = [
  ['virtual time', { board: 'kitchen', time: 'virtual' }, /A real board runs in real time/],
  ['another server', { board: 'kitchen', server: 'ws://127.0.0.1:1/ws/' }, /exclude each other/],
  ['a network', { board: 'kitchen', network: ['edge'] }, /over its own air/],
  ['two models', { board: 'kitchen', device: ['diy', 'box'] }, /A board has one model/],
  ['a twin of nobody', { twin: true }, /--twin is about a board on a cable, and there is none/],
  ['a link to nobody', { link: 'serial' }, /--link is about a board on a cable/],
  ['a rate without a link', { board: 'kitchen', baud: 921_600 }, /--baud is of its serial link/],
  [
    'an address that a link does not need',
    { board: 'kitchen', link: 'serial', serverAddress: '127.0.0.1:8080' },
    /--server-address has no meaning/,
  ],
  ['a voice for nobody', { speak: 'person' }, /--speak is about a board on a cable/],
];

for (const [title, options, message] of refused) {
  test(`run --board with ${title} is refused`, async (t) => {
    const error = await t.throwsAsync(() => runCommand(terminal, [], { ...usual, ...options }), {
      instanceOf: CommandError,
    });
    t.is(error!.exitCode, 2);
    t.regex(error!.message, message);
  });
}

test('a board that cannot be reached is an error with a hint: no tables, and no folder of a run', async (t) => {
  const out = mkdtempSync(join(tmpdir(), 'echokit-board-options-'));
  t.teardown(() => rmSync(out, { recursive: true, force: true }));
  const board = 'rfc2217://127.0.0.1:9';
  const quiet = { ...terminal, print: () => t.fail('a report was printed') };
  const options = { ...usual, out, board, provider: ['openai'], serverAddress: '127.0.0.1:0' };
  const error = await t.throwsAsync(runCommand(quiet, ['scenarios/one-question.toml'], options), {
    code: 'NETWORK_REFUSED',
  });
  t.not((error as unknown as { hint: string }).hint, '');
  t.deepEqual(readdirSync(out), []);
});
