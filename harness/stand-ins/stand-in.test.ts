import test from 'ava';
import { createStandIn, standInPlatforms } from './stand-in.ts';
import { laboratory } from './test-client.ts';

test('the platforms are those of the configuration, each with its connection set-up', async (t) => {
  const expected: Record<string, number> = {
    openai: 120,
    stream_gsv: 5,
    elevenlabs: 200,
    cosyvoice: 250,
    groq: 90,
    gsv: 5,
    fish: 150,
  };
  for (const [platform, connectMs] of Object.entries(expected)) {
    t.true(standInPlatforms.includes(platform));
    const { standIn } = await laboratory(platform);
    t.is(standIn.platform, platform);
    t.is(standIn.connectMs, connectMs);
    await standIn.close();
  }
});

test('an unknown platform names the known ones', (t) => {
  for (const platform of ['nobody', 'toString', '']) {
    const error = t.throws(() => createStandIn({ platform } as never), {
      code: 'STAND_IN_UNKNOWN',
    });
    t.regex(error!.message, /openai, stream_gsv, elevenlabs/);
  }
});
