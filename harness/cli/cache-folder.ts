import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Where synthesized clips are kept between runs: `ECHOKIT_HARNESS_CACHE`, or the user's cache folder
 * as the XDG base directory specification has it.
 */
export function cacheFolder(): string {
  const { ECHOKIT_HARNESS_CACHE: own, XDG_CACHE_HOME: xdg } = process.env;
  if (own !== undefined && own !== '') return own;
  const base = xdg !== undefined && xdg !== '' ? xdg : join(homedir(), '.cache');
  return join(base, 'echokit-harness');
}
