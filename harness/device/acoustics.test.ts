import test from 'ava';
import { createRandom, type Random } from '../random/random.ts';
import { loadVoiceDetection } from '../voice-detection/voice-detection.ts';
import { EchoPath, MicrophoneNoise, type SpeakerEcho } from './acoustics.ts';
import { diy } from './device-profile.ts';
import { Microphone, type MicrophoneOptions } from './microphone.ts';
import { cycleUs, Player } from './player.ts';

const detection = await loadVoiceDetection();

function microphone(changes: Partial<MicrophoneOptions>): Microphone {
  const { constants } = diy;
  return new Microphone({
    startUs: 0,
    chunkSamples: 512,
    preRollChunks: constants.preRollChunks,
    speechMinimumMs: constants.speechMinimumMs,
    noiseMinimumMs: constants.noiseMinimumMs,
    detector: detection.create({
      aggressiveness: constants.voiceAggressiveness,
      energyGateDbfs: constants.voiceEnergyGateDbfs,
    }),
    ...changes,
  });
}

/** What a microphone reports, with zeros where it reports nothing. */
class Tape {
  readonly #pieces: { readonly from: number; readonly samples: Int16Array }[] = [];

  get pieces(): number {
    return this.#pieces.length;
  }

  readonly observe = (from: number, samples: Int16Array): void => {
    this.#pieces.push({ from, samples });
  };

  read(length: number): Int16Array {
    const heard = new Int16Array(length);
    for (const { from, samples } of this.#pieces) {
      if (from >= length) break;
      heard.set(samples.subarray(0, Math.max(0, length - from)), from);
    }
    return heard;
  }
}

/** One sentence of an impulse and silence, handed to the player at 0. */
function impulsePlayer(at: number, value: number): Player {
  const player = new Player({ startUs: 0, helloSamples: new Int16Array(0) });
  const samples = new Int16Array(4096);
  samples[at] = value;
  player.post({ kind: 'audio', sentence: 1, samples }, 0);
  return player;
}

for (const [db, delayMs, lag] of [
  [0, 0, 1024],
  [-6, 20, 1344],
  [-30, 200, 4224],
  [-12.5, 12.53, 1024 + 200],
  [3, 0.04, 1025],
] as const) {
  test(`an impulse returns after 64 + ${delayMs} ms and ${db} dB, to the sample, and nothing else does`, (t) => {
    const tape = new Tape();
    const player = impulsePlayer(1000, -20_000);
    const ambience = [new EchoPath(player, { db, delayMs })];
    const ear = microphone({ ambience, observe: tape.observe });
    player.advanceTo(1_000_000);
    ear.advanceTo(1_000_000);
    const heard = tape.read(15_872);
    // The player takes the message in cycle 0 and plays its first sample at position 0.
    t.is(player.speaker()[1000], -20_000);
    t.deepEqual(
      [...heard.entries()].filter(([, sample]) => sample !== 0),
      [[1000 + lag, Math.round(-20_000 * 10 ** (db / 20))]],
    );
  });
}

test('user, noise and echo are added before the sum is limited to 16 bits, once', (t) => {
  const level = (samples: number, value: number) => new Int16Array(samples).fill(value);
  const player = new Player({ startUs: 0, helloSamples: new Int16Array(0) });
  player.post({ kind: 'audio', sentence: 1, samples: level(2048, -30_000) }, 0);
  const tape = new Tape();
  const ear = microphone({
    ambience: [new EchoPath(player, { db: 0, delayMs: 0 })],
    observe: tape.observe,
  });
  ear.play(level(4096, 30_000), 0);
  ear.play(level(4096, 20_000), 0);
  player.advanceTo(1_000_000);
  ear.advanceTo(1_000_000);
  const heard = tape.read(4096);
  t.is(heard[1023], 32_767);
  // 30 000 + 20 000 - 30 000: limited after each step it would be 2767.
  t.is(heard[1024], 20_000);
  t.is(heard[1024 + 2047], 20_000);
  t.is(heard[1024 + 2048], 32_767);
});

function noise(dbfs: number, random: Random, samples: number, chunkSamples: 256 | 512 = 512) {
  const tape = new Tape();
  const ear = microphone({
    chunkSamples,
    ambience: [new MicrophoneNoise(random, dbfs)],
    observe: tape.observe,
  });
  ear.advanceTo(Math.ceil((samples / 512 + 1) * 32_000));
  return tape.read(samples);
}

