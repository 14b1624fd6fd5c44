import test from 'ava';
import type { WireConnection, WireStep } from '../trace/wire-traffic.ts';
import { cutFiner, latenesses } from './replay-lateness.ts';

const sent = (atUs: number): WireStep => ({
  type: 'sent',
  atUs,
  kind: 'head',
  bytes: 1,
  last: true,
});
const received = (atUs: number, data: Buffer): WireStep => ({
  type: 'received',
  atUs,
  bytes: data.length,
  data,
});
const wire = (...steps: WireStep[]): WireConnection[] => [{ number: 1, steps }];

test('answers cut finer are the same bytes, evenly spread until the next step', (t) => {
  const sound = Buffer.from(Array.from({ length: 1001 }, (_, at) => at % 251));
  const [{ steps }] = cutFiner(
    wire(
      sent(0),
      received(100, Buffer.from('head')),
      received(1_000, sound),
      received(9_000, sound),
    ),
    4,
  ) as [WireConnection];
  t.deepEqual(
    steps.map(({ atUs }) => atUs),
    [0, 100, 1_000, 3_000, 5_000, 7_000, 9_000, 9_000, 9_000, 9_000],
  );
  const pieces = steps.map((step) => (step.type === 'received' ? step.data! : Buffer.alloc(0)));
  t.deepEqual(Buffer.concat(pieces), Buffer.concat([Buffer.from('head'), sound, sound]));
});

test('a piece is as late as it came after what was asked, also together with the next one', (t) => {
  const recorded = wire(
    sent(1_000),
    received(2_000, Buffer.alloc(10)),
    received(3_000, Buffer.alloc(10)),
    received(4_000, Buffer.alloc(10)),
  );
  // Asked 500 µs later; the first piece is 70 µs late, the two others come as one, in time for the third.
  const replayed = wire(
    sent(1_500),
    received(2_570, Buffer.alloc(10)),
    received(4_520, Buffer.alloc(20)),
  );
  t.deepEqual(latenesses(recorded, replayed), [70, 1_020, 20]);
});
