/** The serial link to a board: frames among console text, their bodies, messages, compressed audio, and a whole end. */
import { isDeepStrictEqual } from 'node:util';
import { AdpcmEncoder, decodeAdpcm } from '../../../firmware-protocol/serial-link/adpcm.ts';
import { cobsEncode } from '../../../firmware-protocol/serial-link/cobs.ts';
import { SerialLinkEndpoint } from '../../../firmware-protocol/serial-link/endpoint.ts';
import {
  encodeSerialLinkFrame,
  SerialLinkDecoder,
  type SerialLinkItem,
} from '../../../firmware-protocol/serial-link/frame.ts';
import {
  decodeLinkFrame,
  encodeLinkFrame,
  type SerialLinkFrame,
  serialLinkCapabilities,
} from '../../../firmware-protocol/serial-link/link-frame.ts';
import {
  decodeSerialLinkMessage,
  encodeSerialLinkMessage,
  serialLinkMessageRules,
} from '../../../firmware-protocol/serial-link/message.ts';
import type { Random } from '../../random/random.ts';
import { chance, joined, length, list, oneOf, text, utf8 } from '../draws.ts';
import { type FuzzTarget, must } from '../fuzz-target.ts';

const bodyMaximum = 360;

function drawnFrame(random: Random): SerialLinkFrame {
  const u8 = () => random.integer(0, 255);
  const u32 = () => random.integer(0, 0xffff_ffff);
  const payload = () => random.bytes(length(random, 200));
  const bool = () => chance(random, 0.5);
  return oneOf<() => SerialLinkFrame>(random, [
    () => ({
      kind: 'hello',
      version: chance(random, 0.8) ? 1 : u8(),
      lowestVersion: chance(random, 0.8) ? 1 : u8(),
      role: oneOf(random, ['host', 'board']),
      replyWanted: bool(),
      session: 1 + (u32() % 0xffff_fffe),
      peerSession: oneOf(random, [0, 7, u32()]),
      rest: bool()
        ? null
        : {
            frameMaximumBytes: random.integer(0, 0xffff),
            window: u8(),
            credit: u8(),
            messageMaximumBytes: u32(),
            capabilities: serialLinkCapabilities.filter(bool),
            name: text(random),
          },
    }),
    () => ({
      kind: 'refuse',
      session: u32(),
      reason: 'version',
      version: u8(),
      lowestVersion: u8(),
    }),
    () => ({
      kind: 'close',
      session: u32(),
      reason: oneOf(random, ['finished', 'violation', null]),
    }),
    () => ({ kind: 'ack', ack: u8(), credit: u8(), resend: bool(), poll: bool() }),
    () => {
      const first = bool();
      return {
        kind: 'data',
        sequence: random.integer(0, 3),
        ack: u8(),
        credit: u8(),
        first,
        last: bool(),
        urgent: chance(random, 0.2),
        type: first ? random.integer(0, 13) : 0,
        payload: payload(),
      };
    },
    () => ({ kind: 'loose', type: random.integer(0, 13), payload: payload() }),
    () => ({ kind: 'ping', token: u32() }),
    () => ({ kind: 'pong', token: u32(), clockUs: random.integer(0, 2 ** 40) }),
  ])();
}

function drawnLine(random: Random): Uint8Array {
  return joined(
    ...list(random, 8, () =>
      oneOf(random, [
        () => encodeSerialLinkFrame(encodeLinkFrame(drawnFrame(random))),
        () => utf8(`I (${random.integer(0, 99_999)}) app: ${text(random)}\r\n`),
        () => random.bytes(length(random, 40)),
        () => Uint8Array.of(0, 0xc1),
      ])(),
    ),
  );
}

export const serialFrames: FuzzTarget = {
  name: 'serial-frames',
  about: 'frames of the serial link among console text',
  share: 80,
  longestBytes: 64 << 10,
  arrival: 'stream',
  refusals: [],
  tokens: ['\0', '\0\0', '\u0001', 'I (1) a: b\r\n'],
  draw: drawnLine,
  open: () => {
    return (pieces) => {
      const decoder = new SerialLinkDecoder({ frameMaximumBytes: bodyMaximum });
      const found: SerialLinkItem[] = [];
      for (const piece of pieces) found.push(...decoder.push(piece));
      found.push(...decoder.giveUp());
      must(!decoder.isWaiting, 'sound-account', () => 'still waiting after giving up');
      checkNothingLost(found, joined(...pieces));
      return [joinedText(found), decoder.counts];
    };
  },
};

/** Text that lies together is one item, however it came. */
function joinedText(items: readonly SerialLinkItem[]): unknown[] {
  const out: unknown[] = [];
  let texts: Uint8Array[] = [];
  const flush = (): void => {
    if (texts.length > 0) out.push({ kind: 'text', bytes: joined(...texts) });
    texts = [];
  };
  for (const item of items) {
    if (item.kind === 'text') texts.push(item.bytes);
    else {
      flush();
      out.push(item);
    }
  }
  flush();
  return out;
}