test('noise has the level it was set to within 0.2 dB, no offset, and is white', (t) => {
  for (const dbfs of [-80, -60, -40, -20, -12]) {
    const samples = noise(dbfs, createRandom(1, `level ${dbfs}`), 160_000);
    const mean = samples.reduce((sum, s) => sum + s, 0) / samples.length;
    const power = samples.reduce((sum, s) => sum + s * s, 0) / samples.length;
    const measured = 10 * Math.log10(power / 32_768 ** 2);
    t.true(Math.abs(measured - dbfs) < 0.2, `${dbfs} dBFS became ${measured}`);
    t.true(Math.abs(mean) < 0.02 * Math.sqrt(power));
    for (let lag = 1; lag <= 40; lag++) {
      let product = 0;
      for (let i = lag; i < samples.length; i++) product += samples[i]! * samples[i - lag]!;
      // Five standard deviations of what independent samples have.
      t.true(Math.abs(product / samples.length / power) < 5 / Math.sqrt(samples.length));
    }
  }
});

test('the same seed gives the same noise in chunks of any size, another seed other noise', (t) => {
  const inSteps = noise(-30, createRandom(4, 'noise'), 51_200);
  const same = (other: Int16Array) => Buffer.from(inSteps.buffer).equals(Buffer.from(other.buffer));
  t.true(same(noise(-30, createRandom(4, 'noise'), 51_200, 256)));
  t.false(same(noise(-30, createRandom(5, 'noise'), 51_200)));
  const [late, whole] = [new Float64Array(256), new Float64Array(1024)];
  new MicrophoneNoise(createRandom(4, 'noise'), -30).addTo(whole, 0);
  new MicrophoneNoise(createRandom(4, 'noise'), -30).addTo(late, 768);
  t.deepEqual(late, whole.subarray(768));
});

/** A buzz with syllables, which the WebRTC detector takes for a voice. */
function babble(random: Random, ms: number): Int16Array {
  const out = new Int16Array(ms * 16);
  const pitch = random.between(100, 180);
  for (let i = 0; i < out.length; i++) {
    let value = 0;
    for (let h = 1; h < 20; h++) {
      value += Math.sin((2 * Math.PI * pitch * h * i) / 16_000) / Math.sqrt(h);
    }
    out[i] = value * 2500 * (0.55 + 0.45 * Math.sin((2 * Math.PI * 4 * i) / 16_000));
  }
  return out;
}

interface Act {
  readonly atUs: number;
  readonly act: (player: Player, ear: Microphone) => void;
}

/** A conversation of a player and a microphone: sentences in pieces, keys, the user. */
function script(random: Random, untilUs: number, user: Int16Array): Act[] {
  const acts: Act[] = [];
  let atUs = 0;
  let sentence = 0;
  while (atUs < untilUs) {
    atUs += random.integer(0, 2_500_000);
    const kind = random.integer(0, 9);
    const add = (delayUs: number, act: Act['act']) => acts.push({ atUs: atUs + delayUs, act });
    if (kind < 5) {
      const number = ++sentence;
      add(0, (player) => player.post({ kind: 'start', sentence: number }, atUsOf(player)));
      for (let i = 0; i < random.integer(1, 12); i++) {
        const samples = babble(random, random.integer(10, 120));
        const delayUs = i * random.integer(20_000, 150_000);
        const audio = { kind: 'audio', sentence: number, samples, vowel: i % 6 } as const;
        add(delayUs, (player) => player.post(audio, atUsOf(player)));
      }
    } else if (kind === 5)
      add(0, (player) => player.post({ kind: 'clear', cause: 'x' }, atUsOf(player)));
    else if (kind === 6)
      add(0, (player) => player.post({ kind: 'hello', cause: 'x' }, atUsOf(player)));
    else if (kind === 7) {
      const gainShift = random.integer(0, 4);
      add(0, (player) => player.post({ kind: 'volume', gainShift }, atUsOf(player)));
    } else if (kind === 8) add(0, (_player, ear) => ear.closeGate());
    else {
      const clip = babble(random, random.integer(100, 900));
      const start = Math.ceil((atUs * 16) / 1000);
      const room = user.subarray(start, start + clip.length);
      for (let i = 0; i < room.length; i++) room[i] = room[i]! + clip[i]!;
      const playedUs = atUs;
      add(0, (_player, ear) => ear.play(clip, playedUs));
    }
  }
  return acts.sort((a, b) => a.atUs - b.atUs);
}

/** Set by the loop below: the instant at which acts happen. */
let nowUs = 0;
const atUsOf = (_player: Player): number => nowUs;

