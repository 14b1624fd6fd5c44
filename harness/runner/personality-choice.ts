import type { Cell, Plan } from '../scenario/plan.ts';
import { findPersonality } from '../stand-ins/personality-catalog.ts';
import type { ProviderEntry } from './provider-catalog.ts';

/**
 * The personality a cell asks of the stand-in: what the scenario says of this provider, or what
 * the provider is known for, or what the scenario says of its platform. Undefined: the platform's
 * usual one.
 */
export function personalityOf(
  provider: ProviderEntry,
  { scenario }: Pick<Cell, 'scenario'>,
): string | undefined {
  const { personalities } = scenario;
  return (
    personalities.get(provider.name) ??
    provider.personality ??
    personalities.get(provider.tts.platform)
  );
}

/**
 * Looks up every personality of a plan, so that a wrong name is told before anything runs.
 *
 * @throws {StandInError} `STAND_IN_NO_PERSONALITY`
 */
export function checkPersonalities(
  plan: Plan,
  providers: ReadonlyMap<string, ProviderEntry>,
): void {
  if (plan.live) return;
  for (const cell of plan.cells) {
    const provider = providers.get(cell.provider);
    const name = provider && personalityOf(provider, cell);
    if (provider && name !== undefined) findPersonality(name, provider.tts.platform);
  }
}
