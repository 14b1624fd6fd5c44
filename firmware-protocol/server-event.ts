/**
 * What the server says to a board: one MessagePack value in one binary WebSocket message
 * (EchoKit device protocol reference, section 2).
 *
 * The decoder accepts and refuses what the firmware's decoder (rmp-serde 1.3.1) accepts and
 * refuses, and gives its reasons in the same words, so that the console lines of an emulated board
 * and of a real one agree.
 */
import {
  invalidLength,
  invalidType,
  invalidUtf8,
  invalidValue,
  lossyText,
  strictText,
  unknownVariant,
  wrongLength,
  wrongMarker,
} from './decoder-reason.ts';
import {
  isMapMarker,
  isNumberMarker,
  MessagePackReader,
  MessagePackWriter,
  Refusal,
} from './msgpack.ts';
import { ProtocolError } from './protocol-error.ts';

/**
 * An event, named as the firmware names it. `data` of the byte kind is opus packets, PCM or a piece
 * of a WAV file, depending on the event and on the connection; `vowel` is a mouth shape
 * (section 4.5: none 0, A 1, E 2, I 3, O 4, U 5), on the wire 0 to 255.
 */
export type ServerEvent =
  | { readonly type: 'HelloStart' }
  | { readonly type: 'HelloChunk'; readonly data: Uint8Array }
  | { readonly type: 'HelloEnd' }
  | { readonly type: 'ASR'; readonly text: string }
  | { readonly type: 'Action'; readonly action: string }
  | { readonly type: 'Choices'; readonly message: string; readonly items: readonly string[] }
  | { readonly type: 'StartAudio'; readonly text: string }
  | { readonly type: 'AudioChunk'; readonly data: Uint8Array }
  | { readonly type: 'DisplayText'; readonly text: string }
  | { readonly type: 'AudioChunkWithVowel'; readonly data: Uint8Array; readonly vowel: number }
  | { readonly type: 'AudioChunki16'; readonly data: Int16Array; readonly vowel: number }
  | { readonly type: 'EndAudio' }
  | { readonly type: 'StartVideo' }
  | { readonly type: 'EndVideo' }
  | { readonly type: 'EndResponse' }
  | { readonly type: 'EndVad' };

export type ServerEventType = ServerEvent['type'];

/**
 * How an event is written. `canonical`: fields in order, bytes as an array of integers, as the
 * reference server does it. `bin`: the same with bytes as MessagePack `bin`, about a third smaller.
 * `named`: a map of the fields by name. Boards take all three (section 2.2).
 */
export type ServerEventForm = 'canonical' | 'bin' | 'named';

/**
 * Whose list of events the decoder goes by. `firmware` (0.3.1 and 0.3.2) does not know `Choices`
 * and `DisplayText`, `firmware-0.3.0` also not `EndVad`, `firmware-0.2` (0.2.0 to 0.2.2) also not
 * `AudioChunkWithVowel` and `AudioChunki16` (section 0.3; inferred from the audio they expect);
 * `server` knows all. Each of them also takes the place of an event in its own list instead of its
 * name. `any` knows all names and no numbers, because the lists number differently. The order of
 * 0.3.1 is known from its own refusals (section 8.4) and taken for the older ones; the server's is
 * inferred from the order of the examples in section 2.4.
 */
export type ServerEventDialect = 'firmware' | 'firmware-0.3.0' | 'firmware-0.2' | 'server' | 'any';

export type ServerEventResult =
  | { readonly ok: true; readonly event: ServerEvent }
  | {
      readonly ok: false;
      /** What the firmware logs after `Failed to deserialize binary data: ` (section 8.4). */
      readonly reason: string;
    };

type FieldKind = 'text' | 'texts' | 'bytes' | 'int16s' | 'uint8';
type Field = readonly [name: string, kind: FieldKind];

/** The fields of each event in the order of declaration; the events in the order of the server. */
const fieldsOf: Readonly<Record<ServerEventType, readonly Field[]>> = {
  HelloStart: [],
  HelloChunk: [['data', 'bytes']],
  HelloEnd: [],
  ASR: [['text', 'text']],
  Action: [['action', 'text']],
  Choices: [
    ['message', 'text'],
    ['items', 'texts'],
  ],
  StartAudio: [['text', 'text']],
  AudioChunk: [['data', 'bytes']],
  DisplayText: [['text', 'text']],
  AudioChunkWithVowel: [
    ['data', 'bytes'],
    ['vowel', 'uint8'],
  ],
  AudioChunki16: [
    ['data', 'int16s'],
    ['vowel', 'uint8'],
  ],
  EndAudio: [],
  StartVideo: [],
  EndVideo: [],
  EndResponse: [],
  EndVad: [],
};

const serverEventTypes = Object.keys(fieldsOf) as readonly ServerEventType[];
const without = (...names: ServerEventType[]): readonly ServerEventType[] =>
  serverEventTypes.filter((type) => !names.includes(type));

