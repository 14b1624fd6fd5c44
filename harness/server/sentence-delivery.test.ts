import test from 'ava';
import { buzz, type PlantedClip, tone } from './planted-speech.contract.ts';
import {
  ask,
  conserved,
  ofType,
  opus,
  rawQuery,
  simulate,
  streamQuery,
  utterance,
} from './server-laboratory.contract.ts';
import { vowelValues } from './vowel.ts';

test('frames are numbered and measured as the board receives them', async (t) => {
  await simulate({}, async ({ board, events }) => {
    const device = await board();
    await device.speak(utterance);
    await device.until('EndResponse');
    const frames = ofType(events, 'frame');
    t.deepEqual(
      frames.map((frame) => frame.event),
      device.received.map((message) => message.event),
    );
    t.deepEqual(
      frames.map((frame) => frame.frame),
      frames.map((_, index) => index + 1),
    );
    t.true(frames.every((frame) => frame.connection === 1 && frame.turn === 1));
    t.deepEqual(
      frames.filter((frame) => frame.event === 'StartAudio').map((frame) => frame.sentence),
      [1, 2],
    );
    // 4000 samples are two packets and 160 samples, padded to a third.
    t.deepEqual(
      frames.filter((frame) => frame.samples !== undefined).map((frame) => frame.samples),
      [1920, 1920, 1920, 1920, 1920, 1920],
    );
    t.like(ofType(events, 'framed')[1], {
      sentence: 2,
      samplesIn: 4000,
      samplesOut: 5760,
      paddedSamples: 1760,
      lostSamples: 0,
      frames: 3,
    });
  });
});

test('packets are what a fresh encoder makes of each sentence', async (t) => {
  const clip = (): PlantedClip => ({ samples: tone(440, 5000), chunkSamples: 700 });
  await simulate({ clip }, async ({ board }) => {
    const device = await board();
    await ask(device);
    const padded = new Int16Array(5760);
    padded.set(tone(440, 5000));
    const encoder = opus.createEncoder();
    const expected = [0, 1, 2].map((i) => [
      ...encoder.encode(padded.subarray(i * 1920, (i + 1) * 1920)),
    ]);
    t.deepEqual(device.fieldsOf('AudioChunkWithVowel'), [...expected, ...expected]);
  });
});

test('each packet carries the mouth shape of its own sound', async (t) => {
  // Two buzzes, one packet each: "ah" and "oo" by the averages of Peterson and Barney.
  const samples = new Int16Array(3840);
  samples.set(buzz([730, 1090, 2440], 1920));
  samples.set(buzz([300, 870, 2240], 1920), 1920);
  const clip = (): PlantedClip => ({ samples, chunkSamples: 700 });
  await simulate({ clip, reply: 'Yes.' }, async ({ board }) => {
    const device = await board();
    await ask(device);
    const packets = device.received.filter(({ event }) => event === 'AudioChunkWithVowel');
    t.deepEqual(
      packets.map(({ fields }) => fields[1]),
      [vowelValues.A, vowelValues.O],
    );
  });
});

test('a board without opus gets every sample as it was, whatever the blocks', async (t) => {
  const samples = Int16Array.from({ length: 21_000 }, (_, i) => ((i * 7919) % 65_536) - 32_768);
  for (const chunkSamples of [160, 777, 1919, 1920, 4096, 8000, 21_000]) {
    await simulate(
      { clip: () => ({ samples, chunkSamples }), reply: 'Yes.' },
      async (laboratory) => {
        const device = await laboratory.board(undefined, rawQuery);
        await ask(device);
        t.is(device.order, 'ASR StartAudio AudioChunk* EndAudio EndResponse');
        const bytes = Buffer.from((device.fieldsOf('AudioChunk') as number[][]).flat());
        t.true(bytes.equals(Buffer.from(samples.buffer)), `blocks of ${chunkSamples}`);
        t.like(ofType(laboratory.events, 'framed')[0], { samplesIn: 21_000, samplesOut: 21_000 });
        conserved(t, laboratory.events);
      },
    );
  }
});

test('the recording hears what the provider gave and what was sent', async (t) => {
  const samples = Int16Array.from({ length: 5000 }, (_, i) => i);
  await simulate({ clip: () => ({ samples }), reply: 'Yes.' }, async ({ board, audio }) => {
    await ask(await board());
    const joined = (kind: string): number[] =>
      audio.filter((piece) => piece.kind === kind).flatMap((piece) => [...piece.samples]);
    t.deepEqual(joined('provider'), [...samples]);
    t.deepEqual(joined('sent'), [...samples, ...Array(760).fill(0)]);
  });
});

