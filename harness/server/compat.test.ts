import { readFileSync } from 'node:fs';
import test from 'ava';
import { platforms } from '../../adapters/platforms.ts';
import { speechLike } from '../voice-detection/speech-like.contract.ts';
import { compatOf, compatSettings } from './compat.ts';
import { type CompatId, compatIds, compatItems } from './compat-items.ts';
import { tone } from './planted-speech.contract.ts';
import {
  ask,
  type LaboratoryOptions,
  ofType,
  rawQuery,
  simulate,
  streamQuery,
  submitQuery,
  utterance,
} from './server-laboratory.contract.ts';

/** The same script on a server of our own and on one that does one thing as the EchoKit server. */
async function beforeAndAfter<T>(
  item: CompatId,
  options: LaboratoryOptions,
  script: Parameters<typeof simulate<T>>[1],
): Promise<[harness: T, echoKit: T]> {
  const settings = compatSettings(new Set([item]), 'openai');
  return [
    await simulate(options, script),
    await simulate({ ...options, settings: { ...options.settings, ...settings } }, script),
  ];
}

test('every item has its row in the README, and every row is an item', (t) => {
  const readme = readFileSync('harness/server/README.md', 'utf8');
  const rows = [...readme.matchAll(/^\| `([a-z-]+)` +\| ([\d., ]+?) *\| ([^|]+?) *\|/gm)];
  t.deepEqual(
    rows.map(([, id, section, does]) => ({ id, section, does })),
    compatItems.map((item) => ({
      id: item.id,
      section: item.section,
      does: `${item.does}${'quirk' in item ? ` (${item.quirk})` : ''}`,
    })),
  );
});

test('the model decides about all items, less those that are left out', (t) => {
  t.is(compatOf('harness').size, 0);
  t.deepEqual([...compatOf('echokit-server')], [...compatIds]);
  t.false(compatOf('echokit-server', ['shared-workers']).has('shared-workers'));
  t.is(compatOf('echokit-server', ['shared-workers']).size, compatIds.length - 1);
});

test('blocks are of 0.5 s for every platform but the two that speak on sockets', (t) => {
  for (const { names } of platforms) {
    const [platform] = names;
    const onSocket = platform === 'elevenlabs' || platform === 'cosyvoice';
    const { framing } = compatSettings(new Set(['audio-blocks']), platform);
    t.deepEqual(framing, {
      mode: 'lossy',
      ...(onSocket ? {} : { blockSamples: 8000 }),
    });
  }
});

test('audio-blocks: 20 ms of every block and the end of the sentence are lost', async (t) => {
  // 1.61 s: three blocks of 8000, which lose 320 each, and a rest of 1760, which is lost whole.
  const clip = () => ({ samples: tone(440, 25_760), chunkSamples: 700 });
  const results = await beforeAndAfter(
    'audio-blocks',
    { clip, reply: 'Yes.' },
    async ({ board, events }) => {
      const device = await board();
      await ask(device);
      const [ledger] = ofType(events, 'framed');
      const { lostSamples, paddedSamples, remainderSamples = 0, tailSamples = 0 } = ledger!;
      return {
        lostSamples,
        remainderSamples,
        tailSamples,
        paddedSamples,
        packets: device.fieldsOf('AudioChunkWithVowel').length,
      };
    },
  );
  t.deepEqual(results, [
    { lostSamples: 0, remainderSamples: 0, tailSamples: 0, paddedSamples: 1120, packets: 14 },
    {
      lostSamples: 3 * 320 + 1760,
      remainderSamples: 3 * 320,
      tailSamples: 1760,
      paddedSamples: 0,
      packets: 12,
    },
  ]);
});

test('audio-blocks: raw audio goes out in blocks of 0.5 s', async (t) => {
  const clip = () => ({ samples: tone(440, 20_000), chunkSamples: 2000, chunkEveryMs: 50 });
  const [, sizes] = await beforeAndAfter(
    'audio-blocks',
    { clip, reply: 'Yes.' },
    async ({ board }) => {
      const device = await board(undefined, rawQuery);
      await ask(device);
      return (device.fieldsOf('AudioChunk') as Uint8Array[]).map((data) => data.length);
    },
  );
  t.deepEqual(sizes, [16_000, 16_000, 8000]);
});

test('late-end-vad: EndVad waits for the recognition', async (t) => {
  const slow = {
    async recognize() {
      await clockOf.current!.sleep(1_500_000);
      return 'What is that?';
    },
  };
  const results = await beforeAndAfter(
    'late-end-vad',
    { heard: slow },
    async ({ board, clock }) => {
      clockOf.current = clock;
      const device = await board();
      await device.speak(utterance);
      await device.until('EndResponse');
      t.true(device.order.startsWith('EndVad ASR '));
      return device.received.find(({ event }) => event === 'EndVad')!.atUs;
    },
  );
  // Speech ends at 2.048 s of uploads; the recognition begins there and takes 1.5 s.
  t.deepEqual(results, [2_560_000, 3_548_000]);
});

