/** What a server says, in which order, and how it is written: FP-2, FP-5, FP-7. */
import {
  encodeServerEvent,
  type ServerEvent,
  type ServerEventType,
} from '../../firmware-protocol/server-event.ts';
import { type ConformanceCase, demand, Nonconformity, Unsupported } from './conformance-case.ts';
import { decodeSentences, demandPcm } from './server-audio-cases.ts';
import {
  answered,
  answeredTurn,
  emptyTurn,
  type PlayedTurn,
  playTurn,
  queryConversation,
  spokenConversation,
  spokenSentences,
} from './server-scenes.ts';
import { type Mode, modeQuery, type ServerStage } from './server-stage.ts';
import { follows, orderOf, sentencesOf, type TurnKind, turnGrammars } from './turn-grammar.ts';
import { hexExcerpt, quoted, type WirePeer } from './wire-peer.ts';

type ServerCase = ConformanceCase<ServerStage>;
type Judge = (turn: PlayedTurn, stage: ServerStage) => void | Promise<void>;

const flags = ['reconnect', 'opus', 'vowel', 'stream_asr'] as const;
const queries = Array.from({ length: 16 }, (_, bits) =>
  flags.filter((_flag, i) => (bits & (1 << i)) !== 0),
);
const queryOf = (set: readonly string[]): string => set.map((flag) => `${flag}=true`).join('&');
const nameOf = (set: readonly string[]): string => set.join('-').replaceAll('_', '-') || 'none';

function inOrder(kind: TurnKind, { events }: PlayedTurn): void {
  demand(
    follows(kind, events),
    () => `the order is ${orderOf(events)} and not ${turnGrammars[kind].words}`,
  );
}

// ---- hello and the form of the answer for every query ----

const queryCases: readonly ServerCase[] = queries.flatMap((set) => {
  const has = (flag: (typeof flags)[number]): boolean => set.includes(flag);
  const play = (stage: ServerStage) => stage.scene(queryConversation(queryOf(set)));
  const form = has('opus') ? (has('vowel') ? 'AudioChunkWithVowel' : 'AudioChunk') : 'AudioChunk';
  return [
    {
      id: `query/greets-${nameOf(set)}`,
      title: has('reconnect')
        ? `With ${set.join(', ')} the server sends nothing by itself.`
        : `With ${set.join(', ') || 'no flags'} the server sends its hello and nothing else by itself.`,
      clause: has('reconnect') ? 'FP-7.2' : 'FP-7.1',
      async play(stage) {
        const { before } = await play(stage);
        if (has('reconnect')) {
          demand(before.length === 0, () => `${orderOf(before)} came before anything was asked`);
          return;
        }
        if (before.length === 0) throw new Unsupported('the server has no hello');
        const kinds = before.map(({ type }) => type).join(' ');
        demand(
          /^HelloStart( HelloChunk)* HelloEnd$/.test(kinds),
          () => `what came first is ${orderOf(before)}`,
        );
      },
    },
    {
      id: `query/audio-${nameOf(set)}`,
      title: `With ${set.join(', ') || 'no flags'} audio comes as ${form} with ${has('opus') ? 'opus packets' : 'PCM'}.`,
      clause: 'FP-1.4',
      async play(stage) {
        const { turn } = await play(stage);
        const sentences = spokenSentences(turn);
        const others = turn.events.filter(({ type }) => /Audio.*Chunk|^AudioChunk/.test(type));
        const wrong = others.find(({ type }) => type !== form);
        demand(wrong === undefined, `audio came as ${wrong?.type} and not as ${form}`);
        if (has('opus')) decodeSentences(stage, sentences);
        else for (const sentence of sentences) demandPcm(sentence);
      },
    },
    {
      id: `query/order-${nameOf(set)}`,
      title: `With ${set.join(', ') || 'no flags'} a turn is answered in order and to its end.`,
      clause: 'FP-7.7',
      async play(stage) {
        const { turn } = await play(stage);
        const { events } = answered(turn);
        const kinds: readonly TurnKind[] = ['text', 'stream', 'submit'];
        demand(
          kinds.some((kind) => follows(kind, events)),
          () => `the order is ${orderOf(events)}`,
        );
      },
    },
  ] satisfies ServerCase[];
});

