/** Commands and audio at odd times and in odd forms: FP-1.13, FP-4, FP-5.10, FP-7.11, FP-7.12. */

import { opcodes } from '../network/web-socket-frame.ts';
import { type ConformanceCase, demand } from './conformance-case.ts';
import { answered, playTurn } from './server-scenes.ts';
import { endOf, type Mode, modeQuery, type ServerStage } from './server-stage.ts';
import { follows, orderOf, type TurnKind } from './turn-grammar.ts';
import type { WirePeer } from './wire-peer.ts';

type ServerCase = ConformanceCase<ServerStage>;

/** A connection that gets nothing by itself. */
const quietly = (mode: Mode): string => `reconnect=true&${modeQuery[mode]}`;

// ---- text that is no command ----

const malformed: readonly (readonly [name: string, text: string])[] = [
  ['empty', ''],
  ['blank', '   '],
  ['words', 'hello'],
  ['open-brace', '{'],
  ['empty-object', '{}'],
  ['empty-array', '[]'],
  ['null', 'null'],
  ['number', '17'],
  ['bare-name', '"StartChat"'],
  ['lower-case-name', '{"event":"startchat"}'],
  ['upper-case-name', '{"event":"STARTCHAT"}'],
  ['name-with-space', '{"event":"StartChat "}'],
  ['unknown-name', '{"event":"Ping"}'],
  ['server-event', '{"event":"EndVad"}'],
  ['null-name', '{"event":null}'],
  ['number-name', '{"event":1}'],
  ['object-name', '{"event":{"StartChat":{}}}'],
  ['empty-name', '{"event":""}'],
  ['capital-key', '{"Event":"StartChat"}'],
  ['other-key', '{"type":"StartChat"}'],
  ['cut', '{"event":"StartCha'],
  ['no-closing-brace', '{"event":"StartChat"'],
  ['comma-behind', '{"event":"StartChat",}'],
  ['text-behind', '{"event":"StartChat"} x'],
  ['two-objects', '{"event":"StartChat"}{"event":"StartChat"}'],
  ['single-quotes', "{'event':'StartChat'}"],
  ['byte-order-mark', '\ufeff{"event":"StartChat"}'],
  ['text-without-input', '{"event":"Text"}'],
  ['text-with-number', '{"event":"Text","input":1}'],
  ['text-with-null', '{"event":"Text","input":null}'],
  ['text-with-array', '{"event":"Text","input":["a"]}'],
  ['select-without-index', '{"event":"Select"}'],
  ['select-with-text', '{"event":"Select","index":"0"}'],
  ['select-negative', '{"event":"Select","index":-1}'],
  ['select-fraction', '{"event":"Select","index":1.5}'],
  ['zero-characters', '\0\0\0'],
  ['xml', '<event>StartChat</event>'],
  ['deep', `${'['.repeat(500)}${']'.repeat(500)}`],
  ['long', `{"event":"${'x'.repeat(100_000)}"}`],
];

const tolerated: readonly (readonly [name: string, title: string, text: string])[] = [
  ['spaces', 'spaces between its parts', '{ "event" : "Text" , "input" : "Hello" }'],
  ['order', 'its fields in another order', '{"input":"Hello","event":"Text"}'],
  ['extra-field', 'a field more', '{"event":"Text","input":"Hello","volume":11}'],
  ['extra-object', 'an object more', '{"event":"Text","input":"Hello","x":{"event":"Submit"}}'],
  ['escapes', 'escapes in its name', '{"event":"\\u0054ext","input":"\\u0048ello"}'],
  ['line-feeds', 'line feeds around it', '\n{"event":"Text","input":"Hello"}\n'],
];

