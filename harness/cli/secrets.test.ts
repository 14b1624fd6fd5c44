/**
 * Canaries: secrets are planted wherever one can be, in runs against services that echo them in every encoding, and
 * nothing that is left behind or was shown may hold one.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { encode } from '@msgpack/msgpack';
import test from 'ava';
import { unpackBundle } from '../bundle/bundle-file.ts';
import {
  ScriptedService,
  type ServiceAnswer,
  type ServiceRequest,
} from '../runner/scripted-service.contract.ts';
import { boardScenario, VirtualBench } from '../runner/virtual-bench.contract.ts';
import { ProgramStarter } from './started-program.contract.ts';

const program = new ProgramStarter();
const bench = await VirtualBench.open();
test.after.always(() => {
  program.remove();
  bench.remove();
});

/** In every secret of this test; only letters and digits, so JSON and percent-encoding leave it as it is. */
const core = 'C4n4ryInTheMine0815';
const secretOf = (name: string): string => `sk-${name}/"${core}"=+~${name}`;

/** Where the core is, whatever it was encoded with. */
function traces(bytes: Buffer): string[] {
  const found: string[] = [];
  const look = (word: string, encoding: string): void => {
    for (let at = bytes.indexOf(word); at >= 0; at = bytes.indexOf(word, at + 1)) {
      found.push(`${encoding}: ${bytes.toString('latin1', Math.max(0, at - 60), at + 60)}`);
    }
  };
  look(core, 'plain');
  const hex = Buffer.from(core).toString('hex');
  look(hex, 'hex');
  look(hex.toUpperCase(), 'hex');
  for (const before of [0, 1, 2]) {
    const padded = Buffer.concat([Buffer.alloc(before), Buffer.from(core)]).toString('base64');
    // Characters that the core alone decides.
    look(padded.slice(4, padded.length - 4), 'base64');
  }
  return found;
}

function everythingIn(folder: string): { name: string; content: Buffer }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => ({
      name: join(parentPath, name),
      content: readFileSync(join(parentPath, name)),
    }));
}

/** Every way in which a careless service tells a key. */
function echoes(secret: string): string[] {
  const json = JSON.stringify({ key: secret });
  return [
    `Incorrect API key provided: ${secret}.`,
    `in JSON ${json}, and in that ${JSON.stringify({ body: json })}`,
    `with slashes ${json.replaceAll('/', '\\/')}`,
    `GET /v1?q=${encodeURIComponent(secret)} ${encodeURIComponent(secret).toLowerCase()}`,
    `Basic ${Buffer.from(`user:${secret}`).toString('base64')}`,
    `url-safe ${Buffer.from(`ab${secret}cd`).toString('base64url')}`,
    `hex ${Buffer.from(secret).toString('hex')}`,
  ];
}

function split(text: string): string[] {
  // Cut so that some pieces end within a secret.
  return text.match(/.{1,23}/gs) ?? [];
}

/** A refusal that names the key of whoever asked, and one of its own. */
function refusal({ headers, url }: ServiceRequest): ServiceAnswer {
  const name = /\/(\w+)\//.exec(url)?.[1] ?? 'none';
  const secret = secretOf(name);
  const error = {
    message: echoes(secret).join(' | '),
    api_key: `unheard-of-${core}`,
    asked: { headers, url },
  };
  return {
    status: 401,
    headers: {
      'content-type': 'application/json',
      'x-request-id': encodeURIComponent(secret),
      'set-cookie': `session=unheard-of-${core}`,
      'www-authenticate': `Bearer error="invalid ${encodeURIComponent(secret)}"`,
    },
    body: split(JSON.stringify({ error })),
  };
}

const platforms = (port: number): string => `
addr = "127.0.0.1:8080"

[asr]
platform = "whisper"
url = "http://127.0.0.1:${port}/asr/v1/audio/transcriptions"
api_key = '${secretOf('asr')}'
lang = "en"

[llm]
platform = "openai_chat"
url = "http://127.0.0.1:${port}/llm/v1/chat/completions"
api_key = '${secretOf('llm')}'
model = "m"
history = 4

[tts]
platform = "openai"
url = "http://127.0.0.1:${port}/openai/v1/audio/speech"
model = "m"
api_key = "\${CANARY_OF_OPENAI}"
voice = "ash"

[providers.elevenlabs]
platform = "elevenlabs"
url = "ws://127.0.0.1:${port}/elevenlabs/v1/text-to-speech/"
token = '${secretOf('elevenlabs')}'
voice = "v"

[providers.cosyvoice]
platform = "cosyvoice"
url = "ws://127.0.0.1:${port}/cosyvoice/api-ws/v1/inference"
token = '${secretOf('cosyvoice')}'
speaker = "longhua_v2"

[providers.fish]
platform = "fish"
url = "http://127.0.0.1:${port}/fish/v1/tts?key=${encodeURIComponent(secretOf('fish'))}"
api_key = '${secretOf('fish')}'
speaker = "s"

[providers.gsv]
platform = "gsv"
url = "http://user:${encodeURIComponent(secretOf('gsv'))}@127.0.0.1:${port}/gsv/v1/audio/speech"
speaker = "texan"

[providers.gsv.text_optimization]
url = "http://127.0.0.1:${port}/optimizer/v1/chat/completions"
api_key = '${secretOf('optimizer')}'
model = "m"
`;

