/** One conversation: what was heard and why, from its sound down to its samples. */
import { roundTo } from '../../cell-comparison.ts';
import type { LedgerStageReport } from '../../ledger-report.ts';
import { spanMetricNames } from '../../run-report.ts';
import { stutterOf, stutterWords } from '../fault-words.ts';
import type {
  ConversationFacts,
  GapLine,
  PageConversation,
  Timeline,
  TrackName,
} from '../page-data.ts';
import {
  button,
  type Child,
  details,
  element,
  foreign,
  listen,
  plural,
  seconds,
  table,
} from './element.ts';
import { summary } from './page-store.ts';
import { histogramPlot, prebufferPlot } from './plots.ts';
import { SoundPlayer } from './sound-player.ts';
import { TimelineView } from './timeline-view.ts';

const trackLabels: Readonly<Record<TrackName, string>> = {
  heard: 'what the user heard',
  sent: 'what the server sent',
  given: 'what the provider gave',
  said: 'what the user said',
};

/** Longer lists are opened by whoever wants them. */
const shownGaps = 12;

/** @param name what it is called, for readers of the screen */
export function conversationView(
  { cell, timeline }: PageConversation,
  title: string,
  name: string,
): HTMLElement {
  return element(
    'div',
    { class: 'conversation' },
    element('p', { class: 'title' }, foreign(title)),
    cell.remarks.length === 0
      ? null
      : element(
          'ul',
          { class: 'remarks' },
          ...cell.remarks.map((text) => element('li', {}, foreign(text))),
        ),
    failures(cell),
    ...(timeline === null
      ? [element('p', { class: 'none' }, 'Its recording could not be read: there is no timeline.')]
      : sounding(timeline, cell, name)),
    waterfalls(cell),
    expectations(cell),
    ...(timeline === null ? [] : [plots(cell, timeline)]),
    ledger(cell),
    ...(timeline === null ? [] : [sentences(timeline), consoleLines(timeline)]),
    facts(cell),
  );
}

function failures({ failures: all, turns }: ConversationFacts): HTMLElement | null {
  if (all.length === 0 && turns.every(({ verdict }) => verdict !== 'failed')) return null;
  return element(
    'div',
    { class: 'failures' },
    element('h3', {}, 'What failed'),
    element(
      'ul',
      {},
      ...all.map(({ code, message, expected, seqs }) =>
        element(
          'li',
          {},
          foreign(message),
          element('small', {}, ' ', foreign(code), expected ? ', expected' : ''),
          lines(seqs),
        ),
      ),
    ),
  );
}

function lines(seqs: readonly number[]): HTMLElement | string {
  if (seqs.length === 0) return '';
  return element('small', {}, ` seq ${seqs.slice(0, 6).join(', ')}${seqs.length > 6 ? ' …' : ''}`);
}

/** Player, timeline, and the underruns explained. */
function sounding(timeline: Timeline, cell: ConversationFacts, name: string): HTMLElement[] {
  let view: TimelineView | undefined;
  const play = button('▶ Play', () => void (player.isPlaying ? player.pause() : player.play()), {
    class: 'play',
  });
  const problem = element('p', { class: 'problem', role: 'status' });
  const player = new SoundPlayer(timeline, cell.folder, () => {
    play.textContent = player.isPlaying ? '❚❚ Pause' : '▶ Play';
    problem.textContent = player.problem ?? '';
    view?.follow();
  });
  const gaps = gapList(timeline, (gap) => {
    void view?.seek(Math.max(0, timeline.gaps[gap]!.atMs - 700));
    void player.play();
  });
  view = new TimelineView(timeline, player, name, gaps.show);
  const group = `sound-of-${name}`;
  const choices = Object.entries(trackLabels).map(([track, label]) => {
    const radio = listen(
      element('input', { type: 'radio', name: group, value: track, checked: track === 'heard' }),
      {
        change: () => {
          void player.choose(track as TrackName);
          void view?.showTrack();
        },
      },
    );
    return element('label', {}, radio, label);
  });
  return [
    ...(timeline.partial
      ? [
          element(
            'p',
            { class: 'problem' },
            'The recording is partial: the run was stopped before its end.',
          ),
        ]
      : []),
    element(
      'div',
      { class: 'tools' },
      play,
      element('fieldset', { class: 'tracks' }, element('legend', {}, 'Listen to'), ...choices),
    ),
    problem,
    view.root,
    gaps.root,
  ];
}

