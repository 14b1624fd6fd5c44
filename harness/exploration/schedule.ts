/** A random conversation with what goes wrong in it, as data: drawn from a seed, and written as a scenario. */

import { deviceProfiles } from '../device/device-profile.ts';
import { faults } from '../faults/catalog.ts';
import { type Fault, type FaultParameter, faultLevels } from '../faults/fault.ts';
import { networkNames } from '../network/network-profile.ts';
import { createRandom, type Random } from '../random/random.ts';

export interface Schedule {
  readonly seed: number;
  readonly provider: string;
  readonly device: string;
  readonly network: string;
  /** A virtual board on a cable: its console, or a link at this rate. Absent: the emulated board. */
  readonly cable?: 'console' | number;
  readonly turns: readonly ScheduledTurn[];
  /** Turns in which nothing goes wrong, behind those. Absent: {@link clearTurns}. */
  readonly clear?: number;
}

export interface ScheduledTurn {
  readonly say: string;
  readonly reply: string;
  /** Spoken over the answer before. */
  readonly after?: ScheduledMoment;
  readonly acts: readonly ScheduledAct[];
  readonly faults: readonly ScheduledFault[];
}

export interface ScheduledMoment {
  readonly event: string;
  readonly delayMs: number;
}

export interface ScheduledAct {
  readonly key: 'k0' | 'volume-up' | 'volume-down';
  readonly press?: 'long';
  readonly after: ScheduledMoment;
}

export interface ScheduledFault {
  readonly name: string;
  /** Those that are not as usual, as a scenario writes them. */
  readonly parameters: Readonly<Record<string, number | string>>;
  readonly request?: number;
  readonly after?: ScheduledMoment;
}

/** Few and short, so that their sounds are made once and a conversation is over soon. */
const sayings = ['Go on.', 'Stop.', 'Hello there.'];
const replies = [
  'No.',
  'Hi. How are you?',
  'This answer never ends.',
  'One. Two. Three.',
  'This answer never ends. It goes on.',
];
/** Without a window a board never notices that its server is gone. */
const networks = networkNames.filter((name) => name !== 'ideal');
const answerEvents = ['ASR', 'EndVad', 'StartAudio', 'EndAudio', 'EndResponse'];
/** A turn that never ends is over after it; longer than the limits of the adapters. */
export const turnLimitMs = 65_000;
/** Turns in which nothing goes wrong, behind those that are drawn. */
export const clearTurns = 2;

/** How many turns a schedule has in all. */
export function turnCount({ turns, clear = clearTurns }: Schedule): number {
  return turns.length + clear;
}

/** @param providers to draw from */
export function drawSchedule(seed: number, providers: readonly string[]): Schedule {
  const random = createRandom(seed, 'explore');
  const cable = drawCable(random.fork('cable'));
  const own = random.fork('turns');
  const count = own.integer(1, 3);
  const turns = Array.from({ length: count }, (_, i) =>
    drawTurn(own.fork(`${i + 1}`), i, cable !== undefined),
  );
  const devices = Object.keys(deviceProfiles);
  const device = random.next() < 0.7 ? 'diy' : pick(random, devices);
  return {
    seed,
    provider: pick(random, providers),
    // The model of a board on a cable is the one that it is.
    device: cable === undefined ? device : 'diy',
    network: random.next() < 0.5 ? 'good-wifi' : pick(random, networks),
    ...(cable !== undefined && { cable }),
    turns,
  };
}

function drawCable(random: Random): Schedule['cable'] {
  if (random.next() >= 0.06) return undefined;
  return random.next() < 0.5 ? 'console' : 921_600;
}

function drawTurn(random: Random, index: number, onCable: boolean): ScheduledTurn {
  const interrupts = index > 0 && !onCable && random.next() < 0.3;
  const faultCount = pick(random, [0, 1, 1, 1, 2, 2, 3]);
  const actCount = random.next() < 0.25 ? random.integer(1, 2) : 0;
  return {
    say: pick(random, sayings),
    reply: pick(random, replies),
    ...(interrupts && {
      after: {
        event: 'StartAudio',
        delayMs: delay(random),
      },
    }),
    acts: Array.from({ length: actCount }, () => drawAct(random)),
    faults: Array.from({ length: faultCount }, () => drawFault(random, onCable)),
  };
}

function drawAct(random: Random): ScheduledAct {
  const after = {
    event: pick(random, ['Speech', ...answerEvents]),
    delayMs: delay(random),
  };
  const key = pick(random, ['k0', 'volume-up', 'volume-down'] as const);
  return key === 'k0' && random.next() < 0.3 ? { key, press: 'long', after } : { key, after };
}

