/** What a board sends of what it hears, and when it stops: FP-9.5 to FP-9.7, FP-9.12, FP-9.16. */
import { type ConformanceCase, demand } from './conformance-case.ts';
import { type DeviceStage, demandSilence, saidBy } from './device-stage.ts';
import type { WirePeer } from './wire-peer.ts';

type DeviceCase = ConformanceCase<DeviceStage>;

const startChat = '{"event":"StartChat"}';
const frameBytes = 16_384;
/** 10.24 s in messages of 0.512 s. */
const patienceFrames = 20;

const audioOf = (peer: WirePeer): { atUs: number; bytes: Buffer }[] =>
  peer.arrivals.flatMap((arrival) =>
    arrival.kind === 'binary' ? [{ atUs: arrival.atUs, bytes: arrival.bytes }] : [],
  );

/** Speech of so many seconds; waits until so many messages of audio have come. */
async function utter(stage: DeviceStage, seconds: number, frames: number): Promise<WirePeer> {
  const peer = await stage.inState('Listening');
  stage.hear(stage.speechOf(seconds));
  const came = await peer.until(
    () => audioOf(peer).length >= frames,
    stage.actionMs + 1000 * seconds + 512 * frames,
  );
  demand(came, `${audioOf(peer).length} messages of audio came, not ${frames}`);
  return peer;
}

/** Ends an utterance in a way, and judges that nothing more comes. */
const ending = (
  name: string,
  title: string,
  end: (stage: DeviceStage, peer: WirePeer) => void,
): DeviceCase => ({
  id: `upload/${name}`,
  title,
  clause: 'FP-9.6',
  async play(stage) {
    // The speech is over by then; what is sent is silence.
    const peer = await utter(stage, 1, 5);
    end(stage, peer);
    await stage.sleep(200);
    await demandSilence(stage, peer, 2500);
  },
});

