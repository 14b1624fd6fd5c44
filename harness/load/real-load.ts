/** A load run over real sockets, in real time. Its parts live in processes that the caller starts. */
import type { Clock } from '../clock/clock.ts';
import type { ProviderEntry } from '../runner/provider-catalog.ts';
import type { CrowdTotals } from './board-crowd.ts';
import { BoardFigures } from './board-figures.ts';
import { Histogram } from './histogram.ts';
import type { LateCycles } from './late-cycles.ts';
import type { LoadFigures, ProcessFigures } from './load-figures.ts';
import type { LoadPlan, LoadProgress } from './load-plan.ts';
import type { RoleAnswer, RoleFigures, RoleRequest } from './load-role.ts';
import type { ProcessMemory } from './process-watch.ts';
import { type SoakSample, type SoakVerdict, soakVerdict } from './soak.ts';

/** A part of the run, wherever it lives. Asked one thing at a time. */
export interface LoadPart {
  ask(request: RoleRequest): Promise<RoleAnswer>;
  /** Lets it end by itself. False: it had to be ended. Absent: it has no end of its own. */
  leave?(): Promise<boolean>;
  /** Ends it at once. */
  stop(): void;
}

export interface RealLoadOptions {
  readonly plan: LoadPlan;
  /** Whose speech our server asks for, or the URL of a server that is not ours. */
  readonly party: ProviderEntry | { readonly serverUrl: string };
  /** Processes between which the boards are shared. */
  readonly boardProcesses: number;
  readonly openPart: () => LoadPart;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  onProgress?(progress: LoadProgress): void;
  /** Looks at the memory of every part, so often, and lets each end by itself. */
  readonly soak?: { readonly everyMs: number; verdict(verdict: SoakVerdict): void };
}

interface OpenPart {
  readonly role: ProcessFigures['role'];
  readonly boards: number;
  readonly part: LoadPart;
  readonly before: ProcessMemory;
}

const progressEveryUs = 500_000;

export async function runRealLoad(options: RealLoadOptions): Promise<LoadFigures> {
  const parts: LoadPart[] = [];
  const openPart = (): LoadPart => {
    const part = options.openPart();
    parts.push(part);
    return part;
  };
  try {
    return await hold({ ...options, openPart });
  } finally {
    for (const part of parts) part.stop();
  }
}

async function hold(options: RealLoadOptions): Promise<LoadFigures> {
  const { plan, party, clock, signal, onProgress, soak } = options;
  const { devices, rampMs, holdMs } = plan;
  const { own, serverUrl } = await openServerSide(options);
  const crowds = await openBoards(options, serverUrl);
  const all = [...own, ...crowds];

  const startUs = clock.nowUs();
  const samples: SoakSample[][] = all.map(() => []);
  let sampledUs = startUs;
  const sample = async (): Promise<void> => {
    const nowUs = clock.nowUs();
    if (soak === undefined || nowUs - sampledUs < soak.everyMs * 1000) return;
    sampledUs = nowUs;
    const atHours = (nowUs - startUs) / 3_600_000_000;
    for (const [i, { part }] of all.entries()) {
      const answer = await part.ask({ kind: 'sample', atHours });
      samples[i]!.push(expected(answer, 'sampled').sample);
    }
  };
  for (const { part } of crowds) await part.ask({ kind: 'start' });
  /** True: every board has had its turns. */
  const watch = async (untilUs: number): Promise<boolean> => {
    while (clock.nowUs() < untilUs && !signal.aborted) {
      await clock
        .sleep(Math.min(progressEveryUs, untilUs - clock.nowUs()), signal)
        .catch(() => undefined);
      const answers = await Promise.all(crowds.map(({ part }) => part.ask({ kind: 'totals' })));
      const now = answers.map((answer) => expected(answer, 'totals'));
      onProgress?.({ atUs: clock.nowUs() - startUs, ...sum(now.map(({ totals }) => totals)) });
      if (now.every(({ over }) => over)) return true;
      await sample();
    }
    return false;
  };
  let over = await watch(startUs + rampMs * 1000);
  const measured = await Promise.all(all.map(({ part }) => part.ask({ kind: 'measure' })));
  const full = measured.map((answer) => expected(answer, 'measuring'));
  const holdFromUs = clock.nowUs();
  const holdUntilUs = holdMs === undefined ? Number.POSITIVE_INFINITY : holdFromUs + holdMs * 1000;
  if (!over && !signal.aborted) over = await watch(holdUntilUs);
  const endUs = clock.nowUs();
  // The boards first: a server that goes would be measured as their trouble.
  const settles = soak !== undefined;
  const figuresOfBoards = await Promise.all(crowds.map(({ part }) => finish(part, settles)));
  const figuresOfOwn = [];
  for (const { part } of own) figuresOfOwn.push(await finish(part, settles));
  const finished = [...figuresOfOwn, ...figuresOfBoards];
  const boards = new BoardFigures(4);
  for (const figures of figuresOfBoards) if (figures.boards !== null) boards.merge(figures.boards);
  if (soak !== undefined) {
    const perHour = boards.toData().conversations / ((endUs - startUs) / 3_600_000_000);
    for (const [i, { role, part }] of all.entries()) {
      const ended = (await part.leave?.()) ?? true;
      const left = { ...finished[i]!.left, ...(!ended && { 'process that did not end': 1 }) };
      soak.verdict(soakVerdict(role, samples[i]!, left, perHour));
    }
  }

  const server = figuresOfOwn.find((figures) => figures.server !== null);
  const before = sum(full.map(({ totals }) => totals)).messages;
  const after = sum(finished.map(({ totals }) => totals)).messages;
  const heldUs = endUs - holdFromUs;
  return {
    time: 'real',
    devices,
    provider: 'serverUrl' in party ? 'external' : party.name,
    rampMs,
    ranMs: (endUs - startUs) / 1000,
    heldMs: heldUs / 1000,
    wallMs: (endUs - startUs) / 1000,
    interrupted: signal.aborted,
    boards: boards.toData(),
    eachBoard: figuresOfBoards
      .flatMap(({ eachBoard }) => eachBoard)
      .toSorted((a, b) => a.board - b.board),
    server: server?.server ?? null,
    cycles: { boards: together(figuresOfBoards), server: server?.cycles ?? null },
    messagesPerSecond: heldUs === 0 ? 0 : ((after - before) * 1e6) / heldUs,
    processes: all.map(({ role, boards: count, before: memory }, i) => ({
      role,
      boards: count,
      ...(finished[i]!.use ?? { cpuMs: 0, cores: 0, residentBytes: 0 }),
      before: memory,
      full: full[i]!.memory,
      after: finished[i]!.memory,
    })),
    checksVoices: plan.checksVoices,
  };
}