/** Only zeros and the marker of what began like a frame are in no item. */
function checkNothingLost(items: readonly SerialLinkItem[], input: Uint8Array): void {
  let there = 0;
  for (const item of items) {
    if (item.kind === 'text') there += withoutZeros(item.bytes);
    else if (item.kind === 'damaged') there += 1 + withoutZeros(item.bytes);
    else {
      const stuffed = cobsEncode(item.body);
      // Stuffing can be written in more than one way; a longer one than ours is no loss.
      there += 1 + stuffed.length + 6;
    }
  }
  const given = withoutZeros(input);
  const hasFrames = items.some(({ kind }) => kind === 'frame');
  const isWhole = hasFrames ? there <= given + items.length * 2 : there === given;
  must(
    isWhole,
    'nothing-lost',
    () => `${given} bytes without zeros came, ${there} are accounted for`,
  );
}

function withoutZeros(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) if (byte !== 0) count++;
  return count;
}

export const serialBodies: FuzzTarget = {
  name: 'serial-bodies',
  about: 'bodies of serial frames, the messages in them, and IMA ADPCM',
  share: 80,
  longestBytes: 4096,
  arrival: 'whole',
  headBytes: 2,
  refusals: [],
  tokens: ['{"mac":"', '{"', '\0\0\0\0'],
  draw: (random) => {
    const head = Uint8Array.of(random.integer(0, 14), random.integer(0, 1));
    const body = oneOf(random, [
      () => encodeLinkFrame(drawnFrame(random)),
      () => utf8(JSON.stringify({ firmware: text(random), mac: text(random) })),
      () => joined(Uint8Array.of(random.integer(0, 3)), utf8(text(random))),
      () =>
        new AdpcmEncoder().encode(Int16Array.from(random.bytes(length(random, 60)), (b) => b * 99)),
      () => random.bytes(length(random, 40)),
    ])();
    return joined(head, body);
  },
  open: () => {
    return ([input]) => {
      const [code = 0, end = 0] = input!;
      const body = input!.subarray(2);
      const frame = decodeLinkFrame(body);
      if (frame !== null) {
        const again = decodeLinkFrame(encodeLinkFrame(frame));
        // A name that is cut in a character gets U+FFFD, which is longer than what it stands for.
        const isLong = frame.kind === 'hello' && utf8(frame.rest?.name ?? '').length > 64;
        must(isLong || isDeepStrictEqual(again, frame), 'round-trip', () => frame.kind);
      }
      const from = end % 2 === 0 ? 'host' : 'board';
      const result = decodeSerialLinkMessage(code, body, from);
      if (result.ok) {
        const bytes = encodeSerialLinkMessage(result.message);
        const { code: own } = serialLinkMessageRules[result.message.type];
        const again = decodeSerialLinkMessage(own, bytes, from);
        must(isDeepStrictEqual(again, result), 'round-trip', () => result.message.type);
      } else must(result.reason !== '', 'sound-account', () => 'a refusal without a reason');
      const samples = decodeAdpcm(body);
      const most = body.length * 2;
      must((samples?.length ?? 0) <= most, 'sound-account', () => `${samples?.length} samples`);
      return [frame, result, samples];
    };
  },
};

export const serialEndpoint: FuzzTarget = {
  name: 'serial-endpoint',
  about: 'one end of the serial link, connected or not, with everything it is told',
  share: 40,
  longestBytes: 16 << 10,
  arrival: 'stream',
  headBytes: 1,
  refusals: [],
  tokens: ['\0', '\u0001'],
  draw: (random) => {
    const role = random.integer(0, 1);
    const hello = encodeLinkFrame({
      kind: 'hello',
      version: 1,
      lowestVersion: 1,
      role: role === 0 ? 'board' : 'host',
      replyWanted: chance(random, 0.5),
      session: 5,
      peerSession: 7,
      rest: {
        frameMaximumBytes: oneOf(random, [96, 360, 4096]),
        window: oneOf(random, [1, 8, 127]),
        credit: 8,
        messageMaximumBytes: 4096,
        capabilities: [...serialLinkCapabilities],
        name: 'fuzz',
      },
    });
    const data = list(random, 6, () => {
      const frame = drawnFrame(random);
      return encodeSerialLinkFrame(encodeLinkFrame(frame));
    });
    return joined(Uint8Array.of(role), encodeSerialLinkFrame(hello), ...data, drawnLine(random));
  },
  open: () => {
    return (pieces) => {
      const events: unknown[] = [];
      const text: Uint8Array[] = [];
      let out = 0;
      const end = new SerialLinkEndpoint({
        role: (pieces[0]?.[0] ?? 0) % 2 === 0 ? 'host' : 'board',
        bytesPerSecond: 92_160,
        capabilities: [...serialLinkCapabilities],
        newSession: () => 7,
        output: (bytes) => {
          out += bytes.length;
        },
        onEvent: (event) => {
          if (event.kind === 'text') text.push(event.bytes.slice());
          else events.push(structuredClone(event));
        },
      } as ConstructorParameters<typeof SerialLinkEndpoint>[0]);
      end.start(0);
      let given = 0;
      for (const [i, piece] of pieces.entries()) {
        const bytes = i === 0 ? piece.subarray(1) : piece;
        given += bytes.length;
        end.receive(bytes, 1);
      }
      // However much it is told, an end that was sent nothing to say answers with frames about the link.
      must(out < 4096 + 40 * given, 'sound-account', () => `${given} bytes made it send ${out}`);
      return [events, joined(...text), end.statistics.messagesReceived];
    };
  },
};
