/** The providers of one run against each other, on the same scenarios and in the same places. */
import { metricFamilies } from '../metrics/metric-catalog.ts';
import type { Random } from '../random/random.ts';
import { answeredOf, isAnsweredEnough } from './answered.ts';
import { bootstrapIntervals, unitsForInterval } from './bootstrap.ts';
import { drawnUnits, exchangeTest } from './change.ts';
import { type ComparableConversation, type ComparableRun, grouped } from './comparable-run.ts';
import type { RankedPlace, RankedProvider } from './comparison.ts';
import { holmAdjusted } from './exact-tests.ts';
import { aligned, type ComparedMetric, type Matched, valuesOf } from './matched-values.ts';
import { sortedValues, statisticOf, weightedStatistic } from './statistic.ts';

const headline: ComparedMetric = {
  path: 'audible_at_speaker_ms.p50',
  family: metricFamilies.find(({ name }) => name === 'audible_at_speaker_ms')!,
  statistic: { kind: 'percentile', percent: 50 },
};

/** At which one provider is said to be slower than another, over all of a place together. */
const apartLevel = 0.05;

/** Places with at least two providers that have spoken the same scenarios. */
export function ranking(
  { conversations }: ComparableRun,
  random: Random,
  resamples: number,
): RankedPlace[] {
  const places = grouped(conversations, ({ device, network, server }) =>
    [device, network, server].join(' · '),
  );
  return [...places].flatMap(([place, inPlace]) => {
    const byProvider = grouped(inPlace, ({ provider }) => provider);
    const sets = grouped([...byProvider], ([, own]) =>
      [...new Set(own.map(({ scenario }) => scenario))].sort().join('\0'),
    );
    return [...sets].flatMap(([scenarios, providers]) =>
      providers.length < 2
        ? []
        : [rankedPlace(scenarios.split('\0'), providers, random.fork(place), resamples)],
    );
  });
}

function rankedPlace(
  scenarios: readonly string[],
  providers: readonly (readonly [string, readonly ComparableConversation[]])[],
  random: Random,
  resamples: number,
): RankedPlace {
  const [{ device, network, server }] = providers[0]![1] as [ComparableConversation];
  const answered = providers.map(([provider, own]) => ({
    provider,
    own,
    answered: answeredOf(own),
  }));
  const ranked = answered
    .filter((one) => isAnsweredEnough(one.answered))
    .flatMap(({ provider, own }) => {
      const place = placeOf(provider, own, random, resamples);
      return place === null ? [] : [{ own, place }];
    })
    .sort((one, other) => one.place.audibleMs - other.place.audibleMs);
  const tests = ranked.slice(1).map(({ own }, i) => {
    const limit = { direction: 'higher', by: 0, relative: true } as const;
    return exchangeTest(matchedByRepetition(ranked[i]!.own, own), headline.statistic, limit).p;
  });
  const p = holmAdjusted(tests);
  return {
    device,
    network,
    server,
    scenarios,
    providers: ranked.map(({ place }, i) =>
      i === 0 ? place : { ...place, apart: p[i - 1]! <= apartLevel },
    ),
    refused: answered.flatMap(({ provider, answered: share }) =>
      isAnsweredEnough(share) ? [] : [{ provider, answered: share }],
    ),
  };
}

function placeOf(
  provider: string,
  own: readonly ComparableConversation[],
  random: Random,
  resamples: number,
): RankedProvider | null {
  const units = own.flatMap((one) => {
    const { values } = valuesOf(one, headline);
    return values.length === 0 ? [] : [{ scenario: one.scenario, values }];
  });
  if (units.length === 0) return null;
  const { statistic } = headline;
  const drawn = drawnUnits(units.map(({ scenario }) => scenario));
  const sorted = sortedValues(drawn.merge(units.map(({ values }) => values)));
  const enough = units.length >= unitsForInterval(statistic);
  const [interval = null] = enough
    ? bootstrapIntervals(
        {
          samples: [drawn.strata],
          statistics: ([weights]) => [weightedStatistic(sorted, weights!, statistic)],
        },
        random.fork(provider),
        resamples,
      )
    : [];
  const audibleMs = statisticOf(sorted, statistic);
  return { provider, audibleMs, interval, conversations: units.length };
}

/** The same repetition of the same scenario, whichever provider spoke in it. */
function matchedByRepetition(
  a: readonly ComparableConversation[],
  b: readonly ComparableConversation[],
): Matched {
  const twins = new Map(b.map((one) => [`${one.scenario}/${one.repetition}`, one]));
  const units = a.flatMap((one) => {
    const twin = twins.get(`${one.scenario}/${one.repetition}`);
    if (twin === undefined) return [];
    const unit = aligned(valuesOf(one, headline), valuesOf(twin, headline), one.scenario);
    return unit.a.length === 0 ? [] : [unit];
  });
  return { kind: 'pairs', units };
}
