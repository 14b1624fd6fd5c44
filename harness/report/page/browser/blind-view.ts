/** Two providers of the same conversation, heard without knowing which is which. Votes stay here and touch no figure. */
import { integratedLoudnessLufs } from '../../../metrics/loudness.ts';
import { type BlindTrial, blindTrials } from '../blind-trials.ts';
import type { Timeline } from '../page-data.ts';
import { button, element, foreign, listen, plural, table } from './element.ts';
import {
  hasSound,
  readConversation,
  readTrack,
  samplesPerMs,
  summary,
  wavOf,
} from './page-store.ts';

type Choice = 'a' | 'b' | 'equal';
interface Vote {
  readonly better: string | null;
  readonly providers: readonly [string, string];
  readonly scenario: string;
  readonly board: string;
  readonly network: string;
}

const key = `echokit-harness-votes:${summary.id}:${summary.seed}`;

export function showBlind(into: HTMLElement): void {
  const trials = blindTrials(summary.cells, summary.seed);
  if (!hasSound || trials.length === 0) {
    const why = hasSound
      ? 'It needs two providers that were heard in the same scenario, on the same board and network.'
      : 'It needs the sound in the page, to bring both to the same loudness; this run has more of it than a page holds.';
    into.append(element('p', { class: 'none' }, why));
    return;
  }
  const votes = new Map(kept());
  const stage = element('div', { class: 'trial' });
  const results = element('div', { class: 'results', role: 'status' });
  let at = 0;
  const show = (): void => {
    while (at < trials.length && votes.has(at)) at++;
    stage.replaceChildren(
      at < trials.length
        ? trialView(trials[at]!, at, trials.length, (choice) => {
            votes.set(at, voteOf(trials[at]!, choice));
            keep(votes);
            results.replaceChildren();
            at++;
            show();
            stage.querySelector<HTMLElement>('button')?.focus();
          })
        : element('p', {}, `All ${trials.length} pairs were heard.`),
    );
  };
  into.append(
    element(
      'p',
      { class: 'hint' },
      'The first answer of two providers to the same words, as the speaker played it, brought to the same loudness. Names, sides and order are hidden and drawn from the seed of the run. Votes are kept in this browser; they are part of no figure.',
    ),
    stage,
    element(
      'div',
      { class: 'tools' },
      button('Show who was preferred', () => results.replaceChildren(resultView(votes))),
      button('Save the votes as JSON', () => save(votes)),
      button('Forget the votes', () => {
        votes.clear();
        keep(votes);
        at = 0;
        results.replaceChildren('Forgotten.');
        show();
      }),
    ),
    results,
  );
  show();
}

function trialView(
  trial: BlindTrial,
  number: number,
  of: number,
  vote: (choice: Choice) => void,
): HTMLElement {
  const loaded = loadPair(trial);
  const heard = new Set<number>();
  const status = element('p', { class: 'hint', role: 'status' }, 'Hear both, then choose.');
  const choices = (
    [
      ['a', 'A is better'],
      ['b', 'B is better'],
      ['equal', 'no difference'],
    ] as const
  ).map(([choice, label]) => button(label, () => vote(choice), { disabled: true }));
  const audio = new Audio();
  let url: string | undefined;
  const play = async (side: 0 | 1): Promise<void> => {
    const pair = await loaded;
    if (url !== undefined) URL.revokeObjectURL(url);
    url = URL.createObjectURL(pair[side]);
    audio.src = url;
    await audio.play();
    status.textContent = `${side === 0 ? 'A' : 'B'} is playing.`;
    heard.add(side);
    if (heard.size === 2) for (const choice of choices) choice.disabled = false;
  };
  listen(audio, {
    ended: () => {
      status.textContent = heard.size === 2 ? 'Which is better?' : 'Now the other one.';
    },
  });
  const player = (side: 0 | 1): HTMLButtonElement =>
    button(
      `▶ ${side === 0 ? 'A' : 'B'}`,
      () => {
        play(side).catch(() => {
          status.textContent = 'This browser does not play it.';
        });
      },
      { class: 'play', 'aria-label': `play ${side === 0 ? 'A' : 'B'}` },
    );
  const stop = button('■ stop', () => audio.pause());
  const leaves = new MutationObserver(() => {
    if (!status.isConnected) {
      audio.pause();
      leaves.disconnect();
    }
  });
  const made = element(
    'div',
    {},
    element('h3', {}, `Pair ${number + 1} of ${of}`),
    element('div', { class: 'tools' }, player(0), player(1), stop),
    element('div', { class: 'tools', role: 'group', 'aria-label': 'your choice' }, ...choices),
    status,
  );
  queueMicrotask(() => {
    if (made.parentElement !== null) leaves.observe(made.parentElement, { childList: true });
  });
  return made;
}

