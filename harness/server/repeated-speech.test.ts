import test from 'ava';
import type { SpeechEvent, SpeechSession } from '../../adapters/speech-adapter.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { type PlantedClip, plantedSpeech, tone } from './planted-speech.contract.ts';
import { type RepeatedSpeechOptions, repeatedSpeech } from './repeated-speech.ts';
import type { ProviderEvent } from './server-event.ts';
import { ofType, simulate } from './server-laboratory.contract.ts';
import { wholeTexts } from './whole-texts.ts';

async function* pieces(...texts: string[]): AsyncGenerator<string, void> {
  yield* texts;
}

interface Tried {
  readonly events: SpeechEvent[];
  readonly retries: ProviderEvent[];
  readonly texts: string[][];
  readonly error: unknown;
  readonly endUs: number;
}

/** Speaks "one two" against a provider whose answers are those of the list, then the last one. */
async function tried(
  clips: readonly PlantedClip[],
  tries: Pick<RepeatedSpeechOptions, 'count' | 'only' | 'timeoutMs'>,
): Promise<Tried> {
  const clock = new SimulatedClock();
  let call = 0;
  const inner = plantedSpeech(clock, () => clips[Math.min(call++, clips.length - 1)]!);
  const retries: ProviderEvent[] = [];
  const session = repeatedSpeech(inner, { ...tries, clock, onRetry: (e) => retries.push(e) });
  const events: SpeechEvent[] = [];
  let error: unknown;
  const run = async (): Promise<void> => {
    try {
      const text = pieces('one ', 'two');
      for await (const event of session.speak(text, new AbortController().signal)) {
        events.push(event);
      }
    } catch (caught) {
      error = caught;
    }
  };
  await clock.run(run());
  return { events, retries, texts: inner.texts, error, endUs: clock.nowUs() };
}

const good: PlantedClip = { samples: tone(440, 4000) };
const hanging: PlantedClip = { ...good, firstByteMs: 100_000 };

test('a request that takes too long is made three times, then it has failed', async (t) => {
  const gsv = { count: 3, timeoutMs: 15_000, only: 'timeout' as const };
  const lost = await tried([hanging], gsv);
  t.like(lost.error, { kind: 'timeout', code: 'TTS_TIMEOUT' });
  t.is(lost.endUs, 45_000_000);
  t.deepEqual(lost.texts, [['one two'], ['one two'], ['one two']]);
  t.deepEqual(
    lost.retries.map(
      (retry) => retry.type === 'retry' && [retry.request, retry.attempt, retry.atUs],
    ),
    [
      [1, 1, 15_000_000],
      [2, 2, 30_000_000],
    ],
  );

  const saved = await tried([hanging, good], gsv);
  t.is(saved.error, undefined);
  t.is(saved.endUs, 15_000_000);
  t.is(saved.retries.length, 1);
});

test('only the kind of failure that is named is tried again', async (t) => {
  const refused: PlantedClip = { ...good, samples: new Int16Array(0), failure: 'auth' };
  const once = await tried([refused, good], { count: 3, timeoutMs: 15_000, only: 'timeout' });
  t.like(once.error, { kind: 'auth' });
  t.is(once.texts.length, 1);
  t.is((await tried([refused, good], { count: 2 })).error, undefined);
});

test('a slow consumer is no slow provider', async (t) => {
  const clock = new SimulatedClock();
  const inner = plantedSpeech(clock, () => good);
  const options = { clock, count: 1, timeoutMs: 1000, onRetry: () => t.fail() };
  const run = async (): Promise<number> => {
    let samples = 0;
    const events = repeatedSpeech(inner, options).speak(pieces('x'), new AbortController().signal);
    for await (const event of events) {
      if (event.type !== 'audio') continue;
      samples += event.samples.length;
      await clock.sleep(2_000_000);
    }
    return samples;
  };
  t.is(await clock.run(run()), 4000);
});

test('what was delivered before the failure is said twice, and the books balance', async (t) => {
  const broken: PlantedClip = { samples: tone(440, 2500), failure: 'truncated' };
  const { events } = await tried([broken, good], { count: 2 });
  const audio = events.flatMap((event) => (event.type === 'audio' ? [event.samples.length] : []));
  t.is(
    audio.reduce((sum, length) => sum + length, 0),
    2500 + 4000,
  );
  t.like(events.at(-1), { type: 'end', samples: 6500, sourceFrames: 6500, request: 2 });
});

test('an interruption is no failure to be tried again', async (t) => {
  const clock = new SimulatedClock();
  const inner = plantedSpeech(clock, () => hanging);
  const stop = new AbortController();
  const session = repeatedSpeech(inner, { clock, count: 5, onRetry: () => t.fail() });
  clock.after(1_000_000, () => stop.abort(new Error('stop')));
  const run = async (): Promise<void> => {
    for await (const _ of session.speak(pieces('x'), stop.signal));
  };
  await clock.run(t.throwsAsync(run(), { message: 'stop' }));
  t.is(inner.texts.length, 1);
  t.is(clock.nowUs(), 1_000_000);
});

test('the board hears the sentence from the second try, with one StartAudio', async (t) => {
  let calls = 0;
  const clip = (): PlantedClip => (++calls === 1 ? { ...good, failure: 'network' } : good);
  const retries: ProviderEvent[] = [];
  const wrap = (speech: SpeechSession, clock = new SimulatedClock()): SpeechSession =>
    repeatedSpeech(speech, { clock, count: 2, onRetry: (event) => retries.push(event) });
  await simulate({ clip, reply: 'Yes.', wrap }, async ({ board, events }) => {
    const device = await board();
    device.command('Text', { input: 'go' });
    await device.until('EndResponse');
    t.is(device.order, 'ASR StartAudio AudioChunkWithVowel* EndAudio EndResponse');
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'spoken' });
    t.like(ofType(events, 'framed')[0], { samplesIn: 8000 });
    t.is(retries.length, 1);
  });
});

test('a session of whole texts makes a request for each sentence', async (t) => {
  const clip = (): PlantedClip => good;
  const capabilities = { textIn: 'pieces' as const, marks: true };
  const reply = 'First one. Second one.';
  const texts = (wrap?: typeof wholeTexts): Promise<string[][]> =>
    simulate({ clip, capabilities, reply, ...(wrap && { wrap }) }, async ({ board, speech }) => {
      const device = await board();
      device.command('Text', { input: 'go' });
      await device.until('EndResponse');
      return speech.texts;
    });
  t.deepEqual(await texts(), [['First one. ', 'Second one. ']]);
  t.deepEqual(await texts(wholeTexts), [['First one.'], ['Second one.']]);
});
