/** The comparison: a table that is filtered, sorted, and leads to its conversations. */
import {
  type CellFilter,
  type ComparisonRow,
  comparisonRows,
  filtered,
  rowColumns,
  sortedRows,
} from '../comparison-rows.ts';
import { button, element, foreign, foreignText, listen, plural } from './element.ts';
import { summary } from './page-store.ts';

const step = 100;

export interface ComparisonListener {
  /** Other cells are looked at. */
  shown(cells: readonly number[]): void;
  /** Their conversations are wanted. */
  opened(cells: readonly number[]): void;
}

export class ComparisonView {
  readonly root = element('div');
  readonly #listener: ComparisonListener;
  readonly #table = element('table', { class: 'comparison' });
  readonly #more = element('div', { class: 'more' });
  readonly #status = element('p', { class: 'hint', role: 'status' });
  #filter: CellFilter = { scenario: null, board: null, network: null, row: null };
  #by: 'provider' | 'conversation';
  #sort: { readonly key: string; readonly direction: 'ascending' | 'descending' } = {
    key: 'heard',
    direction: 'ascending',
  };
  #limit = step;

  constructor(listener: ComparisonListener) {
    this.#listener = listener;
    const rows = new Set(summary.cells.map(({ row }) => row));
    this.#by = rows.size > 1 ? 'provider' : 'conversation';
    this.root.append(
      element('div', { class: 'tools' }, ...this.#selects(), this.#byChoice()),
      this.#status,
      element(
        'div',
        { class: 'wide', tabindex: 0, role: 'region', 'aria-label': 'Comparison table' },
        this.#table,
      ),
      this.#more,
    );
    this.#draw();
  }

  #selects(): HTMLElement[] {
    const labels = {
      scenario: 'scenario',
      board: 'board',
      network: 'network',
      row: 'provider',
    } as const;
    return (Object.keys(labels) as (keyof typeof labels)[]).flatMap((key) => {
      const names = [...new Set(summary.cells.map((cell) => cell[key]))];
      if (names.length < 2) return [];
      const select = element(
        'select',
        { 'aria-label': labels[key] },
        element('option', { value: '' }, 'all'),
        ...names.map((name, i) => element('option', { value: `${i + 1}` }, foreignText(name))),
      );
      listen(select, {
        change: () => {
          this.#filter = { ...this.#filter, [key]: names[Number(select.value) - 1] ?? null };
          this.#changed();
        },
      });
      return [element('label', {}, `${labels[key]} `, select)];
    });
  }

  #byChoice(): HTMLElement {
    const choice = (value: 'provider' | 'conversation', label: string): HTMLElement =>
      element(
        'label',
        {},
        listen(
          element('input', {
            type: 'radio',
            name: 'one-row-per',
            value,
            checked: this.#by === value,
          }),
          {
            change: () => {
              this.#by = value;
              this.#changed();
            },
          },
        ),
        label,
      );
    return element(
      'fieldset',
      { class: 'tracks' },
      element('legend', {}, 'One row for each'),
      choice('provider', 'provider'),
      choice('conversation', 'provider and scenario'),
    );
  }

  #changed(): void {
    this.#limit = step;
    this.#draw();
    this.#listener.shown(filtered(summary.cells, this.#filter));
  }

  #draw(): void {
    const indices = filtered(summary.cells, this.#filter);
    const rows = sortedRows(
      comparisonRows(summary.cells, indices, this.#by),
      this.#sort.key,
      this.#sort.direction,
    );
    const places = (['scenario', 'board', 'network'] as const).filter(
      (key) => this.#by === 'conversation' && new Set(rows.map((row) => row[key])).size > 1,
    );
    const mixed = this.#by === 'provider' && new Set(rows.map((row) => conditionsOf(row))).size > 1;
    this.#status.textContent = `${plural(indices.length, 'conversation')} in ${plural(rows.length, 'row')}.${mixed ? ' The providers did not hold the same conversations: these rows are not comparable. Choose a scenario, board and network that all have.' : ''}`;
    this.#table.replaceChildren(
      element(
        'caption',
        {},
        'Times in ms; n is how many values a figure rests on; — is not measured.',
      ),
      element(
        'thead',
        {},
        element(
          'tr',
          {},
          this.#head('row', 'provider', 'who spoke; * behaves as the EchoKit server does'),
          ...places.map((key) => this.#head(key, key, '')),
          ...rowColumns.map(({ key, head, meaning }) => this.#head(key, head, meaning)),
        ),
      ),
      element('tbody', {}, ...rows.slice(0, this.#limit).map((row) => this.#row(row, places))),
    );
    const left = rows.length - this.#limit;
    this.#more.replaceChildren(
      ...(left <= 0
        ? []
        : [
            element('span', {}, `${this.#limit} of ${rows.length} rows`),
            button(`show ${Math.min(step, left)} more`, () => {
              this.#limit += step;
              this.#draw();
            }),
          ]),
    );
  }

  #head(key: string, head: string, meaning: string): HTMLElement {
    const sorted = this.#sort.key === key;
    const { direction } = this.#sort;
    const sort = button(
      element(
        'span',
        {},
        head,
        element(
          'span',
          { class: 'arrow', 'aria-hidden': 'true' },
          sorted ? (direction === 'ascending' ? ' ▲' : ' ▼') : '',
        ),
      ),
      () => {
        this.#sort = {
          key,
          direction: sorted && direction === 'ascending' ? 'descending' : 'ascending',
        };
        this.#draw();
        this.#table.querySelector<HTMLElement>(`[data-key="${key}"] button`)?.focus();
      },
      meaning === '' ? {} : { title: meaning },
    );
    return element(
      'th',
      { scope: 'col', 'data-key': key, 'aria-sort': sorted ? direction : undefined },
      sort,
    );
  }

  #row(row: ComparisonRow, places: readonly ('scenario' | 'board' | 'network')[]): HTMLElement {
    const open = button(foreign(row.row), () => this.#listener.opened(row.cells), {
      class: 'link',
      'aria-label': `${foreignText(row.row)}${row.cells.length > 1 ? '' : ` in ${foreignText(row.scenario ?? '')}`}: ${row.cells.length > 1 ? `its ${row.cells.length} conversations` : 'its conversation'}`,
    });
    return element(
      'tr',
      { class: row.turnsFailed > 0 || row.verdict !== 'pass' ? 'bad' : '' },
      element('th', { scope: 'row' }, open),
      ...places.map((key) => element('td', {}, row[key] === null ? 'several' : foreign(row[key]))),
      ...rowColumns.map((column) => {
        const { text, n } = column.text(row);
        const tone =
          column.key === 'verdict'
            ? `verdict ${row.verdict}`
            : column.key === 'stutter'
              ? row.stutter.length > 0
                ? 'broken'
                : ''
              : column.key === 'turns' && row.turnsFailed > 0
                ? 'number failed'
                : 'number';
        return element(
          'td',
          { class: tone },
          foreign(text),
          n === undefined ? null : element('small', {}, ` n ${n}`),
        );
      }),
    );
  }
}

function conditionsOf({ cells }: ComparisonRow): string {
  return JSON.stringify(
    cells
      .map((i) => summary.cells[i]!)
      .map(({ scenario, board, network }) => JSON.stringify([scenario, board, network]))
      .sort(),
  );
}
