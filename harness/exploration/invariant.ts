/** What must hold of every conversation, whatever goes wrong in it. Judged by the recording. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFault, layerOf } from '../faults/catalog.ts';
import type { PassedRun } from '../runner/passing-run.ts';
import { suddenFaults } from '../virtual-board/fault.ts';
import { isFinal, type Schedule, turnCount, turnLimitMs } from './schedule.ts';

export const invariants = {
  'no-throw': 'the conversation comes to an end without an error of the program, also no dead lock',
  'no-hang': 'it does not take longer than all limits together',
  'turns-end': 'every turn that has begun ends',
  'next-turn-works': 'behind all faults a turn in which nothing goes wrong is answered',
  'known-restart': 'the board restarts only for a reason that is known',
  'known-failure': 'every failed turn has a class that is documented',
  'ledger-balances': 'no sample is unexplained, and no count of underruns unverified',
  'recording-complete': 'the recording has its manifest and its end, and can be read',
  'no-secret': 'no file of the recording holds a credential',
  'bounded-memory': 'the program does not need more and more memory',
} as const;

export type InvariantName = keyof typeof invariants;

export interface Violation {
  readonly rule: InvariantName;
  /** What was seen, in one line. */
  readonly what: string;
}

/** Reasons of the firmware, by how they begin; those of broken chips are the names of the faults. */
const knownRestarts: readonly string[] = [
  'K0 ',
  'Timeout sending message',
  'Failed to send message',
  'All reconnect attempts failed',
];

const providerKinds: readonly string[] = [
  'auth',
  'quota',
  'rate-limit',
  'bad-voice',
  'bad-request',
  'too-long',
  'timeout',
  'truncated',
  'empty',
  'protocol',
  'network',
  'server',
];
const turnKinds: readonly string[] = [
  'turn-timeout',
  'reboot',
  'no-speech',
  'no-answer',
  'silent',
  'unfinished',
];

/** All turns, and three presses of K0 with the wait for each. */
function longestUs(schedule: Schedule): number {
  return turnCount(schedule) * (2 * turnLimitMs + 4 * 30_000) * 1000 + 120_000_000;
}

/**
 * Whether the board restarted only in the last turn, because it found out no earlier that its connection was lost. Its socket task
 * takes 32 messages, and an utterance that nobody answers is over after 21 of them (`StartChat` and the sound of ten seconds): of a
 * half-open connection the second one makes it wait for 30 s and restart (EchoKit device protocol reference, sections 3.3, 5.5, 6.1).
 * What must hold behind that restart only a further turn can show.
 */
export function foundOutLast(schedule: Schedule, { result }: PassedRun): boolean {
  const [before, last] = result.measurement.turns.slice(-2);
  return (
    last?.turn === turnCount(schedule) &&
    last.failure?.kind === 'reboot' &&
    before?.failure?.kind !== 'reboot'
  );
}

/** Words are answered within a few seconds where nothing goes wrong. */
const longWaitUs = 30_000_000;

/**
 * Whether the network alone held the last turn up until its user gave up. A lost segment is sent again after 0.5 s, 1 s, 2 s and so
 * on, and on a bad network it may be lost seven times in a row, a minute; then the conversation goes on by itself. What hangs does not.
 */
export function heldUpLast(schedule: Schedule, { result, recording }: PassedRun): boolean {
  const last = result.measurement.turns.at(-1);
  const number = turnCount(schedule);
  if (last?.turn !== number || last.failure?.kind !== 'turn-timeout') return false;
  const { events } = recording;
  const stop = events.find(
    (event) => event.source === 'user' && event.type === 'speechStop' && event.turn === number,
  );
  const end = events.find(
    (event) => event.source === 'harness' && event.type === 'turnEnd' && event.turn === number,
  );
  if (stop === undefined || end === undefined) return false;
  return events.some(
    ({ source, type, atUs }) =>
      atUs > stop.atUs + longWaitUs &&
      atUs < end.atUs &&
      ((source === 'server' && type === 'uplink') ||
        (source === 'device' && type === 'frameReceived')),
  );
}

/**
 * @param secrets that must be in no file
 */
