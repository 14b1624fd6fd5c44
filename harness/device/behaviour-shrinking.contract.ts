/** From a run that breaks a rule to what a person wants to read of it. */

import { shrunkenList } from '../random/shrunken-list.ts';
import { checkAccount, type Violation } from './behaviour-checker.contract.ts';
import { type Account, playBehaviour } from './behaviour-player.contract.ts';
import type { Behaviour } from './random-behaviour.contract.ts';

/**
 * The behaviour with as few actions as can be found that still breaks `rule`: leaves out ever smaller
 * pieces of the list.
 *
 * @param plays how often it may be played
 */
export async function shortestBehaviour(
  behaviour: Behaviour,
  rule: string,
  plays: number,
  play: (behaviour: Behaviour) => Promise<Account> = playBehaviour,
): Promise<Behaviour> {
  const breaksRule = async (actions: Behaviour['actions']): Promise<boolean> =>
    checkAccount(await play({ ...behaviour, actions })).some((found) => found.rule === rule);
  return { ...behaviour, actions: await shrunkenList(behaviour.actions, breaksRule, plays) };
}

/** What broke, where, what was before, and how to see it again. */
export function describeFailure(
  { behaviour, entries }: Account,
  violations: readonly Violation[],
  shortest: Behaviour,
): string {
  const { seed, profile, network } = behaviour;
  const [first] = violations;
  const without = profile.quirksOff.length === 0 ? '' : ` without ${profile.quirksOff.join(' ')}`;
  const index = first?.index ?? 0;
  const big = (_key: string, value: unknown) =>
    ArrayBuffer.isView(value) ? `${value.byteLength} bytes` : value;
  return [
    `seed ${seed}: ${profile.name}${without}, ${network}; ${violations.length} times a rule is broken`,
    ...violations.slice(0, 3).map(({ rule, atUs, what }) => `  ${rule} at ${atUs} µs: ${what}`),
    'before it:',
    ...entries
      .slice(Math.max(0, index - 20), index + 1)
      .map((entry) => `  ${JSON.stringify(entry)}`),
    `${shortest.actions.length} of ${behaviour.actions.length} actions are enough:`,
    ...shortest.actions.map((action) => `  ${JSON.stringify(action, big).slice(0, 300)}`),
    `again: npx ava harness/device/random-behaviour.test.ts -- --seed=${seed}`,
  ].join('\n');
}
