import test from 'ava';
import { speechLike } from '../voice-detection/speech-like.contract.ts';
import {
  type LiveRecognition,
  type LiveRecognitionOptions,
  type LiveRecognizer,
  RecognitionError,
} from './live-recognizer.ts';
import {
  type LaboratoryOptions,
  ofType,
  simulate,
  streamQuery,
  submitQuery,
  utterance,
} from './server-laboratory.contract.ts';

/** A recognition whose texts come when so many samples have come. */
interface Plan {
  readonly at: number;
  readonly text?: string;
  readonly end?: true;
  readonly failure?: RecognitionError;
}

interface Begun {
  readonly options: LiveRecognitionOptions;
  received: number;
  finished: boolean;
  cancelled: boolean;
}

function planned(
  plans: readonly Plan[],
  rest = '',
  begin?: () => void,
): LiveRecognizer & { readonly begun: Begun[] } {
  const begun: Begun[] = [];
  return {
    begun,
    async begin(_context, options) {
      begin?.();
      const own: Begun = { options, received: 0, finished: false, cancelled: false };
      begun.push(own);
      const state = { text: '', sentences: 0, results: 0, failure: undefined as Plan['failure'] };
      const left = [...plans];
      const recognition: LiveRecognition = {
        get text() {
          return state.text;
        },
        get sentences() {
          return state.sentences;
        },
        get results() {
          return state.results;
        },
        get failure() {
          return state.failure;
        },
        push(samples) {
          own.received += samples.length;
          while (left[0] !== undefined && left[0].at <= own.received) {
            const { text, end, failure } = left.shift()!;
            state.text = text ?? state.text;
            state.results += text === undefined ? 0 : 1;
            state.sentences += end === true ? 1 : 0;
            state.failure = failure;
            options.onChange();
          }
        },
        async finish() {
          own.finished = true;
          state.text += rest;
        },
        cancel() {
          own.cancelled = true;
        },
      };
      return recognition;
    },
  };
}

const whole = { reply: 'Yes.' } satisfies LaboratoryOptions;

test('section 7.4: texts while the user speaks, each once, EndVad, the whole with what came behind', async (t) => {
  const heard = planned(
    [
      { at: 8192, text: 'How' },
      { at: 16_384, text: 'How' },
      { at: 24_576, text: 'How far' },
      { at: 40_960, text: 'How far?', end: true },
    ],
    ' Tell me.',
  );
  await simulate({ ...whole, heard }, async ({ board, events }) => {
    const device = await board(undefined, streamQuery);
    await device.speak(utterance);
    await device.until('EndResponse');
    t.true(device.order.startsWith('ASR ASR EndVad ASR StartAudio'), device.order);
    t.deepEqual(device.fieldsOf('ASR'), ['How', 'How far', 'How far? Tell me.']);
    t.is(heard.begun[0]!.options.semanticPunctuation, true);
    t.true(heard.begun[0]!.finished);
    t.like(ofType(events, 'endOfTurn')[0], { by: 'EndVad', speech: true, uplinkSamples: 40_960 });
    t.is(ofType(events, 'turnEnd')[0]!.outcome, 'spoken');
  });
});

test('with the ways of the EchoKit server EndVad waits for the rest', async (t) => {
  const heard = planned([{ at: 8192, text: 'Yes?', end: true }]);
  const settings = { endVad: 'recognized' } as const;
  await simulate({ ...whole, heard, settings }, async ({ board }) => {
    const device = await board(undefined, streamQuery);
    await device.speak(utterance);
    await device.until('EndResponse');
    t.true(device.order.startsWith('EndVad ASR StartAudio'), device.order);
  });
});

