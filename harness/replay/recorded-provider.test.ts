import { createHash } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { encodeFrame, FrameReader } from '../network/web-socket-frame.ts';
import { ClientBytes } from './client-bytes.ts';
import {
  connection,
  head,
  type PlantedStep,
  ReplayStage,
  upgrade,
} from './planted-wire.contract.ts';

const speak = (text: string, voice = 'ash'): string => JSON.stringify({ voice, input: text });

/** A connection with one request at 1 ms and its answer in two pieces. */
function asked(number: number, body: string, answer: string, startUs = 1_000): PlantedStep[] {
  return [
    [startUs, 'open'],
    [startUs, 'head', head(body)],
    [startUs, 'body', body],
    [startUs + 2_000, 'received', `${answer} head`],
    [startUs + 2_500 + number, 'received', `${answer} rest`],
  ];
}

test('the bytes come in their pieces, as long after the request as they did', async (t) => {
  const stage = new ReplayStage([connection(1, asked(1, speak('Hi.'), 'one', 50_000))]);
  const { clock } = stage;
  const heard = await clock.run(stage.ask(head(speak('Hi.')) + speak('Hi.')));
  // 100 µs for the connection, whenever it is asked for.
  t.deepEqual(heard, [
    { atUs: 2_100, what: 'one head' },
    { atUs: 2_601, what: 'one rest' },
  ]);
  stage.provider.finish();
  t.deepEqual(stage.deviations, []);
});

test('answers are found by what is asked, in any order, and the same ones one after the other', async (t) => {
  const stage = new ReplayStage([
    connection(1, asked(1, speak('First.'), 'first')),
    connection(2, asked(2, speak('Same.'), 'same, once', 2_000)),
    connection(3, asked(3, speak('Same.'), 'same, twice', 3_000)),
  ]);
  const ask = (text: string) => stage.ask(head(speak(text)) + speak(text));
  const heard = await stage.clock.run(Promise.all([ask('Same.'), ask('Same.'), ask('First.')]));
  t.deepEqual(
    heard.map(([first]) => first?.what),
    ['same, once head', 'same, twice head', 'first head'],
  );
  t.deepEqual(stage.deviations, []);
  const [again] = await stage.clock.run(ask('Same.'));
  t.is(again?.what, 'error ECONNRESET');
  t.is(stage.deviations[0]?.code, 'REPLAY_REQUEST_REPEATED');
  t.regex(
    stage.deviations[0]!.message,
    /^A request was recorded 2 times and is made once more: .*Same\./,
  );
});

test('a request that differs is refused, and what differs is named', async (t) => {
  const stage = new ReplayStage([
    connection(1, asked(1, speak('Something else.'), 'far')),
    connection(2, asked(2, speak('Hello.'), 'near')),
  ]);
  const body = speak('Hello.', 'coral');
  const request = head(body).replace('model: s1', 'model: s2').replace('format=pcm', 'format=wav');
  const heard = await stage.clock.run(stage.ask(request + body));
  t.deepEqual(
    heard.map(({ what }) => what),
    ['error ECONNRESET'],
  );
  stage.provider.finish();
  const [differs, ...missing] = stage.deviations;
  t.is(differs?.code, 'REPLAY_REQUEST_DIFFERS');
  t.is(differs?.exchange, 2);
  t.deepEqual(differs?.differences, [
    { where: 'query parameter "format"', recorded: '"pcm"', now: '"wav"' },
    { where: 'header "model"', recorded: '"s1"', now: '"s2"' },
    { where: 'body, voice', recorded: '"ash"', now: '"coral"' },
  ]);
  t.true(differs?.message.includes('body, voice: recorded "ash", now "coral"'));
  t.deepEqual(
    missing.map(({ code, exchange }) => [code, exchange]),
    [
      ['REPLAY_REQUEST_MISSING', 1],
      ['REPLAY_REQUEST_MISSING', 2],
    ],
  );
});

