import test from 'ava';
import fc from 'fast-check';
import { ConsoleLineSplitter, longestLineBytes } from './console-splitter.ts';

function split(...pieces: readonly (string | readonly number[])[]) {
  const splitter = new ConsoleLineSplitter();
  const lines = pieces.flatMap((piece, index) =>
    splitter.push(typeof piece === 'string' ? Buffer.from(piece) : Uint8Array.from(piece), index),
  );
  lines.push(...splitter.end(pieces.length));
  return { lines, texts: lines.map(({ text }) => text), counts: splitter.counts };
}

test('CR LF, LF and CR end a line, an empty one counts', (t) => {
  t.deepEqual(split('a\r\nb\nc\rd\n\n\r\ne').texts, ['a', 'b', 'c', 'd', '', '', 'e']);
  t.deepEqual(split('a\r', '\nb\r', 'c\r\r\nd\n').texts, ['a', 'b', 'c', 'd']);
});

test('a line has the instants of its first byte and of its end, and is not held back', (t) => {
  const splitter = new ConsoleLineSplitter();
  t.deepEqual(splitter.push(Buffer.from('he'), 100), []);
  t.deepEqual(splitter.push(Buffer.from('llo\r'), 250), [
    { text: 'hello', startUs: 100, endUs: 250, end: 'whole' },
  ]);
  t.deepEqual(splitter.push(Buffer.from('\nx'), 300), []);
  t.deepEqual(splitter.end(900), [{ text: 'x', startUs: 300, endUs: 900, end: 'closed' }]);
});

test('the pieces make no difference to the lines: characters and line ends are cut anywhere', (t) => {
  const text = 'I (1) a: 月亮有多远？\r\n🙂 plain\nlone\rE (2) b: é\r\n';
  const bytes = Buffer.from(text);
  const wanted = text.split(/\r\n|\n|\r/).slice(0, -1);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: bytes.length }), { maxLength: 20 }), (cuts) => {
      const edges = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
      const pieces = edges.slice(1).map((end, i) => [...bytes.subarray(edges[i]!, end)]);
      const { texts, counts } = split(...pieces);
      return JSON.stringify(texts) === JSON.stringify(wanted) && counts.invalidUtf8 === 0;
    }),
    { seed: 61, numRuns: 300 },
  );
  t.pass();
});

test('bytes that are no UTF-8 are shown as U+FFFD and counted, a real U+FFFD is not', (t) => {
  const { texts, counts } = split([0x61, 0xff, 0x62, 0xe4, 0xbd, 0x0a], 'ok \ufffd\n');
  t.deepEqual(texts, ['a\ufffdb\ufffd', 'ok \ufffd']);
  t.is(counts.invalidUtf8, 2);
});

test('NUL bytes are left out and counted', (t) => {
  const { texts, counts } = split([0, 0, 0x61, 0, 0x62, 0x0a]);
  t.deepEqual(texts, ['ab']);
  t.is(counts.nulBytes, 3);
});

test('64 KiB without a line end are cut at a whole character', (t) => {
  const glyph = Buffer.from('月');
  const { texts, counts } = split([...Buffer.concat(Array(30_000).fill(glyph))], '\n');
  t.is(texts.length, 2);
  t.is(Buffer.byteLength(texts[0]!), longestLineBytes - (longestLineBytes % 3));
  t.is(texts.join(''), '月'.repeat(30_000));
  t.is(counts.cutLines, 1);
  t.is(counts.invalidUtf8, 0);
});

test('a chip reset in the middle of a line tears it, and the banner is a line of its own', (t) => {
  const { lines, counts } = split('rst:0x15', 'ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\n');
  t.deepEqual(
    lines.map(({ text, end }) => [text, end]),
    [
      ['rst:0x15', 'torn'],
      ['ESP-ROM:esp32s3-20210327', 'whole'],
      ['Build:Mar 27 2021', 'whole'],
    ],
  );
  t.is(counts.tornLines, 1);
});

test('whatever arrives, every byte that is not a line end or NUL is in a line, and nothing throws', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (pieces) => {
      const { texts, counts } = split(...pieces.map((piece) => [...piece]));
      const all = Buffer.concat(pieces);
      const ascii = (text: string) => text.replaceAll(/[^\p{ASCII}]|[\0\r\n]/gu, '');
      return ascii(texts.join('')) === ascii(all.toString('latin1')) && counts.bytes === all.length;
    }),
    { seed: 62, numRuns: 200 },
  );
  t.pass();
});
