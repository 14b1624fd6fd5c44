import test from 'ava';
import { parse } from 'smol-toml';
import { nearestName } from './nearest-name.ts';
import { adapterFor, platforms } from './platforms.ts';
import {
  ConfigError,
  checkTtsConfig,
  problemSentence,
  readTtsConfig,
  type TtsConfig,
} from './tts-config.ts';

function read(toml: string): Omit<TtsConfig, 'settings' | 'otherServices'> {
  const { tts } = parse(toml);
  const { settings, otherServices, ...config } = readTtsConfig(tts as Record<string, unknown>);
  return config;
}

function refusal(table: Record<string, unknown>): ConfigError {
  try {
    readTtsConfig(table);
  } catch (error) {
    if (error instanceof ConfigError) return error;
  }
  throw new Error('the table was accepted');
}

// As printed on the EchoKit documentation page, "Text to speech services (TTS)".
test('the sections of the EchoKit documentation are accepted unchanged and without a warning', (t) => {
  t.deepEqual(
    read(`
      [tts]
      platform = "elevenlabs"
      url = "wss://api.elevenlabs.io/v1/text-to-speech/"
      token = "sk_1234"
      voice = "YOUR-VOICE-ID"
    `),
    {
      platform: 'elevenlabs',
      config: {
        url: 'wss://api.elevenlabs.io/v1/text-to-speech/',
        token: 'sk_1234',
        voice: 'YOUR-VOICE-ID',
        modelId: 'eleven_flash_v2_5',
      },
      warnings: [],
      secrets: ['sk_1234'],
    },
  );
  t.deepEqual(
    read(`
      [tts]
      platform = "stream_gsv"
      url = "http://localhost:9094/v1/audio/stream_speech"
      speaker = "texan"
    `),
    {
      platform: 'stream_gsv',
      config: { url: 'http://localhost:9094/v1/audio/stream_speech', speaker: 'texan' },
      warnings: [],
      secrets: [],
    },
  );
  t.deepEqual(
    read(`
      [tts]
      platform = "openai"
      url = "https://api.openai.com/v1/audio/speech"
      model = "gpt-4o-mini-tts"
      api_key = "sk_ABCD"
      voice = "ash"
    `),
    {
      platform: 'openai',
      config: {
        url: 'https://api.openai.com/v1/audio/speech',
        apiKey: 'sk_ABCD',
        model: 'gpt-4o-mini-tts',
        voice: 'ash',
      },
      warnings: [],
      secrets: ['sk_ABCD'],
    },
  );
});

test('the defaults are those of EchoKit', (t) => {
  t.deepEqual(readTtsConfig({ platform: 'openai', api_key: 'k' }).config, {
    url: 'https://api.openai.com/v1/audio/speech',
    apiKey: 'k',
    model: 'gpt-4o-tts',
    voice: 'alloy',
  });
  t.deepEqual(readTtsConfig({ platform: 'groq', api_key: 'k', voice: 'v' }).config, {
    url: 'https://api.groq.com/openai/v1/audio/speech',
    apiKey: 'k',
    model: 'playai-tts',
    voice: 'v',
  });
  t.deepEqual(readTtsConfig({ platform: 'gsv', url: 'http://h/', speaker: 's' }).config, {
    url: 'http://h/',
    speaker: 's',
    timeoutMs: { firstByte: 15_000 },
  });
  t.deepEqual(
    readTtsConfig({
      platform: 'elevenlabs',
      token: 'k',
      voice: 'v',
      model_id: '',
      language_code: 'EN',
    }).config,
    {
      url: 'wss://api.elevenlabs.io/v1/text-to-speech',
      token: 'k',
      voice: 'v',
      modelId: 'eleven_flash_v2_5',
      languageCode: 'en',
    },
  );
});

