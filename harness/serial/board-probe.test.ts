import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import {
  applicationLines,
  bootLoaderLines,
  networkLines,
  onConsole,
  romLines,
} from './board-boot.contract.ts';
import { probeBoard } from './board-probe.ts';
import { ScriptedPort } from './scripted-port.contract.ts';

function bench(lines: readonly string[]) {
  const clock = new SimulatedClock();
  const port = new ScriptedPort('/dev/ttyUSB0', clock);
  const reset = async () => {
    clock.after(100_000, () => port.print(onConsole(lines)));
  };
  return { clock, port, reset };
}

test('a board says who it is after a reset, and no longer is waited than needed', async (t) => {
  const { clock, port, reset } = bench([
    ...romLines('0x1 (POWERON)'),
    ...bootLoaderLines,
    ...applicationLines('0.3.1'),
    ...networkLines,
  ]);
  const probe = await clock.run(probeBoard({ port, clock, baud: 115_200, reset }));
  t.like(probe.identity, { mac: '02ec0e000002', version: '0.3.1', project: 'echokit' });
  t.true(probe.complete);
  t.is(clock.nowUs(), 100_000);
  t.is(probe.story.find(({ type }) => type === 'reset')?.type, 'reset');
  t.false(port.closed);
});

test('a board that does not say it all is given up after 12 s, with what it said', async (t) => {
  const { clock, port, reset } = bench([...romLines('0x1 (POWERON)'), ...applicationLines()]);
  const probe = await clock.run(probeBoard({ port, clock, baud: 115_200, reset }));
  t.false(probe.complete);
  t.is(probe.identity.version, '0.3.2');
  t.is(clock.nowUs(), 12_000_000);
});

test('a board in download mode is told at once, one that vanishes is an error', async (t) => {
  const waiting = bench([
    ...romLines('0x1 (POWERON)', 'boot:0x0 (DOWNLOAD(USB/UART0))').slice(0, 3),
    'waiting for download',
  ]);
  const probe = await waiting.clock.run(probeBoard({ ...waiting, baud: 115_200 }));
  t.true(probe.story.some(({ type }) => type === 'download-mode'));
  t.true(waiting.clock.nowUs() < 1_000_000);

  const leaving = bench([]);
  leaving.clock.after(500_000, () => leaving.port.vanish());
  const error = await t.throwsAsync(leaving.clock.run(probeBoard({ ...leaving, baud: 115_200 })));
  t.is((error as Error & { code: string }).code, 'SERIAL_GONE');
});
