/** The sound of a server: packets, PCM, pace and what is lost on the way. FP-5. */
import { opusPacketMaximumBytes, opusPacketSamples } from '../../firmware-protocol/audio-format.ts';
import { OpusError } from '../opus/opus-codec.ts';
import { type ConformanceCase, demand, Nonconformity, Unsupported } from './conformance-case.ts';
import { playTurn, queryConversation, spokenSentences } from './server-scenes.ts';
import { modeQuery, type ServerStage } from './server-stage.ts';
import type { Sentence } from './turn-grammar.ts';
import { hexExcerpt, quoted } from './wire-peer.ts';

type ServerCase = ConformanceCase<ServerStage>;

const audio = (
  name: string,
  clause: string,
  title: string,
  judge: (sentences: Sentence[], stage: ServerStage) => void,
  query: string = modeQuery.stream,
): ServerCase => ({
  id: `audio/${name}`,
  title,
  clause,
  async play(stage) {
    const { turn } = await stage.scene(queryConversation(query));
    judge(spokenSentences(turn), stage);
  },
});

/** @returns samples of each sentence, decoded as a board does: by a decoder that starts anew */
export function decodeSentences(stage: ServerStage, sentences: readonly Sentence[]): number[] {
  const decoder = stage.decoder();
  return sentences.map(({ chunks, text }) => {
    decoder.reset();
    let samples = 0;
    for (const [i, { data }] of chunks.entries()) {
      try {
        samples += decoder.decode(data).length;
      } catch (error) {
        if (!(error instanceof OpusError)) throw error;
        throw new Nonconformity(
          `packet ${i + 1} of ${quoted(text)} cannot be decoded (${error.message}): ${hexExcerpt(data)}`,
          { cause: error },
        );
      }
    }
    return samples;
  });
}

export function demandPcm({ chunks, text }: Sentence): void {
  for (const [i, { data }] of chunks.entries()) {
    const what = `chunk ${i + 1} of ${quoted(text)} has ${data.length} bytes`;
    demand(data.length % 2 === 0, `${what}: half a sample`);
    demand(data.length <= 32_000, `${what}; at most 32000 are possible`);
  }
}

const everyPacket =
  (condition: (data: Uint8Array) => boolean, otherwise: (data: Uint8Array) => string) =>
  (sentences: readonly Sentence[]): void => {
    for (const { chunks } of sentences) {
      const wrong = chunks.find(({ data }) => !condition(data));
      demand(wrong === undefined, () => otherwise(wrong!.data));
    }
  };

/** Time between the first chunk and `EndAudio` over the duration of the audio (FP-5.9). */
function downloadRatio({ chunks, endUs }: Sentence, samples: number): number {
  return ((endUs ?? Number.POSITIVE_INFINITY) - chunks[0]!.atUs) / (samples * 62.5);
}

