/**
 * What the recording of a conversation on a real board tells of the board itself: its clock, where it and its model
 * part, what went wrong with it. Pure, as everything here.
 */
import type { SerialEvent, TraceEvent } from '../trace/trace-event.ts';
import { type BoardClock, fitBoardClock } from './board-clock.ts';
import type { RecordedCell } from './recorded-cell.ts';
import { type ConsoleEntry, compareTwins, type TwinComparison } from './twin-comparison.ts';

export interface BoardMeasurement {
  /** As the user calls it. */
  readonly name: string;
  /** Its Wi-Fi station; null: not known. */
  readonly mac: string | null;
  readonly firmware: string | null;
  /** One for each boot of which there are stamps, in order. */
  readonly clocks: readonly BoardClock[];
  /**
   * How far the board's own lines about its playing are from those of the model, whose instants stand for it.
   * Null: the console tells nothing of it, and the error of the model is not known.
   */
  readonly playoutError: PlayoutError | null;
  readonly twin: TwinComparison;
  readonly failures: readonly {
    readonly code: string;
    readonly message: string;
    readonly hint: string;
    readonly seq: number;
  }[];
  /** Times in which the port was away. */
  readonly gaps: number;
  readonly remarks: readonly string[];
}

export interface PlayoutError {
  /** The board was later by this; negative: earlier. */
  readonly medianMs: number;
  /** Magnitude. */
  readonly p95Ms: number;
  readonly n: number;
}

type Serial<Type extends SerialEvent['type']> = Extract<
  TraceEvent,
  { readonly source: 'serial'; readonly type: Type }
>;

/** @returns null for an emulated board */
export function measureBoard({ header, events }: RecordedCell): BoardMeasurement | null {
  if (header.board === undefined) return null;
  const ofType = <Type extends SerialEvent['type']>(type: Type): Serial<Type>[] =>
    events.filter(
      (event): event is Serial<Type> => event.source === 'serial' && event.type === type,
    );
  const identities = ofType('identity');
  const known = (key: 'mac' | 'firmware') =>
    identities.findLast((identity) => identity[key] !== undefined)?.[key] ?? null;
  const { clocks, entries } = boardLines(events);
  const twin = compareTwins(entries, shadowLines(events));
  const { playout } = twin;
  return {
    name: header.board,
    mac: known('mac'),
    firmware: known('firmware'),
    clocks,
    playoutError:
      playout === null ? null : { medianMs: playout.medianMs, p95Ms: playout.p95Ms, n: playout.n },
    twin,
    failures: events.flatMap((event) => {
      if (event.source !== 'harness' || event.type !== 'boardFailure') return [];
      const { code, message, hint, seq } = event;
      return [{ code, message, hint, seq }];
    }),
    gaps: ofType('gone').length,
    remarks: ofType('remark').map(({ text }) => text),
  };
}

/** The lines with the instants at which the board printed them, on our clock, boot by boot. */
function boardLines(events: readonly TraceEvent[]): {
  clocks: BoardClock[];
  entries: ConsoleEntry[];
} {
  const boots: Serial<'line'>[][] = [[]];
  for (const event of events) {
    if (event.source !== 'serial') continue;
    if (event.type === 'reset') boots.push([]);
    if (event.type === 'line') boots.at(-1)!.push(event);
  }
  const clocks: BoardClock[] = [];
  const entries = boots.flatMap((lines) => {
    const stamped = lines.flatMap(({ ms, atUs }) => (ms === undefined ? [] : [{ ms, atUs }]));
    const clock = fitBoardClock(stamped);
    if (clock !== null) clocks.push(clock);
    return lines.flatMap(({ seq, atUs, tag, message, ms }): ConsoleEntry[] => {
      if (tag === undefined || message === undefined) return [];
      const printedUs = clock === null || ms === undefined ? atUs : stampUs(clock, ms);
      return [{ seq, atUs: printedUs, tag, message }];
    });
  });
  return { clocks, entries };
}

/** A stamp is rounded down; on average the line was printed half a millisecond later. */
function stampUs(clock: BoardClock, ms: number): number {
  return Math.round(clock.offsetUs + ((ms + 0.5) * 1000) / (1 + clock.driftPpm / 1_000_000));
}

function shadowLines(events: readonly TraceEvent[]): ConsoleEntry[] {
  return events.flatMap((event): ConsoleEntry[] => {
    if (event.source !== 'device' || event.type !== 'log') return [];
    const { seq, atUs, tag, message } = event;
    return [{ seq, atUs, tag, message }];
  });
}
