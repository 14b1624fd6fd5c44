/**
 * The player against a second implementation that shares no line with it: one sample after the
 * other, one queue entry per sample, nothing skipped.
 */
import test from 'ava';
import { createRandom, type Random } from '../random/random.ts';
import { Player, type PlayerMessage, type PlayerTransition } from './player.ts';
import { type QuirkId, traitsWithout } from './quirk.ts';

interface Post {
  readonly message: PlayerMessage;
  readonly atUs: number;
}

type Entry =
  | { audio: number; of: number; head: boolean; filler: boolean }
  | { mark: number; kept: number; filled: number }
  | { helloMark: true }
  | { mouth: number };

/** A stretch of time in which the main loop has no room for a mouth shape. */
interface Congestion {
  readonly fromUs: number;
  readonly toUs: number;
}

interface Pattern {
  readonly posts: readonly Post[];
  readonly congestions: readonly Congestion[];
  readonly quirksOff: readonly QuirkId[];
  /** Milliseconds between two wakings of the player. */
  readonly wakesEveryMs: 16 | 32;
  /** Samples of a sentence in the line before it sounds. */
  readonly prebuffer: number;
  readonly startUs: number;
  readonly hello: Int16Array;
  readonly seconds: number;
}

function congested({ congestions }: Pattern, atUs: number): boolean {
  return congestions.some(({ fromUs, toUs }) => fromUs <= atUs && atUs < toUs);
}

/** Sections 6.1 and 6.3 of the EchoKit device protocol reference, literally. */
function playSlowly(pattern: Pattern) {
  const { posts, startUs, seconds, quirksOff, wakesEveryMs, prebuffer } = pattern;
  /** The last waking before the sample is written. */
  const wakingUs = (sample: number) =>
    startUs + Math.floor(sample / (16 * wakesEveryMs)) * wakesEveryMs * 1000;
  let hello = [...pattern.hello];
  const waiting = [...posts];
  const speaker: number[] = [];
  const events: string[] = [];
  let line: Entry[] = [];
  let leftover: number[] = [];
  let divisor = 1;
  let inSentence = 0;
  let knownSentence = 0;
  let hole = 0;
  let endOfSound = 0;
  let stuckSince: number | undefined;

  const enqueue = (samples: Iterable<number>, of: number, fillers = 0) => {
    for (const sample of samples) {
      leftover.push(sample);
      if (leftover.length < 256) continue;
      const head = of !== 0 && of !== knownSentence;
      if (head) knownSentence = of;
      for (const [i, raw] of leftover.entries()) {
        const filler = i >= 256 - fillers;
        line.push({ audio: Math.trunc(raw / divisor), of, head: head && i === 0, filler });
      }
      leftover = [];
    }
  };
  /** Fills the last chunk with zeros, where the board does that; returns how many. */
  const complete = (of: number): number => {
    if (!quirksOff.includes('Q2') || leftover.length === 0) return 0;
    const zeros = 256 - leftover.length;
    enqueue(Array(zeros).fill(0), of, zeros);
    return zeros;
  };
  /** A sentence of which neither enough nor all is there. */
  const tooEarly = (first: Entry | undefined): boolean => {
    if (first === undefined || !('audio' in first) || !first.head) return false;
    const own = line.filter((e) => 'audio' in e && e.of === first.of).length;
    return own < prebuffer && !line.some((e) => 'mark' in e && e.mark === first.of);
  };
  const isSample = (e: Entry) => 'audio' in e && !e.filler;
  const note = (kind: string, ...values: unknown[]) => {
    events.push([wakingUs(speaker.length), kind, ...values].join(' '));
  };
  const closeHole = () => {
    if (hole > 0) note('underrunEnd', inSentence, speaker.length, hole / 256);
    hole = 0;
  };
  const empty = (cause: string) => {
    let lost = line.filter(isSample).length;
    const marks = line.flatMap((e) => ('mark' in e ? [e.mark] : []));
    const helloCut = line.some((e) => 'helloMark' in e);
    line = [];
    if (quirksOff.includes('Q3')) {
      lost += leftover.length;
      leftover = [];
    }
    closeHole();
    inSentence = 0;
    note('cleared', lost, cause, marks.join('+'), helloCut);
  };

  let sounding = false;
  for (let sample = 0; sample < seconds * 16_000; sample++) {
    if (sample % 256 === 0) {
      const nowUs = wakingUs(sample);
      while (stuckSince === undefined && (waiting[0]?.atUs ?? nowUs + 1) <= nowUs) {
        const { message } = waiting.shift()!;
        if (message.kind === 'audio') {
          if (message.vowel !== undefined) line.push({ mouth: message.vowel });
          enqueue(message.samples, message.sentence);
        }
        if (message.kind === 'end') {
          const filled = complete(message.sentence);
          line.push({ mouth: 0 }, { mark: message.sentence, kept: leftover.length, filled });
        }
        if (message.kind === 'volume') divisor = 2 ** message.gainShift;
        if (message.kind === 'setHello') hello = [...message.samples];
        if (message.kind === 'clear') empty(message.cause);
        if (message.kind === 'hello') {
          note('helloStart');
          empty(message.cause);
          enqueue(hello, 0);
          complete(0);
          line.push({ helloMark: true });
        }
        if (!quirksOff.includes('Q17')) break;
      }
      while (line[0] !== undefined && !('audio' in line[0])) {
        const entry: Entry = line[0];
        if ('mouth' in entry && congested(pattern, nowUs)) {
          if (quirksOff.includes('Q20')) {
            line.shift();
            continue;
          }
          if (stuckSince === undefined) {
            note('stallStart', sample);
            stuckSince = sample;
          }
          break;
        }
        line.shift();
        if ('mouth' in entry) {
          if (stuckSince !== undefined) note('stallEnd', sample, (sample - stuckSince) / 256);
          stuckSince = undefined;
          note('vowel', entry.mouth);
        }
        if ('helloMark' in entry) note('helloDone');
        if ('mark' in entry) {
          const spoken = entry.mark === inSentence;
          if (spoken) {
            closeHole();
            inSentence = 0;
          }
          note('drained', entry.mark, spoken ? endOfSound : sample, entry.kept, entry.filled);
        }
      }
      sounding = line.length > 0 && stuckSince === undefined && !tooEarly(line[0]);
      if (sounding) {
        closeHole();
        const entry = line[0] as { of: number; head: boolean };
        if (entry.head) {
          inSentence = entry.of;
          note('playStart', entry.of, sample);
        }
        endOfSound = sample + 256;
      } else if (inSentence !== 0) {
        if (hole === 0) note('underrunStart', inSentence, sample);
        hole += 256;
      }
    }
    if (sounding) {
      speaker.push((line.shift() as { audio: number }).audio);
    } else speaker.push(0);
  }
  const queued =
    line.filter(isSample).length +
    waiting.reduce((n, p) => n + (p.message.kind === 'audio' ? p.message.samples.length : 0), 0);
  return { speaker: Int16Array.from(speaker), events, rest: leftover.length, queued };
}