test('every spelling of a platform leads to its adapter', (t) => {
  for (const [spellings, canonical, keys] of [
    [['Openai', 'OpenAI', 'openai'], 'openai', { api_key: 'k' }],
    [['StreamGSV', 'stream_gsv'], 'stream_gsv', { url: 'http://h/', speaker: 's' }],
    [['Groq', 'groq'], 'groq', { api_key: 'k', voice: 'v' }],
    [['GSV', 'gsv', 'Stable'], 'gsv', { url: 'http://h/', speaker: 's' }],
    [['Elevenlabs', 'elevenlabs'], 'elevenlabs', { token: 'k', voice: 'v' }],
    [['CosyVoice', 'cosyvoice'], 'cosyvoice', { token: 'k' }],
  ] as const) {
    for (const platform of spellings) {
      const tts = readTtsConfig({ platform, ...keys });
      t.is(tts.platform, canonical);
      t.is(adapterFor(tts).platform, canonical);
    }
  }
});

test('the streaming mode of openai is a key of the same platform', (t) => {
  const tts = readTtsConfig({ platform: 'openai', api_key: 'k', stream: 'pcm' });
  t.is(adapterFor(tts).capabilities(tts.config).audioOut, 'chunks');
  const whole = readTtsConfig({ platform: 'openai', api_key: 'k' });
  t.is(adapterFor(whole).capabilities(whole.config).audioOut, 'whole');
  const error = refusal({ platform: 'openai', api_key: 'k', stream: 'pmc' });
  t.is(error.code, 'CONFIG_BAD_VALUE');
  t.is(error.keyPath, 'tts.stream');
  t.deepEqual(error.validNames, ['pcm', 'sse']);
  t.true(error.message.includes('did you mean "pcm"?'));
});

// EchoKit device protocol reference, section 9.3.
test('every platform of EchoKit is known, in each of its spellings', (t) => {
  const spellings = [
    ...['Openai', 'OpenAI', 'openai', 'GSV', 'Stable', 'gsv', 'Fish', 'fish', 'Groq', 'groq'],
    ...['StreamGSV', 'stream_gsv', 'CosyVoice', 'cosyvoice', 'Elevenlabs', 'elevenlabs'],
  ];
  t.deepEqual(platforms.flatMap(({ names }) => names).sort(), spellings.sort());
});

test('an unknown platform is refused with the nearest name', (t) => {
  const unknown = refusal({ platform: 'elevnlabs' });
  t.is(unknown.code, 'CONFIG_UNKNOWN_PLATFORM');
  t.deepEqual(
    unknown.validNames,
    platforms.map(({ names }) => names[0]),
  );
  t.true(unknown.message.includes('did you mean "elevenlabs"?'));
  t.false(refusal({ platform: 'nothing like it' }).message.includes('did you mean'));
});

test('a missing or wrong key is named with its path', (t) => {
  const missing = refusal({ platform: 'openai', api_keey: 'k' });
  t.is(missing.code, 'CONFIG_MISSING_KEY');
  t.is(missing.keyPath, 'tts.api_key');
  t.true(missing.message.includes('There is "api_keey"'));
  t.is(refusal({}).keyPath, 'tts.platform');
  t.is(refusal({ platform: 3 }).code, 'CONFIG_WRONG_TYPE');
  const type = refusal({ platform: 'openai', api_key: 'k', voice: 7 });
  t.is(type.code, 'CONFIG_WRONG_TYPE');
  t.is(type.message, 'tts.voice must be a string, not a number.');
  t.is(refusal({ platform: 'stream_gsv', url: 'http://h/', speaker: '' }).code, 'CONFIG_BAD_VALUE');
  t.is(
    refusal({ platform: 'stream_gsv', url: 'http://h/', speaker: 's', text_optimization: 'x' })
      .code,
    'CONFIG_WRONG_TYPE',
  );
});

test('a count is a whole number above 0', (t) => {
  const gsv = { platform: 'gsv', url: 'http://h/', speaker: 's' };
  const { config } = readTtsConfig({ ...gsv, timeout_sec: 40 });
  t.like(config, { timeoutMs: { firstByte: 40_000 } });
  for (const timeout_sec of [0, -1, 1.5, Number.NaN]) {
    const error = refusal({ ...gsv, timeout_sec });
    t.is(error.code, 'CONFIG_BAD_VALUE');
    t.is(error.keyPath, 'tts.timeout_sec');
  }
  t.is(
    refusal({ ...gsv, timeout_sec: '15' }).message,
    'tts.timeout_sec must be a number, not a string.',
  );
});