const known: Readonly<Record<ServerEventDialect, readonly ServerEventType[]>> = {
  firmware: without('Choices', 'DisplayText'),
  'firmware-0.3.0': without('Choices', 'DisplayText', 'EndVad'),
  'firmware-0.2': without(
    'Choices',
    'DisplayText',
    'EndVad',
    'AudioChunkWithVowel',
    'AudioChunki16',
  ),
  server: serverEventTypes,
  any: serverEventTypes,
};

// ---- encoding ----

/**
 * The bytes of one message, in a buffer of its own. Lone surrogates in texts become U+FFFD.
 * @throws {ProtocolError} FP_VOWEL_OUT_OF_RANGE when `vowel` is no integer from 0 to 255.
 */
export function encodeServerEvent(
  event: ServerEvent,
  options: { readonly form?: ServerEventForm } = {},
): Uint8Array {
  const form = options.form ?? 'canonical';
  const fields = fieldsOf[event.type];
  const writer = new MessagePackWriter();
  if (fields.length === 0) {
    writer.text(event.type);
    return writer.finish();
  }
  writer.mapHead(1);
  writer.text(event.type);
  if (form === 'named') writer.mapHead(fields.length);
  else writer.arrayHead(fields.length);
  const values = event as unknown as Readonly<Record<string, unknown>>;
  for (const [name, kind] of fields) {
    if (form === 'named') writer.text(name);
    writeField(writer, kind, values[name], form);
  }
  return writer.finish();
}

function writeField(
  writer: MessagePackWriter,
  kind: FieldKind,
  value: unknown,
  form: ServerEventForm,
): void {
  switch (kind) {
    case 'text':
      writer.text(value as string);
      return;
    case 'texts': {
      const texts = value as readonly string[];
      writer.arrayHead(texts.length);
      for (const text of texts) writer.text(text);
      return;
    }
    case 'bytes':
      if (form === 'bin') writer.binary(value as Uint8Array);
      else writer.byteArray(value as Uint8Array);
      return;
    case 'int16s':
      writer.int16Array(value as Int16Array);
      return;
    case 'uint8': {
      const vowel = value as number;
      if (!Number.isInteger(vowel) || vowel < 0 || vowel > 255) {
        throw new ProtocolError(
          'FP_VOWEL_OUT_OF_RANGE',
          `The vowel is ${vowel}, but one unsigned byte carries it: give 0 (none) to 5 (U).`,
        );
      }
      writer.int16(vowel);
    }
  }
}

// ---- decoding ----

/**
 * Reads one message. Never throws for what is in it, keeps no view of `bytes`, and allocates no
 * more than the message is long, whatever its headers announce. Bytes after the first complete
 * value are ignored, as the firmware ignores them.
 *
 * @param options.dialect default `any`.
 */
export function decodeServerEvent(
  bytes: Uint8Array,
  options: { readonly dialect?: ServerEventDialect } = {},
): ServerEventResult {
  try {
    return { ok: true, event: readEvent(new MessagePackReader(bytes), options.dialect ?? 'any') };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, reason: error.message };
    throw error;
  }
}

function readEvent(reader: MessagePackReader, dialect: ServerEventDialect): ServerEvent {
  const isMap = isMapMarker(reader.peekMarker());
  if (isMap) {
    const head = reader.value();
    if (head.kind === 'map' && head.length !== 1) throw new Refusal(wrongLength(head.length));
  }
  const type = readType(reader, dialect);
  const fields = fieldsOf[type];
  if (fields.length === 0) {
    if (isMap) {
      const marker = reader.peekMarker();
      if (marker !== 0xc0) throw new Refusal(wrongMarker(marker));
    }
    return { type } as ServerEvent;
  }
  if (!isMap) throw new Refusal('invalid type: unit variant, expected struct variant');
  return { type, ...readFields(reader, type, fields) } as unknown as ServerEvent;
}

function readType(reader: MessagePackReader, dialect: ServerEventDialect): ServerEventType {
  const types = known[dialect];
  const value = reader.value();
  switch (value.kind) {
    case 'string':
    case 'binary': {
      const name = value.kind === 'string' ? textOf(value.bytes) : lossyText(value.bytes);
      const type = types.find((t) => t === name);
      if (type === undefined) throw new Refusal(unknownVariant(name, types));
      return type;
    }
    case 'integer': {
      if (value.signed || dialect === 'any') break;
      const type = types[Number(value.value)];
      if (type === undefined) {
        throw new Refusal(invalidValue(value, `variant index 0 <= i < ${types.length}`));
      }
      return type;
    }
    default:
  }
  throw new Refusal(invalidType(value, 'variant identifier'));
}

