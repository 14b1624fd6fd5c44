import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { SelfTest } from '../comparison/gate-self-test.ts';
import { loadHarnessConfig } from '../harness-config/harness-config.ts';
import { HarnessConfigError } from '../harness-config/harness-config-error.ts';
import type { RunReport } from '../report/run-report.ts';
import { checkBaseline, listBaselines, saveBaseline, showBaseline } from './baseline-command.ts';
import { describeError } from './error-message.ts';
import { exitCode } from './exit-code.ts';
import { runCommand } from './run-command.ts';
import type { Terminal } from './terminal.ts';

const folder = mkdtempSync(join(tmpdir(), 'echokit-baseline-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

function listening(): { terminal: Terminal; printed: string[]; said: string[] } {
  const printed: string[] = [];
  const said: string[] = [];
  const terminal: Terminal = {
    print: (text) => void printed.push(text),
    say: (text) => void said.push(text),
    color: false,
    width: 100,
  };
  return { terminal, printed, said };
}

/** The provider's first byte, its median and its spread; everything else stays the same. */
function scenario(name: string, firstByteMs: number): string {
  mkdirSync(join(folder, name), { recursive: true });
  const file = join(folder, name, 'asked.toml');
  writeFileSync(
    file,
    `title = "Asked"
[matrix]
providers = ["openai-stream"]
[stand_in]
first_byte_ms = ${firstByteMs}
[[turn]]
say = "Is it far?"
reply = "No."
`,
  );
  return file;
}

const usual = scenario('usual', 400);
const later = scenario('later', 520);

async function run(file: string, more: object = {}): Promise<{ code: number; printed: string[] }> {
  const { terminal, printed } = listening();
  const code = await runCommand(terminal, [file], {
    seed: 1,
    repeat: 10,
    out: join(folder, 'runs'),
    quiet: true,
    version: '0.1.0',
    ...more,
  });
  return { code, printed };
}

test.serial('a run is saved as a baseline, and the next one is held to it', async (t) => {
  const first = await run(usual, { out: join(folder, 'first') });
  t.is(first.code, exitCode.passed);
  const { terminal, printed, said } = listening();
  const baselines = join(folder, 'baselines');
  const name = { folder: baselines, name: 'main' };
  t.is(saveBaseline(terminal, join(folder, 'first'), name), exitCode.passed);
  const file = join(baselines, 'main.json');
  t.deepEqual(printed, [file]);
  const bytes = readFileSync(file, 'utf8');
  t.true(bytes.length < 20_000, `${bytes.length} bytes`);
  const again = t.throws(() => saveBaseline(terminal, join(folder, 'first'), name));
  t.regex(again.message, /already/);
  t.is(saveBaseline(terminal, join(folder, 'first'), { ...name, force: true }), exitCode.passed);
  t.is(readFileSync(file, 'utf8'), bytes);
  t.throws(() => saveBaseline(terminal, join(folder, 'first'), { ...name, name: '../x' }));

  listBaselines(terminal, { folder: baselines });
  t.regex(printed.at(-1)!, /^main +10 +1 +1 +0\.1\.0/);
  showBaseline(terminal, 'main', { folder: baselines });
  t.regex(printed.at(-1)!, /10 × asked · openai-stream · diy · good-wifi · harness/);
  checkBaseline(terminal, file, { resamples: 20, seed: 1 });
  t.true(printed.includes('0 of 20 runs without a change would have been blamed.'));
  t.regex(printed.join('\n'), /openai-stream good-wifi ttfb_ms\.p50 cold +\+5% +10 /);
  const harnessConfig = join(folder, 'echokit-harness.toml');
  writeFileSync(harnessConfig, '[gate]\nttfb_ms = "+7%"\nunderruns.total_ms = "off"\n');
  const gate = ['turns.failed=off', 'audio_seconds.played=off'];
  checkBaseline(terminal, file, { resamples: 1, seed: 1, json: true, gate, harnessConfig });
  const { gates } = JSON.parse(printed.at(-1)!) as SelfTest;
  t.deepEqual(
    gates.map(({ metric, tolerance }) => `${metric} ${tolerance}`),
    ['audible_at_speaker_ms.p50 +5%', 'ttfb_ms.p50 +7%'],
  );
  t.is(listBaselines(terminal, { folder: join(folder, 'none') }), exitCode.passed);
  t.regex(said.at(-1)!, /no baseline/);

  // The same program on the same inputs: nothing but equal figures, however few there are.
  const same = await run(usual, { baseline: file, repeat: 2, json: true });
  t.is(same.code, exitCode.passed);
  const { comparison } = JSON.parse(same.printed.join('\n')) as RunReport;
  t.is(comparison?.verdict, 'pass');
  t.true(comparison?.groups[0]?.metrics.every(({ moved }) => moved === 'same'));
});

test.serial('a run that got later ends with exit code 3, and says what got later', async (t) => {
  const baseline = join(folder, 'baselines', 'main.json');
  const refused = await t.throwsAsync(run(later, { baseline }), { code: 'COMPARISON_DIFFERENT' });
  t.is(describeError(refused, '0').exit, exitCode.usage);
  const gate = ['ttfb_ms.p50=+10%'].concat(
    ['audible_at_speaker_ms.p50', 'underruns.total_ms', 'audio_seconds.played', 'turns.failed'].map(
      (metric) => `${metric}=off`,
    ),
  );
  const allowDifferent = ['scenario'];
  const { code, printed } = await run(later, { baseline, gate, allowDifferent });
  t.is(code, exitCode.regression);
  t.regex(printed.join('\n'), /ttfb_ms\.p50 cold .* \+30\.0 % .* \+10% +10 +REGRESSION/);
  const looser = await run(later, {
    baseline,
    gate: ['ttfb_ms.p50=+40%', ...gate.slice(1)],
    allowDifferent,
  });
  t.is(looser.code, exitCode.passed);
});

test.serial('a baseline that is not there is told before anything is run', async (t) => {
  const error = await t.throwsAsync(
    run(usual, { baseline: 'nowhere', out: join(folder, 'never') }),
    {
      code: 'BASELINE_NOT_FOUND',
    },
  );
  t.regex(error.message, /baselines.nowhere\.json/);
  t.throws(() => readFileSync(join(folder, 'never')), { code: 'ENOENT' });
  await t.throwsAsync(run(usual, { gate: ['ttfb_ms=+1%'] }), { message: /--gate is about/ });
});

test('gates of a project stand in its configuration file, and wrong ones are told with their line', (t) => {
  const { gates } = loadHarnessConfig('[gate]\nttfb_ms.p95 = "+10%"\n', 'echokit-harness.toml');
  t.deepEqual(
    gates.map(({ metric, tolerance, at }) => [metric, tolerance, at?.line]),
    [['ttfb_ms.p95', '+10%', 2]],
  );
  const error = t.throws(
    () => loadHarnessConfig('[gate]\nttfb_ms = "10"\nnothing = "+1"\n', 'x.toml'),
    { instanceOf: HarnessConfigError },
  );
  t.deepEqual(
    error.problems.map(({ code, line }) => [code, line]),
    [
      ['HARNESS_CONFIG_BAD_VALUE', 2],
      ['HARNESS_CONFIG_BAD_VALUE', 3],
    ],
  );
});
