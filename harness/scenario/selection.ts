/** Which conversations of a plan are wanted: by name, by tag. */
import { type Cell, cellName, type Plan } from './plan.ts';

export interface Selection {
  /** A conversation is wanted when one of these fits its scenario's file, its title or its own name. Empty: all are. */
  readonly only?: readonly string[] | undefined;
  /** A scenario is wanted when it has one of these. Empty: all are. */
  readonly tags?: readonly string[] | undefined;
  /** A scenario that has one of these is not wanted. */
  readonly excludeTags?: readonly string[] | undefined;
}

/** The plan without the conversations that are not wanted, in the same order and with the same seeds. */
export function selectCells(plan: Plan, selection: Selection): Plan {
  const isWanted = selector(selection);
  return {
    ...plan,
    cells: plan.cells.filter(isWanted),
    skipped: plan.skipped.filter(({ cell }) => isWanted(cell)),
  };
}

function selector({ only = [], tags = [], excludeTags = [] }: Selection): (cell: Cell) => boolean {
  const patterns = only.map(pattern);
  return (cell) => {
    const { file, title, tags: own } = cell.scenario;
    if (tags.length > 0 && !tags.some((tag) => own.includes(tag))) return false;
    if (excludeTags.some((tag) => own.includes(tag))) return false;
    if (patterns.length === 0) return true;
    const texts = [file.replaceAll('\\', '/'), title, cellName(cell)];
    return patterns.some((fits) => texts.some((text) => fits.test(text)));
  };
}

/** Fits where the words stand anywhere in the text, in either case; `*` stands for any text. */
function pattern(written: string): RegExp {
  const parts = written.split('*').map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(parts.join('.*'), 'isu');
}

/** Whether the selection leaves anything out at all. */
export function isSelective({ only, tags, excludeTags }: Selection): boolean {
  return [only, tags, excludeTags].some((list) => list !== undefined && list.length > 0);
}

/** Every tag of the plan's scenarios, in alphabetical order. */
export function tagsOf({ cells, skipped }: Plan): string[] {
  const all = [...cells, ...skipped.map(({ cell }) => cell)];
  return [...new Set(all.flatMap(({ scenario }) => scenario.tags))].sort();
}
