import test from 'ava';
import type { WebSocket } from 'ws';
import { pcmBytes } from '../audio/wav-fixture.contract.ts';
import { dialogueWire, httpAnswers, webSocketAnswers } from '../scripted-wire.contract.ts';
import {
  audioOf,
  type ContractSubject,
  collect,
  makeStage,
  never,
  outcomeOf,
  said,
  samplesOf,
  speechAdapterContract,
} from '../speech-adapter.contract.ts';
import { readTtsConfig } from '../tts-config.ts';
import { type ElevenLabsConfig, elevenLabsAdapter } from './elevenlabs.ts';

const secret = 'sk_very_secret';
const subject: ContractSubject<ElevenLabsConfig> = {
  adapter: elevenLabsAdapter,
  config: {
    url: 'wss://api.elevenlabs.io/v1/text-to-speech',
    token: secret,
    voice: 'pNInz6obpgDQGcFmaJgB',
    modelId: 'eleven_v3_conversational',
  },
  rateHz: 16_000,
  secret,
  wire: (clock, script) => dialogueWire(clock, script, secret),
};
speechAdapterContract(test, subject);

interface ClientMessage {
  readonly voices?: string[];
  readonly inputs?: { text: string }[];
  readonly flush?: boolean;
  readonly close_socket?: boolean;
}
const answering = (answer: (message: ClientMessage, socket: WebSocket) => void) =>
  makeStage(
    {
      ...subject,
      wire: () =>
        webSocketAnswers((message, socket) => answer(message as unknown as ClientMessage, socket)),
    },
    {},
  );
const send = (socket: WebSocket, message: unknown): void => socket.send(JSON.stringify(message));
const base64 = (samples: readonly number[]): string =>
  Buffer.from(pcmBytes(samples)).toString('base64');

test('the address, the key and the messages are those of the protocol', async (t) => {
  const stage = await makeStage(subject, {});
  const text = ['Hello there. ', 'How can I help?'];
  const events = await stage.clock.run(collect(stage.session.speak(said(...text), never())));
  const { path, headers } = stage.wire.log.requests[0]!;
  t.is(
    path,
    '/v1/text-to-dialogue/stream-input?model_id=eleven_v3_conversational&output_format=pcm_16000&sync_alignment=true',
  );
  t.is(headers['xi-api-key'], secret);
  // TTS provider protocol reference, section 6.4: voices in the first message only.
  t.deepEqual(stage.wire.log.received, [
    '{"voices":["pNInz6obpgDQGcFmaJgB"]}',
    '{"inputs":[{"text":"Hello there. ","voice_id":"pNInz6obpgDQGcFmaJgB","new_turn":false}]}',
    '{"flush":true}',
    '{"inputs":[{"text":"How can I help?","voice_id":"pNInz6obpgDQGcFmaJgB","new_turn":false}]}',
    '{"flush":true}',
    '{"close_socket":true}',
  ]);
  t.like(events[0]!, { url: `wss://api.elevenlabs.io${path}`, characters: 13 });
  await stage.finish();
});

// Models and limits of sections 6.4 and 6.7.
for (const [modelId, dialogue, charactersMax] of [
  ['eleven_v3', true, 3_000],
  ['eleven_v3_conversational', true, 3_000],
  ['eleven_v4', true, 10_000],
  ['eleven_v4_turbo', true, 10_000],
  ['eleven_flash_v2_5', false, 40_000],
  ['eleven_turbo_v2_5', false, 40_000],
  ['eleven_flash_v2', false, 30_000],
  ['eleven_turbo_v2', false, 30_000],
  ['eleven_multilingual_v2', false, 10_000],
  ['eleven_v30', false, undefined],
] as const) {
  test(`${modelId} speaks on the ${dialogue ? 'dialogue' : 'stream-input'} socket, with ${charactersMax} characters`, async (t) => {
    const config = { ...subject.config, modelId };
    t.is(elevenLabsAdapter.capabilities(config).charactersMax, charactersMax);
    const wire = httpAnswers((response) => response.writeHead(403).end());
    const stage = await makeStage({ ...subject, config, wire: () => wire }, {});
    await outcomeOf(stage, ['Hi.']);
    t.is(/^\/v1\/text-to-dialogue\/stream-input\?/.test(wire.log.requests[0]!.path), dialogue);
    await stage.finish();
  });
}

