/** Real sockets: a stand-in in the part of the real provider, our server and board in the part of those of others. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import { deviceProfiles } from '../device/device-profile.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { RecordedProvider } from '../replay/recorded-provider.ts';
import { loadScenario } from '../scenario/load.ts';
import { planRun } from '../scenario/plan.ts';
import { createAdapterServer } from '../server/adapter-server.ts';
import { openCompatSpeech } from '../server/compat.ts';
import { plantedSpeech, tone } from '../server/planted-speech.contract.ts';
import { scriptedRecognizer } from '../server/recognizer.ts';
import { scriptedReply } from '../server/reply-source.ts';
import { createStandIn } from '../stand-ins/stand-in.ts';
import { checkRecordingFormat } from '../trace/format-check.contract.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { readWire } from '../trace/wire-traffic.ts';
import { openLaboratory } from './laboratory.ts';
import { providerEntry } from './provider-catalog.ts';
import { openRecordedAnswers } from './recorded-run.ts';
import { runPlan } from './run-plan.ts';
import { ownCacheFolder } from './test-cache.contract.ts';
import { TrafficTap } from './traffic-tap.ts';

const folder = mkdtempSync(join(tmpdir(), 'echokit-tap-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const here = { host: '127.0.0.1', port: 0 };
const secret = 'sk_key_of_the_server';

function table(port: number): Record<string, unknown> {
  const url = `ws://127.0.0.1:${port}/v1/text-to-speech/`;
  return { platform: 'elevenlabs', url, token: secret, voice: 'VOICE' };
}

test.serial(
  'between a server and its provider: all of it is recorded, and answers in its place',
  async (t) => {
    t.timeout(60_000);
    const laboratory = await openLaboratory(await ownCacheFolder());
    const clock = new SystemClock();
    const random = createRandom(1, 'tap');
    const network = new SocketNetwork({ clock, random, outside: [] });
    const { voice, encoder } = laboratory;
    const standIn = createStandIn({
      platform: 'elevenlabs',
      voice,
      encoder,
      clock,
      random,
      changes: {},
    });
    const real = await network.listen(here, (stream) => standIn.accept(stream));
    const entry = providerEntry('mine', table(real.endpoint.port));
    const path = join(folder, 'provider-tap');
    const tap = await TrafficTap.open(
      {
        folder: path,
        provider: entry,
        clock,
        network,
        laboratory,
        environment: {},
        tell: () => {},
      },
      here,
    );
    const [place] = tap.places;
    t.is(place?.of, 'tts');
    t.is(place?.instead, `ws://127.0.0.1:${real.endpoint.port}/v1/text-to-speech/`);
    const speak = async (
      port: number,
      dialer: { dial: SocketNetwork['dial'] },
    ): Promise<Int16Array[]> => {
      const session = openCompatSpeech({
        compat: new Set(),
        tts: providerEntry('mine', table(port)).tts,
        deps: { clock, dialer, randomBytes: (count) => random.bytes(count) },
        limit: (opened) => opened,
        onRetry: () => {},
      });
      const pieces: Int16Array[] = [];
      async function* text(): AsyncGenerator<string> {
        yield 'Hello.';
      }
      for await (const event of session.speak(text(), new AbortController().signal)) {
        if (event.type === 'audio') pieces.push(event.samples);
      }
      await session.close();
      return pieces;
    };
    const heard = await speak(Number(new URL(place!.url).port), network);
    t.true(heard.flatMap((samples) => [...samples]).some((sample) => Math.abs(sample) > 1000));
    await tap.close();
    await standIn.close();
    await real.close();

    checkRecordingFormat(path);
    const { steps } = readWire(path)[0]!;
    const head = steps.find((step) => step.type === 'sent')!.data!.toString();
    t.regex(head, new RegExp(`host: 127\\.0\\.0\\.1:${real.endpoint.port}\\r`, 'i'));
    for (const file of readdirSync(path, { recursive: true, withFileTypes: true })) {
      if (file.isFile())
        t.false(readFileSync(join(file.parentPath, file.name)).includes(secret), file.name);
    }
    const deviations: string[] = [];
    const recorded = new RecordedProvider({
      traffic: openRecordedAnswers(path).traffic,
      clock,
      onDeviation: ({ message }) => deviations.push(message),
    });
    t.deepEqual(await speak(real.endpoint.port, recorded), heard);
    recorded.finish();
    t.deepEqual(deviations, []);
  },
);

test.serial(
  'between a board and its server: both sides, and what the board played by its model',
  async (t) => {
    t.timeout(60_000);
    const laboratory = await openLaboratory(await ownCacheFolder());
    const { opus, voiceDetection } = laboratory;
    const clock = new SystemClock();
    const network = new SocketNetwork({ clock, random: createRandom(1), outside: [] });
    const server = createAdapterServer({
      clock,
      opus,
      voiceDetection,
      speech: plantedSpeech(clock, () => ({ samples: tone(440, 8000), firstByteMs: 50 })),
      platform: 'planted',
      recognizer: scriptedRecognizer(() => 'Hello.', { clock, durationMs: 50 }),
      replies: scriptedReply(() => ({ text: 'Hi.', firstTokenMs: 20, tokensPerSecond: 100 }), {
        clock,
      }),
      observe: () => {},
    });
    const listener = await network.listen(here, (stream) => server.accept(stream));
    const path = join(folder, 'board-tap');
    const tap = await TrafficTap.open(
      {
        folder: path,
        server: {
          url: `ws://127.0.0.1:${listener.endpoint.port}/ws/`,
          profile: deviceProfiles['diy']!,
        },
        clock,
        network,
        laboratory,
        environment: {},
        tell: () => {},
      },
      here,
    );
    const catalog = {
      metrics: metricCatalog,
      providers: [],
      devices: ['diy'],
      networks: ['ideal'],
      quirks: [],
    };
    const toml =
      'title = "Tapped"\n[matrix]\nnetworks = ["ideal"]\n[[turn]]\nsay = "Hello."\nreply = "whatever"\n';
    const out = join(folder, 'run');
    const [result] = await runPlan({
      plan: planRun([loadScenario(toml, 'tapped.toml', catalog)], {
        seed: 1,
        time: 'real',
        external: true,
        catalog,
      }),
      providers: new Map(),
      external: { serverUrl: tap.places[0]!.url },
      laboratory,
      folder: out,
      signal: new AbortController().signal,
      environment: {},
    });
    await tap.close();
    await listener.close();
    await server.close();
    t.is(result!.verdict.outcome, 'pass', JSON.stringify(result!.verdict.failures));

    checkRecordingFormat(path);
    const tapped = readRecording(path);
    const played = readRecording(join(out, result!.recording));
    const handled = (events: typeof tapped.events): string[] =>
      events.flatMap((event) => (event.type === 'frameHandled' ? [event.event] : []));
    const ofBoard = handled(played.events);
    t.true(ofBoard.includes('EndResponse'));
    t.deepEqual(handled(tapped.events).slice(0, ofBoard.length), ofBoard);
    t.true(tapped.speaker.some((sample) => Math.abs(sample) > 1000));
    t.true(tapped.user.length > 8_000);
    const wire = readWire(path, 'device');
    t.true(wire.length >= 1);
    const said = Buffer.concat(
      wire.flatMap(({ steps }) => steps.flatMap(({ data }) => data ?? [])),
    );
    t.true(said.includes('StartChat'));
    t.true(said.includes('EndResponse'));
  },
);