const greet = (name: string, title: string, judge: (pieces: Uint8Array[]) => void): ServerCase => ({
  id: `hello/${name}`,
  title,
  clause: 'FP-7.1',
  async play(stage) {
    const { before } = await stage.scene(queryConversation(modeQuery.stream));
    if (before.length === 0) throw new Unsupported('the server has no hello');
    judge(helloPieces(before));
  },
});

function helloPieces(events: readonly ServerEvent[]): Uint8Array[] {
  return events.flatMap((event) => (event.type === 'HelloChunk' ? [event.data] : []));
}

const helloCases: readonly ServerCase[] = [
  greet('pieces-of-2048', 'All pieces of the hello but the last have 2048 bytes.', (pieces) => {
    const odd = pieces.slice(0, -1).find(({ length }) => length !== 2048);
    demand(odd === undefined, `a piece before the last has ${odd?.length} bytes`);
  }),
  greet('last-piece', 'The last piece of the hello has 1 to 2048 bytes.', (pieces) => {
    const { length } = pieces.at(-1) ?? [];
    demand(length > 0 && length <= 2048, `the last piece has ${length} bytes`);
  }),
  greet('wav', 'The pieces of the hello are a WAV file with its header.', (pieces) => {
    const head = Buffer.concat(pieces).subarray(0, 12);
    const riff = head.toString('latin1', 0, 4) === 'RIFF' && head.toString('latin1', 8) === 'WAVE';
    demand(riff, `the hello begins with ${hexExcerpt(head)}`);
  }),
  greet(
    'format',
    'The hello is 16 kHz, mono, 16 bits: a board plays its bytes as they are.',
    (pieces) => {
      const file = Buffer.concat(pieces);
      const at = file.indexOf('fmt ');
      demand(at > 0 && file.length >= at + 24, 'the hello has no fmt chunk');
      const [channels, rate, bits] = [
        file.readUInt16LE(at + 10),
        file.readUInt32LE(at + 12),
        file.readUInt16LE(at + 22),
      ];
      demand(
        channels === 1 && rate === 16_000 && bits === 16,
        `the hello has ${channels} channels of ${bits} bits at ${rate} Hz`,
      );
    },
  ),
  {
    id: 'hello/every-time',
    title: 'Every connection without reconnect gets the same hello.',
    clause: 'FP-7.1',
    async play(stage) {
      const { before } = await stage.scene(queryConversation(modeQuery.stream));
      if (before.length === 0) throw new Unsupported('the server has no hello');
      const id = stage.newId();
      for (let time = 1; time <= 2; time++) {
        const peer = await stage.connect(modeQuery.stream, id);
        await peer.until(() => peer.count('HelloEnd') > 0, stage.limits.stepMs);
        const same = Buffer.concat(helloPieces(peer.events)).equals(
          Buffer.concat(helloPieces(before)),
        );
        demand(same, `connection ${time} of one board got ${orderOf(peer.events)}`);
        peer.drop();
      }
    },
  },
  {
    id: 'hello/not-when-it-returns',
    title: 'A board that connects again with reconnect gets no second hello.',
    clause: 'FP-7.2',
    async play(stage) {
      const id = stage.newId();
      const first = await stage.connect(modeQuery.stream, id);
      await first.until(() => first.count('HelloEnd') > 0, stage.limits.quietMs);
      const again = await stage.connect(`reconnect=true&${modeQuery.stream}`, id);
      await stage.sleep(stage.limits.quietMs);
      const hello = again.events.find(({ type }) => type.startsWith('Hello'));
      demand(hello === undefined, `${hello?.type} came on the second connection`);
    },
  },
];

// ---- spoken turns ----

const spoken = (
  mode: Mode,
  name: string,
  clause: string,
  title: string,
  judge: Judge,
  turn = 0,
): ServerCase => ({
  id: `${mode}/${name}`,
  title,
  clause,
  async play(stage) {
    const conversation = await stage.scene(spokenConversation(mode));
    await judge(answeredTurn(conversation, turn), stage);
  },
});

const only = (events: readonly ServerEvent[], type: ServerEventType): number =>
  events.filter((event) => event.type === type).length;

