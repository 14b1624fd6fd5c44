import test from 'ava';
import { type ConsoleEntry, compareTwins } from './twin-comparison.ts';

const app = 'echokit::app';
const ws = 'echokit::ws';

/** Lines at instants in ms. */
function lines(...entries: readonly [ms: number, message: string, tag?: string][]): ConsoleEntry[] {
  return entries.map(([ms, message, tag = app], i) => ({
    seq: i + 1,
    atUs: ms * 1000,
    tag,
    message,
  }));
}

const model = lines(
  [1000, 'Received audio start: "One."'],
  [1500, 'Received audio end'],
  [1500, 'Audio speed: 0.12x'],
  [2000, 'Received notify event'],
  [2001, 'Received request end'],
);

test('lines that both printed are paired, with the delays that were planted', (t) => {
  const board = model.map((line, i) => ({ ...line, atUs: line.atUs + [3, 5, 4, 9, 7][i]! * 1000 }));
  const twin = compareTwins(board, model);
  t.is(twin.matched, 5);
  t.is(twin.parting, null);
  t.deepEqual(twin.all, { medianMs: 5, p95Ms: 9, n: 5 });
  t.deepEqual(twin.playout, { medianMs: 3, p95Ms: 9, n: 2 });
});

test('a line that is missing is where they part, and those behind it are still paired', (t) => {
  const board = model.filter((_, i) => i !== 1);
  const twin = compareTwins(board, model);
  t.is(twin.matched, 4);
  t.deepEqual(
    twin.onlyModel.map(({ message }) => message),
    ['Received audio end'],
  );
  t.is(twin.parting?.who, 'model');
  t.is(twin.parting?.atUs, 1_500_000);
});

test('of two lines that only one printed, the earlier is where they part', (t) => {
  const board = lines([900, 'Received event: k0'], [1000, 'Received audio start: "One."']);
  const twin = compareTwins(board, model);
  t.is(twin.parting?.who, 'board');
  t.is(twin.parting?.message, 'Received event: k0');
  t.is(twin.onlyModel.length, 4);
});

test('what each hears, and other modules, are not compared', (t) => {
  const noise = lines(
    [1, 'Speech started', 'echokit::audio'],
    [2, 'Free SPIRAM heap size: 6800KB', 'echokit'],
    [3, 'Received MicAudioChunk while no Listening/Speaking state, ignoring'],
    [4, 'state: init -> auth (0xb0)', 'wifi'],
  );
  t.is(compareTwins([...noise, ...model], model).parting, null);
});

test('tasks may change places with each other, but not with themselves', (t) => {
  const one = lines([10, 'Received StartAudio event: One.', ws], [10, 'Received request end']);
  const other = lines([10, 'Received request end'], [10, 'Received StartAudio event: One.', ws]);
  t.is(compareTwins(one, other).parting, null);
  const swapped = lines([10, 'Received audio end'], [11, 'Received request end']);
  const back = lines([10, 'Received request end'], [11, 'Received audio end']);
  t.is(compareTwins(swapped, back).matched, 1);
});

test('another text is another line; another measured ratio is not', (t) => {
  const board = lines([1000, 'Received audio start: "Two."'], [1500, 'Audio speed: 0.34x']);
  const twin = compareTwins(board, model);
  t.is(twin.matched, 1);
  t.is(twin.parting?.message, 'Received audio start: "Two."');
});

test('nothing in common has no delay', (t) => {
  const twin = compareTwins([], model);
  t.is(twin.all, null);
  t.is(twin.playout, null);
  t.is(twin.onlyModel.length, 5);
});
