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
export function conditionsOf({ scenario, device, network }: CellReport): string {
  return [scenario, device, network].join(' · ');
}

/** The cell in words: scenario, provider, board, network, and the server where it is another one. */
export function cellTitle({ scenario, provider, device, network, server }: CellReport): string {
  const parts = [scenario, provider, device, network];
  return [...parts, ...(isUsual(server) ? [] : [server])].join(' · ');
}
