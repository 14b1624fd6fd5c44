import test from 'ava';
import { decodeUserWav, UserWavError } from './user-wav.ts';

function chunk(id: string, content: Uint8Array, size = content.length): Buffer {
  const head = Buffer.alloc(8);
  head.write(id, 0, 'latin1');
  head.writeUInt32LE(size, 4);
  return Buffer.concat([head, content, Buffer.alloc(content.length & 1)]);
}

function riff(...chunks: Buffer[]): Buffer {
  const content = Buffer.concat([Buffer.from('WAVE', 'latin1'), ...chunks]);
  return chunk('RIFF', content);
}

/** Fields in the order of the file: format tag, channels, rate, bytes per second, block, bits. */
function format(tag: number, channels: number, rateHz: number, bits: number, more = ''): Buffer {
  const fields = Buffer.alloc(16);
  fields.writeUInt16LE(tag, 0);
  fields.writeUInt16LE(channels, 2);
  fields.writeUInt32LE(rateHz, 4);
  fields.writeUInt32LE((rateHz * channels * bits) / 8, 8);
  fields.writeUInt16LE((channels * bits) / 8, 12);
  fields.writeUInt16LE(bits, 14);
  return chunk('fmt ', Buffer.concat([fields, Buffer.from(more, 'hex')]));
}

const good = format(1, 1, 16_000, 16);
const data = Buffer.from([0x01, 0x00, 0xff, 0xff, 0x00, 0x80]);

test('samples are found behind chunks of other programs', (t) => {
  const samples = [1, -1, -32_768];
  t.deepEqual([...decodeUserWav(riff(good, chunk('data', data)))], samples);
  const list = chunk('LIST', Buffer.from('odd'));
  t.deepEqual([...decodeUserWav(riff(list, good, list, chunk('data', data), list))], samples);
});

test('the extensible form of the same format is the same', (t) => {
  // cbSize 22, 16 valid bits, mask 4, sub-format KSDATAFORMAT_SUBTYPE_PCM (RFC 2361).
  const extension = `1600${'1000'}${'04000000'}0100000000001000800000aa00389b71`;
  const extensible = format(0xfffe, 1, 16_000, 16, extension);
  t.is(decodeUserWav(riff(extensible, chunk('data', data))).length, 3);
  const float = format(0xfffe, 1, 16_000, 32, extension.replace('0100000000', '0300000000'));
  t.throws(() => decodeUserWav(riff(float, chunk('data', data))), {
    message: 'it is 32-bit audio of format 3, 16000 Hz, 1 channel',
  });
});

test('a data size that is unknown or too large ends with the file', (t) => {
  t.is(decodeUserWav(riff(good, chunk('data', data, 0xffff_ffff))).length, 3);
});

test('every other format is named', (t) => {
  const reason = (...chunks: Buffer[]) =>
    t.throws(() => decodeUserWav(riff(...chunks)), { instanceOf: UserWavError })?.message;
  const samples = chunk('data', data);
  t.is(reason(format(1, 2, 16_000, 16), samples), 'it is 16-bit PCM, 16000 Hz, 2 channels');
  t.is(reason(format(1, 1, 48_000, 16), samples), 'it is 16-bit PCM, 48000 Hz, 1 channel');
  t.is(reason(format(1, 1, 16_000, 24), samples), 'it is 24-bit PCM, 16000 Hz, 1 channel');
  t.is(
    reason(format(7, 1, 8_000, 8), samples),
    'it is 8-bit audio of format 7, 8000 Hz, 1 channel',
  );
  t.is(reason(samples), 'its format chunk is missing');
  t.is(reason(good), 'it has no samples');
  t.is(reason(good, chunk('data', Buffer.alloc(1))), 'it has no samples');
  t.is(reason(chunk('fmt ', Buffer.alloc(4)), samples), 'its format chunk is cut short');
});

test('a file cut anywhere gives samples or an error of its own kind', (t) => {
  const whole = riff(good, chunk('data', data));
  for (let length = 0; length < whole.length; length++) {
    try {
      t.true(decodeUserWav(whole.subarray(0, length)).length <= 3);
    } catch (error) {
      t.true(error instanceof UserWavError, `${length} bytes: ${String(error)}`);
    }
  }
});
