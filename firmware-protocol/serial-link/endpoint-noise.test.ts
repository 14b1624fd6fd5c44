import test from 'ava';
import { createRandom } from '../../harness/random/random.ts';
import { SerialLinkEndpoint } from './endpoint.ts';
import { encodeSerialLinkFrame, SerialLinkDecoder } from './frame.ts';
import { type NoiseFigures, runThroughNoise } from './noise.contract.ts';
import { everyFault, joined, lineFaults, NoisyLine } from './noisy-line.contract.ts';

/** Ten times as many faults, for a run by hand; the README has its figures. */
const scale = Number(process.env['SERIAL_LINK_NOISE_SCALE'] ?? '1');

for (const [baud, messages] of [
  [115_200, 2300],
  [921_600, 1800],
] as const) {
  test(`at ${baud} baud 10,000 faults let no wrong message through, lose none that is acknowledged, and cost no frame that they do not touch`, (t) => {
    const figures = runThroughNoise({
      baud,
      seed: 5,
      meanBytesBetween: 650,
      messages: messages * scale,
      makeHost: (settings) => new SerialLinkEndpoint(settings),
      makeBoard: (settings) => new SerialLinkEndpoint(settings),
    });
    t.log(inWords(baud, figures));
    t.true(figures.faults >= 10_000 * scale, `${figures.faults} faults`);
    t.is(figures.wrong, 0);
    t.is(figures.lost, 0);
    t.is(figures.recoveredLate, 0);
    t.is(figures.disconnections, 0);
    t.is(figures.messages, 2 * messages * scale);
    t.true(figures.looseReceived > 0);
    t.true(figures.longestStallMs < 5000, 'a fault is overcome before the other end is given up');
  });
}

function inWords(baud: number, figures: NoiseFigures): string {
  const { faults, messages, seconds, goodput, framesRepeated, framesSent } = figures;
  return (
    `${baud} baud: ${faults} faults, ${messages} messages in ${seconds.toFixed(1)} s of the line, ` +
    `goodput ${(100 * goodput).toFixed(1)} %, ${framesRepeated} of ${framesSent} frames repeated, ` +
    `longest stall ${figures.longestStallMs.toFixed(0)} ms, ` +
    `loose ${figures.looseReceived} of ${figures.looseSent}`
  );
}

test('without noise nothing is repeated and the line is full', (t) => {
  for (const baud of [115_200, 921_600]) {
    const figures = runThroughNoise({
      baud,
      seed: 1,
      meanBytesBetween: Number.POSITIVE_INFINITY,
      messages: 600,
      makeHost: (settings) => new SerialLinkEndpoint(settings),
      makeBoard: (settings) => new SerialLinkEndpoint(settings),
    });
    t.log(inWords(baud, figures));
    t.is(figures.framesRepeated, 0);
    t.is(figures.lost + figures.wrong + figures.disconnections, 0);
    t.true(figures.goodput > 0.7, `${figures.goodput}`);
  }
});

for (const fault of lineFaults) {
  test(`a fault of the kind ${fault} costs no frame but those it touches, and makes none`, (t) => {
    const random = createRandom(11, fault);
    const none = { bit: 0, bits: 0, burst: 0, drop: 0, insert: 0, cut: 0 };
    const line = new NoisyLine(115_200, random.fork('line'), {
      meanBytesBetween: 1500,
      weights: { ...none, [fault]: 1 },
    });
    const decoder = new SerialLinkDecoder();
    const bodies = new Map<string, number>();
    const untouched = new Set<number>();
    const received: number[] = [];
    const hear = (): void => {
      while (line.nextUs < Number.POSITIVE_INFINITY) {
        for (const item of decoder.push(line.take())) {
          if (item.kind !== 'frame') continue;
          received.push(bodies.get(Buffer.from(item.body).toString('latin1')) ?? -1);
        }
      }
    };
    for (let number = 0; line.faults < 1700; number++) {
      // No two are equal: four bytes of them are the number.
      const body = joined(
        Uint8Array.of(number & 255, (number >> 8) & 255, (number >> 16) & 255, 7),
        random.bytes(random.integer(0, 356)),
      );
      bodies.set(Buffer.from(body).toString('latin1'), number);
      if (line.write(encodeSerialLinkFrame(body), 0)) untouched.add(number);
      if (random.next() < 0.2) {
        line.write(new TextEncoder().encode(`I (${number}) echokit: 你好 ready\r\n`), 0);
      }
      hear();
    }
    t.false(received.includes(-1), 'a frame that was never sent');
    t.true(
      received.every((number, i) => i === 0 || number > received[i - 1]!),
      'order',
    );
    const missing = [...untouched].filter((number) => !received.includes(number));
    t.deepEqual(missing, [], 'untouched and not received');
    t.log(`${line.faults} faults, ${received.length} of ${bodies.size} frames`);
  });
}

test('the kinds of faults are drawn as often as their weights say', (t) => {
  const line = new NoisyLine(115_200, createRandom(3), {
    meanBytesBetween: 50,
    weights: everyFault,
  });
  for (let i = 0; i < 4000; i++) line.write(new Uint8Array(100), 0);
  const total = lineFaults.reduce((sum, fault) => sum + everyFault[fault], 0);
  for (const fault of lineFaults) {
    const share = line.faultsOf[fault] / line.faults;
    t.true(Math.abs(share - everyFault[fault] / total) < 0.02, `${fault}: ${share}`);
  }
});
