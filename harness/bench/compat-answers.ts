import { type CellResult, runPlan } from '../runner/run-plan.ts';
import { planRun } from '../scenario/plan.ts';
import { temporaryFolder } from './bench-folder.ts';
import type { BenchMeans, BenchMeasurement } from './bench-part.ts';
import { type Figure, middleOf } from './figure.ts';

/** All eight wires of the platforms; one provider for each. */
const platforms = [
  'openai',
  'openai-stream',
  'groq',
  'gsv',
  'stream_gsv',
  'elevenlabs',
  'cosyvoice',
  'fish',
];

/**
 * What the board's owner waits for: from the last voiced sample of the question to the first audible sample that leaves the
 * speaker, with this server and with `compat = "echokit-server"`. Both hear the same question and ask the same provider with the
 * same draws, so whatever differs is the server. In virtual time: the same on every machine.
 */
export const compatAnswers: BenchMeasurement = {
  async measure(means) {
    const waits = await measureWaits(means);
    return platforms.flatMap((provider) => {
      const [ours, theirs] = (['harness', 'echokit-server'] as const).map((server) =>
        waits.filter((wait) => wait.provider === provider && wait.server === server),
      );
      return figuresOf(provider, ours!, theirs!);
    });
  },
};

interface Wait {
  readonly provider: string;
  readonly server: string;
  readonly us: number;
}

async function measureWaits(means: BenchMeans): Promise<Wait[]> {
  const { full, catalog, providers, scenarios, signal } = means;
  const plan = planRun(
    full ? scenarios('one-question', 'long-answer') : scenarios('one-question'),
    {
      seed: 1,
      time: 'virtual',
      catalog,
      providers: platforms,
      networks: ['ideal'],
      servers: ['harness', 'echokit-server'],
      repeat: full ? 5 : 1,
    },
  );
  const laboratory = await means.laboratory();
  return await temporaryFolder(async (folder) => {
    const results = await runPlan({
      plan,
      providers,
      laboratory,
      folder,
      signal,
      environment: {},
      sound: false,
    });
    return results.flatMap(waitsOf);
  });
}

/** A turn that was not heard has no latency. */
function waitsOf({ cell: { provider, server }, measurement }: CellResult): Wait[] {
  return measurement.turns.flatMap(({ audibleAtSpeakerUs }) =>
    audibleAtSpeakerUs === null ? [] : [{ provider, server, us: audibleAtSpeakerUs }],
  );
}

function figuresOf(provider: string, ours: readonly Wait[], theirs: readonly Wait[]): Figure[] {
  if (ours.length === 0 || theirs.length === 0) return [];
  const [us, compatUs] = [ours, theirs].map(
    (waits) => middleOf(waits.map((wait) => wait.us)).median,
  );
  const rest = { better: 'lower', kind: 'exact', n: ours.length } as const;
  return [
    {
      ...rest,
      id: `compat.${provider}`,
      label: `first sound at the speaker against the EchoKit server, ${provider}`,
      value: us! / compatUs!,
      unit: '×',
    },
    {
      ...rest,
      id: `compat.${provider}_ms`,
      label: `  first sound at the speaker, ${provider}; the EchoKit server: ${(compatUs! / 1000).toFixed(0)} ms`,
      value: us! / 1000,
      unit: 'ms',
    },
  ];
}
