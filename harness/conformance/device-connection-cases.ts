/** How a board connects, loses connections and begins again: FP-1, FP-9.1 to FP-9.4, FP-9.16. */

import { opcodes } from '../network/web-socket-frame.ts';
import { type ConformanceCase, demand } from './conformance-case.ts';
import { type DeviceStage, demandSilence, type Incoming, saidBy } from './device-stage.ts';
import { type HttpHead, headerOf } from './http-message.ts';
import type { WirePeer } from './wire-peer.ts';

type DeviceCase = ConformanceCase<DeviceStage>;

// ---- the request ----

const request = (
  name: string,
  clause: string,
  title: string,
  judge: (incoming: Incoming, stage: DeviceStage) => void,
): DeviceCase => ({
  id: `request/${name}`,
  title,
  clause,
  async play(stage) {
    const incoming = await stage.bootToTheDoor();
    judge(incoming, stage);
    incoming.accept();
  },
});

const header = (name: string, expected: RegExp, words: string): DeviceCase =>
  request(`header-${name}`, 'FP-1.10', `The header ${name} is ${words}.`, ({ head }) => {
    const value = headerOf(head, name);
    demand(expected.test(value ?? ''), `${name} is ${value ?? 'missing'}`);
  });

const requestCases: readonly DeviceCase[] = [
  request('get', 'FP-1.10', 'The board asks by GET of HTTP/1.1.', ({ head }) =>
    demand(/^GET \S+ HTTP\/1\.1$/.test(head.first), head.first),
  ),
  request(
    'path',
    'FP-1.1',
    'The path is that of the stored URL with the id behind one slash.',
    ({ path }, stage) =>
      demand(
        path.startsWith(stage.basePath) && !path.slice(stage.basePath.length).includes('/'),
        `the path is ${path}`,
      ),
  ),
  request('id', 'FP-1.1', 'The id is 12 hexadecimal digits in lower case.', ({ path }) =>
    demand(/\/[0-9a-f]{12}$/.test(path), `the path is ${path}`),
  ),
  request(
    'first-query',
    'FP-1.2',
    'After boot the query is opus, vowel and stream_asr, in this order.',
    ({ query }) =>
      demand(query === 'opus=true&vowel=true&stream_asr=true', `the query is ${query}`),
  ),
  header('host', /^[^/]+$/, 'the host, with the port of the URL'),
  header('upgrade', /^websocket$/, 'websocket'),
  header('connection', /^Upgrade$/, 'Upgrade'),
  header('sec-websocket-key', /^[A-Za-z0-9+/]{22}==$/, '16 bytes in base64'),
  header('sec-websocket-version', /^13$/, '13'),
  header(
    'sec-websocket-extensions',
    /^permessage-deflate; client_max_window_bits$/,
    'the offer that no board can keep',
  ),
  ...(['origin', 'user-agent', 'sec-websocket-protocol', 'authorization', 'cookie'] as const).map(
    (name) =>
      request(`without-${name}`, 'FP-1.10', `There is no header ${name}.`, ({ head }) =>
        demand(headerOf(head, name) === undefined, `${name} is ${headerOf(head, name)}`),
      ),
  ),
  {
    id: 'request/later-query',
    title: 'On every later connection reconnect=true stands first.',
    clause: 'FP-1.2',
    async play(stage) {
      await stage.inState('Idle');
      stage.press('k0');
      const { query } = await stage.incoming();
      demand(
        query === 'reconnect=true&opus=true&vowel=true&stream_asr=true',
        `the query is ${query}`,
      );
    },
  },
  {
    id: 'request/fresh-key',
    title: 'Every connection has a key of its own.',
    clause: 'FP-1.10',
    async play(stage) {
      const first = await stage.bootToTheDoor();
      first.accept();
      await stage.sleep(300);
      stage.press('k0');
      const second = await stage.incoming();
      const [a, b] = [first, second].map(({ head }) => headerOf(head, 'sec-websocket-key'));
      demand(a !== b, `both keys are ${a}`);
    },
  },
  {
    id: 'request/same-id',
    title: 'The id is the same on every connection.',
    clause: 'FP-1.1',
    async play(stage) {
      const first = await stage.bootToTheDoor();
      first.accept();
      await stage.sleep(300);
      stage.press('k0');
      const second = await stage.incoming();
      demand(first.path === second.path, `the paths are ${first.path} and ${second.path}`);
    },
  },
];

