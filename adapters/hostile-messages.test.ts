import { decode, encode } from '@msgpack/msgpack';
import test from 'ava';
import { type HostileDialect, hostileMessages } from './hostile-messages.contract.ts';
import { cosyVoiceAdapter } from './platforms/cosyvoice.ts';
import { elevenLabsAdapter } from './platforms/elevenlabs.ts';
import { fishAdapter } from './platforms/fish.ts';

const runs = { seed: 7, numRuns: 30 };
const among = <T>(forms: readonly T[], pick: number): T => forms[pick % forms.length]!;

/** ElevenLabs, in camel or snake case, whatever the socket (section 6.10, quirk 9). */
const elevenLabs: Pick<HostileDialect, 'audio' | 'noise' | 'final'> = {
  audio: (chunk, alignment, pick) => {
    const audio = chunk.toString('base64');
    const unpadded = pick % 4 === 0 ? audio.replace(/=+$/, '') : audio;
    if (alignment === undefined) {
      return JSON.stringify(
        among([{ audio: unpadded }, { audio: unpadded, isFinal: null, alignment: null }], pick),
      );
    }
    const { characters: chars, startsMs } = alignment;
    const times = among(
      [
        { charStartTimesMs: startsMs, charDurationsMs: startsMs },
        { charStartTimesMs: startsMs, charsDurationsMs: [] },
        { char_start_times_ms: startsMs, char_durations_ms: startsMs },
        { char_start_times_ms: startsMs },
      ],
      pick,
    );
    return JSON.stringify({ audio: unpadded, alignment: { chars, ...times } });
  },
  noise: (_id, pick) =>
    among(
      [
        '{}',
        '{"audio":null}',
        '{"audio":""}',
        '{"audio":"","isFinal":null,"alignment":null,"normalizedAlignment":null}',
        '{"isFinal":false,"is_final":null}',
        '{"is_final_audio_for_turn":true}',
        '{"type":"flush_done"}',
        '{"error":null,"code":null}',
        '{"alignment":{}}',
        '{"alignment":[{"chars":["x"],"charStartTimesMs":[0]}]}',
        '{"normalizedAlignment":{"chars":["x"],"charStartTimesMs":[0]}}',
        '{"something":{"audio":"AAAA","isFinal":true}}',
      ],
      pick,
    ),
  final: (_id, pick) =>
    among(
      [
        '{"isFinal":true}',
        '{"is_final":true}',
        '{"audio":null,"isFinal":true,"alignment":null,"normalizedAlignment":null}',
        '{"audio":"","is_final":true}',
      ],
      pick,
    ),
};

const token = 'sk_secret';
const voice = 'v';

hostileMessages(
  test,
  {
    name: 'elevenlabs stream-input',
    adapter: elevenLabsAdapter,
    config: {
      url: 'wss://api.elevenlabs.io/v1/text-to-speech',
      token,
      voice,
      modelId: 'eleven_flash_v2_5',
    },
    dialect: {
      ...elevenLabs,
      meaning: (message) => {
        const { text } = message as { text: string };
        return text === '' ? 'end' : 'text';
      },
    },
    marks: true,
    staysOpen: false,
  },
  runs,
);

hostileMessages(
  test,
  {
    name: 'elevenlabs dialogue',
    adapter: elevenLabsAdapter,
    config: {
      url: 'wss://api.elevenlabs.io/v1/text-to-speech',
      token,
      voice,
      modelId: 'eleven_v4',
    },
    dialect: {
      ...elevenLabs,
      meaning: (message) => {
        const { voices, flush, close_socket } = message as Record<string, unknown>;
        return voices ? 'open' : flush ? 'text' : close_socket ? 'end' : 'other';
      },
    },
    marks: true,
    staysOpen: false,
  },
  runs,
);

const event = (task_id: string | undefined, name: string): string =>
  JSON.stringify({ header: { task_id, event: name }, payload: {} });

hostileMessages(
  test,
  {
    name: 'cosyvoice',
    adapter: cosyVoiceAdapter,
    config: {
      url: 'wss://dashscope.aliyuncs.com/api-ws/v1/inference',
      token,
      model: 'cosyvoice-v2',
      speaker: 'longwan_v2',
    },
    dialect: {
      meaning: (message) => {
        const { action } = (message as { header: { action: string } }).header;
        return among(
          ['open', 'text', 'end'] as const,
          ['run-task', 'continue-task', 'finish-task'].indexOf(action),
        );
      },
      idOf: (message) => (message as { header: { task_id: string } }).header.task_id,
      opened: (id) => event(id, 'task-started'),
      audio: (chunk) => chunk,
      noise: (id, pick) =>
        among(
          [
            event(id, 'result-generated'),
            event(undefined, 'result-generated'),
            event(id, 'something-new'),
            event('another', 'task-finished'),
            event('another', 'task-failed'),
            '{"header":{}}',
            `{"header":{"task_id":"${id}","event":"result-generated"},"payload":{"output":{"audio":"AAAA"},"usage":{"characters":3}}}`,
            new Uint8Array(0),
          ],
          pick,
        ),
      final: (id) => event(id, 'task-finished'),
    },
    marks: false,
    staysOpen: true,
  },
  runs,
);

for (const staysOpen of [true, false]) {
  hostileMessages(
    test,
    {
      name: `fish live that ${staysOpen ? 'stays open' : 'closes'}`,
      adapter: fishAdapter,
      config: {
        url: 'https://api.fish.audio/v1/tts',
        apiKey: token,
        speaker: voice,
        model: 's1',
        stream: 'live',
      },
      decode: (data) => JSON.stringify(decode(data)),
      dialect: {
        meaning: (message) => {
          const { event } = message as { event: string };
          return among(
            ['open', 'other', 'text', 'end'] as const,
            ['start', 'text', 'flush', 'stop'].indexOf(event),
          );
        },
        audio: (audio, _alignment, pick) =>
          encode(
            among(
              [
                { event: 'audio', audio },
                { event: 'audio', audio, time: 12.5 },
                { audio, event: 'audio', more: { audio: 'no' } },
              ],
              pick,
            ),
          ),
        noise: (_id, pick) =>
          encode(
            among(
              [
                {},
                { event: 'log', message: 'warm' },
                { event: 'something_new', audio: new Uint8Array(4) },
                { event: 'audio' },
                { event: 'audio', audio: null },
                { event: 'audio', audio: '' },
                { event: 'audio', audio: new Uint8Array(0), time: 3 },
                { event: 7 },
              ],
              pick,
            ),
          ),
        final: (_id, pick) =>
          encode(
            among(
              [
                { event: 'finish', reason: 'stop' },
                { event: 'finish', time: 9, reason: 'stop' },
              ],
              pick,
            ),
          ),
      },
      marks: false,
      staysOpen,
    },
    runs,
  );
}
