/** The check list of the EchoKit device protocol reference, appendix B: a test for each row. */
import test from 'ava';
import { tone } from './planted-speech.contract.ts';
import { recordFolder } from './record-store.ts';
import {
  ask,
  conserved,
  ofType,
  opus,
  rawQuery,
  simulate,
  streamQuery,
  submitQuery,
  threeSentences,
  utterance,
} from './server-laboratory.contract.ts';

test('B1: a plain upgrade on /ws/{id}, and the compression that is offered is not taken', async (t) => {
  await simulate({}, async ({ board }) => {
    const device = await board();
    t.is(device.socket.extensions, '');
    await ask(device);
  });
});

test('B2: reconnect, opus, vowel, stream_asr and record are obeyed', async (t) => {
  const hello = new Uint8Array(3000);
  const records = recordFolder('/nowhere', () => 'never');
  await simulate({ hello, records }, async ({ board, clock }) => {
    const events = async (id: string, query: string): Promise<string> => {
      const device = await board(id, query);
      await ask(device);
      return device.order;
    };
    const sentences = (chunk: string): string =>
      `ASR StartAudio ${chunk}* EndAudio StartAudio ${chunk}* EndAudio EndResponse`;
    t.is(await events('a', rawQuery), sentences('AudioChunk'));
    t.is(await events('b', `${rawQuery}&opus=true`), sentences('AudioChunk'));
    t.is(await events('c', `${rawQuery}&vowel=true`), sentences('AudioChunk'));
    t.is(await events('d', submitQuery), sentences('AudioChunkWithVowel'));
    t.true(
      (await events('e', 'opus=true')).startsWith('HelloStart HelloChunk HelloChunk HelloEnd'),
    );
    const submit = await board('f', submitQuery);
    await submit.speak(utterance);
    await clock.sleep(5_000_000);
    t.is(submit.order, '');
    submit.command('Submit');
    await submit.until('EndResponse');
    t.false(submit.order.includes('EndVad'));
    await t.throwsAsync(board('..', 'record=true'));
  });
});

test('B3: every message is binary, with one event', async (t) => {
  await simulate({}, async ({ board }) => {
    const device = await board();
    let texts = 0;
    device.socket.on('message', (_data, isBinary) => {
      if (!isBinary) texts += 1;
    });
    await device.speak(utterance);
    await device.until('EndResponse');
    t.is(texts, 0);
    t.true(device.received.length > 5);
  });
});

test('B4: nothing is pinged, and a board that does not read for 20 s gets everything', async (t) => {
  const clip = () => ({ samples: new Int16Array(16_000 * 10).fill(0x2345), chunkSamples: 8000 });
  await simulate({ clip, reply: 'Yes.' }, async ({ board, clock, network, events }) => {
    network.setLink({ host: 'server', port: 80 }, { latencyUs: 0, jitterUs: 0, windowBytes: 5760 });
    const device = await board(undefined, rawQuery);
    let pings = 0;
    device.socket.on('ping', () => {
      pings += 1;
    });
    device.socket.pause();
    device.command('Text', { input: 'go' });
    await clock.sleep(20_000_000);
    device.socket.resume();
    await device.until('EndResponse');
    t.is((device.fieldsOf('AudioChunk') as number[][]).flat().length, 16_000 * 10 * 2);
    t.is(pings, 0);
    t.is(ofType(events, 'disconnected').length, 0);
  });
});

test('B5: of two connections of one id the newer is served, and 1006 of the older is nothing', async (t) => {
  await simulate({}, async ({ board, clock, events }) => {
    const older = await board();
    const newer = await board(undefined, streamQuery);
    older.socket.terminate();
    await clock.sleep(1_000_000);
    t.like(ofType(events, 'disconnected')[0], { connection: 1, code: 1006 });
    await ask(newer);
    t.true(newer.order.endsWith('EndResponse'));
  });
});

test('B6: the hello is not played again to a board that reconnects', async (t) => {
  await simulate({ hello: new Uint8Array(100) }, async ({ board, clock }) => {
    const [first, again] = [await board('a'), await board('b', streamQuery)];
    await clock.sleep(1_000_000);
    t.is(first.order, 'HelloStart HelloChunk HelloEnd');
    t.is(again.order, '');
  });
});

