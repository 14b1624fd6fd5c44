/** All conversations, each of which opens; what is in them is read when they do. */

import { stutterWords } from '../fault-words.ts';
import type { PageCell } from '../page-data.ts';
import { conversationView } from './conversation-view.ts';
import { button, element, foreign, plural, seconds } from './element.ts';
import { readConversation, summary } from './page-store.ts';

/** So many more are shown at a time. */
const step = 100;

export class ConversationList {
  readonly root = element('div');
  readonly #items = element('div', { class: 'list' });
  readonly #more = element('div', { class: 'more' });
  readonly #made = new Map<number, HTMLDetailsElement>();
  #shown: readonly number[] = [];
  #count = 0;

  constructor() {
    this.root.append(this.#items, this.#more);
  }

  /** @param cells indices, in the order of the list */
  show(cells: readonly number[]): void {
    this.#shown = cells;
    this.#count = 0;
    this.#items.replaceChildren();
    this.#addMore();
  }

  /** Opens one, brings it into view and puts the focus on it. */
  open(index: number): void {
    if (!this.#shown.includes(index)) this.show([index]);
    while (this.#shown.indexOf(index) >= this.#count) this.#addMore();
    const item = this.#item(index);
    item.open = true;
    item.scrollIntoView({ block: 'start' });
    item.querySelector('summary')?.focus({ preventScroll: true });
  }

  #addMore(): void {
    const next = this.#shown.slice(this.#count, this.#count + step);
    this.#items.append(...next.map((index) => this.#item(index)));
    this.#count += next.length;
    const left = this.#shown.length - this.#count;
    this.#more.replaceChildren(
      element('span', {}, `${this.#count} of ${plural(this.#shown.length, 'conversation')}`),
      ...(left === 0 ? [] : [button(`show ${Math.min(step, left)} more`, () => this.#addMore())]),
    );
  }

  #item(index: number): HTMLDetailsElement {
    const known = this.#made.get(index);
    if (known !== undefined) return known;
    const cell = summary.cells[index]!;
    const item = element('details', { class: 'item', id: `conversation-${index}` }, heading(cell));
    const inside = element('div', { class: 'inside', 'aria-busy': 'true' }, 'Loading …');
    item.append(inside);
    item.addEventListener(
      'toggle',
      () => {
        void readConversation(index).then((conversation) => {
          inside.removeAttribute('aria-busy');
          inside.replaceChildren(conversationView(conversation, cell.title, `${index + 1}`));
        });
      },
      { once: true },
    );
    this.#made.set(index, item);
    return item;
  }
}

function heading(cell: PageCell): HTMLElement {
  const { scenario, row, board, network, repetition, verdict, reason, values, stutter, metrics } =
    cell;
  const heard = values['audible_at_speaker_ms'] ?? [];
  const underruns = metrics['underruns'];
  const wasPlayed =
    typeof underruns === 'object' && underruns !== null && underruns['count'] !== null;
  const failed = cell.turns.filter((turn) => turn.verdict === 'failed').length;
  return element(
    'summary',
    {},
    element('span', { class: `verdict ${verdict}` }, verdict),
    element(
      'span',
      { class: 'name' },
      foreign(scenario),
      ' · ',
      element('b', {}, foreign(row)),
      ' · ',
      foreign(board),
      ' · ',
      foreign(network),
      repetition === undefined ? null : ` · repetition ${repetition}`,
    ),
    element(
      'span',
      { class: 'brief' },
      ...(reason === '' ? [] : [foreign(reason), '; ']),
      ...(cell.flaky === undefined ? [] : [element('b', { title: cell.flaky }, 'flaky'), '; ']),
      ...(failed === 0
        ? []
        : [
            element(
              'span',
              { class: 'failed' },
              `${failed} of ${plural(cell.turns.length, 'turn')} failed`,
            ),
            '; ',
          ]),
      heard.length === 0
        ? 'no answer heard'
        : `first sound after ${heard
            .map((ms) => seconds(ms))
            .slice(0, 4)
            .join(', ')}${heard.length > 4 ? ' …' : ''}`,
      '; ',
      element(
        'span',
        { class: stutter.length > 0 ? 'broken' : '' },
        wasPlayed ? stutterWords(stutter) : 'nothing was played',
      ),
    ),
  );
}