const clockOf: { current?: { sleep(us: number): Promise<void> } } = {};

test('no-early-text: ten seconds of speech without a pause get no ASR', async (t) => {
  const talk = new Int16Array(8192 * 20);
  talk.set(speechLike(10.2));
  const results = await beforeAndAfter('no-early-text', {}, async ({ board }) => {
    const device = await board();
    device.command('StartChat');
    await device.upload(talk.subarray(0, 8192 * 19));
    return device.fieldsOf('ASR').length;
  });
  t.deepEqual(results, [1, 0]);
});

test('interim-discarded: an empty final text ends the turn without an answer', async (t) => {
  const heard = {
    async recognize(samples: Int16Array) {
      return samples.length < 16_000 * 3 ? 'Something.' : '';
    },
  };
  // Two bursts of speech with 0.6 s between them: the first recognition is shown as interim.
  const talk = new Int16Array(8192 * 10);
  talk.set(speechLike(1.5));
  talk.set(speechLike(1), 16_000 * 2.1);
  const results = await beforeAndAfter('interim-discarded', { heard }, async ({ board }) => {
    const device = await board();
    await device.speak(talk);
    await device.until('EndResponse');
    return device.order.includes('StartAudio');
  });
  t.deepEqual(results, [true, false]);
});

test('submit-leaks: audio between two turns is understood in the next one', async (t) => {
  const lengths: number[] = [];
  const heard = {
    async recognize(samples: Int16Array) {
      lengths.push(samples.length);
      return 'Yes?';
    },
  };
  const [own, echoKit] = await beforeAndAfter('submit-leaks', { heard }, async ({ board }) => {
    lengths.length = 0;
    const device = await board(undefined, submitQuery);
    for (let turn = 1; turn <= 2; turn++) {
      await device.speak(utterance.subarray(0, 8192 * 3));
      device.command('Submit');
      await device.until('EndResponse', turn);
      await device.upload(utterance.subarray(0, 8192));
    }
    return [...lengths];
  });
  t.deepEqual(own, [8192 * 3, 8192 * 3]);
  t.deepEqual(echoKit, [8192 * 3, 8192 * 4]);
});

test('submit-ends-session: after Submit in stream mode nobody listens any more', async (t) => {
  const results = await beforeAndAfter('submit-ends-session', {}, async ({ board, clock }) => {
    const device = await board();
    device.command('StartChat');
    device.command('Submit');
    await device.until('EndResponse');
    t.is(device.order, 'EndVad EndResponse');
    device.command('Text', { input: 'still there?' });
    await clock.sleep(30_000_000);
    t.is(device.closeCode, undefined);
    const answered = device.order.includes('ASR');
    // A new connection brings it back.
    const again = await board(undefined, streamQuery);
    await ask(again);
    t.true(again.order.endsWith('EndResponse'));
    return answered;
  });
  t.deepEqual(results, [true, false]);
});

test('restart-unnoticed: a second StartChat changes nothing', async (t) => {
  const results = await beforeAndAfter('restart-unnoticed', {}, async ({ board, events }) => {
    const device = await board();
    device.command('StartChat');
    await device.upload(utterance.subarray(0, 8192));
    await device.speak(utterance);
    await device.until('EndResponse');
    return ofType(events, 'turnStart').length;
  });
  t.deepEqual(results, [2, 1]);
});

test('no-time-limits: a recognizer that hangs is waited for', async (t) => {
  const heard = { recognize: () => new Promise<string>(() => {}) };
  const results = await beforeAndAfter('no-time-limits', { heard }, async ({ board, clock }) => {
    const device = await board();
    await device.speak(utterance);
    await clock.sleep(120_000_000);
    return device.order;
  });
  t.deepEqual(results, ['EndVad EndResponse', 'EndVad']);
});

test('unbounded-downlink: a whole answer waits for a board that does not read', async (t) => {
  const clip = () => ({ samples: tone(440, 16_000 * 60) });
  const results = await beforeAndAfter(
    'unbounded-downlink',
    { clip, reply: 'A long one.' },
    async ({ board, clock, events, network }) => {
      const link = { latencyUs: 0, jitterUs: 0, windowBytes: 5760 };
      network.setLink({ host: 'server', port: 80 }, link);
      const device = await board(undefined, rawQuery);
      device.socket.pause();
      device.command('Text', { input: 'go' });
      await clock.sleep(20_000_000);
      return ofType(events, 'framed').length;
    },
  );
  t.deepEqual(results, [0, 1]);
});
