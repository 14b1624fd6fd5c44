/** Elements of the page. Text goes in as text, whatever it holds. */
import { neutralize } from '../../terminal-text.ts';

export type Child = Node | string | null;
type Listeners = {
  readonly [Name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Name]) => void;
};

/** @param attributes `undefined` and `false` leave one out; `true` is an empty one */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string | number | boolean | undefined>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false)
      made.setAttribute(name, value === true ? '' : `${value}`);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function listen<Made extends HTMLElement>(made: Made, listeners: Listeners): Made {
  for (const [name, listener] of Object.entries(listeners)) {
    made.addEventListener(name, listener as EventListener);
  }
  return made;
}

export function button(
  label: Child,
  onClick: () => void,
  attributes: Readonly<Record<string, string | boolean | undefined>> = {},
): HTMLButtonElement {
  return listen(element('button', { type: 'button', ...attributes }, label), { click: onClick });
}

/** Text from a recording: what would act on a reader or reorder what is around it is made visible, and it stays within itself. */
export function foreign(
  text: string,
  attributes: Readonly<Record<string, string>> = {},
): HTMLElement {
  return element('bdi', attributes, neutralize(text));
}

/** The same where only a string can be: in options and labels. */
export function foreignText(text: string): string {
  return `\u2068${neutralize(text)}\u2069`;
}

export interface TableColumn {
  readonly head: Child;
  readonly number?: boolean;
  /** Text that may be long, and without a space. */
  readonly long?: boolean;
}

/** A plain table. The first cell of a row is its heading. */
export function table(
  caption: Child,
  columns: readonly TableColumn[],
  rows: readonly (readonly Child[])[],
): HTMLElement {
  const kind = (i: number): string | undefined =>
    columns[i]?.number ? 'number' : columns[i]?.long ? 'long' : undefined;
  return element(
    'div',
    { class: 'wide' },
    element(
      'table',
      {},
      element('caption', {}, caption),
      element(
        'thead',
        {},
        element(
          'tr',
          {},
          ...columns.map(({ head }, i) => element('th', { scope: 'col', class: kind(i) }, head)),
        ),
      ),
      element(
        'tbody',
        {},
        ...rows.map((cells) =>
          element(
            'tr',
            {},
            ...cells.map((cell, i) =>
              i === 0
                ? element('th', { scope: 'row', class: kind(i) }, cell)
                : element('td', { class: kind(i) }, cell),
            ),
          ),
        ),
      ),
    ),
  );
}

export function details(summary: Child, ...children: readonly Child[]): HTMLDetailsElement {
  return element('details', {}, element('summary', {}, summary), ...children);
}

/** "1 turn", "2 turns". */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

export function seconds(ms: number, digits = 2): string {
  return `${(ms / 1000).toFixed(digits)} s`;
}
