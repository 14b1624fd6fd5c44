/** A load run for a person at a terminal. */
import type {
  LoadCycles,
  LoadLimit,
  LoadMetrics,
  LoadPercentiles,
  LoadReport,
} from './load-report.ts';

const label = (text: string): string => text.padEnd(14);

export function loadText(report: LoadReport): string {
  const { run, metrics, thresholds, verdict, limit } = report;
  const { boards, turns, underruns, voices } = metrics;
  const lines = [
    headline(run, metrics),
    '',
    label('boards') +
      `${boards.connected} of ${boards.asked} connected` +
      (boards.restarts > 0 ? `, ${count(boards.restarts, 'restart')}` : '') +
      (boards.connections > boards.connected ? `, ${boards.connections} connections` : ''),
    ...boards.refusals.map((message) => `${label('')}refused: ${message}`),
    label('turns') +
      `${turns.n} ended, ${turns.failed} failed${turns.failed > 0 ? ` (${failures(turns.failures)})` : ''}` +
      (turns.unfinished > 0 ? `, ${turns.unfinished} cut off by the end of the run` : ''),
    `${label('first sound')}${row(metrics.audible_at_speaker_ms)}   from the user's last word to the answer at the speaker`,
    ...(metrics.ttfb_ms.n === 0
      ? []
      : [
          `${label('first byte')}${row(metrics.ttfb_ms)}   from the request to the provider's audio`,
        ]),
    ...(metrics.provider === null || metrics.provider.failed === 0
      ? []
      : [
          `${label('provider')}${metrics.provider.failed} of ${metrics.provider.requests} requests failed`,
        ]),
    label('underruns') +
      (underruns.count === 0
        ? 'none'
        : `${underruns.count}, ${(underruns.total_ms / 1000).toFixed(2)} s in all, longest ${ms(underruns.longest_ms)}`),
    ...lateLines(metrics),
    ...(voices === null
      ? []
      : [
          label('voices') +
            (voices.foreign === 0
              ? `no board heard another one's answer (${voices.own} windows of 64 ms)`
              : `${voices.foreign} WINDOWS OF ANOTHER BOARD'S ANSWER`),
          ...voices.strangers
            .slice(0, 5)
            .map(
              ({ board, at_ms, heard }) =>
                `${label('')}board ${board} at ${(at_ms / 1000).toFixed(3)} s heard ` +
                (heard === null ? 'nobody’s voice' : `the answer of board ${heard}`),
            ),
        ]),
    `${label('messages')}${metrics.messages_per_second.toFixed(0)} per second, both ways`,
    label('memory') + memory(metrics),
    label('processors') +
      report.processes.map(({ role, cores }) => `${role} ${cores.toFixed(2)}`).join(', '),
    ...(metrics.speed === null
      ? []
      : [
          `${label('speed')}${metrics.speed.toFixed(1)} simulated seconds per second: ` +
            `${(metrics.speed * run.devices).toFixed(0)} of all boards together`,
        ]),
    ...(limit === undefined ? [] : ['', ...limitLines(limit)]),
    '',
    ...thresholds.map(
      ({ rule, value, passed }) =>
        `${passed ? 'held   ' : 'BROKEN '} ${rule}   ${valueText(rule, value)}`,
    ),
    verdict === 'pass' ? 'passed' : 'FAILED',
  ];
  return lines.join('\n');
}

function headline(run: LoadReport['run'], { turns }: LoadMetrics): string {
  const how =
    run.time === 'virtual'
      ? 'in virtual time'
      : run.server === null
        ? 'over real sockets'
        : `against ${run.server}`;
  const held = run.held_s > 0 ? `, then ${run.held_s.toFixed(0)} s` : '';
  return (
    `${count(run.devices, 'board')} ${how}: ${run.scenarios.join(', ')}` +
    `${run.provider === 'external' ? '' : ` with ${run.provider}`}, ` +
    `${run.ramp_s} s to switch them on${held}; ${count(turns.conversations, 'conversation')} in ${run.wall_s.toFixed(0)} s`
  );
}

function lateLines({ late_cycles: { boards, server } }: LoadMetrics): string[] {
  if (boards === null) return [];
  const of = (name: string, cycles: LoadCycles): string =>
    `${name} ${percent(cycles.share)} of ${cycles.n} (worst ${ms(cycles.lateness_ms.max)} late)`;
  const parts = [of('boards', boards), ...(server === null ? [] : [of('server', server)])];
  return [label('late cycles') + parts.join(', ')];
}

export function limitLines({ boards, broken, tries }: LoadLimit): string[] {
  const found =
    boards === null
      ? 'Not even the smallest number of boards held.'
      : broken === null
        ? `${boards} boards held, and no number broke a threshold.`
        : `The limit is ${boards} boards; ${broken} broke a threshold.`;
  return [
    found,
    ...tries.map(({ devices, passed, thresholds, audible_at_speaker_ms: { p99 }, late_cycles }) => {
      const wrong = thresholds
        .filter((one) => !one.passed)
        .map(({ rule, value }) => {
          return `${rule}: ${valueText(rule, value)}`;
        });
      return (
        `  ${`${devices}`.padStart(6)} boards  first sound p99 ${ms(p99)}` +
        (late_cycles === null ? '' : `  late cycles ${percent(late_cycles)}`) +
        (passed ? '' : `  broken: ${wrong.join(', ')}`)
      );
    }),
  ];
}

function memory({ memory_per_board_bytes: perRole }: LoadMetrics): string {
  const parts = Object.entries(perRole).map(
    ([role, bytes]) =>
      `${(bytes / 1024).toFixed(0)} KiB${role === 'all' ? '' : ` in the process of ${role === 'boards' ? 'its boards' : `the ${role}`}`}`,
  );
  return parts.length === 0 ? 'not measured' : `for each board ${parts.join(', ')}`;
}

function row({ n, p50, p90, p99, max }: LoadPercentiles): string {
  if (n === 0) return 'nothing was heard';
  return `p50 ${ms(p50)}   p90 ${ms(p90)}   p99 ${ms(p99)}   max ${ms(max)}`;
}

function failures(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .filter(([, times]) => times > 0)
    .map(([kind, times]) => `${kind} ${times}`)
    .join(', ');
}

const ms = (value: number | null): string =>
  value === null ? '–' : `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;

const percent = (share: number | null): string =>
  share === null ? '–' : `${(100 * share).toFixed(2)} %`;

function valueText(rule: string, value: number | null): string {
  if (value === null) return 'nothing was measured';
  return /late_cycles|failed/.test(rule) ? percent(value) : `${Math.round(value * 100) / 100}`;
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
