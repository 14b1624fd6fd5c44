/**
 * Checks a run of the emulated board against the written rules of the EchoKit device protocol
 * reference: from what was observed alone, with the transition table as data, and with none of the
 * board's code.
 */
import type { Account } from './behaviour-player.contract.ts';
import type { RuleClass } from './behaviour-rule.contract.ts';
import { BoardHistory } from './board-history.contract.ts';
import { mainLoopRules } from './main-loop-rules.contract.ts';
import { meansRules } from './means-rules.contract.ts';

export interface Violation {
  readonly rule: string;
  readonly atUs: number;
  readonly what: string;
  /** How many entries there were before it. */
  readonly index: number;
}

const rules: readonly RuleClass[] = [...mainLoopRules, ...meansRules];

export function checkAccount(account: Account): Violation[] {
  const violations: Violation[] = [];
  const history = new BoardHistory(account.behaviour.profile);
  let index = 0;
  const violate = (rule: { readonly name: string }, what: string) => {
    violations.push({ rule: rule.name, atUs: history.nowUs, what, index });
  };
  const active = rules.map((RuleOfList) => new RuleOfList(history, account, violate));
  for (const entry of account.entries) {
    for (const rule of active) rule.see(entry);
    history.add(entry);
    index++;
  }
  for (const rule of active) rule.end(account);
  if (account.crash !== undefined) violate({ name: 'crash' }, account.crash);
  const { alarms, streams } = account.left;
  if (alarms > 0 || streams > 0) {
    violate({ name: 'nothing left' }, `${alarms} alarms and ${streams} streams after the end`);
  }
  return violations;
}
