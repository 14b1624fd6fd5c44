/** The top of a page: what was run, and what it comes to. It needs no script. */
import { externalServer } from '../../scenario/plan.ts';
import { flakyGroups } from '../flaky-report.ts';
import type { RunReport } from '../run-report.ts';
import { stutterWords } from './fault-words.ts';
import type { PageSummary } from './page-data.ts';
import { htmlText } from './page-text.ts';
import { type ProviderAnswer, runAnswers } from './run-answers.ts';

/** From `<body>` on. */
export function pageHead(report: RunReport, { cells }: PageSummary): string {
  const answers = runAnswers(cells);
  const { providers } = answers;
  const facts = runFacts(report)
    .map(([name, value]) => `<div><dt>${name}</dt><dd>${bidi(value)}</dd></div>`)
    .join('\n');
  return `<body>
<a class="skip" href="#comparison">To the comparison</a>
<header>
<div class="top"><h1>Run ${bidi(report.run.id)}</h1><div id="theme-view"></div></div>
<p class="verdict ${worst(report)}">${verdictSentence(report)}</p>
<ul class="answers">
${[firstToSpeak(providers, answers), stutterSentence(providers), soundSentence]
  .map((sentence) => `<li>${sentence}</li>`)
  .join('\n')}
</ul>
${providers.length > 1 ? providerBars(providers) : ''}
<p class="caution">${whoSpoke(report)}</p>
<details class="facts"><summary>What was run</summary>
<dl>
${facts}
</dl>
</details>
</header>
<main>
`;
}

function bidi(text: string): string {
  return `<bdi>${htmlText(text)}</bdi>`;
}

