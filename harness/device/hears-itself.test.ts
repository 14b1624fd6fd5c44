import test from 'ava';
import type { Acoustics } from './acoustics.ts';
import { Bench, babble, bytes, sentence } from './device-bench.contract.ts';

const echo = { db: -12, delayMs: 30 };
/** 64 ms of the player's DMA and 30 ms of air. */
const lagSamples = 1024 + 480;

async function converse(
  acoustics: Acoustics,
  more: (bench: Bench) => Promise<void> = async () => {},
): Promise<Bench> {
  const bench = new Bench(undefined, undefined, undefined, acoustics);
  await bench.run(async () => {
    const server = await bench.ready();
    bench.device.press('k0', 'long');
    await bench.pass(1_500_000);
    server.send(...sentence('An answer.', 20).events, { type: 'EndResponse' });
    await bench.pass(4_000_000);
    await more(bench);
  });
  return bench;
}

/** Asserts that the microphone heard the speaker and the clips, each from its position on. */
function sumOf(bench: Bench, clips: readonly { from: number; samples: Int16Array }[]): Int16Array {
  const { samples } = bench.device.speaker();
  const gain = 10 ** (echo.db / 20);
  const sum = Float64Array.from(samples, (_, i) => gain * (samples[i - lagSamples] ?? 0));
  for (const clip of clips) {
    for (const [i, sample] of clip.samples.entries()) sum[clip.from + i]! += sample;
  }
  return Int16Array.from(sum, (value) => Math.max(-32_768, Math.min(32_767, Math.round(value))));
}

test('a board hears its speaker to the sample, over a user and over a restart', async (t) => {
  const clips: { from: number; samples: Int16Array }[] = [];
  const bench = await converse({ echo }, async (running) => {
    const { startUs } = running.device.speaker();
    for (const connection of running.connections) connection.socket.terminate();
    await running.pass(200_000);
    const samples = babble(1500);
    clips.push({ from: Math.ceil(((running.clock.nowUs() - startUs) * 16) / 1000), samples });
    // Speech on a dead connection restarts the board; K0 afterwards plays the beep.
    running.device.hear(samples);
    await running.pass(8_000_000);
    running.device.press('k0', 'short');
    await running.pass(2_000_000);
  });
  t.is(bench.all('reboot').length, 1);
  const [restart] = bench.all('reboot');
  const [first, second] = bench.all('boot');
  t.like(first, { echoDb: -12, echoDelayMs: 30 });
  t.false('noiseDbfs' in first!);

  const end = Math.floor(((restart!.atUs - first!.speakerStartUs) * 16) / 1000);
  const again = ((second!.speakerStartUs - first!.speakerStartUs) * 16) / 1000;
  const heard = bench.microphone();
  const expected = sumOf(bench, clips);
  const whole = (samples: number) => samples - (samples % 512);
  const same = (from: number, to: number) =>
    bytes(heard.subarray(from, to)).equals(bytes(expected.subarray(from, to)));
  t.true(same(0, whole(end)));
  t.true(heard.subarray(whole(end), again).every((sample) => sample === 0));
  const last = again + whole(heard.length - again);
  t.true(same(again, last));
  t.true(heard.subarray(again).some((sample) => Math.abs(sample) > 1000));
});

test('it interrupts itself when its speaker is loud enough, and not otherwise', async (t) => {
  const bargeIns = async (acoustics: Acoustics): Promise<number> => {
    const bench = await converse(acoustics);
    return bench.all('state').filter(({ cause }) => cause === 'barge-in').length;
  };
  t.is(await bargeIns({}), 0);
  t.is(await bargeIns({ echo: { db: -6, delayMs: 20 } }), 1);
  t.is(await bargeIns({ echo: { db: -50, delayMs: 20 } }), 0);
});

test('noise is there from the boot on, while nobody speaks, and the same with the same seed', async (t) => {
  const [bench, again] = [await converse({ noiseDbfs: -60 }), await converse({ noiseDbfs: -60 })];
  t.like(bench.all('boot'), [{ noiseDbfs: -60 }]);
  t.false('echoDb' in bench.all('boot')[0]!);
  const heard = bench.microphone();
  const complete = heard.subarray(0, heard.length - 512);
  const power = complete.reduce((sum, s) => sum + s * s, 0) / complete.length;
  t.true(Math.abs(10 * Math.log10(power / 32_768 ** 2) + 60) < 0.2);
  t.true(bytes(again.microphone()).equals(bytes(heard)));
  t.deepEqual(again.events, bench.events);
});

test('without noise and echo the board reports nothing of them', async (t) => {
  const [boot] = (await converse({})).all('boot');
  t.deepEqual(Object.keys(boot!), [
    'atUs',
    'type',
    'profile',
    'firmware',
    'deviceId',
    'speakerStartUs',
  ]);
});
