/** What a load run has found; `load-report.ts` makes the document of it. */

import type { BoardSummary } from './board-crowd.ts';
import type { BoardFiguresData } from './board-figures.ts';
import type { LateCycles } from './late-cycles.ts';
import type { ServerFiguresData } from './load-server.ts';
import type { ProcessMemory, ProcessUse } from './process-watch.ts';

export interface LoadFigures {
  readonly time: 'virtual' | 'real';
  readonly devices: number;
  /** Name of the provider; `external`: the server is not ours. */
  readonly provider: string;
  readonly rampMs: number;
  /** On the clock of the run: all of it, and behind the ramp. */
  readonly ranMs: number;
  readonly heldMs: number;
  /** In real time. */
  readonly wallMs: number;
  readonly interrupted: boolean;
  readonly boards: BoardFiguresData;
  readonly eachBoard: readonly BoardSummary[];
  /** Null: the server is not ours. */
  readonly server: ServerFiguresData | null;
  /** Of processes with boards, and of the server's; behind the ramp. Null in virtual time, which waits for everybody. */
  readonly cycles: { readonly boards: LateCycles; readonly server: LateCycles | null } | null;
  /** Sent and received by all boards, behind the ramp. */
  readonly messagesPerSecond: number;
  readonly processes: readonly ProcessFigures[];
  /** Whether boards were answered in their own voices, and what they played was checked. */
  readonly checksVoices: boolean;
}

export interface ProcessFigures extends ProcessUse {
  readonly role: 'all' | 'boards' | 'server' | 'provider';
  /** How many boards live in it or, of the server, are connected to it. */
  readonly boards: number;
  /** Before the first board, when all are on, and at the end. */
  readonly before: ProcessMemory;
  readonly full: ProcessMemory;
  readonly after: ProcessMemory;
}
