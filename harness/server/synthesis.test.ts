import test from 'ava';
import { type PlantedClip, tone } from './planted-speech.contract.ts';
import {
  ask,
  conserved,
  ofType,
  rawQuery,
  simulate,
  streamQuery,
  threeSentences,
} from './server-laboratory.contract.ts';

test('a failed sentence has no chunk or the part that came, and the turn goes on', async (t) => {
  const clip = (text: string): PlantedClip =>
    text.startsWith('One')
      ? { samples: new Int16Array(0), failure: 'auth' }
      : text.startsWith('The second')
        ? { samples: tone(440, 2000), failure: 'truncated' }
        : { samples: tone(440, 4000) };
  await simulate({ clip, reply: threeSentences }, async ({ board, events }) => {
    const device = await board();
    await ask(device);
    t.is(
      device.order,
      'ASR StartAudio EndAudio StartAudio AudioChunkWithVowel* EndAudio StartAudio AudioChunkWithVowel* EndAudio EndResponse',
    );
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'failed', failure: 'auth' });
    t.deepEqual(
      ofType(events, 'failure').map((e) => [
        e.request,
        e.sentence,
        e.kind,
        e.code,
        e.deliveredSamples,
      ]),
      [
        [1, 1, 'auth', 'TTS_AUTH', 0],
        [2, 2, 'truncated', 'TTS_TRUNCATED', 2000],
      ],
    );
    t.deepEqual(
      ofType(events, 'framed').map((ledger) => [ledger.samplesIn, ledger.paddedSamples]),
      [
        [0, 0],
        [2000, 1840],
        [4000, 1760],
      ],
    );
    conserved(t, events);
  });
});

test('what a provider counted for a sentence is reported with its end', async (t) => {
  const clip = (text: string): PlantedClip => ({
    samples: tone(440, 4000),
    ...(text.startsWith('The second') ? { usage: { inputTokens: 7, outputTokens: 31 } } : {}),
  });
  await simulate({ clip, reply: threeSentences }, async ({ board, events }) => {
    await ask(await board());
    t.deepEqual(
      ofType(events, 'end').map((end) => [end.request, end.usage]),
      [
        [1, undefined],
        [2, { inputTokens: 7, outputTokens: 31 }],
        [3, undefined],
      ],
    );
  });
});

test('StartAudio does not wait for audio; the next sentences are synthesised meanwhile', async (t) => {
  // Sentence 2 would be ready long before sentence 1.
  const clip = (text: string): PlantedClip => ({
    samples: tone(440, 4000),
    firstByteMs: text.startsWith('One') ? 3000 : 100,
  });
  await simulate({ clip, reply: threeSentences }, async ({ board, speech, events }) => {
    const device = await board();
    await ask(device);
    const at = (event: string, index = 0): number =>
      device.received.filter((message) => message.event === event)[index]!.atUs;
    t.true(at('AudioChunkWithVowel') - at('StartAudio') >= 2_900_000);
    t.is(at('StartAudio', 1), at('EndAudio'));
    t.is(at('EndAudio', 2), at('StartAudio', 1));
    t.is(speech.runningMax, 2);
    t.deepEqual(
      device.fieldsOf('StartAudio').map((text) => String(text).slice(0, 7)),
      ['One.', 'The sec', 'The thi'],
    );
    conserved(t, events);
  });
});

test('at most four sentences are synthesised at a time', async (t) => {
  const reply = Array.from(
    { length: 9 },
    (_, i) => `Sentence number ${i} is exactly long enough to stand by itself. `,
  ).join('');
  const clip = (): PlantedClip => ({ samples: tone(440, 4000), firstByteMs: 5000 });
  await simulate({ clip, reply }, async ({ board, speech }) => {
    const device = await board();
    await ask(device);
    t.is(speech.runningMax, 4);
    t.is(device.fieldsOf('StartAudio').length, 9);
  });
});

