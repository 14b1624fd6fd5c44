import { decode, encode } from '@msgpack/msgpack';
import test from 'ava';
import {
  difference,
  type GoldenConversation,
  goldenConversations,
  gsvExchanges,
} from '../../adapters/golden-conversations.contract.ts';
import { converse, exactProfile, laboratory, type SocketRecord } from './test-client.ts';
import type { TimingProfile } from './timing-profile.ts';

/** The timing that each conversation has in the reference, without chance. */
const stages: Readonly<
  Record<string, { readonly platform: string; readonly timing?: Partial<TimingProfile> }>
> = {
  'section 6.9, ElevenLabs stream-input': {
    platform: 'elevenlabs',
    timing: { firstChunkSeconds: 1, nextChunkSeconds: [{ minimum: 10, maximum: 10 }] },
  },
  'section 6.3, ElevenLabs multi-stream-input': { platform: 'elevenlabs' },
  'section 6.4, ElevenLabs dialogue': {
    platform: 'elevenlabs',
    timing: {
      firstByteMs: { p50: 240, p95: 240 },
      firstChunkSeconds: 1.23,
      nextChunkSeconds: [{ minimum: 10, maximum: 10 }],
      cadenceMs: [{ minimum: 1_250, maximum: 1_250 }],
    },
  },
  'section 7.8, Fish Audio live': {
    platform: 'fish',
    timing: {
      firstByteMs: { p50: 300, p95: 300 },
      firstChunkSeconds: 0.46,
      nextChunkSeconds: [{ minimum: 10, maximum: 10 }],
      cadenceMs: [{ minimum: 60, maximum: 60 }],
    },
  },
  'sections 9.2, 9.3 and 9.8, DashScope': { platform: 'cosyvoice' },
};

for (const golden of goldenConversations) {
  test(`golden conversation of ${golden.title}, with the stand-in as the service`, async (t) => {
    const { platform, timing } = stages[golden.title]!;
    const lab = await laboratory(platform, { profile: exactProfile(timing) });
    const script = golden.lines.flatMap(({ ms, client }): [number, unknown][] =>
      client === undefined ? [] : [[ms - golden.acceptedMs, written(client, golden)]],
    );
    const record = await converse(lab, golden.path, script, { ...golden.headers });
    const at = (us: number): number => us / 1_000 + golden.acceptedMs;
    const said = record.messages.map((message) => [at(message.atUs), read(message, golden)]);
    const expected = golden.lines.filter(({ service }) => service !== undefined);
    t.deepEqual(
      said.map(([ms]) => ms),
      expected.map(({ ms }) => ms),
    );
    t.deepEqual(
      expected.flatMap(({ ms, service }, i) => difference(said[i]![1], service, `${ms} ms`) ?? []),
      [],
    );
    const close = golden.lines.find(({ close }) => close !== undefined)!;
    t.deepEqual([at(record.closed!.atUs), record.closed!.code], [close.ms, close.close]);
  });
}

function written(message: unknown, { encoding }: GoldenConversation): unknown {
  return encoding === 'json' ? message : encode(message);
}

/** A binary frame is MessagePack on a socket that speaks it, else audio. */
function read(
  { text, bytes }: SocketRecord['messages'][number],
  { encoding }: GoldenConversation,
): unknown {
  if (bytes === undefined) return JSON.parse(text);
  return encoding === 'json' ? bytes : decode(bytes);
}

for (const golden of gsvExchanges) {
  test(`golden exchange of section 8.1, gsv_tts, with the stand-in as the service: ${golden.title}`, async (t) => {
    const { clock, post } = await laboratory('stream_gsv');
    const { status, headers, body, chunks, end } = await clock.run(
      post(golden.path, golden.request, { headers: { authorization: '' } }),
    );
    t.is(status, golden.status);
    t.like(headers, golden.headers);
    t.is(end, 'complete');
    const stream = golden.headers['transfer-encoding'] === 'chunked';
    if (!stream) t.is(headers['content-length'], String(body.length));
    if (golden.body !== 'audio') {
      t.is(body.toString(), golden.body);
      return;
    }
    const rateHz = Number(golden.request['sample_rate']);
    // Section 2.2: a plain header, whose sizes count one sample too many when the count is odd.
    const header = stream ? 0 : 44;
    if (!stream) {
      t.is(body.toString('latin1', 0, 4) + body.toString('latin1', 8, 16), 'RIFFWAVEfmt ');
      const [code, channels] = [body.readUInt16LE(20), body.readUInt16LE(22)];
      const [rate, bits] = [body.readUInt32LE(24), body.readUInt16LE(34)];
      t.deepEqual([code, channels, rate, bits], [1, 1, rateHz, 16]);
      const data = body.length - header;
      t.is(body.readUInt32LE(40), data + (data % 4));
    }
    // 0.3 s of zeros close a sentence.
    const tail = body.subarray(-2 * 0.3 * rateHz);
    t.true(tail.every((byte) => byte === 0));
    t.true(body.subarray(header, -tail.length).some((byte) => byte !== 0));
    const sizes = chunks.map(({ data }) => data.length);
    const ladder = golden.chunkSeconds?.map((seconds) => seconds * rateHz * 2) ?? [];
    t.deepEqual(sizes.slice(0, ladder.length), ladder);
    t.is(sizes.length, ladder.length + 1);
  });
}

test('every golden conversation was played', (t) => {
  t.deepEqual(
    goldenConversations.map(({ title }) => title),
    Object.keys(stages),
  );
});
