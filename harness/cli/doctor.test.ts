/** `doctor` as a process, with servers of the test as the real services. */
import test from 'ava';
import { testAuthority } from '../network/test-certificate.contract.ts';
import type { DoctorReport } from '../report/doctor-report.ts';
import { ScriptedService, tonePcm } from '../runner/scripted-service.contract.ts';
import { exitCode } from './exit-code.ts';
import { ProgramStarter } from './started-program.contract.ts';

const program = new ProgramStarter();
const doctor = (args: readonly string[], environment: Readonly<Record<string, string>> = {}) =>
  program.start(['doctor', ...args], environment).ended;
test.after.always(() => program.remove());

const canary = 'sk-canary-4711-secret';

/** A service that speaks as OpenAI does, and as ElevenLabs does on a WebSocket. */
function speakingService(tls: boolean): Promise<ScriptedService> {
  return ScriptedService.open({
    tls,
    answer: () => ({ headers: { 'content-type': 'audio/pcm' }, body: [tonePcm(24_000, 0.5)] }),
    socket: (_, accept) => {
      void accept().then((socket) => {
        socket.once('message', () => {
          socket.send(JSON.stringify({ audio: tonePcm(16_000, 0.5).toString('base64') }));
          socket.send(JSON.stringify({ audio: null, isFinal: true }));
          socket.close(1000);
        });
      });
      return undefined;
    },
  });
}

function twoProviders(name: string, { port }: ScriptedService, tls: boolean): string {
  const s = tls ? 's' : '';
  return program.file(
    `${name}.toml`,
    `[tts]
platform = "openai"
url = "http${s}://localhost:${port}/v1/audio/speech"
model = "tts-of-the-house"
api_key = "${canary}"
voice = "ash"
stream = "pcm"

[providers.eleven]
platform = "elevenlabs"
url = "ws${s}://localhost:${port}/v1/text-to-speech"
token = "${canary}"
voice = "v"
`,
  );
}

test.serial('without providers it checks the machine and says how to check them', async (t) => {
  const { exit, stdout, stderr } = await doctor([]);
  t.is(exit, exitCode.passed, stdout);
  t.is(stderr, '');
  t.regex(stdout, /^Installation\n {2}ok {4}Node /);
  for (const name of ['voice', 'cache', 'ffmpeg', 'serialport', 'port of serve', 'clock']) {
    t.regex(stdout, new RegExp(`^  (ok  |note)  ${name} `, 'm'));
  }
  t.regex(stdout, /doctor --config config\.toml/);
});

test.serial(
  'without --live nobody is asked: what the configuration says, and where keys come from',
  async (t) => {
    const service = await speakingService(false);
    const config = twoProviders('offline', service, false);
    const broken = program.file('broken.toml', '[tts]\nplatform = "openai"\nvoize = "ash"\n');
    const [fine, bad, builtIn] = await Promise.all([
      doctor(['--config', config, '--json']),
      doctor(['--config', broken], { OPENAI_API_KEY: '' }),
      doctor(['--provider', 'groq,openai'], { GROQ_API_KEY: canary, OPENAI_API_KEY: '' }),
    ]);
    await service.close();
    t.is(service.requests.length, 0);
    t.is(fine.exit, exitCode.passed, fine.stdout + fine.stderr);
    const report = JSON.parse(fine.stdout) as DoctorReport;
    t.true(report.ok);
    t.false(report.live);
    t.deepEqual(
      report.providers.map(({ name, platform, host, status }) => [name, platform, host, status]),
      [
        ['openai', 'openai', `localhost:${service.port}`, 'ok'],
        ['eleven', 'elevenlabs', `localhost:${service.port}`, 'ok'],
      ],
    );
    t.regex(report.providers[0]!.message, /key in tts\.api_key; not asked/);

    t.is(bad.exit, exitCode.environment);
    t.regex(
      bad.stdout.replaceAll(/\s+/g, ' '),
      /FAIL openai configuration: tts\.api_key is missing/,
    );
    t.is(builtIn.exit, exitCode.environment);
    t.regex(
      builtIn.stdout,
      /^ {2}ok {4}groq +groq at api\.groq\.com:443, key from GROQ_API_KEY; not/m,
    );
    t.regex(builtIn.stdout.replaceAll(/\s+/g, ' '), /FAIL openai configuration: .* OPENAI_API_KEY/);
    for (const { stdout, stderr } of [fine, bad, builtIn])
      t.false((stdout + stderr).includes(canary));
  },
);

