/**
 * The conformance suite of servers: plays a board, well-behaved and otherwise, against any EchoKit
 * server. Nothing the server does or leaves undone can make it hang.
 */

import { runCases } from './case-runner.ts';
import { type CaseResult, type ConformanceCase, familyOf, Skipped } from './conformance-case.ts';
import { serverAudioCases } from './server-audio-cases.ts';
import { serverCommandCases } from './server-command-cases.ts';
import { serverConnectionCases } from './server-connection-cases.ts';
import { serverHandshakeCases } from './server-handshake-cases.ts';
import { queryConversation, spokenConversation } from './server-scenes.ts';
import {
  modeQuery,
  type Scene,
  SceneStore,
  ServerStage,
  type ServerSuiteOptions,
} from './server-stage.ts';
import { serverTurnCases } from './server-turn-cases.ts';

export interface SuiteRun {
  /** The cases to play, in their order. */
  readonly cases: readonly ConformanceCase<ServerStage>[];
  readonly signal: AbortSignal;
  readonly onResult?: (result: CaseResult) => void;
}

/** Families that say nothing about answers; they are played whatever the server does. */
const withoutAnswers = new Set(['handshake', 'http', 'record']);

export const serverCases: readonly ConformanceCase<ServerStage>[] = [
  ...serverHandshakeCases,
  ...serverTurnCases,
  ...serverAudioCases,
  ...serverCommandCases,
  ...serverConnectionCases,
].map((each) =>
  withoutAnswers.has(familyOf(each)) ? each : { ...each, play: (stage) => afterProof(each, stage) },
);

/** @returns a result for each case; fewer when `signal` has aborted */
export async function runServerSuite(
  options: ServerSuiteOptions,
  { cases, signal, onResult }: SuiteRun,
): Promise<CaseResult[]> {
  const scenes = new SceneStore(options, signal);
  const { answerMs, stepMs, idleMs } = options.limits;
  return runCases({
    cases,
    clock: options.clock,
    createStage: (caseSignal) => new ServerStage(options, scenes, caseSignal),
    // The longest case has four turns and some steps beside them; each wait in it has its own limit.
    caseLimitMs: 4 * (answerMs + options.speech.length / 16 + 6000) + idleMs + 8 * stepMs,
    signal,
    ...(onResult !== undefined && { onResult }),
  });
}

/** Whether boards are let in, and whether a question is ever answered: found out once. */
const letsIn: Scene<boolean> = {
  name: 'lets boards in',
  async play(stage) {
    await stage.connect(`reconnect=true&${modeQuery.stream}`);
    return true;
  },
};

const answersAtAll: Scene<boolean> = {
  name: 'answers at all',
  async play(stage) {
    const query = await stage.quietScene(queryConversation(modeQuery.stream));
    if (query?.turn.answered === true) return true;
    for (const mode of ['stream', 'submit'] as const) {
      const spoken = await stage.quietScene(spokenConversation(mode));
      if (spoken?.turns[0]?.answered === true) return true;
    }
    return false;
  },
};

/** Cases that say something about the lack of answers themselves. */
const provesAnswers = /^(query|stream|submit|hello|encoding)\//;

/**
 * A server that lets nobody in or never answers fails the cases that show it. The others would each
 * wait in vain and say the same again: they are skipped.
 */
async function afterProof(each: ConformanceCase<ServerStage>, stage: ServerStage): Promise<void> {
  if (!(await stage.quietScene(letsIn))) {
    throw new Skipped('boards are not let in; the family handshake shows it');
  }
  if (!provesAnswers.test(each.id) && !(await stage.quietScene(answersAtAll))) {
    throw new Skipped(
      'the server answers no question; the families query, stream and submit show it',
    );
  }
  await each.play(stage);
}
