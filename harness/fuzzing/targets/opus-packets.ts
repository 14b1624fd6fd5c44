/** Opus packets through the codec. */
import { loadOpus, opusFrameSamples } from '../../opus/opus-codec.ts';
import { chance, joined, length, oneOf } from '../draws.ts';
import { type FuzzTarget, must } from '../fuzz-target.ts';

export const opusPackets: FuzzTarget = {
  name: 'opus',
  about: 'Opus packets: three after one another through one decoder, then a good one',
  share: 12,
  longestBytes: 4096,
  arrival: 'whole',
  refusals: [],
  tokens: [],
  draw: (random) => {
    const packet = () => {
      const toc = oneOf(random, [
        0x08,
        0x0b,
        0x48,
        0x4b,
        0x78,
        0xb8,
        0xf8,
        0xff,
        random.integer(0, 255),
      ]);
      const rest = random.bytes(length(random, 300));
      return joined(
        Uint8Array.of(toc),
        chance(random, 0.3)
          ? joined(Uint8Array.of(oneOf(random, [1, 2, 6, 48, 63, 0x82, 0xc3])), rest)
          : rest,
      );
    };
    const [one, two, three] = [packet(), packet(), packet()];
    return joined(Uint8Array.of(one.length & 255, two.length & 255), one, two, three);
  },
  open: async () => {
    const opus = await loadOpus();
    const good = opus.createEncoder().encode(new Int16Array(opusFrameSamples).fill(1000));
    const decoder = opus.createDecoder();
    return ([input]) => {
      const [first = 0, second = 0] = input!;
      const body = input!.subarray(2);
      const packets = [
        body.subarray(0, first),
        body.subarray(first, first + second),
        body.subarray(first + second),
      ];
      decoder.reset();
      const found = packets.map((packet) => {
        try {
          const samples = decoder.decode(packet);
          must(
            samples.length <= opusFrameSamples,
            'sound-account',
            () => `${samples.length} samples`,
          );
          return samples;
        } catch (error) {
          const { code } = error as { readonly code?: unknown };
          if (typeof code !== 'string' || !code.startsWith('OPUS_')) throw error;
          return code;
        }
      });
      // Whatever came before, the codec goes on working.
      const after = decoder.decode(good);
      must(
        after.length === opusFrameSamples,
        'sound-account',
        () => `${after.length} samples of a good packet`,
      );
      return found;
    };
  },
};
