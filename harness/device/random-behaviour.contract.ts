/**
 * Thirty minutes of a board's life, drawn from a seed: keys, speech, networks, and a server that does
 * what is legal and what is not. Everything that happens is in the list of actions, so an action can
 * be left out without changing the others.
 */
import { readFileSync } from 'node:fs';
import type { ServerEvent } from '../../firmware-protocol/server-event.ts';
import { networkNames } from '../network/network-profile.ts';
import { createRandom, type Random } from '../random/random.ts';
import { opus } from './device-bench.contract.ts';
import type { DeviceKey } from './device-event.ts';
import { type DeviceProfile, deviceProfiles } from './device-profile.ts';
import { type QuirkId, quirkIds } from './quirk.ts';

export const behaviourUs = 30 * 60 * 1_000_000;

/** What the server does with a new connection. */
export type Door =
  | { readonly kind: 'open' }
  /** Nobody listens. */
  | { readonly kind: 'closed' }
  /** TCP is accepted, the handshake never answered. */
  | { readonly kind: 'silent' }
  | { readonly kind: 'slow'; readonly delayUs: number }
  | { readonly kind: 'refusing'; readonly status: number };

/** How the server answers an utterance. */
export const manners = [
  'normal',
  /** Says nothing, as in record mode. */
  'silent',
  /** `EndVad` and no more. */
  'endVadOnly',
  'recognitionOnly',
  /** No `EndVad`. */
  'noEndVad',
  'empty',
  /** Every event twice. */
  'doubled',
  /** A sentence without `EndAudio`. */
  'cut',
  /** Sentences that arrive slower than they are played. */
  'slow',
] as const;
export type Manner = (typeof manners)[number];

/** What is sent to the board without being asked for. */
export type Sending =
  | { readonly kind: 'events'; readonly events: readonly ServerEvent[] }
  | { readonly kind: 'bytes'; readonly data: Uint8Array }
  | { readonly kind: 'text' | 'ping' | 'pong' };

export type Action = { readonly atUs: number } & (
  | { readonly kind: 'press'; readonly key: DeviceKey; readonly press: 'short' | 'long' }
  | { readonly kind: 'speak'; readonly ms: number }
  | { readonly kind: 'network'; readonly name: string }
  | {
      readonly kind: 'stall';
      readonly direction: 'up' | 'down' | 'both';
      readonly durationUs: number;
    }
  | { readonly kind: 'drop' }
  | { readonly kind: 'door'; readonly door: Door }
  /** Handshakes that were left unanswered are answered, or their connections closed. */
  | { readonly kind: 'release'; readonly answer: boolean }
  | { readonly kind: 'manner'; readonly manner: Manner; readonly afterUs: number }
  | { readonly kind: 'send'; readonly label: string; readonly sendings: readonly Sending[] }
  | { readonly kind: 'close'; readonly code: number }
  | { readonly kind: 'terminate' }
  /** The server neither reads nor writes any more, and does not close either. */
  | { readonly kind: 'freeze' }
);

export interface Behaviour {
  readonly seed: number;
  readonly profile: DeviceProfile;
  readonly network: string;
  /** The hello file of the server: pieces of a noise, none of which looks like a WAV file. */
  readonly helloPieces: number;
  readonly helloPieceBytes: number;
  readonly actions: readonly Action[];
}

/** A clip that somebody recorded for the scenarios, 16 kHz. */
const clip = clipOf('slt-f8563b08');

function clipOf(name: string): Int16Array {
  const file = readFileSync(new URL(`../../scenarios/clips/${name}.wav`, import.meta.url));
  const headerBytes = 44;
  return Int16Array.from({ length: (file.length - headerBytes) >> 1 }, (_, i) =>
    file.readInt16LE(headerBytes + 2 * i),
  );
}

/** Speech of any length: the clip again and again. */
export function speech(ms: number): Int16Array {
  const out = new Int16Array(16 * ms);
  for (let at = 0; at < out.length; at += clip.length) {
    out.set(clip.subarray(0, out.length - at), at);
  }
  return out;
}

const packetSamples = 1920;
/** The clip in packets of 120 ms, and the same as raw samples. */
const packets: readonly Uint8Array[] = (() => {
  const encoder = opus.createEncoder();
  return Array.from({ length: Math.floor(clip.length / packetSamples) }, (_, i) =>
    encoder.encode(clip.subarray(i * packetSamples, (i + 1) * packetSamples)),
  );
})();
const rawPackets: readonly Uint8Array[] = packets.map((_, i) => {
  const samples = clip.slice(i * packetSamples, (i + 1) * packetSamples);
  return new Uint8Array(samples.buffer);
});