function describe(h: PlayerTransition): string {
  switch (h.type) {
    case 'playStart':
    case 'underrunStart':
      return [h.atUs, h.type, h.sentence, h.position].join(' ');
    case 'underrunEnd':
      return [h.atUs, h.type, h.sentence, h.position, h.cycles].join(' ');
    case 'drained':
      return [h.atUs, h.type, h.sentence, h.position, h.restSamples, h.paddedSamples].join(' ');
    case 'vowel':
      return [h.atUs, h.type, h.vowel].join(' ');
    case 'stallStart':
      return [h.atUs, h.type, h.position].join(' ');
    case 'stallEnd':
      return [h.atUs, h.type, h.position, h.cycles].join(' ');
    case 'cleared':
      return [h.atUs, h.type, h.samples, h.cause, h.firedSentences.join('+'), h.firedHello].join(
        ' ',
      );
    case 'helloStart':
    case 'helloDone':
      return [h.atUs, h.type].join(' ');
  }
}

const packetSizes = [40, 160, 256, 300, 320, 960, 1024, 1920, 8000];

function noise(random: Random, samples: number): Int16Array {
  return Int16Array.from({ length: samples }, () => random.integer(-32_768, 32_767));
}

/** Bursts, real-time pacing, jitter, late packets, missing ends, volume, hello and clearing. */
function arrivals(random: Random, startUs: number): Post[] {
  const posts: Post[] = [];
  // Some messages are handed over before the player runs.
  let atUs = startUs + random.integer(-20_000, 60_000);
  const post = (message: PlayerMessage) => {
    // Half of the instants fall on the beginning of a cycle, where the rule matters.
    const grid = startUs + Math.ceil((atUs - startUs) / 16_000) * 16_000;
    if (random.next() < 0.5) atUs = grid;
    posts.push({ message, atUs });
  };
  const sentences = random.integer(1, 4);
  for (let sentence = 1; sentence <= sentences; sentence++) {
    const size = packetSizes[random.integer(0, packetSizes.length - 1)]!;
    const pace = random.next() < 0.4 ? 0 : random.between(0.3, 1.4);
    post({ kind: 'start', sentence });
    for (let left = random.integer(0, 12_000); left > 0; left -= size) {
      atUs += Math.round(size * 62.5 * pace * random.between(0.5, 1.5));
      if (random.next() < 0.04) atUs += random.integer(1_000, 150_000);
      const samples = noise(random, Math.min(left, size));
      post({
        kind: 'audio',
        sentence,
        samples,
        ...(random.next() < 0.7 ? { vowel: random.integer(0, 5) } : {}),
      });
      if (random.next() < 0.03) post({ kind: 'volume', gainShift: random.integer(0, 4) });
      if (random.next() < 0.02) post({ kind: 'clear', cause: 'barge-in' });
    }
    if (random.next() < 0.9) {
      atUs += random.integer(0, 40_000);
      post({ kind: 'end', sentence });
    }
    if (random.next() < 0.2) {
      post({ kind: 'setHello', samples: noise(random, random.integer(0, 1500)) });
    }
    if (random.next() < 0.3) post({ kind: 'hello', cause: 'k0' });
    atUs += random.integer(0, 300_000);
  }
  return posts;
}

