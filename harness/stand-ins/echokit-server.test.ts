/**
 * The part of an EchoKit server, played over real sockets: what it sends to recognition, language
 * model and speech, and how it reads the answers (EchoKit device protocol reference, sections 7.2 to
 * 7.7; TTS provider protocol reference, sections 3.1 to 3.3). It shares no code with the adapters.
 */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import net from 'node:net';
import { encode } from '@msgpack/msgpack';
import test from 'ava';
import { WebSocket } from 'ws';
import { SystemClock } from '../clock/system-clock.ts';
import { createRandom } from '../random/random.ts';
import type { DialogueScript } from './dialogue-script.ts';
import { wavHeader } from './rendered-clip.ts';
import {
  createDialogueStandIn,
  createStandIn,
  type DialogueService,
  echoKitPersonality,
  type ServiceStandIn,
} from './stand-in.ts';
import { sharedVoice } from './test-client.ts';

const clock = new SystemClock();
const random = createRandom(1, 'echokit');
const voice = await sharedVoice();
const replyPace = { firstTokenMs: 5, tokensPerSecond: 1000 };
const script: DialogueScript = {
  recognitionMs: 5,
  turns: [
    { heard: 'How far is the moon?', reply: 'It is far away. Quite far!', replyPace },
    { heard: 'Thank you.', reply: 'You are welcome.', replyPace },
  ],
};
/** A provider in a hurry, so that the test is one, too. */
const changes = { firstByteMs: 2, speed: 10_000 };
const key = 'sk_1234';
const utterance = 'The moon is far away.';

const running: { standIn: ServiceStandIn; server: net.Server }[] = [];
test.after.always(async () => {
  for (const { standIn, server } of running) {
    await standIn.close();
    server.close();
  }
});

async function listen(
  standIn: ServiceStandIn,
): Promise<{ address: string; standIn: ServiceStandIn }> {
  const server = net.createServer((socket) => standIn.accept(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  running.push({ standIn, server });
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, standIn };
}

const platform = (name: string) => {
  const personality = echoKitPersonality(name);
  return listen(
    createStandIn({
      platform: name,
      voice,
      clock,
      random: random.fork(name),
      changes,
      ...(personality !== undefined && { personality }),
    }),
  );
};
const dialogue = (service: DialogueService) =>
  listen(createDialogueStandIn(service, { clock, random: random.fork(service), script }));

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  /** As they came, for parsers that look at each by itself. */
  readonly chunks: readonly string[];
}

function post(
  url: string,
  headers: Record<string, string>,
  body: Buffer | string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = { 'content-length': String(Buffer.byteLength(body)) };
    const request = http.request(url, { method: 'POST', headers: { ...headers, ...length } });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          body: Buffer.concat(chunks),
          chunks: chunks.map(String),
        }),
      );
    });
    request.end(body);
  });
}

const postJson = (url: string, body: object, headers: Record<string, string> = {}) =>
  post(
    url,
    { accept: '*/*', 'content-type': 'application/json', ...headers },
    JSON.stringify(body),
  );
const bearer = { authorization: `Bearer ${key}` };
const curl = { ...bearer, 'user-agent': 'curl/7.81.0' };

