import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { createRandom } from '../random/random.ts';
import { createAdapterServer } from '../server/adapter-server.ts';
import { plantedSpeech, tone } from '../server/planted-speech.contract.ts';
import { scriptedRecognizer } from '../server/recognizer.ts';
import { scriptedReply } from '../server/reply-source.ts';
import { opus, voiceDetection } from '../server/server-laboratory.contract.ts';
import { encodeWav } from '../trace/wav-file.ts';
import { speechLike } from '../voice-detection/speech-like.contract.ts';
import type { CaseResult } from './conformance-case.ts';
import { serverLimitDefaults } from './server-stage.ts';
import { runServerSuite, serverCases } from './server-suite.ts';

test('our own server conforms in every case', async (t) => {
  const clock = new SimulatedClock();
  const network = new MemoryNetwork(clock, createRandom(1));
  const server = createAdapterServer({
    clock,
    opus,
    voiceDetection,
    speech: plantedSpeech(clock, (text) => ({
      samples: tone(300 + text.length, 16_000 + 700 * text.length),
      firstByteMs: 200,
      chunkSamples: 4000,
      chunkEveryMs: 20,
    })),
    platform: 'planted',
    recognizer: scriptedRecognizer(() => 'How far is it?', { clock, durationMs: 300 }),
    replies: scriptedReply(
      () => ({
        text: 'It is far. Very far, indeed, much farther than anybody would walk on one afternoon.',
        firstTokenMs: 350,
        tokensPerSecond: 50,
      }),
      { clock },
    ),
    hello: encodeWav(tone(500, 5000)),
    observe: () => {},
  });
  await network.listen({ host: 'server', port: 80 }, (stream) => server.accept(stream));
  const results: CaseResult[] = await clock.run(
    runServerSuite(
      {
        clock,
        dialer: network,
        random: createRandom(1, 'conformance'),
        address: { host: 'server', port: 80, basePath: '/ws/', authority: 'server' },
        limits: serverLimitDefaults,
        speech: speechLike(2),
        text: 'How far is it?',
        createDecoder: () => opus.createDecoder(),
      },
      { cases: serverCases, signal: new AbortController().signal },
    ),
  );
  await server.close();
  const failed = results.filter(({ status }) => status !== 'pass');
  t.log(`${results.length} cases, ${clock.nowUs() / 1e6} s`);
  t.deepEqual(
    failed.map(({ id, status, detail }) => `${id}: ${status}: ${detail}`),
    [],
  );
});
