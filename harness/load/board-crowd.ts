/** The boards of a load run that live in one process. */
import { setMaxListeners } from 'node:events';
import type { Clock } from '../clock/clock.ts';
import { type DeviceProfile, deviceProfiles } from '../device/device-profile.ts';
import { quirkIds } from '../device/quirk.ts';
import type { Dialer } from '../network/network.ts';
import type { Random } from '../random/random.ts';
import type { ConversationNetwork } from '../runner/board-in-hand.ts';
import type { Laboratory } from '../runner/laboratory.ts';
import { userVoice } from '../runner/run-cell.ts';
import type { Cell } from '../scenario/plan.ts';
import { readUserWav } from '../scenario/user-wav.ts';
import { BoardFigures, type BoardFiguresData } from './board-figures.ts';
import { cellOfBoard } from './load-server.ts';
import { LoadedBoard } from './loaded-board.ts';

/** How a board gets to the server. */
export interface BoardPlace {
  readonly serverUrl: string;
  readonly dialer: Dialer;
  readonly network: ConversationNetwork;
}

export interface BoardCrowdOptions {
  /** Their numbers, from 0 over all processes. */
  readonly boards: readonly number[];
  /** Of all processes together: board k is switched on at k of so many parts of the ramp. */
  readonly devices: number;
  readonly rampMs: number;
  readonly pauseMs: number;
  /** Each board stops after so many turns. */
  readonly turns?: number;
  readonly cells: readonly Cell[];
  readonly profiles: ReadonlyMap<string, DeviceProfile>;
  readonly clock: Clock;
  readonly random: Random;
  readonly laboratory: Pick<Laboratory, 'opus' | 'voiceDetection' | 'voice'>;
  readonly checksVoices: boolean;
  placeOf(board: number, cell: Cell): BoardPlace;
  /** Told when a turn has ended. */
  onTurn?(): void;
}

/** What one board was like, for the list of boards. */
export interface BoardSummary extends Omit<BoardFiguresData, 'voices' | 'refusals'> {
  readonly board: number;
  readonly scenario: string;
  readonly device: string;
  readonly network: string;
  readonly foreignWindows: number;
}

export class BoardCrowd {
  readonly #options: BoardCrowdOptions;
  readonly #boards: readonly { readonly number: number; readonly board: LoadedBoard }[];

  constructor(options: BoardCrowdOptions) {
    this.#options = options;
    const clips = new Map<string, Int16Array>();
    const clip = ({ wav, say = '' }: { readonly say?: string; readonly wav?: string }) => {
      const key = wav === undefined ? `say ${say}` : `wav ${wav}`;
      let samples = clips.get(key);
      if (samples === undefined) {
        samples =
          wav === undefined
            ? options.laboratory.voice.speak(say, userVoice).samples
            : readUserWav(wav);
        clips.set(key, samples);
      }
      return samples;
    };
    // Speaking blocks, and must not do so while boards talk.
    for (const { scenario } of options.cells) for (const turn of scenario.turns) clip(turn);
    this.#boards = options.boards.map((number) => {
      const cell = cellOfBoard(options.cells, number);
      const board = new LoadedBoard({
        board: number,
        scenario: cell.scenario,
        profile: profileOf(cell, options.profiles),
        networkName: cell.network,
        clock: options.clock,
        random: options.random.fork(`board ${number}`),
        opus: options.laboratory.opus,
        voiceDetection: options.laboratory.voiceDetection,
        clip,
        pauseMs: options.pauseMs,
        checksVoice: options.checksVoices,
        ...options.placeOf(number, cell),
        ...(options.turns !== undefined && { turns: options.turns }),
        ...(options.onTurn !== undefined && { onTurn: options.onTurn }),
      });
      return { number, board };
    });
  }

  /** Until `signal` aborts, or the last board has had all its turns. Every board is switched off then. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, devices, rampMs } = this.#options;
    // Every board waits for the end of the run: that is no leak.
    setMaxListeners(0, signal);
    await Promise.all(
      this.#boards.map(async ({ number, board }) => {
        try {
          await clock.sleep(Math.round((number * rampMs * 1000) / devices), signal);
        } catch (error) {
          if (signal.aborted) return;
          throw error;
        }
        await board.run(signal);
      }),
    );
  }

  /** All of them together, now. */
  figures(): BoardFigures {
    const all = new BoardFigures(4);
    for (const { board } of this.#boards) all.merge(board.figures);
    return all;
  }

  /** Cheap enough for a line of progress. */
  totals(): CrowdTotals {
    let [turns, failed, connected, messages, foreign] = [0, 0, 0, 0, 0];
    for (const { board } of this.#boards) {
      const { figures } = board;
      turns += figures.turns;
      failed += figures.failed;
      connected += figures.connected;
      messages += figures.messages;
      foreign += figures.voices.foreign;
    }
    return { turns, failed, connected, messages, foreign };
  }

  summaries(): BoardSummary[] {
    return this.#boards.map(({ number, board }) => {
      const cell = cellOfBoard(this.#options.cells, number);
      const { voices, refusals: _, ...counted } = board.figures.toData();
      return {
        board: number,
        scenario: cell.scenario.name,
        device: cell.device,
        network: cell.network,
        foreignWindows: voices.foreign,
        ...counted,
      };
    });
  }
}

export interface CrowdTotals {
  readonly turns: number;
  readonly failed: number;
  readonly connected: number;
  readonly messages: number;
  /** Windows in which somebody else spoke. */
  readonly foreign: number;
}

function profileOf(
  { device, scenario }: Cell,
  profiles: ReadonlyMap<string, DeviceProfile>,
): DeviceProfile {
  const profile = profiles.get(device) ?? deviceProfiles[device];
  if (profile === undefined) throw new RangeError(`There is no board "${device}".`);
  const quirksOff = quirkIds.filter((id) => scenario.device.quirksOff.includes(id));
  return { ...profile, quirksOff, playerRhythm: scenario.device.playerRhythm };
}