export const serverAudioCases: readonly ServerCase[] = [
  audio(
    'decodable',
    'FP-5.6',
    'Every opus packet is decoded by a fresh decoder.',
    (sentences, stage) => {
      decodeSentences(stage, sentences);
    },
  ),
  audio(
    'decodable-without-vowel',
    'FP-5.6',
    'Without vowel every opus packet is decoded as well.',
    (sentences, stage) => {
      decodeSentences(stage, sentences);
    },
    'opus=true&stream_asr=true',
  ),
  audio('packet-duration', 'FP-5.6', 'Every opus packet has 120 ms.', (sentences, stage) => {
    const samples = decodeSentences(stage, sentences);
    for (const [i, { chunks }] of sentences.entries()) {
      const expected = chunks.length * opusPacketSamples;
      demand(
        samples[i] === expected,
        `${chunks.length} packets have ${samples[i]} samples, not ${expected}`,
      );
    }
  }),
  audio(
    'packet-mono',
    'FP-5.6',
    'Every opus packet is mono.',
    everyPacket(
      (data) => ((data[0] ?? 0) & 0x04) === 0,
      (data) => `a packet is stereo: ${hexExcerpt(data)}`,
    ),
  ),
  audio(
    'packet-size',
    'FP-5.6',
    'No opus packet has more than 1280 bytes.',
    everyPacket(
      ({ length }) => length <= opusPacketMaximumBytes,
      ({ length }) => `a packet has ${length} bytes`,
    ),
  ),
  audio(
    'packet-not-empty',
    'FP-5.6',
    'No opus packet is empty, which a board takes for a lost one.',
    everyPacket(
      ({ length }) => length > 0,
      () => 'a packet is empty',
    ),
  ),
  audio('vowel-range', 'FP-2.7', 'Mouth shapes are 0 to 5.', (sentences) => {
    const wrong = sentences.flatMap(({ chunks }) => chunks).find(({ vowel }) => (vowel ?? 0) > 5);
    demand(wrong === undefined, `a chunk has the mouth shape ${wrong?.vowel}`);
  }),
  audio(
    'pcm-whole-samples',
    'FP-5.7',
    'PCM comes in whole samples, at most 32000 bytes at once.',
    (sentences) => {
      sentences.forEach(demandPcm);
    },
    '',
  ),
  audio(
    'pcm-not-too-short',
    'FP-5.7',
    'No PCM chunk but the last of a sentence is below 512 bytes.',
    (sentences) => {
      for (const { chunks } of sentences) {
        const short = chunks.slice(0, -1).find(({ data }) => data.length < 512);
        demand(
          short === undefined,
          `a chunk has ${short?.data.length} bytes, less than a cycle of the player`,
        );
      }
    },
    '',
  ),
  audio(
    'faster-than-real-time',
    'FP-5.9',
    'Every opus sentence is sent faster than it is played.',
    (sentences) => {
      for (const sentence of sentences) {
        const ratio = downloadRatio(sentence, sentence.chunks.length * opusPacketSamples);
        demand(
          ratio < 1,
          `${quoted(sentence.text)} was sent in ${ratio.toFixed(2)} of its duration`,
        );
      }
    },
  ),
  audio(
    'pcm-faster-than-real-time',
    'FP-5.9',
    'Every PCM sentence is sent faster than it is played.',
    (sentences) => {
      for (const sentence of sentences) {
        const samples = sentence.chunks.reduce((sum, { data }) => sum + data.length / 2, 0);
        const ratio = downloadRatio(sentence, samples);
        demand(
          ratio < 1,
          `${quoted(sentence.text)} was sent in ${ratio.toFixed(2)} of its duration`,
        );
      }
    },
    '',
  ),
  {
    id: 'audio/no-sample-lost',
    title: 'Opus carries every sample that PCM carries, and less than a packet of padding.',
    clause: 'FP-5.8',
    async play(stage) {
      const total = async (query: string): Promise<{ texts: string; lengths: number[] }> => {
        const { turn } = await stage.scene(queryConversation(query));
        const sentences = spokenSentences(turn);
        const lengths = query.includes('opus')
          ? decodeSentences(stage, sentences)
          : sentences.map(({ chunks }) =>
              chunks.reduce((sum, { data }) => sum + data.length / 2, 0),
            );
        return { texts: sentences.map(({ text }) => text).join('|'), lengths };
      };
      const [first, second, coded] = [
        await total(''),
        await total('stream_asr=true'),
        await total(modeQuery.stream),
      ];
      const repeats =
        first.texts === second.texts &&
        first.texts === coded.texts &&
        first.lengths.join() === second.lengths.join();
      if (!repeats)
        throw new Unsupported('the same question is not answered with the same sound twice');
      for (const [i, samples] of first.lengths.entries()) {
        const padding = (coded.lengths[i] ?? 0) - samples;
        demand(
          padding >= 0,
          `sentence ${i + 1} has ${samples} samples as PCM and ${coded.lengths[i]} as opus: ${-padding} are lost`,
        );
        demand(
          padding < opusPacketSamples,
          `sentence ${i + 1} has ${padding} samples more as opus`,
        );
      }
    },
  },
  {
    id: 'audio/encoder-reset',
    title: 'The encoder starts anew with each sentence: equal sound, equal packets.',
    clause: 'FP-5.6',
    async play(stage) {
      const first = spokenSentences((await stage.scene(queryConversation(modeQuery.stream))).turn);
      const peer = await stage.connect(modeQuery.stream);
      await stage.ask(peer);
      const second = spokenSentences(await playTurn(stage, peer, () => stage.ask(peer)));
      const again = second.find(({ text }) => text === first[0]!.text);
      if (again === undefined) throw new Unsupported('no sentence was spoken twice');
      const [a, b] = [first[0]!.chunks[0]!.data, again.chunks[0]!.data];
      if (Buffer.from(a).equals(b)) return;
      const likeness = correlation(stage, a, b);
      if (likeness < 0.98) throw new Unsupported('the same sentence has another sound every time');
      throw new Nonconformity(
        `the first packets of one sentence sound alike (correlation ${likeness.toFixed(3)}) and differ in their bytes: ${hexExcerpt(a)} and ${hexExcerpt(b)}`,
      );
    },
  },
];

function correlation(stage: ServerStage, a: Uint8Array, b: Uint8Array): number {
  const decoded = [a, b].map((packet) => {
    const decoder = stage.decoder();
    decoder.reset();
    return decoder.decode(packet);
  });
  const [x, y] = decoded as [Int16Array, Int16Array];
  const product = (p: Int16Array, q: Int16Array): number =>
    p.reduce((sum, value, i) => sum + value * (q[i] ?? 0), 0);
  const energy = Math.sqrt(product(x, x) * product(y, y));
  return energy === 0 ? 0 : product(x, y) / energy;
}
