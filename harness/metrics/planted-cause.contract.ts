/**
 * For tests of blame: conversations whose underrun has a known cause, drawn from a seed. One is recorded and held again with
 * its audio coming at an even pace, without an underrun. Then it is held once more with what is planted: a pause of the
 * provider, a server that frames as the EchoKit server, a network that stands still, a board that draws slowly.
 */
import { diy } from '../device/device-profile.ts';
import { createRandom, type Random } from '../random/random.ts';
import type { Answer } from '../replay/recorded-exchange.ts';
import {
  type ConversationRunner,
  type RecordedConversation,
  scenarioOf,
} from '../runner/recorded-conversation.contract.ts';
import type { ReplayableConversation } from '../runner/recorded-run.ts';
import type { Disturbance } from '../scenario/scenario.ts';
import { compatIds } from '../server/compat-items.ts';
import type { Stage } from './blame.ts';

export interface Planted {
  /** In words, for a failed test. */
  readonly how: string;
  readonly conversation: RecordedConversation;
}

export const singleCauses: readonly (readonly Stage[])[] = [
  ['provider'],
  ['server'],
  ['network'],
  ['device'],
];
export const doubleCauses: readonly (readonly Stage[])[] = [
  ['provider', 'network'],
  ['provider', 'device'],
  ['network', 'device'],
];

const replies = [
  'Boil fresh water and pour it over the leaves at once and let them steep for three or four minutes before you drink it with milk.',
  'The moon pulls harder on the side of the earth that faces it than on the far side and so it makes the tides rise twice a day.',
  'Bees gather in a tight ball around their queen and shiver all winter long to keep her warm until the flowers of spring come out.',
];
/** `openai-stream`: 16-bit PCM at 24 kHz. */
const bytesPerMs = 48;
const pieceMs = 40;

/** All times from the first audio of the answer on. */
interface Draw {
  /** Seconds of audio per second. */
  readonly pace: number;
  /** Audio that comes at once. */
  readonly leadMs: number;
  readonly packetMs: 60 | 120;
  readonly network: string;
  readonly atMs: number;
  /** Of each of what is planted but the server's. */
  readonly lengthsMs: readonly number[];
}

function draw(random: Random, causes: readonly Stage[]): Draw {
  const pick = <T>(items: readonly T[]): T => items[random.integer(0, items.length - 1)]!;
  const slow = causes.includes('server');
  // The texts have to be on the board when the network stops.
  const steered = causes.includes('network') && causes.includes('device');
  return {
    // What the server holds back and drops only hurts where there is no reserve.
    pace: slow ? random.between(1.005, 1.03) : random.between(1.1, 1.5),
    leadMs: random.integer(160, 260),
    packetMs: pick([60, 120]),
    network: slow || steered ? 'ideal' : pick(['ideal', 'good-wifi']),
    atMs: random.integer(400, 1_500),
    lengthsMs: causes.map(() => random.integer(1_400, 2_400)),
  };
}

/** @returns null when the conversation would have broken anyhow, or what is planted breaks nothing */
export async function plantCauses(
  runner: ConversationRunner,
  seed: number,
  causes: readonly Stage[],
): Promise<Planted | null> {
  const random = createRandom(seed, `planted ${causes.join()}`);
  const reply = replies[random.integer(0, replies.length - 1)]!;
  const scenario = scenarioOf('planted', `[[turn]]\nsay = "Tell me."\nreply = "${reply}"`);
  const drawn = draw(random, causes);
  const [original] = await runner.run(scenario, {
    providers: ['openai-stream'],
    networks: [drawn.network],
    seed,
  });
  const hold = (planted: readonly Stage[]): Promise<RecordedConversation> =>
    runner.replay(original!.path, { conversation: (one) => plant(one, drawn, planted) });
  const count = ({ measurement }: RecordedConversation) => measurement.metrics['underruns.count'];
  const clean = await hold([]);
  if (count(clean) !== 0) return null;
  const conversation = await hold(causes);
  if (count(conversation) === 0) return null;
  return { how: `seed ${seed}, ${causes.join(' and ')}: ${JSON.stringify(drawn)}`, conversation };
}

