import test from 'ava';
import { installed, testWithFfmpeg } from '../audio-files/installed-ffmpeg.contract.ts';
import { ClipEncoder } from './clip-encoder.ts';
import { base64AudioOf, converse, exactProfile, laboratory, sharedVoice } from './test-client.ts';

const voiceId = 'YOUR-VOICE-ID';
const text = 'The moon has no air, and nobody lives there.';
const profile = exactProfile();

/** Every way to ask for speech gives the bytes of `format`; no format: the default of the API. */
async function speakEverywhere(format?: string): Promise<Record<string, Buffer>> {
  const query = format === undefined ? '' : `&output_format=${format}`;
  const lab = () => laboratory('elevenlabs', { encoder: new ClipEncoder(), profile });
  const speech = `/v1/text-to-speech/${voiceId}`;
  const http = await lab();
  const answer = await http.clock.run(
    http.post(`${speech}/stream?x=1${query}`, { text }, { headers: { 'xi-api-key': 'k' } }),
  );
  const input = `${speech}/stream-input?model_id=eleven_flash_v2_5${query}`;
  const stream = await converse(await lab(), input, [
    [0, { text, flush: true }],
    [1, { text: '' }],
  ]);
  const multi = await converse(await lab(), input.replace('stream-input', 'multi-stream-input'), [
    [0, { text, context_id: 'c' }],
    [1, { close_socket: true }],
  ]);
  const path = `/v1/text-to-dialogue/stream-input?model_id=eleven_v4${query}`;
  const first = { voices: [voiceId], inputs: [{ text, voice_id: voiceId }] };
  const dialogue = await converse(await lab(), path, [[0, { ...first, close_socket: true }]]);
  return {
    http: answer.body,
    'stream-input': base64AudioOf(stream),
    'multi-stream-input': base64AudioOf(multi),
    dialogue: base64AudioOf(dialogue),
  };
}

/** Seconds of sound in encoded audio, by ffmpeg. */
function secondsOf(bytes: Buffer, input: readonly string[] = []): number {
  const decode = [...input, '-i', 'pipe:0', '-f', 's16le', '-ac', '1', '-ar', '16000', 'pipe:1'];
  return installed!.run(decode, bytes).length / 32_000;
}

const compressed = [
  [undefined, 128],
  ['mp3_44100', 128],
  ['mp3_44100_128', 128],
  ['mp3_22050_32', 32],
  ['mp3_44100_64', 64],
  ['opus_48000_64', 64],
] as const;
for (const [format, kbps] of compressed) {
  testWithFfmpeg(`${format ?? 'no format: mp3_44100_128'} on every face`, async (t) => {
    const spoken = (await sharedVoice()).speak(text, voiceId).samples.length / 16_000;
    for (const [face, bytes] of Object.entries(await speakEverywhere(format))) {
      const seconds = secondsOf(bytes);
      // A codec adds silence around a clip, and on the dialogue socket the text is two clips.
      t.true(seconds > spoken * 0.97 && seconds < spoken + 0.5, `${face}: ${seconds} of ${spoken}`);
      const rate = (bytes.length * 8) / seconds / 1000;
      t.true(Math.abs(rate / kbps - 1) < 0.2, `${face}: ${rate} kb/s`);
    }
  });
}

for (const [format, demuxer] of [
  ['ulaw_8000', 'mulaw'],
  ['alaw_8000', 'alaw'],
] as const) {
  testWithFfmpeg(`${format} on every face, one byte a sample`, async (t) => {
    const voice = await sharedVoice();
    const { samples } = voice.speakAt(text, voiceId, 8000);
    for (const [face, bytes] of Object.entries(await speakEverywhere(format))) {
      t.is(bytes.length, samples.length, face);
      const input = ['-f', demuxer, '-ar', '8000', '-ac', '1'];
      const output = ['-f', 's16le', 'pipe:1'];
      const decoded = installed!.run([...input, '-i', 'pipe:0', ...output], bytes);
      const errors = samples.map((sample, i) => sample - decoded.readInt16LE(2 * i));
      const rms = (values: Int16Array) =>
        Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
      t.true(rms(errors) < rms(samples) / 50, `${face}: ${rms(errors)}`);
    }
  });
}

testWithFfmpeg(
  'encoded audio arrives when its sound would, and the times of its text hold',
  async (t) => {
    const path = (format: string) =>
      `/v1/text-to-speech/${voiceId}/stream/with-timestamps?output_format=${format}`;
    const course = async (format: string) => {
      const lab = await laboratory('elevenlabs', { encoder: new ClipEncoder(), profile });
      const headers = { 'xi-api-key': 'k' };
      const answer = await lab.clock.run(lab.post(path(format), { text }, { headers }));
      const lines = answer.body.toString().trimEnd().split('\n');
      return {
        instants: answer.chunks.map(({ atUs }) => atUs),
        said: lines.map((line) => (JSON.parse(line).alignment?.characters ?? []).join('')),
        seconds: lab.standIn.log[0]!.audioSeconds,
      };
    };
    const pcm = await course('pcm_44100');
    const mp3 = await course('mp3_44100_128');
    t.deepEqual(mp3.instants, pcm.instants);
    t.is(mp3.said.join(''), text);
    t.is(mp3.said.length, pcm.said.length);
    t.true(Math.abs(mp3.seconds - pcm.seconds) < 1e-9);
  },
);

test('without an encoder a handshake names the formats that are left', async (t) => {
  const lab = await laboratory('elevenlabs');
  const path = `/v1/text-to-speech/${voiceId}/stream-input?model_id=eleven_flash_v2_5`;
  const { refused } = await converse(lab, path, []);
  const { message } = (refused!.body as { detail: { message: string } }).detail;
  t.regex(message, /mp3_44100_128 \(the default of the API\)/);
  t.regex(message, /pcm_8000, pcm_16000, pcm_22050, pcm_24000, pcm_44100\.$/);
});
