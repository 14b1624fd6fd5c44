/** Several connections, lost ones, slow ones and silent ones; recordings and plain HTTP: FP-1.12, FP-8. */
import {
  type ConformanceCase,
  demand,
  Nonconformity,
  Skipped,
  Unsupported,
} from './conformance-case.ts';
import { headerOf } from './http-message.ts';
import { answered, playTurn } from './server-scenes.ts';
import { type Mode, modeQuery, type Response, type ServerStage } from './server-stage.ts';
import { follows, orderOf } from './turn-grammar.ts';
import { hexExcerpt, type WirePeer } from './wire-peer.ts';

type ServerCase = ConformanceCase<ServerStage>;

const again = (mode: Mode): string => `reconnect=true&${modeQuery[mode]}`;

/** Begins a turn and waits until its first sentence has begun. `over`: whether it came to its end. */
async function interruptible(
  stage: ServerStage,
  peer: WirePeer,
): Promise<{ readonly over: Promise<boolean> }> {
  const over = stage.ask(peer);
  // The case may end before the answer does.
  over.catch(() => {});
  const started = await peer.until(
    () => peer.count('StartAudio') > 0 || peer.count('EndResponse') > 0,
    stage.limits.answerMs,
  );
  if (!started) throw new Nonconformity('the question was not answered');
  return { over };
}

const newestCases: readonly ServerCase[] = [
  {
    id: 'connections/old-gets-the-end',
    title: 'An idle connection gets EndResponse when its board connects again.',
    clause: 'FP-8.1',
    async play(stage) {
      const id = stage.newId();
      const old = await stage.connect(again('stream'), id);
      await stage.sleep(stage.limits.quietMs);
      await stage.connect(again('stream'), id);
      await old.until(() => old.count('EndResponse') > 0, stage.limits.stepMs);
      demand(old.count('EndResponse') === 1, `the old connection got ${orderOf(old.events)}`);
    },
  },
  {
    id: 'connections/old-stays-open',
    title: 'The old connection is left for the board to close.',
    clause: 'FP-8.1',
    async play(stage) {
      const id = stage.newId();
      const old = await stage.connect(again('stream'), id);
      await stage.connect(again('stream'), id);
      await old.until(() => !old.open, 1000);
      demand(old.open, 'the server closed the old connection');
    },
  },
  {
    id: 'connections/newest-is-served',
    title: 'The newest connection is served while the old one is open.',
    clause: 'FP-8.1',
    async play(stage) {
      const id = stage.newId();
      await stage.connect(again('stream'), id);
      await stage.demandAlive(await stage.connect(again('stream'), id));
    },
  },
  {
    id: 'connections/old-is-not-served',
    title: 'What is asked on the old connection is not answered with audio.',
    clause: 'FP-8.1',
    async play(stage) {
      const id = stage.newId();
      const old = await stage.connect(again('stream'), id);
      await stage.connect(again('stream'), id);
      await old.until(() => old.count('EndResponse') > 0, stage.limits.stepMs);
      stage.say(old);
      await stage.sleep(1000);
      demand(old.count('StartAudio') === 0, `the old connection got ${orderOf(old.events)}`);
    },
  },
  {
    id: 'connections/newest-of-five',
    title: 'Of five connections of one board the newest is served.',
    clause: 'FP-8.1',
    async play(stage) {
      const id = stage.newId();
      for (let i = 0; i < 4; i++) await stage.connect(again('stream'), id);
      const newest = await stage.connect(again('stream'), id);
      answered(await playTurn(stage, newest, () => stage.ask(newest)));
    },
  },
  {
    id: 'connections/end-of-the-old-changes-nothing',
    title: 'The end of the old connection does not disturb an answer on the new one.',
    clause: 'FP-8.2',
    async play(stage) {
      const id = stage.newId();
      const old = await stage.connect(again('stream'), id);
      const newest = await stage.connect(again('stream'), id);
      const { over } = await interruptible(stage, newest);
      old.drop();
      demand(await over, 'no EndResponse came on the new connection');
    },
  },
  {
    id: 'connections/two-boards',
    title: 'Two boards are answered at the same time.',
    clause: 'FP-8.6',
    async play(stage) {
      const peers = [await stage.connect(again('stream')), await stage.connect(again('stream'))];
      const over = await Promise.all(peers.map((peer) => stage.ask(peer)));
      demand(over.every(Boolean), 'one of them got no EndResponse');
    },
  },
  {
    id: 'connections/boards-do-not-hear-each-other',
    title: 'A board gets nothing of what another one is answered.',
    clause: 'FP-8.6',
    async play(stage) {
      const other = await stage.connect(again('stream'));
      const asking = await stage.connect(again('stream'));
      demand(await stage.ask(asking), 'no EndResponse came');
      demand(other.events.length === 0, () => `the other board got ${orderOf(other.events)}`);
    },
  },
  {
    id: 'connections/both-paths-are-one-board',
    title: 'A connection at /v2/stable_ws/ replaces one of the same id at /ws/.',
    clause: 'FP-1.3',
    async play(stage) {
      const id = stage.newId();
      const old = await stage.connect(again('stream'), id);
      await stage.connectTo(stage.beside(`/v2/stable_ws/${id}?${again('stream')}`));
      await old.until(() => old.count('EndResponse') > 0, stage.limits.stepMs);
      demand(old.count('EndResponse') === 1, `the old connection got ${orderOf(old.events)}`);
    },
  },
  {
    id: 'connections/stable-path-records-not',
    title: 'At /v2/stable_ws/ the flag record has no effect.',
    clause: 'FP-1.3',
    async play(stage) {
      const target = stage.beside(`/v2/stable_ws/${stage.newId()}?record=true&opus=true`);
      await stage.demandAlive(await stage.connectTo(target));
    },
  },
];