/** The n-th piece of an answer in the form that the firmware plays. */
export function audioEvent({ firmware }: DeviceProfile, index: number): ServerEvent {
  if (!firmware.query.opus) {
    return { type: 'AudioChunk', data: rawPackets[index % rawPackets.length]! };
  }
  const data = packets[index % packets.length]!;
  if (!firmware.query.vowel) return { type: 'AudioChunk', data };
  return { type: 'AudioChunkWithVowel', data, vowel: index % 6 };
}

/** A piece of a hello file. All of one run have one length, so the pieces tell the length of the sound. */
export function helloPiece(bytes: number): Uint8Array {
  return new Uint8Array(bytes).map((_, i) => 1 + (i % 250));
}

export function sentenceEvents(profile: DeviceProfile, pieces: number): ServerEvent[] {
  return [
    { type: 'StartAudio', text: `${pieces} pieces.` },
    ...Array.from({ length: pieces }, (_, i) => audioEvent(profile, i)),
    { type: 'EndAudio' },
  ];
}

// ---- drawing ----

export function drawBehaviour(seed: number): Behaviour {
  const random = createRandom(seed, 'behaviour');
  const { profile, network } = drawBoard(random.fork('board'));
  const helloPieceBytes = pick(random, [2048, 1024, 511]);
  const drawing = new Drawing(random.fork('actions'), profile, helloPieceBytes);
  while (drawing.nowUs < behaviourUs) drawing.episode();
  const actions = drawing.actions.filter(({ atUs }) => atUs < behaviourUs);
  return {
    seed,
    profile,
    network,
    helloPieces: random.integer(0, 12),
    helloPieceBytes,
    actions: actions.sort((a, b) => a.atUs - b.atUs),
  };
}

function drawBoard(random: Random): Pick<Behaviour, 'profile' | 'network'> {
  // A third of the boards has the newest firmware, which has most to do.
  const newest = ['diy', 'box', 'cube2'];
  const name = chance(random, 1 / 3)
    ? pick(random, newest)
    : pick(random, Object.keys(deviceProfiles));
  const board = deviceProfiles[name]!;
  const ratio = chance(random, 0.2) ? 1.2 : board.constants.downloadRatioAtBoot;
  return {
    profile: {
      ...board,
      quirksOff: drawQuirks(random),
      avatar: chance(random, 0.2),
      constants: { ...board.constants, downloadRatioAtBoot: ratio },
    },
    network: pick(random, networkNames),
  };
}

function drawQuirks(random: Random): readonly QuirkId[] {
  const kind = random.next();
  if (kind < 0.5) return [];
  if (kind < 0.65) return quirkIds;
  const share = random.between(0.05, 0.6);
  return quirkIds.filter(() => random.next() < share);
}

const second = 1_000_000;

/** Puts one episode after the other into the list of actions. */
class Drawing {
  readonly actions: Action[] = [];
  readonly #random: Random;
  readonly #profile: DeviceProfile;
  readonly #helloPieceBytes: number;
  nowUs: number;

  constructor(random: Random, profile: DeviceProfile, helloPieceBytes: number) {
    this.#random = random;
    this.#profile = profile;
    this.#helloPieceBytes = helloPieceBytes;
    // Some boards find no server when they are switched on.
    if (chance(random, 0.15)) this.#add(0, { kind: 'door', door: this.#door() });
    this.nowUs = random.integer(0, 3 * second);
  }

