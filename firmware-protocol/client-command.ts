/**
 * What a client says to the server in text messages: JSON objects told apart by `event` (EchoKit
 * device protocol reference, section 3.1). Boards of today send `StartChat` only.
 */
import { unknownVariant } from './decoder-reason.ts';
import { ProtocolError } from './protocol-error.ts';

export type ClientCommand =
  /** A new utterance begins. */
  | { readonly event: 'StartChat' }
  /** The utterance is complete. Firmware up to 0.3.0, which does not wait for `EndVad`. */
  | { readonly event: 'Submit' }
  /** Text instead of speech. */
  | { readonly event: 'Text'; readonly input: string }
  /** Answer to `Choices`, counted from 0. */
  | { readonly event: 'Select'; readonly index: number }
  /** Understood and without effect. */
  | { readonly event: 'StartRecord' };

export type ClientCommandResult =
  | { readonly ok: true; readonly command: ClientCommand }
  | { readonly ok: false; readonly reason: string };

/** In the order in which the reference server lists them in its refusals. */
const commandEvents = ['StartRecord', 'StartChat', 'Submit', 'Text', 'Select'] as const;

/** Halves of characters, which neither UTF-8 nor the reference server's JSON reader can carry. */
const loneSurrogate = /\p{Surrogate}/u;

/**
 * The text of one message, `event` first, without spaces. Lone surrogates become U+FFFD.
 * @throws {ProtocolError} FP_CHOICE_INDEX_OUT_OF_RANGE when `index` is no integer from 0 up.
 */
export function encodeClientCommand(command: ClientCommand): string {
  switch (command.event) {
    case 'Text': {
      const input = command.input.replace(new RegExp(loneSurrogate, 'gu'), '\ufffd');
      return JSON.stringify({ event: command.event, input });
    }
    case 'Select':
      if (!isIndex(command.index)) {
        throw new ProtocolError(
          'FP_CHOICE_INDEX_OUT_OF_RANGE',
          `The choice has the index ${command.index}: give an integer, 0 for the first item.`,
        );
      }
      return JSON.stringify({ event: command.event, index: command.index });
    case 'StartChat':
    case 'Submit':
    case 'StartRecord':
      return JSON.stringify({ event: command.event });
  }
}

/** Reads one text message; never throws. Fields that do not belong to the command are ignored. */
export function decodeClientCommand(text: string): ClientCommandResult {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return refuse(`not JSON: ${(error as SyntaxError).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse(`${describe(value)} instead of an object with the field \`event\``);
  }
  const fields = value as Readonly<Record<string, unknown>>;
  if (!Object.hasOwn(fields, 'event')) return refuse('missing field `event`');
  const { event: name, input, index } = fields;
  const event = commandEvents.find((e) => e === name);
  if (event === undefined) {
    return refuse(
      typeof name === 'string'
        ? unknownVariant(name, commandEvents)
        : `\`event\` is ${describe(name)} instead of a string`,
    );
  }
  if (event === 'Text') {
    if (input === undefined) return refuse('Text: missing field `input`');
    if (typeof input !== 'string') {
      return refuse(`Text: \`input\` is ${describe(input)} instead of a string`);
    }
    if (loneSurrogate.test(input)) return refuse('Text: `input` holds half a surrogate pair');
    return { ok: true, command: { event, input } };
  }
  if (event === 'Select') {
    if (index === undefined) return refuse('Select: missing field `index`');
    if (!isIndex(index)) {
      return refuse(`Select: \`index\` is ${describe(index)} instead of an integer from 0 up`);
    }
    return { ok: true, command: { event, index } };
  }
  return { ok: true, command: { event } };
}

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);
}

function refuse(reason: string): ClientCommandResult {
  return { ok: false, reason };
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (value === null) return 'null';
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