/** The file first, then what is configured; the file has no type of its own. */
async function recognise(address: string, samples: Int16Array): Promise<string> {
  const boundary = '3f1d7b8e6a2c4d5e-9a8b7c6d5e4f3a2b-1c2d3e4f5a6b7c8d-0a1b2c3d4e5f6a7b';
  const data = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
  const wav = Buffer.concat([wavHeader(16_000, 36 + data.length, data.length), data]);
  const field = (name: string, value: string): string =>
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const body = Buffer.concat([
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="audio.wav"\r\n\r\n`,
    ),
    wav,
    Buffer.from(
      `\r\n${field('language', 'en')}${field('model', 'whisper-1')}${field('prompt', 'The moon')}--${boundary}--\r\n`,
    ),
  ]);
  const type = { 'content-type': `multipart/form-data; boundary=${boundary}` };
  const { body: json } = await post(
    `http://${address}/v1/audio/transcriptions`,
    { ...curl, ...type },
    body,
  );
  return (JSON.parse(json.toString()) as { text?: string }).text ?? '';
}

test('recognition in rounds: the growing recording is one utterance, the next one the next turn', async (t) => {
  const { address, standIn } = await dialogue('transcription');
  const question = voice.speak('How far is the moon?', 'rms').samples;
  const thanks = voice.speak('Thank you.', 'rms').samples;
  const round = 8192;
  t.is(await recognise(address, question.subarray(0, round)), 'How far is the moon?');
  t.is(await recognise(address, question), 'How far is the moon?');
  t.is(await recognise(address, thanks), 'Thank you.');
  t.deepEqual(
    standIn.log.map(({ heardSeconds }) => heardSeconds),
    [round, question.length, thanks.length].map((samples) => samples / 16_000),
  );
});

interface ChatChunk {
  readonly choices: {
    delta: { content?: string | null; role?: string };
    finish_reason?: unknown;
  }[];
}

/**
 * EchoKit cuts every chunk of the body at `data: ` and parses the pieces; what is no JSON waits for
 * the next chunk.
 */
function chatText(chunks: readonly string[]): string {
  let text = '';
  let rest = '';
  for (const chunk of chunks) {
    const pieces = (rest + chunk).split('data: ');
    rest = '';
    for (const piece of pieces) {
      if (piece === '' || piece.startsWith('[DONE]')) continue;
      let parsed: ChatChunk | undefined;
      try {
        parsed = JSON.parse(piece.trim()) as ChatChunk;
      } catch {
        rest += piece;
      }
      text += parsed?.choices[0]?.delta.content ?? '';
    }
  }
  if (rest !== '') throw new Error(`left over: ${rest}`);
  return text;
}

test('chat: the streamed request, and an answer that the parser of EchoKit reads to its end', async (t) => {
  const { address, standIn } = await dialogue('chat');
  const history = [{ role: 'system', content: 'Answer briefly.' }];
  for (const { heard, reply } of script.turns) {
    history.push({ role: 'user', content: heard });
    const body = { stream: true, messages: history, model: 'gpt-4o-mini' };
    const { status, chunks } = await postJson(`http://${address}/v1/chat/completions`, body, curl);
    t.is(status, 200);
    t.is(chatText(chunks), reply);
    history.push({ role: 'assistant', content: reply });
  }
  t.is(standIn.log[0]!.headers['user-agent'], 'curl/7.81.0');
});

test('responses: the first request with instructions, the next with the id of the one before', async (t) => {
  const { address } = await dialogue('chat');
  let previous = '';
  for (const { heard, reply } of script.turns) {
    const place =
      previous === '' ? { instructions: 'Be brief.' } : { previous_response_id: previous };
    const body = { model: 'gpt-4.1', ...place, input: heard, stream: true };
    const { body: answer } = await postJson(`http://${address}/v1/responses`, body, curl);
    let text = '';
    for (const block of answer.toString().split('event: ').slice(1)) {
      const data = JSON.parse(block.slice(block.indexOf('data: ') + 6)) as {
        type: string;
        delta?: string;
        response?: { id: string };
      };
      if (data.type === 'response.output_text.delta') text += data.delta;
      if (data.type === 'response.completed') previous = data.response!.id;
    }
    t.is(text, reply);
    t.regex(previous, /^resp_/);
  }
});

/** Samples of a WAV as EchoKit's reader finds them: a size of 0 or 0xFFFFFFFF means the rest. */
function wavSamples(file: Buffer): { rateHz: number; samples: Int16Array } {
  if (file.toString('latin1', 0, 4) !== 'RIFF' || file.toString('latin1', 12, 16) !== 'fmt ') {
    throw new Error('no WAV');
  }
  const at = 20 + file.readUInt32LE(16);
  if (file.toString('latin1', at, at + 4) !== 'data') throw new Error('no data behind the format');
  const size = file.readUInt32LE(at + 4);
  const data = file.subarray(at + 8);
  const bytes = size === 0 || size === 0xffff_ffff ? data.length : size;
  const samples = new Int16Array(bytes >> 1);
  // Missing samples are zeros.
  for (let i = 0; i < samples.length && 2 * i + 1 < data.length; i++) {
    samples[i] = data.readInt16LE(2 * i);
  }
  return { rateHz: file.readUInt32LE(24), samples };
}

/** Speech of about the length of the utterance: 12 to 18 characters per second. */
function isSpeech(samples: Int16Array, rateHz: number): boolean {
  const seconds = samples.length / rateHz;
  const loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  return seconds > utterance.length / 18 && seconds < utterance.length / 8 && loudest > 3000;
}

for (const [name, path, model, speaker] of [
  ['openai', '/v1/audio/speech', 'gpt-4o-mini-tts', 'ash'],
  ['groq', '/openai/v1/audio/speech', 'canopylabs/orpheus-v1-english', 'hannah'],
] as const) {
  test(`${name}: a whole WAV for model, voice and input`, async (t) => {
    const { address } = await platform(name);
    const request = { model, voice: speaker, input: utterance, response_format: 'wav' };
    const { status, body } = await postJson(`http://${address}${path}`, request, bearer);
    t.is(status, 200);
    const { rateHz, samples } = wavSamples(body);
    t.is(rateHz, 24_000);
    t.true(isSpeech(samples, rateHz), `${samples.length} samples`);
  });
}

test('fish: MessagePack with all of its fields, and a WAV whose size can be believed', async (t) => {
  const { address } = await platform('fish');
  const request = {
    text: utterance,
    chunk_length: 200,
    format: 'wav',
    mp3_bitrate: 128,
    reference_id: '256e1a3007a74904a91d132d1e9bf0aa',
    normalize: true,
    latency: 'normal',
  };
  const headers = { ...bearer, 'content-type': 'application/msgpack', model: 's1' };
  const { status, body } = await post(
    `http://${address}/v1/tts`,
    headers,
    Buffer.from(encode(request)),
  );
  t.is(status, 200);
  const { rateHz, samples } = wavSamples(body);
  t.true(isSpeech(samples, rateHz), `${samples.length} samples at ${rateHz} Hz`);
});

test('gsv and stream_gsv: 16 kHz without authorization, as WAV and as raw samples', async (t) => {
  const request = { speaker: 'texan', input: utterance, sample_rate: 16_000 };
  const whole = await platform('gsv');
  const { body: wav } = await postJson(`http://${whole.address}/v1/audio/speech`, request);
  const { rateHz, samples } = wavSamples(wav);
  t.is(rateHz, 16_000);
  t.true(isSpeech(samples, rateHz));
  t.is(whole.standIn.log[0]!.headers['authorization'], undefined);
  const streamed = await platform('stream_gsv');
  const { body: raw } = await postJson(
    `http://${streamed.address}/v1/audio/stream_speech`,
    request,
  );
  const pcm = new Int16Array(raw.length >> 1);
  for (let i = 0; i < pcm.length; i++) pcm[i] = raw.readInt16LE(2 * i);
  t.true(isSpeech(pcm, 16_000));
});

test('gsv with text optimization: the sentence goes through the chat call first', async (t) => {
  const { address } = await dialogue('text-optimization');
  const messages = [
    { role: 'system', content: 'Rewrite for reading aloud.' },
    { role: 'user', content: ` ${utterance} ` },
  ];
  const url = `http://${address}/v1/chat/completions`;
  const { chunks } = await postJson(url, { stream: true, messages, model: 'm' }, curl);
  t.is(chatText(chunks), utterance);
});

test('elevenlabs: text with flush and then the end, in a socket of its own', async (t) => {
  const { address } = await platform('elevenlabs');
  const query = 'model_id=eleven_flash_v2_5&output_format=pcm_16000&language_code=en';
  const socket = new WebSocket(`ws://${address}/v1/text-to-speech/VOICE/stream-input?${query}`, {
    headers: { 'xi-api-key': key },
    perMessageDeflate: false,
  });
  const audio: Buffer[] = [];
  const finals: boolean[] = [];
  socket.on('open', () => {
    socket.send(JSON.stringify({ text: utterance, flush: true }));
    socket.send(JSON.stringify({ text: '' }));
  });
  socket.on('message', (data, binary) => {
    t.false(binary);
    const frame = JSON.parse(data.toString()) as Record<string, unknown>;
    // What its parser cannot take: an alignment without characters, an error that is no string.
    if (typeof frame['alignment'] === 'object' && frame['alignment'] !== null) {
      t.true('chars' in frame['alignment']);
    }
    if ('error' in frame) t.is(typeof frame['error'], 'string');
    if (typeof frame['audio'] === 'string') audio.push(Buffer.from(frame['audio'], 'base64'));
    finals.push(frame['isFinal'] === true);
  });
  await new Promise((resolve) => socket.once('close', resolve));
  t.is(finals.indexOf(true), finals.length - 1);
  const pcm = Buffer.concat(audio);
  const samples = Int16Array.from({ length: pcm.length >> 1 }, (_, i) => pcm.readInt16LE(2 * i));
  t.true(isSpeech(samples, 16_000));
});

test('cosyvoice: the text inside of run-task, one socket for the next task', async (t) => {
  const { address } = await platform('cosyvoice');
  const socket = new WebSocket(`ws://${address}/api-ws/v1/inference`, {
    headers: { ...bearer, 'X-DashScope-DataInspection': 'enable' },
    perMessageDeflate: false,
  });
  await new Promise((resolve) => socket.once('open', resolve));
  const speak = (taskId: string): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const audio: Buffer[] = [];
      let started = false;
      const send = (action: string, payload: object): void =>
        socket.send(
          JSON.stringify({ header: { action, task_id: taskId, streaming: 'duplex' }, payload }),
        );
      const onMessage = (data: Buffer, binary: boolean): void => {
        if (binary) {
          audio.push(Buffer.from(data));
          return;
        }
        const { header } = JSON.parse(data.toString()) as {
          header: { event: string; task_id: string };
        };
        const known = started ? ['result-generated', 'task-finished'] : ['task-started'];
        if (header.task_id !== taskId || !known.includes(header.event)) {
          reject(new Error(`EchoKit takes no ${header.event} here`));
        }
        if (header.event === 'task-started') {
          started = true;
          send('finish-task', { input: {} });
        }
        if (header.event !== 'task-finished') return;
        socket.off('message', onMessage);
        resolve(Buffer.concat(audio));
      };
      socket.on('message', onMessage);
      send('run-task', {
        task_group: 'audio',
        task: 'tts',
        function: 'SpeechSynthesizer',
        model: 'cosyvoice-v2',
        parameters: {
          text_type: 'PlainText',
          voice: 'longwan_v2',
          format: 'pcm',
          sample_rate: 16_000,
        },
        input: { text: utterance },
      });
    });
  for (const task of [
    '2bf83b9a-baeb-4fda-8d9a-000000000001',
    '2bf83b9a-baeb-4fda-8d9a-000000000002',
  ]) {
    const pcm = await speak(task);
    const samples = Int16Array.from({ length: pcm.length >> 1 }, (_, i) => pcm.readInt16LE(2 * i));
    t.true(isSpeech(samples, 16_000), task);
  }
  socket.close();
});
