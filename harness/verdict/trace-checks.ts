import type { TraceCheck } from '../scenario/scenario.ts';
import type { TraceEvent } from '../trace/trace-event.ts';
import { type ExpectationVerdict, holds } from './judge.ts';

/** A line on the console of the board. */
export interface ConsoleLine {
  readonly atUs: number;
  /** Without its line end. */
  readonly text: string;
}

/** What a check looks at: all of a recording. Both in order of time. */
export interface CheckedTrace {
  readonly events: readonly TraceEvent[];
  readonly console: readonly ConsoleLine[];
}

/** Counts what each check counts, and compares. A moment that never came fails its check. */
export function judgeChecks(
  checks: readonly TraceCheck[],
  trace: CheckedTrace,
): ExpectationVerdict[] {
  return checks.map((check) => judgeCheck(check, trace));
}

interface Span {
  readonly fromUs: number;
  /** Exclusive. */
  readonly untilUs: number;
}

function judgeCheck(check: TraceCheck, trace: CheckedTrace): ExpectationVerdict {
  const { operator, value, turn, at } = check;
  const metric = nameOf(check);
  const expectation = { metric, operator, value, at, ...(turn !== undefined && { turn }) };
  const wanted = `expected ${operator} ${value}`;
  const span = spanOf(check, trace.events);
  const obstacle = typeof span === 'string' ? span : missingField(check, trace.events);
  if (obstacle !== undefined || typeof span === 'string') {
    const evidence = `${metric} could not be counted, ${wanted}: ${obstacle}`;
    return { expectation, outcome: 'fail', actual: null, evidence, seqs: [], check: true };
  }
  const within = ({ atUs }: { atUs: number }) => atUs >= span.fromUs && atUs < span.untilUs;
  const { of } = check;
  const events =
    of.kind === 'event' ? trace.events.filter((event) => within(event) && matches(event, of)) : [];
  const lines =
    of.kind === 'console'
      ? trace.console.filter((line) => within(line) && hasText(line.text, of))
      : [];
  const instants = [...events, ...lines].map(({ atUs }) => `${(atUs / 1_000_000).toFixed(3)} s`);
  const count = instants.length;
  const shown = instants.slice(0, 5).join(', ');
  const more = count > 5 ? ` and ${count - 5} more` : '';
  return {
    expectation,
    outcome: holds(count, operator, value) ? 'pass' : 'fail',
    actual: count,
    evidence: `${metric} = ${count}, ${wanted}${count === 0 ? '' : `: at ${shown}${more}`}`,
    seqs: events.map(({ seq }) => seq),
    check: true,
  };
}

function nameOf({ of }: TraceCheck): string {
  if (of.kind === 'console') {
    return `console ${of.level === undefined ? '' : `${of.level} `}"${of.text}"`;
  }
  const fields = Object.entries(of.with).map(([key, value]) => `${key}=${value}`);
  return [`${of.source} ${of.type}`, ...fields].join(' ');
}

type EventPattern = Extract<TraceCheck['of'], { kind: 'event' }>;

function matches(event: TraceEvent, pattern: EventPattern): boolean {
  const fields = event as Readonly<Record<string, unknown>>;
  return (
    event.source === pattern.source &&
    event.type === pattern.type &&
    Object.entries(pattern.with).every(([key, value]) => fields[key] === value)
  );
}

function hasText(line: string, { text, level }: Extract<TraceCheck['of'], { kind: 'console' }>) {
  return line.includes(text) && (level === undefined || line.startsWith(`${level} (`));
}

/** A misspelled field would make every absence true. */
function missingField({ of }: TraceCheck, events: readonly TraceEvent[]): string | undefined {
  if (of.kind !== 'event') return undefined;
  const alike = events.filter((event) => matches(event, { ...of, with: {} }));
  if (alike.length === 0) return undefined;
  const unknown = Object.keys(of.with).find((key) => !alike.some((event) => key in event));
  if (unknown === undefined) return undefined;
  return `no event ${of.type} of this recording has a field "${unknown}"; seq ${alike[0]!.seq} is one`;
}

/** From when to when is counted; a text says why that cannot be told. */
function spanOf(check: TraceCheck, events: readonly TraceEvent[]): Span | string {
  const { turn, after, withinMs } = check;
  const begins = (number: number): number | undefined =>
    events.find(
      (event) => event.source === 'harness' && event.type === 'turnStart' && event.turn === number,
    )?.atUs;
  if (turn === undefined) return { fromUs: 0, untilUs: Number.POSITIVE_INFINITY };
  const turnUs = begins(turn);
  if (turnUs === undefined) return `turn ${turn} never began`;
  const endUs = begins(turn + 1) ?? Number.POSITIVE_INFINITY;
  const moment =
    after === undefined
      ? turnUs
      : events.find((event) => event.atUs >= turnUs && event.atUs < endUs && is(event, after.event))
          ?.atUs;
  if (moment === undefined) return `${after!.event} never came in turn ${turn}`;
  const fromUs = moment + (after?.delayMs ?? 0) * 1000;
  const untilUs = withinMs === undefined ? endUs : Math.min(endUs, fromUs + withinMs * 1000);
  return { fromUs, untilUs };
}

/** Whether it is the moment of this name, as the scripted user sees it. */
function is(event: TraceEvent, moment: string): boolean {
  if (event.source === 'user') {
    if (moment === 'Speech') return event.type === 'speechStart';
    return moment === 'K0' && event.type === 'press' && event.key === 'k0';
  }
  return event.source === 'device' && event.type === 'frameReceived' && event.event === moment;
}