test('credentials, dates, names of programs and the order of members do not count', async (t) => {
  const recorded = '{"voice":"ash","input":"Hi.","api_key":"***","timestamp":1}';
  const stage = new ReplayStage([
    connection(1, [
      [0, 'open'],
      [0, 'head', head(recorded, ['Date: yesterday', 'User-Agent: a'])],
      [0, 'body', recorded],
      [0, 'received', 'answer'],
    ]),
  ]);
  const now = '{"timestamp":2,"input":"Hi.","api_key":"other","voice":"ash"}';
  const request = head(now, ['Date: today', 'User-Agent: b']).replace('[redacted]', 'Bearer abc');
  const heard = await stage.clock.run(stage.ask(request + now));
  t.is(heard[0]?.what, 'answer');
  t.deepEqual(stage.deviations, []);
});

test('cuts, ends, stalls and connections that never came about happen as they did', async (t) => {
  const body = speak('Hi.');
  const start = (atUs: number): PlantedStep[] => [
    [atUs, 'open'],
    [atUs, 'head', head(body)],
    [atUs, 'body', body],
    [atUs + 10, 'received', 'part'],
  ];
  const stage = new ReplayStage([
    connection(1, [[5_000, 'refused', 'Nobody answers.']]),
    connection(2, [[9_000, 'abandoned']]),
    connection(3, [...start(10_000), [10_700, 'broken', 'ECONNRESET']]),
    connection(4, [...start(20_000), [20_300, 'end']]),
    connection(5, [...start(30_000), [39_000, 'closed']]),
  ]);
  const { clock, provider } = stage;
  const outcome = async (): Promise<void> => {
    const refused = await t.throwsAsync(stage.dial());
    t.like(refused, { code: 'NETWORK_REFUSED', message: 'Nobody answers.', hint: 'Try again.' });
    t.is(clock.nowUs(), 100);
    const abort = new AbortController();
    clock.after(900, () => abort.abort(new Error('gave up')));
    await t.throwsAsync(
      provider.dial({ host: 'speech.test', port: 443, secure: true }, abort.signal),
      { message: 'gave up' },
    );
    t.is(clock.nowUs(), 1_000);
    const from = clock.nowUs();
    const heard = [];
    for (let i = 0; i < 3; i++) heard.push(await stage.ask(head(body) + body, 2_900));
    t.deepEqual(
      heard.map((each, i) => each.map(({ atUs, what }) => [atUs - from - i * 3_000, what])),
      [
        [
          [110, 'part'],
          [800, 'error ECONNRESET'],
        ],
        [
          [110, 'part'],
          [400, 'end'],
        ],
        [[110, 'part']],
      ],
    );
  };
  await clock.run(outcome());
  t.deepEqual(stage.deviations, []);
});

