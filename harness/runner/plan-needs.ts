import { adapterFor } from '../../adapters/index.ts';
import type { Plan } from '../scenario/plan.ts';
import type { Turn } from '../scenario/scenario.ts';
import { type Compat, compatOf } from '../server/compat.ts';
import { tokens } from '../server/reply-source.ts';
import { SentenceSplitter } from '../server/sentence-splitter.ts';
import type { ProviderEntry } from './provider-catalog.ts';
import { noRequests, type RequestCount, requestsFor, sumOf } from './request-budget.ts';

/**
 * What the plan will ask of each of its providers when every reply is spoken to its end, by name and
 * in the order of the plan. An answer that is interrupted or fails takes less, one that is tried again
 * takes more.
 *
 * @param providers entries for every provider name of the plan
 */
export function planNeeds(
  plan: Plan,
  providers: ReadonlyMap<string, ProviderEntry>,
): Map<string, RequestCount> {
  const needs = new Map<string, RequestCount>();
  for (const { provider, scenario, server } of plan.cells) {
    // What another server asks for is its own affair.
    if (server === 'external') continue;
    const compat = compatOf(server, scenario.server.compatExcept);
    const entry = providers.get(provider);
    if (entry === undefined) throw new RangeError(`No provider entry named "${provider}".`);
    const before = needs.get(provider) ?? noRequests;
    needs.set(
      provider,
      sumOf([before, ...scenario.turns.map((turn) => turnNeeds(turn, entry, compat))]),
    );
  }
  return needs;
}

function turnNeeds({ reply }: Turn, { tts }: ProviderEntry, compat: Compat): RequestCount {
  const own = adapterFor(tts).capabilities(tts.config);
  const capabilities = compat.has('whole-texts') ? { ...own, textIn: 'whole' as const } : own;
  const texts = spokenTexts(reply);
  if (texts.length === 0) return noRequests;
  if (capabilities.textIn === 'whole') {
    return sumOf(texts.map((text) => requestsFor(capabilities, [text])));
  }
  // The server sets a space behind each piece of an answer.
  return requestsFor(
    capabilities,
    texts.map((text) => `${text} `),
  );
}

/** What the server hands to the adapter: it cuts the reply while the scripted model writes it. */
function spokenTexts(reply: string): string[] {
  const splitter = new SentenceSplitter();
  return [...tokens(reply).flatMap((token) => splitter.push(token)), ...splitter.finish()];
}
