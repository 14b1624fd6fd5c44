import test from 'ava';
import fc from 'fast-check';
import { cut } from '../audio/wav-fixture.contract.ts';
import { EventStreamReader, type ServerSentEvent } from './event-stream.ts';

function read(pieces: readonly Uint8Array[]): ServerSentEvent[] {
  const reader = new EventStreamReader();
  const events = pieces.flatMap((piece) => {
    // The reader may not keep the caller's buffer: it is overwritten at once.
    const mine = piece.slice();
    const found = reader.push(mine);
    mine.fill(0xee);
    return found;
  });
  return [...events, ...reader.end()];
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const data = (...texts: string[]): ServerSentEvent[] =>
  texts.map((text) => ({ name: '', data: text }));

const streams: readonly (readonly [string, string, ServerSentEvent[]])[] = [
  ['one event', 'data: {"a":1}\n\n', data('{"a":1}')],
  ['CRLF', 'data: a\r\n\r\ndata: b\r\n\r\n', data('a', 'b')],
  ['CR alone', 'data: a\r\rdata: b\r\r', data('a', 'b')],
  ['line ends of every kind', 'data: a\r\ndata: b\rdata: c\n\r\ndata: d\n\n', data('a\nb\nc', 'd')],
  ['several data lines', 'data: {"a":\ndata: 1}\n\n', data('{"a":\n1}')],
  ['an empty data line', 'data\n\ndata:\ndata:\n\n', data('', '\n')],
  ['one leading space is not data', 'data:a\n\ndata:  b\n\n', data('a', ' b')],
  ['a colon in the data', 'data: a: b:c\n\n', data('a: b:c')],
  ['comments', ': hello\n\n:\n:ping\ndata: a\n: within\ndata: b\n\n', data('a\nb')],
  ['names', 'event: x\ndata: 1\n\ndata: 2\n\n', [{ name: 'x', data: '1' }, ...data('2')]],
  ['a name without data', 'event: x\n\ndata: 2\n\n', data('2')],
  ['other fields', 'id: 7\nretry: 10\ndata: a\nfoo: bar\ndatas: no\n\n', data('a')],
  ['a byte order mark', '\ufeffdata: a\n\n', data('a')],
  ['characters of several bytes', 'data: 月 🌙\n\n', data('月 🌙')],
  ['no blank line at the end', 'data: a\n\ndata: b\n', data('a', 'b')],
  ['no line end at the end', 'data: a\n\ndata: b', data('a', 'b')],
  ['more blank lines', '\n\n\ndata: a\n\n\n\ndata: b\n\n\n', data('a', 'b')],
  ['nothing', '', []],
];

for (const [name, text, truth] of streams) {
  test(`reads ${name}, in one piece, byte by byte and cut anywhere`, (t) => {
    const bytes = utf8(text);
    t.deepEqual(read([bytes]), truth);
    t.deepEqual(read([...bytes].map((byte) => Uint8Array.of(byte))), truth);
    t.notThrows(() =>
      fc.assert(
        fc.property(fc.array(fc.nat(100), { maxLength: 6 }), (places) => {
          t.deepEqual(read(cut(bytes, places)), truth);
        }),
        { numRuns: 40, seed: 1 },
      ),
    );
  });
}

test('an event is there as soon as its blank line is, also when that line ends in CR', (t) => {
  for (const end of ['\n\n', '\r\n\r', '\r\r']) {
    const reader = new EventStreamReader();
    t.deepEqual(reader.push(utf8('data: a')), []);
    t.true(reader.unfinished > 0);
    t.deepEqual(reader.push(utf8(end)), data('a'), JSON.stringify(end));
    t.is(reader.unfinished, 0);
  }
});

test('a comment leaves nothing unfinished', (t) => {
  const reader = new EventStreamReader();
  reader.push(utf8(': keep-alive\n\n'));
  t.is(reader.unfinished, 0);
  reader.push(utf8('data: a\n'));
  t.is(reader.unfinished, 'a\n'.length);
});

test('any events written in any style are read as they were', (t) => {
  const text = fc.string({ maxLength: 12 }).map((value) => value.replace(/[\r\n]/g, ''));
  const event = fc.record({
    name: text,
    lines: fc.array(text, { minLength: 1, maxLength: 3 }),
    end: fc.constantFrom('\n', '\r', '\r\n'),
    comment: fc.option(text),
  });
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(event), fc.array(fc.nat(1_000)), (events, places) => {
        const written = events.map(({ name, lines, end, comment }) =>
          [
            ...(comment === null ? [] : [`:${comment}`]),
            ...(name === '' ? [] : [`event: ${name}`]),
            ...lines.map((line) => `data: ${line}`),
            '',
            '',
          ].join(end),
        );
        const truth = events.map(({ name, lines }) => ({ name, data: lines.join('\n') }));
        t.deepEqual(read(cut(utf8(written.join('')), places)), truth);
      }),
      { numRuns: 300, seed: 2 },
    ),
  );
});
