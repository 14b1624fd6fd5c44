/**
 * From sentences with audio to messages for the board: `StartAudio`, audio chunks, `EndAudio`, in
 * order, as fast as the board takes them (EchoKit device protocol reference, sections 2.5 and 4).
 */
import type { Clock } from '../clock/clock.ts';
import type { AsyncQueue } from './async-queue.ts';
import type { DeviceLink } from './device-link.ts';
import type { ServerEvent } from './server-event.ts';
import type { SpeechFramer } from './speech-framer.ts';
import type { SpokenSentence } from './synthesis.ts';
import { vowelOf, vowelValues } from './vowel.ts';

/**
 * The first frame of another board waits for the packets that are encoded in one go, 2 ms each. So many at most, and none after so
 * much time: in real time each packet is one go. In virtual time work takes none, and the number decides.
 */
const framesPerTurnOfTheLoop = 8;
const workPerTurnOfTheLoopUs = 1_000;

export interface SentenceDeliveryOptions {
  readonly clock: Clock;
  readonly link: DeviceLink;
  readonly framer: SpeechFramer;
  readonly turn: number;
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
  let sentSamples = 0;
  try {
    for await (const spoken of sentences) sentSamples += await deliver(spoken, options);
  } catch (error) {
    for (const spoken of sentences.drain()) reportUnsent(spoken, options);
    throw error;
  }
  return sentSamples;
}

async function deliver(spoken: SpokenSentence, options: SentenceDeliveryOptions): Promise<number> {
  const { link, framer, clock } = options;
  const place = { turn: options.turn, sentence: spoken.sentence };

  let workedUs = 0;
  const sendFrames = async (): Promise<void> => {
    for (;;) {
      // A frame that has been taken counts as sent, so the waiting comes first.
      await link.room();
      const fromUs = clock.nowUs();
      const frame = framer.take();
      if (frame === undefined) return;
      const data = frame.payload;
      link.write(
        link.query.opus && link.query.vowel
          ? { type: 'AudioChunkWithVowel', data, vowel: vowelValues[vowelOf(frame.samples)] }
          : { type: 'AudioChunk', data },
        {
          ...place,
          samples: frame.samples.length,
        },
      );
      options.onFrame(frame.samples);
      workedUs += clock.nowUs() - fromUs;
      const many = framer.ledger.frames % framesPerTurnOfTheLoop === 0;
      if (!many && workedUs < workPerTurnOfTheLoopUs) continue;
      workedUs = 0;
      await clock.sleep(0, link.signal);
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
  return framer.ledger.samplesOut;
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
