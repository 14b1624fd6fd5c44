import test from 'ava';
import { exactProfile, laboratory, samplesOf } from './test-client.ts';

/** Samples before the first one that is not zero. */
function leadOf(samples: Int16Array): number {
  return samples.findIndex((sample) => sample !== 0);
}

const httpPlatforms = {
  openai: {
    path: '/v1/audio/speech',
    body: { model: 'tts-1', response_format: 'wav' },
    listed: 'alloy',
  },
  groq: {
    path: '/openai/v1/audio/speech',
    body: { model: 'canopylabs/orpheus-v1-english', response_format: 'wav' },
    listed: 'hannah',
  },
} as const;

for (const [platform, { path, body, listed }] of Object.entries(httpPlatforms)) {
  test(`${platform} plants the silence its voice name asks for, on top of the profile's`, async (t) => {
    const profile = exactProfile({ leadSilenceMs: 30 });
    const { clock, post } = await laboratory(platform, { profile });
    const say = async (voice: string): Promise<Int16Array> => {
      const answer = await clock.run(post(path, { ...body, voice, input: 'Hello.' }));
      t.is(answer.status, 200, `${voice}: ${answer.body}`);
      return samplesOf(answer.body.subarray(44));
    };
    // A sine begins at zero: the first other sample is the second one.
    t.is(leadOf(await say('tone+120ms')), 0.15 * 24_000 + 1);
    for (const voice of [listed, 'slt', 'chirp']) {
      const plain = await say(voice);
      const later = await say(`${voice}+500ms`);
      t.is(later.length - plain.length, 12_000, voice);
      t.is(leadOf(later) - leadOf(plain), 12_000, voice);
    }
    const refused = await clock.run(
      post(path, { ...body, voice: 'nobody+500ms', input: 'Hello.' }),
    );
    t.is(refused.status, 400, 'the name before the silence is checked as ever');
  });
}

test('timings of ElevenLabs begin behind the silence of the voice name', async (t) => {
  const { clock, socket } = await laboratory('elevenlabs', {
    profile: exactProfile({ leadSilenceMs: 30 }),
  });
  const path =
    '/v1/text-to-speech/tone+120ms/stream-input?model_id=eleven_flash_v2_5&output_format=pcm_16000';
  const record = await clock.run(
    (async () => {
      const record = await socket(path);
      for (const text of ['Hello. ', '']) record.send({ text });
      await record.whenClosed();
      return record;
    })(),
  );
  const [first] = record.messages;
  t.is(first?.json.alignment?.charStartTimesMs[0], 150);
  const audio = record.messages.map(({ json }) => Buffer.from(json.audio ?? '', 'base64'));
  t.is(leadOf(samplesOf(Buffer.concat(audio))), 0.15 * 16_000 + 1);
});

test('the generation of a CosyVoice voice is read before its silence', async (t) => {
  for (const [voice, expected] of [
    ['longwan_v2+500ms', 'task-finished'],
    ['longwan+500ms', 'task-failed'],
    ['chirp+500ms', 'task-finished'],
  ] as const) {
    const { clock, socket } = await laboratory('cosyvoice', { profile: exactProfile() });
    const message = (action: string, payload: object): object => ({
      header: { action, task_id: 'A', streaming: 'duplex' },
      payload,
    });
    const record = await clock.run(
      (async () => {
        const record = await socket('/api-ws/v1/inference', { authorization: 'Bearer sk-test' });
        const parameters = { text_type: 'PlainText', voice, format: 'pcm', sample_rate: 16_000 };
        const task = { task_group: 'audio', task: 'tts', function: 'SpeechSynthesizer' };
        record.send(message('run-task', { ...task, model: 'cosyvoice-v2', parameters, input: {} }));
        record.send(message('continue-task', { input: { text: 'Hello.' } }));
        record.send(message('finish-task', { input: {} }));
        await clock.sleep(10_000_000);
        return record;
      })(),
    );
    const last = record.messages.filter(({ bytes }) => bytes === undefined).at(-1);
    t.is(JSON.parse(last!.text).header.event, expected, voice);
    if (expected === 'task-failed') continue;
    const audio = Buffer.concat(record.messages.flatMap(({ bytes }) => bytes ?? []));
    t.true(leadOf(samplesOf(audio)) >= 8000, voice);
  }
});
