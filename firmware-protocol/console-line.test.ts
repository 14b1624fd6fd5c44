import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { bareForms, consoleForms, resetReasons } from './console-forms.ts';
import {
  type ConsoleEvent,
  type ConsoleLine,
  ConsoleLineReader,
  parseConsoleLine,
  redacted,
} from './console-line.ts';

interface Vector {
  readonly line: string;
  readonly level?: string;
  readonly ms?: number | null;
  readonly tag?: string;
  readonly message?: string;
  readonly event: { readonly name: string } | null;
}

const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL('vectors/console-lines.json', import.meta.url), 'utf8'),
).vectors;

/** What the vector says, written down again in the form of the parser. */
function expected({ line, level, ms, tag, message, event }: Vector): unknown {
  if (level === undefined) return { kind: 'bare', text: line, event };
  const prefix = ms === null ? `${level} ${tag}: ` : `${level} (${ms}) ${tag}: `;
  return { kind: 'log', level, ms, tag, message: message ?? line.slice(prefix.length), event };
}

test('every vector is understood as written', (t) => {
  for (const vector of vectors)
    t.deepEqual(parseConsoleLine(vector.line), expected(vector) as ConsoleLine);
});

test('every form has a vector, and its name once', (t) => {
  const names = [...consoleForms, ...bareForms].map(({ name }) => name as string);
  t.is(new Set(names).size, names.length);
  const shown = new Set(vectors.flatMap(({ event }) => event?.name ?? []));
  t.deepEqual(
    names.filter((name) => !shown.has(name)),
    [],
  );
  t.true(names.length > 170, `${names.length}`);
});

test('levels of the vectors are those of the forms', (t) => {
  for (const { event, level } of vectors) {
    const form = consoleForms.find(({ name }) => name === event?.name);
    if (form !== undefined) t.is(level, form.level, form.name);
  }
});

test('no secret is in what the parser returns', (t) => {
  const secret = 'h"u\\nter2: -> "x';
  for (const line of [
    `I (5) echokit: PASS: "${secret}"`,
    `I (5) echokit: PASS: "${secret}`,
    `I (5) echokit::bt: New pass: ${secret}`,
    `I (5) echokit::bt: Wrote to pass characteristic: ${secret} -> ${secret}`,
  ]) {
    const parsed = JSON.stringify(parseConsoleLine(line));
    t.false(parsed.includes('ter2'), parsed);
    t.true(parsed.includes(redacted));
  }
});

test('an infinite ratio is a number', (t) => {
  const line = parseConsoleLine('I (7) echokit::app: Audio speed: infx');
  t.deepEqual(line.event, { name: 'audio-speed', ratio: Number.POSITIVE_INFINITY });
});

test('the fields of an event have types', (t) => {
  const { event } = parseConsoleLine('I (7) echokit::app: Volume set to 4');
  // Fails to compile when the field is not a number.
  const volume = (e: ConsoleEvent | null): number => (e?.name === 'volume-set' ? e.volume : 0);
  t.is(volume(event), 4);
});

test('the text of a sentence with line breaks goes on in lines without a prefix', (t) => {
  const reader = new ConsoleLineReader();
  const lines = reader.push(
    Buffer.from('I (7) echokit::ws: Received StartAudio event: One.\r\nTwo: three.\r\n\r\n'),
  );
  t.deepEqual(
    lines.map((line) => [line.kind, line.event?.name]),
    [
      ['log', 'start-audio-read'],
      ['bare', undefined],
      ['bare', undefined],
    ],
  );
  t.like(lines[1], { text: 'Two: three.' });
});

const transcript = Buffer.from(
  vectors.map(({ line }) => `${line.replace(/\r$/, '')}\r\n`).join(''),
);
const whole = new ConsoleLineReader().push(transcript);

test('lines come out the same however the bytes are cut, also inside a character', (t) => {
  t.is(whole.length, vectors.length);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 3000 }), { maxLength: 60 }), (sizes) => {
      const reader = new ConsoleLineReader();
      const lines: ConsoleLine[] = [];
      let at = 0;
      for (const size of sizes) {
        lines.push(...reader.push(transcript.subarray(at, at + size)));
        at += size;
      }
      lines.push(...reader.push(transcript.subarray(at)), ...reader.end());
      return JSON.stringify(lines) === JSON.stringify(whole);
    }),
    { seed: 8, numRuns: 60 },
  );
  // Every byte alone.
  const reader = new ConsoleLineReader();
  const single = [...transcript].flatMap((byte) => reader.push(Uint8Array.of(byte)));
  t.is(JSON.stringify(single), JSON.stringify(whole));
});

test('garbage between lines spoils its own line only', (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
        const reader = new ConsoleLineReader();
        reader.push(noise);
        reader.push(Buffer.from('\n'));
        const [line] = reader.push(Buffer.from('E (9) echokit: WebSocket task finished\r\n'));
        return line?.event?.name === 'restart';
      }),
      { seed: 9, numRuns: 200 },
    ),
  );
});

test('the end of the port is the end of the line; a torn character is replaced', (t) => {
  const reader = new ConsoleLineReader();
  t.deepEqual(reader.push(Buffer.from([0x68, 0x69, 0xe4, 0xbd])), []);
  t.deepEqual(reader.end(), [{ kind: 'bare', text: 'hi\ufffd', event: null }]);
  t.deepEqual(reader.end(), []);
});

test('a stream without a line end is handed on in pieces', (t) => {
  const reader = new ConsoleLineReader();
  const pieces = reader.push(new Uint8Array(100_000).fill(0x2e));
  t.is(pieces.length, 1);
  const rest = reader.end();
  const texts = [...pieces, ...rest].map((line) => (line.kind === 'bare' ? line.text : ''));
  t.is(texts.join('').length, 100_000);
});

// EchoKit device protocol reference, section 8.3.
test('the numbers of the ROM have their names', (t) => {
  const named = Object.entries(resetReasons).map(([reset, { name }]) => `${Number(reset)} ${name}`);
  t.is(named.length, 18);
  t.true(named.includes('12 RTC_SW_CPU') && named.includes('15 RTCWDT_BROWN_OUT'));
  t.true(named.includes('21 USB_UART_CHIP_RESET') && named.includes('1 POWERON'));
});