const malformedCases: readonly ServerCase[] = [
  ...malformed.map(
    ([name, text]): ServerCase => ({
      id: `malformed/${name}`,
      title: `The text ${text.length > 50 ? `of ${text.length} characters` : JSON.stringify(text)} is skipped and the connection lives on.`,
      clause: 'FP-4.3',
      async play(stage) {
        const peer = await stage.connect(quietly('stream'));
        peer.text(text);
        await stage.demandQuiet(peer, 'a text that is no command');
        await stage.demandAlive(peer);
      },
    }),
  ),
  {
    id: 'malformed/all-at-once',
    title: 'After all of them on one connection a turn is still answered.',
    clause: 'FP-4.3',
    async play(stage) {
      const peer = await stage.connect(quietly('stream'));
      for (const [, text] of malformed) peer.text(text);
      answered(await playTurn(stage, peer, () => stage.ask(peer)));
    },
  },
  ...tolerated.map(
    ([name, title, text]): ServerCase => ({
      id: `tolerated/${name}`,
      title: `A command with ${title} is understood.`,
      clause: 'FP-4.3',
      async play(stage) {
        await stage.demandText();
        const peer = await stage.connect(quietly('stream'));
        peer.text(text);
        await peer.until(() => peer.count('ASR') > 0, stage.limits.stepMs);
        const asr = peer.events.find((event) => event.type === 'ASR');
        demand(asr?.type === 'ASR' && asr.text === 'Hello', 'no ASR with "Hello" came');
      },
    }),
  ),
];

// ---- commands at odd times ----

const commands = {
  StartChat: '{"event":"StartChat"}',
  Submit: '{"event":"Submit"}',
  Select: '{"event":"Select","index":0}',
  StartRecord: '{"event":"StartRecord"}',
} as const;
type CommandName = keyof typeof commands;

/** What may come for a command outside of an utterance. */
const idleAnswers: Readonly<Record<CommandName, RegExp>> = {
  StartChat: /^$/,
  Submit: /^(EndResponse)?$/,
  Select: /^(EndResponse)?$/,
  StartRecord: /^$/,
};

const oddCases: readonly ServerCase[] = (['stream', 'submit'] as const).flatMap((mode) =>
  (Object.keys(commands) as CommandName[]).flatMap((name): ServerCase[] => [
    {
      id: `odd/${mode}-idle-${name.toLowerCase()}`,
      title:
        name === 'StartChat' || name === 'StartRecord'
          ? `${name} outside of an utterance is answered by nothing in ${mode} mode, and a turn can follow.`
          : `${name} outside of an utterance is answered by EndResponse or nothing in ${mode} mode, and a turn can follow.`,
      clause: 'FP-7.11',
      async play(stage) {
        const peer = await stage.connect(quietly(mode));
        peer.text(commands[name]);
        await stage.sleep(stage.limits.quietMs);
        const came = peer.events.map(({ type }) => type).join(' ');
        demand(idleAnswers[name].test(came), `${name} was answered by ${came}`);
        await stage.demandAlive(peer, mode);
      },
    },
    {
      id: `odd/${mode}-listening-${name.toLowerCase()}`,
      title: `${name} in mid utterance leaves the connection alive in ${mode} mode.`,
      clause: 'FP-7.11',
      async play(stage) {
        const peer = await stage.connect(quietly(mode));
        stage.startChat(peer);
        await stage.upload(peer, stage.said.subarray(0, 16_384));
        peer.text(commands[name]);
        await stage.sleep(stage.limits.quietMs);
        await stage.demandAlive(peer, mode);
      },
    },
    {
      id: `odd/${mode}-answering-${name.toLowerCase()}`,
      title: `${name} during an answer does not break it in ${mode} mode.`,
      clause: 'FP-7.11',
      async play(stage) {
        const peer = await stage.connect(quietly(mode));
        const turn = await playTurn(stage, peer, async () => {
          const over = stage.ask(peer, mode);
          await peer.until(() => peer.count('StartAudio') > 0, stage.limits.answerMs);
          peer.text(commands[name]);
          return over;
        });
        // The command may wait for the end of the answer, and is then one outside of an utterance.
        const all = answered(turn).events;
        const end = all.findIndex(({ type }) => type === 'EndResponse') + 1;
        const events = all.slice(0, end);
        const rest = all
          .slice(end)
          .map(({ type }) => type)
          .join(' ');
        demand(idleAnswers[name].test(rest), () => `after the answer came ${rest}`);
        const kinds: readonly TurnKind[] = ['text', 'stream', 'submit'];
        demand(
          kinds.some((kind) => follows(kind, events)),
          () => `the answer is ${orderOf(events)}`,
        );
      },
    },
  ]),
);

