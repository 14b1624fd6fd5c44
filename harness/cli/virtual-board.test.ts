import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import test from 'ava';
import { ProgramStarter } from './started-program.contract.ts';
import { type VirtualBoardCommandOptions, virtualBoardCommand } from './virtual-board-command.ts';

const programs = new ProgramStarter();
test.after.always(() => programs.remove());

test('virtual-board: its text comes over TCP, its faults happen, and SIGINT switches it off', async (t) => {
  const program = programs.start([
    'virtual-board',
    ...['--socket', '0', '--server', 'ws://127.0.0.1:9/ws/', '--fault', 'rust-panic@1'],
  ]);
  const [, port] = await program.printed(/socket:\/\/127\.0\.0\.1:(\d+)/);
  const socket = connect(Number(port), '127.0.0.1');
  let text = '';
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  while (!/Rebooting\.\.\.\s+ESP-ROM/.test(text)) await once(socket, 'data');
  t.regex(text, /panicked at src\/app\.rs/);
  socket.destroy();
  program.child.kill('SIGINT');
  t.is((await program.ended).exit, 130);
});

for (const [options, words] of [
  [{ socket: undefined }, /needs a port: --pty, --rfc2217 or --socket/],
  [{ board: 'nope' }, /There is no board "nope"/],
  [{ firmware: '9.9.9' }, /There is no board "diy" with firmware 9\.9\.9/],
  [{ fault: ['flood'] }, /There is no fault "flood"/],
  [{ fault: ['errors-only@3'] }, /There is no fault "errors-only@3"/],
  [{ server: 'wss://x/' }, /not a URL a board can use/],
  [{ id: 'A1' }, /not a device id/],
] as const) {
  test(`virtual-board with ${JSON.stringify(options)} is a usage error`, async (t) => {
    const all = {
      ...{ socket: 0, host: '127.0.0.1', board: 'diy', wiring: 'bridge', id: '02ec0e000002' },
      ...{ server: 'ws://127.0.0.1:9/ws/', fault: [] },
      ...options,
    };
    const terminal = { print: t.fail, say: t.fail, color: false, width: 80 };
    const error = await t.throwsAsync(
      virtualBoardCommand(terminal, all as unknown as VirtualBoardCommandOptions),
      { code: 'USAGE', message: words },
    );
    t.not((error as unknown as { hint: string }).hint, '');
  });
}

const socat = spawnSync('socat', ['-V']).status === 0;
(socat ? test : test.skip)(
  'virtual-board --pty shows the path when it can be opened',
  async (t) => {
    const path = `${programs.folder}/board`;
    const program = programs.start(['virtual-board', '--pty', path]);
    await program.printed(new RegExp(`^${path}$`, 'm'));
    program.child.kill('SIGTERM');
    t.is((await program.ended).exit, 130);
  },
);