test.serial('--live asks each provider once, over HTTP and over a WebSocket', async (t) => {
  const service = await speakingService(false);
  const config = twoProviders('live', service, false);
  const { exit, stdout, stderr } = await doctor(['--live', '--config', config, '--json']);
  await service.close();
  t.is(exit, exitCode.passed, stdout + stderr);
  t.is(service.requests.length, 2);
  t.is(service.requests[0]!.headers.authorization, `Bearer ${canary}`);
  t.is(service.requests[1]!.headers['xi-api-key'], canary);
  t.regex(stderr, /^LIVE: text is sent to real services/);
  const report = JSON.parse(stdout) as DoctorReport;
  t.true(report.ok && report.live);
  t.like(report.budget, { requests: 2, characters: 6, maxRequests: 20 });
  for (const [index, sourceRateHz] of [24_000, 16_000].entries()) {
    const provider = report.providers[index]!;
    t.like(provider, { status: 'ok', sourceRateHz, audioMs: 500, requests: 1, characters: 3 });
    t.true(provider.ttfbMs! > 0 && provider.totalMs! >= provider.ttfbMs!);
  }
  t.false((stdout + stderr).includes(canary));
});

test.serial(
  'TLS: an authority of NODE_EXTRA_CA_CERTS is trusted, without it the line says how',
  async (t) => {
    const service = await speakingService(true);
    const config = twoProviders('tls', service, true);
    const authority = program.file('authority.pem', testAuthority);
    const args = ['--live', '--config', config];
    const untrusted = await doctor(args);
    t.is(service.requests.length, 0, 'no key was sent');
    const trusted = await doctor(args, { NODE_EXTRA_CA_CERTS: authority });
    await service.close();
    t.is(untrusted.exit, exitCode.environment);
    t.is(untrusted.stdout.match(/FAIL .*TLS: The certificate of/g)?.length, 2, untrusted.stdout);
    t.regex(untrusted.stdout, /NODE_EXTRA_CA_CERTS/);
    t.is(trusted.exit, exitCode.passed, trusted.stdout);
    t.is(service.requests.length, 2);
  },
);

test.serial('it keeps to the limit: who was not asked has not passed', async (t) => {
  const service = await speakingService(false);
  const config = twoProviders('limit', service, false);
  const { exit, stdout } = await doctor(['--live', '--config', config, '--max-requests', '1']);
  await service.close();
  t.is(service.requests.length, 1);
  t.is(exit, exitCode.environment);
  t.regex(stdout, /^ {2}ok {4}openai /m);
  t.regex(stdout, /^ {2}FAIL {2}eleven +limit: The budget is used up/m);
  t.regex(stdout, /1 problem found\. Used: 1 of 1 request, 3 of 2000 characters\./);
});

test.serial('--live without a name, and a name that is nowhere, are usage errors', async (t) => {
  const [unnamed, unknown, limit] = await Promise.all([
    doctor(['--live']),
    doctor(['--provider', 'opena']),
    doctor(['--max-requests', '3']),
  ]);
  for (const { exit, stdout } of [unnamed, unknown, limit]) {
    t.is(exit, exitCode.usage);
    t.is(stdout, '');
  }
  t.regex(unnamed.stderr, /Name them with --provider or --config/);
  t.regex(unknown.stderr, /Did you mean "openai"/);
  t.regex(limit.stderr, /without --live none is asked/);
});
