/** `run --replay --live --refresh`, with servers of the test as the real service. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { WebSocket } from 'ws';
import type { RunReport } from '../report/run-report.ts';
import {
  ScriptedService,
  type ServiceScript,
  tonePcm,
} from '../runner/scripted-service.contract.ts';
import { testCacheFolder } from '../runner/test-cache.contract.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { CommandError } from './exit-code.ts';
import { replayCommand } from './replay-command.ts';
import { type RunCommandOptions, runCommand } from './run-command.ts';

const folder = mkdtempSync(join(tmpdir(), 'echokit-refresh-'));
process.env['ECHOKIT_HARNESS_CACHE'] = testCacheFolder(test.meta.file);
// Every command listens for Ctrl-C until its process ends, and here several share one.
process.setMaxListeners(30);
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const canary = 'sk-canary-4711-secret';
let count = 0;

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** A scenario of this name whose answers are these. */
function scenario(name: string, ...replies: readonly string[]): string {
  const turns = replies.map(
    (reply) => `
[[turn]]
say = "Please go on, how far is it?"
timeout_ms = 15000
reply = "${reply}"
reply_pace = { first_token_ms = 20, tokens_per_second = 200 }
`,
  );
  return file(`${name}.toml`, `title = "${name}"\n${turns.join('')}`);
}

function openAi(port: number, voice = 'ash'): string {
  return file(
    `openai-${++count}.toml`,
    `[tts]
platform = "openai"
url = "http://127.0.0.1:${port}/v1/audio/speech"
model = "gpt-4o-mini-tts"
api_key = "${canary}"
voice = "${voice}"
stream = "pcm"
`,
  );
}

interface Held {
  readonly exit: number;
  readonly report: RunReport;
  readonly said: string;
  /** Folder of the recording. */
  readonly cell: string;
}

type Options = Partial<RunCommandOptions>;

async function hold(
  command: (terminal: Parameters<typeof runCommand>[0], out: string) => Promise<number>,
): Promise<Held> {
  const out = join(folder, `out-${++count}`);
  const said: string[] = [];
  const printed: string[] = [];
  const exit = await command(
    {
      print: (text) => void printed.push(text),
      say: (text) => void said.push(text),
      color: false,
      width: 200,
    },
    out,
  );
  const report = JSON.parse(printed.join('\n')) as RunReport;
  const [run] = readdirSync(out);
  const cell = join(out, run!, report.cells[0]!.recording);
  return { exit, report, said: said.join('\n'), cell };
}

function run(scenarios: readonly string[], options: Options): Promise<Held> {
  return hold((terminal, out) =>
    runCommand(terminal, scenarios, { seed: 1, version: '0', json: true, out, ...options }),
  );
}

/** A machine that is too busy for real time misses what is said now and then: three attempts. */
async function runLive(scenarios: readonly string[], options: Options): Promise<Held> {
  for (let attempt = 1; ; attempt++) {
    const held = await run(scenarios, { live: true, ...options });
    const missed = /turn-timeout|no-speech/.test(JSON.stringify(held.report.cells));
    if (!missed || attempt === 3) return held;
  }
}

const replay = (recording: string): Promise<Held> =>
  hold((terminal, out) => replayCommand(terminal, recording, { version: '0', json: true, out }));

async function service(t: ExecutionContext, script: ServiceScript): Promise<ScriptedService> {
  const opened = await ScriptedService.open(script);
  t.teardown(() => opened.close());
  return opened;
}

const tone: ServiceScript = { answer: () => ({ body: [tonePcm(24_000, 0.4)] }) };
const passes = ({ exit, report }: Held): unknown[] => [exit, report.cells[0]!.verdict];

test.serial(
  'nothing is sent when nothing differs; when one text does, all of them are asked for anew',
  async (t) => {
    t.timeout(60_000);
    const real = await service(t, tone);
    const config = openAi(real.port);
    const first = await runLive([scenario('talk', 'Well, well.', 'Far away.')], { config });
    t.deepEqual(passes(first), [0, 'pass'], JSON.stringify(first.report.cells[0]!.failures));

    real.requests.splice(0);
    const refresh = { replay: first.cell, live: true, refresh: true, config };
    const same = await run([], refresh);
    t.deepEqual(passes(same), [0, 'pass']);
    t.is(real.requests.length, 0);
    t.regex(
      same.said,
      /^Nothing differs: the recording of talk answers all 2 requests, and nothing is sent\.$/m,
    );
    t.notRegex(same.said, /LIVE/);
    t.is(same.report.run.replay, 'strict');
    t.false(same.report.run.live);

    const fresh = await runLive([scenario('talk', 'Well, well.', 'Very near.')], refresh);
    t.deepEqual(passes(fresh), [0, 'pass'], JSON.stringify(fresh.report.cells[0]!.failures));
    t.regex(
      fresh.said,
      /not the recording of talk any more:\n {2}REPLAY_REQUEST_DIFFERS: .*"Far away\. ?", now "Very near\. ?"/,
    );
    t.regex(fresh.said, /the real service answers every request, the recording none\.$/m);
    t.regex(fresh.said, /^LIVE: text is sent to real services/m);
    t.deepEqual(
      real.requests
        .slice(-2)
        .map(({ body }) => (JSON.parse(body) as { input: string }).input.trim()),
      ['Well, well.', 'Very near.'],
    );
    t.true(fresh.report.run.live);
    t.is(readRecording(fresh.cell).header.live, `127.0.0.1:${real.port}`);

    const asked = real.requests.length;
    const replayed = await replay(fresh.cell);
    t.deepEqual(passes(replayed), [0, 'pass'], JSON.stringify(replayed.report.cells[0]!.failures));
    t.is(real.requests.length, asked);
    t.is((await replay(first.cell)).exit, 0, 'the old recording is as it was');
    t.false([same, fresh].some(({ said }) => said.includes(canary)));
  },
);

