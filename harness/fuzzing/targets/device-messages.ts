/** What server and board say to each other over their socket, at both ends. */
import { isDeepStrictEqual } from 'node:util';
import {
  buildConnectUrl,
  type ClientCommand,
  decodeClientCommand,
  decodeServerEvent,
  encodeClientCommand,
  encodeServerEvent,
  parseConnectUrl,
  type ServerEvent,
  type ServerEventDialect,
} from '../../../firmware-protocol/index.ts';
import type { Random } from '../../random/random.ts';
import {
  boundaryTexts,
  chance,
  joined,
  json,
  length,
  list,
  messagePackHeads,
  oneOf,
  text,
  textOf,
  utf8,
  word,
} from '../draws.ts';
import { type FuzzTarget, must } from '../fuzz-target.ts';

const dialects: readonly ServerEventDialect[] = [
  'any',
  'server',
  'firmware',
  'firmware-0.3.0',
  'firmware-0.2',
];
const forms = ['canonical', 'bin', 'named'] as const;

function drawnEvent(random: Random): ServerEvent {
  const data = random.bytes(length(random, 300));
  const vowel = random.integer(0, 255);
  return oneOf<() => ServerEvent>(random, [
    () => ({ type: 'HelloStart' }),
    () => ({ type: 'HelloChunk', data }),
    () => ({ type: 'ASR', text: text(random) }),
    () => ({ type: 'Action', action: text(random) }),
    () => ({ type: 'Choices', message: text(random), items: list(random, 20, () => text(random)) }),
    () => ({ type: 'StartAudio', text: text(random, 300) }),
    () => ({ type: 'AudioChunk', data }),
    () => ({ type: 'DisplayText', text: text(random) }),
    () => ({ type: 'AudioChunkWithVowel', data, vowel }),
    () => ({
      type: 'AudioChunki16',
      data: Int16Array.from(data, (byte, i) => (byte << 8) | (data[i + 1] ?? 0)),
      vowel,
    }),
    () => ({ type: 'EndAudio' }),
    () => ({ type: 'EndResponse' }),
    () => ({ type: 'EndVad' }),
  ])();
}

const markers = [
  0x80, 0x81, 0x90, 0x92, 0xc0, 0xc4, 0xc6, 0xc7, 0xcb, 0xcf, 0xd3, 0xd9, 0xdc, 0xdd, 0xdf,
];

export const serverEvents: FuzzTarget = {
  name: 'server-events',
  about: 'messages of the server to a board: MessagePack, by the lists of every firmware',
  share: 90,
  longestBytes: 48 << 10,
  arrival: 'whole',
  headBytes: 1,
  refusals: [],
  tokens: [
    ...messagePackHeads,
    ...['HelloChunk', 'ASR', 'Action', 'Choices', 'AudioChunkWithVowel', 'AudioChunki16'],
    ...['data', 'text', 'vowel', 'items', 'message'],
  ],
  draw: (random) => {
    const event = encodeServerEvent(drawnEvent(random), { form: oneOf(random, forms) });
    const marked = chance(random, 0.2)
      ? joined(Uint8Array.of(oneOf(random, markers)), event, Uint8Array.of(oneOf(random, markers)))
      : event;
    return joined(Uint8Array.of(random.integer(0, dialects.length - 1)), marked);
  },
  open: () => {
    return ([input]) => {
      const dialect = dialects[(input![0] ?? 0) % dialects.length]!;
      const message = input!.subarray(1);
      const result = decodeServerEvent(message, { dialect });
      if (!result.ok) {
        must(result.reason !== '', 'sound-account', () => 'a refusal without a reason');
        return result.reason;
      }
      for (const form of forms) {
        const again = decodeServerEvent(encodeServerEvent(result.event, { form }), {
          dialect: 'any',
        });
        const same = again.ok && isDeepStrictEqual(again.event, result.event);
        must(same, 'round-trip', () => `${result.event.type} as ${form}`);
      }
      return result.event;
    };
  },
};

function drawnCommand(random: Random): string {
  const command = oneOf<() => ClientCommand>(random, [
    () => ({ event: 'StartChat' }),
    () => ({ event: 'Submit' }),
    () => ({ event: 'StartRecord' }),
    () => ({ event: 'Text', input: text(random) }),
    () => ({ event: 'Select', index: random.integer(0, 1000) }),
  ])();
  const whole = encodeClientCommand(command);
  if (chance(random, 0.6)) return whole;
  const more = JSON.stringify({
    [word(random)]: json(random),
    index: json(random),
    input: json(random),
  });
  return `${whole.slice(0, -1)},${more.slice(1)}`;
}

export const clientCommands: FuzzTarget = {
  name: 'client-commands',
  about: 'messages of a board to the server: JSON',
  share: 70,
  longestBytes: 48 << 10,
  arrival: 'whole',
  refusals: [],
  tokens: [
    ...['{', '[', '"', '":', '{"a":', '[[', '"event":"Select","index":', '"input":"\\ud800"', '-0'],
    ...['__proto__', '\\u0000', ...boundaryTexts],
  ],
  draw: (random) => utf8(drawnCommand(random)),
  open: () => {
    return ([input]) => {
      const result = decodeClientCommand(textOf(input!));
      if (!result.ok) {
        must(result.reason !== '', 'sound-account', () => 'a refusal without a reason');
        return result.reason;
      }
      const again = decodeClientCommand(encodeClientCommand(result.command));
      must(isDeepStrictEqual(again, result), 'round-trip', () => result.command.event);
      return result.command;
    };
  },
};

function drawnTarget(random: Random): string {
  if (chance(random, 0.5)) {
    const flag = () => chance(random, 0.5);
    return buildConnectUrl({
      base: oneOf(random, ['/ws/', '/v2/stable_ws/', '/v1/record/', '/ws']),
      deviceId: word(random),
      ...{ reconnect: flag(), opus: flag(), vowel: flag(), streamAsr: flag(), record: flag() },
    });
  }
  const query = list(random, 6, () => {
    const key = oneOf(random, ['opus', 'vowel', 'record', 'stream_asr', 'reconnect', word(random)]);
    return `${key}=${oneOf(random, ['true', 'false', '1', '', 'TRUE', text(random, 5)])}`;
  });
  return `/ws/${text(random)}%${oneOf(random, ['41', 'ff', 'c3%a9', '2F', 'zz', ''])}?${query.join('&')}`;
}

export const connectUrls: FuzzTarget = {
  name: 'connect-urls',
  about: 'path and query under which a board connects',
  share: 40,
  longestBytes: 16 << 10,
  arrival: 'whole',
  refusals: [],
  tokens: [
    '/ws/',
    '/v1/record/',
    '?',
    '&',
    '=',
    '%',
    '%2e%2e',
    '%00',
    '%e4%bd%a0',
    '..',
    '#',
    'opus=true',
  ],
  draw: (random) => utf8(drawnTarget(random)),
  open: () => {
    return ([input]) => {
      const result = parseConnectUrl(textOf(input!));
      if (!result.ok) return [result.status, result.reason];
      const { deviceId, query } = result;
      must(deviceId !== '', 'sound-account', () => 'an empty device id');
      // Ids that no path segment can carry come from percent signs; the builder refuses them.
      if (/^\.{0,2}$|\p{Surrogate}/u.test(deviceId)) return result;
      const again = parseConnectUrl(buildConnectUrl({ base: '/ws/', deviceId, ...query }));
      must(isDeepStrictEqual(again, result), 'round-trip', () => JSON.stringify(result));
      return result;
    };
  },
};