for (const [url, address] of [
  ['ws://127.0.0.1:7000/v1/text-to-speech/', '/v1/text-to-dialogue/stream-input'],
  ['ws://127.0.0.1:7000/proxy/v1/text-to-dialogue', '/proxy/v1/text-to-dialogue/stream-input'],
  ['ws://127.0.0.1:7000/eleven', '/eleven/stream-input'],
] as const) {
  test(`the address follows from the configured one: ${url}`, async (t) => {
    const wire = httpAnswers((response) => response.writeHead(403).end());
    const config = { ...subject.config, url };
    const stage = await makeStage({ ...subject, config, wire: () => wire }, {});
    await outcomeOf(stage, ['Hi.']);
    const { path, headers } = wire.log.requests[0]!;
    t.is(path.split('?')[0], address);
    t.is(headers.host, '127.0.0.1:7000');
    await stage.finish();
  });
}

// Section 6.2: only flash and turbo v2.5 take a language; what is unknown is asked for.
for (const [model_id, sent] of [
  ['eleven_flash_v2_5', true],
  ['eleven_turbo_v2_5', true],
  ['something_new', true],
  ['eleven_flash_v2', false],
  ['eleven_multilingual_v2', false],
  ['eleven_v3', false],
  ['eleven_v4_turbo', false],
] as const) {
  test(`the language is ${sent ? 'sent to' : 'kept from'} ${model_id}`, async (t) => {
    const table = { platform: 'elevenlabs', token: 'k', voice: 'v', model_id, language_code: 'de' };
    const { config, warnings } = readTtsConfig(table);
    t.deepEqual(
      warnings.map(({ code, message }) => [code, message]),
      sent
        ? []
        : [
            [
              'CONFIG_NO_EFFECT',
              `tts.language_code is not sent: ${model_id} takes no language and would refuse it`,
            ],
          ],
    );
    const wire = httpAnswers((response) => response.writeHead(403).end());
    const stage = await makeStage(
      { ...subject, config: config as ElevenLabsConfig, wire: () => wire },
      {},
    );
    await outcomeOf(stage, ['Hallo.']);
    t.is(wire.log.requests[0]!.path.includes('language_code=de'), sent);
    await stage.finish();
  });
}

test('the end of a turn is no end of the answer', async (t) => {
  const stage = await answering(({ flush, close_socket }, socket) => {
    if (flush) {
      send(socket, { audio: base64([1, 2]) });
      send(socket, { is_final_audio_for_turn: true });
    }
    if (!close_socket) return;
    send(socket, { audio: base64([3]) });
    send(socket, { is_final_audio_for_turn: true });
    send(socket, { is_final: true });
    socket.close(1000);
  });
  const text = (async function* () {
    yield 'One. ';
    await stage.clock.sleep(400_000);
    yield 'Two.';
  })();
  const events = await stage.clock.run(collect(stage.session.speak(text, never())));
  t.deepEqual(samplesOf(events), [1, 2, 1, 2, 3]);
  t.is(events.at(-1)!.type, 'end');
  await stage.finish();
});