const restartCases: readonly ServerCase[] = [
  {
    id: 'odd/stream-starts-over',
    title: 'A second StartChat begins a new utterance, which is answered once.',
    clause: 'FP-7.11',
    async play(stage) {
      const peer = await stage.connect(quietly('stream'));
      const turn = await playTurn(stage, peer, async () => {
        stage.startChat(peer);
        await stage.upload(peer, stage.said.subarray(0, 16_384));
        return stage.speak(peer, 'stream');
      });
      demand(peer.count('EndResponse') === 1, () => `what came: ${orderOf(answered(turn).events)}`);
    },
  },
  {
    id: 'odd/stream-submit-ends-the-utterance',
    title:
      'Submit in mid utterance of stream mode is answered to its end, and the next turn works.',
    clause: 'FP-7.7',
    async play(stage) {
      const peer = await stage.connect(quietly('stream'));
      stage.startChat(peer);
      await stage.upload(peer, stage.said.subarray(0, 16_384));
      stage.submit(peer);
      const ended = await peer.until(() => peer.count('EndResponse') > 0, stage.limits.answerMs);
      demand(ended, 'no EndResponse came after Submit');
      await stage.demandAlive(peer);
    },
  },
];

// ---- audio at odd times and in odd sizes ----

const staleSizes = [
  0, 1, 2, 3, 320, 511, 512, 513, 1024, 4097, 16_383, 16_384, 16_385, 65_535, 65_536, 100_000,
  1_048_576,
];

/** Frames in which an utterance is sent. */
const sliceBytes = [160, 320, 1000, 1001, 1024, 8192, 16_384, 20_001, 32_768, 65_536];

