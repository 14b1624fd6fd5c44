/** What a board sends over its cable besides frames: console text, and telnet around it. */

import { bareForms, consoleForms } from '../../../firmware-protocol/console-forms.ts';
import { type ConsoleLine, ConsoleLineReader } from '../../../firmware-protocol/console-line.ts';
import { ConsoleLineSplitter } from '../../../firmware-protocol/console-splitter.ts';
import { SimulatedClock } from '../../clock/simulated-clock.ts';
import type { Random } from '../../random/random.ts';
import { ConsoleReader } from '../../serial/console-reader.ts';
import { escapeTelnet, TelnetReader } from '../../serial/telnet.ts';
import { chance, joined, length, list, oneOf, text, utf8, word } from '../draws.ts';
import { type FuzzTarget, must } from '../fuzz-target.ts';

const forms: readonly { readonly text: string; readonly tag?: string; readonly level?: string }[] =
  [...consoleForms, ...bareForms];

/** A form with its fields filled in. */
function drawnLine(random: Random): string {
  const { text: form, tag, level } = oneOf(random, forms);
  // A field full of what stands between the fields can end anywhere: nothing is slower to match.
  const between = form.replaceAll(/\{\{?[^}]*\}/g, '1').slice(length(random, form.length));
  const full = chance(random, 0.06) ? between.repeat(random.integer(1, 40_000 / form.length)) : '';
  const said = form.replaceAll(/\{\{?([A-Za-z0-9]+)(?::([a-z]+))?\}/g, (_, _name, kind) => {
    switch (kind) {
      case 'int':
        return String(random.integer(0, 2 ** 31));
      case 'hex':
        return `0x${random.integer(0, 2 ** 31).toString(16)}`;
      case 'ratio':
        return oneOf(random, ['inf', 'NaN', '1.5', String(random.between(0, 9))]);
      case 'debug':
        return JSON.stringify(text(random));
      case 'registers':
        return 'PC      : 0x4200abcd  PS      : 0x00060030  ';
      default:
        return full === '' ? text(random) : full;
    }
  });
  const colour = chance(random, 0.2) ? ['\u001b[0;32m', '\u001b[0m'] : ['', ''];
  const name = tag === 'board' || tag === undefined ? 'echokit::boards::mod' : tag;
  const head = level === undefined ? '' : `${level} (${random.integer(0, 1e6)}) ${name}: `;
  const end = oneOf(random, ['\r\n', '\n', '\r', '\r\r\n', '']);
  return `${colour[0]}${head}${said}${colour[1]}${end}`;
}

function drawnConsole(random: Random): Uint8Array {
  return joined(
    ...list(random, 10, () =>
      chance(random, 0.9) ? utf8(drawnLine(random)) : random.bytes(length(random, 60)),
    ),
  );
}

/** What stands between the fields of the forms, which is what a slow match needs. */
const literals = [
  ...new Set(
    forms.flatMap(({ text: form }) => form.split(/\{\{?[^}]*\}/).filter((part) => part !== '')),
  ),
];

const consoleTokens = [
  ...[
    '\r\n',
    '\n',
    '\r',
    '\0',
    '\u001b[0m',
    'ESP-ROM:esp32s3-20210327',
    'I (1) echokit::app: ',
    '"',
    '\\"',
    '\\u{110000}',
  ],
  ...[' ', ':', ':1', '(', ')', '0x', ...literals],
];

export const consoleBytes: FuzzTarget = {
  name: 'console',
  about: "a board's console: bytes to lines to what they say",
  share: 70,
  longestBytes: 72 << 10,
  arrival: 'stream',
  refusals: [],
  tokens: consoleTokens,
  draw: drawnConsole,
  time: { baseUs: 80_000, perByteUs: 10 },
  open: () => {
    return (pieces) => {
      const reader = new ConsoleLineReader();
      const lines = [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
      checkCounts(pieces);
      for (const line of lines) checkLine(line);
      return lines;
    };
  },
};

/** Every character is in a line, or counted as left out. */
function checkCounts(pieces: readonly Uint8Array[]): void {
  const splitter = new ConsoleLineSplitter();
  const lines = [...pieces.flatMap((piece) => splitter.push(piece, 0)), ...splitter.end(0)];
  const { counts } = splitter;
  const given = joined(...pieces);
  must(
    counts.bytes === given.length,
    'nothing-lost',
    () => `${counts.bytes} of ${given.length} bytes`,
  );
  must(
    counts.lines === lines.length,
    'sound-account',
    () => `${counts.lines} of ${lines.length} lines`,
  );
  const there = lines.map(({ text: one }) => one).join('');
  const characters = there.length + counts.nulBytes;
  const strict = new TextDecoder('utf-8', { ignoreBOM: true });
  const expected = strict.decode(given.filter((byte) => byte !== 0x0a && byte !== 0x0d));
  // Line ends between the bytes of a character make two broken ones of it.
  const isTorn = counts.invalidUtf8 > 0 || counts.cutLines > 0;
  const isWhole = isTorn ? characters >= expected.length : characters === expected.length;
  must(isWhole, 'nothing-lost', () => `${characters} characters of ${expected.length}`);
}

function checkLine(line: ConsoleLine): void {
  if (line.kind !== 'log') return;
  const { ms } = line;
  must(ms === null || ms >= 0, 'sound-account', () => `a line at ${ms} ms`);
}

export const consoleStory: FuzzTarget = {
  name: 'console-story',
  about:
    "what a board's console tells: boots, resets, crashes, wrong baud, states; secrets are replaced",
  share: 30,
  longestBytes: 24 << 10,
  arrival: 'stream',
  refusals: [],
  tokens: [...consoleTokens, 'PASS: "hunter2-fuzz"'],
  draw: (random) => {
    const password = `I (5) echokit: PASS: ${JSON.stringify(`hunter2-${word(random)}`)}\r\n`;
    return chance(random, 0.3)
      ? joined(utf8(password), drawnConsole(random))
      : drawnConsole(random);
  },
  time: { baseUs: 120_000, perByteUs: 20 },
  open: () => {
    return (pieces) => {
      const lines: string[] = [];
      const story: string[] = [];
      const reader = new ConsoleReader({
        clock: new SimulatedClock(),
        onLine: ({ text: said, origin, begin, end }) =>
          lines.push([said, origin, begin, end].join(' ')),
        onStory: (event) => story.push(event.type),
        baud: 115_200,
      });
      reader.opened();
      for (const piece of pieces) reader.push(piece, 0);
      reader.close();
      const { bytes } = reader.counts;
      const given = pieces.reduce((sum, piece) => sum + piece.length, 0);
      must(bytes === given, 'nothing-lost', () => `${bytes} of ${given} bytes`);
      // The noise of a wrong baud rate is judged by what comes at once, so the story may differ there.
      return [lines, story.filter((type) => type !== 'wrong-baud')];
    };
  },
};

export const telnetBytes: FuzzTarget = {
  name: 'telnet',
  about: 'telnet around a serial port (RFC 2217)',
  share: 30,
  longestBytes: 32 << 10,
  arrival: 'stream',
  refusals: [],
  tokens: ['\0', 'data'],
  draw: (random) =>
    joined(
      ...list(random, 12, () =>
        oneOf(random, [
          () => Uint8Array.of(255, random.integer(250, 255), random.integer(0, 255)),
          () =>
            joined(
              Uint8Array.of(255, 250, 44),
              random.bytes(length(random, 20)),
              Uint8Array.of(255, 240),
            ),
          () => escapeTelnet(random.bytes(length(random, 50))),
          () => random.bytes(length(random, 10)),
        ])(),
      ),
    ),
  open: () => {
    return (pieces) => {
      const reader = new TelnetReader();
      const items = pieces.flatMap((piece) => reader.push(piece));
      const data = items.flatMap((item) => (item.kind === 'data' ? [item.bytes] : []));
      const all = joined(...data);
      const again = new TelnetReader().push(escapeTelnet(all));
      const back = joined(...again.flatMap((item) => (item.kind === 'data' ? [item.bytes] : [])));
      must(Buffer.compare(all, back) === 0, 'round-trip', () => `${all.length} bytes of data`);
      return [all, items.filter(({ kind }) => kind !== 'data')];
    };
  },
};