function converse(seed: number, eager: boolean) {
  const random = createRandom(seed, 'echo');
  const untilUs = 20_000_000;
  const length = (untilUs * 16) / 1000;
  const echo: SpeakerEcho = { db: random.between(-30, 0), delayMs: random.between(0, 200) };
  const chunkSamples = random.next() < 0.5 ? 256 : 512;
  const user = new Int16Array(length + 32_000);
  const acts = script(random, untilUs, user);
  const player = new Player({
    startUs: 0,
    helloSamples: babble(random, 300),
    rhythm: seed % 3 === 0 ? 'pairs' : 'even',
  });
  const tape = new Tape();
  const ear = microphone({
    chunkSamples,
    eager,
    ambience: [new EchoPath(player, echo)],
    observe: tape.observe,
  });
  const left: { atUs: number; type: string; speech: boolean }[] = [];
  for (nowUs = 0; nowUs < untilUs; ) {
    const everyCycle = (Math.floor(nowUs / cycleUs) + 1) * cycleUs;
    nowUs = Math.min(
      acts[0]?.atUs ?? untilUs,
      untilUs,
      ...(eager
        ? [everyCycle]
        : [player.nextDeadlineUs() ?? untilUs, ear.nextDeadlineUs() ?? untilUs]),
    );
    player.advanceTo(nowUs);
    for (const output of ear.advanceTo(nowUs)) {
      const { type } = output;
      left.push({ atUs: nowUs, type, speech: type === 'chunk' && output.speech });
    }
    while (acts[0] !== undefined && acts[0].atUs <= nowUs) acts.shift()!.act(player, ear);
  }
  return {
    left,
    heard: tape.read(length),
    echo,
    user,
    speaker: player.speaker(),
    pieces: tape.pieces,
  };
}

test('a microphone that sleeps hears of the speaker what one hears that computes every cycle', (t) => {
  let onsets = 0;
  let skipped = 0;
  for (let seed = 1; seed <= 12; seed++) {
    const lazy = converse(seed, false);
    const eager = converse(seed, true);
    t.true(Buffer.from(lazy.heard.buffer).equals(Buffer.from(eager.heard.buffer)), `seed ${seed}`);
    t.deepEqual(lazy.left, eager.left, `seed ${seed}`);
    skipped += eager.pieces - lazy.pieces;
    onsets += lazy.left.filter(({ type }) => type === 'speechStarted').length;

    // And what one computes afterwards from all that was played.
    const { db, delayMs } = lazy.echo;
    const lag = 16 * 64 + Math.round(16 * delayMs);
    const gain = 10 ** (db / 20);
    const complete = lazy.heard.length - 512;
    const wrong = lazy.heard.subarray(0, complete).findIndex((sample, i) => {
      const sum = lazy.user[i]! + gain * (lazy.speaker[i - lag] ?? 0);
      return sample !== Math.max(-32_768, Math.min(32_767, Math.round(sum)));
    });
    t.is(wrong, -1, `seed ${seed}`);
  }
  t.true(onsets > 12, `speech was found ${onsets} times`);
  t.true(skipped > 100, `${skipped} chunks were slept through`);
});

test('a board that hears its speaker sleeps when nothing sounds', (t) => {
  const player = impulsePlayer(0, 9000);
  const ear = microphone({ ambience: [new EchoPath(player, { db: -10, delayMs: 50 })] });
  let wakes = 0;
  for (let atUs = 0; atUs < 3_600_000_000; wakes++) {
    atUs = Math.min(
      player.nextDeadlineUs() ?? Number.POSITIVE_INFINITY,
      ear.nextDeadlineUs() ?? Number.POSITIVE_INFINITY,
      3_600_000_000,
    );
    player.advanceTo(atUs);
    ear.advanceTo(atUs);
  }
  t.true(wakes < 60, `${wakes} wakes in an hour`);
});

test('a player tells where it may sound next, also of what it has not computed', (t) => {
  const player = new Player({ startUs: 0, helloSamples: new Int16Array(0) });
  t.is(player.nextSoundAt(0), Number.POSITIVE_INFINITY);
  player.advanceTo(160_000);
  player.post({ kind: 'audio', sentence: 1, samples: new Int16Array(5120) }, 160_000);
  t.is(player.nextSoundAt(0), 2560);
  player.advanceTo(176_000);
  t.is(player.nextSoundAt(0), 2560);
  // The next cycle is not computed, but its samples wait in the queue.
  t.is(player.nextSoundAt(2816), 2816);
  player.advanceTo(2_000_000);
  t.is(player.nextSoundAt(2816), 2816);
  t.is(player.nextSoundAt(7679), 7679);
  t.is(player.nextSoundAt(7680), Number.POSITIVE_INFINITY);
});

test('what is not played yet cannot be copied', (t) => {
  const player = impulsePlayer(0, 1);
  player.advanceTo(32_000);
  t.throws(() => player.copyPlayed(0, new Int16Array(513)), {
    instanceOf: RangeError,
    message: /513.*512/,
  });
  const into = new Int16Array(4).fill(7);
  player.copyPlayed(-2, into);
  t.deepEqual([...into], [0, 0, 1, 0]);
});
