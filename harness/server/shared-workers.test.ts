import test from 'ava';
import type { SpeechEvent } from '../../adapters/speech-adapter.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { type PlantedClip, plantedSpeech, tone } from './planted-speech.contract.ts';
import {
  ask,
  ofType,
  simulate,
  streamQuery,
  threeSentences,
} from './server-laboratory.contract.ts';
import { sharedWorkers } from './shared-workers.ts';

async function* once(text: string): AsyncGenerator<string, void> {
  yield text;
}

async function read(events: AsyncIterable<SpeechEvent>): Promise<SpeechEvent['type'][]> {
  const types: SpeechEvent['type'][] = [];
  for await (const event of events) types.push(event.type);
  return types;
}

test('four at a time, the others in the order in which they came', async (t) => {
  const clock = new SimulatedClock();
  const clip = (): PlantedClip => ({ samples: tone(440, 1600), firstByteMs: 1000 });
  const inner = plantedSpeech(clock, clip);
  const session = sharedWorkers(inner);
  const ends: [string, number][] = [];
  const names = ['1', '2', '3', '4', '5', '6'];
  const all = names.map(async (text) => {
    await read(session.speak(once(text), new AbortController().signal));
    ends.push([text, clock.nowUs()]);
  });
  await clock.run(Promise.all(all));
  t.is(inner.runningMax, 4);
  t.deepEqual(ends, [
    ['1', 1_000_000],
    ['2', 1_000_000],
    ['3', 1_000_000],
    ['4', 1_000_000],
    ['5', 2_000_000],
    ['6', 2_000_000],
  ]);
});

test('a failure reaches the caller and frees the worker', async (t) => {
  const clock = new SimulatedClock();
  const clip = (text: string): PlantedClip => ({
    samples: tone(440, 1600),
    ...(text === 'bad' ? { failure: 'server' as const } : {}),
  });
  const session = sharedWorkers(plantedSpeech(clock, clip), 1);
  const { signal } = new AbortController();
  await clock.run(
    t.throwsAsync(read(session.speak(once('bad'), signal)), { message: /Planted failure/ }),
  );
  t.deepEqual(await clock.run(read(session.speak(once('good'), signal))), [
    'request',
    'responseHead',
    'audio',
    'end',
  ]);
});

test('an interrupted call ends at once, and its worker is busy until there is audio', async (t) => {
  const clock = new SimulatedClock();
  const clip = (): PlantedClip => ({ samples: tone(440, 1600), firstByteMs: 6000 });
  const inner = plantedSpeech(clock, clip);
  const session = sharedWorkers(inner, 1);
  const stop = new AbortController();
  const script = async (): Promise<void> => {
    const interrupted = t.throwsAsync(read(session.speak(once('old'), stop.signal)), {
      message: 'interrupted',
    });
    await clock.sleep(500_000);
    stop.abort(new Error('interrupted'));
    await interrupted;
    t.is(clock.nowUs(), 500_000);
    t.is(inner.running, 1);
    await read(session.speak(once('new'), new AbortController().signal));
    // 6 s of the old call, then 6 s of its own.
    t.is(clock.nowUs(), 12_000_000);
    t.is(inner.cancelled, 0);
    t.deepEqual(inner.texts, [['old'], ['new']]);
  };
  await clock.run(script());
});

test('with four requests that hang, no board is answered any more', async (t) => {
  const clip = (text: string): PlantedClip => ({
    samples: tone(440, 4000),
    firstByteMs: text.startsWith('Hang') ? 100_000_000 : 100,
  });
  const reply = {
    async *reply(text: string) {
      yield text;
    },
  };
  const script = async (wrap?: typeof sharedWorkers): Promise<string> =>
    simulate({ clip, reply, ...(wrap && { wrap }) }, async ({ board, clock }) => {
      for (const id of ['a', 'b', 'c', 'd']) {
        (await board(id)).command('Text', { input: 'Hang up.' });
      }
      await clock.sleep(1_000_000);
      const device = await board('e', streamQuery);
      device.command('Text', { input: 'Hello.' });
      await clock.sleep(20_000_000);
      return device.order;
    });
  t.is(await script(sharedWorkers), 'ASR StartAudio');
  t.is(await script(), 'ASR StartAudio AudioChunkWithVowel* EndAudio EndResponse');
});

test('nothing of an interrupted turn is reported, although its requests go on', async (t) => {
  const clip = (): PlantedClip => ({ samples: tone(440, 4000), firstByteMs: 3000 });
  const options = { clip, reply: threeSentences, wrap: sharedWorkers };
  await simulate(options, async ({ board, events, speech, clock }) => {
    const device = await board();
    device.command('Text', { input: 'first' });
    await clock.sleep(2_000_000);
    const again = await board(undefined, streamQuery);
    await device.until('EndResponse');
    t.true(speech.running > 0);
    const reported = events.filter((event) => event.source === 'provider').length;
    await ask(again);
    t.is(ofType(events, 'turnEnd')[0]!.outcome, 'interrupted');
    t.is(ofType(events, 'turnEnd')[1]!.outcome, 'spoken');
    const old = events.filter((event) => event.source === 'provider').slice(reported);
    t.true(old.every((event) => !('turn' in event) || event.turn === 2));
    t.is(speech.cancelled, 0);
  });
});

test('closing ends what runs and what waits', async (t) => {
  const clock = new SimulatedClock();
  const clip = (): PlantedClip => ({ samples: tone(440, 1600), firstByteMs: 1000 });
  const session = sharedWorkers(plantedSpeech(clock, clip), 1);
  const { signal } = new AbortController();
  const first = read(session.speak(once('first'), signal));
  const second = t.throwsAsync(read(session.speak(once('second'), signal)));
  await clock.run(session.close());
  await second;
  await t.throwsAsync(read(session.speak(once('third'), signal)));
  await first;
});