const binaryCases: readonly ServerCase[] = [
  ...staleSizes.map(
    (bytes): ServerCase => ({
      id: `audio-frames/idle-${bytes}`,
      title: `A binary message of ${bytes} bytes outside of an utterance is not answered, and a turn can follow.`,
      clause: bytes === 1_048_576 ? 'FP-1.15' : 'FP-7.12',
      async play(stage) {
        const peer = await stage.connect(quietly('stream'));
        peer.binary(new Uint8Array(bytes).fill(0x11));
        await stage.demandQuiet(peer, 'audio outside of an utterance');
        await stage.demandAlive(peer);
      },
    }),
  ),
  ...sliceBytes.map(
    (bytes): ServerCase => ({
      id: `audio-frames/spoken-${bytes}`,
      title: `An utterance in messages of ${bytes} bytes is understood.`,
      clause: 'FP-5.10',
      async play(stage) {
        const peer = await stage.connect(quietly('stream'));
        const turn = answered(
          await playTurn(stage, peer, () => stage.speak(peer, 'stream', stage.said, bytes)),
        );
        demand(follows('stream', turn.events), () => `the order is ${orderOf(turn.events)}`);
      },
    }),
  ),
  ...([1, 3, 513] as const).map(
    (bytes): ServerCase => ({
      id: `audio-frames/odd-within-${bytes}`,
      title: `A message of ${bytes} bytes in mid utterance does not shift what follows it.`,
      clause: 'FP-5.10',
      async play(stage) {
        const peer = await stage.connect(quietly('stream'));
        const turn = await playTurn(stage, peer, async () => {
          stage.startChat(peer);
          await stage.upload(peer, stage.said.subarray(0, 8192));
          peer.binary(new Uint8Array(bytes));
          await stage.upload(peer, stage.said.subarray(8192));
          return stage.finishSpeaking(peer, 'stream');
        });
        demand(
          follows('stream', answered(turn).events),
          () => `the order is ${orderOf(turn.events)}`,
        );
      },
    }),
  ),
  {
    id: 'audio-frames/empty-within',
    title: 'Empty messages in mid utterance are no end of it.',
    clause: 'FP-5.10',
    async play(stage) {
      const peer = await stage.connect(quietly('stream'));
      stage.startChat(peer);
      await stage.upload(peer, stage.said.subarray(0, 8192));
      for (let i = 0; i < 10; i++) peer.binary(new Uint8Array(0));
      await stage.sleep(stage.limits.quietMs);
      demand(peer.count('EndVad') === 0, 'EndVad came for empty messages');
      await stage.upload(peer, stage.said.subarray(8192));
      demand(await stage.finishSpeaking(peer, 'stream'), 'no EndResponse came');
    },
  },
  ...(['stream', 'submit'] as const).flatMap((mode): ServerCase[] => [
    {
      id: `audio-frames/stale-before-${mode}`,
      title: `Speech before StartChat is no part of the utterance in ${mode} mode.`,
      clause: 'FP-7.12',
      async play(stage) {
        const peer = await stage.connect(quietly(mode));
        await stage.upload(peer, stage.said);
        const silence = new Int16Array(2 * 16_000);
        const turn = answered(await playTurn(stage, peer, () => stage.speak(peer, mode, silence)));
        demand(
          !turn.events.some(({ type }) => type === 'ASR'),
          () => `silence after stale speech was understood: ${orderOf(turn.events)}`,
        );
      },
    },
  ]),
  {
    id: 'audio-frames/late-after-vad',
    title: 'Audio that comes after EndVad changes nothing in the answer.',
    clause: 'FP-7.12',
    async play(stage) {
      const peer = await stage.connect(quietly('stream'));
      const turn = await playTurn(stage, peer, async () => {
        const over = stage.speak(peer, 'stream');
        await peer.until(() => peer.count('EndVad') > 0, stage.limits.answerMs);
        for (let i = 0; i < 4; i++) peer.binary(new Uint8Array(16_384), 'audio, late');
        return over;
      });
      demand(
        follows('stream', answered(turn).events),
        () => `the order is ${orderOf(turn.events)}`,
      );
    },
  },
  {
    id: 'audio-frames/late-after-end',
    title: 'Audio that comes after EndResponse is not answered, and the next turn is in order.',
    clause: 'FP-7.12',
    async play(stage) {
      const peer = await stage.connect(quietly('stream'));
      demand(await stage.speak(peer, 'stream'), 'no EndResponse came');
      for (let i = 0; i < 4; i++) peer.binary(new Uint8Array(16_384), 'audio, late');
      await stage.demandQuiet(peer, 'late audio');
      const turn = answered(await playTurn(stage, peer, () => stage.speak(peer, 'stream')));
      demand(follows('stream', turn.events), () => `the order is ${orderOf(turn.events)}`);
    },
  },
];

// ---- framing ----

const text = (command: string): Buffer => Buffer.from(command);