const uploadCases: readonly DeviceCase[] = [
  {
    id: 'upload/start-chat-first',
    title: 'Speech begins with StartChat, before any audio, byte for byte.',
    clause: 'FP-9.5',
    async play(stage) {
      const peer = await utter(stage, 2, 1);
      demand(saidBy(peer)[0] === startChat, `the first message is ${saidBy(peer)[0]}`);
    },
  },
  {
    id: 'upload/start-chat-once',
    title: 'An utterance has one StartChat.',
    clause: 'FP-9.5',
    async play(stage) {
      const peer = await utter(stage, 2, 4);
      const texts = saidBy(peer).filter((text) => text !== 'audio');
      demand(texts.length === 1, `the texts are ${texts.join(' ')}`);
    },
  },
  {
    id: 'upload/frames',
    title: 'Audio comes in messages of 16384 bytes.',
    clause: 'FP-9.5',
    async play(stage) {
      const sizes = audioOf(await utter(stage, 2, 4)).map(({ bytes }) => bytes.length);
      demand(
        sizes.every((size) => size === frameBytes),
        `the sizes are ${sizes.join(', ')}`,
      );
    },
  },
  {
    id: 'upload/pace',
    title: 'The messages come every 512 ms, as they are captured.',
    clause: 'FP-9.5',
    async play(stage) {
      const instants = audioOf(await utter(stage, 3, 5)).map(({ atUs }) => atUs);
      const gaps = instants.slice(2).map((atUs, i) => (atUs - instants[i + 1]!) / 1000);
      demand(
        gaps.every((gap) => gap > 350 && gap < 700),
        `the gaps are ${gaps.map(Math.round).join(', ')} ms`,
      );
    },
  },
  {
    id: 'upload/pre-roll',
    title:
      'The first message comes less than 0.4 s after StartChat: it begins with what was heard before.',
    clause: 'FP-9.5',
    async play(stage) {
      const peer = await utter(stage, 2, 1);
      const text = peer.arrivals.find(({ kind }) => kind === 'text');
      const ms = (audioOf(peer)[0]!.atUs - (text?.atUs ?? 0)) / 1000;
      demand(ms < 400, `it came ${ms} ms after StartChat`);
    },
  },
  {
    id: 'upload/is-the-speech',
    title: 'What is sent is what was heard.',
    clause: 'FP-5.1',
    async play(stage) {
      const peer = await utter(stage, 2, 4);
      const all = Buffer.concat(audioOf(peer).map(({ bytes }) => bytes));
      const sent = new Int16Array(all.buffer, all.byteOffset, all.length / 2);
      const rms = Math.sqrt(sent.reduce((sum, value) => sum + value * value, 0) / sent.length);
      demand(rms > 50, `its mean level is ${rms.toFixed(1)} of 32768`);
      if (!stage.emulated) return;
      const probe = stage.said.subarray(4000, 4800);
      const at = sent.findIndex((_, i) => probe.every((value, k) => sent[i + k] === value));
      demand(at >= 0, 'a stretch of 50 ms of the speech is not in it');
    },
  },
  {
    id: 'upload/silence-too',
    title: 'After the speech, silence is sent until the server ends the utterance.',
    clause: 'FP-9.6',
    async play(stage) {
      const peer = await utter(stage, 1, 8);
      demand(audioOf(peer).length >= 8, 'less than 4 s came for 1 s of speech');
    },
  },
  ending('ends-with-vad', 'EndVad ends the upload.', (stage, peer) =>
    stage.send(peer, { type: 'EndVad' }),
  ),
  ending('ends-with-response', 'EndResponse ends the upload.', (stage, peer) =>
    stage.send(peer, { type: 'EndResponse' }),
  ),
  ending(
    'ends-with-speech',
    'StartAudio ends the upload: in Speaking nothing is sent.',
    (stage, peer) => stage.send(peer, { type: 'StartAudio', text: 'Hi.' }),
  ),
  {
    id: 'upload/text-does-not-end-it',
    title: 'ASR and Action do not end the upload.',
    clause: 'FP-9.6',
    async play(stage) {
      const peer = await utter(stage, 2, 2);
      stage.send(peer, { type: 'ASR', text: 'hi' }, { type: 'Action', action: 'x' });
      const before = audioOf(peer).length;
      const more = await peer.until(() => audioOf(peer).length >= before + 3, 4000);
      demand(more, 'no more audio came');
    },
  },
  {
    id: 'upload/rest-thrown-away',
    title:
      'What is pending at EndVad is thrown away: the next utterance begins with StartChat and whole messages.',
    clause: 'FP-9.6',
    async play(stage) {
      const peer = await utter(stage, 1, 5);
      await stage.sleep(250);
      stage.send(peer, { type: 'EndVad' }, { type: 'EndResponse' });
      await stage.sleep(1000);
      const before = saidBy(peer).length;
      stage.hear(stage.speechOf(2));
      await peer.until(() => saidBy(peer).length >= before + 3, stage.actionMs + 3000);
      const next = saidBy(peer)
        .slice(before, before + 3)
        .join(' ');
      demand(next === `${startChat} audio audio`, `what came next is ${next || 'nothing'}`);
      const sizes = audioOf(peer).map(({ bytes }) => bytes.length);
      demand(
        sizes.every((size) => size === frameBytes),
        `the sizes are ${sizes.join(', ')}`,
      );
    },
  },
  {
    id: 'upload/gives-up',
    title: 'Without ASR the upload ends at 10.24 s.',
    clause: 'FP-9.7',
    async play(stage) {
      const peer = await utter(stage, 12, patienceFrames);
      await stage.sleep(1200);
      // The speech goes on and begins another utterance.
      const said = saidBy(peer);
      const second = said.indexOf(startChat, 1);
      const frames = second < 0 ? said.length - 1 : second - 1;
      demand(frames === patienceFrames, `${frames} messages came before it gave up`);
    },
  },
  {
    id: 'upload/gives-up-in-silence',
    title: 'A board that has given up tells nobody.',
    clause: 'FP-9.7',
    async play(stage) {
      const peer = await utter(stage, 2, patienceFrames);
      await stage.sleep(200);
      await demandSilence(stage, peer, 3000);
      demand(peer.open, 'the connection is gone');
    },
  },
  {
    id: 'upload/begins-again',
    title: 'Speech after that begins another utterance.',
    clause: 'FP-9.7',
    async play(stage) {
      const peer = await utter(stage, 2, patienceFrames);
      await stage.sleep(1000);
      stage.hear();
      const again = (): boolean => saidBy(peer).filter((text) => text === startChat).length === 2;
      await peer.until(again, stage.actionMs + 3000);
      demand(again(), 'no second StartChat came');
    },
  },
  {
    id: 'upload/asr-keeps-patience',
    title: 'With an ASR the upload goes on beyond 10.24 s.',
    clause: 'FP-9.7',
    async play(stage) {
      const peer = await utter(stage, 3, 4);
      stage.send(peer, { type: 'ASR', text: '' });
      const more = await peer.until(() => audioOf(peer).length >= patienceFrames + 4, 15_000);
      demand(more, `the upload ended after ${audioOf(peer).length} messages`);
    },
  },
  {
    id: 'upload/no-submit',
    title: 'The board never says Submit or anything but StartChat.',
    clause: 'FP-9.16',
    async play(stage) {
      const peer = await utter(stage, 1, 6);
      const other = saidBy(peer).find((text) => text !== 'audio' && text !== startChat);
      demand(other === undefined, `it said ${other}`);
    },
  },
  {
    id: 'upload/masked',
    title: 'Every frame is masked, whole, and without reserved bits.',
    clause: 'FP-9.16',
    async play(stage) {
      const { frames } = await utter(stage, 2, 3);
      demand(
        frames.every(({ masked }) => masked),
        'a frame has no mask',
      );
      demand(
        frames.every(({ final }) => final),
        'a message came in fragments',
      );
      demand(
        frames.every(({ reserved }) => reserved === 0),
        'a frame has a reserved bit',
      );
    },
  },
  {
    id: 'upload/no-pings',
    title: 'The board sends no pings.',
    clause: 'FP-9.16',
    async play(stage) {
      const peer = await utter(stage, 1, 6);
      demand(!peer.arrivals.some(({ kind }) => kind === 'ping'), 'a ping came');
    },
  },
  ...(['Idle', 'Waiting', 'Speaking'] as const).map(
    (state): DeviceCase => ({
      id: `upload/nothing-in-${state.toLowerCase()}`,
      title: `Speech in ${state} is not sent.`,
      clause: 'FP-9.5',
      async play(stage) {
        const peer = await stage.inState(state);
        stage.hear();
        await demandSilence(stage, peer, 3000);
      },
    }),
  ),
  {
    id: 'upload/three-turns',
    title: 'Three utterances in a row each begin with StartChat.',
    clause: 'FP-9.5',
    async play(stage) {
      const peer = await stage.inState('Listening');
      for (let turn = 1; turn <= 3; turn++) {
        stage.hear();
        const begun = (): boolean =>
          saidBy(peer).filter((text) => text === startChat).length === turn;
        await peer.until(begun, stage.actionMs + 2000);
        demand(begun(), `utterance ${turn} has no StartChat`);
        await peer.until(() => saidBy(peer).at(-1) === 'audio', 3000);
        await stage.sleep(2500);
        stage.send(peer, { type: 'EndVad' }, { type: 'EndResponse' });
        await stage.sleep(1000);
      }
    },
  },
];

