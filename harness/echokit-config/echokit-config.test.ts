import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { stringify } from 'smol-toml';
import { EchoKitConfigError, formatConfigProblems } from './config-problem.ts';
import {
  assertUsable,
  type EchoKitConfig,
  looksLikeEchoKitConfig,
  readEchoKitConfig,
  readEchoKitConfigFile,
} from './echokit-config.ts';

const folder = mkdtempSync(join(tmpdir(), 'echokit-config-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const read = (text: string, environment: Record<string, string> = {}): EchoKitConfig =>
  readEchoKitConfig(text, join(folder, 'config.toml'), { environment });

/** `5:1 warning CONFIG_…` for each problem. */
const brief = ({ problems }: EchoKitConfig): string[] =>
  problems
    .map(({ line, column, severity, code }) => `${line}:${column} ${severity} ${code}`)
    .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));

const refusal = (call: () => unknown): EchoKitConfigError => {
  try {
    call();
  } catch (error) {
    if (error instanceof EchoKitConfigError) return error;
    throw error;
  }
  throw new Error('the configuration was accepted');
};

const asr = `[asr]
platform = "whisper"
url = "https://api.groq.com/openai/v1/audio/transcriptions"
api_key = "gsk_asr"
lang = "en"
model = "whisper-large-v3"
prompt = "EchoKit"
`;
const tts = `[tts]
platform = "openai"
api_key = "sk_tts"
model = "gpt-4o-mini-tts"
`;
const llm = `[llm]
platform = "openai_chat"
url = "https://api.groq.com/openai/v1/chat/completions"
api_key = "gsk_llm"
model = "openai/gpt-oss-20b"
history = 5
`;
const addr = 'addr = "0.0.0.0:8080"\n';

// As printed on the EchoKit documentation page "Text to speech services (TTS)".
const documented: Readonly<Record<string, string>> = {
  elevenlabs: `[tts]
platform = "elevenlabs"
url = "wss://api.elevenlabs.io/v1/text-to-speech/"
token = "sk_1234"
voice = "YOUR-VOICE-ID"
`,
  stream_gsv: `[tts]
platform = "stream_gsv"
url = "http://localhost:9094/v1/audio/stream_speech"
speaker = "texan"
`,
  cosyvoice: `[tts]
platform = "cosyvoice"
url = "wss://dashscope.aliyuncs.com/api-ws/v1/inference"
token = "sk-API-KEY"
speaker = "longhua_v2"
`,
  openai: `[tts]
platform = "openai"
url = "https://api.openai.com/v1/audio/speech"
model = "gpt-4o-mini-tts"
api_key = "sk_ABCD"
voice = "ash"
`,
  'openai at Groq': `[tts]
platform = "openai"
url = "https://api.groq.com/openai/v1/audio/speech"
model = "playai-tts"
api_key = "gsk_ABCD"
voice = "Fritz-PlayAI"
`,
};

for (const [name, section] of Object.entries(documented)) {
  test(`the documented section for ${name} is read without a word, alone and in a whole file`, (t) => {
    for (const text of [section, `${addr}${asr}${llm}${section}`]) {
      const config = read(text);
      t.deepEqual(brief(config), []);
      t.is(config.providers.length, 1);
      t.is(config.providers[0]!.name, name.split(' ')[0]!);
      t.truthy(config.providers[0]!.tts);
      t.notThrows(() => assertUsable(config, ['tts', 'providers']));
    }
  });
}