test('submit mode: no text before Submit, and sentences end by silence alone', async (t) => {
  const heard = planned([{ at: 8192, text: 'How far?', end: true }], ' Tell me.');
  await simulate({ ...whole, heard }, async ({ board, events }) => {
    const device = await board(undefined, submitQuery);
    await device.speak(utterance.subarray(0, 8192 * 3));
    device.command('Submit');
    await device.until('EndResponse');
    t.deepEqual(device.fieldsOf('ASR'), ['How far? Tell me.']);
    t.false(device.order.includes('EndVad'));
    t.false(heard.begun[0]!.options.semanticPunctuation);
    t.like(ofType(events, 'endOfTurn')[0], { by: 'Submit', uplinkSamples: 8192 * 3 });
  });
});

test('5 s of audio without a result end the turn: empty in silence, failed where somebody spoke', async (t) => {
  const outcome = async (audio: Int16Array) =>
    simulate({ ...whole, heard: planned([]) }, async ({ board, events }) => {
      const device = await board(undefined, streamQuery);
      await device.speak(audio);
      await device.until('EndResponse');
      t.is(device.order, 'EndVad EndResponse');
      const [end] = ofType(events, 'endOfTurn');
      // 160 000 bytes, in pieces of 8192 samples.
      t.is(end!.uplinkSamples, Math.ceil(80_000 / 8192) * 8192);
      return ofType(events, 'turnEnd')[0]!;
    });
  t.is((await outcome(new Int16Array(8192 * 12))).outcome, 'empty');
  const talk = new Int16Array(8192 * 12);
  talk.set(speechLike(3));
  t.like(await outcome(talk), { outcome: 'failed', failure: 'recognition' });
});

test('a failure while the user speaks fails the turn with its words, and the next turn works', async (t) => {
  const failure = new RecognitionError('rate-limit', 'DashScope says Throttling.RateQuota: slowly');
  const broken = planned([{ at: 16_384, failure }]);
  const fine = planned([{ at: 8192, text: 'Yes?', end: true }]);
  let turns = 0;
  const heard: LiveRecognizer = {
    begin: (...given) => (++turns === 1 ? broken : fine).begin(...given),
  };
  await simulate({ ...whole, heard }, async ({ board, events }) => {
    const device = await board(undefined, streamQuery);
    await device.speak(utterance);
    await device.until('EndResponse');
    t.is(device.order, 'EndVad EndResponse');
    const [end] = ofType(events, 'turnEnd');
    t.like(end, { outcome: 'failed', failure: 'recognition' });
    t.regex(end!.message!, /Throttling\.RateQuota/);
    t.true(broken.begun[0]!.cancelled);
    await device.speak(utterance);
    await device.until('EndResponse', 2);
    t.is(ofType(events, 'turnEnd')[1]!.outcome, 'spoken');
  });
});

test('a recognition that cannot begin fails the turn and holds nobody up', async (t) => {
  const heard = planned([], '', () => {
    throw new RecognitionError('auth', 'The recognition could not begin in 3 tries (auth)');
  });
  await simulate({ ...whole, heard }, async ({ board, events }) => {
    const device = await board(undefined, streamQuery);
    await device.speak(utterance);
    await device.until('EndResponse');
    t.is(device.order, 'EndVad EndResponse');
    t.like(ofType(events, 'turnEnd')[0], { outcome: 'failed', failure: 'recognition' });
  });
});

test('Text in an utterance is answered without EndVad, a new connection cancels it', async (t) => {
  const heard = planned([]);
  await simulate({ ...whole, heard }, async ({ board, clock }) => {
    const device = await board(undefined, streamQuery);
    device.command('StartChat');
    device.command('Text', { input: 'go on' });
    await device.until('EndResponse');
    t.true(device.order.startsWith('ASR StartAudio'), device.order);
    t.true(heard.begun[0]!.cancelled);
    device.command('StartChat');
    await device.upload(utterance.subarray(0, 8192));
    t.false(heard.begun[1]!.cancelled);
    await board(undefined, streamQuery);
    await clock.sleep(1_000_000);
    t.true(heard.begun[1]!.cancelled);
  });
});
