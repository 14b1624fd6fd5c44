/** `run --live` and `serve --live` as processes, with servers of the test as the real services. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { RunReport } from '../report/run-report.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import {
  ScriptedService,
  type ServiceScript,
  tonePcm,
} from '../runner/scripted-service.contract.ts';
import { checkReportFormat } from '../trace/format-check.contract.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { exitCode } from './exit-code.ts';
import { recordedReport } from './recorded-report.ts';
import { scenarioCatalog } from './scenario-files.ts';
import { type Ended, ProgramStarter } from './started-program.contract.ts';

const program = new ProgramStarter();
const start = (...args: string[]) => program.start(args);
test.after.always(() => program.remove());

const canary = 'sk-canary-4711-secret';

function config(name: string, port: number, key = canary): string {
  return program.file(
    `config/${name}.toml`,
    `[tts]
platform = "openai"
url = "http://127.0.0.1:${port}/v1/audio/speech"
model = "tts-of-the-house"
api_key = "${key}"
voice = "ash"
stream = "pcm"
`,
  );
}

const turn = `[[turn]]
say = "Please go on, how far is it?"
timeout_ms = 15000
reply = "Well, well."
reply_pace = { first_token_ms = 20, tokens_per_second = 200 }
`;
const oneTurn = (title: string): string => `title = "${title}"\n${turn}`;

/** A machine that is too busy for real time misses what is said now and then: three attempts. */
async function speakLive(
  name: string,
  script: ServiceScript,
  args: (port: number) => readonly string[],
): Promise<Ended & { service: ScriptedService; out: string }> {
  for (let attempt = 1; ; attempt++) {
    const service = await ScriptedService.open(script);
    const out = join(program.folder, `${name}-${attempt}`);
    const ended = await start('run', '--live', '--out', out, ...args(service.port)).ended;
    await service.close();
    const missed = /turn-timeout|no-speech/.test(ended.stdout);
    if (!missed || attempt === 3) return { ...ended, service, out };
  }
}

/** Everything that a run has left behind, and what it has printed. */
function everythingOf(out: string, ...printed: string[]): Buffer {
  const files = readdirSync(out, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => readFileSync(join(parentPath, name)));
  return Buffer.concat([...files, ...printed.map((text) => Buffer.from(text))]);
}

test.serial('--live without a name says why and which names there are: exit code 2', async (t) => {
  const [plain, serve] = await Promise.all([
    start('run', '--live').ended,
    start('serve', '--live').ended,
  ]);
  for (const { exit, stdout, stderr } of [plain, serve]) {
    t.is(exit, exitCode.usage);
    t.is(stdout, '');
    t.regex(stderr, /costs money.*Name them with --provider or --config/s);
    t.regex(stderr, /providers: openai, .*elevenlabs/);
  }
});

test.serial('what makes no sense with or without --live is a usage error', async (t) => {
  const own = config('own', 9);
  const [virtual, limit, standIn, key] = await Promise.all([
    start('run', '--live', '--config', own, '--time', 'virtual').ended,
    start('run', '--max-characters', '100').ended,
    start(
      'run',
      '--live',
      '--config',
      program.file('stand-in.toml', '[tts]\nplatform = "openai"\napi_key = "sk_stand_in"\n'),
    ).ended,
    program.start(['run', '--live', '--provider', 'groq'], { GROQ_API_KEY: '' }).ended,
  ]);
  t.regex(virtual.stderr, /--live and --time virtual exclude each other/);
  t.regex(limit.stderr, /--max-characters limits what is asked of real services/);
  t.regex(standIn.stderr, /only a stand-in knows.*api\.openai\.com:443.*LIVE_STAND_IN_VALUE/s);
  t.regex(key.stderr, /GROQ_API_KEY.*CONFIG_MISSING_KEY/s);
  for (const { exit, stderr } of [virtual, limit, standIn, key]) t.is(exit, exitCode.usage, stderr);
});