test('a whole file with every key of its sections is read without a word', (t) => {
  const config = read(`${addr}
[record]
callback_url = "http://localhost:3000/recorded"

${asr}
[asr.vad]
threshold = 0.6
neg_threshold = 0.3
min_speech_duration_ms = 300
max_silence_duration_ms = 250
hangover_ms = 700

${tts}
[llm]
platform = "OpenAIChat"
llm_chat_url = "https://api.openai.com/v1/chat/completions"
api_key = "sk_llm"
model = "gpt-4o"
history = 10
extra = { temperature = 0.5, nested = { anything = [1, "a"] } }

[[llm.sys_prompts]]
role = "system"
content = "Be brief."

[[llm.dynamic_prompts]]
role = "user"
content = "Hello."

[[llm.mcp_server]]
server = "http://localhost:8000/mcp"
type = "sse"
call_mcp_message = "One moment."
`);
  t.deepEqual(brief(config), []);
  t.deepEqual(config.addr, { host: '0.0.0.0', port: 8080 });
  t.deepEqual(config.endOfSpeech, {
    threshold: 0.6,
    negThreshold: 0.3,
    minSpeechDurationMs: 300,
    maxSilenceDurationMs: 250,
    hangoverMs: 700,
  });
  t.deepEqual(
    config.sections.map(({ name, used }) => `${name} ${used}`),
    ['addr true', '[record] true', '[asr] false', '[asr.vad] true', '[tts] true', '[llm] false'],
  );
  t.is(
    config.sections.find(({ name }) => name === '[llm]')!.note,
    'replies are scripted; only serve --live asks',
  );
  t.is(config.backend, 'EchoKit takes [llm], [tts] and [asr]');
});

test('the other backends and platforms are read without a word', (t) => {
  const paraformer = '[asr]\nplatform = "ParaformerV2"\nparaformer_token = "sk_p"\n';
  const responses = '[llm]\nplatform = "OpenAIResponses"\nextra = { a = 1 }\n';
  const claude = '[claude]\nurl = "ws://localhost:9000/ws"\n';
  const live = read(addr + paraformer + tts + responses);
  t.deepEqual(brief(live), []);
  t.deepEqual(live.recognition, {
    paraformer: { url: 'wss://dashscope.aliyuncs.com/api-ws/v1/inference', token: 'sk_p' },
  });
  t.true(live.sections.find(({ name }) => name === '[asr]')!.used);
  const helper = read(addr + paraformer + tts + claude);
  t.deepEqual(brief(helper), []);
  t.is(helper.backend, 'EchoKit takes [claude], [asr] and [tts]');
});

test('what is not written in [asr.vad] is left to the server', (t) => {
  t.deepEqual(read(`${asr}[asr.vad]\nhangover_ms = 900\n`).endOfSpeech, { hangoverMs: 900 });
  t.is(read(asr).endOfSpeech, undefined);
});

