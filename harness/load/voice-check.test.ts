import test from 'ava';
import { createRandom } from '../random/random.ts';
import { checkVoice } from './voice-check.ts';
import { boardOfTones, distinctVoices, inVoiceOf, voiceTones } from './voice-signature.ts';

/** A tone pair written down here once more, with any phase: what a speaker would play. */
function tones(board: number, samples: number, level = 3000, phase = 0.7): Int16Array {
  const { lowHz, highHz } = voiceTones(board);
  return Int16Array.from({ length: samples }, (_, i) => {
    const t = (2 * Math.PI * i) / 16_000;
    return Math.round(level * (Math.sin(lowHz * t + phase) + Math.sin(highHz * t + 2 * phase)));
  });
}

test('every one of 2304 boards has a voice of its own, and neighbors differ in both tones', (t) => {
  const seen = new Set<string>();
  for (let board = 0; board < distinctVoices; board++) {
    const { lowHz, highHz } = voiceTones(board);
    seen.add(`${lowHz} ${highHz}`);
    const next = voiceTones(board + 1);
    t.true(lowHz !== next.lowHz && highHz !== next.highHz);
  }
  t.is(seen.size, distinctVoices);
  const { lowHz, highHz } = voiceTones(1234);
  t.is(boardOfTones(lowHz, highHz), 1234);
});

test('a board hears its own voice at any phase and level, with a gap, a jump and noise in it', (t) => {
  const random = createRandom(7, 'noise');
  for (const board of [0, 17, 199, 1000, 2303]) {
    for (const level of [400, 3000, 12_000]) {
      const played = tones(board, 16_384, level, random.next() * 6);
      for (let i = 0; i < played.length; i++) {
        played[i] = played[i]! + Math.round(random.normal() * level * 0.1);
      }
      // A gap of 20 ms, and samples that are missing: the phase jumps.
      played.fill(0, 3000, 3320);
      const jumped = new Int16Array([...played.subarray(0, 9000), ...played.subarray(9000 + 137)]);
      const { foreign, own, damaged } = checkVoice(board, jumped);
      t.is(foreign, 0);
      t.true(own >= 12, `${own} own, ${damaged} damaged`);
    }
  }
});

test('a single foreign window is found, and whose it is, also when both speak at once', (t) => {
  for (const [board, other] of [
    [0, 1],
    [17, 1717],
    [3, 51],
    [2303, 2302],
  ] as const) {
    const played = tones(board, 8192);
    const strange = tones(other, 1024);
    const replaced = played.slice();
    replaced.set(strange, 2048);
    const found = checkVoice(board, replaced);
    t.is(found.foreign, 1);
    t.is(found.own, 7);
    t.is(found.stranger?.board, other);
    t.is(found.stranger?.at, 2048);

    const mixed = played.slice();
    for (let i = 0; i < 1024; i++) mixed[2048 + i] = mixed[2048 + i]! + strange[i]!;
    t.is(checkVoice(board, mixed).foreign, 1);
  }
});

test('a speaker that starves, with gaps of any number and length, has no strange voice', (t) => {
  const random = createRandom(11, 'gaps');
  const played = new Int16Array(1024 * 3000);
  for (let at = 0; at < played.length; ) {
    const voiced = tones(139, random.integer(1, 300), 3000, random.next() * 6);
    played.set(voiced.subarray(0, played.length - at), at);
    at += voiced.length + random.integer(1, 600);
  }
  const { foreign, damaged } = checkVoice(139, played);
  t.is(foreign, 0);
  t.true(damaged > 1500, `${damaged} damaged`);
});

test('a packet of another board is found wherever it begins, in place of the own sound and above it', (t) => {
  for (const other of [187, 1717, 140]) {
    const strange = tones(other, 1920, 3000, 2);
    for (let begin = 1024; begin < 2048; begin += 64) {
      const played = tones(139, 8192);
      const mixed = played.slice();
      for (let i = 0; i < 1920; i++) mixed[begin + i] = mixed[begin + i]! + strange[i]!;
      const replaced = played.slice();
      replaced.set(strange, begin);
      t.true(checkVoice(139, replaced).foreign > 0, `${other} at ${begin}`);
      t.true(checkVoice(139, mixed).foreign > 0, `${other} above it at ${begin}`);
    }
  }
});

test('silence is nobody’s voice, and noise is damage', (t) => {
  t.deepEqual(checkVoice(5, new Int16Array(4096)), { own: 0, quiet: 4, damaged: 0, foreign: 0 });
  const random = createRandom(9, 'noise');
  const noise = Int16Array.from({ length: 4096 }, () => Math.round(random.normal() * 3000));
  t.is(checkVoice(5, noise).damaged, 4);
});

test('the words of a board keep the sentences of the text', (t) => {
  t.is(inVoiceOf(17, 'The moon is far, very far. Why?'), 'v17e v17e v17e v17e, v17e v17e. v17e?');
  t.is(inVoiceOf(3, '月亮很远。为什么？'), 'v3e。v3e？');
});