/** Breaks of the framing after which the server must let go of the connection. */
const broken: readonly (readonly [name: string, title: string, send: (peer: WirePeer) => void])[] =
  [
    [
      'unmasked',
      'a frame without a mask',
      (peer) =>
        peer.frame(
          { opcode: opcodes.text, payload: text(commands.StartChat) },
          'a text without a mask',
          false,
        ),
    ],
    [
      'reserved-bit',
      'a reserved bit',
      (peer) =>
        peer.frame(
          { opcode: opcodes.binary, reserved: 4, payload: text('x') },
          'a frame with RSV1',
        ),
    ],
    [
      'reserved-opcode',
      'an opcode that does not exist',
      (peer) => peer.frame({ opcode: 0x3, payload: text('x') }, 'a frame with opcode 3'),
    ],
    [
      'reserved-control-opcode',
      'a control opcode that does not exist',
      (peer) => peer.frame({ opcode: 0xb, payload: text('x') }, 'a frame with opcode 11'),
    ],
    [
      'fragmented-ping',
      'a ping in fragments',
      (peer) =>
        peer.frame({ opcode: opcodes.ping, final: false, payload: text('x') }, 'half a ping'),
    ],
    [
      'long-ping',
      'a ping of 126 bytes',
      (peer) =>
        peer.frame({ opcode: opcodes.ping, payload: new Uint8Array(126) }, 'a ping of 126 bytes'),
    ],
    [
      'stray-continuation',
      'a continuation of nothing',
      (peer) => peer.frame({ opcode: opcodes.continuation, payload: text('x') }, 'a continuation'),
    ],
  ];