/** A whole file in which one section is another one; lines are counted from the section. */
const oddities: readonly (readonly [
  title: string,
  text: string,
  problems: readonly string[],
  message: string,
])[] = [
  [
    'a key that EchoKit ignores',
    `${addr}colour = "red"\n${asr}${tts}${llm}`,
    ['2:1 warning CONFIG_UNKNOWN_KEY'],
    'colour is no key of an EchoKit configuration and is ignored',
  ],
  [
    'a table that EchoKit ignores',
    `${addr}${asr}${tts}${llm}[recrod]\ncallback_url = "http://h/"\n`,
    ['19:2 warning CONFIG_UNKNOWN_KEY'],
    'did you mean "record"?',
  ],
  [
    'a variable, in what is used and in what is not',
    `${addr}${asr.replace('gsk_asr', `\${ASR_KEY}`)}${tts.replace('sk_tts', `\${TTS_KEY}`)}${llm}`,
    ['5:11 warning CONFIG_VARIABLE', '11:11 warning CONFIG_VARIABLE'],
    `tts.api_key holds \${TTS_KEY}: it is expanded here, but EchoKit takes it literally`,
  ],
  [
    'the published ElevenLabs example',
    `${addr}[asr]\nplatform = "elevenlabs"\n${tts}${llm}`,
    ['3:12 error CONFIG_UNKNOWN_PLATFORM'],
    'asr.platform is "elevenlabs", which EchoKit does not know',
  ],
  [
    'a key with the word Bearer',
    `${addr}${asr}${tts}${llm.replace('gsk_llm', 'Bearer gsk_llm')}`,
    ['16:11 warning CONFIG_BEARER'],
    'llm.api_key begins with "Bearer", so that word is sent twice',
  ],
  [
    "EchoKit's own default model of OpenAI",
    `${addr}${asr}${tts.replace(/model.*\n/, '')}${llm}`,
    ['9:1 warning CONFIG_DOUBTFUL_DEFAULT'],
    'EchoKit\'s default "gpt-4o-tts" is no model that OpenAI has',
  ],
  [
    'the published example of text optimization',
    `${addr}${asr}${documented['stream_gsv']}
[tts.text_optimization]
url = "https://api.openai.com/v1/audio/transcriptions"
api_key = "gsk_rewrite"
model = "m"
${llm}`,
    ['15:7 warning CONFIG_DOUBTFUL_VALUE'],
    'tts.text_optimization.url is no chat-completions endpoint',
  ],
  [
    'a history of 0',
    `${addr}${asr}${tts}${llm.replace('history = 5', 'history = 0')}`,
    ['18:11 warning CONFIG_DOUBTFUL_VALUE'],
    'what the user says is dropped at once',
  ],
  [
    'a missing history',
    `${addr}${asr}${tts}${llm.replace('history = 5\n', '')}`,
    ['13:1 error CONFIG_MISSING_KEY'],
    'llm.history is missing',
  ],
  [
    'a history that is no whole number',
    `${addr}${asr}${tts}${llm.replace('history = 5', 'history = 5.0')}`,
    ['18:11 error CONFIG_BAD_VALUE'],
    'llm.history is 5.0',
  ],
  [
    'a prompt without a role',
    `${addr}${asr}${tts}${llm}[[llm.sys_prompts]]\ncontent = "Be brief."\n`,
    ['19:1 warning CONFIG_DOUBTFUL_DEFAULT'],
    'llm.sys_prompts[0].role is missing, which means "assistant"',
  ],
  [
    'a role that does not exist',
    `${addr}${asr}${tts}${llm}[[llm.sys_prompts]]\nrole = "sytem"\ncontent = "Be brief."\n`,
    ['20:8 error CONFIG_BAD_VALUE'],
    'did you mean "system"?',
  ],
  [
    'prompts that are fetched',
    `${addr}${asr}${tts}${llm}prompts_url = "http://h/p"\n`,
    ['19:15 warning CONFIG_DOUBTFUL_VALUE'],
    'is fetched while a board connects, and all other boards wait for it',
  ],
  [
    'a part of a prompt that is fetched',
    `${addr}${asr}${tts}${llm}[[llm.sys_prompts]]\nrole = "system"\ncontent = "It is {{ https://h/now }}"\n`,
    ['21:11 warning CONFIG_DOUBTFUL_VALUE'],
    'llm.sys_prompts[0].content names an address',
  ],
  [
    'the same address in a later prompt, where EchoKit fetches nothing',
    `${addr}${asr}${tts}${llm}[[llm.sys_prompts]]\nrole = "system"\ncontent = "a"\n[[llm.sys_prompts]]\nrole = "user"\ncontent = "{{ https://h/now }}"\n`,
    [],
    '',
  ],
  [
    'a detector of its own, which is deprecated',
    `${addr}${asr}[asr.vad]\nvad_url = "http://localhost:9093/v1/audio/vad"\n${tts}${llm}`,
    ['10:1 warning CONFIG_NO_EFFECT'],
    'asr.vad.vad_url is deprecated',
  ],
  [
    'tools of a platform that does not load them',
    `${addr}${asr}${tts}[llm]\nplatform = "openai_responses"\n[[llm.mcp_server]]\nserver = "http://h/"\n`,
    ['15:7 warning CONFIG_NO_EFFECT'],
    'llm.mcp_server is read but not loaded',
  ],
  [
    'two names of one key',
    `${addr}${asr}${tts}${llm}llm_chat_url = "http://h/"\n`,
    ['15:7 error CONFIG_BAD_VALUE'],
    'llm.url and llm.llm_chat_url are two names of one key',
  ],
  [
    'gemini with stream_asr',
    `${addr}[gemini]\napi_key = "g_key"\n${tts}`,
    ['2:1 warning CONFIG_GEMINI_SUBMIT'],
    'Gemini ignores stream_asr',
  ],
  [
    'prompts of gemini behind the first',
    `${addr}[gemini]\napi_key = "g_key"\nsys_prompts = [{ role = "system", content = "a" }, { role = "system", content = "b" }]\n`,
    ['2:1 warning CONFIG_GEMINI_SUBMIT', '4:52 warning CONFIG_NO_EFFECT'],
    'only the first is used',
  ],
  [
    'two backends',
    `${addr}${asr}${tts}${llm}[gemini]\napi_key = "g_key"\n`,
    ['19:1 warning CONFIG_BACKEND'],
    'EchoKit ignores [gemini]: it takes [llm], [tts] and [asr] and looks no further',
  ],
  [
    'a backend that is incomplete',
    `${addr}${tts}${llm}`,
    ['6:1 error CONFIG_NO_BACKEND'],
    '[llm], [tts] and [asr] belong together, and [asr] is missing',
  ],
  [
    'a file without an address',
    `${asr}${tts}${llm}`,
    ['undefined:undefined error CONFIG_MISSING_KEY'],
    'addr is missing',
  ],
  [
    'an address without a port',
    `addr = "localhost"\n${asr}${tts}${llm}`,
    ['1:8 error CONFIG_BAD_VALUE'],
    'addr must be a host and a port',
  ],
  [
    'a hello that is not there',
    `${addr}hello_wav = "no.wav"\n${asr}${tts}${llm}`,
    ['2:13 warning CONFIG_HELLO_WAV'],
    'there is no such file',
  ],
  [
    'a threshold that no probability reaches',
    `${addr}${asr}[asr.vad]\nthreshold = 1.5\nneg_threshold = 2\n${tts}${llm}`,
    ['10:13 warning CONFIG_DOUBTFUL_VALUE', '11:17 warning CONFIG_DOUBTFUL_VALUE'],
    'asr.vad.threshold is 1.5',
  ],
  [
    'a table that is none',
    `${addr}asr = 5\n${tts}${llm}`,
    ['2:7 error CONFIG_WRONG_TYPE'],
    'asr must be a table, not a number',
  ],
];

