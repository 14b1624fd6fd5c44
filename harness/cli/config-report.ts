import type { ConfigSetting } from '../../adapters/index.ts';
import type { ConfiguredProvider, EchoKitConfig } from '../echokit-config/echokit-config.ts';
import { neutralize } from '../report/terminal-text.ts';

/** What was read of a configuration, for `validate`: sections, backend, every key of every provider. */
export function renderConfig(config: EchoKitConfig): string {
  const { file, sections, providers, backend } = config;
  return [
    `${neutralize(file)}: an EchoKit configuration`,
    ...aligned(
      sections.map(({ name, used, note }) => [name, `${used ? 'used' : 'not used'}: ${note}`]),
    ),
    ...aligned([['backend', backend]]),
    ...providers.flatMap(renderProvider),
  ].join('\n');
}

function renderProvider({ name, table, platform, settings }: ConfiguredProvider): string[] {
  const keys = settings.map((setting) => [
    setting.keyPath.slice(table.length + 1),
    `${shown(setting)}${origin(setting, table)}`,
  ]);
  const title = platform === undefined ? 'without a platform' : `platform ${platform}`;
  return ['', `provider ${neutralize(name)}: [${neutralize(table)}], ${title}`, ...aligned(keys)];
}

function shown({ secret, shown: value, from, required, refused }: ConfigSetting): string {
  if (refused === true) return 'refused';
  if (secret) return from === 'nowhere' ? (required ? 'missing' : 'not set') : 'set';
  if (from === 'nowhere') return required ? 'missing' : 'not set';
  if (value === undefined) return 'set';
  return value === '' ? '""' : value;
}

function origin({ from, variable }: ConfigSetting, table: string): string {
  if (from === 'default') return ' (default)';
  if (variable === undefined) return '';
  const missed = table === 'tts' ? '; EchoKit itself needs it in the file' : '';
  return ` (from ${variable}${missed})`;
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const safe = rows.map(
    ([label = '', text = '']) => [neutralize(label), neutralize(text)] as const,
  );
  const width = Math.max(0, ...safe.map(([label]) => label.length));
  return safe.map(([label, text]) => `  ${label.padEnd(width)}  ${text}`);
}