test('a URL that cannot be used is refused before anything is dialed', (t) => {
  for (const [platform, url] of [
    ['openai', 'wss://api.openai.com/'],
    ['openai', 'api.openai.com/v1'],
    ['elevenlabs', 'https://api.elevenlabs.io/v1/text-to-speech'],
  ] as const) {
    const error = refusal({ platform, api_key: 'k', token: 'k', voice: 'v', url });
    t.is(error.code, 'CONFIG_BAD_VALUE', url);
    t.is(error.keyPath, 'tts.url');
  }
});

test('a key with a line break is refused without being shown', (t) => {
  const error = refusal({ platform: 'openai', api_key: 'sk_secret\n' });
  t.is(error.code, 'CONFIG_BAD_VALUE');
  t.false(error.message.includes('sk_secret'));
});

test('what EchoKit passes over in silence becomes a warning with a code and a place', (t) => {
  const { warnings } = readTtsConfig({
    platform: 'openai',
    api_key: 'Bearer sk',
    voise: 'ash',
    colour: 'red',
    model: `\${MODEL}`,
  });
  t.deepEqual(warnings.map(({ code, keyPath }) => `${keyPath} ${code}`).sort(), [
    'tts.api_key CONFIG_BEARER',
    'tts.colour CONFIG_UNKNOWN_KEY',
    'tts.model CONFIG_VARIABLE',
    'tts.voise CONFIG_UNKNOWN_KEY',
  ]);
  const saying = (key: string) =>
    problemSentence(warnings.find(({ keyPath }) => keyPath === `tts.${key}`)!);
  t.is(
    saying('voise'),
    'tts.voise is no key of platform "openai" and is ignored: did you mean "voice"? ' +
      'Keys: api_key, model, voice, url, stream, sample_rate.',
  );
  t.false(saying('colour').includes('did you mean'));
  t.true(saying('api_key').includes('sent twice'));
  t.true(saying('model').includes('does not expand environment variables'));
  const gsv = readTtsConfig({
    platform: 'stream_gsv',
    url: 'http://h/',
    speaker: 's',
    api_key: 'k',
  });
  t.deepEqual(
    gsv.warnings.map(({ code }) => code),
    ['CONFIG_NO_EFFECT'],
  );
  t.deepEqual(gsv.secrets, ['k']);
});

test('the text optimization is a service of its own, with keys that are checked', (t) => {
  const table = { platform: 'stream_gsv', url: 'http://h/', speaker: 's' };
  const url = 'https://api.openai.com/v1/chat/completions';
  t.deepEqual(readTtsConfig(table).otherServices, []);
  const optimized = readTtsConfig({ ...table, text_optimization: { url, api_key: 'sk_model' } });
  t.deepEqual(optimized.otherServices, [{ purpose: 'text-optimization', url }]);
  t.deepEqual(optimized.secrets, ['sk_model']);
  t.deepEqual(optimized.warnings, []);
  t.like(refusal({ ...table, text_optimization: { model: 'm' } }), {
    code: 'CONFIG_MISSING_KEY',
    keyPath: 'tts.text_optimization.url',
  });
  // The published example of EchoKit points to the recognition (section 9.6).
  const published = 'https://api.openai.com/v1/audio/transcriptions';
  const { warnings } = readTtsConfig({ ...table, text_optimization: { url: published } });
  t.deepEqual(
    warnings.map(({ code, keyPath }) => [code, keyPath]),
    [['CONFIG_DOUBTFUL_VALUE', 'tts.text_optimization.url']],
  );
});