const scenario = `title = "Canaries"
[[turn]]
say = "Go on."
timeout_ms = 15000
reply = "Well."
reply_pace = { first_token_ms = 20, tokens_per_second = 200 }
`;

test.serial(
  'no secret of a configuration gets into anything that a live run leaves or shows',
  async (t) => {
    const service = await ScriptedService.open({
      answer: refusal,
      socket: (request, accept) => {
        const name = /\/(\w+)\//.exec(request.url)?.[1] ?? 'none';
        void accept().then((socket) => {
          socket.once('message', () => {
            const message = echoes(secretOf(name)).join(' | ');
            const error = { message, api_key: `unheard-of-${core}`, error: message, code: 1008 };
            socket.send(JSON.stringify(error));
            // By value: MessagePack has no fields that can be told by their look.
            socket.send(Buffer.from(encode({ message, error: message, code: 1008 })));
            socket.close(1008, secretOf(name).slice(0, 120));
          });
        });
        return undefined;
      },
    });
    t.teardown(() => service.close());
    const out = join(program.folder, 'out');
    const { exit, stdout, stderr } = await program.start(
      [
        'run',
        '--live',
        '--json',
        '--config',
        program.file('canaries.toml', platforms(service.port)),
        '--out',
        out,
        program.file('canaries-scenario.toml', scenario),
      ],
      { CANARY_OF_OPENAI: secretOf('openai') },
    ).ended;
    t.true(exit === 1 || exit === 4, stderr);
    const asked = service.requests.map(({ url }) => /\/(\w+)\//.exec(url)?.[1]);
    for (const name of ['openai', 'elevenlabs', 'cosyvoice', 'fish', 'optimizer']) {
      t.true(asked.includes(name), `${name} was asked: ${asked}`);
    }
    t.true(
      service.requests.some(({ headers }) => JSON.stringify(headers).includes(core)),
      'the service was given real keys',
    );
    const files = everythingIn(out);
    t.true(files.length > 30, `${files.length} files`);
    const echoed = files.filter(({ content }) => content.includes('Incorrect API key provided'));
    t.true(echoed.length >= 5, 'what the services said is in the recordings');
    for (const { name, content } of files) t.deepEqual(traces(content), [], name);
    t.deepEqual(traces(Buffer.from(stdout)), []);
    const [run] = readdirSync(out);
    const file = join(program.folder, 'canaries.zip');
    const bundled = await program.start(['bundle', join(out, run!), '--out', file]).ended;
    t.is(bundled.exit, 0, bundled.stderr);
    for (const [name, content] of unpackBundle(readFileSync(file), file).files) {
      t.deepEqual(traces(Buffer.from(content)), [], `${name} of the bundle`);
    }
    t.deepEqual(traces(Buffer.from(bundled.stdout + bundled.stderr)), []);
    t.deepEqual(traces(Buffer.from(stderr)), []);
    t.true(JSON.parse(stdout).cells.length === 5, 'the document is whole');
  },
);

test.serial('what the console of a board tells of secrets gets into no file', async (t) => {
  const run = await bench.run(
    boardScenario('password', '[[turn]]\nsay = "Go on."\nreply = "Yes."\n'),
    {
      board: {
        password: `my ${core} "wifi"`,
        ssid: `named ${core}`,
        serverUrl: `ws://server.test:8080/token/${core}/ws/`,
      },
      secrets: [`named ${core}`],
    },
  );
  const printed = run.recorded.events.flatMap((event) =>
    event.source === 'serial' && event.type === 'line' ? [event.text] : [],
  );
  for (const what of [/PASS: /, /SSID: .*\[redacted\]/, /\/token\/\[redacted\]\/ws\//]) {
    t.true(
      printed.some((text) => what.test(text)),
      `${what} in ${printed.join('\n')}`,
    );
  }
  t.is(run.verdict.outcome, 'pass', JSON.stringify(run.verdict));
  for (const { name, content } of everythingIn(run.path)) t.deepEqual(traces(content), [], name);
});

test.serial('what --secret names gets into nothing that a run leaves or shows', async (t) => {
  const out = join(program.folder, 'named');
  const written = scenario.replace('"Well."', `"Well, ${core} it is."`);
  const { exit, stdout, stderr } = await program.start(
    [
      'run',
      '--verbose',
      ...['--provider', 'openai', '--secret', `\${NAMED_SECRET}`, '--out', out],
      program.file('named.toml', written),
    ],
    { NAMED_SECRET: core },
  ).ended;
  t.is(exit, 0, stderr);
  const files = everythingIn(out);
  t.true(files.some(({ content }) => content.includes('Well, [redacted] it is.')));
  for (const { name, content } of files) t.deepEqual(traces(content), [], name);
  t.deepEqual(traces(Buffer.from(stdout + stderr)), []);
});