const interruptCases: readonly ServerCase[] = [
  {
    id: 'interrupt/answer-stops',
    title: 'A board that connects again in mid answer gets no more audio on the old connection.',
    clause: 'FP-8.1',
    async play(stage) {
      const id = stage.newId();
      const old = await stage.connect(again('stream'), id);
      await interruptible(stage, old);
      await stage.connect(again('stream'), id);
      const ended = await old.until(() => old.count('EndResponse') > 0, stage.limits.stepMs);
      demand(ended, 'the old connection got no EndResponse');
      const at = old.events.findIndex(({ type }) => type === 'EndResponse');
      await stage.sleep(1000);
      const rest = old.events.slice(at + 1);
      demand(rest.length === 0, () => `${orderOf(rest)} came after its EndResponse`);
    },
  },
  {
    id: 'interrupt/new-utterance',
    title: 'A board that interrupts an answer by connecting again is understood.',
    clause: 'FP-8.1',
    async play(stage) {
      const id = stage.newId();
      await interruptible(stage, await stage.connect(again('stream'), id));
      const peer = await stage.connect(again('stream'), id);
      const turn = answered(await playTurn(stage, peer, () => stage.speak(peer, 'stream')));
      demand(follows('stream', turn.events), () => `the order is ${orderOf(turn.events)}`);
    },
  },
  {
    id: 'interrupt/no-ghosts',
    title: 'Nothing of the interrupted answer comes on the new connection.',
    clause: 'FP-8.1',
    async play(stage) {
      const id = stage.newId();
      await interruptible(stage, await stage.connect(again('stream'), id));
      const peer = await stage.connect(again('stream'), id);
      await stage.demandQuiet(peer, 'a connection that asked for nothing', 1500);
    },
  },
  {
    id: 'interrupt/hello-after-it',
    title: 'A board that restarts in mid answer is greeted and served like any other.',
    clause: 'FP-8.3',
    async play(stage) {
      const id = stage.newId();
      await interruptible(stage, await stage.connect(again('stream'), id));
      const peer = await stage.connect(modeQuery.stream, id);
      answered(await playTurn(stage, peer, () => stage.ask(peer)));
    },
  },
  {
    id: 'interrupt/while-listening',
    title: 'A board that connects again in mid utterance begins with a clean one.',
    clause: 'FP-8.1',
    async play(stage) {
      const id = stage.newId();
      const old = await stage.connect(again('stream'), id);
      stage.startChat(old);
      await stage.upload(old, stage.said.subarray(0, 16_384));
      const peer = await stage.connect(again('stream'), id);
      await stage.demandQuiet(peer, 'a connection that asked for nothing', 1500);
      await stage.demandAlive(peer);
    },
  },
];

/** A connection that breaks, and when. */
const losses: readonly (readonly [
  name: string,
  title: string,
  play: (stage: ServerStage, peer: WirePeer) => Promise<void>,
])[] = [
  ['idle', 'while nothing is said', async () => {}],
  ['after-start-chat', 'right after StartChat', async (stage, peer) => stage.startChat(peer)],
  [
    'in-an-utterance',
    'in mid utterance',
    async (stage, peer) => {
      stage.startChat(peer);
      await stage.upload(peer, stage.said.subarray(0, 16_384));
    },
  ],
  [
    'in-an-answer',
    'in mid answer',
    async (stage, peer) => {
      await interruptible(stage, peer);
    },
  ],
  [
    'with-close',
    'by Close 1000',
    async (_stage, peer) => {
      peer.close();
    },
  ],
];