test('character times in snake case become positions in the whole answer', async (t) => {
  const message = (chars: string[], starts: number[], samples: number): unknown => ({
    audio: base64(new Array(samples).fill(1)),
    alignment: { chars, char_start_times_ms: starts, char_durations_ms: starts.map(() => 50) },
  });
  const stage = await answering(({ flush, close_socket }, socket) => {
    if (flush) {
      send(socket, message(['H', 'i'], [0, 70], 1_600));
      send(socket, message(['!'], [10], 160));
      send(socket, { audio: base64([1]), alignment: [{ chars: ['x'] }] });
    }
    if (close_socket) send(socket, { is_final: true });
  });
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi!'), never())));
  t.deepEqual(
    events.flatMap((event) => (event.type === 'mark' ? [event.startSamples] : [])),
    [[0, 1_120], [1_760]],
  );
  t.is(audioOf(events).length, 3, 'audio with a list for an alignment is audio all the same');
  await stage.finish();
});

test('a pause of the text is bridged against the 20 s after which the service closes', async (t) => {
  const stage = await makeStage(subject, { samplesPerCharacter: 10 });
  const text = (async function* () {
    yield 'One. ';
    await stage.clock.sleep(50_000_000);
    yield 'Two.';
  })();
  const events = await stage.clock.run(collect(stage.session.speak(text, never())));
  t.is(stage.wire.log.received.filter((line) => line === '{"keep_alive":true}').length, 3);
  t.is(stage.wire.log.received.at(-1), '{"close_socket":true}');
  t.is(events.at(-1)!.type, 'end');
  await stage.finish();
});

test('nothing follows the end of the text, however long the service speaks', async (t) => {
  const stage = await answering(({ close_socket }, socket) => {
    if (!close_socket) return;
    for (let i = 1; i <= 6; i++) {
      stage.clock.after(i * 10_000_000, () => send(socket, { audio: base64([i]) }));
    }
    stage.clock.after(60_000_000, () => send(socket, { is_final: true }));
  });
  const events = await stage.clock.run(
    collect(stage.session.speak(said('One. ', 'Two.'), never())),
  );
  t.deepEqual(samplesOf(events), [1, 2, 3, 4, 5, 6]);
  const kinds = stage.wire.log.received.map((line) => Object.keys(JSON.parse(line))[0]);
  t.deepEqual(kinds, ['voices', 'inputs', 'flush', 'inputs', 'flush', 'close_socket']);
  await stage.finish();
});

test('an error message is classified, with what the service says', async (t) => {
  for (const [error, kind] of [
    ['input_timeout_exceeded', 'timeout'],
    ['quota_exceeded', 'quota'],
    ['voice_not_found', 'bad-voice'],
    ['unsupported_model', 'bad-request'],
    ['unheard_of', 'bad-request'],
  ] as const) {
    const stage = await answering(({ flush }, socket) => {
      if (!flush) return;
      send(socket, { audio: base64([1]) });
      send(socket, { message: `About ${error}.`, error, code: 1008, param: 'voices' });
      socket.close(1008);
    });
    const failed = (await outcomeOf(stage, ['Hi.'])).error;
    t.like(failed, { kind, providerCode: error, status: 1008, deliveredSamples: 1 });
    t.true(failed.message.includes(`About ${error}.`));
    await stage.finish();
  }
});

test('a close behind the end of the turn but before the final message is truncated', async (t) => {
  const stage = await answering(({ flush, close_socket }, socket) => {
    if (flush) send(socket, { audio: base64([1]) });
    if (!close_socket) return;
    send(socket, { is_final_audio_for_turn: true });
    socket.close(1000);
  });
  const { error } = await outcomeOf(stage, ['Hi.']);
  t.like(error, { kind: 'truncated', status: 1000, deliveredSamples: 1 });
  t.regex(error.message, /is_final was missing/);
  await stage.finish();
});

test('an answer above the characters of the model is too long', async (t) => {
  const stage = await makeStage(subject, {});
  const { error } = await outcomeOf(stage, ['One. ', 'x'.repeat(3_000)]);
  t.is(error.kind, 'too-long');
  t.deepEqual(
    stage.observed.map(({ data }) => Object.keys(JSON.parse(Buffer.from(data).toString()))),
    [['voices'], ['inputs'], ['flush']],
    'the second piece stays here',
  );
  await stage.finish();
});
