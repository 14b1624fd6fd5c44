import test from 'ava';
import { PieceBoundaries } from './piece-boundaries.ts';

/** Samples that tell their position. */
const counting = (from: number, count: number): Int16Array =>
  Int16Array.from({ length: count }, (_, i) => from + i);

/** Marks for a text that is spoken evenly, `samplesEach` per character, from `start`. */
function marks(text: string, start: number, samplesEach: number): [string[], number[]] {
  const characters = [...text];
  return [characters, characters.map((_, i) => start + i * samplesEach)];
}

/** Feeds 1000 samples in blocks and says which samples each piece got. */
function pieces(boundaries: PieceBoundaries, blockSamples: number): [number, number, number][] {
  const out: [piece: number, first: number, count: number][] = [];
  for (let at = 0; at < 1000; at += blockSamples) {
    for (const part of boundaries.split(counting(at, Math.min(blockSamples, 1000 - at)))) {
      const last = out.at(-1);
      if (last?.[0] === part.piece) last[2] += part.samples.length;
      else out.push([part.piece, part.samples[0]!, part.samples.length]);
    }
  }
  return out;
}

test('audio is cut at the first character of each piece, whatever the blocks', (t) => {
  for (const blockSamples of [1, 7, 100, 333, 1000]) {
    const boundaries = new PieceBoundaries();
    for (const text of ['One two. ', 'Three. ', 'Four. ']) boundaries.add(text);
    boundaries.mark(...marks('One two. Three. Four. ', 0, 40));
    // "T" is character 9 of the marked text, "F" character 16.
    t.deepEqual(pieces(boundaries, blockSamples), [
      [0, 0, 360],
      [1, 360, 280],
      [2, 640, 360],
    ]);
  }
});

test('white space in the marks may be more or less than in the text', (t) => {
  const boundaries = new PieceBoundaries();
  boundaries.add('One two. ');
  boundaries.add('Three. ');
  boundaries.mark([' ', 'O', 'n', 'e', 't', 'w', 'o', '.', ' ', ' '], Array(10).fill(0));
  boundaries.mark([' ', 'T'], [500, 520]);
  t.deepEqual(pieces(boundaries, 100), [
    [0, 0, 520],
    [1, 520, 480],
  ]);
});

test('without marks everything belongs to the first piece', (t) => {
  const boundaries = new PieceBoundaries();
  boundaries.add('One. ');
  boundaries.add('Two. ');
  t.deepEqual(pieces(boundaries, 250), [[0, 0, 1000]]);
});

test('a piece may be added while the one before it is spoken', (t) => {
  const boundaries = new PieceBoundaries();
  boundaries.add('你好。 ');
  boundaries.mark(...marks('你好。', 0, 100));
  t.is(boundaries.split(counting(0, 400)).length, 1);
  boundaries.add('再见。 ');
  boundaries.mark(...marks('再见。', 450, 100));
  t.deepEqual(
    boundaries.split(counting(400, 100)).map(({ piece, samples }) => [piece, samples.length]),
    [
      [0, 50],
      [1, 50],
    ],
  );
});

test('a mark that comes after its audio cuts at once', (t) => {
  const boundaries = new PieceBoundaries();
  boundaries.add('One. ');
  boundaries.add('Two. ');
  boundaries.split(counting(0, 600));
  boundaries.mark(...marks('One. Two. ', 0, 100));
  t.deepEqual(
    boundaries.split(counting(600, 100)).map((part) => part.piece),
    [1],
  );
});

test('an element of several characters counts each of them', (t) => {
  const boundaries = new PieceBoundaries();
  boundaries.add('One two. ');
  boundaries.add('Three. ');
  boundaries.mark(['One', ' two', '.', 'Three'], [0, 200, 300, 440]);
  t.deepEqual(pieces(boundaries, 1000), [
    [0, 0, 440],
    [1, 440, 560],
  ]);
});

test('a character outside the basic plane is one character', (t) => {
  const boundaries = new PieceBoundaries();
  boundaries.add('😀a ');
  boundaries.add('b ');
  boundaries.mark(['😀', 'a', 'b'], [0, 100, 300]);
  t.deepEqual(pieces(boundaries, 1000), [
    [0, 0, 300],
    [1, 300, 700],
  ]);
});

test('two pieces that begin at one sample leave the first of them without audio', (t) => {
  const boundaries = new PieceBoundaries();
  for (const text of ['a ', 'b ', 'c ']) boundaries.add(text);
  boundaries.mark(['a', 'b', 'c'], [0, 300, 300]);
  t.deepEqual(pieces(boundaries, 1000), [
    [0, 0, 300],
    [2, 300, 700],
  ]);
});
