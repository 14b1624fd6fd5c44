/** From a run that breaks a rule to what a person wants to read of it. */
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
  let shortest = behaviour;
  let left = plays;
  for (let piece = Math.ceil(shortest.actions.length / 2); piece >= 1 && left > 0; ) {
    let shortened = false;
    for (let at = 0; at < shortest.actions.length && left > 0; left--) {
      const actions = shortest.actions.toSpliced(at, piece);
      const candidate = { ...shortest, actions };
      const violations = checkAccount(await play(candidate));
      if (violations.some((violation) => violation.rule === rule)) {
        shortest = candidate;
        shortened = true;
      } else at += piece;
    }
    if (piece === 1 && !shortened) break;
    piece = shortened ? Math.min(piece, Math.ceil(shortest.actions.length / 2)) : piece >> 1;
  }
  return shortest;
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
