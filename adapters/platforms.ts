/**
 * The registry: the only place where the program knows platforms by name. A new platform is one
 * file in `platforms/` and one line here.
 */
import type { EchoKitClient, EchoKitTries, OtherService, Platform } from './platform.ts';
import { cosyVoice } from './platforms/cosyvoice.ts';
import { elevenLabs } from './platforms/elevenlabs.ts';
import { fish } from './platforms/fish.ts';
import { groq } from './platforms/groq.ts';
import { gsv } from './platforms/gsv.ts';
import { openAi } from './platforms/openai.ts';
import { streamGsv } from './platforms/stream-gsv.ts';
import type { SpeechAdapter } from './speech-adapter.ts';

/** A platform whose own configuration type is known to nobody but itself. */
export type AnyPlatform = Omit<
  Platform,
  'configFrom' | 'remarks' | 'otherServices' | 'adapter' | 'echoKit'
> & {
  readonly configFrom: (...table: Parameters<Platform['configFrom']>) => unknown;
  readonly remarks?: (config: unknown) => Readonly<Record<string, string>>;
  readonly otherServices?: (config: unknown) => readonly OtherService[];
  readonly adapter: SpeechAdapter;
  readonly echoKit: Omit<EchoKitClient, 'configure' | 'tries'> & {
    readonly configure: (config: unknown) => unknown;
    readonly tries?: (config: unknown) => EchoKitTries;
  };
};

export const platforms: readonly AnyPlatform[] = [
  anyPlatform(cosyVoice),
  anyPlatform(elevenLabs),
  anyPlatform(fish),
  anyPlatform(groq),
  anyPlatform(gsv),
  anyPlatform(openAi),
  anyPlatform(streamGsv),
];

/** The platform with this name in any of its spellings. */
export function platformNamed(name: string): AnyPlatform | undefined {
  return platforms.find((platform) => platform.names.includes(name));
}

/**
 * The adapter for a configuration as `readTtsConfig` returns it:
 * `adapterFor(tts).open(tts.config, deps)`.
 */
export function adapterFor(tts: { readonly platform: string }): SpeechAdapter {
  const platform = platformNamed(tts.platform);
  if (platform === undefined) throw new RangeError(`No adapter for platform "${tts.platform}".`);
  return platform.adapter;
}

/** Sound because a platform's adapter is only ever given what its own `configFrom` made. */
function anyPlatform<Config>(platform: Platform<Config>): AnyPlatform {
  return platform as unknown as AnyPlatform;
}
