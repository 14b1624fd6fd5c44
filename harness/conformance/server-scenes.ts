/** Conversations that several cases judge: played once, each on connections of its own. */
import type { ServerEvent } from '../../firmware-protocol/server-event.ts';
import { Nonconformity, Unsupported } from './conformance-case.ts';
import { endOf, type Mode, modeQuery, type Scene, type ServerStage } from './server-stage.ts';
import { orderOf, type Sentence, sentencesOf } from './turn-grammar.ts';
import type { WirePeer } from './wire-peer.ts';

export type TimedEvent = ServerEvent & { readonly atUs: number };

export interface PlayedTurn {
  readonly peer: WirePeer;
  /** What came from its beginning to its `EndResponse`, or to the end of the patience. */
  readonly events: readonly TimedEvent[];
  readonly startUs: number;
  /** When the last sample of what the user says had been sent. */
  readonly saidUs: number;
  readonly answered: boolean;
}

export interface PlayedConversation {
  readonly peer: WirePeer;
  readonly turns: readonly PlayedTurn[];
  /** What came in the second after the last `EndResponse`. */
  readonly afterwards: readonly TimedEvent[];
}

/** Plays one turn and cuts what came for it out of the connection. */
export async function playTurn(
  stage: ServerStage,
  peer: WirePeer,
  play: () => Promise<boolean>,
): Promise<PlayedTurn> {
  const before = peer.events.length;
  const startUs = stage.clock.nowUs();
  const answered = await play();
  const events = peer.events.slice(before).filter(({ type }) => !type.startsWith('Hello'));
  const saidUs = startUs + Math.ceil(stage.said.length * 62.5);
  return { peer, events, startUs, saidUs, answered };
}

/** Two spoken turns on one connection of a board of today, or of one up to 0.3.0. */
export const spokenConversation = (mode: Mode): Scene<PlayedConversation> => ({
  name: `spoken ${mode}`,
  async play(stage) {
    const peer = await stage.connect(modeQuery[mode]);
    const turns: PlayedTurn[] = [];
    for (let turn = 0; turn < 2; turn++) {
      turns.push(await playTurn(stage, peer, () => stage.speak(peer, mode)));
      if (turns.at(-1)?.answered === false) break;
    }
    const before = peer.events.length;
    await stage.sleep(1000);
    return { peer, turns, afterwards: peer.events.slice(before) };
  },
});

/** One turn by the cheapest way with the given query, and what came before it. */
export interface QueryConversation {
  readonly peer: WirePeer;
  readonly before: readonly TimedEvent[];
  readonly turn: PlayedTurn;
}

export const queryConversation = (query: string): Scene<QueryConversation> => ({
  name: `query ${query}`,
  async play(stage) {
    const peer = await stage.connect(query);
    const hello = (): boolean => peer.count('HelloEnd') > 0;
    await peer.until(hello, stage.limits.quietMs);
    if (peer.events.length > 0) await peer.until(hello, stage.limits.stepMs);
    const before = [...peer.events];
    const mode = query.includes('stream_asr=true') ? 'stream' : 'submit';
    const turn = await playTurn(stage, peer, () => stage.ask(peer, mode));
    return { peer, before, turn };
  },
});

/** A spoken turn in which nothing is said. */
export const emptyTurn = (mode: Mode, seconds: number): Scene<PlayedTurn> => ({
  name: `empty ${mode} ${seconds}`,
  async play(stage) {
    const peer = await stage.connect(modeQuery[mode]);
    return playTurn(stage, peer, () =>
      stage.speak(peer, mode, new Int16Array(Math.round(seconds * 16_000))),
    );
  },
});

/** The first answered turn of a conversation. @throws {Nonconformity} when none was answered */
export function answeredTurn({ turns }: PlayedConversation, index = 0): PlayedTurn {
  const turn = turns[index];
  if (turn === undefined) throw new Nonconformity('the turn before it was never answered');
  return answered(turn);
}

/** @throws {Nonconformity} when the turn has no `EndResponse` */
export function answered(turn: PlayedTurn): PlayedTurn {
  if (turn.answered) return turn;
  throw new Nonconformity(
    `no EndResponse came; ${turn.peer.open ? 'the connection is open' : endOf(turn.peer)}; what came: ${orderOf(turn.events)}`,
  );
}

/** Sentences with audio. @throws {Unsupported} when the answer has none */
export function spokenSentences(turn: PlayedTurn): Sentence[] {
  const spoken = sentencesOf(answered(turn).events).filter(({ chunks }) => chunks.length > 0);
  if (spoken.length === 0) {
    throw new Unsupported('the answer has no audio; nothing about audio can be said');
  }
  return spoken;
}