const lossCases: readonly ServerCase[] = [
  ...losses.flatMap(([name, title, play]) =>
    [true, false].map(
      (reconnect): ServerCase => ({
        id: `loss/${name}${reconnect ? '' : '-then-boot'}`,
        title: `A board whose connection breaks ${title} is served when it ${reconnect ? 'connects again' : 'boots'}.`,
        clause: 'FP-8.2',
        async play(stage) {
          const id = stage.newId();
          const lost = await stage.connect(modeQuery.stream, id);
          await play(stage, lost);
          lost.drop();
          const peer = await stage.connect(reconnect ? again('stream') : modeQuery.stream, id);
          await peer.until(() => peer.count('HelloEnd') > 0, stage.limits.quietMs);
          await stage.demandAlive(peer);
        },
      }),
    ),
  ),
  {
    id: 'loss/ten-times',
    title: 'A board that loses ten connections in a row is served on the next one.',
    clause: 'FP-8.2',
    async play(stage) {
      const id = stage.newId();
      for (let i = 0; i < 10; i++) (await stage.connect(again('stream'), id)).drop();
      const peer = await stage.connect(again('stream'), id);
      answered(await playTurn(stage, peer, () => stage.ask(peer)));
    },
  },
  {
    id: 'history/unknown-id-returns',
    title: 'A board the server has not seen is served with reconnect=true.',
    clause: 'FP-8.3',
    async play(stage) {
      const peer = await stage.connect(again('stream'));
      answered(await playTurn(stage, peer, () => stage.ask(peer)));
    },
  },
  {
    id: 'history/goes-on',
    title: 'Conversations go on over three connections with reconnect=true.',
    clause: 'FP-8.3',
    async play(stage) {
      const id = stage.newId();
      for (let i = 0; i < 3; i++) {
        const peer = await stage.connect(again('stream'), id);
        answered(await playTurn(stage, peer, () => stage.ask(peer)));
        peer.drop();
      }
    },
  },
  {
    id: 'history/begins-anew',
    title: 'A board that boots after a conversation is served as a new one.',
    clause: 'FP-8.3',
    async play(stage) {
      const id = stage.newId();
      for (const query of [again('stream'), modeQuery.stream]) {
        const peer = await stage.connect(query, id);
        answered(await playTurn(stage, peer, () => stage.ask(peer)));
        peer.drop();
      }
    },
  },
];

const patienceCases: readonly ServerCase[] = [
  {
    id: 'patience/idle-at-first',
    title: 'A board that is silent after it has connected is served later.',
    clause: 'FP-8.4',
    async play(stage) {
      const peer = await stage.connect(again('stream'));
      await peer.until(() => !peer.open, stage.limits.idleMs);
      demand(peer.open, 'the server closed the idle connection');
      await stage.demandAlive(peer);
    },
  },
  {
    id: 'patience/idle-between-turns',
    title: 'A board that is silent between two turns is served later.',
    clause: 'FP-8.4',
    async play(stage) {
      const peer = await stage.connect(again('stream'));
      demand(await stage.ask(peer), 'the first turn got no EndResponse');
      await peer.until(() => !peer.open, stage.limits.idleMs);
      demand(peer.open, 'the server closed the idle connection');
      await stage.demandAlive(peer);
    },
  },
  {
    id: 'patience/without-pongs',
    title: 'A board that answers no ping stays connected.',
    clause: 'FP-1.14',
    async play(stage) {
      const peer = await stage.connect(again('stream'));
      peer.answersPings = false;
      await peer.until(() => !peer.open, stage.limits.idleMs);
      demand(peer.open, 'the server dropped the connection');
      await stage.demandAlive(peer);
    },
  },
  {
    id: 'patience/paused-utterance',
    title: 'An utterance whose audio stops for a while in mid word is not forgotten.',
    clause: 'FP-7.7',
    async play(stage) {
      const peer = await stage.connect(again('submit'));
      stage.startChat(peer);
      await stage.upload(peer, stage.said.subarray(0, 16_384));
      await stage.sleep(3000);
      await stage.upload(peer, stage.said.subarray(16_384));
      demand(await stage.finishSpeaking(peer, 'submit'), 'no EndResponse came');
    },
  },
  ...(['stream', 'submit'] as const).map(
    (mode): ServerCase => ({
      id: `patience/stops-reading-${mode}`,
      title: `A board that stops reading for 5 s in mid answer gets all of it later, in order (${mode} mode).`,
      clause: 'FP-8.5',
      async play(stage) {
        const peer = await stage.connect(again(mode));
        const turn = await playTurn(stage, peer, async () => {
          const over = stage.ask(peer, mode);
          await peer.until(() => peer.count('StartAudio') > 0, stage.limits.answerMs);
          peer.pause();
          await stage.sleep(5000);
          peer.resume();
          return over;
        });
        const { events } = answered(turn);
        demand(
          (['text', 'stream', 'submit'] as const).some((kind) => follows(kind, events)),
          () => `the order is ${orderOf(events)}`,
        );
      },
    }),
  ),
  {
    id: 'patience/slow-board-holds-up-nobody',
    title: 'A board that does not read holds up no other board.',
    clause: 'FP-8.6',
    async play(stage) {
      const slow = await stage.connect(again('stream'));
      await interruptible(stage, slow);
      slow.pause();
      const peer = await stage.connect(again('stream'));
      answered(await playTurn(stage, peer, () => stage.ask(peer)));
    },
  },
  {
    id: 'patience/all-audio-at-once',
    title: 'An utterance that comes faster than it can have been said is understood.',
    clause: 'FP-5.10',
    async play(stage) {
      const peer = await stage.connect(again('submit'));
      const turn = await playTurn(stage, peer, async () => {
        stage.startChat(peer);
        const bytes = Buffer.from(stage.said.slice().buffer);
        for (let at = 0; at < bytes.length; at += 16_384) {
          peer.binary(bytes.subarray(at, at + 16_384), 'audio, at once');
        }
        return stage.finishSpeaking(peer, 'submit');
      });
      demand(
        follows('submit', answered(turn).events),
        () => `the order is ${orderOf(turn.events)}`,
      );
    },
  },
];