const bothModes: readonly ((mode: Mode) => ServerCase)[] = [
  (mode) =>
    spoken(
      mode,
      'order',
      mode === 'stream' ? 'FP-7.3' : 'FP-7.4',
      `A spoken turn is ${turnGrammars[mode].words}.`,
      (turn) => inOrder(mode, turn),
    ),
  (mode) =>
    spoken(
      mode,
      'second-turn',
      mode === 'stream' ? 'FP-7.3' : 'FP-7.4',
      'The next turn on the same connection is in order, too.',
      (turn) => inOrder(mode, turn),
      1,
    ),
  (mode) =>
    spoken(
      mode,
      'end-once',
      'FP-7.7',
      'EndResponse is sent once in a turn.',
      async ({ events }, stage) => {
        const { afterwards } = await stage.scene(spokenConversation(mode));
        const count = only(events, 'EndResponse') + only(afterwards, 'EndResponse');
        demand(count === 1, `EndResponse came ${count} times`);
      },
    ),
  (mode) =>
    spoken(
      mode,
      'nothing-after-the-end',
      'FP-7.7',
      'Nothing comes in the second after EndResponse.',
      async (_turn, stage) => {
        const { afterwards } = await stage.scene(spokenConversation(mode));
        demand(afterwards.length === 0, () => `${orderOf(afterwards)} came after EndResponse`);
      },
    ),
  (mode) =>
    spoken(
      mode,
      'recognized',
      'FP-7.3',
      'What was said is recognized: ASR carries a text.',
      ({ events }) => {
        const texts = events.flatMap((event) => (event.type === 'ASR' ? [event.text] : []));
        demand(
          texts.some((text) => text.trim() !== ''),
          `the texts of ASR are ${JSON.stringify(texts)}`,
        );
      },
    ),
  (mode) =>
    spoken(
      mode,
      'sentences-closed',
      'FP-7.10',
      'Each StartAudio has its EndAudio before the next one.',
      ({ events }) => {
        const open = sentencesOf(events).find(({ endUs }) => endUs === undefined);
        demand(open === undefined, `the sentence ${quoted(open?.text ?? '')} has no EndAudio`);
        demand(
          only(events, 'StartAudio') === only(events, 'EndAudio'),
          () => `the order is ${orderOf(events)}`,
        );
      },
    ),
  (mode) =>
    spoken(
      mode,
      'audio-in-sentences',
      'FP-7.10',
      'No audio comes outside of StartAudio and EndAudio.',
      ({ events }) => {
        const inside = sentencesOf(events).reduce((sum, { chunks }) => sum + chunks.length, 0);
        const all = events.filter(({ type }) => type.startsWith('AudioChunk')).length;
        let open = false;
        const outside = events.find(({ type }) => {
          if (type === 'StartAudio') open = true;
          if (type === 'EndAudio') open = false;
          return type.startsWith('AudioChunk') && !open;
        });
        demand(
          outside === undefined && inside === all,
          () => `audio came outside of a sentence: ${orderOf(events)}`,
        );
      },
    ),
  (mode) =>
    spoken(mode, 'sentence-text', 'FP-7.14', 'Each StartAudio carries a text.', ({ events }) => {
      const sentences = sentencesOf(events);
      if (sentences.length === 0) throw new Unsupported('the answer has no sentence');
      demand(
        sentences.every(({ text }) => text.trim() !== ''),
        'a sentence has an empty text',
      );
    }),
  (mode) =>
    spoken(mode, 'known-events', 'FP-7.13', 'Only events a board knows are sent.', ({ events }) => {
      const unknown = events.find(({ type }) => type === 'Choices' || type === 'DisplayText');
      demand(unknown === undefined, `${unknown?.type} was sent, which no board knows`);
    }),
];