function worst({ cells }: RunReport): string {
  return (
    (['fail', 'infra'] as const).find((verdict) =>
      cells.some((cell) => cell.verdict === verdict),
    ) ?? 'pass'
  );
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function verdictSentence({ cells, notRun }: RunReport): string {
  const of = (verdict: string) => cells.filter((cell) => cell.verdict === verdict).length;
  const [passed, failed, infra] = [of('pass'), of('fail'), of('infra')];
  const left =
    notRun.length === 0 ? '' : ` ${count(notRun.length, 'more')} not run.`.replace('mores', 'more');
  if (cells.length === 0) return `No conversation was held.${left}`;
  const groups = flakyGroups(cells).length;
  const flaky = groups === 0 ? '' : ` ${groups} ${groups === 1 ? 'is' : 'are'} flaky.`;
  if (passed === cells.length) {
    const all = cells.length === 1 ? 'The conversation' : `All ${cells.length} conversations`;
    return `${all} passed.${flaky}${left}`;
  }
  const parts = [
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(infra > 0 ? [`${infra} could not be judged`] : []),
    `${passed} passed`,
  ];
  return `Of ${count(cells.length, 'conversation')}, ${parts.join(', ')}.${flaky}${left}`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

function firstToSpeak(
  providers: readonly ProviderAnswer[],
  { compared, partly }: { readonly compared: number; readonly partly: boolean },
): string {
  const ranked = providers.filter(({ unranked }) => unranked === null);
  const [first, second] = ranked;
  const lead = '<strong>First to speak:</strong> ';
  const left = providers
    .filter(({ unranked }) => unranked !== null)
    .map(({ row, unranked }) => `${bidi(row)} (${htmlText(unranked!)})`);
  const without = left.length === 0 ? '' : ` Not ranked: ${left.join('; ')}.`;
  if (first === undefined) return `${lead}nobody can be ranked.${without}`;
  const basis = `${first.n === 1 ? '1 answer' : `median of ${first.n} answers`}`;
  const among = partly ? ` in the ${count(compared, 'conversation')} that all of them held` : '';
  const heard = `${seconds(first.heardMs!)} after the user’s last word (${basis}${among})`;
  if (second === undefined) return `${lead}${bidi(first.row)}, ${heard}.${without}`;
  const together = ranked.filter(({ heardMs }) => heardMs! - first.heardMs! < 1);
  const last = ranked.at(-1)!;
  const behind =
    together.length === ranked.length
      ? ''
      : ranked.length - together.length === 1
        ? `; then ${bidi(last.row)}, ${seconds(last.heardMs!)}`
        : `; then ${bidi(ranked[together.length]!.row)}, ${seconds(ranked[together.length]!.heardMs!)}; last ${bidi(last.row)}, ${seconds(last.heardMs!)}`;
  const names = together.map(({ row }) => `<b>${bidi(row)}</b>`).join(' and ');
  return `${lead}${names}, ${heard}${behind}.${without}`;
}

function stutterSentence(providers: readonly ProviderAnswer[]): string {
  const lead = '<strong>Stutter:</strong> ';
  const broken = providers
    .filter(({ stutter }) => (stutter ?? []).length > 0)
    .sort((a, b) => total(b) - total(a));
  const silent = providers.filter(({ stutter }) => stutter === null);
  const unheard =
    silent.length === 0
      ? ''
      : ` Nothing was played of ${silent.map(({ row }) => bidi(row)).join(', ')}.`;
  if (broken.length === 0) {
    return silent.length === providers.length
      ? `${lead}nothing was played.`
      : `${lead}none; every answer was played without a break.${unheard}`;
  }
  const parts = broken.map(
    ({ row, stutter }) => `<b>${bidi(row)}</b> ${htmlText(stutterWords(stutter!))}`,
  );
  const rest = providers.length - broken.length - silent.length;
  const others =
    rest === 0 ? '' : rest === 1 ? '. The other one did not' : `. The other ${rest} did not`;
  return `${lead}${parts.join('. ')}${others}.${unheard}`;
}

function total({ stutter }: ProviderAnswer): number {
  return (stutter ?? []).reduce((sum, { ms }) => sum + ms, 0);
}

const soundSentence =
  '<strong>How it sounded:</strong> open one of the <a href="#conversations">conversations</a> and press play, or compare two providers <a href="#blind">without knowing which is which</a>.';

/** The same at a glance: a bar for the wait, and what was broken. */
function providerBars(providers: readonly ProviderAnswer[]): string {
  const longest = Math.max(1, ...providers.map(({ heardMs }) => heardMs ?? 0));
  const rows = providers.map(({ row, heardMs, n, unranked, stutter, turns }) => {
    const bar =
      unranked !== null || heardMs === null
        ? `<span class="unranked">not ranked: ${htmlText(unranked ?? 'no answer was heard')}</span>`
        : `<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect width="${((100 * heardMs) / longest).toFixed(2)}" height="10"/></svg><span class="amount">${seconds(heardMs)} <small>n ${n}</small></span>`;
    const broken = stutter === null ? 'nothing was played' : stutterWords(stutter);
    const failed =
      turns.failed === 0
        ? ''
        : `<span class="failed">${count(turns.failed, 'turn')} failed</span> `;
    const tone = stutter === null || stutter.length > 0 ? ' class="broken"' : '';
    return `<tr><th scope="row">${bidi(row)}</th><td class="wait">${bar}</td><td${tone}>${failed}${htmlText(broken)}</td></tr>`;
  });
  return `<div class="wide"><table class="bars"><caption>The wait for the first sound, and breaks in the answer</caption>
<thead><tr><th scope="col">provider</th><th scope="col">last word of the user to first sound, median</th><th scope="col">stutter; whose fault</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody></table></div>`;
}

function whoSpoke(report: RunReport): string {
  const estimated = report.cells.some(({ board }) => board !== undefined)
    ? ' On a real board, times at the speaker are estimates of its model, which got the same messages.'
    : '';
  return `${speakers(report)}${estimated}`;
}

function speakers({ run, cells }: RunReport): string {
  const external = cells.length > 0 && cells.every(({ server }) => server === externalServer);
  if (external) {
    return 'Another EchoKit server answered; what only it and its provider could tell is not known.';
  }
  if (run.live) {
    const hosts = [...new Set(cells.flatMap(({ host }) => (host === null ? [] : [host])))];
    return `Live: real services spoke (${hosts.map(bidi).join(', ')}).`;
  }
  if (run.replay !== undefined) {
    return 'Recordings answered in the place of the providers.';
  }
  return 'Stand-ins of the providers spoke on this machine, with timing from published figures. This tells how such a delivery behaves on the board. It does not tell which company is faster.';
}

/** Name and value, for a person. */
function runFacts({ run, cells, environment }: RunReport): [string, string][] {
  const names = (key: 'scenario' | 'provider' | 'device' | 'network' | 'server') =>
    [...new Set(cells.map((cell) => cell[key]))].join(', ');
  const facts: [string, string | undefined][] = [
    ['began', run.startedAt],
    ['took', run.durationMs === undefined ? undefined : seconds(run.durationMs)],
    ['time', run.time],
    ['seed', run.seed === null ? 'not known' : `${run.seed}`],
    ['scenarios', names('scenario')],
    ['providers', names('provider')],
    ['boards', names('device')],
    ['networks', names('network')],
    ['servers', names('server')],
    [
      'requests to services',
      run.budget === undefined
        ? undefined
        : `${run.budget.requests} of ${run.budget.maxRequests}, ${run.budget.characters} of ${run.budget.maxCharacters} characters`,
    ],
    ...Object.entries(environment).map(([name, value]): [string, string] => [
      htmlText(name),
      `${value}`,
    ]),
  ];
  return facts.flatMap(([name, value]) =>
    value === undefined || value === '' || (name === 'startedAt' && value === run.startedAt)
      ? []
      : [[name, value]],
  );
}
