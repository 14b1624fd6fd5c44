import type { EchoKitConfig } from '../echokit-config/echokit-config.ts';
import type { Scenario } from '../scenario/scenario.ts';

/**
 * The scenario as a server of this configuration plays it. With Paraformer in `[asr]` a turn goes another way
 * (EchoKit device protocol reference, section 7.4), so its stand-in listens unless the scenario names a
 * service. Whisper goes the way of the script, which knows the words without being asked.
 */
export function configuredScenario(scenario: Scenario, config?: EchoKitConfig): Scenario {
  const { recognition } = config ?? {};
  const { asrService } = scenario.server;
  if (recognition === undefined || !('paraformer' in recognition)) return scenario;
  if (asrService !== 'script') return scenario;
  return { ...scenario, server: { ...scenario.server, asrService: 'paraformer' } };
}