const spokenCases: readonly ServerCase[] = [
  ...bothModes.flatMap((make) => [make('stream'), make('submit')]),
  spoken('stream', 'vad-once', 'FP-7.8', 'EndVad is sent once in a turn.', ({ events }) => {
    demand(only(events, 'EndVad') === 1, `EndVad came ${only(events, 'EndVad')} times`);
  }),
  spoken(
    'stream',
    'vad-once-again',
    'FP-7.8',
    'EndVad is sent once in the second turn, too.',
    ({ events }) =>
      demand(only(events, 'EndVad') === 1, `EndVad came ${only(events, 'EndVad')} times`),
    1,
  ),
  spoken(
    'stream',
    'vad-before-final-text',
    'FP-7.3',
    'The last ASR comes after EndVad and before the first sentence.',
    ({ events }) => {
      const kinds = events.map(({ type }) => type);
      const vad = kinds.indexOf('EndVad');
      const text = kinds.lastIndexOf('ASR');
      const start = kinds.indexOf('StartAudio');
      demand(
        vad >= 0 && text > vad && (start < 0 || text < start),
        () => `the order is ${orderOf(events)}`,
      );
    },
  ),
  spoken(
    'stream',
    'vad-not-early',
    'FP-7.8',
    'EndVad does not come while the first half is being said.',
    ({ events, startUs, saidUs }) => {
      const atUs = events.find(({ type }) => type === 'EndVad')?.atUs ?? saidUs;
      const half = (startUs + saidUs) / 2;
      demand(
        atUs >= half,
        () =>
          `EndVad came ${ms(atUs - startUs)} after StartChat, of ${ms(saidUs - startUs)} of speech`,
      );
    },
  ),
  spoken(
    'stream',
    'vad-in-time',
    'FP-7.8',
    'EndVad comes within 4 s after the last word.',
    ({ events, saidUs }) => {
      const atUs = events.find(({ type }) => type === 'EndVad')?.atUs ?? Number.POSITIVE_INFINITY;
      demand(
        atUs - saidUs <= 4_000_000,
        () => `EndVad came ${ms(atUs - saidUs)} after the last word`,
      );
    },
  ),
  spoken(
    'submit',
    'no-vad',
    'FP-7.8',
    'EndVad is not sent in submit mode, where older firmware cannot decode it.',
    ({ events }) => demand(only(events, 'EndVad') === 0, 'EndVad came'),
  ),
  {
    id: 'submit/waits-for-submit',
    title: 'Nothing comes before Submit.',
    clause: 'FP-7.4',
    async play(stage) {
      const peer = await stage.connect(`reconnect=true&${modeQuery.submit}`);
      stage.startChat(peer);
      await stage.upload(peer, stage.said);
      await stage.demandQuiet(peer, 'audio without Submit', 1500);
    },
  },
  {
    id: 'stream/early-text',
    title: 'In a speech of 11 s an ASR or EndVad comes before 10.24 s, when a board gives up.',
    clause: 'FP-7.9',
    async play(stage) {
      const peer = await stage.connect(`reconnect=true&${modeQuery.stream}`);
      const long = new Int16Array(11 * 16_000);
      for (let at = 0; at < long.length; at += stage.said.length) {
        long.set(stage.said.subarray(0, long.length - at), at);
      }
      const startUs = stage.clock.nowUs();
      stage.startChat(peer);
      await stage.upload(peer, long);
      const first = peer.events.find(({ type }) => type === 'ASR' || type === 'EndVad');
      demand(first !== undefined, 'neither ASR nor EndVad came in 11 s');
      demand(
        first.atUs - startUs <= 10_240_000,
        `${first.type} came ${ms(first.atUs - startUs)} after StartChat`,
      );
    },
  },
];

// ---- nothing said ----

const emptyCases: readonly ServerCase[] = [
  ...(
    [
      ['stream', 'silence', 3, 'Three seconds of silence end with EndVad EndResponse.'],
      ['submit', 'silence', 3, 'Three seconds of silence and Submit end with EndResponse.'],
      ['submit', 'nothing', 0, 'Submit without any audio ends with EndResponse.'],
      ['submit', 'short', 0.05, 'Submit after 50 ms of audio ends with EndResponse.'],
    ] as const
  ).map(
    ([mode, name, seconds, title]): ServerCase => ({
      id: `empty/${mode}-${name}`,
      title,
      clause: 'FP-7.5',
      async play(stage) {
        const turn = answered(await stage.scene(emptyTurn(mode, seconds)));
        if (turn.events.some(({ type }) => type === 'StartAudio')) {
          throw new Unsupported('the recognizer understood something in silence');
        }
        inOrder(mode === 'stream' ? 'emptyStream' : 'emptySubmit', turn);
      },
    }),
  ),
  ...(['stream', 'submit'] as const).map(
    (mode): ServerCase => ({
      id: `empty/${mode}-then-speech`,
      title: 'After a turn in which nothing was said the next one is understood.',
      clause: 'FP-7.7',
      async play(stage) {
        const peer = await stage.connect(`reconnect=true&${modeQuery[mode]}`);
        const silence = new Int16Array(2 * 16_000);
        answered(await playTurn(stage, peer, () => stage.speak(peer, mode, silence)));
        const turn = answered(await playTurn(stage, peer, () => stage.speak(peer, mode)));
        inOrder(mode, turn);
      },
    }),
  ),
];

