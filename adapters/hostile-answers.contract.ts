/**
 * Answers that keep to the letter of a protocol and to nothing else (TTS provider protocol reference,
 * sections 2.1, 2.2, 4.3 and 5.4): the same sound in any container, with any header, in any pieces.
 * For tests: every HTTP adapter must make the same audio of all of them.
 */
import type { TestFn } from 'ava';
import fc from 'fast-check';
import { bytesOf, chunk, cut, pcmBytes, wavBytes } from './audio/wav-fixture.contract.ts';
import {
  difference,
  leastFrames,
  type PlantedSound,
  plantedSamples,
  tonesHz,
} from './planted-sound.contract.ts';
import { httpAnswers } from './scripted-wire.contract.ts';
import { audioOf, collect, makeStage, never, said, samplesOf } from './speech-adapter.contract.ts';
import type { SpeechAdapter } from './speech-adapter.ts';

export interface HostileSubject<Config extends { readonly url: string }> {
  readonly name: string;
  readonly adapter: SpeechAdapter<Config>;
  readonly config: Config;
  /** What the service may send: `wav`, `raw` audio, or `events` that carry either. */
  readonly bodies: readonly ('wav' | 'raw' | 'events')[];
  /**
   * How the rate of raw audio becomes known: `declared` in the content type, with any rate and
   * channels, or the only rate there is, in mono.
   */
  readonly rawRate?: 'declared' | number;
  /** Content type of anything but events; absent: a fitting one. */
  readonly contentType?: string;
}

