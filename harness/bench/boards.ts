import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LoadReport } from '../load/load-report.ts';
import { takeSample } from '../load/soak.ts';
import { runVirtualLoad } from '../load/virtual-load.ts';
import { planRun } from '../scenario/plan.ts';
import type { BenchMeans, BenchMeasurement } from './bench-part.ts';
import type { Figure } from './figure.ts';

const devices = 50;
const rampMs = 5_000;
const holdMs = 20_000;
const provider = 'openai-stream';

/**
 * How many boards this machine bears, and what one takes: boards in conversation without a pause on a simulated clock and, with
 * `--full`, as many over sockets as hold the thresholds of a load run.
 */
export const boards: BenchMeasurement = {
  async measure(means) {
    const simulated = await inVirtualTime(means);
    if (!means.full || means.signal.aborted) return simulated;
    return [...simulated, await overSockets(means)];
  },
};

async function inVirtualTime(means: BenchMeans): Promise<Figure[]> {
  const { clock, signal, catalog, providers } = means;
  const { cells } = planRun(means.scenarios('two-turns'), {
    providers: [provider],
    seed: 1,
    time: 'virtual',
    catalog,
  });
  const laboratory = await means.laboratory();
  const before = takeSample(0).heapBytes;
  let held = before;
  const { processes, ranMs } = await runVirtualLoad({
    plan: {
      devices,
      rampMs,
      holdMs,
      pauseMs: 0,
      checksVoices: true,
      seed: 1,
      cells,
      profiles: new Map(),
    },
    provider: providers.get(provider)!,
    laboratory,
    wallClock: clock,
    signal,
    sample: {
      everyUs: (rampMs + holdMs - 1_000) * 1000,
      take: async (atUs, end) => {
        held = takeSample(atUs / 3_600_000_000, end).heapBytes;
      },
    },
  });
  // Board k is on from k parts of the ramp.
  const boardSeconds = (devices * (ranMs - rampMs / 2)) / 1000;
  const processorSeconds = processes[0]!.cpuMs / 1000;
  return [
    {
      id: 'boards.per_processor',
      label: 'boards in conversation without a pause that one processor simulates in real time',
      value: boardSeconds / processorSeconds,
      unit: '',
      better: 'higher',
      kind: 'here',
      n: devices,
    },
    {
      id: 'boards.heap_each',
      label: 'heap of a board in conversation, its side of the server and the provider included',
      value: Math.max(0, held - before) / devices / 1_000_000,
      unit: 'MB',
      better: 'lower',
      kind: 'here',
      n: devices,
    },
  ];
}

/** Starts this program: boards, server and provider are processes of their own. */
async function overSockets({ program, signal, say }: BenchMeans): Promise<Figure> {
  say('boards: how many hold over sockets; some minutes');
  const folder = mkdtempSync(join(tmpdir(), 'echokit-bench-'));
  try {
    const options =
      '--devices 20 --ramp 5s --for 20s --find-limit --json --quiet --no-harness-config';
    const given = ['run', ...options.split(' '), '--out', folder];
    const child = spawn(process.execPath, [...program, ...given], {
      stdio: ['ignore', 'pipe', 'ignore'],
      signal,
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
    await once(child, 'close');
    const { limit } = JSON.parse(text) as LoadReport;
    return {
      id: 'boards.live',
      label: 'boards in conversation over sockets with less than 1 % late cycles',
      value: limit?.boards ?? 0,
      unit: '',
      better: 'higher',
      kind: 'here',
      n: limit?.tries.length ?? 0,
      goal: 200,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