for (const [title, text, problems, message] of oddities) {
  test(`told with line and column: ${title}`, (t) => {
    const config = read(text, { TTS_KEY: 'sk_from_environment' });
    t.deepEqual(brief(config), problems);
    const all = formatConfigProblems(config.problems);
    t.true(all.includes(message), all);
    t.false(/sk_tts|gsk_|g_key|from_environment/.test(all), all);
  });
}

test('a mistake that lets EchoKit take another backend in silence is told at each ignored table', (t) => {
  const config = read(
    `${addr}${asr}${tts}${llm.replace('history = 5\n', '')}[gemini]\napi_key = "g_key"\n`,
  );
  t.deepEqual(brief(config), [
    '2:1 warning CONFIG_BACKEND',
    '13:1 error CONFIG_MISSING_KEY',
    '13:1 warning CONFIG_BACKEND',
    '18:1 warning CONFIG_GEMINI_SUBMIT',
  ]);
  t.is(config.backend, 'EchoKit takes [gemini] and [tts] and ignores [llm] and [asr]');
  t.true(
    formatConfigProblems(config.problems).includes(
      'it cannot read [llm], so it passes over [llm], [tts] and [asr] without a word and takes [gemini] and [tts]',
    ),
  );
});

test('a URL that leads nowhere hinders this program, but not the reader of EchoKit', (t) => {
  const config = read(`${addr}${asr}${tts.replace('[tts]', '[tts]\nurl = "nowhere"')}${llm}`);
  t.deepEqual(brief(config), ['10:7 error CONFIG_BAD_VALUE']);
  t.is(config.backend, 'EchoKit takes [llm], [tts] and [asr]');
});

test('a key from the environment is used, and EchoKit itself would refuse the file', (t) => {
  const without = tts.replace(/api_key.*\n/, '');
  const whole = `${addr}${asr}${without}${llm}`;
  const config = read(whole, { OPENAI_API_KEY: 'sk_from_environment' });
  t.deepEqual(brief(config), ['9:1 warning CONFIG_BACKEND']);
  t.is(config.backend, 'EchoKit refuses the file: [tts] cannot be read');
  t.deepEqual(config.providers[0]!.tts!.secrets, ['sk_from_environment']);
  t.deepEqual(brief(read(without, { OPENAI_API_KEY: 'k' })), [], 'a part is not meant for EchoKit');
  const missing = refusal(() => assertUsable(read(without), ['tts']));
  t.is(missing.code, 'CONFIG_MISSING_KEY');
  t.true(missing.message.includes('write api_key = '), missing.message);
  t.true(missing.message.includes('OPENAI_API_KEY'), missing.message);
});

