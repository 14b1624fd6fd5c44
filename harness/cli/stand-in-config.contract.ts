/** For tests: a configuration as this program reads one of an EchoKit server. */
import { type EchoKitConfig, readEchoKitConfig } from '../echokit-config/echokit-config.ts';

export function checkEchoKitConfig(toml: string): EchoKitConfig {
  return readEchoKitConfig(toml, 'config.toml', { environment: {} });
}
