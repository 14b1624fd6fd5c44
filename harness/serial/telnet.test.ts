import test from 'ava';
import fc from 'fast-check';
import { escapeTelnet, negotiate, subnegotiate, type TelnetItem, TelnetReader } from './telnet.ts';

/** Data that follows data is one. */
function joined(items: readonly TelnetItem[]): unknown[] {
  const out: unknown[] = [];
  let data: number[] | undefined;
  for (const item of items) {
    if (item.kind === 'data') {
      if (data === undefined) {
        data = [];
        out.push(data);
      }
      data.push(...item.bytes);
      continue;
    }
    data = undefined;
    out.push(
      item.kind === 'negotiation' ? [item.verb, item.option] : [item.option, [...item.payload]],
    );
  }
  return out;
}

test('data, negotiations and subnegotiations are told apart, other commands left out', (t) => {
  const bytes = [
    1, 255, 255, 255, 251, 44, 255, 241, 2, 255, 250, 44, 101, 255, 255, 9, 255, 240, 3,
  ];
  t.deepEqual(joined(new TelnetReader().push(Uint8Array.from(bytes))), [
    [1, 255],
    ['will', 44],
    [2],
    [44, [101, 255, 9]],
    [3],
  ]);
});

test('any conversation is the same however it is cut, and every byte comes back', (t) => {
  const part = fc.oneof(
    fc
      .uint8Array({ minLength: 1, maxLength: 6 })
      .map((bytes) => ({ bytes: escapeTelnet(bytes), means: [...bytes] })),
    fc.constantFrom('will', 'wont', 'do', 'dont').chain((verb) =>
      fc.integer({ min: 0, max: 255 }).map((option) => ({
        bytes: negotiate(verb as 'will', option),
        means: [verb, option] as unknown[],
      })),
    ),
    fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 6 }).map((payload) => ({
      bytes: subnegotiate(44, payload),
      means: [44, payload] as unknown[],
    })),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), fc.integer({ min: 1, max: 5 }), (parts, step) => {
      const bytes = Buffer.concat(parts.map((each) => each.bytes));
      const reader = new TelnetReader();
      const cut: TelnetItem[] = [];
      for (let at = 0; at < bytes.length; at += step)
        cut.push(...reader.push(bytes.subarray(at, at + step)));
      t.deepEqual(joined(cut), joined(new TelnetReader().push(bytes)));
      const data = cut.flatMap((item) => (item.kind === 'data' ? [...item.bytes] : []));
      const expected = parts.flatMap(({ means }) =>
        typeof means[0] === 'string' || Array.isArray(means[1]) ? [] : means,
      );
      t.deepEqual(data, expected as number[]);
    }),
    { seed: 2, numRuns: 300 },
  );
});

test('a subnegotiation that never ends is given up and costs no memory', (t) => {
  const reader = new TelnetReader();
  reader.push(Uint8Array.from([255, 250, 44, ...new Array(600).fill(1)]));
  t.deepEqual(joined(reader.push(Uint8Array.of(7, 8))), [[7, 8]]);
});
