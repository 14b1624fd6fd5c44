/*
 * Underruns and first audible instants counted again, sample by sample, with no code of the player,
 * of the codec or of the metrics. The known truth is a second conversation with the same words over
 * a link without delay and with a quick provider: its answer has no gap, and the samples of the
 * answer depend on neither. What else is in the speaker between the two ends of a sentence is an
 * underrun.
 */
import test, { type ExecutionContext } from 'ava';
import {
  ConversationRunner,
  type RecordedConversation,
  scenarioOf,
} from './recorded-conversation.contract.ts';

const runner = await ConversationRunner.open();
test.after.always(() => runner.remove());

const chunk = 256;
/**
 * The end of the connect beep, which fills no chunk and comes out in front of the first answer: its
 * file has 22 478 bytes, all played as samples (EchoKit device protocol reference, section 4.3).
 */
const beepRest = (22_478 / 2) % chunk;
const dialog = `
[[turn]]
say = "What do bees do?"
reply = "They gather in a tight ball around their queen and shiver. That keeps her warm."
timeout_ms = 90000
`;

interface Gap {
  readonly position: number;
  readonly cycles: number;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** From the first chunk of each sentence to the end of its last, as the board told. */
function sentencesOf({ recorded }: RecordedConversation): Span[] {
  const starts: number[] = [];
  const ends: number[] = [];
  for (const event of recorded.events) {
    if (event.type === 'playStart') starts.push(event.position);
    if (event.type === 'drained') ends.push(event.position);
  }
  return starts.map((start, index) => ({ start, end: ends[index]! }));
}

/**
 * Walks through what was played and takes one chunk of the truth after the other. A chunk that is
 * silence and not what comes next is a gap.
 *
 * @returns undefined when a sample is neither.
 */
function findGaps(played: Int16Array, offset: number, truth: Int16Array): Gap[] | undefined {
  const gaps: { position: number; cycles: number }[] = [];
  let next = 0;
  let inGap = false;
  for (let at = 0; at < played.length; at += chunk) {
    let same = next + chunk <= truth.length;
    let silent = true;
    for (let i = 0; i < chunk; i++) {
      if (played[at + i] !== truth[next + i]) same = false;
      if (played[at + i] !== 0) silent = false;
    }
    if (same) {
      next += chunk;
      inGap = false;
    } else if (silent) {
      if (!inGap) gaps.push({ position: offset + at, cycles: 0 });
      gaps.at(-1)!.cycles++;
      inGap = true;
    } else return undefined;
  }
  return next === truth.length ? gaps : undefined;
}

function isLoud(samples: Int16Array, from: number): boolean {
  let sum = 0;
  for (let i = from; i < from + 160; i++) sum += (samples[i]! / 32768) ** 2;
  return 10 * Math.log10(sum / 160) > -50;
}

/** The first sample above -50 dBFS of the first window of 10 ms above it. */
function firstAudible(samples: Int16Array, start: number): number {
  let window = start;
  while (!isLoud(samples, window)) window += 16;
  while (Math.abs(samples[window]! / 32768) <= 10 ** (-50 / 20)) window++;
  return window;
}

function checkAudible(t: ExecutionContext, conversation: RecordedConversation): void {
  const { recorded, measurement } = conversation;
  const { events, speaker, user } = recorded;
  const boot = events.find((event) => event.type === 'boot')!;
  const speech = events.find((event) => event.type === 'speechStart')!;
  const position = firstAudible(speaker, sentencesOf(conversation)[0]!.start + beepRest);
  const heardUs = boot.speakerStartUs + Math.floor(position * 62.5);
  // From behind it is the same search in the reversed clip.
  const clip = user.slice(speech.userOffset, speech.userOffset + speech.samples).reverse();
  const voiced = clip.length - firstAudible(clip, 0);
  const userStopUs = speech.atUs + Math.round(voiced * 62.5);
  t.is(measurement.turns[0]!.marks.firstAudible?.atUs, heardUs);
  t.is(measurement.turns[0]!.marks.userStop?.atUs, userStopUs);
  t.is(measurement.turns[0]!.audibleAtSpeakerUs, heardUs - userStopUs);
}

const troubles = {
  'a network that stands still': `${dialog}
[[turn.disturb]]
kind = "stall"
direction = "down"
duration_ms = 2500
after = { event = "AudioChunkWithVowel", delay_ms = 60 }
`,
  'a provider slower than speech': `${dialog}
[stand_in]
first_byte_ms = 700
speed = 0.75
`,
};

for (const provider of ['openai-stream', 'stream_gsv', 'elevenlabs']) {
  for (const [trouble, toml] of Object.entries(troubles)) {
    test.serial(
      `${provider}, ${trouble}: gaps and first sound as counted in speaker.wav`,
      async (t) => {
        const providers = [provider];
        const [quick] = await runner.run(
          scenarioOf('quick', `${dialog}\n[stand_in]\nfirst_byte_ms = 50\nspeed = 50\n`),
          { providers, networks: ['ideal'] },
        );
        const [slow] = await runner.run(scenarioOf('troubled', toml), { providers });
        t.is(quick!.measurement.metrics['underruns.count'], 0, 'the truth has no gap');
        checkAudible(t, quick!);
        checkAudible(t, slow!);

        const truths = sentencesOf(quick!);
        const spans = sentencesOf(slow!);
        t.is(spans.length, truths.length);
        const counted = spans.flatMap(({ start, end }, index) => {
          const truth = quick!.recorded.speaker.subarray(truths[index]!.start, truths[index]!.end);
          const played = slow!.recorded.speaker.subarray(start, end);
          const gaps = findGaps(played, start, truth);
          t.truthy(gaps, `sentence ${index + 1} is not what was said, with gaps`);
          return gaps ?? [];
        });
        const measured = slow!.measurement.underruns.flatMap(({ underruns }) => underruns);
        const inside = measured.filter(({ trailing }) => !trailing);
        t.deepEqual(
          inside.map(({ position, cycles }): Gap => ({ position, cycles })),
          counted,
        );
        t.true(counted.length > 0, 'there was something to find');
        const cycles = counted.reduce((sum, gap) => sum + gap.cycles, 0);
        const trailing = measured.length - inside.length;
        t.log(`${counted.length} gaps, ${cycles * 16} ms, ${trailing} more before the end marker`);
      },
    );
  }
}