test('B7: one EndVad and one EndResponse for an utterance, whatever comes of it', async (t) => {
  const failing = {
    async recognize(): Promise<string> {
      throw new Error('no recognition');
    },
  };
  const silent = {
    async *reply() {
      yield* [];
      throw new Error('no reply');
    },
  };
  const clip = () => ({ samples: new Int16Array(0), failure: 'server' as const });
  for (const options of [{}, { heard: '' }, { heard: failing }, { reply: silent }, { clip }]) {
    await simulate(options, async ({ board, clock }) => {
      const device = await board();
      await device.speak(utterance);
      await device.until('EndResponse');
      await clock.sleep(70_000_000);
      const count = (event: string) => device.received.filter((m) => m.event === event).length;
      t.is(count('EndVad'), 1);
      t.is(count('EndResponse'), 1);
      t.is(device.received.at(-1)!.event, 'EndResponse');
    });
  }
});

test('B8: an ASR comes within 10 s of audio, even when nothing can be understood', async (t) => {
  const never = { recognize: () => new Promise<string>(() => {}) };
  const talk = new Int16Array(8192 * 20);
  for (let at = 0; at + 16_000 <= talk.length; at += 16_000) {
    talk.set(utterance.subarray(0, 16_000), at);
  }
  await simulate({ heard: never }, async ({ board, clock }) => {
    const device = await board();
    const beganUs = clock.nowUs();
    await device.speak(talk.subarray(0, 8192 * 19));
    const first = device.received.find(({ event }) => event === 'ASR');
    t.true(first !== undefined && first.atUs - beganUs < 10_000_000);
  });
});

test('B9 and B10: packets of 120 ms, the encoder fresh for each sentence, no sample left out', async (t) => {
  const clip = () => ({ samples: tone(440, 16_123), chunkSamples: 777 });
  await simulate({ clip, reply: threeSentences }, async ({ board, events, audio }) => {
    const device = await board();
    await ask(device);
    conserved(t, events);
    for (const ledger of ofType(events, 'framed')) {
      t.like(ledger, { samplesIn: 16_123, lostSamples: 0, frames: 9, samplesOut: 9 * 1920 });
    }
    // A fresh decoder for every sentence hears what was sent, which it would not without a reset.
    const packets = device.fieldsOf('AudioChunkWithVowel') as number[][];
    t.is(packets.length, 27);
    const sentences = [0, 9, 18].map((from) => {
      const decoder = opus.createDecoder();
      return packets
        .slice(from, from + 9)
        .map((data) => [...decoder.decode(Uint8Array.from(data))]);
    });
    for (const decoded of sentences) t.true(decoded.every(({ length }) => length === 1920));
    t.deepEqual(sentences[1], sentences[0]);
    t.deepEqual(sentences[2], sentences[0]);
    const sent = audio.filter(({ kind }) => kind === 'sent').flatMap((a) => [...a.samples]);
    t.deepEqual(sent.slice(0, 16_123), [...tone(440, 16_123)]);
  });
});

test('B11: a sentence is sent as fast as the board takes it', async (t) => {
  const clip = () => ({ samples: tone(440, 16_000 * 8) });
  await simulate({ clip, reply: 'Yes.' }, async ({ board }) => {
    const device = await board();
    await ask(device);
    const at = (event: string) => device.received.find((m) => m.event === event)!.atUs;
    t.true(at('EndAudio') - at('StartAudio') < 800_000);
  });
});

test('B12: a board that says nothing for ten minutes is still connected', async (t) => {
  await simulate({}, async ({ board, clock }) => {
    const device = await board();
    await clock.sleep(590_000_000);
    t.is(device.closeCode, undefined);
    await ask(device);
  });
});

test('B13: no Choices, no DisplayText', async (t) => {
  await simulate({ reply: threeSentences }, async ({ board }) => {
    const device = await board();
    device.command('Select', { index: 0 });
    await device.until('EndResponse');
    await device.speak(utterance);
    await device.until('EndResponse', 2);
    const names = new Set(device.received.map(({ event }) => event));
    t.false(names.has('Choices') || names.has('DisplayText'));
  });
});

test('B14: unknown text is ignored, and audio of any length is taken, also behind EndVad', async (t) => {
  await simulate({}, async ({ board, events }) => {
    const device = await board();
    device.socket.send('{"event":"Dance"}');
    device.socket.send('no JSON');
    device.command('StartChat');
    for (const samples of [1, 3, 8191, 160]) device.audio(utterance.subarray(0, samples));
    await device.upload(utterance);
    device.audio(utterance.subarray(0, 100));
    await device.until('EndResponse');
    device.audio(utterance.subarray(0, 7));
    await ask(device, 2);
    t.is(ofType(events, 'commandIgnored').length, 2);
    t.is(ofType(events, 'turnEnd').length, 2);
  });
});
