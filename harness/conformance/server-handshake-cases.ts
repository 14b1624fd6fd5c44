/** How a server lets boards in, and whom it does not: FP-1. */
import { type ConformanceCase, demand, Nonconformity } from './conformance-case.ts';
import { acceptOf, headerOf } from './http-message.ts';
import { boardHeaders, keyMark, type Request, type ServerStage } from './server-stage.ts';

type ServerCase = ConformanceCase<ServerStage>;

const flags = ['reconnect', 'opus', 'vowel', 'stream_asr'] as const;

/** All sixteen queries in the order of FP-1.2. */
const queries = Array.from({ length: 16 }, (_, bits) =>
  flags.filter((_flag, i) => (bits & (1 << i)) !== 0),
);

const badValues: readonly (readonly [name: string, value: (flag: string) => string])[] = [
  ['one', (flag) => `${flag}=1`],
  ['yes', (flag) => `${flag}=yes`],
  ['empty', (flag) => `${flag}=`],
  ['capital', (flag) => `${flag}=True`],
  ['twice', (flag) => `${flag}=true&${flag}=true`],
];

const goodQueries: readonly (readonly [name: string, query: string, title: string])[] = [
  ['no-flags-but-a-mark', '?', 'an empty query behind the mark'],
  ['unknown', '?opus=true&colour=blue', 'an unknown parameter'],
  ['unknown-twice', '?colour=blue&colour=red', 'an unknown parameter given twice'],
  ['unknown-empty', '?colour', 'an unknown parameter without a value'],
  ['other-order', '?stream_asr=true&vowel=true&opus=true', 'flags in another order'],
  ['escaped-value', '?opus=%74rue', 'a value with an escape in it'],
  ['empty-pairs', '?&&opus=true&', 'empty pairs between ampersands'],
  ['flag-in-capitals', '?OPUS=1', 'a flag in capitals, which is an unknown parameter'],
];

const ids: readonly (readonly [name: string, segment: string, title: string])[] = [
  ['mac', '02ec0f00a1b2', 'the id of a board'],
  ['capitals', '02EC0F00A1B2', 'an id in capitals'],
  ['one-character', 'x', 'an id of one character'],
  ['long', 'a'.repeat(200), 'an id of 200 characters'],
  ['punctuation', 'a.b-c_d~e', 'an id with punctuation'],
  ['escaped', '%e4%bd%a0', 'an id of escaped UTF-8'],
  ['escaped-slash', 'a%2Fb', 'an id with an escaped slash, which is one segment'],
  ['with-colons', '02:ec:0f:00:a1:b2', 'an id with colons'],
];

const missingPaths: readonly (readonly [name: string, path: string])[] = [
  ['root', '/'],
  ['no-id', '/ws/'],
  ['no-slash', '/ws'],
  ['two-segments', '/ws/a/b'],
  ['slash-behind', '/ws/a1b2c3d4e5f6/'],
  ['capitals', '/WS/a1b2c3d4e5f6'],
  ['old-chat', '/v1/chat/a1b2c3d4e5f6'],
  ['old-ws', '/v1/ws/a1b2c3d4e5f6'],
  ['record-no-id', '/v1/record/'],
  ['stable-no-id', '/v2/stable_ws/'],
];

const without = (name: string) => (headers: [string, string][]) =>
  headers.filter(([key]) => key !== name);
const replaced = (name: string, value: string) => (headers: [string, string][]) =>
  headers.map(([key, old]): [string, string] => [key, key === name ? value : old]);

const refusedUpgrades: readonly (readonly [
  name: string,
  title: string,
  change: (headers: [string, string][]) => [string, string][],
])[] = [
  ['no-upgrade', 'without Upgrade', without('Upgrade')],
  ['no-connection', 'without Connection', without('Connection')],
  ['no-key', 'without Sec-WebSocket-Key', without('Sec-WebSocket-Key')],
  ['no-version', 'without Sec-WebSocket-Version', without('Sec-WebSocket-Version')],
  ['version-8', 'of WebSocket version 8', replaced('Sec-WebSocket-Version', '8')],
  ['version-14', 'of WebSocket version 14', replaced('Sec-WebSocket-Version', '14')],
  ['upgrade-h2c', 'that asks for h2c', replaced('Upgrade', 'h2c')],
  ['connection-close', 'with Connection: close', replaced('Connection', 'close')],
];

const acceptedUpgrades: readonly (readonly [
  name: string,
  title: string,
  change: (headers: [string, string][]) => [string, string][],
])[] = [
  [
    'names-in-lower-case',
    'header names in lower case',
    (h) => h.map(([k, v]) => [k.toLowerCase(), v]),
  ],
  ['names-in-capitals', 'header names in capitals', (h) => h.map(([k, v]) => [k.toUpperCase(), v])],
  ['upgrade-in-capitals', 'Upgrade: WebSocket', replaced('Upgrade', 'WebSocket')],
  [
    'connection-list',
    'Connection: keep-alive, Upgrade',
    replaced('Connection', 'keep-alive, Upgrade'),
  ],
  ['connection-lower', 'Connection: upgrade', replaced('Connection', 'upgrade')],
  [
    'without-extensions',
    'no offer of compression, as firmware 0.2.0',
    without('sec-websocket-extensions'),
  ],
  [
    'browser-headers',
    'the headers of a browser beside them',
    (h) => [...h, ['Origin', 'http://localhost'], ['User-Agent', 'conform'], ['Cookie', 'a=b']],
  ],
  ['many-headers', 'forty unknown headers', (h) => [...h, ...unknownHeaders(40)]],
];

