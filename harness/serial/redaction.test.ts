import test from 'ava';
import { longestLineBytes } from '../../firmware-protocol/console-splitter.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { ConsoleReader, type ReadLine } from './console-reader.ts';
import { hungUp } from './port-problems.ts';
import { ConsoleRedaction } from './redaction.ts';

const secret = 'sk-live-Zq71/"x"=9';

function reading(secrets: readonly string[]): { reader: ConsoleReader; lines: ReadLine[] } {
  const lines: ReadLine[] = [];
  const reader = new ConsoleReader({
    clock: new SimulatedClock(),
    baud: 115_200,
    secrets,
    onLine: (line) => lines.push(line),
    onStory: () => {},
  });
  return { reader, lines };
}

test('a named secret is replaced in every spelling of a line and of its event', (t) => {
  const redaction = new ConsoleRedaction([secret]);
  for (const spelling of [
    secret,
    JSON.stringify(secret),
    JSON.stringify(JSON.stringify({ key: secret })),
    encodeURIComponent(secret),
    Buffer.from(`user:${secret}`).toString('base64'),
    Buffer.from(secret).toString('hex'),
  ]) {
    const read = redaction.read(`E (4) echokit::app: Received ASR: "asked with ${spelling} there"`);
    const shown = JSON.stringify(read);
    t.false(/Zq71|5a713731/i.test(shown), shown);
    t.false(shown.includes(spelling), shown);
    t.regex(read.text, /asked with .*\[redacted\].* there/);
  }
});

test('a secret that is cut anywhere by the reads of a port is replaced', (t) => {
  const line = Buffer.from(`I (7) echokit::app: key ${secret} is used\r\n`);
  for (let cut = 1; cut < line.length; cut++) {
    const { reader, lines } = reading([secret]);
    reader.push(line.subarray(0, cut), 0);
    reader.push(line.subarray(cut), 1000);
    t.deepEqual(
      lines.map(({ text }) => text),
      ['I (7) echokit::app: key [redacted] is used'],
    );
  }
});

test('a secret that is cut by the longest line, or by a port that vanishes, is replaced on both sides', (t) => {
  const key = 'abcdefgh12345678';
  for (let before = 5; before < key.length - 4; before++) {
    const { reader, lines } = reading([key]);
    const filler = `${'.'.repeat(longestLineBytes - 1 - before)} `;
    reader.push(Buffer.from(`${filler}${key} goes on\n`), 0);
    t.deepEqual(
      lines.map(({ text, end }) => [text, end]),
      [
        [`${filler}[redacted]`, 'cut'],
        ['[redacted] goes on', 'whole'],
      ],
    );
    const gone = reading([key]);
    gone.reader.push(Buffer.from(`a line with ${key.slice(0, before)}`), 0);
    gone.reader.interrupted();
    gone.reader.opened();
    gone.reader.push(Buffer.from(`${key.slice(before)} goes on\nabcd and 5678\n`), 0);
    t.deepEqual(
      gone.lines.map(({ text }) => text),
      ['a line with [redacted]', '[redacted] goes on', 'abcd and 5678'],
    );
  }
});

test('a password is known by what it is, also where its line has colours or backslashes', (t) => {
  const esc = String.fromCharCode(27);
  const redaction = new ConsoleRedaction();
  redaction.read(`${esc}[0;32mI (1) echokit::bt: New pass: tulip-garden${esc}[0m`);
  redaction.read('I (608) echokit: PASS: "c0rrect \\"horse\\\\9"');
  t.is(
    redaction.read('E (4) wifi: no network takes tulip-garden or c0rrect "horse\\9').text,
    'E (4) wifi: no network takes [redacted] or [redacted]',
  );
  t.is(
    redaction.read('E (5) wifi: tried "c0rrect \\"horse\\\\9" and c0rrect "ho', 'torn').text,
    'E (5) wifi: tried "[redacted]" and [redacted]',
  );
});

test('a server that hangs up is quoted without passwords, and what is cut off can be found', (t) => {
  const { reader } = reading([secret]);
  const said = `I (608) echokit: PASS: "tulip"\r\nI (609) echokit: asks with ${secret.slice(0, 9)}`;
  t.is(
    reader.redact(hungUp('socket://lab:1', said).message),
    'socket://lab:1 hung up at once; it said: I (608) echokit: PASS: [redacted] I (609) echokit: asks with [redacted]….',
  );
  t.regex(hungUp('socket://lab:1', 'word '.repeat(100)).message, /^.{40,250} word…\.$/);
});

test('passwords without end cost no memory, and named secrets stay known', (t) => {
  const redaction = new ConsoleRedaction([secret]);
  const print = (pass: string): string =>
    redaction.read(`I (1) echokit::bt: New pass: ${pass}`).text;
  for (let i = 0; i < 100; i++) t.false(print(`password-${i}-`).includes('word-'));
  t.false(print('long'.repeat(10_000)).includes('long'));
  t.is(redaction.replace('password-99- and password-84-'), '[redacted] and [redacted]');
  t.is(redaction.replace('password-83-'), 'password-83-');
  t.is(redaction.replace(secret), '[redacted]');
});
