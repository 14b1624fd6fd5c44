import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export interface RegistryOption {
  /** Of `--registry`. */
  readonly registry?: string;
}

/**
 * `--registry`, `ECHOKIT_HARNESS_BOARDS`, `boards.toml` in this folder when there is one, else the one in
 * the user's configuration as the XDG base directory specification has it.
 */
export function registryPath({ registry }: RegistryOption): string {
  const { ECHOKIT_HARNESS_BOARDS: own, XDG_CONFIG_HOME: xdg } = process.env;
  if (registry !== undefined) return registry;
  if (own !== undefined && own !== '') return own;
  if (existsSync('boards.toml')) return 'boards.toml';
  const base = xdg !== undefined && xdg !== '' ? xdg : join(homedir(), '.config');
  return join(base, 'echokit-harness', 'boards.toml');
}