// ---- the answer ----

const changed =
  (name: string, value: string) =>
  (head: HttpHead): HttpHead => ({
    ...head,
    headers: [
      ...head.headers.filter(([key]) => key.toLowerCase() !== name.toLowerCase()),
      [name, value],
    ],
  });

/** Answers a board takes although they are odd, because it looks at nothing but status and key. */
const taken: readonly (readonly [string, string, (head: HttpHead) => HttpHead])[] = [
  [
    'lower-case-names',
    'header names in lower case',
    (head) => ({ ...head, headers: head.headers.map(([k, v]) => [k.toLowerCase(), v] as const) }),
  ],
  ['other-reason', 'another reason phrase', (head) => ({ ...head, first: 'HTTP/1.1 101 Fine' })],
  ['other-upgrade', 'another Upgrade', changed('Upgrade', 'echokit')],
  ['subprotocol', 'a subprotocol', changed('Sec-WebSocket-Protocol', 'echokit')],
  [
    'extension',
    'an extension that is never used',
    changed('Sec-WebSocket-Extensions', 'permessage-deflate'),
  ],
  [
    'twenty-five-headers',
    '25 headers',
    (head) => ({
      ...head,
      headers: [...head.headers, ...Array.from({ length: 22 }, (_, i) => [`X-${i}`, 'y'] as const)],
    }),
  ],
];

const refusals: readonly (readonly [string, string, (incoming: Incoming) => void])[] = [
  ['200', 'the status 200', ({ refuse }) => refuse('HTTP/1.1 200 OK')],
  ['400', 'the status 400', ({ refuse }) => refuse('HTTP/1.1 400 Bad Request')],
  ['404', 'the status 404', ({ refuse }) => refuse('HTTP/1.1 404 Not Found')],
  ['503', 'the status 503', ({ refuse }) => refuse('HTTP/1.1 503 Service Unavailable')],
  [
    'redirect',
    'a redirect',
    ({ refuse }) => refuse('HTTP/1.1 307 Temporary Redirect', [['Location', '/ws/elsewhere']]),
  ],
  [
    'wrong-key',
    'a wrong accept key',
    ({ accept }) => void accept(changed('Sec-WebSocket-Accept', 'AAAAAAAAAAAAAAAAAAAAAAAAAAA=')),
  ],
  [
    'no-key',
    'no accept key',
    ({ accept }) =>
      void accept((head) => ({
        ...head,
        headers: head.headers.filter(([key]) => key !== 'Sec-WebSocket-Accept'),
      })),
  ],
  [
    'twenty-six-headers',
    '26 headers',
    ({ accept }) =>
      void accept((head) => ({
        ...head,
        headers: [
          ...head.headers,
          ...Array.from({ length: 23 }, (_, i) => [`X-${i}`, 'y'] as const),
        ],
      })),
  ],
  ['end', 'the end of the stream', ({ drop }) => drop()],
];

