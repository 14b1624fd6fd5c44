import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { createRandom } from '../random/random.ts';
import { understood, whisperRecognizer } from './whisper-recognizer.ts';

const context = { deviceId: 'a', turn: 1 };
const samples = Int16Array.from([1, -2, 300]);

/** What a service does with the requests, one after the other; the last one for all that follow. */
type Behavior = { readonly body: string; readonly status?: number } | 'hang' | 'close';

async function recognize(behaviors: readonly Behavior[], abortUs?: number) {
  const clock = new SimulatedClock();
  const network = new MemoryNetwork(clock, createRandom(1));
  const random = createRandom(2);
  const requests: Buffer[] = [];
  await network.listen({ host: 'asr', port: 80 }, (stream) => {
    let received = Buffer.alloc(0);
    stream.on('error', () => {});
    stream.on('data', (piece: Buffer) => {
      received = Buffer.concat([received, piece]);
      if (!received.includes('--\r\n')) return;
      const behavior = behaviors[Math.min(requests.length, behaviors.length - 1)]!;
      requests.push(received);
      received = Buffer.alloc(0);
      if (behavior === 'hang') return;
      if (behavior === 'close') {
        stream.destroy();
        return;
      }
      const { body, status = 200 } = behavior;
      stream.write(
        `HTTP/1.1 ${status} X\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    });
  });
  const recognizer = whisperRecognizer(
    { url: 'http://asr/v1', apiKey: 'key', language: 'en', model: '', prompt: 'moon' },
    { clock, dialer: network, randomBytes: (count) => random.bytes(count) },
  );
  const stop = new AbortController();
  if (abortUs !== undefined) clock.after(abortUs, () => stop.abort(new Error('enough')));
  const run = async (): Promise<{ text?: string; error?: Error; endUs: number }> => {
    try {
      const text = await recognizer.recognize(samples, context, stop.signal);
      return { text, endUs: clock.nowUs() };
    } catch (error) {
      return { error: error as Error, endUs: clock.nowUs() };
    }
  };
  const outcome = await clock.run(run());
  recognizer.close();
  return { ...outcome, requests };
}

const good: Behavior = { body: '{"text":"How far is the moon?"}' };

test('the request is a form with the file first and only what is configured', async (t) => {
  const { text, requests } = await recognize([good]);
  t.is(text, 'How far is the moon?');
  const [request] = requests;
  const [head, ...parts] = request!.toString('latin1').split(/--(?:----)?echokit-[0-9a-f]{24}/);
  t.true(head!.startsWith('POST /v1 HTTP/1.1\r\nHost: asr\r\nAuthorization: Bearer key\r\n'));
  const names = [...request!.toString('latin1').matchAll(/name="(\w+)"/g)].map(([, name]) => name);
  t.deepEqual(names, ['file', 'language', 'prompt']);
  t.true(parts.length > 3);
  // Origin: a WAV header of 44 bytes for 3 samples at 16 kHz, then the samples.
  const wav = request!.subarray(request!.indexOf('RIFF'));
  t.is(
    wav.subarray(0, 50).toString('hex'),
    '524946462a00000057415645666d74201000000001000100803e0000007d00000200100064617461060000000100feff2c01',
  );
});

test('a service that hangs or breaks is asked three times for 10 s each', async (t) => {
  const hanging = await recognize(['hang']);
  t.is(hanging.requests.length, 3);
  t.is(hanging.endUs, 30_000_000);
  t.regex(hanging.error!.message, /failed 3 times: there was no answer within 10 s/);
  const second = await recognize(['hang', good]);
  t.is(second.text, 'How far is the moon?');
  t.is(second.endUs, 10_000_000);
  t.is((await recognize(['close', { body: 'no JSON' }, good])).text, 'How far is the moon?');
});

test('an error in JSON counts as nothing said, without another try', async (t) => {
  const { text, requests } = await recognize([
    { status: 401, body: '{"error":{"message":"Incorrect API key"}}' },
  ]);
  t.is(text, '');
  t.is(requests.length, 1);
});

test('an abort ends it at once', async (t) => {
  const { error, endUs, requests } = await recognize(['hang'], 12_000_000);
  t.is(error!.message, 'enough');
  t.is(endUs, 12_000_000);
  t.is(requests.length, 2);
});

test('brackets at the start of lines and what is only in parentheses do not count', (t) => {
  // Section 7.2.
  t.is(
    understood('[00:00.000 --> 00:02.000] Hello.\n[00:02.000 --> 00:03.000]   World.'),
    'Hello.\nWorld.',
  );
  t.is(understood(' Hello [sic].'), 'Hello [sic].');
  t.is(understood('(music)'), '');
  t.is(understood('[00:00] (silence)'), '');
  t.is(understood('[blank]'), '');
  t.is(understood(''), '');
});