function drawFault(random: Random, onCable: boolean): ScheduledFault {
  const levels = faultLevels.filter((level) => level !== 'serial' || onCable);
  const level = pick(random, levels);
  const fault = pick(
    random,
    faults.filter((one) => one.level === level),
  );
  const parameters: Record<string, number | string> = {};
  for (const parameter of fault.parameters) {
    if (random.next() < 0.5) parameters[parameter.name] = drawValue(random, parameter);
  }
  return {
    name: fault.name,
    parameters,
    ...(fault.perRequest && random.next() < 0.4 && { request: random.integer(1, 2) }),
    ...(fault.moment !== undefined && random.next() < 0.5 && { after: drawMoment(random, fault) }),
  };
}

function drawMoment(random: Random, { level }: Fault): ScheduledMoment {
  // The user, and a board that is spoken to over a cable, are not there before the words begin.
  const events = level === 'host' ? answerEvents : ['Speech', ...answerEvents];
  return { event: pick(random, events), delayMs: delay(random) };
}

/** More of it says nothing new and takes long. */
const longestMs = 8_000;

function drawValue(random: Random, parameter: FaultParameter): number | string {
  switch (parameter.kind) {
    case 'choice':
      return pick(random, parameter.choices);
    case 'share':
      return `${random.integer(0, 100)}%`;
    case 'number': {
      const { from, to, unit, whole, fallback } = parameter;
      const most = unit === 'ms' ? Math.min(to, longestMs) : to;
      // Around what is usual as often as anywhere.
      const value =
        random.next() < 0.5
          ? fallback * random.between(0.2, 3)
          : Math.exp(random.between(Math.log(Math.max(1, from)), Math.log(Math.max(2, most))));
      const bounded = Math.min(most, Math.max(from, value));
      return whole || bounded > 10 ? Math.round(bounded) : bounded;
    }
  }
}

function delay(random: Random): number {
  return random.next() < 0.3 ? 0 : random.integer(1, 2500);
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[random.integer(0, list.length - 1)]!;
}

/** Faults behind which a conversation cannot go on: there is no recording, or no board. */
const finalFaults: readonly string[] = ['disk-full', 'unplug'];

export function isFinal({ turns }: Schedule): boolean {
  return turns.some(({ faults: own }) => own.some(({ name }) => finalFaults.includes(name)));
}

/**
 * The schedule as a scenario file. Behind its turns come those in which nothing goes wrong; the last must be answered.
 *
 * @param comments lines for the head of the file
 */
export function scenarioText(schedule: Schedule, comments: readonly string[] = []): string {
  const { seed, provider, device, network, turns, clear = clearTurns } = schedule;
  return [
    ...comments.map((line) => `# ${line}`),
    `title = "Random faults, seed ${seed}"`,
    '',
    '[matrix]',
    `providers = ["${provider}"]`,
    `devices = ["${device}"]`,
    `networks = ["${network}"]`,
    ...turns.flatMap(turnLines),
    '',
    '# Nothing goes wrong any more. A board that has lost its connection unnoticed finds out now, and restarts;',
    '# then the last turn must be answered.',
    ...Array.from({ length: clear }, () => [
      '[[turn]]',
      'say = "Go on."',
      'reply = "This one is heard."',
      `timeout_ms = ${turnLimitMs}`,
      'recover = true',
      '',
    ]).flat(),
  ].join('\n');
}

function turnLines(turn: ScheduledTurn, index: number): string[] {
  const { say, reply, after, acts, faults: own } = turn;
  return [
    '',
    '[[turn]]',
    `say = "${say}"`,
    `reply = "${reply}"`,
    `timeout_ms = ${turnLimitMs}`,
    ...(index === 0 ? [] : ['recover = true']),
    ...(after === undefined ? [] : [momentLine(after)]),
    ...acts.flatMap(({ key, press, after: when }) => [
      '',
      '[[turn.act]]',
      `key = "${key}"`,
      ...(press === undefined ? [] : [`press = "${press}"`]),
      momentLine(when),
    ]),
    ...own.flatMap(({ name, parameters, request, after: when }) => [
      '',
      '[[turn.fault]]',
      `name = "${name}"`,
      ...Object.entries(parameters).map(
        ([key, value]) => `${key} = ${typeof value === 'string' ? `"${value}"` : value}`,
      ),
      ...(request === undefined ? [] : [`request = ${request}`]),
      ...(when === undefined ? [] : [momentLine(when)]),
    ]),
  ];
}

function momentLine({ event, delayMs }: ScheduledMoment): string {
  return `after = { event = "${event}", delay_ms = ${delayMs} }`;
}
