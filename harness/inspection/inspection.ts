/** A recording, looked through stage by stage. Pure: what is in the files decides. */
import { type Conversation, readConversation, type Sentence } from '../metrics/conversation.ts';
import { type Playback, readPlaybacks } from '../metrics/playback.ts';
import { chunkSamples } from '../metrics/player-schedule.ts';
import { type RecordedCell, samplesToMs } from '../metrics/recorded-cell.ts';
import type { Defect, DefectPlace, Finding, SoundStage } from './defect.ts';
import type { ProviderSound } from './provider-sound.ts';
import { convertRate } from './rate-conversion.ts';
import {
  type AssembledSound,
  type FrameSpan,
  frameSpans,
  normalisedSound,
  pieceAt,
  playedSound,
  playedToTheEnd,
  receivedSound,
  sentSound,
  type TakenFrame,
  takenFrames,
  type Utterance,
  utterancesOf,
} from './recorded-sounds.ts';
import { findAlone } from './single-sound.ts';
import { compareSounds, wordsSamples } from './stage-comparison.ts';
import { rms } from './waveform-faults.ts';

const rateHz = 16_000;
/** Of libopus at 16 kHz: 4 ms of overlap and 2.5 ms of look-ahead. */
const opusDelaySamples = 104;
/** 20 ms: what is so short and so near to a wrong packet is part of it. */
const jointSamples = 320;
/** The player's rest is heard when it is so loud, RMS: −45 dBFS. */
const audibleRestRms = 184;

/**
 * All defects of a recording, in the order of the stages within each sentence.
 *
 * @param providerSounds of the requests whose bytes can be read; the others are looked at from the adapter on
 */
export function inspectCell(
  cell: RecordedCell,
  providerSounds: ReadonlyMap<number, ProviderSound>,
): Defect[] {
  return new CellInspector(cell, providerSounds).inspect();
}

interface Span {
  readonly at: number;
  readonly samples: number;
}

/** @param spans in order, without overlap */
function withoutSpans(samples: Int16Array, spans: readonly Span[]): Int16Array {
  if (spans.length === 0) return samples;
  const inside = (i: number): boolean => spans.some(({ at, samples: n }) => i >= at && i < at + n);
  return samples.filter((_, i) => !inside(i));
}

/** The index in the whole sound of one in what {@link withoutSpans} left. */
function withSpans(index: number, spans: readonly Span[]): number {
  return spans.reduce((at, span) => (at >= span.at ? at + span.samples : at), index);
}

class CellInspector {
  readonly #cell: RecordedCell;
  readonly #providerSounds: ReadonlyMap<number, ProviderSound>;
  readonly #conversation: Conversation;
  readonly #spans: ReadonlyMap<Conversation['frames'][number], FrameSpan>;
  readonly #opus: boolean;
  readonly #defects: Defect[] = [];
  /** What was sent, utterance by utterance. */
  readonly #sent: { readonly sentences: readonly Sentence[]; readonly samples: Int16Array }[] = [];
  readonly #earlierSpoken: { readonly rateHz: number; readonly samples: Int16Array }[] = [];