// ---- recordings and plain HTTP ----

async function get(stage: ServerStage, path: string): Promise<Response> {
  return stage.request({
    target: stage.beside(path),
    headers: [
      ['Host', stage.address.authority],
      ['Connection', 'close'],
    ],
  });
}

/** Connects for recording. @throws {Unsupported} when the server does not record */
async function record(stage: ServerStage, target: string): Promise<WirePeer> {
  const { peer, head } = await stage.request({ target });
  if (peer === undefined) throw new Unsupported(`the server does not record: ${head.first}`);
  return peer;
}

const doors: readonly (readonly [
  name: string,
  target: (stage: ServerStage, id: string) => string,
])[] = [
  ['path', (stage, id) => stage.beside(`/v1/record/${id}`)],
  ['flag', (stage, id) => stage.target(id, 'record=true')],
];

/** Records the speech and fetches what the server has made of it. */
async function recording(stage: ServerStage, target: (typeof doors)[number][1]) {
  const id = stage.newId();
  const peer = await record(stage, target(stage, id));
  const bytes = Buffer.from(stage.said.slice().buffer);
  for (let at = 0; at < bytes.length; at += 16_384) peer.binary(bytes.subarray(at, at + 16_384));
  await stage.sleep(stage.limits.quietMs);
  peer.close();
  await stage.sleep(1000);
  const list = await get(stage, `/downloads/list/${id}`);
  if (list.status === 404) throw new Unsupported('the server has no list of recordings');
  demand(list.status === 200, `the list was answered with ${list.head.first}`);
  let names: string[];
  try {
    const entries = JSON.parse(list.body.toString()) as { file_name: string }[];
    names = entries.map(({ file_name }) => file_name);
  } catch (error) {
    throw new Nonconformity(`the list is no JSON list of files: ${(error as Error).message}`, {
      cause: error,
    });
  }
  // An earlier run with the same id may have left its own; names carry the instant.
  const name = [...names].sort().at(-1);
  demand(name !== undefined, 'the list is empty');
  const file = await get(stage, `/downloads/download/${id}/${name}`);
  demand(file.status === 200, `${name} was answered with ${file.head.first}`);
  return { names, name, file: file.body, sent: bytes };
}