function gapList(
  { gaps }: Timeline,
  listenTo: (gap: number) => void,
): { readonly root: HTMLElement; show(gap: number): void } {
  const explained = element('div', { class: 'explained', role: 'status' });
  const show = (gap: number): void => {
    explained.replaceChildren(explanation(gaps[gap]!, gap));
    for (const [i, item] of items.entries()) item.classList.toggle('chosen', i === gap);
  };
  const items = gaps.map((gap, i) =>
    element(
      'li',
      {},
      button(gapWords(gap, i), () => {
        show(i);
        listenTo(i);
      }),
    ),
  );
  if (gaps.length === 0) {
    return {
      root: element(
        'p',
        { class: 'none' },
        'No underrun: the speaker never waited in the middle of a sentence.',
      ),
      show,
    };
  }
  const hidden = items.slice(shownGaps);
  const root = element(
    'div',
    { class: 'gaps' },
    element('h3', {}, `It ${stutterWords(stutterOf(gaps))}`),
    element(
      'p',
      { class: 'hint' },
      'Choose one to hear it and to see what was late; or click it in the timeline.',
    ),
    element('ol', {}, ...items.slice(0, shownGaps)),
    hidden.length === 0
      ? null
      : details(`${hidden.length} more`, element('ol', { start: shownGaps + 1 }, ...hidden)),
    explained,
  );
  return { root, show };
}

function gapWords({ atMs, durationMs, fault }: GapLine, i: number): string {
  return `${i + 1}: ${Math.round(durationMs)} ms at ${seconds(atMs)}, ${fault}`;
}

function explanation(gap: GapLine, i: number): HTMLElement {
  const { turn, sentence, atMs, durationMs, fault, evidence, stages, trailing } = gap;
  const where = `${turn === null ? '' : `turn ${turn}, `}sentence ${sentence}`;
  return element(
    'div',
    {},
    element(
      'h4',
      {},
      `Underrun ${i + 1}: ${Math.round(durationMs)} ms at ${seconds(atMs)}, ${where}`,
    ),
    element(
      'p',
      {},
      fault === 'cause not known'
        ? 'The recording does not tell whose fault it was.'
        : 'Whose fault: ',
      fault === 'cause not known' ? '' : element('strong', {}, fault),
      trailing
        ? '. It came after the last sound of the sentence: the player waited for the end marker only.'
        : '',
    ),
    element(
      'ul',
      {},
      ...evidence.map(({ text, seqs }) => element('li', {}, foreign(text), lines(seqs))),
    ),
    stages.length === 0
      ? null
      : table(
          'The four stages on the way to the speaker',
          [
            { head: 'stage' },
            { head: 'later than at the beginning of the sentence, ms', number: true },
            { head: 'shorter without it alone, ms', number: true },
          ],
          stages.map(({ stage, delayMs, savedMs }) => [
            stage,
            `${Math.round(delayMs)}`,
            `${Math.round(savedMs)}`,
          ]),
        ),
  );
}

const spanLabels: Readonly<Record<string, string>> = {
  end_of_turn_ms: 'the server notices that the user has finished',
  first_text_ms: 'first text of the reply',
  sentence_ready_ms: 'first sentence complete',
  handover_ms: 'handed to the adapter',
  text_optimization_ms: 'text rewritten',
  connect_ms: 'connection to the provider',
  ttfb_ms: 'first audio byte of the provider',
  server_hold_ms: 'held by the server until the first frame',
  downlink_ms: 'on the way to the board',
  play_start_ms: 'first sample leaves the player',
  lead_silence_ms: 'silence before the first sound',
  unattributed_ms: 'not known',
};

