import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { audibleRange } from './audible-range.ts';
import { loadOfflineVoice } from './offline-voice.ts';
import { fliteVoiceFor, readVoiceName } from './voice-name.ts';

const sentence = 'The weather in the mountains will be sunny, with a light wind from the west.';
const voice = await loadOfflineVoice({ mandarin: 'none' });

for (const name of ['slt', 'rms', 'awb', 'kal16']) {
  test(`voice ${name} speaks at a natural pace, level and density`, (t) => {
    const { samples, sampleRateHz } = voice.speak(sentence, name);
    t.is(sampleRateHz, 16_000);
    const charactersPerSecond = sentence.length / (samples.length / sampleRateHz);
    t.true(charactersPerSecond >= 12 && charactersPerSecond <= 18, `${charactersPerSecond}`);
    const { from, to, activeDbfs, activeRatio } = audibleRange(samples, sampleRateHz);
    t.true(Math.abs(activeDbfs + 20) < 0.5, `${activeDbfs} dBFS`);
    t.true(activeRatio > 0.6 && activeRatio < 0.99, `${activeRatio}`);
    // Nothing inaudible is left in front; behind, at most the remainder of a 1 ms hop.
    t.is(from, 0);
    t.is(to, samples.length);
    t.true(samples.every((sample) => Math.abs(sample) < 32_767));
  });
}

test('two engines loaded apart give the same samples', async (t) => {
  const other = await loadOfflineVoice();
  t.deepEqual(other.speak('Good morning.').samples, voice.speak('Good morning.').samples);
  t.notDeepEqual(voice.speak('Good evening.').samples, voice.speak('Good morning.').samples);
});

test('a name the engine does not know always means the same voice', (t) => {
  const names = ['ash', 'alloy', 'coral', 'texan', 'YOUR-VOICE-ID', 'nova', 'sage', 'echo'];
  for (const name of names) {
    t.is(fliteVoiceFor(name), fliteVoiceFor(name));
    t.deepEqual(voice.speak('Hello.', name), voice.speak('Hello.', fliteVoiceFor(name)));
  }
  t.true(new Set(names.map(fliteVoiceFor)).size > 1, 'names spread over several voices');
  t.is(fliteVoiceFor('rms'), 'rms');
});

test('test signals have the length of the text and the level of speech', (t) => {
  const text = 'x'.repeat(30);
  for (const name of ['tone', 'sweep', 'chirp']) {
    const { samples } = voice.speak(text, name);
    t.is(samples.length, 2 * 16_000);
    const { activeDbfs } = audibleRange(samples, 16_000);
    t.true(Math.abs(activeDbfs + 20) < 0.1, `${activeDbfs}`);
  }
  t.is(voice.speak(text, 'silence').samples.length, 2 * 16_000);
  t.true(voice.speak(text, 'silence').samples.every((sample) => sample === 0));
  // 1 kHz for 2 s less the fades crosses zero upwards 2000 times.
  const tone = voice.speak(text, 'tone').samples;
  let crossings = 0;
  for (let i = 1; i < tone.length; i++) if (tone[i - 1]! < 0 && tone[i]! >= 0) crossings++;
  t.true(Math.abs(crossings - 2000) <= 1, `${crossings}`);
});

test('silence planted by the name is exact at every rate, and nothing else changes', (t) => {
  for (const name of ['slt', 'ash', 'tone', 'YOUR-VOICE-ID']) {
    for (const rateHz of [8000, 16_000, 22_050, 24_000, 44_100]) {
      const plain = voice.speakAt('Hello.', name, rateHz).samples;
      const later = voice.speakAt('Hello.', `${name}+120ms`, rateHz).samples;
      const lead = later.length - plain.length;
      t.is(lead, Math.round(0.12 * rateHz), `${name} at ${rateHz}`);
      t.true(later.subarray(0, lead).every((sample) => sample === 0));
      t.deepEqual(later.subarray(lead), plain);
    }
  }
  t.deepEqual(voice.speak('Hello.', 'slt+0ms').samples, voice.speak('Hello.', 'slt').samples);
  t.is(voice.speak('…', 'slt+500ms').samples.length, 0, 'nothing to say stays nothing');
  // Only the whole form means silence; anything else is a name like any other.
  for (const name of ['slt+500', 'slt+ms', 'slt+-5ms', '+500ms', 'slt+123456ms']) {
    t.deepEqual(readVoiceName(name), { voice: fliteVoiceFor(name), leadMs: 0 }, name);
  }
  t.deepEqual(readVoiceName('a+1ms+20ms'), { voice: fliteVoiceFor('a+1ms'), leadMs: 20 });
});