test.serial(
  'when the limit is reached the run stops, keeps what it has and names the rest',
  async (t) => {
    const files = ['a', 'b', 'c', 'd'].map((name) =>
      program.file(`limit/${name}.toml`, oneTurn(`Scenario ${name}`)),
    );
    const slow = program.file('limit/slow.toml', `${oneTurn('Slow')}[stand_in]\nspeed = 0.5\n`);
    const { exit, stdout, stderr, service, out } = await speakLive(
      'limit-out',
      {
        // Refuses the second request in words that hold the key.
        answer: ({ ordinal }) =>
          ordinal === 1
            ? { headers: { 'x-request-id': canary }, body: [tonePcm(24_000, 0.4)] }
            : {
                status: 500,
                body: [`the key ${canary.slice(0, 9)}`, `${canary.slice(9)} is cursed`],
              },
      },
      (port) => [...files, slow, '--config', config('limit', port), '--max-requests', '2'],
    );

    t.is(service.requests.length, 2, 'nothing was sent beyond the limit');
    t.is(exit, exitCode.expectationFailed, 'the refused turn is a failure of its own');
    t.regex(stderr, /^LIVE: text is sent to real services, which may cost money\.$/m);
    t.regex(stderr, /openai +127\.0\.0\.1:\d+ +4 requests, 44 characters$/m);
    t.regex(stderr, /limit: 2 requests, 2000 characters/);
    t.regex(stderr, /would take 4 requests, 44 characters: the run stops/);
    t.regex(stderr, /^Skipped: .*slow\.toml says in \[stand_in\]/m);
    t.regex(
      stdout,
      /^LIVE: openai at 127\.0\.0\.1:\d+; 2 of 2 requests and 22 of 2000 characters used$/m,
    );
    t.regex(stdout, /Not run: 2 cells\n {2}slow × openai: .*\n(?: .*\n)* {2}d × openai: the limit/);

    const [run] = readdirSync(out);
    const report = JSON.parse(readFileSync(join(out, run!, 'report.json'), 'utf8')) as RunReport;
    t.true(report.run.live);
    t.deepEqual(report.run.budget, {
      maxRequests: 2,
      maxCharacters: 2000,
      requests: 2,
      characters: 22,
    });
    t.deepEqual(
      report.cells.map(({ scenario, verdict, host }) => [scenario, verdict, host]),
      ['pass', 'fail', 'infra'].map((verdict, i) => [
        'abc'[i],
        verdict,
        `127.0.0.1:${service.port}`,
      ]),
    );
    t.deepEqual(
      report.notRun.map(({ scenario }) => scenario),
      ['slow', 'd'],
    );
    for (const { recording } of report.cells) {
      const recorded = readRecording(join(out, run!, recording));
      t.false(recorded.partial);
      t.is(recorded.header.live, `127.0.0.1:${service.port}`);
    }
    t.false(everythingOf(out, stdout, stderr).includes(canary));
  },
);