// ---- text ----

const texts: readonly (readonly [name: string, title: string, text: string])[] = [
  ['plain', 'plain words', 'How far away is the moon?'],
  ['chinese', 'Chinese', '你好，今天天气怎么样？'],
  ['emoji', 'characters beyond the first plane', 'Hello 🌔!'],
  ['quotes', 'quotes and a backslash', 'She said "no\\yes".'],
  ['line-feed', 'a line feed', 'One.\nTwo.'],
  ['long', '600 characters', 'Is it far? '.repeat(55).slice(0, 600)],
];

const textCases: readonly ServerCase[] = [
  ...texts.map(
    ([name, title, text]): ServerCase => ({
      id: `text/echo-${name}`,
      title: `Text with ${title} comes back in ASR as it was.`,
      clause: 'FP-7.6',
      async play(stage) {
        await stage.demandText();
        const peer = await stage.connect(`reconnect=true&${modeQuery.stream}`);
        stage.say(peer, text);
        await peer.until(() => peer.count('ASR') > 0, stage.limits.stepMs);
        const asr = peer.events.find((event) => event.type === 'ASR');
        demand(asr?.type === 'ASR', 'no ASR came');
        demand(asr.text === text, `ASR carries ${quoted(asr.text)}`);
      },
    }),
  ),
  ...(['stream', 'submit'] as const).map(
    (mode): ServerCase => ({
      id: `text/order-${mode}`,
      title: `Text in ${mode} mode is answered by ${turnGrammars.text.words}.`,
      clause: 'FP-7.6',
      async play(stage) {
        await stage.demandText();
        const { turn } = await stage.scene(queryConversation(modeQuery[mode]));
        inOrder('text', answered(turn));
      },
    }),
  ),
  {
    id: 'text/within-an-utterance',
    title:
      'Text after StartChat in stream mode is answered to its end, with at most one EndVad before.',
    clause: 'FP-7.6',
    async play(stage) {
      await stage.demandText();
      const peer = await stage.connect(`reconnect=true&${modeQuery.stream}`);
      const turn = await playTurn(stage, peer, () => {
        stage.startChat(peer);
        stage.say(peer);
        return peer.until(() => peer.count('EndResponse') > 0, stage.limits.answerMs);
      });
      const { events } = answered(turn);
      const kinds: readonly TurnKind[] = ['stream', 'text', 'emptyStream'];
      demand(
        kinds.some((kind) => follows(kind, events)),
        () => `the order is ${orderOf(events)}`,
      );
    },
  },
  {
    id: 'text/two-in-a-row',
    title: 'Two Texts at once are answered one after the other.',
    clause: 'FP-7.6',
    async play(stage) {
      await stage.demandText();
      const peer = await stage.connect(`reconnect=true&${modeQuery.stream}`);
      stage.say(peer);
      stage.say(peer);
      const both = await peer.until(
        () => peer.count('EndResponse') >= 2,
        2 * stage.limits.answerMs,
      );
      demand(both, () => `what came: ${orderOf(peer.events)}`);
      const end = peer.events.findIndex(({ type }) => type === 'EndResponse') + 1;
      for (const events of [peer.events.slice(0, end), peer.events.slice(end)]) {
        demand(follows('text', events), () => `an answer is ${orderOf(events)}`);
      }
    },
  },
];

// ---- encoding ----