function readFields(
  reader: MessagePackReader,
  type: ServerEventType,
  fields: readonly Field[],
): Record<string, unknown> {
  const expected = `struct variant ServerEvent::${type}`;
  const head = reader.value();
  switch (head.kind) {
    case 'sequence':
      return readOrderedFields(reader, expected, fields, head.length);
    case 'map':
      return readNamedFields(reader, fields, head.length);
    case 'binary': {
      // The firmware takes bytes for a sequence of integers here; no event begins with an integer.
      const [value] = head.bytes;
      if (value === undefined) throw new Refusal(invalidLength(0, expected, fields.length));
      const wanted = fields[0]?.[1] === 'text' ? 'a string' : 'a sequence';
      throw new Refusal(invalidType({ kind: 'integer', value }, wanted));
    }
    case 'string':
      textOf(head.bytes);
      break;
    default:
  }
  throw new Refusal(invalidType(head, expected));
}

function readOrderedFields(
  reader: MessagePackReader,
  expected: string,
  fields: readonly Field[],
  length: number,
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [index, [name, kind]] of fields.entries()) {
    if (index >= length) throw new Refusal(invalidLength(index, expected, fields.length));
    values[name] = readField(reader, kind);
  }
  if (length > fields.length) throw new Refusal(wrongLength(fields.length));
  return values;
}

function readNamedFields(
  reader: MessagePackReader,
  fields: readonly Field[],
  length: number,
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (let entry = 0; entry < length; entry++) {
    const field = readFieldName(reader, fields);
    if (field === undefined) {
      reader.skip(1);
      continue;
    }
    const [name, kind] = field;
    if (Object.hasOwn(values, name)) throw new Refusal(`duplicate field \`${name}\``);
    values[name] = readField(reader, kind);
  }
  for (const [name] of fields) {
    if (!Object.hasOwn(values, name)) throw new Refusal(`missing field \`${name}\``);
  }
  return values;
}

/** The field that a key names; undefined for one that is passed over. */
function readFieldName(reader: MessagePackReader, fields: readonly Field[]): Field | undefined {
  const key = reader.value();
  switch (key.kind) {
    case 'string':
    case 'binary': {
      const name = lossyText(key.bytes);
      return fields.find((f) => f[0] === name);
    }
    case 'integer':
      if (!key.signed) return fields[Number(key.value)];
      break;
    default:
  }
  throw new Refusal(invalidType(key, 'field identifier'));
}

function readField(reader: MessagePackReader, kind: FieldKind): unknown {
  switch (kind) {
    case 'text':
      return readText(reader);
    case 'texts': {
      const length = readSequenceHead(reader, 'a string');
      const texts: string[] = [];
      while (texts.length < length) texts.push(readText(reader));
      return texts;
    }
    case 'bytes':
      return readIntegers(reader, 'u8');
    case 'int16s':
      return readIntegers(reader, 'i16');
    case 'uint8':
      return readInteger(reader, 'u8');
  }
}

function readText(reader: MessagePackReader): string {
  const value = reader.value();
  if (value.kind === 'string') return textOf(value.bytes);
  if (value.kind !== 'binary') throw new Refusal(invalidType(value, 'a string'));
  const text = strictText(value.bytes);
  if (text === undefined) throw new Refusal(invalidValue(value, 'a string'));
  return text;
}

/** The length of the array that begins here. `element` is what its elements ought to be. */
function readSequenceHead(reader: MessagePackReader, element: string): number {
  const value = reader.value();
  if (value.kind === 'sequence') return value.length;
  if (value.kind === 'binary') {
    const [byte] = value.bytes;
    if (byte === undefined) return 0;
    throw new Refusal(invalidType({ kind: 'integer', value: byte }, element));
  }
  if (value.kind === 'string') textOf(value.bytes);
  throw new Refusal(invalidType(value, 'a sequence'));
}

function readIntegers(reader: MessagePackReader, range: 'u8' | 'i16'): Uint8Array | Int16Array {
  const Integers = range === 'u8' ? Uint8Array : Int16Array;
  const value = reader.peekMarker() >= 0xc4 && reader.peekMarker() <= 0xc6 ? reader.value() : null;
  if (value?.kind === 'binary') return Integers.from(value.bytes);
  const length = readSequenceHead(reader, range);
  // Every element takes a byte at least, so a longer array fails before it needs the room.
  const out = new Integers(Math.min(length, reader.remaining));
  let index = reader.byteRun(out, 0);
  while (index < length) {
    const integer = readInteger(reader, range);
    out[index] = integer;
    index = reader.byteRun(out, index + 1);
  }
  return out;
}

const ranges = { u8: [0, 255], i16: [-32_768, 32_767] } as const;

function readInteger(reader: MessagePackReader, range: 'u8' | 'i16'): number {
  const marker = reader.peekMarker();
  if (!isNumberMarker(marker)) throw new Refusal(wrongMarker(marker));
  const value = reader.value();
  if (value.kind !== 'integer') throw new Refusal(invalidType(value, range));
  const [least, most] = ranges[range];
  if (value.value < least || value.value > most) throw new Refusal(invalidValue(value, range));
  return Number(value.value);
}

function textOf(bytes: Uint8Array): string {
  const text = strictText(bytes);
  if (text === undefined) throw new Refusal(invalidUtf8(bytes));
  return text;
}
