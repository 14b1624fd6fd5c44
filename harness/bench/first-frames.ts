import { deviceProfiles } from '../device/device-profile.ts';
import { runPlan } from '../runner/run-plan.ts';
import { planRun } from '../scenario/plan.ts';
import type { Scenario } from '../scenario/scenario.ts';
import { temporaryFolder } from './bench-folder.ts';
import type { BenchMeans, BenchMeasurement } from './bench-part.ts';
import { type Figure, middleOf } from './figure.ts';

const usualMs = 120;
const shorterMs = [20, 40, 60] as const;
/** Pieces of 40 ms and more at the speed of the engine, of 100 ms, and of half a second. */
const quickProviders = ['openai-stream', 'cosyvoice', 'stream_gsv'];
const fullProviders = ['openai', 'groq', 'gsv', 'elevenlabs', 'fish'];
/** Firmware before it asked for `opus` gets raw PCM, whose pieces have no packet length. */
const takesOpus = Object.values(deviceProfiles).filter(({ firmware }) => firmware.query.opus);

/**
 * What shorter Opus packets would bring: how much sooner the first sound leaves the speaker with packets of 20, 40 and 60 ms than
 * with those of 120 ms, and how often the player then finds nothing to play. The packets are short for the whole answer; the first
 * sound cannot come sooner with short ones at the start only. In virtual time, for boards of every firmware.
 */
export const firstFrames: BenchMeasurement = {
  async measure(means) {
    const rows = await measureAnswers(means);
    const networks = [...new Set(rows.map(({ network }) => network))];
    return shorterMs.flatMap((ms) => networks.flatMap((network) => figuresOf(rows, ms, network)));
  },
};

interface Answer {
  readonly key: string;
  readonly network: string;
  readonly packetMs: number;
  readonly audibleUs: number;
  readonly underruns: number;
}

async function measureAnswers(means: BenchMeans): Promise<Answer[]> {
  const { full, catalog, providers, scenarios, signal } = means;
  const [scenario] = scenarios('one-question');
  const plan = planRun(
    [usualMs, ...shorterMs].map((ms) => withPackets(scenario!, ms as 20)),
    {
      seed: 1,
      time: 'virtual',
      catalog,
      providers: full ? [...quickProviders, ...fullProviders] : quickProviders,
      devices: full ? takesOpus.map(({ name }) => name) : oneOfEachFirmware(),
      networks: ['ideal', 'busy-wifi'],
    },
  );
  // The draws are those of the scenario's name, which differs here only by the length of the packets.
  const seed = plan.cells[0]!.seed;
  const laboratory = await means.laboratory();
  return await temporaryFolder(async (folder) => {
    const results = await runPlan({
      plan: { ...plan, cells: plan.cells.map((cell) => ({ ...cell, seed })) },
      providers,
      laboratory,
      folder,
      signal,
      environment: {},
      sound: false,
    });
    return results.flatMap(({ cell, measurement }): Answer[] => {
      const { provider, device, network } = cell;
      const audibleUs = measurement.turns[0]?.audibleAtSpeakerUs ?? null;
      if (audibleUs === null) return [];
      const underruns = measurement.underruns.reduce((sum, one) => sum + one.underruns.length, 0);
      const { packetMs } = cell.scenario.server;
      return [{ key: `${provider} ${device} ${network}`, network, packetMs, audibleUs, underruns }];
    });
  });
}

function withPackets(scenario: Scenario, packetMs: (typeof shorterMs)[number]): Scenario {
  return {
    ...scenario,
    name: `${scenario.name}-${packetMs}`,
    server: { ...scenario.server, packetMs },
  };
}

/** Of the first board. */
function oneOfEachFirmware(): string[] {
  const boards = new Map(
    takesOpus.toReversed().map((profile) => [profile.firmware.version, profile]),
  );
  return [...boards.values()].map(({ name }) => name);
}

function figuresOf(answers: readonly Answer[], packetMs: number, network: string): Figure[] {
  const usual = new Map(
    answers.filter((one) => one.packetMs === usualMs).map((one) => [one.key, one]),
  );
  const pairs = answers.flatMap((short) => {
    const long = usual.get(short.key);
    const counts = short.packetMs === packetMs && short.network === network;
    return counts && long !== undefined ? [{ short, long }] : [];
  });
  if (pairs.length === 0) return [];
  const sooner = pairs.map(({ short, long }) => (long.audibleUs - short.audibleUs) / 1000);
  const underruns = (of: 'short' | 'long'): number =>
    pairs.reduce((sum, pair) => sum + pair[of].underruns, 0) / pairs.length;
  const rest = { kind: 'exact', n: pairs.length } as const;
  const id = `frames.${network}_${packetMs}`;
  return [
    {
      ...rest,
      id: `${id}_sooner`,
      label: `packets of ${packetMs} ms, ${network}: first sound sooner by (median; most: ${Math.max(...sooner).toFixed(0)} ms)`,
      value: middleOf(sooner).median,
      unit: 'ms',
      better: 'higher',
    },
    {
      ...rest,
      id: `${id}_underruns`,
      label: `  gaps in an answer (with ${usualMs} ms: ${underruns('long').toFixed(2)})`,
      value: underruns('short'),
      unit: '',
      better: 'lower',
    },
  ];
}