test('lossy framing loses the remainder of every block and says so', async (t) => {
  const clip = (): PlantedClip => ({ samples: tone(440, 16_000), chunkSamples: 3000 });
  const settings = { framing: { mode: 'lossy', blockSamples: 8000 } } as const;
  await simulate({ clip, settings, reply: 'Yes.' }, async ({ board, events }) => {
    await ask(await board());
    t.like(ofType(events, 'framed')[0], { frames: 8, lostSamples: 640, paddedSamples: 0 });
    conserved(t, events);
  });
});

/** As a board's TCP: little under way at a time. */
const windowed = { latencyUs: 1000, jitterUs: 0, windowBytes: 5760 };

test('a board that does not read is waited for, alone', async (t) => {
  const clip = (): PlantedClip => ({
    samples: new Int16Array(16_000 * 20).fill(0x7f7f),
    chunkSamples: 8000,
  });
  await simulate({ clip, reply: 'Yes.' }, async ({ board, events, clock, network }) => {
    network.setLink({ host: 'server', port: 80 }, windowed);
    const slow = await board('slow', rawQuery);
    slow.socket.pause();
    slow.command('Text', { input: 'go' });
    await clock.sleep(10_000_000);
    const written = ofType(events, 'frame').reduce((sum, frame) => sum + frame.bytes, 0);
    // 32 KiB here, the message that crossed the line, and what the peer's socket holds.
    t.true(written > 32 * 1024 && written < 192 * 1024, `${written} bytes`);

    const other = await board('other', rawQuery);
    const askedUs = clock.nowUs();
    await ask(other);
    t.true(clock.nowUs() - askedUs < 1_000_000);

    slow.socket.resume();
    await slow.until('EndResponse');
    t.is((slow.fieldsOf('AudioChunk') as number[][]).flat().length, 16_000 * 20 * 2);
  });
});

test('an interrupted board that does not read does not hold up its successor', async (t) => {
  const clip = (): PlantedClip => ({ samples: new Int16Array(16_000 * 20), chunkSamples: 8000 });
  await simulate({ clip, reply: 'Yes.' }, async ({ board, events, clock, network }) => {
    network.setLink({ host: 'server', port: 80 }, windowed);
    const slow = await board(undefined, rawQuery);
    slow.socket.pause();
    slow.command('Text', { input: 'go' });
    await clock.sleep(10_000_000);
    await ask(await board(undefined, rawQuery));
    t.deepEqual(
      ofType(events, 'turnEnd').map((end) => end.outcome),
      ['interrupted', 'spoken'],
    );
    conserved(t, events);
  });
});

/**
 * When the first audio of a newcomer comes while others are answered, in µs after it comes when there are none. The others have all
 * of their audio at once, as of a provider that is quicker than speech.
 */
async function waitOfNewcomer(
  others: number,
  encodingUs: number,
  laterMs: number,
): Promise<number> {
  const firstAudioUs = (boards: number): Promise<number> =>
    simulate(
      {
        encodingUs,
        reply: {
          async *reply(_text, { deviceId }) {
            yield `${deviceId}.`;
          },
        },
        clip: (text) => ({
          samples: tone(440, text.startsWith('new') ? 9_600 : 192_000),
          firstByteMs: text.startsWith('new') ? 800 + laterMs : 800,
        }),
      },
      async ({ board }) => {
        const devices = [];
        for (let i = 0; i < boards; i++) devices.push(await board(`other ${i}`, streamQuery));
        const newcomer = await board('newcomer', streamQuery);
        for (const device of devices) device.command('Text', { input: 'What is that?' });
        await ask(newcomer);
        return newcomer.received.find(({ event }) => event === 'AudioChunkWithVowel')!.atUs;
      },
    );
  return (await firstAudioUs(others)) - (await firstAudioUs(0));
}

test('a first frame does not wait for what twenty others will need in seconds', async (t) => {
  // 100 packets of 3 ms for each of them: six seconds of work, of which 200 ms are done when the newcomer has audio.
  const us = await waitOfNewcomer(20, 3_000, 200);
  // The one that is being encoded, its own, and what came before the audio.
  t.true(us <= 9_000, `${us} µs`);
});

test('where there is more work than time a first frame waits for a packet of each board, and not for all they lack', async (t) => {
  // Packets of 120 ms that take 100 ms each: the four others are five seconds behind when the newcomer has audio.
  const us = await waitOfNewcomer(4, 100_000, 8_000);
  // The one that is being encoded, one of each, and its own.
  t.true(us > 100_000 && us <= 600_000, `${us} µs`);
});