const answerCases: readonly DeviceCase[] = [
  ...taken.map(
    ([name, title, change]): DeviceCase => ({
      id: `answer/takes-${name}`,
      title: `An answer with ${title} lets the board in.`,
      clause: 'FP-1.11',
      async play(stage) {
        await stage.inState('Idle');
        stage.press('k0');
        const peer = (await stage.incoming()).accept(change);
        await stage.sleep(1500);
        demand(peer.open, 'the board broke the connection off');
        await demandNoIncoming(stage, 500, 'after it had been let in');
      },
    }),
  ),
  ...refusals.map(
    ([name, title, refuse]): DeviceCase => ({
      id: `answer/refused-by-${name}`,
      title: `To the board ${title} is a refusal: it tries three times, 300 ms apart, and restarts.`,
      clause: 'FP-9.4',
      async play(stage) {
        await stage.inState('Idle');
        stage.press('k0');
        const instants: number[] = [];
        for (let attempt = 1; attempt <= 3; attempt++) {
          const incoming = await stage.incoming();
          demand(
            incoming.query.startsWith('reconnect=true'),
            `try ${attempt} has the query ${incoming.query}`,
          );
          instants.push(incoming.atUs);
          refuse(incoming);
        }
        const pausesMs = instants.slice(1).map((atUs, i) => (atUs - instants[i]!) / 1000);
        demand(
          pausesMs.every((pause) => pause >= 290 && pause < 2000),
          `the pauses between the tries are ${pausesMs.map(Math.round).join(' and ')} ms`,
        );
        const booted = await stage.incoming(60_000);
        demand(
          !booted.query.includes('reconnect'),
          `after the restart the query is ${booted.query}`,
        );
      },
    }),
  ),
  {
    id: 'answer/second-try',
    title: 'A board that is refused once and then let in does not restart.',
    clause: 'FP-9.4',
    async play(stage) {
      await stage.inState('Idle');
      stage.press('k0');
      (await stage.incoming()).refuse('HTTP/1.1 503 Service Unavailable');
      const peer = (await stage.incoming()).accept();
      await demandNoIncoming(stage, 3000, 'after it had been let in');
      demand(peer.open, 'the board broke the connection off');
    },
  },
  {
    id: 'answer/patient',
    title: 'A board waits 30 s for the answer and takes it.',
    clause: 'FP-1.11',
    async play(stage) {
      await stage.inState('Idle');
      stage.press('k0');
      const incoming = await stage.incoming();
      await demandNoIncoming(stage, 30_000, 'while the first try waited for its answer');
      const peer = incoming.accept();
      await stage.sleep(1500);
      demand(peer.open, 'the board broke the connection off');
    },
  },
];

async function demandNoIncoming(stage: DeviceStage, ms: number, when: string): Promise<void> {
  const incoming = await stage.incomingOrNone(ms);
  demand(incoming === undefined, () => `the board connected ${when} (${incoming?.query})`);
}

// ---- connections ----

const unable: readonly ('Idle' | 'Waiting' | 'Speaking')[] = ['Idle', 'Waiting', 'Speaking'];