/** Where two are planted the second strikes what the first has delayed. */
function plant(
  { traffic, cell, devices, ...rest }: ReplayableConversation,
  { pace, leadMs, packetMs, atMs, lengthsMs }: Draw,
  causes: readonly Stage[],
): ReplayableConversation {
  const lengthOf = (stage: Stage): number => lengthsMs[causes.indexOf(stage)] ?? 0;
  const afterPause = causes.includes('provider') ? atMs + lengthOf('provider') - 150 : atMs;
  const disturbances: Disturbance[] = [];
  const after = (delayMs: number) => ({ event: 'AudioChunkWithVowel', delayMs });
  // A board that is busy for longer than the network stands still.
  const stallMs = lengthOf('network');
  const busyMs = lengthOf('device') + (causes.includes('network') ? stallMs : 0);
  if (causes.includes('device')) {
    for (let i = 0; i < redraws; i++) {
      disturbances.push({ kind: 'message', message: 'ASR', after: after(afterPause) });
    }
  }
  if (causes.includes('network')) {
    const fromMs = afterPause + (causes.includes('device') ? 1 : 0);
    disturbances.push({
      kind: 'stall',
      direction: 'down',
      durationMs: stallMs,
      after: after(fromMs),
    });
  }
  const board = {
    ...diy,
    name: 'painter',
    constants: { ...diy.constants, redrawUs: Math.round((busyMs * 1000) / redraws) },
  };
  const { scenario } = cell;
  const [turn] = scenario.turns;
  return {
    ...rest,
    traffic: {
      ...traffic,
      exchanges: traffic.exchanges.map((exchange) => ({
        ...exchange,
        answers: atPace(exchange.answers, pace, leadMs, atMs, lengthOf('provider')),
      })),
    },
    devices: causes.includes('device') ? new Map([...devices, [board.name, board]]) : devices,
    cell: {
      ...cell,
      ...(causes.includes('device') && { device: board.name }),
      ...(causes.includes('server') && { server: 'echokit-server' as const }),
      scenario: {
        ...scenario,
        server: {
          ...scenario.server,
          packetMs,
          compatExcept: compatIds.filter((id) => id !== 'audio-blocks'),
        },
        turns: [{ ...turn!, disturbances }],
      },
    },
  };
}

/** Texts that are drawn one after the other; each holds the main loop up. */
const redraws = 4;
/** So much later than recorded: the board has drawn the text of the sentence by then. */
const laterUs = 1_500_000;

/** The answers in small pieces at an even pace, with one pause. */
function atPace(
  answers: readonly Answer[],
  pace: number,
  leadMs: number,
  pauseAtMs: number,
  pauseMs: number,
): Answer[] {
  const first = answers.find(({ act }) => act.kind === 'bytes' && act.data.length > 1000);
  if (first === undefined) return [...answers];
  const startUs = first.delayUs + laterUs;
  let bytes = 0;
  let delayUs = 0;
  return answers.flatMap((answer): Answer[] => {
    const { act } = answer;
    if (act.kind !== 'bytes') return [{ ...answer, delayUs: Math.max(delayUs, answer.delayUs) }];
    const pieces: Answer[] = [];
    for (let at = 0; at < act.data.length; at += pieceMs * bytesPerMs) {
      const data = act.data.subarray(at, at + pieceMs * bytesPerMs);
      bytes += data.length;
      const steadyMs = Math.max(0, bytes / bytesPerMs - leadMs) / pace;
      const ms = steadyMs + (steadyMs >= pauseAtMs ? pauseMs : 0);
      delayUs = startUs + Math.round(ms * 1000);
      pieces.push({ ...answer, delayUs, act: { kind: 'bytes', data } });
    }
    return pieces;
  });
}
