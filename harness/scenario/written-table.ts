import { isTomlTable } from '../toml/toml-document.ts';

/** A table as it was written, of which nothing is known but the keys it may have. */
export interface WrittenTable {
  readonly act?: unknown;
  readonly check?: unknown;
  readonly console?: unknown;
  readonly count?: unknown;
  readonly key?: unknown;
  readonly level?: unknown;
  readonly message?: unknown;
  readonly press?: unknown;
  readonly source?: unknown;
  readonly with?: unknown;
  readonly within_ms?: unknown;
  readonly after?: unknown;
  readonly after_fraction?: unknown;
  readonly compat?: unknown;
  readonly direction?: unknown;
  readonly disturb?: unknown;
  readonly duration_ms?: unknown;
  readonly event?: unknown;
  readonly expect?: unknown;
  readonly fault?: unknown;
  readonly gate?: unknown;
  readonly moment?: unknown;
  readonly name?: unknown;
  readonly hello_wav?: unknown;
  readonly kind?: unknown;
  readonly matrix?: unknown;
  readonly pause_ms?: unknown;
  readonly personality?: unknown;
  readonly providers?: unknown;
  readonly devices?: unknown;
  readonly device?: unknown;
  readonly quirks_off?: unknown;
  readonly echo_db?: unknown;
  readonly echo_delay_ms?: unknown;
  readonly networks?: unknown;
  readonly say?: unknown;
  readonly server?: unknown;
  readonly servers?: unknown;
  readonly stand_in?: unknown;
  readonly to?: unknown;
  readonly turn?: unknown;
  readonly wav?: unknown;
}

export function isTable(value: unknown): value is WrittenTable {
  return isTomlTable(value);
}