  episode(): void {
    const episodes: readonly (readonly [weight: number, play: () => void])[] = [
      [10, () => this.#conversation()],
      [4, () => this.#keys()],
      [2, () => this.#pause(10, 200)],
      [2, () => this.#pause(301, 700)],
      [9, () => this.#unasked()],
      [4, () => this.#networkTrouble()],
      [3, () => this.#doorTrouble()],
      [1, () => this.#serverGone()],
      [1.5, () => this.#frozen()],
      [2.5, () => this.#noiseOverHandshake()],
      [2, () => this.#interruption()],
      [1.5, () => this.#longSpeech()],
      [1, () => this.#impatience()],
      [2, () => this.#lostWhileListening()],
    ];
    const total = episodes.reduce((sum, [weight]) => sum + weight, 0);
    let at = this.#random.next() * total;
    for (const [weight, play] of episodes) {
      at -= weight;
      if (at < 0) {
        play();
        break;
      }
    }
    this.#wait(0, 8);
  }

  #add(delayUs: number, action: WithoutInstant<Action>): void {
    this.actions.push({ atUs: this.nowUs + delayUs, ...action } as Action);
  }

  #wait(leastS: number, mostS: number): void {
    this.nowUs += Math.round(this.#random.between(leastS, mostS) * second);
  }

  #pause(leastS: number, mostS: number): void {
    this.#wait(leastS, mostS);
  }

  #press(key: DeviceKey, press: 'short' | 'long' = 'short'): void {
    this.#add(0, { kind: 'press', key, press });
  }

  #speak(leastS: number, mostS: number): number {
    const ms = Math.round(this.#random.between(leastS, mostS) * 1000);
    this.#add(0, { kind: 'speak', ms });
    return ms / 1000;
  }

  #manner(): void {
    const manner = chance(this.#random, 0.5) ? 'normal' : pick(this.#random, manners);
    const afterUs = Math.round(this.#random.between(0.1, 4) * second);
    this.#add(0, { kind: 'manner', manner, afterUs });
  }

  #door(): Door {
    return pick<Door>(this.#random, [
      { kind: 'closed' },
      { kind: 'silent' },
      { kind: 'slow', delayUs: this.#random.integer(100_000, 12 * second) },
      { kind: 'refusing', status: pick(this.#random, [400, 404, 500, 503]) },
    ]);
  }

  /** Brings a board that lives back to where it can talk, whatever was before. */
  #settle(): void {
    this.#add(0, { kind: 'door', door: { kind: 'open' } });
    if (chance(this.#random, 0.7)) this.#add(0, { kind: 'release', answer: chance(this.#random) });
  }

  #conversation(): void {
    this.#settle();
    this.#manner();
    this.#press('k0');
    this.#wait(1, 5);
    for (let turn = this.#random.integer(1, 4); turn > 0; turn--) {
      if (chance(this.#random, 0.3)) this.#manner();
      const spokenS = this.#speak(0.2, 6);
      this.#wait(spokenS, spokenS + 12);
      if (chance(this.#random, 0.15)) this.#keys();
    }
  }

  #keys(): void {
    for (let presses = this.#random.integer(1, 8); presses > 0; presses--) {
      const key = pick<DeviceKey>(this.#random, ['k0', 'volume-up', 'volume-down']);
      this.#press(key, chance(this.#random, 0.3) ? 'long' : 'short');
      this.#wait(0, chance(this.#random) ? 0.2 : 2);
    }
  }

  /** K0 twice and more while the board is busy with the first. */
  #impatience(): void {
    this.#settle();
    this.#send('answer', [{ kind: 'events', events: sentenceEvents(this.#profile, 30) }]);
    this.#wait(0.5, 2);
    for (let presses = this.#random.integer(2, 4); presses > 0; presses--) {
      this.#press('k0');
      if (chance(this.#random)) this.#speak(0.3, 1.5);
      this.#wait(0, 0.6);
    }
    this.#wait(1, 4);
  }

  #unasked(): void {
    for (let count = this.#random.integer(1, 4); count > 0; count--) {
      const [label, sendings] = this.#sendings();
      this.#send(label, sendings);
      this.#wait(0, 3);
    }
  }

  #send(label: string, sendings: readonly Sending[]): void {
    this.#add(0, { kind: 'send', label, sendings });
  }

  #sendings(): readonly [label: string, sendings: readonly Sending[]] {
    const random = this.#random;
    const events = (...list: ServerEvent[]): Sending[] => [{ kind: 'events', events: list }];
    const pieces = (count: number) =>
      Array.from({ length: count }, (_, i) => audioEvent(this.#profile, i));
    const ends: ServerEvent[] = [{ type: 'EndVad' }, { type: 'EndResponse' }, { type: 'EndAudio' }];
    return pick<() => readonly [string, Sending[]]>(random, [
      () => ['an answer', events(...sentenceEvents(this.#profile, random.integer(0, 60)))],
      () => ['audio without StartAudio', events(...pieces(random.integer(1, 40)))],
      () => {
        const sentences = Array.from({ length: random.integer(3, 8) }, () =>
          sentenceEvents(this.#profile, random.integer(1, 30)),
        );
        return ['a flood of sentences', events(...sentences.flat())];
      },
      () => [
        'a flood of audio',
        events({ type: 'StartAudio', text: 'Flood.' }, ...pieces(random.integer(100, 500))),
      ],
      () => ['EndVad', events(...repeated(ends[0]!, random.integer(1, 5)))],
      () => ['EndResponse', events(...repeated(ends[1]!, random.integer(1, 5)))],
      () => ['EndAudio', events(...repeated(ends[2]!, random.integer(1, 3)))],
      () => ['StartAudio', events(...repeated<ServerEvent>({ type: 'StartAudio', text: '' }, 3))],
      () => ['ASR', events({ type: 'ASR', text: pick(random, ['', 'hello', '你好\n"']) })],
      () => ['Action', events({ type: 'Action', action: 'say' })],
      () => ['video', events({ type: 'StartVideo' }, { type: 'EndVideo' })],
      () => [
        'hello out of place',
        events(
          ...shuffled(random, [
            { type: 'HelloStart' },
            { type: 'HelloEnd' },
            { type: 'HelloChunk', data: helloPiece(this.#helloPieceBytes) },
            { type: 'StartAudio', text: 'Hello.' },
            ...ends,
          ] as ServerEvent[]).slice(0, 4),
        ),
      ],
      () => [
        'unknown to boards',
        events(
          { type: 'Choices', message: 'Pick', items: ['a'] },
          { type: 'DisplayText', text: 'x' },
        ),
      ],
      () => [
        'short frames',
        events(
          { type: 'StartAudio', text: 'Short.' },
          ...Array.from({ length: random.integer(1, 80) }, (_, i) => ({
            type: 'AudioChunki16' as const,
            data: clip.slice(i * 160, i * 160 + random.integer(0, 400)),
            vowel: i % 7,
          })),
          { type: 'EndAudio' },
        ),
      ],
      () => [
        'broken opus',
        events(
          { type: 'StartAudio', text: 'Broken.' },
          ...Array.from({ length: random.integer(1, 12) }, () => ({
            ...audioEvent(this.#profile, 0),
            data: random.bytes(random.integer(0, 60)),
          })).map((event) => event as ServerEvent),
          { type: 'EndAudio' },
        ),
      ],
      () => ['garbage', [{ kind: 'bytes', data: random.bytes(random.integer(0, 300)) }]],
      () => ['cut MessagePack', [{ kind: 'bytes', data: cutMessage(random) }]],
      () => ['text', repeated<Sending>({ kind: 'text' }, random.integer(1, 3))],
      () => ['pings', repeated<Sending>({ kind: 'ping' }, random.integer(1, 5))],
      () => ['pong', [{ kind: 'pong' }]],
      () => [
        'a ping behind a flood',
        [
          {
            kind: 'events',
            events: [
              ...sentenceEvents(this.#profile, 20),
              ...sentenceEvents(this.#profile, random.integer(30, 90)),
            ],
          },
          { kind: 'ping' },
        ],
      ],
    ])();
  }

  #networkTrouble(): void {
    const random = this.#random;
    const kind = random.next();
    if (kind < 0.5) this.#add(0, { kind: 'network', name: pick(random, networkNames) });
    else if (kind < 0.8) {
      const durationUs = Math.round(10 ** random.between(-1, 1.6) * second);
      const direction = pick(random, ['up', 'down', 'both'] as const);
      this.#add(0, { kind: 'stall', direction, durationUs });
    } else this.#add(0, { kind: 'drop' });
    if (chance(random)) this.#speak(0.5, 4);
    this.#wait(0, 6);
  }

  #doorTrouble(): void {
    this.#add(0, { kind: 'door', door: this.#door() });
    this.#wait(0, 2);
    this.#press('k0');
    if (chance(this.#random)) this.#speak(1, 6);
    this.#wait(1, 15);
    if (chance(this.#random, 0.4)) this.#press('k0');
    if (chance(this.#random, 0.2)) this.#pause(100, 500);
    this.#settle();
    // K0 also leaves set-up mode.
    for (let presses = this.#random.integer(0, 3); presses > 0; presses--) {
      this.#wait(5, 9);
      this.#press('k0');
    }
  }

  /** No server at all, and a user who presses K0 until something happens: restart, set-up mode, back. */
  #serverGone(): void {
    this.#settle();
    this.#add(0, { kind: 'door', door: { kind: 'closed' } });
    this.#add(0, { kind: 'terminate' });
    for (let presses = this.#random.integer(2, 6); presses > 0; presses--) {
      this.#press('k0');
      this.#wait(2, 8);
    }
    this.#settle();
    for (let presses = this.#random.integer(1, 3); presses > 0; presses--) {
      this.#wait(5.5, 8);
      this.#press('k0');
    }
  }

  /** Speech for a server that takes nothing any more. */
  #frozen(): void {
    this.#settle();
    this.#add(0, { kind: 'manner', manner: 'silent', afterUs: 0 });
    this.#add(0, { kind: 'network', name: 'good-wifi' });
    this.#press('k0');
    this.#wait(3, 4);
    this.#send('EndResponse', [{ kind: 'events', events: [{ type: 'EndResponse' }] }]);
    this.#wait(1, 2);
    this.#add(0, { kind: 'freeze' });
    const spokenS = this.#speak(20, 90);
    this.#wait(spokenS + 5, spokenS + 30);
    if (chance(this.#random)) this.#press('k0');
    this.#add(0, { kind: 'manner', manner: 'normal', afterUs: second });
  }

  /** K0 over an answer, a slow handshake and a user who goes on talking (quirk Q20). */
  #noiseOverHandshake(): void {
    this.#settle();
    this.#press('k0');
    this.#wait(3, 4);
    this.#send('answer', [{ kind: 'events', events: sentenceEvents(this.#profile, 80) }]);
    this.#wait(0.5, 3);
    const delayUs = this.#random.integer(second, 6 * second);
    this.#add(0, { kind: 'door', door: { kind: 'slow', delayUs } });
    this.#press('k0');
    // A short utterance is over before the board listens.
    if (chance(this.#random)) this.#speak(2, 8);
    else this.#speak(0.4, 1);
    this.#wait(6, 20);
    this.#settle();
  }

  /** Barge-in, allowed or not. */
  #interruption(): void {
    this.#settle();
    if (chance(this.#random)) this.#press('k0', 'long');
    this.#wait(1, 2);
    const sentences = Array.from({ length: this.#random.integer(1, 3) }, () =>
      sentenceEvents(this.#profile, 25),
    );
    this.#send('answer', [{ kind: 'events', events: sentences.flat() }]);
    this.#wait(0.3, 3);
    if (chance(this.#random, 0.3)) this.#add(0, { kind: 'door', door: this.#door() });
    const spokenS = this.#speak(0.4, 4);
    this.#wait(spokenS, spokenS + 6);
    this.#settle();
  }

  /** More than ten seconds, with or without recognition. */
  #longSpeech(): void {
    this.#settle();
    this.#add(0, { kind: 'manner', manner: 'silent', afterUs: 0 });
    this.#press('k0');
    this.#wait(2, 4);
    this.#send('EndResponse', [{ kind: 'events', events: [{ type: 'EndResponse' }] }]);
    const spokenS = this.#speak(9, 26);
    if (chance(this.#random, 0.4)) {
      this.#wait(1, 8);
      this.#send('ASR', [{ kind: 'events', events: [{ type: 'ASR', text: 'go on' }] }]);
    }
    this.#wait(spokenS, spokenS + 4);
    this.#manner();
  }

  /** The connection goes while the board listens; the next utterance finds out. */
  #lostWhileListening(): void {
    this.#settle();
    this.#press('k0');
    this.#wait(2, 4);
    this.#send('EndResponse', [{ kind: 'events', events: [{ type: 'EndResponse' }] }]);
    this.#wait(0.5, 2);
    if (chance(this.#random, 0.4)) this.#speak(0.5, 3);
    const kind = this.#random.next();
    if (kind < 0.4) {
      this.#add(0, { kind: 'close', code: pick(this.#random, [1000, 1001, 1011]) });
    } else if (kind < 0.7) this.#add(0, { kind: 'terminate' });
    else this.#add(0, { kind: 'drop' });
    if (chance(this.#random, 0.3)) this.#send('EndVad', [{ kind: 'text' }]);
    this.#wait(0.2, 3);
    this.#speak(0.5, 3);
    this.#wait(4, 12);
  }
}

type WithoutInstant<T> = T extends unknown ? Omit<T, 'atUs'> : never;

function chance(random: Random, share = 0.5): boolean {
  return random.next() < share;
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[random.integer(0, list.length - 1)]!;
}

function repeated<T>(item: T, count: number): T[] {
  return Array.from({ length: count }, () => item);
}

function shuffled<T>(random: Random, list: readonly T[]): T[] {
  return list
    .map((item) => ({ item, key: random.next() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

/** The first bytes of an event, the rest lost. */
function cutMessage(random: Random): Uint8Array {
  const whole = Uint8Array.from([0x81, 0xaa, ...Buffer.from('StartAudio'), 0x91, 0xa3, 72, 105]);
  return whole.subarray(0, random.integer(1, whole.length));
}