/** Provider and server, in the order in which they are to end: the server first. */
async function openServerSide({
  plan,
  party,
  openPart,
}: RealLoadOptions): Promise<{ own: OpenPart[]; serverUrl: string }> {
  if ('serverUrl' in party) return { own: [], serverUrl: party.serverUrl };
  const provider = openPart();
  const { services, memory } = expected(
    await provider.ask({ kind: 'provider', plan, provider: party }),
    'opened',
  );
  const server = openPart();
  const opened = expected(
    await server.ask({ kind: 'server', plan, provider: party, services }),
    'opened',
  );
  return {
    own: [
      { role: 'server', boards: plan.devices, part: server, before: opened.memory },
      // Boards do not know it: its memory is nobody's.
      { role: 'provider', boards: 0, part: provider, before: memory },
    ],
    serverUrl: opened.serverUrl,
  };
}

async function openBoards(
  { plan, boardProcesses, openPart }: RealLoadOptions,
  serverUrl: string,
): Promise<OpenPart[]> {
  const crowds = Array.from({ length: Math.min(boardProcesses, plan.devices) }, (_, which) =>
    Array.from({ length: plan.devices }, (_unused, board) => board).filter(
      (board) => board % boardProcesses === which,
    ),
  );
  return Promise.all(
    crowds.map(async (boards): Promise<OpenPart> => {
      const part = openPart();
      const opened = await part.ask({ kind: 'boards', plan, boards, serverUrl });
      const { memory: before } = expected(opened, 'opened');
      return { role: 'boards', boards: boards.length, part, before };
    }),
  );
}

async function finish(part: LoadPart, settles: boolean): Promise<RoleFigures> {
  return expected(await part.ask({ kind: 'finish', settles }), 'finished');
}

function expected<Kind extends RoleAnswer['kind']>(
  answer: RoleAnswer,
  kind: Kind,
): Extract<RoleAnswer, { kind: Kind }> {
  if (answer.kind !== kind) throw new Error(`A part of the load run answered ${answer.kind}.`);
  return answer as Extract<RoleAnswer, { kind: Kind }>;
}

function sum(all: readonly CrowdTotals[]): CrowdTotals {
  const of = (key: keyof CrowdTotals): number => all.reduce((total, one) => total + one[key], 0);
  return {
    turns: of('turns'),
    failed: of('failed'),
    connected: of('connected'),
    messages: of('messages'),
    foreign: of('foreign'),
  };
}

/** Cycles of processes with equally many boards: a cycle of a process is one of each of its boards. */
function together(finished: readonly RoleFigures[]): LateCycles {
  const lateness = new Histogram();
  let [cycles, late] = [0, 0];
  for (const { cycles: counted } of finished) {
    if (counted === null) continue;
    cycles += counted.cycles;
    late += counted.late;
    lateness.merge(Histogram.fromData(counted.lateness));
  }
  return { cycles, late, lateness: lateness.toData() };
}
