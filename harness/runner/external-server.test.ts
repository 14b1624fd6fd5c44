/** Our own server in the part of one that is not ours: on a port, with nobody listening to its reports. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { SocketNetwork } from '../network/socket-network.ts';
import { createRandom } from '../random/random.ts';
import { buildRunReport } from '../report/run-report.ts';
import { renderTerminalReport } from '../report/terminal-report.ts';
import { loadScenario } from '../scenario/load.ts';
import { planRun } from '../scenario/plan.ts';
import { createAdapterServer } from '../server/adapter-server.ts';
import { plantedSpeech, tone } from '../server/planted-speech.contract.ts';
import { scriptedRecognizer } from '../server/recognizer.ts';
import { scriptedReply } from '../server/reply-source.ts';
import { checkReportFormat } from '../trace/format-check.contract.ts';
import { openLaboratory } from './laboratory.ts';
import { type CellResult, runPlan } from './run-plan.ts';
import { ownCacheFolder } from './test-cache.contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'echokit-external-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const catalog = {
  metrics: metricCatalog,
  providers: [],
  devices: ['diy'],
  networks: ['ideal'],
  quirks: [],
};

const toml = `title = "Elsewhere"
[matrix]
networks = ["ideal"]
[[turn]]
say = "Hello."
reply = "whatever it says"
[expect]
"turns.ok" = "== 1"
"requests.count" = "== 99"
"ttfb_ms.p50" = "<= 1"
`;

async function play(
  serverUrl: string,
  out = mkdtempSync(join(folder, 'run-')),
): Promise<CellResult> {
  const laboratory = await openLaboratory(await ownCacheFolder());
  const scenario = loadScenario(toml, 'elsewhere.toml', catalog);
  const plan = planRun([scenario], { seed: 1, time: 'real', external: true, catalog });
  const results = await runPlan({
    plan,
    providers: new Map(),
    external: { serverUrl },
    laboratory,
    folder: out,
    signal: new AbortController().signal,
    environment: {},
  });
  return results[0]!;
}

test.serial('a conversation with a server that is not ours is measured at the board', async (t) => {
  const { opus, voiceDetection } = await openLaboratory(await ownCacheFolder());
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
  const listener = await network.listen({ host: '127.0.0.1', port: 0 }, (stream) =>
    server.accept(stream),
  );
  try {
    const result = await play(`ws://127.0.0.1:${listener.endpoint.port}/ws/`);
    const { measurement, verdict, cell } = result;
    t.is(verdict.outcome, 'pass', JSON.stringify(verdict));
    t.deepEqual(
      verdict.expectations.map(({ expectation, outcome }) => `${expectation.metric} ${outcome}`),
      ['turns.ok pass', 'requests.count unknown', 'ttfb_ms.p50 unknown'],
    );
    t.is(cell.provider, 'external');
    const [turn] = measurement.turns;
    const { playStart, leadSilence, ...others } = turn!.spans;
    t.true(playStart !== null && leadSilence !== null);
    t.deepEqual([...new Set(Object.values(others))], [null]);
    t.true(turn!.audibleAtSpeakerUs! > 500_000);
    t.is(measurement.metrics['requests.count'], null);
    t.is(measurement.metrics['chunks.n'], null);
    t.true((measurement.metrics['audio_seconds.played'] as number) > 0.4);

    const report = checkReportFormat(
      buildRunReport({
        cells: [result],
        notRun: [],
        run: { id: 'r', seed: 1, time: 'real', live: false, startedAt: '', durationMs: 1 },
        environment: {},
      }),
    );
    const text = renderTerminalReport(report, {
      color: false,
      width: 120,
      recordingsFolder: '.',
      nextSteps: [],
    });
    t.regex(text, /another server/);
    // Spans of the server's side are not there; they are not 0.
    t.regex(text, /^external( +—){8} +\d+ +\d+ +\d+ +\d+ +1$/m);
  } finally {
    await listener.close();
    await server.close();
  }
});

test.serial(
  'a server that is not there makes the cell infra, and its URL is in the manifest',
  async (t) => {
    const out = mkdtempSync(join(folder, 'run-'));
    const { verdict, measurement, recording } = await play('ws://127.0.0.1:9/ws/', out);
    t.is(verdict.outcome, 'infra');
    t.regex(measurement.end!.detail!, /127\.0\.0\.1:9/);
    const manifest = readFileSync(join(out, recording, 'manifest.toml'), 'utf8');
    t.regex(manifest, /serverUrl = "ws:\/\/127\.0\.0\.1:9\/ws\/"/);
  },
);

test('scenarios that tell a stand-in how to behave are left out', (t) => {
  const scenario = loadScenario(`${toml}[stand_in]\nfirst_byte_ms = 5\n`, 'x.toml', catalog);
  const { cells, skipped } = planRun([scenario], {
    seed: 1,
    time: 'real',
    external: true,
    catalog,
  });
  t.deepEqual(cells, []);
  t.regex(skipped[0]!.reason, /another server's provider cannot be told how to behave/);
});