function unknownHeaders(count: number): [string, string][] {
  return Array.from({ length: count }, (_, i) => [`X-Unknown-${i}`, 'x'.repeat(50)]);
}

const offers: readonly (readonly [name: string, offer: string])[] = [
  ['of-a-board', 'permessage-deflate; client_max_window_bits'],
  ['plain', 'permessage-deflate'],
  ['both-windows', 'permessage-deflate; server_max_window_bits=10; client_max_window_bits=10'],
  ['two-offers', 'x-webkit-deflate-frame, permessage-deflate'],
];

const methods = ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'] as const;

export const serverHandshakeCases: readonly ServerCase[] = [
  ...queries.map((set): ServerCase => {
    const query = set.map((flag) => `${flag}=true`).join('&');
    return {
      id: `handshake/query-${set.join('-').replaceAll('_', '-') || 'none'}`,
      title: `A board that asks for ${set.join(', ') || 'nothing'} is let in.`,
      clause: 'FP-1.4',
      play: (stage) => letIn(stage, { target: stage.target(stage.newId(), query) }),
    };
  }),
  ...[...flags, 'record'].map(
    (flag): ServerCase => ({
      id: `handshake/false-${flag.replace('_', '-')}`,
      title: `${flag}=false is a value.`,
      clause: 'FP-1.5',
      play: (stage) => letIn(stage, { target: stage.target(stage.newId(), `${flag}=false`) }),
    }),
  ),
  ...[...flags, 'record'].flatMap((flag) =>
    badValues.map(
      ([name, value]): ServerCase => ({
        id: `handshake/bad-${flag.replace('_', '-')}-${name}`,
        title: `The query ${value(flag)} is answered with 400.`,
        clause: 'FP-1.5',
        play: (stage) =>
          refused(stage, { target: stage.target(stage.newId(), value(flag)) }, [400]),
      }),
    ),
  ),
  ...goodQueries.map(
    ([name, query, title]): ServerCase => ({
      id: `handshake/query-with-${name}`,
      title: `A query with ${title} lets the board in.`,
      clause: 'FP-1.5',
      play: (stage) => letIn(stage, { target: `${stage.target(stage.newId())}${query}` }),
    }),
  ),
  ...ids.map(
    ([name, segment, title]): ServerCase => ({
      id: `handshake/id-${name}`,
      title: `A board with ${title} is let in.`,
      clause: 'FP-1.3',
      play: (stage) => letIn(stage, { target: stage.target(segment, 'reconnect=true') }),
    }),
  ),
  {
    id: 'handshake/id-not-utf-8',
    title: 'An id that is not UTF-8 is answered with 400.',
    clause: 'FP-1.6',
    play: (stage) => refused(stage, { target: stage.target('%ff%fe') }, [400]),
  },
  ...missingPaths.map(
    ([name, path]): ServerCase => ({
      id: `handshake/path-${name}`,
      title: `There is nothing at ${path}.`,
      clause: 'FP-1.3',
      play: (stage) => refused(stage, { target: stage.beside(path) }, [404]),
    }),
  ),
  {
    id: 'handshake/path-stable',
    title: 'Boards are let in at /v2/stable_ws/ as well.',
    clause: 'FP-1.3',
    play: (stage) => letIn(stage, { target: stage.beside(`/v2/stable_ws/${stage.newId()}`) }),
  },
  ...methods.map(
    (method): ServerCase => ({
      id: `handshake/method-${method.toLowerCase()}`,
      title: `An upgrade by ${method} is answered with 405.`,
      clause: 'FP-1.9',
      play: (stage) => refused(stage, { method, target: stage.target(stage.newId()) }, [405]),
    }),
  ),
  ...refusedUpgrades.map(
    ([name, title, change]): ServerCase => ({
      id: `handshake/refuses-${name}`,
      title: `A request ${title} is answered with 400 or 426.`,
      clause: 'FP-1.9',
      play: (stage) =>
        refused(
          stage,
          {
            target: stage.target(stage.newId()),
            headers: change(boardHeaders(stage.address.authority, keyMark)),
          },
          [400, 426],
        ),
    }),
  ),
  {
    id: 'handshake/http-1-0',
    title: 'A request of HTTP/1.0 does not become a WebSocket.',
    clause: 'FP-1.9',
    play: (stage) =>
      refused(stage, { target: stage.target(stage.newId()), version: 'HTTP/1.0' }, [400, 426, 505]),
  },
  ...acceptedUpgrades.map(
    ([name, title, change]): ServerCase => ({
      id: `handshake/accepts-${name}`,
      title: `A board is let in with ${title}.`,
      clause: 'FP-1.10',
      play: (stage) =>
        letIn(stage, {
          target: stage.target(stage.newId()),
          headers: change(boardHeaders(stage.address.authority, keyMark)),
        }),
    }),
  ),
  {
    id: 'handshake/in-pieces',
    title: 'A board is let in whose request comes in pieces of 7 bytes.',
    clause: 'FP-1.10',
    play: (stage) => letIn(stage, { target: stage.target(stage.newId()), pieceBytes: 7 }),
  },
  ...offers.map(
    ([name, offer]): ServerCase => ({
      id: `handshake/compression-${name}`,
      title: `The offer "${offer}" is not accepted.`,
      clause: 'FP-1.7',
      async play(stage) {
        const headers = replaced(
          'sec-websocket-extensions',
          offer,
        )(boardHeaders(stage.address.authority, keyMark));
        const { head } = await open(stage, { target: stage.target(stage.newId()), headers });
        const accepted = headerOf(head, 'sec-websocket-extensions');
        demand(
          accepted === undefined,
          `the server accepted the extension "${accepted}"; a board drops the connection at the first compressed frame`,
        );
      },
    }),
  ),
  {
    id: 'handshake/accept-key',
    title: 'Sec-WebSocket-Accept follows from the key.',
    clause: 'FP-1.11',
    async play(stage) {
      const { head, key } = await open(stage, { target: stage.target(stage.newId()) });
      const accept = headerOf(head, 'sec-websocket-accept');
      demand(
        accept === acceptOf(key),
        `Sec-WebSocket-Accept is ${accept ?? 'missing'}; for the key ${key} it is ${acceptOf(key)}`,
      );
    },
  },
  ...(
    [
      ['upgrade-header', 'upgrade', /^websocket$/i],
      ['connection-header', 'connection', /\bupgrade\b/i],
    ] as const
  ).map(
    ([name, header, pattern]): ServerCase => ({
      id: `handshake/${name}`,
      title: `The answer has the header ${header} of RFC 6455.`,
      clause: 'FP-1.11',
      async play(stage) {
        const { head } = await open(stage, { target: stage.target(stage.newId()) });
        const value = headerOf(head, header);
        demand(pattern.test(value ?? ''), `${header} is ${value ?? 'missing'}`);
      },
    }),
  ),
  {
    id: 'handshake/no-subprotocol',
    title: 'The answer names no subprotocol, for none was asked for.',
    clause: 'FP-1.11',
    async play(stage) {
      const { head } = await open(stage, { target: stage.target(stage.newId()) });
      const protocol = headerOf(head, 'sec-websocket-protocol');
      demand(protocol === undefined, `Sec-WebSocket-Protocol is ${protocol}`);
    },
  },
  {
    id: 'handshake/few-headers',
    title: 'The answer has at most 25 headers.',
    clause: 'FP-1.11',
    async play(stage) {
      const { head } = await open(stage, { target: stage.target(stage.newId()) });
      const count = head.headers.length;
      demand(count <= 25, `the answer has ${count} headers; a board reads 25`);
    },
  },
  {
    id: 'handshake/status-101',
    title: 'The status line is HTTP/1.1 101.',
    clause: 'FP-1.11',
    async play(stage) {
      const { head } = await open(stage, { target: stage.target(stage.newId()) });
      demand(/^HTTP\/1\.1 101( |$)/.test(head.first), `the status line is "${head.first}"`);
    },
  },
  {
    id: 'handshake/slow-neighbour',
    title: 'A client that never finishes its request keeps nobody else out.',
    clause: 'FP-8.6',
    async play(stage) {
      const slow = stage.request({
        target: stage.target(stage.newId()),
        headers: [...boardHeaders(stage.address.authority, keyMark), ...unknownHeaders(40)],
        pieceBytes: 1,
      });
      slow.catch(() => {});
      await letIn(stage, { target: stage.target(stage.newId()) });
    },
  },
];

async function open(stage: ServerStage, request: Request) {
  const response = await stage.request(request);
  const { head, status } = response;
  if (status !== 101)
    throw new Nonconformity(`${request.target} was answered with "${head.first}"`);
  return response;
}

/** The board is let in, and the connection stays open in the next moments. */
async function letIn(stage: ServerStage, request: Request): Promise<void> {
  const { peer } = await open(stage, request);
  await peer!.until(() => !peer!.open, stage.limits.quietMs / 3);
  demand(peer!.open, 'the server let the board in and closed the connection at once');
}

async function refused(
  stage: ServerStage,
  request: Request,
  statuses: readonly number[],
): Promise<void> {
  const { status, head } = await stage.request(request);
  demand(
    statuses.includes(status),
    () =>
      `${request.method ?? 'GET'} ${request.target} was answered with "${head.first}" and not with ${statuses.join(' or ')}`,
  );
}
