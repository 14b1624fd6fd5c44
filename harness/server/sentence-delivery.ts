/**
 * From sentences with audio to messages for the board: `StartAudio`, audio chunks, `EndAudio`, in
 * order, as fast as the board takes them (EchoKit device protocol reference, sections 2.5 and 4).
 */
import type { Clock } from '../clock/clock.ts';
import type { AsyncQueue } from './async-queue.ts';
import type { DeviceLink } from './device-link.ts';
import type { EncodingOrder } from './encoding-order.ts';
import type { ServerEvent } from './server-event.ts';
import type { SpeechFramer } from './speech-framer.ts';
import type { SpokenSentence } from './synthesis.ts';
import { vowelOf, vowelValues } from './vowel.ts';

/** So many frames are written in one go, however little work they are, as raw PCM or in virtual time. */
const framesPerTurnOfTheLoop = 8;
const sampleRateHz = 16_000;

export interface SentenceDeliveryOptions {
  readonly clock: Clock;
  readonly link: DeviceLink;
  readonly framer: SpeechFramer;
  readonly turn: number;
  /** That of all boards. */
  readonly order: EncodingOrder;
  report(event: ServerEvent): void;
  /** Samples of a frame that has just been written; only valid during the call. */
  onFrame(samples: Int16Array): void;
  /** `StartAudio` was written. */
  onStart(sentence: SpokenSentence): void;
}

/**
 * Delivers all sentences. `StartAudio` does not wait for audio: it is sent as soon as the sentence
 * is known and the one before it has ended.
 *
 * @returns samples of audio sent, padding included
 * @throws the reason of the link's or the queue's abort; every sentence has its ledger reported then
 */
export async function deliverSentences(
  sentences: AsyncQueue<SpokenSentence>,
  options: SentenceDeliveryOptions,
): Promise<number> {
  const answer: Answer = { sentSamples: 0 };
  try {
    for await (const spoken of sentences) await deliver(spoken, answer, options);
  } catch (error) {
    for (const spoken of sentences.drain()) reportUnsent(spoken, options);
    throw error;
  }
  return answer.sentSamples;
}

/** What the board was sent of it, padding included, and since when. */
interface Answer {
  sentSamples: number;
  startedUs?: number;
}

async function deliver(
  spoken: SpokenSentence,
  answer: Answer,
  options: SentenceDeliveryOptions,
): Promise<void> {
  const { link, framer, clock, order } = options;
  const place = { turn: options.turn, sentence: spoken.sentence };

  /**
   * When a board that has played without a gap since its first frame has nothing more to play; a first frame is needed now. What is
   * overdue is needed now, too, and no sooner: where there is too much work, boards are served in turn, and none waits for all of what
   * the others lack.
   */
  const neededUs = (): number => {
    const { startedUs, sentSamples } = answer;
    const nowUs = clock.nowUs();
    if (startedUs === undefined) return nowUs;
    return Math.max(nowUs, startedUs + (1_000_000 * sentSamples) / sampleRateHz);
  };

  const writeFrame = (): void => {
    const frame = framer.take();
    if (frame === undefined) return;
    const data = frame.payload;
    const samples = frame.samples.length;
    link.write(
      link.query.opus && link.query.vowel
        ? { type: 'AudioChunkWithVowel', data, vowel: vowelValues[vowelOf(frame.samples)] }
        : { type: 'AudioChunk', data },
      { ...place, samples },
    );
    options.onFrame(frame.samples);
    answer.startedUs ??= clock.nowUs();
    answer.sentSamples += samples;
  };

  const sendFrames = async (): Promise<void> => {
    for (;;) {
      // A frame that has been taken counts as sent, so the waiting comes first, and the board is still there.
      await link.room();
      if (!framer.hasFrame) return;
      const turn = order.turn(neededUs(), link.signal);
      if (turn !== undefined) {
        await turn;
        await link.room();
      }
      order.work(writeFrame);
      if (framer.ledger.frames % framesPerTurnOfTheLoop === 0) await clock.sleep(0, link.signal);
    }
  };

  framer.begin();
  try {
    await link.send({ type: 'StartAudio', text: spoken.text }, place);
    options.onStart(spoken);
    for await (const block of spoken.audio) {
      framer.push(block);
      await sendFrames();
    }
    framer.end();
    await sendFrames();
    await link.send({ type: 'EndAudio' }, place);
  } catch (error) {
    for (const block of spoken.audio.drain()) framer.push(block);
    framer.abandon();
    throw error;
  } finally {
    options.report({ type: 'framed', atUs: clock.nowUs(), ...place, ...framer.ledger });
  }
}

/** A sentence that was synthesised ahead and never sent: all its audio is lost. */
function reportUnsent(spoken: SpokenSentence, options: SentenceDeliveryOptions): void {
  const samples = spoken.audio.load;
  options.report({
    type: 'framed',
    atUs: options.clock.nowUs(),
    turn: options.turn,
    sentence: spoken.sentence,
    samplesIn: samples,
    samplesOut: 0,
    paddedSamples: 0,
    lostSamples: samples,
    frames: 0,
  });
}
