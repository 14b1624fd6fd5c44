/** What `doctor` found, as one JSON document and for a person at a terminal. */
import picocolors from 'picocolors';
import type { RunBudget } from './run-report.ts';
import { displayWidth, neutralize, padDisplay } from './terminal-text.ts';
import { wrapText } from './text-table.ts';

/** Raise it when a field changes its meaning or goes away; new fields do not change it. */
export const doctorSchemaVersion = 1;

export interface DoctorReport {
  readonly schemaVersion: typeof doctorSchemaVersion;
  /** Nothing has failed; notes do not count. */
  readonly ok: boolean;
  /** Whether the services were asked. */
  readonly live: boolean;
  readonly installation: readonly CheckReport[];
  readonly providers: readonly ProviderCheckReport[];
  /** What was allowed to be asked of the services, and was; with `live` only. */
  readonly budget?: RunBudget;
}

export interface CheckReport {
  readonly name: string;
  /** `note`: something is missing that not everybody needs, or will disturb. */
  readonly status: 'ok' | 'note' | 'fail';
  /** One line. */
  readonly message: string;
}

export interface ProviderCheckReport extends CheckReport {
  /** Absent when the configuration names none. */
  readonly platform?: string;
  /** Host and port; absent when the configuration cannot be used. */
  readonly host?: string;
  /** What is wrong: `key`, `voice`, `TLS`, … and `configuration`. */
  readonly problem?: string;
  /** Of a service that has spoken. */
  readonly connectMs?: number;
  readonly ttfbMs?: number;
  readonly totalMs?: number;
  readonly audioMs?: number;
  readonly sourceRateHz?: number;
  /** What the check took. */
  readonly requests?: number;
  readonly characters?: number;
}

export function buildDoctorReport(
  found: Pick<DoctorReport, 'live' | 'installation' | 'providers' | 'budget'>,
): DoctorReport {
  const all = [...found.installation, ...found.providers];
  return {
    schemaVersion: doctorSchemaVersion,
    ok: all.every(({ status }) => status !== 'fail'),
    ...found,
  };
}

export interface DoctorReportSettings {
  readonly color: boolean;
  readonly width: number;
  /** One line each. */
  readonly nextSteps: readonly string[];
}

/** Text that ends in a line feed. Whatever the report holds cannot act on the terminal. */
export function renderDoctorReport(
  { live, installation, providers, budget }: DoctorReport,
  { color, width, nextSteps }: DoctorReportSettings,
): string {
  const colors = picocolors.createColors(color);
  const all = [...installation, ...providers];
  const names = Math.max(...all.map(({ name }) => displayWidth(neutralize(name))));
  const paint = { ok: colors.green, note: colors.yellow, fail: colors.red };
  const rows = (checks: readonly CheckReport[]): string[] =>
    checks.flatMap(({ name, status, message }) => {
      const mark = paint[status](status === 'fail' ? 'FAIL' : status.padEnd(4));
      const indent = ' '.repeat(2 + 4 + 2 + names + 2);
      const [first = '', ...rest] = wrapText(
        neutralize(message),
        Math.max(40, width - indent.length),
      );
      const label = padDisplay(neutralize(name), names, 'left');
      return [`  ${mark}  ${label}  ${first}`, ...rest.map((line) => indent + line)];
    });
  const count = (status: CheckReport['status']) =>
    all.filter((check) => check.status === status).length;
  const [failed, notes] = [count('fail'), count('note')];
  const cost =
    budget === undefined
      ? ''
      : ` Used: ${budget.requests} of ${plural(budget.maxRequests, 'request')}, ${budget.characters} of ${plural(budget.maxCharacters, 'character')}.`;
  const summary =
    failed === 0
      ? colors.green(notes === 0 ? 'All is well.' : `All is well, with ${plural(notes, 'note')}.`)
      : colors.red(`${plural(failed, 'problem')} found.`);
  const title = live ? 'Providers, asked to say "OK."' : 'Providers, as configured';
  return [
    colors.bold('Installation'),
    ...rows(installation),
    ...(providers.length === 0 ? [] : ['', colors.bold(title), ...rows(providers)]),
    '',
    summary + cost,
    ...nextSteps,
    '',
  ].join('\n');
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
