/** Against scripted servers: the request, the events, failures and ends of the call before synthesis. */
import type { ServerResponse } from 'node:http';
import test from 'ava';
import { SimulatedClock } from '../../harness/clock/simulated-clock.ts';
import { MemoryNetwork } from '../../harness/network/memory-network.ts';
import { createRandom } from '../../harness/random/random.ts';
import { adapterFor } from '../platforms.ts';
import {
  httpAnswers,
  httpWire,
  type ScriptedWire,
  steadyScript,
} from '../scripted-wire.contract.ts';
import { collect, failure, never, outcomeOf, said, samplesOf } from '../speech-adapter.contract.ts';
import type { SpeechEvent, SpeechSession } from '../speech-adapter.ts';
import { readTtsConfig } from '../tts-config.ts';
import { defaultPrompts } from './default-prompts.ts';

const speechEndpoint = { host: 'localhost', port: 9094 };
const chatEndpoint = { host: 'chat.test', port: 443 };
const latencyUs = 5_000;
const connectUs = 40_000;
/** How long the chat service takes for its reply. */
const replyUs = 300_000;
const secret = 'sk_secret_of_the_model';
const original = 'It opens at 9:00 & closes at 17:00.';
const rewritten = 'It opens at nine and closes at five.';

interface Scene {
  readonly clock: SimulatedClock;
  readonly session: SpeechSession;
  readonly speech: ScriptedWire;
  readonly chat: ScriptedWire;
}

async function scene(
  options: {
    readonly platform?: string;
    readonly table?: object;
    readonly answer?: (response: ServerResponse, clock: SimulatedClock) => void;
    readonly reachable?: boolean;
  } = {},
): Promise<Scene> {
  const { platform = 'stream_gsv', answer = replying(rewritten) } = options;
  const clock = new SimulatedClock();
  const network = new MemoryNetwork(clock, createRandom(1, 'network'));
  const wav = platform === 'gsv' ? { wavRateHz: 16_000 } : {};
  const speech = httpWire(clock, steadyScript, {
    textKey: 'input',
    contentType: wav.wavRateHz === undefined ? 'audio/pcm;rate=32000' : 'audio/wav',
    refusal: { status: 500, body: '' },
    ...wav,
  });
  const chat = httpAnswers((response) => answer(response, clock));
  for (const [endpoint, { accept }] of [
    [speechEndpoint, speech],
    [chatEndpoint, chat],
  ] as const) {
    network.setLink(endpoint, { latencyUs, jitterUs: 0, connectUs });
    if (endpoint === speechEndpoint || options.reachable !== false) {
      await network.impersonate(endpoint, accept);
    }
  }
  const tts = readTtsConfig({
    platform,
    url: 'http://localhost:9094/v1/audio/speech',
    speaker: 'texan',
    text_optimization: {
      url: 'https://chat.test/v1/chat/completions',
      api_key: secret,
      model: 'gpt-4o-mini',
      ...options.table,
    },
  });
  const random = createRandom(2);
  const session = adapterFor(tts).open(tts.config, {
    clock,
    dialer: network,
    randomBytes: (count) => random.bytes(count),
  });
  return { clock, session, speech, chat };
}

/** Streams a reply in two deltas, the second one and the end after {@link replyUs}. */
function replying(text: string): (response: ServerResponse, clock: SimulatedClock) => void {
  return (response, clock) => {
    const delta = (content: string): string =>
      `data: ${JSON.stringify({ choices: [{ delta: { content }, finish_reason: null }] })}\n\n`;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(delta(text.slice(0, 5)));
    clock.after(replyUs, () => response.end(`${delta(text.slice(5))}data: [DONE]\n\n`));
  };
}

const ended = (status: number, body: string, type = 'application/json') => {
  return (response: ServerResponse): void => {
    response.writeHead(status, { 'content-type': type, 'retry-after': '7' });
    response.end(body);
  };
};