test('several providers stand in the order of the file, each under its name', (t) => {
  const groq = 'platform = "groq"\napi_key = "gsk_1"\nvoice = "hannah"\nmodel = "m"\n';
  const config = read(`[providers.en]\n${groq}${tts}[providers."zh-1"]\n${groq}`);
  t.deepEqual(brief(config), []);
  t.deepEqual(
    config.providers.map(({ name, table, platform }) => [name, table, platform]),
    [
      ['en', 'providers.en', 'groq'],
      ['openai', 'tts', 'openai'],
      ['zh-1', 'providers.zh-1', 'groq'],
    ],
  );
  t.is(config.backend.includes('a part of a configuration'), true);

  const twice = read(`${tts}[providers.openai]\n${groq}`);
  t.deepEqual(
    twice.providers.map(({ name, table }) => [name, table]),
    [
      ['tts', 'tts'],
      ['openai', 'providers.openai'],
    ],
  );
  t.deepEqual(brief(twice), ['5:1 warning CONFIG_PROVIDER_NAME']);

  const wrong = read('[providers]\nx = 5\n[providers."a,b"]\nplatform = "grok"\n');
  t.deepEqual(brief(wrong), [
    '2:5 error CONFIG_WRONG_TYPE',
    '3:1 error CONFIG_BAD_VALUE',
    '4:12 error CONFIG_UNKNOWN_PLATFORM',
  ]);
  t.deepEqual(
    wrong.providers.map(({ name, tts: usable }) => [name, usable]),
    [['a,b', undefined]],
  );
});

test('errors end only what uses the part they are in, and all of them are told together', (t) => {
  const config = read(
    `addr = 7\n[asr]\nplatform = "x"\n[tts]\nplatform = "openai"\napi_key = 1\nvoice = 2\n`,
  );
  t.notThrows(() => assertUsable(config, ['llm']));
  const error = refusal(() => assertUsable(config, ['tts', 'providers']));
  t.deepEqual(
    error.problems.map(({ line, code }) => [line, code]),
    [
      [6, 'CONFIG_WRONG_TYPE'],
      [7, 'CONFIG_WRONG_TYPE'],
    ],
  );
  t.is(refusal(() => assertUsable(config, ['addr', 'tts'])).problems.length, 3);
});

test('a hello is found in the working directory or beside the file, and its format is checked', (t) => {
  const wav = (rateHz: number): Buffer => {
    const head = Buffer.alloc(44);
    head.write('RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0', 0, 'latin1');
    head.writeUInt32LE(rateHz, 24);
    head.writeUInt32LE(rateHz * 2, 28);
    head.write('\x02\0\x10\0data\x04\0\0\0', 32, 'latin1');
    return Buffer.concat([head, Buffer.alloc(4)]);
  };
  writeFileSync(join(folder, 'right.wav'), wav(16_000));
  writeFileSync(join(folder, 'fast.wav'), wav(44_100));
  const right = read('hello_wav = "right.wav"\n');
  t.deepEqual(brief(right), []);
  t.is(right.helloWav, join(folder, 'right.wav'));
  const fast = read('hello_wav = "fast.wav"\n');
  t.deepEqual(brief(fast), ['1:13 warning CONFIG_HELLO_WAV']);
  t.is(fast.helloWav, join(folder, 'fast.wav'), 'it is played as EchoKit would');
  t.is(read('hello_wav = "."\n').helloWav, undefined, 'a folder is no hello');
  t.is(
    read(`hello_wav = "\${DIR}/right.wav"\n`, { DIR: folder }).helloWav,
    join(folder, 'right.wav'),
  );
});