const writtenEvents: readonly (readonly [ServerEventType, string])[] = [
  ['HelloStart', 'FP-2.2'],
  ['HelloChunk', 'FP-2.3'],
  ['HelloEnd', 'FP-2.2'],
  ['ASR', 'FP-2.4'],
  ['StartAudio', 'FP-2.4'],
  ['AudioChunk', 'FP-2.3'],
  ['AudioChunkWithVowel', 'FP-2.3'],
  ['EndAudio', 'FP-2.2'],
  ['EndResponse', 'FP-2.2'],
  ['EndVad', 'FP-2.2'],
];

/** Connections on which everything has been said that a server says to boards. */
async function talkativePeers(stage: ServerStage): Promise<WirePeer[]> {
  const raw = await stage.scene(queryConversation(''));
  const stream = await stage.scene(spokenConversation('stream'));
  const submit = await stage.scene(spokenConversation('submit'));
  return [raw.peer, stream.peer, submit.peer];
}

const overall = (
  name: string,
  clause: string,
  title: string,
  judge: (peer: WirePeer) => void,
): ServerCase => ({
  id: `encoding/${name}`,
  title,
  clause,
  async play(stage) {
    const peers = await talkativePeers(stage);
    demand(
      peers.some(({ arrivals }) =>
        arrivals.some(({ kind }) => kind === 'binary' || kind === 'text'),
      ),
      'the server sent no message at all',
    );
    peers.forEach(judge);
  },
});

const encodingCases: readonly ServerCase[] = [
  ...writtenEvents.map(
    ([type, clause]): ServerCase => ({
      id: `encoding/${type.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase()}`,
      title: `${type} is written in its canonical form.`,
      clause,
      async play(stage) {
        const arrivals = (await talkativePeers(stage)).flatMap((peer) => peer.arrivals);
        const written = arrivals.flatMap((arrival) =>
          arrival.kind === 'binary' && arrival.event?.type === type ? [arrival] : [],
        );
        if (written.length === 0) {
          const message = `${type} was never sent`;
          if (type.startsWith('Hello') || type.includes('Audio')) throw new Unsupported(message);
          throw new Nonconformity(message);
        }
        for (const { bytes, event } of written) {
          const canonical = Buffer.from(encodeServerEvent(event!));
          demand(
            canonical.equals(bytes),
            () => `${type} was written as ${hexExcerpt(bytes)} and not as ${hexExcerpt(canonical)}`,
          );
        }
      },
    }),
  ),
  overall('binary-only', 'FP-1.8', 'The server sends no text messages.', ({ arrivals }) => {
    const text = arrivals.find(({ kind }) => kind === 'text');
    demand(
      text?.kind !== 'text',
      () => `the server sent the text ${quoted(text?.kind === 'text' ? text.text : '')}`,
    );
  }),
  overall('understood', 'FP-2.1', 'Every binary message is an event.', ({ arrivals }) => {
    const strange = arrivals.find(
      (arrival) => arrival.kind === 'binary' && arrival.event === undefined,
    );
    demand(
      strange?.kind !== 'binary',
      () => `a message is no event: ${strange?.kind === 'binary' ? hexExcerpt(strange.bytes) : ''}`,
    );
  }),
  overall('unmasked', 'FP-1.13', 'Frames from the server are not masked.', ({ frames }) =>
    demand(
      frames.every(({ masked }) => !masked),
      'a frame is masked',
    ),
  ),
  overall(
    'reserved-bits',
    'FP-1.7',
    'No frame has a reserved bit: nothing is compressed.',
    ({ frames }) =>
      demand(
        frames.every(({ reserved }) => reserved === 0),
        'a frame has a reserved bit',
      ),
  ),
  overall(
    'shortest-length',
    'FP-1.13',
    'Lengths of frames are written in their shortest form.',
    ({ frames }) =>
      demand(
        frames.every(({ shortestLength }) => shortestLength),
        'a length has more bytes than it needs',
      ),
  ),
  overall('no-close', 'FP-8.4', 'The server does not close a connection by itself.', (peer) => {
    const close = peer.arrivals.find(({ kind }) => kind === 'close');
    demand(close === undefined, 'the server sent Close');
  }),
];

function ms(us: number): string {
  return `${Math.round(us / 1000)} ms`;
}

export const serverTurnCases: readonly ServerCase[] = [
  ...helloCases,
  ...queryCases,
  ...spokenCases,
  ...emptyCases,
  ...textCases,
  ...encodingCases,
];