for (const platform of ['gsv', 'stream_gsv']) {
  test(`${platform}: what is spoken is the reply, and the call stands before the request`, async (t) => {
    const { clock, session, speech, chat } = await scene({ platform });
    const events = await clock.run(collect(session.speak(said(original), never())));
    t.deepEqual(
      events.filter(({ type }) => type !== 'audio').map(({ type }) => type),
      ['textOptimization', 'request', 'responseHead', 'end'],
    );
    const call = events.find((event) => event.type === 'textOptimization')!;
    // Connecting, the way there, the time of the service, the way back.
    t.deepEqual(call, {
      type: 'textOptimization',
      request: 0,
      startedUs: 0,
      atUs: connectUs + latencyUs + replyUs + latencyUs,
      url: 'https://chat.test/v1/chat/completions',
      text: rewritten,
      charactersIn: 35,
      charactersOut: 36,
    });
    const request = events.find((event) => event.type === 'request')!;
    t.true(request.type === 'request' && request.decidedUs === call.atUs);
    t.true(request.type === 'request' && request.characters === 36);
    t.is(JSON.parse(speech.log.received[0]!).input, rewritten);
    t.true(samplesOf(events).length > 0);
    t.is(chat.log.requests.length, 1);
    await session.close();
  });
}

test('the request is the one EchoKit sends: streamed, prompts, then the text', async (t) => {
  const { clock, session, chat } = await scene();
  await clock.run(collect(session.speak(said('Hi ', 'there.'), never())));
  const { path, headers } = chat.log.requests[0]!;
  t.is(path, '/v1/chat/completions');
  t.is(headers.host, 'chat.test');
  t.is(headers.authorization, `Bearer ${secret}`);
  t.is(headers['user-agent'], 'curl/7.81.0');
  t.is(headers['content-type'], 'application/json');
  const messages = [...defaultPrompts.en, { role: 'user', content: 'Hi there.' }];
  t.deepEqual(Object.keys(JSON.parse(chat.log.received.join(''))), ['stream', 'messages', 'model']);
  t.deepEqual(JSON.parse(chat.log.received.join('')), {
    stream: true,
    messages,
    model: 'gpt-4o-mini',
  });
  await session.close();
});

test('without key and model neither is sent; prompts replace the built-in ones', async (t) => {
  const prompts = [{ role: 'system', content: 'Spell numbers.' }];
  const { clock, session, chat } = await scene({ table: { api_key: '', model: '', prompts } });
  await clock.run(collect(session.speak(said('5'), never())));
  t.is(chat.log.requests[0]!.headers.authorization, undefined);
  t.deepEqual(JSON.parse(chat.log.received.join('')), {
    stream: true,
    messages: [...prompts, { role: 'user', content: '5' }],
  });
  await session.close();
});

test('the built-in prompts are English unless another language is configured', (t) => {
  const language = (table: object, environment = {}): unknown => {
    const url = 'http://h/';
    const { config } = readTtsConfig(
      { platform: 'gsv', url, speaker: 's', text_optimization: { url, ...table } },
      { environment },
    );
    const { prompts } = (config as { textOptimization: { prompts: unknown } }).textOptimization;
    return Object.entries(defaultPrompts).find(([, own]) => own === prompts)?.[0];
  };
  t.is(language({}), 'en');
  t.is(language({ prompt_language: 'EN' }), 'en');
  t.is(language({ prompt_language: 'zh' }), 'zh');
  const environment = { TTS_OPTIMIZATION_PROMPT_LANG: 'zh' };
  t.is(language({}, environment), 'zh');
  t.is(language({ prompt_language: 'en' }, environment), 'en');
  t.is(language({ prompts: [] }), undefined);
});

test('one connection serves the next call', async (t) => {
  const { clock, session, chat } = await scene();
  const starts: number[] = [];
  for (const text of ['One.', 'Two.']) {
    const events = await clock.run(collect(session.speak(said(text), never())));
    const [call] = events;
    if (call?.type === 'textOptimization') starts.push(call.atUs - call.startedUs);
  }
  t.deepEqual(
    starts,
    [connectUs, 0].map((us) => us + replyUs + 2 * latencyUs),
  );
  t.is(chat.log.connections, 1);
  await session.close();
  t.is((await outcomeOf({ clock, session }, ['Three.'])).error.kind, 'network');
});