test('models that are there no more are warned of, written or by default', (t) => {
  const codes = (table: Record<string, unknown>) =>
    readTtsConfig(table).warnings.map(({ code, keyPath }) => `${keyPath} ${code}`);
  const openai = { platform: 'openai', api_key: 'k' };
  t.deepEqual(codes(openai), ['tts.model CONFIG_DOUBTFUL_DEFAULT']);
  t.deepEqual(codes({ ...openai, model: 'gpt-4o-tts' }), ['tts.model CONFIG_DOUBTFUL_VALUE']);
  t.deepEqual(codes({ ...openai, model: 'gpt-4o-mini-tts' }), []);
  t.deepEqual(codes({ platform: 'groq', api_key: 'k', voice: 'v' }), [
    'tts.model CONFIG_DOUBTFUL_DEFAULT',
  ]);
});

/** Platform, its secret key, the variable that services and their own libraries use. */
const usualVariables = [
  ['openai', 'api_key', 'OPENAI_API_KEY'],
  ['groq', 'api_key', 'GROQ_API_KEY'],
  ['elevenlabs', 'token', 'ELEVENLABS_API_KEY'],
  ['cosyvoice', 'token', 'DASHSCOPE_API_KEY'],
  ['fish', 'api_key', 'FISH_API_KEY'],
] as const;

for (const [platform, key, variable] of usualVariables) {
  test(`a missing key of ${platform} is taken from ${variable}`, (t) => {
    const table = { platform, voice: 'v', speaker: 'v', model: 'm' };
    const { settings, secrets } = readTtsConfig(table, { environment: { [variable]: 'sk-env' } });
    t.deepEqual(secrets, ['sk-env']);
    t.deepEqual(
      settings.filter(({ secret }) => secret),
      [
        {
          keyPath: `tts.${key}`,
          shown: undefined,
          secret: true,
          required: true,
          from: 'environment',
          variable,
        },
      ],
    );
    const written = { ...table, [key]: 'sk-file' };
    const both = readTtsConfig(written, { environment: { [variable]: 'sk-env' } });
    t.deepEqual(both.secrets, ['sk-file'], 'the file goes before');

    const { errors } = checkTtsConfig(table, { environment: { [variable]: '' } });
    t.deepEqual(
      errors.map(({ code, keyPath }) => [code, keyPath]),
      [['CONFIG_MISSING_KEY', `tts.${key}`]],
    );
    t.true(errors[0]!.hint!.includes(`write ${key} = `), 'names the key');
    t.true(errors[0]!.hint!.includes(variable), 'and the variable');
  });
}

test('everything that is wrong with a table is reported together', (t) => {
  const table = { platform: 'groq', api_key: 1, url: 'ftp://x/', model: ['m'] };
  const error = refusal(table);
  t.deepEqual(
    error.problems.map(({ code, keyPath }) => `${keyPath} ${code}`),
    [
      'tts.api_key CONFIG_WRONG_TYPE',
      'tts.model CONFIG_WRONG_TYPE',
      'tts.url CONFIG_BAD_VALUE',
      'tts.voice CONFIG_MISSING_KEY',
    ],
  );
  const { tts, errors } = checkTtsConfig(table, { name: 'providers.mine' });
  t.is(tts, undefined);
  t.is(errors[0]!.message, 'providers.mine.api_key must be a string, not a number');
});

test('no two platforms share a spelling', (t) => {
  const names = platforms.flatMap((platform) => platform.names);
  t.is(new Set(names).size, names.length);
  t.throws(() => adapterFor({ platform: 'nobody' }), { instanceOf: RangeError });
});

test('the nearest name is near', (t) => {
  t.is(nearestName('opneai', ['elevenlabs', 'openai']), 'openai');
  t.is(nearestName('OPENAI', ['elevenlabs', 'openai']), 'openai');
  t.is(nearestName('apikey', ['api_key', 'voice']), 'api_key');
  t.is(nearestName('speed', ['api_key', 'voice']), undefined);
});

test('credentials in a URL count as secrets, as they are written and as they are meant', (t) => {
  const { secrets } = readTtsConfig({
    platform: 'gsv',
    url: 'http://user:pass%2Fword@127.0.0.1:9094/v1/audio/speech?key=K4711&voice=v',
    speaker: 'texan',
  });
  t.deepEqual([...secrets].sort(), ['K4711', 'pass%2Fword', 'pass/word']);
});