test.serial(
  'what could not be judged is held again with the same inputs, and every try is kept and shown',
  async (t) => {
    const file = program.file('busy.toml', oneTurn('Busy at first'));
    const busy: ServiceScript = {
      answer: ({ ordinal }) =>
        ordinal === 1
          ? { status: 429, body: [`slow down, ${canary}`] }
          : { body: [tonePcm(24_000, 0.4)] },
    };
    const args = (port: number) => [file, '--config', config('busy', port), '--no-html'];
    const again = await speakLive('busy-out', busy, args);
    t.is(again.exit, exitCode.passed, again.stderr);
    t.is(again.service.requests.length, 2);
    t.regex(again.stderr, /busy × openai: could not be judged \(rate-limit\); try 2 with the same/);
    t.regex(again.stderr, /busy × openai: pass in try 2 \(/);
    t.regex(again.stdout, /^Run \S+: 1 passed, 1 flaky — 1 cell/m);
    t.regex(again.stdout, /^Flaky\n {2}busy · openai .*: passed in try 2; 1 that could not be/m);

    const run = join(again.out, readdirSync(again.out)[0]!);
    const report = checkReportFormat(
      JSON.parse(readFileSync(join(run, 'report.json'), 'utf8')) as RunReport,
    );
    const [cell] = report.cells;
    t.is(cell!.verdict, 'pass');
    t.deepEqual(cell!.flaky, { kind: 'retried', passed: 1, failed: 0, infra: 1 });
    const [first, ...others] = cell!.earlierTries!;
    t.deepEqual(others, []);
    t.deepEqual(
      first!.failures.map(({ class: kind, code }) => `${kind} ${code}`),
      ['infra rate-limit'],
    );
    t.is(first!.recording, `${cell!.recording}--try-1`);
    const [before, after] = [first!.recording, cell!.recording].map(
      (recording) => readRecording(join(run, recording)).header,
    );
    t.deepEqual(before, after, 'the same seed, and everything else');

    // The files alone tell the same.
    const catalog = scenarioCatalog(builtInProviders.map(({ name }) => name));
    const read = recordedReport(run, catalog).report.cells;
    t.is(read.length, 1);
    t.deepEqual(read[0]!.earlierTries, cell!.earlierTries);
    t.deepEqual(read[0]!.flaky, cell!.flaky);
    t.false(everythingOf(again.out, again.stdout, again.stderr).includes(canary));

    const once = await speakLive('busy-once', busy, (port) => [...args(port), '--retries', '0']);
    t.is(once.exit, exitCode.environment);
    t.is(once.service.requests.length, 1);
  },
);

test.serial('a run that only its limit has stopped ends with exit code 4', async (t) => {
  const file = program.file('two.toml', `title = "Two"\n${turn}${turn}`);
  const { exit, stdout, stderr, service } = await speakLive(
    'two-out',
    { answer: () => ({ body: [tonePcm(24_000, 0.4)] }) },
    (port) => [file, '--config', config('two', port), '--max-characters', '15', '--json'],
  );
  t.is(exit, exitCode.environment, stderr);
  t.is(service.requests.length, 1);
  const { cells, notRun } = checkReportFormat(JSON.parse(stdout) as RunReport);
  t.is(cells[0]!.verdict, 'infra');
  t.regex(JSON.stringify(cells[0]!.failures), /budget is used up/);
  t.is(cells[0]!.turns[0]!.verdict, 'ok', 'what was spoken before is kept');
  t.deepEqual(notRun, []);
});

test.serial(
  'scenarios that only a stand-in can play leave nothing to run: exit code 5',
  async (t) => {
    const slow = program.file('only/slow.toml', `${oneTurn('Slow')}[stand_in]\nspeed = 0.5\n`);
    const args = ['--live', '--config', config('only', 9)];
    const [run, serve] = await Promise.all([
      start('run', slow, ...args).ended,
      start('serve', ...args, '--scenario', slow).ended,
    ]);
    t.is(run.exit, exitCode.nothingMatched);
    t.regex(run.stderr, /No scenario is left to run live: .*slow\.toml/);
    t.is(serve.exit, exitCode.usage);
    t.regex(serve.stderr, /slow\.toml says in \[stand_in\]/);
  },
);

test.serial('serve --live keeps to the same limit, and tells when it is reached', async (t) => {
  const service = await ScriptedService.open({
    answer: () => ({ headers: { 'x-request-id': canary }, body: [tonePcm(24_000, 0.4)] }),
  });
  const scenario = program.file('served.toml', oneTurn('Served'));
  const args = ['--config', config('served-config', service.port), '--scenario', scenario];
  const server = start('serve', '--live', '--port', '0', '--max-requests', '1', ...args);
  const [url] = await server.printed(/^ws:\/\/127\.0\.0\.1:\d+\/ws\/$/m);
  const said = ['--say', 'Hello.', '--say', 'And now?'];
  const device = await start('device', url, ...said, '--timeout', '20').ended;
  server.child.kill('SIGINT');
  const { exit, stderr } = await server.ended;
  await service.close();
  t.is(exit, exitCode.interrupted);
  t.is(service.requests.length, 1, device.stderr);
  t.regex(stderr, /^ {2}openai +127\.0\.0\.1:\d+\n {2}limit: 1 request, 2000 characters/m);
  t.regex(stderr, /Speaking with the real openai/);
  t.regex(stderr, /turn 1 +spoken/);
  t.regex(stderr, /failed: budget: The budget is used up/);
  t.false(stderr.includes(canary));
});

test.serial('serve --live asks [asr] and [llm] of the configuration', async (t) => {
  const service = await ScriptedService.open({
    answer: (request) => {
      if (request.url === '/v1/audio/transcriptions') {
        return {
          headers: { 'content-type': 'application/json' },
          body: ['{"text":"What is new?"}'],
        };
      }
      if (request.url === '/v1/chat/completions') {
        const content = JSON.stringify({ choices: [{ delta: { content: 'Nothing much.' } }] });
        return {
          headers: { 'content-type': 'text/event-stream' },
          body: [`data: ${content}\n\n`],
        };
      }
      return { body: [tonePcm(24_000, 0.4)] };
    },
  });
  const base = `http://127.0.0.1:${service.port}/v1`;
  const file = program.file(
    'config/all.toml',
    `addr = "127.0.0.1:0"
[tts]
platform = "openai"
url = "${base}/audio/speech"
model = "m"
api_key = "${canary}"
voice = "ash"
stream = "pcm"
[asr]
platform = "whisper"
url = "${base}/audio/transcriptions"
api_key = "${canary}-asr"
[llm]
platform = "openai_chat"
url = "${base}/chat/completions"
api_key = "${canary}-llm"
history = 5
sys_prompts = [{ role = "system", content = "Be short." }]
extra = { temperature = 0.5 }
`,
  );
  const server = start('serve', '--live', '--config', file, '--max-requests', '8');
  const [address] = await server.printed(/^ws:\/\/127\.0\.0\.1:\d+\/ws\/$/m);
  const device = await start('device', address, '--say', 'Well, what is new?', '--timeout', '20')
    .ended;
  server.child.kill('SIGINT');
  const { stderr } = await server.ended;
  await service.close();
  const paths = new Set(service.requests.map(({ url: path }) => path));
  t.deepEqual(
    [...paths].sort(),
    ['/v1/audio/speech', '/v1/audio/transcriptions', '/v1/chat/completions'],
    device.stderr,
  );
  t.regex(stderr, /understood: What is new\?/);
  t.regex(stderr, /sentence 1: Nothing much\./);
  t.regex(stderr, /\[asr\]: 127\.0\.0\.1:\d+ is asked, too/);
  t.regex(stderr, /answering from \[llm\]/);
  t.notRegex(stderr, /is not used/);
  t.false(stderr.includes(canary));
  const chat = service.requests.find(({ url: path }) => path === '/v1/chat/completions')!;
  t.like(JSON.parse(String(chat.body)), {
    temperature: 0.5,
    messages: [
      { role: 'system', content: 'Be short.' },
      { role: 'user', content: 'What is new?' },
    ],
  });
});