function waterfalls({ turns }: ConversationFacts): HTMLElement {
  return element(
    'div',
    { class: 'waterfalls' },
    element('h3', {}, 'Where the time to the first sound went'),
    ...turns.map(({ turn, verdict, failure, audible_at_speaker_ms: heard, spans }) => {
      if (heard === null) {
        return element(
          'p',
          { class: 'none' },
          `Turn ${turn} ${verdict === 'failed' ? 'failed' : 'was not heard'} and has no times`,
          failure === undefined ? '.' : ': ',
          failure === undefined ? null : foreign(`${failure.kind}: ${failure.message}`),
        );
      }
      const names = spanMetricNames.filter((name) => (spans[name] ?? 0) !== 0);
      const whole = roundTo(
        Math.round(heard),
        names.map((name) => spans[name]!),
      );
      let from = 0;
      const rows = names.map((name, i): Child[] => {
        const exact = spans[name]!;
        const bar = element('span', { class: 'span' });
        bar.style.setProperty('--from', `${(100 * from) / heard}%`);
        bar.style.setProperty('--length', `${(100 * Math.max(0, exact)) / heard}%`);
        from += exact;
        return [spanLabels[name] ?? name, `${whole[i]}`, bar];
      });
      return table(
        `Turn ${turn}: ${Math.round(heard)} ms from the user’s last word to the first sound${verdict === 'interrupted' ? '; the user cut the answer off' : ''}`,
        [{ head: 'span' }, { head: 'ms', number: true }, { head: 'from the user’s last word on' }],
        [...rows, ['= heard', `${Math.round(heard)}`, '']],
      );
    }),
  );
}

function expectations({ expectations: all }: ConversationFacts): HTMLElement | null {
  if (all.length === 0) return null;
  const missed = all.filter(({ outcome }) => outcome === 'fail').length;
  return details(
    `Expectations: ${missed === 0 ? `all ${all.length} met or not known` : `${missed} of ${all.length} missed`}`,
    table(
      'What the scenario expects',
      ['metric', 'expected', 'actual', 'outcome', 'evidence', 'where it stands'].map((head) => ({
        head,
        long: head === 'evidence',
      })),
      all.map(({ metric, operator, value, actual, outcome, evidence, at, turn, seqs }) => [
        foreign(turn === undefined ? metric : `${metric} (turn ${turn})`),
        foreign(`${operator} ${value}`),
        foreign(shown(actual)),
        element('span', { class: `verdict ${outcome}` }, outcome),
        element('span', {}, foreign(evidence), lines(seqs)),
        foreign(`${at.file}:${at.line}`),
      ]),
    ),
  );
}

/** Three digits behind the point are microseconds. */
function shown(value: number | string | null): string {
  if (value === null) return '—';
  return typeof value === 'number' ? `${Math.round(value * 1000) / 1000}` : value;
}

function plots({ seams }: ConversationFacts, { arrivalGaps, prebuffer }: Timeline): HTMLElement {
  return element(
    'div',
    { class: 'plots' },
    histogramPlot('Seams between sentences', 'No seam: every answer was one sentence.', seams),
    histogramPlot(
      'Gaps between arrivals of the provider’s audio',
      'No gap: audio came in one piece.',
      arrivalGaps,
    ),
    prebuffer === null
      ? element(
          'figure',
          { class: 'plot' },
          element('figcaption', {}, 'What a prebuffer would have changed'),
          element(
            'p',
            { class: 'none' },
            'Nothing, as far as the recording tells: no answer that was heard to its end had an underrun.',
          ),
        )
      : prebufferPlot(prebuffer),
  );
}