const ratesHz = [8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

/** @param options `seed` of fast-check, and how many answers are tried */
export function hostileAnswers<Config extends { readonly url: string }>(
  test: TestFn,
  subject: HostileSubject<Config>,
  { seed, numRuns }: { readonly seed: number; readonly numRuns: number },
): void {
  test(`${subject.name}: no legal form of an answer changes the audio`, async (t) => {
    const seen = new Set<string>();
    const property = fc.asyncProperty(answersFor(subject), async (answer) => {
      for (const trait of answer.traits) seen.add(trait);
      const problem = await speakInto(subject, answer);
      if (problem !== undefined) throw new Error(`${problem} [${answer.traits.join(', ')}]`);
    });
    await t.notThrowsAsync(fc.assert(property, { seed, numRuns, includeErrorInReport: true }));
    t.deepEqual(
      traitsOf(subject).filter((trait) => !seen.has(trait)),
      [],
      'every trait occurred',
    );
  });
}

interface HostileAnswer {
  readonly sound: PlantedSound;
  readonly channels: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly pieces: readonly Uint8Array[];
  /** Bytes of audio, containers and encodings excluded. */
  readonly audioBytes: number;
  /** What is odd about it, for messages. */
  readonly traits: readonly string[];
}

/** Plays the answer to the adapter and compares; undefined when all is as planted. */
async function speakInto<Config extends { readonly url: string }>(
  { adapter, config }: HostileSubject<Config>,
  answer: HostileAnswer,
): Promise<string | undefined> {
  const wire = () =>
    httpAnswers((response) => {
      response.writeHead(200, answer.headers);
      for (const piece of answer.pieces) response.write(piece);
      response.end();
    });
  const stage = await makeStage({ adapter, config, rateHz: answer.sound.rateHz, wire }, {});
  const events = await stage.clock.run(collect(stage.session.speak(said('Hi.'), never())));
  await stage.finish();
  const audio = audioOf(events);
  const end = events.at(-1);
  const samples = samplesOf(events);
  const ledger = { sourceFrames: answer.sound.frames, samples: samples.length };
  if (end?.type !== 'end') return `the last event is ${end?.type}`;
  for (const [name, value] of Object.entries(ledger)) {
    const counted = end[name as keyof typeof ledger];
    if (counted !== value) return `end.${name} is ${counted}, not ${value}`;
  }
  const bytes = audio.reduce((sum, { sourceBytes }) => sum + sourceBytes, 0);
  if (bytes !== answer.audioBytes) return `${bytes} bytes of audio, not ${answer.audioBytes}`;
  const { rateHz } = answer.sound;
  const heard = audio.find(
    (event) => event.sourceRateHz !== rateHz || event.sourceChannels !== answer.channels,
  );
  if (heard !== undefined) {
    return `taken as ${heard.sourceRateHz} Hz, ${heard.sourceChannels} channels`;
  }
  return difference(answer.sound, samples);
}

function answersFor(
  subject: Pick<HostileSubject<{ url: string }>, 'bodies' | 'rawRate' | 'contentType'>,
): fc.Arbitrary<HostileAnswer> {
  return fc.oneof(
    ...subject.bodies.map((body) => {
      if (body === 'wav') return wavAudio().chain((audio) => plainAnswer(audio, subject));
      if (body === 'raw') {
        return rawAudio(subject.rawRate).chain((audio) => plainAnswer(audio, subject));
      }
      return fc.oneof(wavAudio(), rawAudio(24_000)).chain((audio) => eventAnswer(audio));
    }),
  );
}

/** The planted sound as bytes, before anything is cut. */
interface HostileAudio {
  readonly sound: PlantedSound;
  readonly channels: number;
  readonly bytes: Uint8Array;
  readonly audioBytes: number;
  readonly type: string;
  readonly traits: readonly string[];
}

function sounds(rates: readonly number[]): fc.Arbitrary<PlantedSound> {
  return fc.constantFrom(...rates).chain((rateHz) =>
    fc.record({
      rateHz: fc.constant(rateHz),
      frames: fc.integer({ min: leastFrames(rateHz), max: 700 }),
      tonesHz,
    }),
  );
}

/** Two channels whose mean is exactly the sound. */
function interleaved(sound: PlantedSound, channels: number): Uint8Array {
  const mono = plantedSamples(sound);
  if (channels === 1) return pcmBytes(mono);
  return pcmBytes([...mono].flatMap((value, i) => [value + (i % 97) * 50, value - (i % 97) * 50]));
}

/** What size fields say of `bytes` of data in a file of `bytes + 36` (section 2.2). */
const sizeFields: Readonly<
  Record<string, (bytes: number) => { riffSize?: number; dataSize?: number }>
> = {
  exact: () => ({}),
  'two too large': (bytes) => ({ riffSize: bytes + 38, dataSize: bytes + 2 }),
  '0 and 0': () => ({ riffSize: 0, dataSize: 0 }),
  '36 and 0': () => ({ riffSize: 36, dataSize: 0 }),
  '0xFFFFFFFF': () => ({ riffSize: 0xffff_ffff, dataSize: 0xffff_ffff }),
  '0x7FFFFFFF': () => ({ riffSize: 0x7fff_ffff, dataSize: 0x7fff_ffff }),
  '0xFFFFFF24 and 0xFFFFFF00': () => ({ riffSize: 0xffff_ff24, dataSize: 0xffff_ff00 }),
  '2000000000': () => ({ riffSize: 2_000_000_036, dataSize: 2_000_000_000 }),
};

const extraChunk = fc
  .tuple(
    fc.constantFrom('LIST', 'fact', 'junk', 'C2PA', 'bext', 'id3 '),
    fc.uint8Array({ maxLength: 21 }),
  )
  .map(([id, content]) => chunk(id, content));
const extraChunks = fc.array(extraChunk, { maxLength: 3 }).map((chunks) => bytesOf(...chunks));

function wavAudio(): fc.Arbitrary<HostileAudio> {
  return fc
    .record({
      sound: sounds(ratesHz),
      channels: fc.constantFrom(1, 2),
      extensible: fc.boolean(),
      /** Where a new header begins, in frames. */
      headersAt: fc.oneof(
        fc.constant<number[]>([]),
        fc.array(fc.nat(700), { minLength: 1, maxLength: 6 }),
      ),
      parts: fc.array(
        fc.record({
          sizes: fc.constantFrom(...Object.keys(sizeFields)),
          before: extraChunks,
          after: extraChunks,
        }),
        { minLength: 7, maxLength: 7 },
      ),
    })
    .map(({ sound, channels, extensible, headersAt, parts }) => {
      const data = interleaved(sound, channels);
      const frameBytes = 2 * channels;
      const places = headersAt.map((frame) => (frame % (sound.frames + 1)) * frameBytes);
      const traits = [`${sound.rateHz} Hz`, `${channels} channels`];
      if (headersAt.length > 0) traits.push('a header in every chunk');
      const bytes = cut(data, places).map((part, i) => {
        const { sizes, before, after } = parts[i]!;
        traits.push(`size ${sizes}`);
        if (before.length > 0) traits.push('chunks before');
        // Behind data of unknown length nothing can be told from samples, and a true size of 0 says
        // what the placeholder says.
        const told = sizes === 'exact' && part.length > 0;
        const behind = told ? after : new Uint8Array(0);
        if (behind.length > 0) traits.push('chunks after');
        return wavBytes(part, {
          rateHz: sound.rateHz,
          channels,
          extensible,
          before,
          after: behind,
          ...sizeFields[sizes]!(part.length),
        });
      });
      const audioBytes = data.length;
      return { sound, channels, bytes: bytesOf(...bytes), audioBytes, type: 'audio/wav', traits };
    });
}

function rawAudio(rawRate: HostileSubject<{ url: string }>['rawRate']): fc.Arbitrary<HostileAudio> {
  const declared = rawRate === 'declared';
  return fc
    .record({
      sound: sounds(declared ? ratesHz : [rawRate ?? 24_000]),
      channels: declared ? fc.constantFrom(1, 2) : fc.constant(1),
      stray: fc.boolean(),
    })
    .map(({ sound, channels, stray }) => {
      const data = interleaved(sound, channels);
      const bytes = stray ? bytesOf(data, Uint8Array.of(7)) : data;
      const { rateHz } = sound;
      const traits = ['raw', `${rateHz} Hz`, `${channels} channels`];
      if (stray) traits.push('half a sample at the end');
      const type = declared ? `audio/pcm;rate=${rateHz};channels=${channels}` : 'audio/pcm';
      return { sound, channels, bytes, audioBytes: bytes.length, type, traits };
    });
}

/** Places where bytes are cut; `everywhere` leaves no two of them together. */
type Cuts = 'everywhere' | readonly number[];
const cuts: fc.Arbitrary<Cuts> = fc.oneof(
  { weight: 1, arbitrary: fc.constant('everywhere' as const) },
  { weight: 4, arbitrary: fc.array(fc.nat(10_000), { maxLength: 12 }) },
);

function cutUp(bytes: Uint8Array, places: Cuts): Uint8Array[] {
  if (places === 'everywhere') return [...bytes].map((byte) => Uint8Array.of(byte));
  return cut(bytes, places).filter((piece) => piece.length > 0);
}

const cutTrait = (places: Cuts): string =>
  places === 'everywhere' ? 'byte by byte' : places.length === 0 ? 'in one piece' : 'cut';

function plainAnswer(
  audio: HostileAudio,
  { contentType }: { readonly contentType?: string },
): fc.Arbitrary<HostileAnswer> {
  return fc.record({ places: cuts, length: fc.boolean() }).map(({ places, length }) => ({
    ...audio,
    pieces: cutUp(audio.bytes, places),
    headers: {
      'content-type': contentType ?? audio.type,
      ...(length ? { 'content-length': String(audio.bytes.length) } : {}),
    },
    traits: [...audio.traits, cutTrait(places), length ? 'content-length' : 'chunked'],
  }));
}

const eventStyle = fc.record({
  field: fc.constantFrom('audio', 'delta'),
  named: fc.boolean(),
  lineEnd: fc.constantFrom('\n', '\r\n', '\r'),
  pretty: fc.boolean(),
  padding: fc.boolean(),
  filler: fc.constantFrom(
    '',
    ': keep-alive\n\n',
    'data: {"type":"speech.audio.transcript.delta","delta":"Hi"}\n\n',
    'event: ping\ndata: now\n\n',
    'id: 7\nretry: 10\n\n',
  ),
});

function eventAnswer(audio: HostileAudio): fc.Arbitrary<HostileAnswer> {
  return fc
    .record({
      deltas: fc.array(fc.nat(10_000), { maxLength: 12 }),
      styles: fc.array(eventStyle, { minLength: 13, maxLength: 13 }),
      end: fc.constantFrom('done', 'done and [DONE]', '[DONE]'),
      places: cuts,
    })
    .map(({ deltas, styles, end, places }) => {
      const events = cut(audio.bytes, deltas).map((part, i) => {
        const style = styles[i]!;
        const base64 = Buffer.from(part).toString('base64');
        const text = style.padding ? base64 : base64.replace(/=+$/, '');
        const event = { type: 'speech.audio.delta', [style.field]: text, response_format: 'pcm' };
        const lines = JSON.stringify(event, null, style.pretty ? 1 : 0).split('\n');
        const name = style.named ? 'event: speech.audio.delta\n' : '';
        const written = `${style.filler}${name}${lines.map((line) => `data: ${line}\n`).join('')}\n`;
        return written.replaceAll('\n', style.lineEnd);
      });
      const done = 'data: {"type":"speech.audio.done","usage":{"input_tokens":1}}\n\n';
      const last = `${end.startsWith('done') ? done : ''}${end.endsWith('[DONE]') ? 'data: [DONE]\n\n' : ''}`;
      const odd = cut(audio.bytes, deltas).some((part) => part.length % 2 === 1);
      return {
        ...audio,
        pieces: cutUp(Buffer.from(events.join('') + last), places),
        headers: { 'content-type': 'text/event-stream' },
        traits: [
          'events',
          ...audio.traits,
          cutTrait(places),
          `ends with ${end}`,
          ...(odd ? ['deltas of odd length'] : []),
        ],
      };
    });
}

/** What a run must have met, so that a test that stopped trying something is noticed. */
function traitsOf({
  bodies,
  rawRate,
}: Pick<HostileSubject<{ url: string }>, 'bodies' | 'rawRate'>): string[] {
  const events = bodies.includes('events');
  const wav = events || bodies.includes('wav');
  const raw = events || bodies.includes('raw');
  return [
    ...['byte by byte', 'in one piece', 'cut'],
    ...(wav || rawRate === 'declared' ? ratesHz.map((rateHz) => `${rateHz} Hz`) : []),
    ...(wav || rawRate === 'declared' ? ['2 channels'] : []),
    ...(wav ? Object.keys(sizeFields).map((sizes) => `size ${sizes}`) : []),
    ...(wav ? ['chunks before', 'chunks after', 'a header in every chunk'] : []),
    ...(raw ? ['raw', 'half a sample at the end'] : []),
    ...(bodies.length > (events ? 1 : 0) ? ['content-length', 'chunked'] : []),
    ...(events
      ? ['ends with done', 'ends with [DONE]', 'ends with done and [DONE]', 'deltas of odd length']
      : []),
  ];
}
