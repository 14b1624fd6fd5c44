/** Which cells stand in one row or under one title, and what that is called. */
import { externalServer } from '../scenario/plan.ts';
import type { CellReport } from './run-report.ts';

export function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}

/** A server that behaves as the EchoKit server is marked; a note of the report says what that means. */
export function rowLabel({ provider, server }: CellReport): string {
  return isUsual(server) ? provider : `${provider}*`;
}

/** It behaves as itself, and need not be named. */
export function isUsual(server: string): boolean {
  return server === 'harness' || server === externalServer;
}

/** Providers are comparable where these are the same. */
export function conditionsOf(cell: CellReport): string {
  return [cell.scenario, ...placeOf(cell)].join(' · ');
}

/** Board and network. A real board has its own air, whatever the plan calls it. */
export function placeOf({
  device,
  network,
  board,
}: Pick<CellReport, 'device' | 'network' | 'board'>): readonly [string, string] {
  return board === undefined
    ? [device, network]
    : [`board ${board.name} (${device})`, 'its own air'];
}

/** The cell in words where its scenario is known: provider, board, network, the server where it is another one, the repetition. */
export function titleInScenario(
  cell: Pick<CellReport, 'provider' | 'device' | 'network' | 'server' | 'board'> &
    Pick<Partial<CellReport>, 'repetition'>,
): string {
  const { provider, server, repetition } = cell;
  return [
    provider,
    ...placeOf(cell),
    ...(isUsual(server) ? [] : [server]),
    ...(repetition === undefined ? [] : [`repetition ${repetition}`]),
  ].join(' · ');
}

/** The cell in words: scenario, provider, board, network, the server where it is another one, the repetition. */
export function cellTitle(
  cell: Pick<CellReport, 'scenario' | 'provider' | 'device' | 'network' | 'server' | 'board'> &
    Pick<Partial<CellReport>, 'repetition'>,
): string {
  return `${cell.scenario} · ${titleInScenario(cell)}`;
}
