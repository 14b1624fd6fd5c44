import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { measureCell } from '../metrics/measure.ts';
import { createRandom } from '../random/random.ts';
import { readRecording } from '../trace/recording-reader.ts';
import { readWire } from '../trace/wire-traffic.ts';
import { judge } from '../verdict/judge.ts';
import { killedProvider, killedScenario } from './killed-scenario.contract.ts';
import { ConversationRunner } from './recorded-conversation.contract.ts';

/** `-- --kills=50` for more. */
const kills = Number(process.argv.find((text) => text.startsWith('--kills='))?.slice(8) ?? 3);
const program = fileURLToPath(new URL('killed-run.contract.ts', import.meta.url));
const checkout = fileURLToPath(new URL('../..', import.meta.url));

test('a run that is killed at any write leaves a recording that opens, says so, and holds what there was', async (t) => {
  t.timeout(kills * 30_000 + 60_000);
  const folder = mkdtempSync(join(tmpdir(), 'echokit-killed-'));
  const runner = await ConversationRunner.open();
  const children = new Set<ReturnType<typeof spawn>>();
  t.teardown(() => {
    for (const child of children) child.kill('SIGKILL');
    runner.remove();
    rmSync(folder, { recursive: true, force: true });
  });
  const run = async (
    path: string,
    killAt?: number,
  ): Promise<{ signal: string | null; out: string }> => {
    const args = ['--import=tsx', program, path, ...(killAt === undefined ? [] : [`${killAt}`])];
    const child = spawn(process.execPath, args, {
      cwd: checkout,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.add(child);
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    const [, signal] = (await once(child, 'close')) as [number | null, string | null];
    children.delete(child);
    return { signal, out };
  };

  const [whole] = await runner.run(killedScenario(), { providers: [killedProvider] });
  const lines = readFileSync(join(whole!.path, 'trace.jsonl'), 'utf8').split('\n');
  const full = readRecording(whole!.path);
  const fullWire = JSON.stringify(readWire(whole!.path));
  // Every event is a write, and there are others; how many in all, only a complete run tells.
  let writes = full.events.length;
  if (kills > 3) {
    const complete = await run(join(folder, 'complete'));
    t.is(complete.signal, null);
    writes = Number(complete.out);
  }
  t.true(writes > 100, `${writes} writes`);

  // Between the last word and the end of the run the sound of the speaker is still to be written.
  const spoken = { ...full, speaker: new Int16Array(0) };
  const cutShort = judge(measureCell({ ...spoken, events: full.events.slice(0, -1) }), []);
  t.is(full.events.at(-1)!.type, 'end');
  t.is(cutShort.outcome, 'infra');
  t.deepEqual(
    cutShort.failures.map(({ code }) => code),
    ['unfinished', 'cut-short'],
  );
  t.is(judge(measureCell(spoken), []).failures[0]?.code, 'unfinished');

  const random = createRandom(1, 'kills');
  const held: number[] = [];
  for (let kill = 0; kill < kills; kill++) {
    // The last write gives the folder its name.
    const killAt = random.integer(0, writes - 2);
    const place = join(folder, `${kill}`);
    const { signal } = await run(place, killAt);
    t.is(signal, 'SIGKILL', `write ${killAt} of ${writes}`);
    const cell = join(place, 'cells', `killed--${killedProvider}--diy--good-wifi`);
    if (!existsSync(join(`${cell}.partial`, 'trace.jsonl'))) {
      t.true(killAt < 5, 'there is a recording as soon as it has a first line');
      continue;
    }
    const recording = readRecording(cell);
    t.true(recording.partial);
    const name = `killed at write ${killAt} of ${writes}`;
    t.deepEqual(JSON.stringify(recording.header), lines[0], name);
    const { length } = recording.events;
    held.push(length);
    const kept = [...recording.events]
      .sort((a, b) => a.seq - b.seq)
      .map((event) => JSON.stringify(event));
    t.deepEqual(kept, lines.slice(1, 1 + length), name);
    for (const part of ['user', 'sent'] as const) {
      t.deepEqual(recording[part], full[part].subarray(0, recording[part].length), name);
    }
    for (const [request, samples] of recording.provider) {
      t.deepEqual(samples, full.provider.get(request)!.subarray(0, samples.length), name);
    }
    for (const { number, steps } of readWire(`${cell}.partial`)) {
      for (const { data: _, ...event } of steps) {
        t.true(
          fullWire.includes(JSON.stringify(event).slice(0, -1)),
          `${name}, connection ${number}`,
        );
      }
    }
    const { failures, outcome } = judge(measureCell(recording), []);
    // Between the last line of the trace and the manifest everything is there.
    const ended = recording.events.some(
      (event) => event.source === 'harness' && event.type === 'end',
    );
    if (!ended) {
      t.is(outcome, 'infra', name);
      t.true(
        failures.some(({ code }) => code === 'cut-short'),
        name,
      );
    }
  }
  t.log(
    `${kills} kills among ${writes} writes; events held of ${full.events.length}: ${held.sort((a, b) => a - b).join(', ')}`,
  );
});
