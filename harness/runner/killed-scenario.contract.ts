/** For tests: the conversation that is killed. */
import type { Scenario } from '../scenario/scenario.ts';
import { scenarioOf } from './recorded-conversation.contract.ts';

export const killedProvider = 'elevenlabs';

export function killedScenario(): Scenario {
  return scenarioOf('killed', '[[turn]]\nsay = "Go on."\nreply = "Well. Yes."\n');
}
