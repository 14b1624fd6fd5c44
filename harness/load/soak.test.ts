import test from 'ava';
import { SystemClock } from '../clock/system-clock.ts';
import { deviceProfiles } from '../device/device-profile.ts';
import { quirkIds } from '../device/quirk.ts';
import { metricCatalog } from '../metrics/metric-catalog.ts';
import { networkNames } from '../network/network-profile.ts';
import { openLaboratory } from '../runner/laboratory.ts';
import { builtInProviders } from '../runner/provider-catalog.ts';
import { ownCacheFolder } from '../runner/test-cache.contract.ts';
import { loadScenario } from '../scenario/load.ts';
import { activeResources, settledLeftOver } from './resources.ts';
import {
  isFlat,
  runVirtualSoak,
  type SoakSample,
  soakPlan,
  soakVerdict,
  takeSample,
} from './soak.ts';
import { soakText } from './soak-text.ts';

const catalog = {
  metrics: metricCatalog,
  providers: builtInProviders.map(({ name }) => name),
  devices: Object.keys(deviceProfiles),
  networks: networkNames,
  quirks: quirkIds,
};

test('two virtual hours of troubled conversations leave nothing open, and no voice is mixed', async (t) => {
  const provider = builtInProviders.find(({ name }) => name === 'openai-stream')!;
  const plan = soakPlan({
    seed: 5,
    devices: 7,
    provider: provider.name,
    rampMs: 600_000,
    holdMs: 2 * 3_600_000,
    pauseMs: 30 * 60_000,
    load: (text, file) => loadScenario(text, file, catalog),
  });
  t.true(
    plan.cells.some(({ scenario }) => scenario.turns.some((turn) => turn.disturbances.length > 0)),
  );
  const { figures, verdict } = await runVirtualSoak({
    plan,
    provider,
    laboratory: await openLaboratory(await ownCacheFolder()),
    sampleEveryMs: 10 * 60_000,
    wallClock: new SystemClock(),
    signal: new AbortController().signal,
  });
  t.deepEqual(verdict.left, {});
  t.is(verdict.samples.length, 12);
  t.is(figures.boards.voices.foreign, 0);
  t.true(figures.boards.conversations > 20, `${figures.boards.conversations}`);
  // Heap and resident memory of so short a time still fill caches; what is open is exact.
  t.is(verdict.series.handles.growth, 'flat');
  t.regex(soakText(figures, [verdict]), /7 boards, 2\.2 h of virtual time/);
});

test('a planted leak grows, and a noisy level does not', (t) => {
  const samples = (perHour: number): SoakSample[] =>
    Array.from({ length: 48 }, (_, i) => ({
      atHours: i,
      heapBytes: 40e6 + perHour * i + (i % 3) * 2e5,
      externalBytes: 50e6 + (i % 7) * 1e5,
      residentBytes: 200e6 + (i % 5) * 1e6,
      handles: 3 + (i % 2),
      listeners: 20,
    }));
  const leaking = soakVerdict('server', samples(1e6), {}, 16);
  t.is(leaking.series.heapBytes.growth, 'grows');
  t.true(Math.abs(leaking.series.heapBytes.perHour - 1e6) < 2e4);
  t.false(isFlat(leaking));
  t.true(isFlat(soakVerdict('server', samples(0), {}, 16)));
  t.false(isFlat(soakVerdict('server', samples(0), { TCPSocketWrap: 1 }, 16)));
});

test('a timer that is left is told, and one that is gone is not', async (t) => {
  const clock = new SystemClock();
  const before = activeResources();
  const left = clock.after(60_000_000, () => {});
  t.deepEqual(await settledLeftOver(before, new SystemClock(), 2_000_000), { Timeout: 1 });
  left.cancel();
  t.deepEqual(await settledLeftOver(before, new SystemClock()), {});
});

test('a sample counts who waits for the end of the run', (t) => {
  const end = new AbortController();
  const before = takeSample(0, end.signal).listeners;
  end.signal.addEventListener('abort', () => {});
  t.is(takeSample(1, end.signal).listeners, before + 1);
});
