import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { DeviceProfile } from '../device/device-profile.ts';
import { networkProfiles } from '../network/network-profile.ts';
import type { Cell } from '../scenario/plan.ts';
import type { Personality } from '../stand-ins/personality.ts';
import type { ManifestInputs } from '../trace/manifest.ts';
import type { ProviderEntry } from './provider-catalog.ts';
import { keptProvider } from './run-inputs.ts';

/** What decides how a cell goes, beside its seed. */
export interface DigestedInputs {
  readonly profile: DeviceProfile;
  readonly provider?: ProviderEntry;
  readonly personality?: Personality;
}

export function inputDigests(
  { scenario, network }: Cell,
  { profile, provider, personality }: DigestedInputs,
): ManifestInputs {
  const { text, files } = scenario.source;
  const sounds = files.map(({ path }) => digest(readFileSync(path)));
  return {
    scenario: digest([text, ...sounds].join('\n')),
    ...(provider !== undefined && { provider: digest(keptProvider(provider)) }),
    ...(personality !== undefined && { personality: digestOf(personality) }),
    board: digestOf(profile),
    network: digestOf(networkProfiles[network]?.link ?? network),
  };
}

function digestOf(value: unknown): string {
  return digest(JSON.stringify(value));
}

function digest(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 16);
}
