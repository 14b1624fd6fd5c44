import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import wav from 'wav';
import { audibleRange } from './audible-range.ts';
import { type KeptClipIndex, KeptClips, shippedClipsFolder } from './kept-clips.ts';
import type { MandarinEngine } from './mandarin-engine.ts';
import { loadOfflineVoice } from './offline-voice.ts';
import { speakableText } from './speakable-text.ts';

const folder = shippedClipsFolder()!;
const index = JSON.parse(readFileSync(join(folder, 'clips.json'), 'utf8')) as KeptClipIndex;
const kept = `kept clips of ${index.madeWith}`;
const question = '哪颗行星离太阳最近？';

/** An engine that must not be asked. */
const noEngine: MandarinEngine = {
  version: 'no engine 1',
  rateHz: 22_050,
  synthesize: () => {
    throw new Error('The engine was asked for a text that is kept.');
  },
};
const voice = await loadOfflineVoice({ mandarin: noEngine });

/** Reads a WAV with a reader that is not ours. */
function readWav(file: string): Promise<{ format: wav.Format; samples: Int16Array }> {
  return new Promise((resolve, reject) => {
    const reader = new wav.Reader();
    const pieces: Buffer[] = [];
    let format: wav.Format | undefined;
    reader.on('format', (found) => {
      format = found;
      reader.on('data', (piece: Buffer) => pieces.push(piece));
    });
    reader.on('end', () => {
      const pcm = Buffer.concat(pieces);
      const samples = Int16Array.from({ length: pcm.length / 2 }, (_, i) => pcm.readInt16LE(2 * i));
      resolve({ format: format!, samples });
    });
    reader.on('error', reject);
    reader.end(readFileSync(file));
  });
}

test('the clips of the repository are those that were made', (t) => {
  // Everything measured with the Mandarin scenarios rests on these bytes.
  const all = createHash('sha256');
  for (const { text, voice, file } of index.clips) {
    all.update(`${voice} ${text}\n`).update(readFileSync(join(folder, file)));
  }
  t.is(all.digest('hex'), '95afde9ee4f655056f83dba5f3c0be454e2a38d202f6380bbf732480240c3483');
});

test('every file of the folder is in the index, once', (t) => {
  const files = readdirSync(folder).filter((name) => name.endsWith('.wav'));
  t.deepEqual(index.clips.map(({ file }) => file).sort(), files.sort());
  t.true(files.length > 10);
});

test('a text is spoken by its clip, in its voice, whatever engine there is', async (t) => {
  for (const { text, voice: name, file } of index.clips) {
    const { format, samples } = await readWav(join(folder, file));
    t.is(format.sampleRate, 16_000);
    t.is(format.channels, 1);
    const speech = voice.speak(text, name);
    t.deepEqual(speech.samples, samples, file);
    t.deepEqual(speech.spokenBy, [kept]);
  }
});

test('clips have the level, the cut and the pace of the other voices', (t) => {
  let characters = 0;
  let seconds = 0;
  for (const { text, voice: name } of index.clips) {
    const { samples } = voice.speak(text, name);
    const { from, to, activeDbfs, activeRatio } = audibleRange(samples, 16_000);
    t.true(Math.abs(activeDbfs + 20) < 0.5, `${text}: ${activeDbfs} dBFS`);
    t.is(from, 0);
    t.is(to, samples.length);
    t.true(activeRatio > 0.6, `${text}: ${activeRatio}`);
    characters += text.match(/\p{Script=Han}/gu)!.length;
    seconds += samples.length / 16_000;
  }
  const pace = characters / seconds;
  t.true(pace > 3.6 && pace < 4.4, `${pace} characters per second`);
});

test('the text and the voice have to match, white space around and the rate do not', (t) => {
  const clip = voice.speak(question, 'rms');
  t.deepEqual(voice.speak(` ${question}\n`, 'rms').samples, clip.samples);
  t.is(voice.speakAt(question, 'rms', 24_000).samples.length, (clip.samples.length * 3) / 2);
  t.is(voice.speak(`${question}`, 'rms+50ms').samples.length, clip.samples.length + 800);
  for (const [text, name] of [
    [question.slice(0, -2), 'rms'],
    [question, 'slt'],
  ] as const) {
    t.throws(() => voice.speak(text, name), { message: /was asked for a text/ }, `${text} ${name}`);
  }
});

test('a clip that is not the one of the index stops the run', async (t) => {
  const copy = mkdtempSync(join(tmpdir(), 'kept-clips-'));
  t.teardown(() => rmSync(copy, { recursive: true }));
  cpSync(folder, copy, { recursive: true });
  const { file } = index.clips.find((clip) => clip.text === question)!;
  const path = join(copy, file);
  const good = readFileSync(path);
  const flipped = Buffer.from(good);
  flipped[1000]! ^= 1;
  for (const bytes of [Buffer.alloc(0), good.subarray(0, 2000), flipped]) {
    writeFileSync(path, bytes);
    const voice = await loadOfflineVoice({ keptClips: copy, mandarin: 'none' });
    t.throws(() => voice.speak(question, 'rms'), {
      code: 'OFFLINE_VOICE_CLIP',
      message: /SHA-256/,
    });
  }
  rmSync(path);
  const voice = await loadOfflineVoice({ keptClips: copy, mandarin: 'none' });
  t.throws(() => voice.speak(question, 'rms'), { code: 'OFFLINE_VOICE_CLIP', message: /ENOENT/ });
  t.throws(() => new KeptClips(join(copy, 'nowhere'), speakableText), { code: 'ENOENT' });
});