const recordCases: readonly ServerCase[] = [
  ...doors.flatMap(([door, target]): ServerCase[] => [
    {
      id: `record/${door}-silent`,
      title: `A recording connection by ${door} gets nothing for its audio.`,
      clause: 'FP-8.7',
      async play(stage) {
        const peer = await record(stage, target(stage, stage.newId()));
        await stage.upload(peer, stage.said.subarray(0, 16_384));
        await stage.demandQuiet(peer, 'audio to be recorded', 1000);
        demand(peer.open, 'the connection was closed');
      },
    },
    {
      id: `record/${door}-ignores-text`,
      title: `Commands have no effect on a recording connection by ${door}.`,
      clause: 'FP-8.7',
      async play(stage) {
        const peer = await record(stage, target(stage, stage.newId()));
        peer.text('{"event":"StartRecord"}');
        stage.startChat(peer);
        stage.say(peer);
        stage.submit(peer);
        await stage.demandQuiet(peer, 'a command to a recording', 1000);
        demand(peer.open, 'the connection was closed');
      },
    },
    {
      id: `record/${door}-file`,
      title: `What was sent by ${door} is in a WAV file of 16 kHz, mono, 16 bits.`,
      clause: 'FP-8.8',
      async play(stage) {
        const { name, file, sent } = await recording(stage, target);
        demand(/\.wav$/.test(name), `the file is called ${name}`);
        demand(file.toString('latin1', 0, 4) === 'RIFF', `it begins with ${hexExcerpt(file)}`);
        const format = [file.readUInt16LE(22), file.readUInt32LE(24), file.readUInt16LE(34)];
        demand(format.join() === '1,16000,16', `channels, rate and bits are ${format.join(', ')}`);
        demand(
          file.subarray(44).equals(sent),
          `it has ${file.length - 44} bytes of audio of the ${sent.length} that were sent, or others`,
        );
      },
    },
  ]),
  {
    id: 'record/missing-file',
    title: 'A recording that does not exist is answered with 404.',
    clause: 'FP-8.8',
    async play(stage) {
      const { status } = await get(stage, `/downloads/download/${stage.newId()}/no-such.wav`);
      demand(status === 404, `the status is ${status}`);
    },
  },
  ...(['..%2f..%2fconfig.toml', '%2e%2e/config.toml', '../../config.toml'] as const).map(
    (path, i): ServerCase => ({
      id: `record/no-way-out-${i + 1}`,
      title: `${path} leads to no file outside of the recordings.`,
      clause: 'FP-8.8',
      async play(stage) {
        const { status } = await get(stage, `/downloads/download/${stage.newId()}/${path}`);
        demand(status !== 200, 'the server handed out a file');
      },
    }),
  ),
];

const plainCases: readonly ServerCase[] = [
  {
    id: 'http/version',
    title: 'GET /version is answered with JSON that has a version.',
    clause: 'FP-1.12',
    async play(stage) {
      const { status, body } = await get(stage, '/version');
      if (status === 404) throw new Unsupported('the server has no /version');
      demand(status === 200, `the status is ${status}`);
      let version: unknown;
      try {
        version = (JSON.parse(body.toString()) as { version?: unknown }).version;
      } catch (error) {
        throw new Nonconformity(`the body is no JSON: ${body.toString().slice(0, 60)}`, {
          cause: error,
        });
      }
      demand(typeof version === 'string', `version is ${JSON.stringify(version)}`);
    },
  },
  {
    id: 'http/version-type',
    title: 'The content type of /version is JSON.',
    clause: 'FP-1.12',
    async play(stage) {
      const { status, head } = await get(stage, '/version');
      if (status === 404) throw new Unsupported('the server has no /version');
      const type = headerOf(head, 'content-type');
      demand(/^application\/json/.test(type ?? ''), `Content-Type is ${type ?? 'missing'}`);
    },
  },
  {
    id: 'http/plain-get',
    title: 'GET of a WebSocket address without an upgrade is answered with 400 or 426.',
    clause: 'FP-1.9',
    async play(stage) {
      const { basePath } = stage.address;
      if (!basePath.endsWith('/ws/'))
        throw new Skipped(`the path of the server URL is ${basePath}`);
      const { status } = await get(stage, `/ws/${stage.newId()}`);
      demand(status === 400 || status === 426, `the status is ${status}`);
    },
  },
  {
    id: 'http/post',
    title: 'POST to a WebSocket address is answered with 405.',
    clause: 'FP-1.9',
    async play(stage) {
      const { status } = await stage.request({
        method: 'POST',
        target: stage.target(stage.newId()),
        headers: [
          ['Host', stage.address.authority],
          ['Content-Length', '0'],
          ['Connection', 'close'],
        ],
      });
      demand(status === 405, `the status is ${status}`);
    },
  },
];

export const serverConnectionCases: readonly ServerCase[] = [
  ...newestCases,
  ...interruptCases,
  ...lossCases,
  ...patienceCases,
  ...recordCases,
  ...plainCases,
];
