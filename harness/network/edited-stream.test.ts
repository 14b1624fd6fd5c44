import test from 'ava';
import fc from 'fast-check';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { EditedStream } from './edited-stream.ts';
import { createStreamPair } from './memory-stream.ts';
import { encodeFrame, FrameReader, opcodes } from './web-socket-frame.ts';
import type { WireEdit } from './wire-edit.ts';

const chunked = (...chunks: string[]): string =>
  `HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nTransfer-Encoding: chunked\r\n\r\n${chunks
    .map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`)
    .join('')}0\r\n\r\n`;
const sized = (body: string): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const upgrade = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n';

/** What a client gets of what a server writes through edits, and when the last of it came. */
async function carried(
  pieces: readonly Uint8Array[],
  edits: readonly WireEdit[] = [],
  end = true,
): Promise<{ readonly bytes: Buffer; readonly atUs: number; readonly ended: boolean }> {
  const clock = new SimulatedClock();
  const { client, server } = createStreamPair(() => clock.noteActivity());
  const stream = new EditedStream(server, clock, () => edits);
  const got: Buffer[] = [];
  let atUs = 0;
  let ended = false;
  client.on('data', (chunk: Buffer) => {
    got.push(chunk);
    atUs = clock.nowUs();
  });
  client.on('end', () => {
    ended = true;
  });
  for (const piece of pieces) stream.write(piece);
  if (end) stream.end();
  await clock.run(clock.sleep(60_000_000));
  return { bytes: Buffer.concat(got), atUs, ended };
}

test('without an edit every answer is the same to the byte, however its bytes are cut', async (t) => {
  const frames = [
    encodeFrame({ opcode: opcodes.text, payload: Buffer.from('{"audio":"AAAA"}') }),
    encodeFrame({ opcode: opcodes.binary, payload: Buffer.alloc(70_000, 7) }),
    encodeFrame({ opcode: opcodes.ping, payload: Buffer.from('?') }),
    encodeFrame({ opcode: opcodes.close, payload: Buffer.from([3, 232]) }),
  ];
  const answer = fc.oneof(
    fc
      .array(fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme-ascii' }), { maxLength: 5 })
      .map((chunks) => Buffer.from(chunked(...chunks))),
    fc.string({ maxLength: 60, unit: 'grapheme-ascii' }).map((body) => Buffer.from(sized(body))),
    fc.constant(Buffer.from('HTTP/1.1 204 No Content\r\n\r\n')),
  );
  const last = fc.constantFrom(
    Buffer.concat([Buffer.from(upgrade), ...frames]),
    Buffer.from('HTTP/1.1 200 OK\r\n\r\nuntil the connection ends'),
    Buffer.from(`${chunked('ab').slice(0, -5)}zz\r\nno size\r\n0\r\n\r\n`),
    Buffer.alloc(0),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(answer, { maxLength: 3 }),
      last,
      fc.array(fc.integer({ min: 1, max: 97 }), { minLength: 1, maxLength: 8 }),
      async (answers, tail, cuts) => {
        const whole = Buffer.concat([...answers, tail]);
        const pieces: Buffer[] = [];
        for (let at = 0, i = 0; at < whole.length; i++) {
          const size = cuts[i % cuts.length]!;
          pieces.push(whole.subarray(at, at + size));
          at += size;
        }
        const { bytes, ended } = await carried(pieces);
        t.true(bytes.equals(whole));
        t.true(ended);
      },
    ),
    { seed: 8, numRuns: 60 },
  );
});

test('a wait holds back a piece and all behind it, and a second edit sees what the first one sends', async (t) => {
  let bodies = 0;
  const late: WireEdit = {
    edit: (piece) =>
      piece.kind === 'body' && ++bodies === 2
        ? [
            { act: 'wait', us: 3_000_000 },
            { act: 'send', bytes: Buffer.from('second') },
          ]
        : undefined,
  };
  const loud: WireEdit = {
    edit: (piece) =>
      piece.kind === 'body'
        ? [{ act: 'send', bytes: Buffer.from(piece.bytes.toString().toUpperCase()) }]
        : undefined,
  };
  const { bytes, atUs } = await carried(
    [Buffer.from(chunked('one', 'two', 'three'))],
    [late, loud],
  );
  t.is(bytes.toString(), chunked('ONE', 'SECOND', 'THREE'));
  t.is(atUs, 3_000_000);
});

test('mute leaves the connection open, close ends it, and a pong lets go of what waits for it', async (t) => {
  const second = (act: WireEdit['edit']): WireEdit => {
    let bodies = 0;
    return { edit: (piece) => (piece.kind === 'body' && ++bodies === 2 ? act(piece) : undefined) };
  };
  const written = [Buffer.from(chunked('one', 'two', 'three'))];
  const until = (text: string) => chunked('one', 'two', 'three').split(text)[0]!;
  const mute = await carried(written, [second(() => [{ act: 'mute' }])]);
  t.is(mute.bytes.toString(), until('3\r\ntwo'));
  t.false(mute.ended);
  const close = await carried(written, [second(() => [{ act: 'close', how: 'end' }])], false);
  t.is(close.bytes.toString(), until('3\r\ntwo'));
  t.true(close.ended);

  const clock = new SimulatedClock();
  const { client, server } = createStreamPair(() => clock.noteActivity());
  const hold: WireEdit = {
    edit: ({ kind, bytes }) =>
      kind === 'message'
        ? [{ act: 'send', bytes, opcode: opcodes.text }, { act: 'await-pong' }]
        : undefined,
  };
  const stream = new EditedStream(server, clock, () => [hold]);
  const reader = new FrameReader();
  const got: number[] = [];
  let head = true;
  client.on('data', (chunk: Buffer) => {
    const rest = head ? chunk.subarray(upgrade.length) : chunk;
    head = false;
    for (const { opcode } of reader.push(rest)) {
      got.push(opcode);
      if (opcode !== opcodes.ping) continue;
      const pong = encodeFrame(
        { opcode: opcodes.pong, payload: Buffer.from('hold') },
        Buffer.alloc(4),
      );
      clock.after(1_000_000, () => client.write(pong));
    }
  });
  // Nobody reads what the client says, as a server would.
  stream.resume();
  stream.write(upgrade);
  for (const payload of ['a', 'b']) {
    stream.write(encodeFrame({ opcode: opcodes.text, payload: Buffer.from(payload) }));
  }
  await clock.run(clock.sleep(500_000));
  t.deepEqual(got, [opcodes.text, opcodes.ping]);
  await clock.run(clock.sleep(2_000_000));
  t.deepEqual(got, [opcodes.text, opcodes.ping, opcodes.text, opcodes.ping]);
});
