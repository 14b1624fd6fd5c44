/**
 * The player against a second implementation that shares no line with it: one sample after the
 * other, one queue entry per sample, nothing skipped.
 */
import test from 'ava';
import { createRandom, type Random } from '../random/random.ts';
import { Player, type PlayerMessage, type PlayerTransition } from './player.ts';

interface Post {
  readonly message: PlayerMessage;
  readonly atUs: number;
}

type Entry =
  | { audio: number; of: number; head: boolean }
  | { mark: number }
  | { helloMark: true }
  | { mouth: true };

/** Section 6.3 of the EchoKit device protocol reference, literally. */
function playSlowly(posts: readonly Post[], startUs: number, hello: number[], seconds: number) {
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
  let mouthUs = Number.NEGATIVE_INFINITY;

  const enqueue = (samples: Iterable<number>, of: number) => {
    for (const sample of samples) {
      leftover.push(sample);
      if (leftover.length < 256) continue;
      const head = of !== 0 && of !== knownSentence;
      if (head) knownSentence = of;
      for (const [i, raw] of leftover.entries()) {
        line.push({ audio: Math.trunc(raw / divisor), of, head: head && i === 0 });
      }
      leftover = [];
    }
  };
  const note = (kind: string, ...values: unknown[]) => {
    events.push([startUs + Math.round(speaker.length * 62.5), kind, ...values].join(' '));
  };
  const closeHole = () => {
    if (hole > 0) note('underrunEnd', inSentence, speaker.length, hole / 256);
    hole = 0;
  };
  const empty = (cause: string) => {
    const lost = line.filter((e) => 'audio' in e).length;
    const marks = line.flatMap((e) => ('mark' in e ? [e.mark] : []));
    const helloCut = line.some((e) => 'helloMark' in e);
    line = [];
    closeHole();
    inSentence = 0;
    note('cleared', lost, cause, marks.join('+'), helloCut);
  };

  let sounding = false;
  for (let sample = 0; sample < seconds * 16_000; sample++) {
    if (sample % 256 === 0) {
      const nowUs = startUs + (sample / 256) * 16_000;
      const letter = waiting[0];
      if (letter !== undefined && letter.atUs <= nowUs) {
        waiting.shift();
        const { message } = letter;
        if (message.kind === 'audio') {
          if (message.vowel !== undefined) line.push({ mouth: true });
          enqueue(message.samples, message.sentence);
        }
        if (message.kind === 'end') line.push({ mouth: true }, { mark: message.sentence });
        if (message.kind === 'volume') divisor = 2 ** message.gainShift;
        if (message.kind === 'setHello') hello = [...message.samples];
        if (message.kind === 'clear') empty(message.cause);
        if (message.kind === 'hello') {
          note('helloStart');
          empty(message.cause);
          enqueue(hello, 0);
          line.push({ helloMark: true });
        }
      }
      while (line[0] !== undefined && !('audio' in line[0])) {
        const entry = line.shift()!;
        if ('mouth' in entry) mouthUs = nowUs;
        if ('helloMark' in entry) note('helloDone');
        if ('mark' in entry) {
          const spoken = entry.mark === inSentence;
          if (spoken) {
            closeHole();
            inSentence = 0;
          }
          note('drained', entry.mark, spoken ? endOfSound : sample, leftover.length);
        }
      }
      sounding = line.length > 0;
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
    line.filter((e) => 'audio' in e).length +
    waiting.reduce((n, p) => n + (p.message.kind === 'audio' ? p.message.samples.length : 0), 0);
  return { speaker: Int16Array.from(speaker), events, rest: leftover.length, queued, mouthUs };
}

function describe(h: PlayerTransition): string {
  switch (h.type) {
    case 'playStart':
    case 'underrunStart':
      return [h.atUs, h.type, h.sentence, h.position].join(' ');
    case 'underrunEnd':
      return [h.atUs, h.type, h.sentence, h.position, h.cycles].join(' ');
    case 'drained':
      return [h.atUs, h.type, h.sentence, h.position, h.restSamples].join(' ');
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

test('250 generated arrival patterns agree with the oracle in every sample, instant and count', (t) => {
  const seen = new Map<string, number>();
  for (let seed = 0; seed < 250; seed++) {
    const random = createRandom(seed, 'player-oracle');
    const startUs = random.integer(0, 50_000);
    const hello = noise(random, random.integer(0, 2000));
    const posts = arrivals(random, startUs);
    const seconds = 1.024 * random.integer(1, 4);
    const endUs = startUs + Math.round(seconds * 1_000_000);
    const within = posts.filter((p) => p.atUs < endUs);
    const oracle = playSlowly(within, startUs, [...hello], seconds);

    const player = new Player({ startUs, helloSamples: hello });
    const events: string[] = [];
    let deadline = player.nextDeadlineUs();
    const advance = (atUs: number) => {
      for (const happened of player.advanceTo(atUs)) {
        // Nothing happens unannounced: whoever wakes at the deadline misses nothing.
        t.true(deadline !== undefined && happened.atUs + 1 >= deadline, `seed ${seed}`);
        deadline = Number.NEGATIVE_INFINITY;
        events.push(describe(happened));
      }
      const ledger = player.ledger();
      t.is(
        ledger.pushedSamples,
        ledger.playedSamples + ledger.clearedSamples + ledger.queuedSamples + ledger.restSamples,
        `seed ${seed} at ${atUs}`,
      );
      deadline = player.nextDeadlineUs();
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
      deadline = player.nextDeadlineUs();
    }
    advance(endUs);

    t.deepEqual(events, oracle.events, `seed ${seed}`);
    t.true(Buffer.from(player.speaker().buffer).equals(Buffer.from(oracle.speaker.buffer)));
    t.is(player.ledger().restSamples, oracle.rest);
    t.is(player.ledger().queuedSamples, oracle.queued);
    t.is(player.lastVowelUs, oracle.mouthUs);
    for (const event of events) {
      const type = event.split(' ')[1]!;
      seen.set(type, (seen.get(type) ?? 0) + 1);
    }
  }
  // The patterns must have exercised everything, or the agreement says nothing.
  for (const type of ['playStart', 'underrunStart', 'underrunEnd', 'drained', 'cleared']) {
    t.true((seen.get(type) ?? 0) > 50, `${type}: ${seen.get(type)}`);
  }
});