export function violationsOf(
  schedule: Schedule,
  run: PassedRun,
  secrets: readonly string[],
): Violation[] {
  const found: Violation[] = [];
  const add = (rule: InvariantName, what: string): void => void found.push({ rule, what });
  const { result, recording, folder } = run;
  const { measurement, verdict, durationUs } = result;
  const { events } = recording;
  const boardFailed = verdict.failures.some(({ code }) => code.startsWith('BOARD_'));
  const ended = isFinal(schedule) || boardFailed;

  if (durationUs > longestUs(schedule)) add('no-hang', `${durationUs / 1e6} s of virtual time`);

  const begun = events.flatMap((event) =>
    event.type === 'turnStart' && event.source === 'harness' ? [event.turn] : [],
  );
  const over = events.flatMap((event) =>
    event.type === 'turnEnd' && event.source === 'harness' ? [event.turn] : [],
  );
  const open = begun.filter((turn) => !over.includes(turn));
  if (open.length > 0 && !ended) add('turns-end', `turn ${open.join(', ')} has no end`);

  const last = measurement.turns.at(-1);
  const total = turnCount(schedule);
  // Words that fell between two turns were taken for a turn of their own, and the script has no reply for the last one.
  const heard = events.flatMap((event) =>
    event.source === 'server' && event.type === 'turnStart' ? [event.turn] : [],
  );
  const outOfScript = Math.max(0, ...heard) > total;
  if (!ended && !outOfScript && (last?.turn !== total || last.outcome !== 'ok')) {
    const why =
      last?.failure === null || last === undefined
        ? ''
        : ` (${last.failure.kind}: ${last.failure.message})`;
    add(
      'next-turn-works',
      last?.turn === total
        ? `the last turn is ${last.outcome}${why}`
        : `the conversation ended with turn ${last?.turn ?? 0} of ${total}${why}`,
    );
  }

  for (const event of events) {
    if (event.source !== 'device' || event.type !== 'reboot') continue;
    const { cause } = event;
    if (Object.hasOwn(suddenFaults, cause)) continue;
    // Of a board on a cable the console tells why, and a line with noise tells it in its own way.
    if (schedule.cable !== undefined && breaksBoard(schedule)) continue;
    if (!isKnownRestart(cause)) add('known-restart', `"${cause}"`);
  }

  for (const { turn, failure } of measurement.turns) {
    if (failure === null || [...providerKinds, ...turnKinds].includes(failure.kind)) continue;
    add('known-failure', `turn ${turn}: ${failure.kind}`);
  }

  if (!changesMessages(schedule) && !ended) {
    for (const { class: kind, code, message } of verdict.failures) {
      if (kind === 'defect' && code !== 'missed-disturbance') add('ledger-balances', message);
    }
  }

  if (!existsSync(join(folder, 'manifest.toml'))) add('recording-complete', 'there is no manifest');
  if (!ended && measurement.end?.outcome !== 'finished') {
    add('recording-complete', `its end is ${measurement.end?.outcome ?? 'missing'}`);
  }
  for (const file of filesIn(folder)) {
    const bytes = readFileSync(file);
    for (const secret of secrets) {
      if (bytes.includes(secret)) add('no-secret', file.slice(folder.length + 1));
    }
  }
  return found;
}

/** Messages between server and board that are lost or doubled are explained by nothing but the fault. */
function changesMessages({ turns }: Schedule): boolean {
  return turns.some(({ faults }) => faults.some(({ name }) => isBoardWire(name)));
}

function isBoardWire(name: string): boolean {
  const fault = findFault(name);
  return fault !== undefined && layerOf(fault) === 'board-wire';
}

/** The chip is made to break down, or its console is not to be trusted. */
function breaksBoard({ turns }: Schedule): boolean {
  return turns.some(({ faults }) =>
    faults.some(({ name }) => {
      const fault = findFault(name);
      return fault !== undefined && ['board', 'line'].includes(layerOf(fault));
    }),
  );
}

/** @param cause as the emulated board says it, or as the console of a board on a cable is read */
export function isKnownRestart(cause: string): boolean {
  const reason = cause.replace(/^its main loop failed: /, '');
  return knownRestarts.some((text) => reason.startsWith(text));
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesIn(path) : [path];
  });
}
