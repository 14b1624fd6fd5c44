import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { DeviceProfile } from '../device/device-profile.ts';
import { networkProfiles } from '../network/network-profile.ts';
import type { Cell } from '../scenario/plan.ts';
import type { Scenario } from '../scenario/scenario.ts';
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
  return {
    scenario: scenarioDigest(scenario),
    ...(provider !== undefined && { provider: digest(keptProvider(provider)) }),
    ...(personality !== undefined && { personality: digestOf(personality) }),
    board: digestOf(profile),
    network: digestOf(networkProfiles[network]?.link ?? network),
  };
}

/** Of its text and of the WAV files that it names. */
export function scenarioDigest({ source: { text, files } }: Scenario): string {
  const sounds = files.map(({ path }) => digest(readFileSync(path)));
  return digest([text, ...sounds].join('\n'));
}

function digestOf(value: unknown): string {
  return digest(JSON.stringify(value));
}

function digest(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 16);
}
