import test from 'ava';
import { Bench, conserved, sentence } from '../device/device-bench.contract.ts';
import { checkBalance } from '../metrics/ledger-balance.contract.ts';
import { measureCell } from '../metrics/measure.ts';
import type { TraceEvent } from '../trace/trace-event.ts';

/** K0 over an answer while no server answers restarts the board; afterwards another answer is played. */
async function restarted(): Promise<Bench> {
  const bench = new Bench();
  await bench.run(async () => {
    const listener = await bench.listen();
    await bench.device.boot();
    bench.connections[0]!.send(...sentence('A long one.', 40).events);
    await bench.pass(500_000);
    await listener.close();
    bench.device.press('k0', 'short');
    await bench.pass(1_500_000);
    await bench.listen();
    await bench.pass(5_000_000);
    bench.device.press('k0', 'short');
    await bench.pass(1_000_000);
    bench.connections.at(-1)!.send(...sentence('After it.', 5).events, { type: 'EndResponse' });
    await bench.pass(3_000_000);
    await bench.device.close();
  });
  return bench;
}

const bench = await restarted();

test('the board boots again without reconnect, 5 s after the restart', (t) => {
  const [reboot] = bench.all('reboot');
  const again = bench.all('connecting').filter(({ reconnect }) => !reconnect)[1];
  t.is(again!.atUs, reboot!.atUs + 5_000_000);
  t.is(bench.all('boot').length, 2);
  t.deepEqual(
    bench.all('playStart').map((event) => event.sentence),
    [1, 1],
  );
});

test('what the restart has thrown away is told, and the ledger of all boots balances', (t) => {
  const [finished] = bench.all('finished');
  t.true(conserved(finished!));
  // 45 packets, and the beep after the second boot.
  t.is(finished!.pushedSamples, 45 * 1920 + 11_239);
  const cleared = bench.all('playerCleared');
  t.deepEqual(
    cleared.map(({ cause }) => cause),
    ['reboot'],
  );
  t.is(finished!.clearedSamples, cleared[0]!.samples);
  t.true(cleared[0]!.samples > 30_000);
});

test('the speaker of the second boot stands at its instant, with silence before it', (t) => {
  const { samples, startUs } = bench.device.speaker();
  const [first, second] = bench.all('boot');
  t.is(startUs, first!.speakerStartUs);
  const offset = ((second!.speakerStartUs - startUs) * 2) / 125;
  t.true(Number.isInteger(offset));
  const [reboot] = bench.all('reboot');
  const silentFrom = Math.ceil((reboot!.atUs - startUs) / 16_000) * 256;
  t.true(samples.subarray(silentFrom, offset).every((sample) => sample === 0));
  const heard = bench.all('playStart')[1]!.position + offset;
  t.true(samples.subarray(heard, heard + 1920).some((sample) => sample !== 0));
  t.true(samples.subarray(silentFrom - 256, silentFrom).some((sample) => sample !== 0));
});

test('a recording with a restart in it has every sample explained and every underrun verified', (t) => {
  const events = bench.events.map(
    (event, index): TraceEvent => ({ seq: index + 1, source: 'device', ...event }),
  );
  const measurement = measureCell({
    header: {
      type: 'header',
      formatVersion: 1,
      scenario: 'restart',
      provider: 'none',
      device: 'diy',
      network: 'ideal',
      seed: 1,
      time: 'virtual',
    },
    events,
    user: new Int16Array(0),
    speaker: bench.device.speaker().samples,
    sent: new Int16Array(0),
    provider: new Map(),
  });
  checkBalance(t, measurement.conservation);
  t.is(measurement.metrics['underruns.unverified'], 0);
  t.deepEqual(
    measurement.underruns.map(({ verified }) => verified),
    [true, true],
  );
});
