/** MessagePack as speech services use it: one map with string keys per body or message. */
import { decode, encode } from '@msgpack/msgpack';
import { isWholeMessagePack } from '../../firmware-protocol/index.ts';

export type MessagePackMap = Readonly<Record<string, unknown>>;

/** Keeps the order of the keys; integers take the shortest form, `Uint8Array` becomes `bin`. */
export function packMap(map: MessagePackMap): Uint8Array {
  return encode(map, { ignoreUndefined: true });
}

/** The map that `bytes` hold, no more and no less; undefined when they hold anything else. */
export function unpackMap(bytes: Uint8Array): MessagePackMap | undefined {
  // The decoder makes room for what a header announces, which may be gigabytes in a few bytes.
  if (!isWholeMessagePack(bytes)) return undefined;
  try {
    const value = decode(bytes);
    const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isMap && Object.getPrototypeOf(value) === Object.prototype
      ? (value as MessagePackMap)
      : undefined;
  } catch {
    return undefined;
  }
}