// ---- interrupting ----

async function allowInterrupting(stage: DeviceStage, presses: number): Promise<WirePeer> {
  const peer = await stage.inState('Speaking');
  for (let i = 0; i < presses; i++) {
    stage.press('k0', 'long');
    await stage.sleep(stage.emulated ? 1500 : 6000);
  }
  return peer;
}

const interruptCases: readonly DeviceCase[] = [
  {
    id: 'interrupt/forbidden-after-boot',
    title: 'After boot speech does not interrupt an answer.',
    clause: 'FP-9.12',
    async play(stage) {
      const peer = await stage.inState('Speaking');
      stage.hear(stage.speechOf(3));
      demand((await stage.incomingOrNone(4000)) === undefined, 'the board connected again');
      demand(peer.open, 'the connection is gone');
    },
  },
  {
    id: 'interrupt/connects-again',
    title: 'After a long press speech interrupts an answer: the board connects again.',
    clause: 'FP-9.12',
    async play(stage) {
      await allowInterrupting(stage, 1);
      stage.hear(stage.speechOf(3));
      const { query } = await stage.incoming();
      demand(query.startsWith('reconnect=true'), `the query is ${query}`);
    },
  },
  {
    id: 'interrupt/start-chat',
    title: 'On the new connection StartChat comes first, then all of the audio, at least 0.6 s.',
    clause: 'FP-9.12',
    async play(stage) {
      await allowInterrupting(stage, 1);
      stage.hear(stage.speechOf(3));
      const peer = (await stage.incoming()).accept();
      await peer.until(() => audioOf(peer).length >= 2, stage.limits.stepMs);
      demand(saidBy(peer)[0] === startChat, `the first message is ${saidBy(peer)[0]}`);
      const { length } = audioOf(peer)[0]!.bytes;
      demand(length > 0.6 * 32_000 && length < 32_000, `the first audio has ${length} bytes`);
    },
  },
  {
    id: 'interrupt/old-dropped',
    title: 'The old connection is dropped without Close after the new one is open.',
    clause: 'FP-9.12',
    async play(stage) {
      const old = await allowInterrupting(stage, 1);
      stage.hear(stage.speechOf(3));
      const incoming = await stage.incoming();
      demand(old.open, 'the old connection was gone before the new one was asked for');
      incoming.accept();
      await old.until(() => !old.open, stage.limits.stepMs);
      demand(!old.open, 'the old connection stayed open');
      demand(!old.arrivals.some(({ kind }) => kind === 'close'), 'it was closed with Close');
    },
  },
  {
    id: 'interrupt/toggled-off',
    title: 'A second long press forbids it again.',
    clause: 'FP-9.12',
    async play(stage) {
      await allowInterrupting(stage, 2);
      stage.hear(stage.speechOf(3));
      demand((await stage.incomingOrNone(4000)) === undefined, 'the board connected again');
    },
  },
  {
    id: 'interrupt/not-in-waiting',
    title: 'In Waiting speech interrupts nothing, even when it is allowed.',
    clause: 'FP-9.12',
    async play(stage) {
      const peer = await allowInterrupting(stage, 1);
      stage.send(peer, { type: 'EndVad' });
      await stage.sleep(300);
      stage.hear(stage.speechOf(3));
      demand((await stage.incomingOrNone(4000)) === undefined, 'the board connected again');
    },
  },
];

export const deviceUploadCases: readonly DeviceCase[] = [...uploadCases, ...interruptCases];
