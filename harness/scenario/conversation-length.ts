/** How long a conversation will take on its own clock, estimated from its script before it is held. */
import type { Scenario, Turn } from './scenario.ts';
import { readUserWav } from './user-wav.ts';

/** Of the offline voices, about; a Chinese character counts as three letters. */
const lettersPerSecond = 13;
/** From the end of speech to the decision, and what provider and player take beside the speaking itself. */
const overheadMs = 2500;

/** In milliseconds. Within a quarter for the shipped scenarios; a provider slower than speech and disturbances are not counted. */
export function estimatedLengthMs({ turns }: Scenario): number {
  return Math.round(turns.reduce((sum, turn) => sum + turnMs(turn), 2000));
}

function turnMs({ say, wav, reply, replyPace, pauseMs, after }: Turn): number {
  const user = wav === undefined ? spokenMs(say ?? '') : (readUserWav(wav).length / 16_000) * 1000;
  // A turn that interrupts begins before the answer to the one before is over.
  const before = after === undefined ? pauseMs : 0;
  return before + user + overheadMs + replyPace.firstTokenMs + spokenMs(reply);
}

function spokenMs(text: string): number {
  const wide = text.match(/\p{Script=Han}/gu)?.length ?? 0;
  return ((text.length + 2 * wide) / lettersPerSecond) * 1000;
}