const framingCases: readonly ServerCase[] = [
  ...broken.map(
    ([name, title, send]): ServerCase => ({
      id: `framing/${name}`,
      title: `A client that sends ${title} is disconnected; another one is not.`,
      clause: 'FP-1.13',
      async play(stage) {
        const good = await stage.connect(quietly('stream'));
        const bad = await stage.connect(quietly('stream'));
        send(bad);
        const gone = (): boolean => bad.arrivals.some(({ kind }) => kind === 'close') || !bad.open;
        await bad.until(gone, stage.limits.stepMs);
        demand(gone(), 'the connection stayed open');
        await stage.demandAlive(good);
      },
    }),
  ),
  {
    id: 'framing/command-in-fragments',
    title: 'A command in three fragments is understood.',
    clause: 'FP-1.13',
    async play(stage) {
      await stage.demandText();
      const peer = await stage.connect(quietly('stream'));
      sendInFragments(peer, opcodes.text, text('{"event":"Text","input":"Hello"}'), 3);
      const heard = await peer.until(() => peer.count('ASR') > 0, stage.limits.stepMs);
      demand(heard, 'no ASR came');
    },
  },
  {
    id: 'framing/ping-between-fragments',
    title: 'A ping between two fragments of a command is answered, and the command is understood.',
    clause: 'FP-1.13',
    async play(stage) {
      await stage.demandText();
      const peer = await stage.connect(quietly('stream'));
      const whole = text('{"event":"Text","input":"Hello"}');
      peer.frame(
        { opcode: opcodes.text, final: false, payload: whole.subarray(0, 9) },
        'half a text',
      );
      await demandPong(stage, peer, 'between');
      peer.frame({ opcode: opcodes.continuation, payload: whole.subarray(9) }, 'the other half');
      const heard = await peer.until(() => peer.count('ASR') > 0, stage.limits.stepMs);
      demand(heard, 'no ASR came');
    },
  },
  {
    id: 'framing/audio-in-fragments',
    title: 'Audio in fragments is taken as whole messages.',
    clause: 'FP-1.13',
    async play(stage) {
      const peer = await stage.connect(quietly('submit'));
      const turn = await playTurn(stage, peer, async () => {
        stage.startChat(peer);
        const bytes = Buffer.from(stage.said.slice().buffer);
        for (let at = 0; at < bytes.length; at += 16_384) {
          sendInFragments(peer, opcodes.binary, bytes.subarray(at, at + 16_384), 5);
        }
        return stage.finishSpeaking(peer, 'submit');
      });
      demand(
        follows('submit', answered(turn).events),
        () => `the order is ${orderOf(turn.events)}`,
      );
    },
  },
  {
    id: 'framing/invalid-utf-8',
    title: 'A text message that is not UTF-8 is skipped or ends its connection, and no other one.',
    clause: 'FP-1.13',
    async play(stage) {
      const good = await stage.connect(quietly('stream'));
      const bad = await stage.connect(quietly('stream'));
      bad.frame({ opcode: opcodes.text, payload: Uint8Array.of(0xff, 0xfe) }, 'a text of ff fe');
      await stage.demandQuietEvents(bad, 'a text that is not UTF-8');
      await stage.demandAlive(good);
    },
  },
  ...(['', 'x', 'y'.repeat(125)] as const).map(
    (payload): ServerCase => ({
      id: `framing/ping-of-${payload.length}`,
      title: `A ping with ${payload.length} bytes is answered by a pong with the same.`,
      clause: 'FP-1.13',
      async play(stage) {
        await demandPong(stage, await stage.connect(quietly('stream')), payload);
      },
    }),
  ),
  {
    id: 'framing/ping-while-answering',
    title: 'A ping during an answer is answered.',
    clause: 'FP-1.13',
    async play(stage) {
      const peer = await stage.connect(quietly('stream'));
      const over = stage.ask(peer);
      await peer.until(() => peer.count('StartAudio') > 0, stage.limits.answerMs);
      await demandPong(stage, peer, 'still there?');
      demand(await over, 'no EndResponse came');
    },
  },
  {
    id: 'framing/ping-while-listening',
    title: 'A ping in mid utterance is answered and disturbs nothing.',
    clause: 'FP-1.13',
    async play(stage) {
      const peer = await stage.connect(quietly('stream'));
      stage.startChat(peer);
      await stage.upload(peer, stage.said.subarray(0, 8192));
      await demandPong(stage, peer, 'still there?');
      await stage.upload(peer, stage.said.subarray(8192));
      demand(await stage.finishSpeaking(peer, 'stream'), 'no EndResponse came');
    },
  },
  {
    id: 'framing/unasked-pong',
    title: 'A pong nobody asked for is ignored.',
    clause: 'FP-1.13',
    async play(stage) {
      const peer = await stage.connect(quietly('stream'));
      peer.frame({ opcode: opcodes.pong, payload: text('unasked') }, 'pong "unasked"');
      await stage.demandQuiet(peer, 'a pong');
      await stage.demandAlive(peer);
    },
  },
  ...([1000, 1001, undefined] as const).map(
    (code): ServerCase => ({
      id: `framing/close-${code ?? 'without-code'}`,
      title: `Close ${code ?? 'without a code'} is answered by Close or the end of the stream.`,
      clause: 'FP-1.13',
      async play(stage) {
        const peer = await stage.connect(quietly('stream'));
        if (code !== undefined) peer.close(code);
        else
          peer.frame({ opcode: opcodes.close, payload: new Uint8Array(0) }, 'Close without a code');
        const answer = (): boolean =>
          !peer.open || peer.arrivals.some(({ kind }) => kind === 'close');
        await peer.until(answer, stage.limits.stepMs);
        demand(answer(), `the connection is open: ${endOf(peer)}`);
      },
    }),
  ),
];

function sendInFragments(peer: WirePeer, opcode: number, payload: Buffer, count: number): void {
  const size = Math.ceil(payload.length / count);
  for (let at = 0; at < payload.length; at += size) {
    const first = at === 0;
    peer.frame(
      {
        opcode: first ? opcode : opcodes.continuation,
        final: at + size >= payload.length,
        payload: payload.subarray(at, at + size),
      },
      `fragment of ${Math.min(size, payload.length - at)} bytes`,
    );
  }
}

async function demandPong(stage: ServerStage, peer: WirePeer, payload: string): Promise<void> {
  peer.ping(payload);
  const answered = (): boolean =>
    peer.arrivals.some(
      ({ kind, ...rest }) =>
        kind === 'pong' && 'bytes' in rest && rest.bytes.toString() === payload,
    );
  await peer.until(answered, stage.limits.stepMs);
  demand(answered(), `no pong with the payload came within ${stage.limits.stepMs / 1000} s`);
}

export const serverCommandCases: readonly ServerCase[] = [
  ...malformedCases,
  ...oddCases,
  ...restartCases,
  ...binaryCases,
  ...framingCases,
];
