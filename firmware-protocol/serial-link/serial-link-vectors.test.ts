import test from 'ava';
import { AdpcmEncoder, decodeAdpcm } from './adpcm.ts';
import { cobsDecode, cobsEncode } from './cobs.ts';
import { crc32 } from './crc32.ts';
import { SerialLinkEndpoint } from './endpoint.ts';
import { encodeSerialLinkFrame, SerialLinkDecoder } from './frame.ts';
import { decodeLinkFrame, encodeLinkFrame } from './link-frame.ts';
import {
  decodeSerialLinkMessage,
  encodeSerialLinkMessage,
  type SerialLinkMessage,
} from './message.ts';
import {
  bytesOf,
  eventWords,
  hexOf,
  serialLinkVectors,
  takeStep,
  vectorItems,
  vectorsOf,
} from './serial-link-vectors.contract.ts';

for (const { name, hex, crc } of vectorsOf('crc')) {
  test(`the CRC of the vector: ${name}`, (t) => {
    t.is(crc32(bytesOf(hex)).toString(16).padStart(8, '0'), crc);
    const half = hex.length / 4;
    const [one, other] = [bytesOf(hex).subarray(0, half), bytesOf(hex).subarray(half)];
    t.is(crc32(other, crc32(one)), Number.parseInt(crc, 16));
  });
}

for (const { name, hex, stuffed, accepted, written } of vectorsOf('cobs')) {
  test(`byte stuffing of the vector: ${name}`, (t) => {
    const plain = cobsDecode(bytesOf(stuffed));
    t.is(plain === null ? null : hexOf(plain), accepted ? hex! : null);
    if (accepted && written !== false) t.is(hexOf(cobsEncode(bytesOf(hex!))), stuffed);
  });
}

for (const { name, body, wire } of vectorsOf('frame')) {
  test(`the frame of the vector: ${name}`, (t) => {
    t.is(hexOf(encodeSerialLinkFrame(bytesOf(body))), wire);
    t.deepEqual(vectorItems(new SerialLinkDecoder().push(bytesOf(wire))), [{ frame: body }]);
  });
}

for (const { name, wire, frameMaximumBytes, giveUp, items } of vectorsOf('stream')) {
  test(`the stream of the vector, however it is cut: ${name}`, (t) => {
    const bytes = bytesOf(wire);
    for (const size of [bytes.length, 1, 2, 3, 7]) {
      const decoder = new SerialLinkDecoder({ frameMaximumBytes });
      const found = [];
      for (let i = 0; i < bytes.length; i += size) {
        found.push(...decoder.push(bytes.subarray(i, i + size)));
      }
      t.is(decoder.isWaiting, giveUp && name !== 'nothing to give up');
      found.push(...decoder.giveUp());
      t.deepEqual(vectorItems(found), [...items], `in pieces of ${size}`);
    }
  });
}

for (const { name, hex, accepted, frame, written } of vectorsOf('link-frame')) {
  test(`the link frame of the vector: ${name}`, (t) => {
    const found = decodeLinkFrame(bytesOf(hex));
    const plain = found !== null && 'payload' in found && { payload: hexOf(found.payload) };
    t.deepEqual(found && { ...found, ...plain }, accepted ? (frame as never) : null);
    if (accepted && written !== false) t.is(hexOf(encodeLinkFrame(found!)), hex);
  });
}

test('link frames of the vectors that are cut anywhere are refused or shorter, and never throw', (t) => {
  for (const { hex } of vectorsOf('link-frame')) {
    const bytes = bytesOf(hex);
    for (let i = 0; i < bytes.length; i++) {
      const cut = decodeLinkFrame(bytes.subarray(0, i));
      if (cut !== null) t.true(encodeLinkFrame(cut).length <= i);
    }
  }
});

for (const vector of vectorsOf('message')) {
  test(`the message of the vector: ${vector.name}`, (t) => {
    const result = decodeSerialLinkMessage(vector.type, bytesOf(vector.hex), vector.from);
    const shown = JSON.parse(
      JSON.stringify(result, (_key, value) => (value instanceof Uint8Array ? hexOf(value) : value)),
    );
    t.deepEqual(
      shown,
      vector.accepted
        ? { ok: true, message: vector.message }
        : { ok: false, reason: vector.reason },
    );
    if (result.ok && vector.written !== false) {
      t.is(hexOf(encodeSerialLinkMessage(result.message as SerialLinkMessage)), vector.hex);
    }
  });
}

for (const { name, samples, hex, decoded } of vectorsOf('adpcm')) {
  test(`ADPCM of the vector: ${name}`, (t) => {
    t.is(hexOf(new AdpcmEncoder().encode(Int16Array.from(samples))), hex);
    t.deepEqual([...decodeAdpcm(bytesOf(hex))!], [...decoded]);
  });
}

for (const vector of vectorsOf('session')) {
  test(`the session of the vector: ${vector.name}`, (t) => {
    let out: string[] = [];
    let events: string[] = [];
    let session = vector.session;
    const endpoint = new SerialLinkEndpoint({
      ...vector.settings,
      role: vector.role,
      newSession: () => session++,
      output: (bytes) => out.push(hexOf(bytes)),
      onEvent: (event) => events.push(eventWords(event)),
    });
    for (const step of vector.steps) {
      [out, events] = [[], []];
      takeStep(endpoint, step);
      t.deepEqual(out, [...step.out], `${step.do} at ${step.atUs} µs writes`);
      t.deepEqual(events, [...step.events], `${step.do} at ${step.atUs} µs tells`);
    }
  });
}

test('there are at least 60 vectors, each names its origin, and at least 20 are refusals', (t) => {
  t.true(serialLinkVectors.length >= 60);
  t.true(serialLinkVectors.every(({ origin }) => origin !== ''));
  t.is(new Set(serialLinkVectors.map((v) => `${v.kind} ${v.name}`)).size, serialLinkVectors.length);
  const refused = serialLinkVectors.filter((v) => 'accepted' in v && !v.accepted);
  t.true(refused.length >= 20);
});