// TTS provider protocol reference, section 4.5, and what proxies answer.
for (const [what, answer, kind, words] of [
  [
    'a wrong key',
    ended(401, `{"error":{"message":"Bad key ${secret}","code":"invalid_api_key"}}`),
    'auth',
    /Bad key \[redacted\].*"api_key" of \[tts\.text_optimization\]/,
  ],
  [
    'an empty account',
    ended(429, '{"error":{"message":"No credit","code":"insufficient_quota"}}'),
    'quota',
    /No credit/,
  ],
  [
    'too many requests',
    ended(429, '{"error":{"message":"Slow down","code":"rate_limit_exceeded"}}'),
    'rate-limit',
    /Slow down/,
  ],
  ['a defect', ended(500, '{"error":{"message":"Oops","type":"server_error"}}'), 'server', /Oops/],
  [
    'a wrong model',
    ended(404, '{"error":{"message":"No such model","code":"model_not_found"}}'),
    'bad-request',
    /No such model.*"url" and "model"/,
  ],
  ['a web page', ended(200, '<title>Login</title>', 'text/html'), 'protocol', /Login/],
  [
    'an empty reply',
    ended(200, 'data: [DONE]\n\n', 'text/event-stream'),
    'empty',
    /without any text/,
  ],
  [
    'a reply without its end',
    ended(200, 'data: {"choices":[{"delta":{"content":"It"}}]}\n\n', 'text/event-stream'),
    'truncated',
    /no end mark/,
  ],
  [
    'a reply that is cut off',
    (response: ServerResponse) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {"choices":[]}\n\n', () => response.socket?.destroy());
    },
    'network',
    /broke before its reply was complete/,
  ],
] as const) {
  test(`${what} fails the sentence as the optimization's failure, before any speech`, async (t) => {
    const { clock, session, speech } = await scene({ answer });
    const { events, error } = await outcomeOf({ clock, session }, [original]);
    t.deepEqual(events, []);
    t.is(error.kind, kind);
    t.regex(error.message, /^The text optimization at chat\.test failed, so nothing was spoken: /);
    t.regex(error.message, words);
    t.false(error.message.includes(secret));
    t.is(error.deliveredSamples, 0);
    if (kind === 'rate-limit') t.is(error.retryAfterMs, 7_000);
    t.is(speech.log.connections, 0);
    await session.close();
  });
}

test('a service that cannot be reached or does not answer is given up in time', async (t) => {
  const unreachable = await scene({ reachable: false });
  t.is((await outcomeOf(unreachable, [original])).error.kind, 'network');
  const silent = await scene({ answer: () => {} });
  const { error } = await outcomeOf(silent, [original]);
  t.is(error.kind, 'timeout');
  t.regex(error.message, /no byte of a reply within 30000 ms/);
  t.is(silent.clock.nowUs(), connectUs + 30_000_000);
  t.is(silent.chat.log.open, 1);
  await silent.clock.run(silent.clock.sleep(50_000));
  t.is(silent.chat.log.open, 0);
  const stalled = await scene({
    answer: (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {"choices":[]}\n\n');
    },
  });
  t.regex((await outcomeOf(stalled, [original])).error.message, /further byte .* 15000 ms/);
});

test('an abort at any instant of the call ends it there, and no speech is asked for', async (t) => {
  const reason = new Error('stopped by the test');
  for (let abortUs = 0; abortUs < connectUs + replyUs + 2 * latencyUs; abortUs += 7_301) {
    const { clock, session, speech, chat } = await scene();
    const stop = new AbortController();
    clock.after(abortUs, () => stop.abort(reason));
    const events: SpeechEvent[] = [];
    const error = await clock.run(failure(session.speak(said(original), stop.signal), events));
    t.is(error, reason);
    t.is(clock.nowUs(), abortUs);
    t.deepEqual(events, []);
    await clock.run(clock.sleep(100_000));
    t.is(chat.log.open, 0, `aborted at ${abortUs} µs`);
    t.is(speech.log.connections, 0);
  }
});

test('nothing to say costs no call', async (t) => {
  const { clock, session, chat } = await scene();
  t.is((await outcomeOf({ clock, session }, [' \n'])).error.kind, 'bad-request');
  t.is(chat.log.connections, 0);
});
