/** One slow or hostile device, or one slow provider, delays nobody else: to the microsecond, in virtual time. */
import test from 'ava';
import { type PlantedClip, tone } from './planted-speech.contract.ts';
import {
  ask,
  type Laboratory,
  type LaboratoryOptions,
  rawQuery,
  simulate,
  streamQuery,
} from './server-laboratory.contract.ts';
import { serverLimits } from './server-limits.ts';
import { sharedWorkers } from './shared-workers.ts';

/** The good device asks for this long after everything else has begun. */
const startUs = 2_000_000;

/** What the good device hears for its own text; `clip` says the same of every other one. */
const good: PlantedClip = {
  samples: tone(440, 48_000),
  firstByteMs: 200,
  chunkSamples: 1600,
  chunkEveryMs: 90,
};
const stalled: PlantedClip = { ...good, firstByteMs: 400_000 };

const reply = {
  async *reply(_text: string, { deviceId }: { deviceId: string }) {
    yield `Words of ${deviceId}. And some more words of ${deviceId}, which are long enough to stand alone.`;
  },
};
const clip = (text: string): PlantedClip => (text.includes('good') ? good : stalled);

/** Every message that the good device got, with the instant, while `beside` goes on. */
async function heardBeside(
  beside: (laboratory: Laboratory) => Promise<unknown>,
  options: LaboratoryOptions = {},
): Promise<string> {
  return simulate({ reply, clip, ...options }, async (laboratory) => {
    await beside(laboratory);
    const { clock, board } = laboratory;
    const device = await board('good', streamQuery);
    await clock.sleep(startUs - clock.nowUs());
    await ask(device);
    await ask(device, 2);
    return device.received.map(({ atUs, event }) => `${atUs} ${event}`).join('\n');
  });
}

const alone = await heardBeside(async () => {});

/** Asks and goes on without waiting for an answer. */
async function startAsking({ board }: Laboratory, id: string): Promise<void> {
  const device = await board(id, rawQuery);
  device.command('Text', { input: 'What is that?' });
}

test('the good device is answered, so that there is something to be delayed', (t) => {
  t.is(alone.split('\n').filter((line) => line.endsWith('AudioChunkWithVowel')).length, 100);
});

test('a provider that does not answer eight others delays nobody', async (t) => {
  const beside = await heardBeside(async (laboratory) => {
    for (const id of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) await startAsking(laboratory, id);
  });
  t.is(beside, alone);
});

test('the comparison notices a delay: workers for all boards, as the EchoKit server has them', async (t) => {
  const beside = await heardBeside(
    async (laboratory) => {
      // All of its workers but one, which then speaks one sentence after the other.
      for (const id of ['a', 'b', 'c']) await startAsking(laboratory, id);
    },
    { wrap: (speech) => sharedWorkers(speech) },
  );
  t.not(beside, alone);
});

test('a device that does not read delays nobody', async (t) => {
  const beside = await heardBeside(
    async ({ board }) => {
      for (const id of ['good-but-stalled', 'another']) {
        const device = await board(id, rawQuery);
        device.socket.pause();
        device.command('Text', { input: 'What is that?' });
      }
    },
    { clip: () => good },
  );
  t.is(beside, alone);
});

test('a device that floods the server delays nobody, whether it is cut or not', async (t) => {
  const flood = async ({ board }: Laboratory): Promise<void> => {
    const device = await board('flood', streamQuery);
    device.command('StartChat');
    for (let i = 0; i < 500; i++) device.audio(new Int16Array(512));
    for (let i = 0; i < 500; i++) device.command('Nonsense');
    for (let i = 0; i < 500; i++) device.socket.ping();
  };
  t.is(await heardBeside(flood), alone);
  const limits = { ...serverLimits, messagesAtOnce: 100 };
  t.is(await heardBeside(flood, { settings: { limits } }), alone);
});

test('a device that connects again and again delays nobody', async (t) => {
  const beside = await heardBeside(async (laboratory) => {
    for (let i = 0; i < 20; i++) await startAsking(laboratory, 'restless');
  });
  t.is(beside, alone);
});