/** Both at the loudness of the softer one: nothing is made louder, so nothing is clipped. */
async function loadPair({ a, b }: BlindTrial): Promise<readonly [Blob, Blob]> {
  const sounds = [await answerOf(a), await answerOf(b)] as const;
  const loudness = sounds.map((sound) => integratedLoudnessLufs(sound));
  const [left, right] = [loudness[0] ?? null, loudness[1] ?? null];
  const target = left === null || right === null ? null : Math.min(left, right);
  const matched = sounds.map((sound, i) => {
    const own = loudness[i] ?? null;
    if (target === null || own === null) return wavOf(sound);
    const gain = 10 ** ((target - own) / 20);
    return wavOf(sound.map((sample) => Math.round(sample * gain)));
  });
  return [matched[0]!, matched[1]!];
}

/** What the speaker played of the first answer. */
async function answerOf(index: number): Promise<Int16Array> {
  const { timeline } = await readConversation(index);
  if (timeline === null) return new Int16Array(0);
  const samples = await readTrack(timeline, 'heard');
  const { fromMs, toMs } = firstAnswer(timeline);
  return samples.slice(
    Math.max(0, Math.floor(fromMs * samplesPerMs)),
    Math.ceil(toMs * samplesPerMs),
  );
}

function firstAnswer({ turns, sentences }: Timeline): {
  readonly fromMs: number;
  readonly toMs: number;
} {
  const turn = turns.find(({ firstSoundMs }) => firstSoundMs !== null);
  const own = sentences.filter(
    (sentence) => sentence.turn === turn?.turn && sentence.heard !== null,
  );
  const ends = own.map(({ heard }) => heard!.atMs + heard!.ms);
  return { fromMs: Math.min(...own.map(({ heard }) => heard!.atMs)), toMs: Math.max(...ends) };
}

function voteOf({ a, b }: BlindTrial, choice: Choice): Vote {
  const [first, second] = [summary.cells[a]!, summary.cells[b]!];
  const { scenario, board, network } = first;
  return {
    better: choice === 'equal' ? null : choice === 'a' ? first.row : second.row,
    providers: [first.row, second.row],
    scenario,
    board,
    network,
  };
}

function resultView(votes: ReadonlyMap<number, Vote>): HTMLElement {
  const all = [...votes.values()];
  if (all.length === 0) return element('p', {}, 'Nobody has voted yet.');
  const names = [...new Set(all.flatMap(({ providers }) => providers))];
  const rows = names
    .map((name) => {
      const heard = all.filter(({ providers }) => providers.includes(name));
      const won = heard.filter(({ better }) => better === name).length;
      const equal = heard.filter(({ better }) => better === null).length;
      return { name, heard: heard.length, won, equal };
    })
    .sort((x, y) => y.won / y.heard - x.won / x.heard);
  return table(
    `Preferred in ${plural(all.length, 'vote')}`,
    [
      { head: 'provider' },
      ...['better', 'no difference', 'other better', 'n'].map((head) => ({ head, number: true })),
    ],
    rows.map(({ name, heard, won, equal }) => [
      foreign(name),
      `${won}`,
      `${equal}`,
      `${heard - won - equal}`,
      `${heard}`,
    ]),
  );
}

function save(votes: ReadonlyMap<number, Vote>): void {
  const document = {
    schemaVersion: 1,
    run: summary.id,
    seed: summary.seed,
    votes: [...votes.values()],
  };
  const url = URL.createObjectURL(
    new Blob([`${JSON.stringify(document, null, 2)}\n`], { type: 'application/json' }),
  );
  const link = element('a', { href: url, download: 'blind-listening.json' });
  link.click();
  requestAnimationFrame(() => URL.revokeObjectURL(url));
}

function kept(): [number, Vote][] {
  try {
    return JSON.parse(localStorage.getItem(key) ?? '[]') as [number, Vote][];
  } catch {
    return [];
  }
}

function keep(votes: ReadonlyMap<number, Vote>): void {
  try {
    localStorage.setItem(key, JSON.stringify([...votes]));
  } catch {
    // They are there until the page is closed.
  }
}
