/**
 * Recordings with a planted defect, for tests of the inspection. The sound goes the whole way through the real parts: bytes of a
 * provider, the adapter's normalizer, the server's framer, Opus, the board's player. What is planted is done to the
 * samples between two of them, so everything behind has the defect, and everything before has not.
 */
import { SpeechNormalizer } from '../../adapters/audio/speech-normalizer.ts';
import { Player } from '../device/player.ts';
import { traitsWithout } from '../device/quirk.ts';
import { PlantedTrace } from '../metrics/planted-trace.contract.ts';
import type { RecordedCell } from '../metrics/recorded-cell.ts';
import type { Opus } from '../opus/opus-codec.ts';
import { SpeechFramer } from '../server/speech-framer.ts';
import type { ProviderSound } from './provider-sound.ts';

/** What happens to the samples of one sentence at a stage. */
export interface PlantedChange {
  readonly stage: 'provider' | 'normalised' | 'sent' | 'played';
  /** @param previous the sound of the sentence before at this stage */
  readonly change: (samples: Int16Array, rateHz: number, previous: Int16Array) => Int16Array;
}

/** What happens to its messages on the way to the board. Numbers count the audio frames of the sentence from 0. */
export type PlantedDelivery =
  | { readonly kind: 'lost' | 'undecodable'; readonly frame: number; readonly frames: number }
  | { readonly kind: 'twice'; readonly frame: number }
  /** The decoder makes up sound for a packet without content that comes before this frame. */
  | { readonly kind: 'empty'; readonly frame: number }
  /** The last frame of the sentence before comes once more, in front. */
  | { readonly kind: 'late' }
  | { readonly kind: 'stall'; readonly frame: number; readonly ms: number };

export interface PlantedSentence {
  readonly text: string;
  readonly clip: Int16Array;
  readonly rateHz: number;
  /** What the provider declares. Default: the truth. */
  readonly declaredHz?: number;
  readonly change?: PlantedChange;
  readonly delivery?: PlantedDelivery;
}

export interface PlantedRecording {
  readonly cell: RecordedCell;
  readonly providerSounds: ReadonlyMap<number, ProviderSound>;
}

const speakerStartUs = 100_000;
const frameGapUs = 40_000;
/** By so much the board's buffer grows with each frame of 120 ms. */
export const aheadMs = 120 - frameGapUs / 1000;
const networkUs = 5000;

/**
 * A conversation in which each sentence is the answer of a turn. The player fills its last chunk (quirk Q2 is off), so that
 * nothing is cut or left over that nobody planted.
 *
 * @param opus null: raw PCM to the board
 */
