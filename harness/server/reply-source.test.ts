import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { scriptedRecognizer } from './recognizer.ts';
import { type ScriptedReply, scriptedReply, tokens } from './reply-source.ts';

const context = { deviceId: 'a', turn: 3, history: [] };
const script: ScriptedReply = {
  text: 'The moon is wonderful.',
  firstTokenMs: 350,
  tokensPerSecond: 40,
};

test('a text is cut at words, and long words into pieces of four characters', (t) => {
  t.deepEqual(tokens('The moon is wonderful.'), ['The', ' moon', ' is', ' won', 'derf', 'ul.']);
  t.deepEqual(tokens('Hello,\n\nyou there  '), ['Hello,', '\n\nyou', ' there', '  ']);
  t.deepEqual(tokens('月亮离我们很远，没有空气。'), ['月亮离我', '们很远，', '没有空气。']);
  t.deepEqual(tokens('😀😀😀😀😀😀😀😀'), ['😀😀😀😀', '😀😀😀😀']);
  t.deepEqual(tokens(''), []);
});

test('tokens come at the pace of the script, however slow their reader is', async (t) => {
  const clock = new SimulatedClock();
  const source = scriptedReply((asked) => (asked.turn === 3 ? script : undefined), { clock });
  const read = async (thinkUs: number): Promise<[number, string][]> => {
    const startUs = clock.nowUs();
    const seen: [number, string][] = [];
    for await (const token of source.reply('?', context, new AbortController().signal)) {
      seen.push([clock.nowUs() - startUs, token]);
      await clock.sleep(thinkUs);
    }
    return seen;
  };
  // 350 ms, then one every 25 ms.
  t.deepEqual(
    (await clock.run(read(0))).map(([atUs]) => atUs),
    [350_000, 375_000, 400_000, 425_000, 450_000, 475_000],
  );
  t.deepEqual(
    (await clock.run(read(60_000))).map(([atUs]) => atUs),
    [350_000, 410_000, 470_000, 530_000, 590_000, 650_000],
  );
  t.is((await clock.run(read(0))).map(([, token]) => token).join(''), script.text);
});

test('an utterance without a script has an empty reply', async (t) => {
  const clock = new SimulatedClock();
  const source = scriptedReply(() => undefined, { clock });
  for await (const _ of source.reply('?', context, new AbortController().signal)) t.fail();
  t.is(clock.nowUs(), 0);
});

test('a reply and a recognition stop when they are no longer wanted', async (t) => {
  const clock = new SimulatedClock();
  const stop = new AbortController();
  clock.after(360_000, () => stop.abort(new Error('enough')));
  const source = scriptedReply(() => script, { clock });
  const seen: string[] = [];
  const reading = (async () => {
    for await (const token of source.reply('?', context, stop.signal)) seen.push(token);
  })();
  const recognizer = scriptedRecognizer(() => 'text', { clock, durationMs: 500 });
  const recognizing = recognizer.recognize(new Int16Array(0), context, stop.signal);
  await t.throwsAsync(clock.run(Promise.all([reading, recognizing])), { message: 'enough' });
  await t.throwsAsync(reading, { message: 'enough' });
  t.deepEqual(seen, ['The']);
  t.is(clock.nowUs(), 360_000);
});

test('a scripted recognizer takes its time and knows its turn', async (t) => {
  const clock = new SimulatedClock();
  const recognizer = scriptedRecognizer(({ turn }) => (turn === 3 ? 'three' : undefined), {
    clock,
    durationMs: 250,
  });
  const { signal } = new AbortController();
  t.is(await clock.run(recognizer.recognize(new Int16Array(0), context, signal)), 'three');
  t.is(clock.nowUs(), 250_000);
  const other = { ...context, turn: 4 };
  t.is(await clock.run(recognizer.recognize(new Int16Array(0), other, signal)), '');
});
