import type { FaultMoment, StandInFault, StandInFaultKind } from './stand-in-changes.ts';

/**
 * Which faults one protocol of a service can show, and at which moments. The first moment of a kind
 * is the usual one, at which it happens when a scenario names none. What is not here the service has no
 * way to express.
 */
export type FaultTable = Readonly<
  Partial<Record<StandInFaultKind, readonly [FaultMoment, ...FaultMoment[]]>>
>;

/** A fault that can happen to a request and has not happened yet. */
export interface PlantedFault {
  readonly kind: StandInFaultKind;
  readonly moment: FaultMoment;
  /** Share of the clip that is sent before; 0 and 1 where the moment says it. */
  readonly share: number;
}

/** What became of a fault that was planted for a request. */
export interface FaultReport {
  readonly atUs: number;
  /** Ordinal of the request for speech. */
  readonly request: number;
  readonly kind: StandInFaultKind;
  /** Absent: it did not happen. */
  readonly moment?: FaultMoment;
  /** Why it cannot happen, as a sentence without its full stop. */
  readonly obstacle?: string;
}

/** The fault with its moment, or why the protocol of `table` cannot express it. */
export function plantFault(
  { kind, moment: asked, afterFraction }: StandInFault,
  table: FaultTable,
): PlantedFault | { readonly obstacle: string } {
  const moments = table[kind];
  if (moments === undefined) return { obstacle: `its protocol has no way to express ${kind}` };
  const moment = asked ?? moments[0];
  if (!moments.includes(moment)) {
    const others = moments.join(', ');
    return { obstacle: `its protocol cannot express ${kind} at "${moment}", only at ${others}` };
  }
  return { kind, moment, share: shareSent(moment, afterFraction) };
}

function shareSent(moment: FaultMoment, afterFraction: number): number {
  if (moment === 'mid-audio') return afterFraction;
  return moment === 'end' ? 1 : 0;
}

/** In the place of an answer in HTTP, whatever is asked for. */
export const answerFaults = {
  auth: ['answer'],
  quota: ['answer'],
  'rate-limit': ['answer'],
  server: ['answer'],
  timeout: ['answer'],
  protocol: ['answer'],
} as const satisfies FaultTable;

/**
 * HTTP with a body of chunks: behind the head of the answer there are no words any more, and the body
 * can only be broken.
 */
export const chunkedFaults = {
  ...answerFaults,
  'bad-voice': ['answer'],
  'too-long': ['answer'],
  protocol: ['answer', 'first-audio', 'mid-audio', 'end'],
  cut: ['mid-audio', 'answer', 'first-audio', 'end'],
  'early-end': ['mid-audio'],
  empty: ['first-audio'],
  stall: ['mid-audio', 'answer', 'first-audio', 'end'],
} as const satisfies FaultTable;

/** HTTP with a body of a known length: its last byte is its end, and there is nothing between bytes. */
export const fileFaults = {
  ...chunkedFaults,
  protocol: ['answer'],
  cut: ['mid-audio', 'answer', 'first-audio'],
  stall: ['mid-audio', 'answer', 'first-audio'],
} as const satisfies FaultTable;

/** Server-sent events: one of them may tell of a failure, and one says that all has been said. */
export const eventFaults = {
  ...chunkedFaults,
  server: ['answer', 'first-audio', 'mid-audio', 'end'],
  'early-end': ['mid-audio', 'end'],
} as const satisfies FaultTable;
