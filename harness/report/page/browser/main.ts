/** What the page does. */
import { rowColumns } from '../comparison-rows.ts';
import { showBlind } from './blind-view.ts';
import { ComparisonView } from './comparison-view.ts';
import { ConversationList } from './conversation-list.ts';
import { element, foreign, table } from './element.ts';
import { summary } from './page-store.ts';
import { showTheme } from './theme.ts';

function place(id: string): HTMLElement {
  return document.getElementById(id) ?? element('div');
}

function showNotes(into: HTMLElement): void {
  const { audibleDbfs, notRun, cells } = summary;
  if (notRun.length > 0) {
    into.append(
      table(
        'Not run',
        ['scenario', 'provider', 'board', 'network', 'why'].map((head) => ({ head })),
        notRun
          .slice(0, 500)
          .map(({ scenario, provider, device, network, reason }) =>
            [scenario, provider, device, network, reason].map((text) => foreign(text)),
          ),
      ),
    );
  }
  into.append(
    element(
      'dl',
      {},
      ...rowColumns.flatMap(({ head, meaning }) => [
        element('dt', {}, head),
        element('dd', {}, meaning),
      ]),
      element('dt', {}, 'audible'),
      element('dd', {}, `RMS of 10 ms above ${audibleDbfs ?? '—'} dBFS`),
      ...(cells.some(({ server }) => server === 'echokit-server')
        ? [
            element('dt', {}, '*'),
            element('dd', {}, 'the server behaves as the EchoKit server does'),
          ]
        : []),
    ),
    element(
      'p',
      { id: 'timeline-keys', class: 'hint' },
      'Keys on a timeline: space plays and pauses; arrows seek by 0.25 s, with Shift by 2 s; Page up and down by a quarter; Home, End; + and − zoom, 0 shows all; n goes to the next underrun. The mouse seeks with a click, moves with a drag, and zooms with Ctrl and the wheel.',
    ),
  );
}

showTheme(place('theme-view'));
const list = new ConversationList();
const comparison = new ComparisonView({
  shown: (cells) => list.show(cells),
  opened: (cells) => {
    list.show(cells);
    if (cells.length === 1) list.open(cells[0]!);
    else {
      const section = place('conversations');
      section.scrollIntoView({ block: 'start' });
      section.focus({ preventScroll: true });
    }
  },
});
place('comparison-view').append(comparison.root);
place('conversations-view').append(list.root);
list.show(summary.cells.map((_, i) => i));
showNotes(place('notes-view'));
showBlind(place('blind-view'));
document.documentElement.dataset['ready'] = 'true';

/** A link to one of them opens it. */
const linked = /^#conversation-(\d+)$/.exec(location.hash)?.[1];
if (linked !== undefined && Number(linked) < summary.cells.length) list.open(Number(linked));