test('pieces with marks become one sentence each, cut where the provider says', async (t) => {
  const counting = (text: string): Int16Array =>
    new Int16Array(text.length * 500).fill(
      text.startsWith('One') ? 1 : text.startsWith('The s') ? 2 : 3,
    );
  const clip = (text: string): PlantedClip => ({
    samples: counting(text),
    firstByteMs: 200,
    chunkEveryMs: 40,
    chunkSamples: 1111,
  });
  const capabilities = { textIn: 'pieces', marks: true } as const;
  await simulate(
    { clip, capabilities, reply: threeSentences },
    async ({ board, events, speech }) => {
      const device = await board(undefined, rawQuery);
      await ask(device);
      t.is(speech.texts.length, 1);
      t.deepEqual(
        speech.texts[0]?.map((text) => text.at(-1)),
        [' ', ' ', ' '],
      );
      t.is(
        device.order,
        'ASR StartAudio AudioChunk* EndAudio StartAudio AudioChunk* EndAudio StartAudio AudioChunk* EndAudio EndResponse',
      );
      t.deepEqual(
        device.fieldsOf('StartAudio'),
        speech.texts[0]?.map((text) => text.trim()),
      );
      // Every sentence got exactly its own samples.
      let sentence = 0;
      const got: number[][] = [];
      for (const { event, fields } of device.received) {
        if (event === 'StartAudio') got.push([]);
        if (event === 'EndAudio') sentence += 1;
        if (event === 'AudioChunk') got[sentence]!.push(...(fields[0] as number[]));
      }
      for (const [index, bytes] of got.entries()) {
        const expected = counting(speech.texts[0]![index]!);
        t.true(Buffer.from(bytes).equals(Buffer.from(expected.buffer)), `sentence ${index + 1}`);
      }
      t.deepEqual(
        ofType(events, 'sentence').map((event) => event.sentence),
        [1, 2, 3],
      );
      conserved(t, events);
    },
  );
});

test('pieces without marks stay one sentence under the text of the first', async (t) => {
  const capabilities = { textIn: 'pieces' } as const;
  await simulate({ capabilities, reply: threeSentences }, async ({ board, events, speech }) => {
    const device = await board();
    await ask(device);
    t.is(device.order, 'ASR StartAudio AudioChunkWithVowel* EndAudio EndResponse');
    t.deepEqual(device.fieldsOf('StartAudio'), ['One.']);
    t.is(speech.texts[0]?.length, 3);
    t.like(ofType(events, 'framed')[0], { sentence: 1, samplesIn: 12_000 });
    conserved(t, events);
  });
});

test('a stream of pieces that breaks keeps what came and ends the turn', async (t) => {
  const clip = (text: string): PlantedClip =>
    text.startsWith('One')
      ? { samples: tone(440, 4000) }
      : { samples: tone(440, 2500), failure: 'network' };
  const capabilities = { textIn: 'pieces', marks: true } as const;
  await simulate({ clip, capabilities, reply: threeSentences }, async ({ board, events }) => {
    const device = await board();
    await ask(device);
    t.is(
      device.order,
      'ASR StartAudio AudioChunkWithVowel* EndAudio StartAudio AudioChunkWithVowel* EndAudio EndResponse',
    );
    t.like(ofType(events, 'failure')[0], { sentence: 2, kind: 'network', deliveredSamples: 6500 });
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'failed', failure: 'network' });
    conserved(t, events);
  });
});

for (const textIn of ['whole', 'pieces'] as const) {
  test(`${textIn}: interrupted at any instant, every sample is sent or lost`, async (t) => {
    const clip = (): PlantedClip => ({
      samples: tone(500, 9000),
      firstByteMs: 120,
      chunkSamples: 1111,
      chunkEveryMs: 35,
    });
    const capabilities = { textIn, marks: textIn === 'pieces' };
    for (const afterMs of [0, 349, 350, 470, 505, 590, 777, 1000, 1200]) {
      await simulate({ clip, capabilities, reply: threeSentences }, async (laboratory) => {
        const { board, events, speech, clock } = laboratory;
        const old = await board();
        old.command('Text', { input: 'first' });
        await clock.sleep(afterMs * 1000);
        await board(undefined, streamQuery);
        await old.until('EndResponse');
        t.like(ofType(events, 'turnEnd')[0], { outcome: 'interrupted' });
        t.is(speech.running, 0);
        t.is(ofType(events, 'cancelled').length, speech.cancelled);
        conserved(t, events);
        // The sentence that was cut off is the last one the board got anything of.
        const started = old.fieldsOf('StartAudio').length;
        const framed = ofType(events, 'framed').filter((ledger) => ledger.frames > 0);
        t.true(framed.every((ledger) => ledger.sentence <= started));
        const packets = old.received.filter((message) => message.event === 'AudioChunkWithVowel');
        t.is(
          framed.reduce((sum, ledger) => sum + ledger.frames, 0),
          packets.length,
          `after ${afterMs} ms`,
        );
      });
    }
  });
}