test('two utterances that begin alike find their answers when their texts come, under their own ids', async (t) => {
  const key = 'AAAAAAAAAAAAAAAAAAAAAA==';
  const accept = (of: string): string =>
    createHash('sha1').update(`${of}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  const run = (id: string) => JSON.stringify({ header: { action: 'run-task', task_id: id } });
  const say = (id: string, text: string) =>
    JSON.stringify({ header: { action: 'continue-task', task_id: id }, payload: { text } });
  const recorded = (number: number, id: string, text: string): ReturnType<typeof connection> =>
    connection(number, [
      [number * 1_000, 'open'],
      [number * 1_000, 'head', `${[...upgrade, `Sec-WebSocket-Key: ${key}`].join('\r\n')}\r\n\r\n`],
      [
        number * 1_000,
        'received',
        `HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: ${accept(key)}\r\n\r\n`,
      ],
      [number * 1_000, 'frame', run(id)],
      // The id stands over the boundary of two pieces.
      [number * 1_000 + 20, 'received', `started ${id.slice(0, 3)}`],
      [number * 1_000 + 21, 'received', id.slice(3)],
      [number * 1_000 + 30, 'frame', say(id, text)],
      [number * 1_000 + 80, 'received', `${text} of ${id}`],
    ]);
  const stage = new ReplayStage([recorded(1, 'id-1', 'Tic.'), recorded(2, 'id-2', 'Tac.')]);
  const mask = Buffer.from([7, 0, 255, 1]);
  const frame = (text: string) => encodeFrame({ opcode: 1, payload: Buffer.from(text) }, mask);
  const speakNow = async (id: string, text: string, ownKey: string): Promise<string> => {
    const { stream, heard } = await stage.dial();
    stream.write(`${[...upgrade, `Sec-WebSocket-Key: ${ownKey}`].join('\r\n')}\r\n\r\n`);
    await stage.clock.sleep(10);
    stream.write(frame(run(id)));
    await stage.clock.sleep(100);
    stream.write(frame(say(id, text)));
    await stage.clock.sleep(100);
    stream.destroy();
    return heard.map(({ what }) => what).join('|');
  };
  const own = ['Tx1ZS4BpbTjkeWGTyWD3zQ==', 'bWFzayBvZiBhIGtleSAxMg=='] as const;
  const heard = await stage.clock.run(
    Promise.all([speakNow('id-8', 'Tac.', own[0]), speakNow('id-9', 'Tic.', own[1])]),
  );
  const answer = (of: string, id: string, text: string): string =>
    `HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: ${accept(of)}\r\n\r\n|started ${id.slice(0, 3)}|${id.slice(3)}|${text} of ${id}`;
  t.deepEqual(heard, [answer(own[0], 'id-8', 'Tac.'), answer(own[1], 'id-9', 'Tic.')]);
  stage.provider.finish();
  t.deepEqual(stage.deviations, []);
});

test('a client is read the same however its bytes are cut, without masks, keys and credentials', (t) => {
  const mask = Buffer.from([9, 8, 7, 6]);
  const chunked = 'POST /a?api_key=sk_secret&x=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n';
  const all = Buffer.concat([
    Buffer.from(head('{"token":"sk_secret","input":"Hi."}').replace('[redacted]', 'sk_secret')),
    Buffer.from('{"token":"sk_secret","input":"Hi."}'),
    Buffer.from(`${chunked}5\r\nHello\r\n0;x=y\r\nTrailer: 1\r\n\r\n`),
    Buffer.from(`${[...upgrade, 'Sec-WebSocket-Key: c2VjcmV0'].join('\r\n')}\r\n\r\n`),
    encodeFrame({ opcode: 1, payload: Buffer.from('{"xi_api_key":"sk_secret","text":" "}') }, mask),
    encodeFrame({ opcode: 2, payload: Buffer.from('sound') }, mask),
  ]);
  const read = (cuts: readonly number[]): string[] => {
    const client = new ClientBytes();
    const parts: { kind: string; bytes: Buffer; last: boolean }[] = [];
    const bounds = [0, ...[...cuts].sort((a, b) => a - b), all.length];
    for (let i = 1; i < bounds.length; i++) {
      parts.push(...client.push(all.subarray(bounds[i - 1], bounds[i])));
      // The answer comes when the whole handshake has been sent, at the latest behind everything.
      if (client.pendingKey !== undefined && i === bounds.length - 1)
        parts.push(...client.answered(101));
    }
    const joined: string[] = [];
    let body: Buffer[] = [];
    for (const { kind, bytes, last } of parts) {
      if (kind === 'body') {
        body.push(bytes);
        if (!last) continue;
        joined.push(`body ${Buffer.concat(body).toString('latin1')}`);
        body = [];
      } else if (kind === 'frame') {
        const [frame] = new FrameReader().push(bytes);
        t.deepEqual([...bytes.subarray(2, 6)], [0, 0, 0, 0], 'the mask changes nothing');
        joined.push(`frame ${Buffer.from(frame!.payload).toString()}`);
      } else joined.push(`head ${bytes.toString('latin1').replaceAll('\r\n', '|')}`);
    }
    return joined;
  };
  const whole = read([]);
  t.deepEqual(whole.slice(1), [
    'body {"token":"*********","input":"Hi."}',
    'head POST /a?api_key=[redacted]&x=1 HTTP/1.1|Transfer-Encoding: chunked||',
    'body 5\r\nHello\r\n0;x=y\r\nTrailer: 1\r\n\r\n',
    'head GET /stream HTTP/1.1|Host: speech.test|Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Version: 13|Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==||',
    'frame {"xi_api_key":"*********","text":" "}',
    'frame sound',
  ]);
  t.regex(whole[0]!, /^head POST .*Authorization: \[redacted\]/);
  const secretStart = all.indexOf('"token"');
  fc.assert(
    fc.property(fc.array(fc.nat(all.length), { maxLength: 12 }), (cuts) => {
      // A credential in a body is found where it is not cut; the recording looks for its value as well.
      const safe = cuts.filter((cut) => cut <= secretStart || cut > secretStart + 20);
      t.deepEqual(read(safe), whole);
    }),
    { seed: 6, numRuns: 200 },
  );
});