test.serial(
  'a voice of another configuration differs; beyond the limit nothing is sent',
  async (t) => {
    t.timeout(60_000);
    const real = await service(t, tone);
    const recorded = await run([scenario('voices', 'Well, well.', 'Far away.')], {
      config: openAi(real.port),
    });
    t.is(recorded.exit, 0, JSON.stringify(recorded.report.cells[0]!.failures));
    t.is(real.requests.length, 0);
    const fresh = await runLive([], {
      ...{ replay: recorded.cell, refresh: true, maxRequests: 1 },
      config: openAi(real.port, 'coral'),
    });
    t.regex(fresh.said, /body, voice: recorded "ash", now "coral"/);
    t.deepEqual(passes(fresh), [4, 'infra']);
    t.is(fresh.report.run.budget?.requests, 1);
    t.true(real.requests.every(({ body }) => body.includes('"coral"')));
  },
);

test.serial('a socket is recorded anew as a whole, and replays', async (t) => {
  t.timeout(60_000);
  const real = await service(t, {
    socket: (_, accept) => {
      void accept().then((socket) => {
        socket.on('message', (data) => {
          const { text } = JSON.parse(String(data)) as { text?: string };
          if (text !== '') return;
          const audio = tonePcm(16_000, 0.4).toString('base64');
          socket.send(JSON.stringify({ audio, isFinal: null }));
          socket.send(JSON.stringify({ isFinal: true }));
          if (socket.readyState === WebSocket.OPEN) socket.close(1000);
        });
      });
      return undefined;
    },
  });
  const config = file(
    'elevenlabs.toml',
    `[tts]
platform = "elevenlabs"
url = "ws://127.0.0.1:${real.port}/v1/text-to-speech"
token = "${canary}"
voice = "v"
`,
  );
  const recorded = await run([scenario('socket', 'Well, well.')], { config });
  t.is(recorded.exit, 0);
  const fresh = await runLive([scenario('socket', 'Very near.')], {
    ...{ replay: recorded.cell, refresh: true, config },
  });
  t.deepEqual(passes(fresh), [0, 'pass'], JSON.stringify(fresh.report.cells[0]!.failures));
  t.true(real.requests.length > 0);
  const replayed = await replay(fresh.cell);
  t.deepEqual(passes(replayed), [0, 'pass'], JSON.stringify(replayed.report.cells[0]!.failures));
});

test.serial('what --refresh cannot mean is a usage error that says what to do', async (t) => {
  const recorded = await run([scenario('refused', 'Well, well.')], {
    provider: ['openai-stream'],
    device: ['diy'],
  });
  const own = openAi(9);
  const two = file(
    'two.toml',
    ['a', 'b']
      .map(
        (name) => `[providers.${name}]
platform = "openai"
url = "http://127.0.0.1:9/v1/audio/speech"
api_key = "k"
`,
      )
      .join('')
      .concat(
        '[tts]\nplatform = "openai"\nurl = "http://127.0.0.1:9/v1/audio/speech"\napi_key = "k"\n',
      ),
  );
  const on = { replay: recorded.cell };
  const refused: readonly (readonly [Options, RegExp, RegExp])[] = [
    [{ refresh: true, live: true, config: own }, /there is none/, /add --replay/],
    [{ ...on, refresh: true }, /without --live none is asked/, /add --live/],
    [{ ...on, live: true, config: own }, /--replay and --live exclude each other/, /--refresh/],
    [{ ...on, config: own }, /--replay and --config exclude each other/, /leave --config out/],
    [{ ...on, maxRequests: 3 }, /without --live none is asked/, /add --live/],
    [{ ...on, live: true, refresh: true }, /only speaks with those that are named/, /providers: /],
    [{ ...on, live: true, refresh: true, config: two }, /there are several: /, /--provider/],
    [
      { ...on, live: true, refresh: true, config: own, time: 'virtual' },
      /--refresh and --time exclude each other/,
      /leave --time out/,
    ],
    [
      { ...on, live: true, refresh: true, config: own, network: ['ideal', 'weak-wifi'] },
      /one conversation anew, and this would be 2/,
      /name one scenario/,
    ],
  ];
  const out = join(folder, 'refused-out');
  const terminal = { print: () => {}, say: () => {}, color: false, width: 100 };
  for (const [options, message, hint] of refused) {
    const error = await t.throwsAsync<CommandError>(
      () => runCommand(terminal, [], { seed: 1, version: '0', out, ...options }),
      { instanceOf: CommandError, code: 'USAGE', message },
    );
    t.is(error?.exitCode, 2);
    t.regex(error?.hint ?? '', hint);
  }
  t.false(existsSync(out), 'none has begun');
});
