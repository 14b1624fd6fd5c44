import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { ConsoleReader, type ReadLine } from '../serial/console-reader.ts';
import type { CommandError } from './exit-code.ts';
import { LineFilter } from './line-filter.ts';

const transcript = [
  'ESP-ROM:esp32s3-20210327',
  'I (1) echokit::app: Volume set to 4',
  'W (2) echokit::ws: Failed to decode opus audio chunk: opus_decode: corrupted stream',
  'I (3) echokit::ws: Received StartAudio event: Hello.',
  'And more.',
  'I (4) wifi:state: init -> auth (0xb0)',
  "Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.",
];

const lines = ((): ReadLine[] => {
  const read: ReadLine[] = [];
  const reader = new ConsoleReader({
    clock: new SimulatedClock(),
    baud: 115_200,
    onLine: (line) => read.push(line),
    onStory: () => {},
  });
  reader.push(Buffer.from(`${transcript.join('\n')}\n`), 0);
  reader.close();
  return read;
})();

function shown(options: { level?: string; filter?: string }): number[] {
  const filter = new LineFilter(options);
  return lines.flatMap((line, index) => (filter.shows(line) ? [index] : []));
}

test('without conditions everything is shown', (t) => {
  t.deepEqual(shown({}), [0, 1, 2, 3, 4, 5, 6]);
});

test('a level shows itself and what is worse, panics always', (t) => {
  t.deepEqual(shown({ level: 'W' }), [2, 6]);
  t.deepEqual(shown({ level: 'E' }), [6]);
});

test('conditions name tags, events, origins and text, and all must hold', (t) => {
  t.deepEqual(shown({ filter: 'tag=echokit::*' }), [1, 2, 3, 4]);
  t.deepEqual(shown({ filter: 'tag=wifi,echokit::app' }), [1, 5]);
  t.deepEqual(shown({ filter: 'event=volume-set' }), [1]);
  t.deepEqual(shown({ filter: 'origin=rom,panic' }), [0, 6]);
  t.deepEqual(shown({ filter: 'text~"opus|volume set"' }), [1, 2]);
  t.deepEqual(shown({ filter: 'tag=echokit::* level=W' }), [2]);
  t.deepEqual(shown({ filter: '!tag=echokit::ws !origin=rom' }), [1, 5, 6]);
});

test('the rest of a sentence goes with its line', (t) => {
  t.deepEqual(shown({ filter: 'event=start-audio-read' }), [3, 4]);
  t.deepEqual(shown({ filter: '!event=start-audio-read' }), [0, 1, 2, 5, 6]);
});

test('what is no condition is a usage error that says how to write one', (t) => {
  for (const options of [
    { filter: 'echokit' },
    { filter: 'tag~x' },
    { filter: 'text=x' },
    { filter: 'text~"("' },
    { filter: 'tag=' },
  ]) {
    const error = t.throws<CommandError>(() => new LineFilter(options))!;
    t.is(error.code, 'USAGE', JSON.stringify(options));
    t.regex(error.hint!, /text~/);
  }
});

test('a level, an event or an origin that does not exist is told with the nearest one; a tag is anything', (t) => {
  const problem = (options: { level?: string; filter?: string }) => {
    const error = t.throws<CommandError>(() => new LineFilter(options))!;
    t.is(error.code, 'USAGE');
    return `${error.message} ${error.hint}`;
  };
  t.regex(problem({ level: 'X' }), /^--level: "X" is no level\. levels are E, W, I, D, V/);
  t.regex(problem({ filter: 'level=warn' }), /^--filter: "warn" is no level/);
  t.regex(
    problem({ filter: 'event=volum-set' }),
    /no event "volum-set"; did you mean volume-set\?/,
  );
  t.regex(problem({ filter: '!event=asr,nothing-like-it' }), /no event "nothing-like-it"\. /);
  t.regex(
    problem({ filter: 'origin=firmwar' }),
    /did you mean firmware\?.*one of firmware, system, rom/,
  );
  t.regex(problem({ filter: 'event=bleh-*' }), /no event "bleh-\*"/);
  t.notThrows(() => new LineFilter({ filter: 'event=ble-* origin=r* tag=no_such_module' }));
});