test('a file that cannot be read says why, without showing a key', (t) => {
  const options = { environment: {} };
  const file = join(folder, 'broken.toml');
  writeFileSync(file, '[tts]\napi_key = "sk-hidden\n');
  const syntax = refusal(() => readEchoKitConfigFile(file, options));
  t.is(syntax.code, 'CONFIG_SYNTAX');
  t.true(syntax.message.startsWith(`${file}:2:`), syntax.message);
  t.false(syntax.message.includes('hidden'), syntax.message);
  writeFileSync(file, Buffer.from([0x61, 0xff]));
  t.is(refusal(() => readEchoKitConfigFile(file, options)).code, 'CONFIG_SYNTAX');
  const missing = refusal(() => readEchoKitConfigFile(join(folder, 'no.toml'), options));
  t.is(missing.code, 'CONFIG_NOT_FOUND');
  t.true(missing.message.includes('there is no such file'));
  t.is(refusal(() => readEchoKitConfigFile(folder, options)).code, 'CONFIG_NOT_FOUND');
});

test('a byte order mark is no part of the file', (t) => {
  t.deepEqual(brief(read(`\ufeff${tts}voise = "x"\n`)), ['5:1 warning CONFIG_UNKNOWN_KEY']);
});

test('configurations are told from scenarios', (t) => {
  for (const text of [tts, addr, llm, '[tts\nbroken', '[providers.x]\nplatform = "groq"\n']) {
    t.true(looksLikeEchoKitConfig(text), text);
  }
  const scenario = 'title = "a"\n[[turn]]\nsay = "b"\nreply = """\n[tts]\n"""\n';
  for (const text of [scenario, 'title = "no turns"\n', '[server]\nhello_wav = "x.wav"\n', '']) {
    t.false(looksLikeEchoKitConfig(text), text);
  }
});

test('whatever TOML it is given, the reader answers and shows no secret', (t) => {
  const sections = [
    'addr',
    'hello_wav',
    'record',
    'asr',
    'tts',
    'llm',
    'gemini',
    'claude',
    'providers',
  ];
  const keys = [
    ...[
      'platform',
      'url',
      'api_key',
      'token',
      'paraformer_token',
      'model',
      'voice',
      'vad',
      'threshold',
    ],
    ...[
      'history',
      'sys_prompts',
      'role',
      'content',
      'mcp_server',
      'text_optimization',
      'hangover_ms',
    ],
    ...['prompts', 'extra', '__proto__', 'constructor', 'a b', 'openai', ''],
  ];
  const names = ['openai', 'groq', 'gsv', 'elevenlabs', 'cosyvoice', 'whisper', 'openai_chat', 'x'];
  const secret = 'sk-5d41402abc4b2a76';
  const leaf = fc.oneof(
    fc.constantFrom(...names, 'https://h/', 'wss://h/', `\${A}`, `\${MISSING}`, 'Bearer x', secret),
    fc.string({ maxLength: 8 }),
    fc.integer(),
    fc.double({ noNaN: true }),
    fc.boolean(),
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      leaf,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 6 }),
    ),
  }));
  const table = fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 8 });
  const credentials = fc.constantFrom('api_key', 'token', 'paraformer_token', 'api_keey');
  const document = fc.dictionary(fc.constantFrom(...sections, 'x'), fc.oneof(table, value));
  let problems = 0;
  fc.assert(
    fc.property(document, credentials, fc.constantFrom(...sections), (random, key, section) => {
      const inner = random[section];
      const isTable = typeof inner === 'object' && inner !== null && !Array.isArray(inner);
      // Without what does not look like one of its kind: a secret in "voice" is none.
      const text = JSON.stringify({
        ...random,
        [section]: { ...(isTable && inner), [key]: secret },
      });
      const clean = JSON.parse(text, (name, item) =>
        item === secret && !/key|token/.test(name) ? 'x' : item,
      ) as Record<string, unknown>;
      const config = read(stringify(clean), { A: 'a' });
      const shown = formatConfigProblems(config.problems) + JSON.stringify(config.sections);
      if (shown.includes(secret)) throw new Error(shown);
      problems += config.problems.length;
    }),
    { numRuns: 600, seed: 11 },
  );
  t.true(problems > 1000, `${problems} problems were found`);
});