const connectionCases: readonly DeviceCase[] = [
  {
    id: 'connection/silent-after-boot',
    title: 'After boot the board sends nothing by itself.',
    clause: 'FP-9.1',
    async play(stage) {
      await demandSilence(stage, await stage.boot(), 3000);
    },
  },
  {
    id: 'connection/one-after-boot',
    title: 'After boot there is one connection.',
    clause: 'FP-9.1',
    async play(stage) {
      await stage.boot();
      await demandNoIncoming(stage, 3000, 'a second time');
    },
  },
  ...unable.flatMap((state): DeviceCase[] => [
    {
      id: `connection/k0-in-${state.toLowerCase()}`,
      title: `K0 in ${state} opens a new connection before the old one is dropped, without Close.`,
      clause: 'FP-9.2',
      async play(stage) {
        const old = await stage.inState(state);
        stage.press('k0');
        const incoming = await stage.incoming();
        demand(old.open, 'the old connection was gone before the new one was asked for');
        incoming.accept();
        const gone = await old.until(() => !old.open, stage.limits.stepMs);
        demand(gone, 'the old connection stayed open');
        const close = old.arrivals.find(({ kind }) => kind === 'close');
        demand(close === undefined, 'the old connection was closed with Close');
      },
    },
    {
      id: `connection/loss-in-${state.toLowerCase()}`,
      title: `A board that is ${state} does not notice that its connection is gone.`,
      clause: 'FP-9.4',
      async play(stage) {
        const peer = await stage.inState(state);
        peer.drop();
        await demandNoIncoming(stage, 10_000, 'by itself');
        stage.press('k0');
        const { query } = await stage.incoming();
        demand(
          query.startsWith('reconnect=true'),
          `the query is ${query}: the board had restarted`,
        );
      },
    },
  ]),
  {
    id: 'connection/k0-in-listening',
    title: 'K0 in Listening sends Close 1000 without a reason.',
    clause: 'FP-9.2',
    async play(stage) {
      const peer = await stage.inState('Listening');
      stage.press('k0');
      await peer.until(() => closeCode(peer) !== 'none', stage.actionMs);
      demand(closeCode(peer) === 1000, `the board sent Close ${closeCode(peer)}`);
    },
  },
  {
    id: 'connection/k0-in-an-utterance',
    title: 'K0 in mid utterance sends Close 1000, and no audio after it.',
    clause: 'FP-9.2',
    async play(stage) {
      const peer = await stage.inState('Listening');
      stage.hear(stage.speechOf(4));
      await peer.until(() => saidBy(peer).length >= 2, stage.actionMs);
      stage.press('k0');
      await peer.until(() => closeCode(peer) !== 'none', stage.actionMs);
      demand(closeCode(peer) === 1000, `the board sent Close ${closeCode(peer)}`);
      const at = peer.arrivals.findIndex(({ kind }) => kind === 'close');
      await stage.sleep(stage.limits.quietMs);
      const rest = peer.arrivals.slice(at + 1).filter(({ kind }) => kind === 'binary');
      demand(rest.length === 0, `${rest.length} messages came after Close`);
    },
  },
  {
    id: 'connection/k0-twice',
    title: 'A board that was sent to Idle by K0 connects again by K0, with reconnect.',
    clause: 'FP-9.2',
    async play(stage) {
      const peer = await stage.inState('Listening');
      stage.press('k0');
      await peer.until(() => closeCode(peer) !== 'none', stage.actionMs);
      await stage.sleep(500);
      stage.press('k0');
      const { query } = await stage.incoming();
      demand(query.startsWith('reconnect=true'), `the query is ${query}`);
    },
  },
  {
    id: 'connection/loss-in-listening',
    title:
      'A board that is Listening restarts when it has something to say and the connection is gone.',
    clause: 'FP-9.4',
    async play(stage) {
      const peer = await stage.inState('Listening');
      peer.drop();
      await demandNoIncoming(stage, 2000, 'by itself');
      stage.hear();
      const { query } = await stage.incoming(stage.actionMs + 60_000);
      demand(!query.includes('reconnect'), `the query is ${query}: the board has not restarted`);
    },
  },
  {
    id: 'connection/close-answered',
    title: 'The board answers Close with Close or the end of the stream.',
    clause: 'FP-1.13',
    async play(stage) {
      const peer = await stage.inState('Idle');
      peer.close();
      const answer = (): boolean => !peer.open || closeCode(peer) !== 'none';
      await peer.until(answer, stage.limits.stepMs);
      demand(answer(), 'neither came');
    },
  },
  ...([1, 125] as const).map(
    (bytes): DeviceCase => ({
      id: `connection/ping-of-${bytes}`,
      title: `A ping of ${bytes} bytes is answered by a pong with the same.`,
      clause: 'FP-1.14',
      async play(stage) {
        const peer = await stage.inState('Idle');
        peer.ping('p'.repeat(bytes));
        await demandPong(stage, peer, 'p'.repeat(bytes));
      },
    }),
  ),
  {
    id: 'connection/text-ignored',
    title: 'A text message is ignored and the connection lives on.',
    clause: 'FP-1.8',
    async play(stage) {
      const peer = await stage.inState('Idle');
      peer.text('{"event":"EndResponse"}');
      await demandSilence(stage, peer, 500);
      peer.ping('alive');
      await demandPong(stage, peer, 'alive');
    },
  },
  {
    id: 'connection/pong-ignored',
    title: 'A pong nobody asked for is ignored.',
    clause: 'FP-1.13',
    async play(stage) {
      const peer = await stage.inState('Idle');
      peer.frame({ opcode: opcodes.pong, payload: Buffer.from('x') }, 'pong "x"');
      peer.ping('alive');
      await demandPong(stage, peer, 'alive');
    },
  },
  {
    id: 'connection/fragments',
    title: 'An event in three fragments is taken as a whole: the board listens.',
    clause: 'FP-1.13',
    async play(stage) {
      const peer = await stage.inState('Idle');
      const bytes = Buffer.from('ab456e64526573706f6e7365', 'hex');
      peer.frame(
        { opcode: opcodes.binary, final: false, payload: bytes.subarray(0, 4) },
        'fragment',
      );
      peer.frame(
        { opcode: opcodes.continuation, final: false, payload: bytes.subarray(4, 8) },
        'fragment',
      );
      peer.frame({ opcode: opcodes.continuation, payload: bytes.subarray(8) }, 'last fragment');
      await stage.sleep(300);
      stage.hear();
      const heard = await peer.until(() => saidBy(peer).length > 0, stage.actionMs);
      demand(heard, 'speech is not sent: the board is not Listening');
    },
  },
  ...(
    [
      [
        'masked',
        (peer: WirePeer) =>
          peer.frame({ opcode: opcodes.binary, payload: Buffer.from('a') }, 'a masked frame', true),
      ],
      [
        'compressed',
        (peer: WirePeer) =>
          peer.frame(
            { opcode: opcodes.binary, reserved: 4, payload: Buffer.from('a') },
            'a frame with RSV1',
          ),
      ],
    ] as const
  ).map(
    ([name, send]): DeviceCase => ({
      id: `connection/${name}-frame`,
      title: `A ${name} frame ends the connection.`,
      clause: name === 'masked' ? 'FP-1.13' : 'FP-1.7',
      async play(stage) {
        const peer = await stage.inState('Idle');
        send(peer);
        const gone = (): boolean => !peer.open || closeCode(peer) !== 'none';
        await peer.until(gone, stage.limits.stepMs);
        demand(gone(), 'the connection stayed open');
      },
    }),
  ),
  ...(['Idle', 'Waiting', 'Speaking'] as const).map(
    (state): DeviceCase => ({
      id: `connection/no-idle-timer-in-${state.toLowerCase()}`,
      title: `A board that is ${state} stays connected for more than 300 s.`,
      clause: 'FP-9.8',
      async play(stage) {
        const peer = await stage.inState(state);
        await stage.longSleep(310);
        demand(peer.open && closeCode(peer) === 'none', 'the board closed the connection');
      },
    }),
  ),
  {
    id: 'connection/idle-timer',
    title: 'In Listening the board sends Close 1000 after 300 s without any event.',
    clause: 'FP-9.8',
    async play(stage) {
      const peer = await stage.inState('Listening');
      await stage.longSleep(298);
      demand(closeCode(peer) === 'none', 'it came before 298 s');
      await peer.until(() => closeCode(peer) !== 'none', 4000);
      demand(closeCode(peer) === 1000, `after 302 s the board had sent Close ${closeCode(peer)}`);
    },
  },
  {
    id: 'connection/idle-timer-restarts',
    title: 'Any event from the server restarts the 300 s.',
    clause: 'FP-9.8',
    async play(stage) {
      const peer = await stage.inState('Listening');
      await stage.longSleep(200);
      stage.send(peer, { type: 'StartVideo' });
      await stage.longSleep(200);
      demand(
        closeCode(peer) === 'none',
        'Close came 400 s after the first event, 200 s after the last',
      );
      await peer.until(() => closeCode(peer) !== 'none', 102_000);
      demand(closeCode(peer) === 1000, 'no Close came 302 s after the last event');
    },
  },
];

function closeCode(peer: WirePeer): number | undefined | 'none' {
  const close = peer.arrivals.find(({ kind }) => kind === 'close');
  return close?.kind === 'close' ? close.code : 'none';
}

export async function demandPong(
  stage: DeviceStage,
  peer: WirePeer,
  payload: string,
): Promise<void> {
  const answered = (): boolean => pongAt(peer, payload) !== undefined;
  await peer.until(answered, stage.limits.stepMs);
  demand(answered(), 'no pong with the payload came');
}

/** When the pong with this payload came. */
export function pongAt(peer: WirePeer, payload: string): number | undefined {
  return peer.arrivals.find(
    (arrival) => arrival.kind === 'pong' && arrival.bytes.toString() === payload,
  )?.atUs;
}

export const deviceConnectionCases: readonly DeviceCase[] = [
  ...requestCases,
  ...answerCases,
  ...connectionCases,
];