test('text without anything to say gives no samples', (t) => {
  for (const text of ['', '   ', '!!!', '…', '😀', '—']) {
    t.is(voice.speak(text).samples.length, 0, JSON.stringify(text));
  }
});

test('Chinese becomes tones at four characters per second', (t) => {
  const { samples } = voice.speak('今天天气很好我们去公园');
  const seconds = samples.length / 16_000;
  t.true(Math.abs(seconds - 11 / 4) < 0.1, `${seconds}`);
  t.deepEqual(samples, voice.speak('今天天气很好我们去公园', 'slt').samples);
  t.notDeepEqual(samples, voice.speak('明天天气很好我们去公园').samples);
  const mixed = voice.speak('I said 你好 to him.').samples.length / 16_000;
  const english = voice.speak('I said to him.').samples.length / 16_000;
  t.true(mixed > english + 0.4 && mixed < english + 1.2, `${mixed} against ${english}`);
});

test('digits and accents are spoken, not dropped', (t) => {
  const shorter = voice.speak('The year.').samples.length;
  t.true(voice.speak('The year 1984.').samples.length > shorter + 16_000 * 0.5);
  t.deepEqual(voice.speak('café').samples, voice.speak('cafe').samples);
});

test('other rates keep duration, level and band', (t) => {
  const original = voice.speak(sentence, 'slt');
  for (const rateHz of [8000, 22_050, 24_000, 32_000, 44_000, 44_100, 48_000]) {
    const { samples, sampleRateHz } = voice.speakAt(sentence, 'slt', rateHz);
    t.is(sampleRateHz, rateHz);
    t.is(samples.length, Math.ceil((original.samples.length * rateHz) / 16_000));
    const { activeDbfs } = audibleRange(samples, rateHz);
    t.true(Math.abs(activeDbfs + 20) < 1, `${rateHz}: ${activeDbfs}`);
  }
  t.throws(() => voice.speakAt('x', 'slt', 4000), { code: 'OFFLINE_VOICE_RATE' });
  t.throws(() => voice.speakAt('x', 'slt', 16_000.5), { code: 'OFFLINE_VOICE_RATE' });
});

test('a clip is synthesized once, also across processes', async (t) => {
  const cacheFolder = mkdtempSync(path.join(tmpdir(), 'offline-voice-'));
  t.teardown(() => rmSync(cacheFolder, { recursive: true }));
  const first = await loadOfflineVoice({ cacheFolder });
  const { samples } = first.speak('Cached.', 'kal16');
  first.speak('Cached.', 'kal16');
  t.deepEqual({ ...first.counts }, { made: 1, memory: 1, disk: 0 });
  t.deepEqual(
    readdirSync(cacheFolder).map((name) => path.extname(name)),
    ['.clip'],
  );

  const second = await loadOfflineVoice({ cacheFolder });
  t.deepEqual(second.speak('Cached.', 'kal16').samples, samples);
  t.deepEqual({ ...second.counts }, { made: 0, memory: 0, disk: 1 });
});

test('a damaged cache file is ignored and written again', async (t) => {
  const cacheFolder = mkdtempSync(path.join(tmpdir(), 'offline-voice-'));
  t.teardown(() => rmSync(cacheFolder, { recursive: true }));
  const first = await loadOfflineVoice({ cacheFolder });
  const { samples } = first.speak('Damaged.', 'kal16');
  const file = path.join(cacheFolder, readdirSync(cacheFolder)[0]!);
  const good = readFileSync(file);
  const flipped = Buffer.from(good);
  flipped[flipped.length - 1]! ^= 1;
  const damages = [
    Buffer.alloc(0),
    good.subarray(0, 31),
    good.subarray(0, good.length - 2),
    flipped,
  ];
  for (const damage of damages) {
    writeFileSync(file, damage);
    const again = await loadOfflineVoice({ cacheFolder });
    t.deepEqual(again.speak('Damaged.', 'kal16').samples, samples);
    t.is(again.counts.made, 1);
    t.deepEqual(readFileSync(file), good);
  }
});

test('a cache folder that cannot be made costs only time', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'offline-voice-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'file');
  writeFileSync(file, '');
  const blocked = await loadOfflineVoice({ cacheFolder: path.join(file, 'inside') });
  t.true(blocked.speak('Still here.', 'kal16').samples.length > 0);
});