/** Where every sample went: a row for each stage, above it what was added or taken on the way. */
function ledger({ ledger: whole, turns }: ConversationFacts): HTMLElement {
  const columns = [...turns.map(({ ledger: { stages } }) => stages), whole.outside, whole.stages];
  const cells = (
    of: (stages: readonly LedgerStageReport[]) => number | null | undefined,
  ): string[] =>
    columns.map((stages) => {
      const value = of(stages);
      return value === null || value === undefined ? '—' : `${value}`;
    });
  const rows: Child[][] = [];
  for (const { stage, causes, ms, unexplained } of whole.stages) {
    const own = (stages: readonly LedgerStageReport[]) => stages.find((one) => one.stage === stage);
    for (const { cause, defect, ms: causeMs } of causes) {
      const amounts = cells(
        (stages) => own(stages)?.causes.find((one) => one.cause === cause)?.samples ?? 0,
      );
      const name = element(
        'span',
        { class: defect === true ? 'cause defect' : 'cause' },
        `${cause}${defect === true ? ' (a defect)' : ''}`,
      );
      rows.push([name, ...amounts.map(signed), signed(causeMs.toFixed(1))]);
    }
    if ((unexplained ?? 0) !== 0) {
      const amounts = cells((stages) => own(stages)?.unexplained ?? 0);
      rows.push([element('span', { class: 'cause defect' }, 'unexplained'), ...amounts, '']);
    }
    rows.push([
      stage,
      ...cells((stages) => own(stages)?.samples),
      ms === null ? '—' : ms.toFixed(1),
    ]);
  }
  const faults = whole.unexplained.length;
  return details(
    `Sample ledger: ${faults === 0 ? 'every sample has a cause' : `${plural(faults, 'contradiction')}`}`,
    table(
      'Where every sample went (16 kHz)',
      [
        { head: 'stage' },
        ...turns.map(({ turn }) => ({ head: `turn ${turn}`, number: true })),
        ...['outside', 'sum', 'ms'].map((head) => ({ head, number: true })),
      ],
      rows,
    ),
  );
}

function signed(amount: string): string {
  return amount === '0' || amount === '0.0'
    ? ''
    : amount.startsWith('-') || amount === '—'
      ? amount
      : `+${amount}`;
}

function sentences({ sentences: all, user }: Timeline): HTMLElement {
  return details(
    `What was said: ${plural(all.length, 'sentence')} of the answer`,
    table(
      'What was said',
      [
        { head: 'at', number: true },
        { head: 'who' },
        { head: 'text', long: true },
        { head: 'ms', number: true },
      ],
      [
        ...user.map(({ atMs, ms, text }) => ({
          at: atMs,
          cells: [seconds(atMs), 'user', foreign(text), `${Math.round(ms)}`] as Child[],
        })),
        ...all.map(({ sentence, text, heard }) => ({
          at: heard?.atMs ?? Number.POSITIVE_INFINITY,
          cells: [
            heard === null ? 'not played' : seconds(heard.atMs),
            `sentence ${sentence ?? '?'}`,
            text === null ? '—' : foreign(text),
            heard === null ? '—' : `${Math.round(heard.ms)}`,
          ] as Child[],
        })),
      ]
        .sort((a, b) => a.at - b.at)
        .map(({ cells }) => cells),
    ),
  );
}

function consoleLines({ console: all }: Timeline): HTMLElement {
  const rows = (): Child =>
    all.length === 0
      ? element('p', { class: 'none' }, 'The board printed nothing.')
      : table(
          'Console of the board',
          [{ head: 'at', number: true }, { head: 'level' }, { head: 'line', long: true }],
          all.map(({ atMs, level, text }) => [
            seconds(atMs, 3),
            level,
            element('code', {}, foreign(text)),
          ]),
        );
  const made = element(
    'details',
    {},
    element('summary', {}, `Console: ${plural(all.length, 'line')}`),
  );
  // Hundreds of lines, which few will read.
  made.addEventListener('toggle', () => made.append(rows() ?? ''), { once: true });
  return made;
}

function facts({ recording, seed, host, folder }: ConversationFacts): HTMLElement {
  const sound = summary.sound;
  const coding =
    sound.kind === 'none'
      ? `The page has no sound: ${sound.why}.`
      : sound.kind === 'linked'
        ? 'Sound is played from the files of the recording, which must be where they were.'
        : sound.shift === 0
          ? 'Sound here is that of the recording, sample for sample.'
          : `Sound here differs from the recording by at most ${2 ** (sound.shift - 1)} of 32768 in any sample (${(20 * Math.log10(2 ** (sound.shift - 1) / 32768)).toFixed(0)} dBFS), to save room; no figure is taken from it.`;
  return element(
    'p',
    { class: 'hint' },
    `${coding} Server and provider: each sentence begins where the speaker began it, and is cut where the next one does. Recording: `,
    folder === null ? foreign(recording) : element('a', { href: `${folder}/` }, foreign(recording)),
    `, seed ${seed}${host === null ? '' : ', spoken by '}`,
    host === null ? '' : foreign(host),
    '.',
  );
}