export function recordPlanted(
  sentences: readonly PlantedSentence[],
  opus: Opus | null,
): PlantedRecording {
  const trace = new PlantedTrace();
  trace.boot(speakerStartUs, ['Q2']);
  trace.push(
    {
      source: 'server',
      type: 'connected',
      atUs: 1000,
      connection: 1,
      deviceId: 'planted',
      reconnect: false,
      opus: opus !== null,
      vowel: false,
      streamAsr: false,
    },
    { source: 'device', type: 'connected', atUs: 1000, connection: 1, reconnect: false },
  );
  const player = new Player({
    startUs: speakerStartUs,
    helloSamples: new Int16Array(0),
    traits: traitsWithout(['Q2']),
  });
  const encoder = opus?.createEncoder();
  const decoder = opus?.createDecoder();
  const framer = new SpeechFramer(encoder);
  const provider = new Map<number, Int16Array>();
  const providerSounds = new Map<number, ProviderSound>();
  const sent: Int16Array[] = [];
  const previous: Record<PlantedChange['stage'], Int16Array> = {
    provider: new Int16Array(0),
    normalised: new Int16Array(0),
    sent: new Int16Array(0),
    played: new Int16Array(0),
  };
  let lastFrame = { number: 0, decoded: new Int16Array(0) };
  let nowUs = 1_000_000;

  for (const [index, sentence] of sentences.entries()) {
    const number = index + 1;
    const place = { turn: number, sentence: number };
    const at = (stage: PlantedChange['stage'], samples: Int16Array, rateHz: number): Int16Array => {
      const { change } = sentence;
      const changed =
        change?.stage === stage ? change.change(samples, rateHz, previous[stage]) : samples;
      previous[stage] = changed;
      return changed;
    };
    const turnStartUs = nowUs;
    trace.push(
      { source: 'harness', type: 'turnStart', atUs: turnStartUs, turn: number },
      {
        source: 'server',
        type: 'turnStart',
        atUs: turnStartUs,
        connection: 1,
        turn: number,
        mode: 'stream',
      },
      {
        source: 'device',
        type: 'state',
        atUs: turnStartUs,
        from: 'Listening',
        to: 'Waiting',
        cause: 'EndVad',
      },
      { source: 'server', type: 'replyText', atUs: turnStartUs, turn: number, text: sentence.text },
      { source: 'server', type: 'sentence', atUs: turnStartUs, ...place, text: sentence.text },
    );

    // The provider and its adapter.
    const rateHz = sentence.declaredHz ?? sentence.rateHz;
    const spoken = at('provider', sentence.clip, sentence.rateHz);
    providerSounds.set(number, { samples: spoken, rateHz });
    const normalizer = new SpeechNormalizer({ container: 'pcm', rateHz, channels: 1 });
    const parts = [normalizer.push(bytesOf(spoken)).samples, normalizer.flush().samples];
    const normalised = at('normalised', joined(parts), 16_000);
    provider.set(number, normalised);
    const characters = sentence.text.length;
    const asked = { writtenUs: nowUs, decidedUs: nowUs, connectedUs: nowUs };
    trace.request({ request: number, characters, ...asked, ...place });
    trace.push(
      {
        source: 'provider',
        type: 'chunk',
        atUs: nowUs + 100_000,
        request: number,
        sentence: number,
        sourceBytes: 2 * spoken.length,
        sourceRateHz: rateHz,
        sourceChannels: 1,
        samples: normalised.length,
      },
      {
        source: 'provider',
        type: 'end',
        atUs: nowUs + 100_000,
        request: number,
        sourceFrames: spoken.length,
        samples: normalised.length,
      },
    );
    nowUs += 110_000;

    // The server.
    framer.begin();
    framer.push(at('sent', normalised, 16_000).slice());
    framer.end();
    const frames = [];
    for (let frame = framer.take(); frame !== undefined; frame = framer.take()) frames.push(frame);

    // The wire, and the decoder of the board.
    const decode = (payload: Uint8Array, samples: Int16Array): Int16Array =>
      decoder === undefined ? samples : decoder.decode(payload);
    const delivery = sentence.delivery;
    const startUs = nowUs + networkUs;
    const started = { writtenUs: nowUs, receivedUs: startUs, handledUs: startUs };
    trace.message({ event: 'StartAudio', ...started, ...place });
    trace.push(
      {
        source: 'device',
        type: 'state',
        atUs: startUs,
        from: 'Waiting',
        to: 'Speaking',
        cause: 'StartAudio',
      },
      { source: 'device', type: 'display', atUs: startUs, text: 'Speaking...' },
    );
    const taken: { frame: number; samples: Int16Array; atUs: number }[] = [];
    let delayUs = networkUs;
    if (delivery?.kind === 'late') {
      taken.push({ frame: lastFrame.number, samples: lastFrame.decoded, atUs: nowUs + delayUs });
    }
    for (const [i, frame] of frames.entries()) {
      nowUs += frameGapUs;
      const chunk = { event: 'AudioChunk', writtenUs: nowUs, ...place };
      if (delivery?.kind === 'empty' && delivery.frame === i) {
        const made = decoder?.decode(new Uint8Array(0)) ?? new Int16Array(1920);
        const atUs = nowUs + delayUs;
        const concealedSamples = made.length;
        const number = trace.message({ ...chunk, receivedUs: atUs, concealedSamples });
        taken.push({ frame: number, samples: made, atUs });
      }
      sent.push(frame.samples);
      if (delivery?.kind === 'stall' && delivery.frame === i) delayUs += delivery.ms * 1000;
      const atUs = nowUs + delayUs;
      const audio = { ...chunk, samples: frame.samples.length };
      const hit =
        (delivery?.kind === 'lost' || delivery?.kind === 'undecodable') &&
        i >= delivery.frame &&
        i < delivery.frame + delivery.frames;
      if (hit) {
        const lost = { connection: 1, frame: trace.message(audio), bytes: 9, reason: 'planted' };
        if (delivery.kind === 'undecodable')
          trace.push({ source: 'device', type: 'frameRejected', atUs, ...lost });
        continue;
      }
      const frameNumber = trace.message({ ...audio, receivedUs: atUs });
      const decoded = decode(frame.payload, frame.samples);
      taken.push({ frame: frameNumber, samples: decoded, atUs });
      lastFrame = { number: frameNumber, decoded: decoded.slice() };
      if (delivery?.kind === 'twice' && delivery.frame === i) {
        taken.push({ frame: frameNumber, samples: decoded.slice(), atUs });
      }
    }
    trace.push({ source: 'server', type: 'framed', atUs: nowUs, ...place, ...framer.ledger });
    const endUs = nowUs + delayUs;
    const ended = { writtenUs: nowUs, receivedUs: endUs, handledUs: endUs };

    // The player.
    const decoded = joined(taken.map(({ samples }) => samples));
    const played = at('played', decoded, 16_000);
    player.post({ kind: 'start', sentence: number }, startUs);
    let offset = 0;
    for (const [i, { frame, samples, atUs }] of taken.entries()) {
      trace.handled(atUs, frame, 'AudioChunk', { samples: samples.length, disposition: 'played' });
      const rest =
        i === taken.length - 1 ? played.length : Math.min(played.length, offset + samples.length);
      const piece = played.slice(offset, rest);
      offset = rest;
      if (piece.length > 0) player.post({ kind: 'audio', sentence: number, samples: piece }, atUs);
    }
    trace.message({ event: 'EndAudio', ...ended, ...place });
    player.post({ kind: 'end', sentence: number }, endUs);
    let doneUs = endUs;
    const limitUs = endUs + 60_000_000;
    for (
      let deadline = player.nextDeadlineUs();
      deadline !== undefined && deadline < limitUs;
      deadline = player.nextDeadlineUs()
    ) {
      for (const transition of player.advanceTo(deadline)) {
        if (transition.type === 'drained') {
          const { type, atUs, position, restSamples, paddedSamples } = transition;
          trace.push({
            source: 'device',
            type,
            atUs,
            sentence: number,
            position,
            restSamples,
            paddedSamples,
          });
        } else if (
          transition.type === 'playStart' ||
          transition.type === 'underrunStart' ||
          transition.type === 'underrunEnd'
        ) {
          trace.push({ source: 'device', ...transition });
        }
        doneUs = Math.max(doneUs, transition.atUs);
      }
    }
    nowUs = doneUs + 20_000;
    trace.push(
      {
        source: 'device',
        type: 'state',
        atUs: nowUs,
        from: 'Speaking',
        to: 'Listening',
        cause: 'EndResponse',
      },
      { source: 'server', type: 'turnEnd', atUs: nowUs, turn: number, outcome: 'spoken' },
      { source: 'harness', type: 'turnEnd', atUs: nowUs, turn: number, outcome: 'finished' },
    );
    nowUs += 500_000;
  }
  player.advanceTo(nowUs);
  trace.push({ source: 'harness', type: 'end', atUs: nowUs, outcome: 'finished' });
  const cell = trace.cell({ speaker: player.speaker(), sent: joined(sent), provider });
  return { cell, providerSounds };
}

function bytesOf(samples: Int16Array): Uint8Array {
  const bytes = Buffer.alloc(2 * samples.length);
  for (const [i, sample] of samples.entries()) bytes.writeInt16LE(sample, 2 * i);
  return bytes;
}

export function joined(parts: readonly Int16Array[]): Int16Array {
  const all = new Int16Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