  constructor(cell: RecordedCell, providerSounds: ReadonlyMap<number, ProviderSound>) {
    this.#cell = cell;
    this.#providerSounds = providerSounds;
    this.#conversation = readConversation(cell);
    this.#spans = frameSpans(this.#conversation);
    this.#opus = cell.events.some(
      (event) => event.source === 'server' && event.type === 'connected' && event.opus,
    );
  }

  inspect(): Defect[] {
    for (const utterance of utterancesOf(this.#conversation, this.#cell))
      this.#inspectUtterance(utterance);
    if (this.#cell.speaker.length > 0) {
      const playbacks = readPlaybacks(this.#conversation, this.#cell);
      for (const playback of playbacks) this.#inspectPlayback(playback);
    }
    return this.#defects;
  }

  #inspectUtterance(utterance: Utterance): void {
    const normalised = normalisedSound(utterance, this.#cell);
    for (const { request } of utterance.requests)
      this.#inspectRequest(request, utterance, normalised);
    const sent = sentSound(utterance.sentences, this.#spans, this.#cell);
    if (normalised.samples.length > 0 && (sent.samples.length > 0 || utterance.whole)) {
      const findings = compareSounds({
        before: normalised.samples,
        sound: sent.samples,
        kept: 'samples',
        whole: utterance.whole,
        earlier: this.#sentBefore(utterance.sentences[0]),
      });
      for (const finding of findings) {
        // What fills the last packet of a sentence in the middle of an answer.
        if (this.#isPadding(finding, sent)) continue;
        this.#add('sent', finding, sent, utterance, this.#lossTold(utterance));
      }
    }
    this.#sent.push({ sentences: utterance.sentences, samples: sent.samples });
  }

  #inspectRequest(request: number, utterance: Utterance, normalised: AssembledSound): void {
    const yielded = this.#cell.provider.get(request);
    const original = this.#providerSounds.get(request);
    const alone = utterance.requests.length === 1;
    const sound = original ?? (yielded === undefined ? null : { samples: yielded, rateHz });
    if (sound === null) return;
    const findings = findAlone({
      ...sound,
      text: alone ? utterance.text : null,
      whole: utterance.whole && alone,
      earlier: this.#earlierSpoken.filter((e) => e.rateHz === sound.rateHz).map((e) => e.samples),
    });
    this.#earlierSpoken.unshift(sound);
    const base = normalised.pieces.find((piece) => piece.request === request)?.at ?? 0;
    for (const finding of findings) {
      const at = base + Math.round((finding.at * rateHz) / sound.rateHz);
      const place = this.#place(normalised, at, utterance);
      this.#defects.push({
        kind: finding.kind,
        stage: 'provider',
        place:
          original === undefined
            ? place
            : {
                ...place,
                file: `provider/${request}.received`,
                sample: finding.at,
                rateHz: sound.rateHz,
              },
        lengthMs: (finding.samples * 1000) / sound.rateHz,
        evidence: finding.evidence,
      });
    }
    if (original === undefined || yielded === undefined) return;
    const before = convertRate(original.samples, rateHz / original.rateHz);
    const differences = compareSounds({
      before,
      sound: yielded,
      kept: original.rateHz === rateHz ? 'samples' : 'shape',
      whole: utterance.whole,
      earlier: this.#sentBefore(utterance.sentences[0]),
    });
    for (const finding of differences) {
      this.#add('normalised', { ...finding, at: finding.at + base }, normalised, utterance);
    }
  }

  /** What was sent before the utterance of a sentence, the latest first. */
  #sentBefore(sentence: Sentence | undefined): Int16Array[] {
    const own = this.#sent.findIndex(
      ({ sentences }) => sentence !== undefined && sentences.includes(sentence),
    );
    const before = own < 0 ? this.#sent : this.#sent.slice(0, own);
    return before.map(({ samples }) => samples).reverse();
  }

  #isPadding(finding: Finding, sent: AssembledSound): boolean {
    if (finding.kind !== 'inserted' || finding.samples >= 16_000) return false;
    let [from, to] = [finding.at, finding.at + finding.samples];
    if (sent.samples.subarray(from, to).some((sample) => sample !== 0)) return false;
    // Where in a pause it is cannot be told, when what follows begins with silence.
    while (from > 0 && sent.samples[from - 1] === 0) from--;
    while (to < sent.samples.length && sent.samples[to] === 0) to++;
    return pieceAt(sent, from)?.sentence !== pieceAt(sent, to)?.sentence;
  }

  /** What the server itself says about samples that it lost. */
  #lossTold({ sentences }: Utterance): string | undefined {
    const lost = sentences.reduce((sum, { framed }) => sum + (framed?.lostSamples ?? 0), 0);
    return lost === 0 ? undefined : `the server noted ${lost} samples that filled no packet`;
  }

  #inspectPlayback(playback: Playback): void {
    const { sentence, board } = playback;
    const taken = takenFrames(sentence, this.#conversation.frames, this.#cell);
    const received = receivedSound(taken, this.#spans, sentence, this.#cell);
    const whole = playedToTheEnd(playback);
    const { joints, madeUp } = this.#inspectReceived(sentence, taken, received, whole);
    const played = playedSound(playback, this.#cell);
    for (const run of board.underruns) {
      if (run.cycles === null || run.position >= (playback.endPosition ?? 0)) continue;
      this.#defects.push({
        kind: 'gap',
        stage: 'played',
        place: this.#playedPlace(playback, run.position),
        lengthMs: samplesToMs(run.cycles * chunkSamples),
        evidence: `nothing to play for ${run.cycles} cycles of 16 ms`,
        because: 'the board reports an underrun: the next samples came too late',
      });
    }
    if (played.samples.length === 0 && !whole) return;
    const rest = Math.min(playback.restBefore ?? 0, played.samples.length);
    // What the hello sound leaves is no piece of an answer.
    if (rest > 0 && !board.helloBefore && rms(played.samples, 0, rest) >= audibleRestRms) {
      this.#defects.push({
        kind: 'leak',
        stage: 'played',
        place: this.#playedPlace(playback, board.playStart!.position),
        lengthMs: samplesToMs(rest),
        evidence: `begins with ${rest} samples that filled no chunk of the sound before`,
        because: 'the rest stays in the player (quirk Q2)',
      });
    }
    const own = played.samples.subarray(rest);
    const unknown = taken.length > 0 && taken.every(({ frame }) => frame === null);
    const findings =
      unknown || sentence.frames.length === 0
        ? findAlone({ samples: own, rateHz, text: sentence.text, whole, earlier: [] })
        : compareSounds({
            before: withoutSpans(received.samples, madeUp),
            sound: withoutSpans(own, madeUp),
            kept: this.#opus ? 'shape' : 'samples',
            delay: this.#opus ? opusDelaySamples : 0,
            whole,
            earlier: this.#sentBefore(sentence),
          });
    for (const { at, ...found } of findings) {
      const finding = { ...found, at: withSpans(at, madeUp) };
      const piece = pieceAt(played, finding.at + rest);
      if (piece === undefined) continue;
      // Tops that were cut off before overshoot in a codec.
      if (finding.kind === 'clipping' && this.#hasTold('clipping', sentence)) continue;
      // A codec for speech has a high-pass, which bends the waves of a voice that is an octave too low until none is like itself.
      if (this.#opus && this.#hasTold('wrong-rate', sentence)) continue;
      // A decoder stumbles where a packet is missing or comes twice: that has been told.
      const short = finding.samples <= jointSamples;
      if (short && joints.some((at) => Math.abs(at - finding.at) <= jointSamples)) continue;
      const position = piece.offset + finding.at + rest - piece.at;
      this.#defects.push({
        kind: finding.kind,
        stage: unknown ? 'received' : 'played',
        place: this.#playedPlace(playback, position),
        lengthMs: samplesToMs(finding.samples),
        evidence: finding.evidence,
        ...(this.#isRest(finding, own, playback) && {
          because: 'the rest stays in the player (quirk Q2)',
        }),
      });
    }
  }

  #hasTold(kind: Defect['kind'], { turn, number }: Sentence): boolean {
    return this.#defects.some(
      ({ kind: told, place }) => told === kind && place.turn === turn && place.sentence === number,
    );
  }

  #isRest({ kind, at, samples }: Finding, own: Int16Array, { schedule }: Playback): boolean {
    const left = schedule?.restAfter ?? 0;
    return (
      kind === 'dropped' &&
      left > 0 &&
      at + 80 >= own.length &&
      samples <= left + 2 * opusDelaySamples
    );
  }

  /**
   * The messages themselves tell what was lost on the way, or came twice.
   *
   * @returns where in the received sound its pieces do not belong together, and what the decoder made up of nothing
   */
  #inspectReceived(
    sentence: Sentence,
    taken: readonly TakenFrame[],
    received: AssembledSound,
    whole: boolean,
  ): { readonly joints: readonly number[]; readonly madeUp: readonly Span[] } {
    const joints: number[] = [];
    const madeUp: Span[] = [];
    if (sentence.frames.length === 0) return { joints, madeUp };
    const sent = sentSound([sentence], this.#spans, this.#cell);
    const utterance = { turn: sentence.turn, requests: [] };
    const add = (
      kind: Defect['kind'],
      sound: AssembledSound,
      at: number,
      samples: number,
      evidence: string,
    ): void => this.#add('received', { kind, at, samples, evidence }, sound, utterance);
    const arrived = new Set(taken.map(({ frame }) => frame));
    let at = 0;
    let lost: { at: number; samples: number; frames: number[]; undecodable: boolean } | null = null;
    const tellLost = (): void => {
      if (lost === null) return;
      const { samples, frames, undecodable } = lost;
      const audible = rms(sent.samples, lost.at, lost.at + samples) >= audibleRestRms;
      const kind = audible && samples >= wordsSamples ? 'missing-words' : 'dropped';
      const which =
        frames.length === 1 ? `frame ${frames[0]}` : `frames ${frames[0]} to ${frames.at(-1)}`;
      const what = undecodable ? 'could not be decoded' : 'never arrived';
      add(kind, sent, lost.at, samples, `${which} with ${samples} samples ${what}`);
      lost = null;
    };
    for (const frame of sentence.frames) {
      const span = this.#spans.get(frame);
      if (span === undefined) continue;
      if (whole && !arrived.has(frame)) {
        const undecodable = frame.rejected !== null;
        lost ??= { at, samples: 0, frames: [], undecodable };
        lost.samples += span.samples;
        lost.frames.push(frame.frame);
      } else tellLost();
      at += span.samples;
    }
    tellLost();
    at = 0;
    const seen = new Set<unknown>();
    const order = sentence.frames.filter((frame) => this.#spans.has(frame));
    let next = order[0];
    for (const { frame, samples, disposition } of taken) {
      if (disposition === 'dropped') continue;
      if (frame !== next) joints.push(at, at + samples);
      if (frame !== null) next = order[order.indexOf(frame) + 1];
      if (frame === null) {
        if (taken.some((other) => other.frame !== null)) {
          add('inserted', received, at, samples, `${samples} samples of a frame that was not sent`);
        }
      } else if (seen.has(frame)) {
        add(
          'repeated',
          received,
          at,
          samples,
          `frame ${frame.frame} with ${samples} samples came twice`,
        );
      } else if (frame.concealedSamples > 0) {
        madeUp.push({ at, samples });
        const evidence = `frame ${frame.frame} was empty, the decoder made up ${samples} samples`;
        add('inserted', received, at, samples, evidence);
      } else if (frame.sentence !== sentence.number) {
        const evidence = `frame ${frame.frame} with ${samples} samples belongs to sentence ${frame.sentence}`;
        add('leak', received, at, samples, evidence);
      }
      seen.add(frame);
      at += samples;
    }
    return { joints, madeUp };
  }

  #add(
    stage: SoundStage,
    { kind, at, samples, evidence }: Finding,
    sound: AssembledSound,
    utterance: Pick<Utterance, 'turn' | 'requests'>,
    because?: string,
  ): void {
    this.#defects.push({
      kind,
      stage,
      place: this.#place(sound, at, utterance),
      lengthMs: samplesToMs(samples),
      evidence,
      ...(because !== undefined && kind === 'dropped' && { because }),
    });
  }

  #place(
    sound: AssembledSound,
    at: number,
    { turn, requests }: Pick<Utterance, 'turn' | 'requests'>,
  ): DefectPlace {
    const piece = pieceAt(sound, at);
    const first = sound.pieces.find(({ sentence }) => sentence === piece?.sentence);
    return {
      turn,
      sentence: piece?.sentence?.number ?? null,
      request: piece?.request ?? requests[0]?.request ?? null,
      file: piece?.file ?? 'sent.wav',
      sample: piece === undefined ? 0 : piece.offset + at - piece.at,
      rateHz,
      atMs: samplesToMs(at - (first?.at ?? 0)),
    };
  }

  #playedPlace({ sentence, board, startPosition }: Playback, position: number): DefectPlace {
    const start = startPosition ?? board.playStart?.position ?? position;
    return {
      turn: sentence.turn,
      sentence: sentence.number ?? board.number,
      request: null,
      file: 'speaker.wav',
      sample: position,
      rateHz,
      atMs: samplesToMs(position - start),
    };
  }
}