/** Quirks that concern the player, none of them switched off in half of the patterns. */
function someQuirksOff(random: Random): QuirkId[] {
  if (random.next() < 0.5) return [];
  return (['Q2', 'Q3', 'Q17', 'Q20'] as const).filter(() => random.next() < 0.4);
}

function congestionsOf(random: Random, startUs: number): Congestion[] {
  if (random.next() < 0.5) return [];
  const congestions: Congestion[] = [];
  for (let fromUs = startUs; congestions.length < 4; ) {
    fromUs += random.integer(0, 400_000);
    // Also for ever, as in quirk Q20.
    const toUs = random.next() < 0.05 ? 1e9 : fromUs + random.integer(1, 150_000);
    congestions.push({ fromUs, toUs });
    fromUs = toUs + 1;
  }
  return congestions;
}

test('1,000 generated arrival patterns agree with the oracle in every sample, instant and count', (t) => {
  const seen = new Map<string, number>();
  for (let seed = 0; seed < 1000; seed++) {
    const random = createRandom(seed, 'player-oracle');
    const startUs = random.integer(0, 50_000);
    const hello = noise(random, random.integer(0, 2000));
    const posts = arrivals(random, startUs);
    const seconds = 1.024 * (seed % 5 === 0 ? random.integer(2, 4) : 1);
    const endUs = startUs + Math.round(seconds * 1_000_000);
    const within = posts.filter((p) => p.atUs < endUs);
    const quirksOff = someQuirksOff(random);
    const congestions = congestionsOf(random, startUs);
    const rhythm = random.next() < 0.3 ? 'pairs' : 'even';
    const wakesEveryMs = rhythm === 'pairs' ? 32 : 16;
    const prebufferMs = random.next() < 0.6 ? 0 : random.integer(1, 600);
    const pattern: Pattern = {
      prebuffer: Math.ceil(prebufferMs / 16) * 256,
      posts: within,
      congestions,
      quirksOff,
      wakesEveryMs,
      startUs,
      hello,
      seconds,
    };
    const oracle = playSlowly(pattern);

    const traits = traitsWithout(quirksOff);
    const player = new Player({ startUs, helloSamples: hello, traits, rhythm, prebufferMs });
    const events: string[] = [];
    const slots = (atUs: number) => (congested(pattern, atUs) ? 0 : Number.POSITIVE_INFINITY);
    const boundaries = congestions.flatMap(({ fromUs, toUs }) => [fromUs, toUs]);
    let reachedUs = 0;
    let deadline = player.nextDeadlineUs();
    const advance = (atUs: number) => {
      if (atUs < reachedUs) return;
      const stops = boundaries.filter((b) => b > reachedUs && b < atUs);
      for (const stop of [...stops, atUs]) {
        for (const happened of player.advanceTo(stop, slots(stop - 1))) {
          // Nothing happens unannounced: whoever wakes at the deadline misses nothing.
          t.true(deadline !== undefined && happened.atUs + 1 >= deadline, `seed ${seed}`);
          deadline = Number.NEGATIVE_INFINITY;
          events.push(describe(happened));
        }
        deadline = player.nextDeadlineUs(slots(stop));
      }
      reachedUs = Math.max(reachedUs, atUs);
      const ledger = player.ledger();
      t.is(
        ledger.pushedSamples,
        ledger.playedSamples + ledger.clearedSamples + ledger.queuedSamples + ledger.restSamples,
        `seed ${seed} at ${atUs}`,
      );
    };
    for (const { message, atUs } of within) {
      // Sometimes lazily, sometimes in small steps, sometimes along the announced instants.
      const way = random.integer(0, 2);
      if (way === 1) for (let step = startUs; step < atUs; step += 37_003) advance(step);
      if (way === 2) {
        while (deadline !== undefined && deadline <= atUs) advance(deadline);
      }
      if (way > 0 && atUs > startUs) advance(atUs);
      player.post(message, atUs);
      deadline = player.nextDeadlineUs(slots(reachedUs));
    }
    advance(endUs);

    t.deepEqual(events, oracle.events, `seed ${seed}, without ${quirksOff.join()}`);
    t.true(Buffer.from(player.speaker().buffer).equals(Buffer.from(oracle.speaker.buffer)));
    t.is(player.ledger().restSamples, oracle.rest);
    t.is(player.ledger().queuedSamples, oracle.queued);
    for (const event of events) {
      const type = event.split(' ')[1]!;
      seen.set(type, (seen.get(type) ?? 0) + 1);
    }
  }
  // The patterns must have exercised everything, or the agreement says nothing.
  for (const type of [
    'playStart',
    'underrunStart',
    'underrunEnd',
    'drained',
    'cleared',
    'vowel',
    'stallStart',
    'stallEnd',
    'helloDone',
  ]) {
    t.true((seen.get(type) ?? 0) > 100, `${type}: ${seen.get(type)}`);
  }
});
