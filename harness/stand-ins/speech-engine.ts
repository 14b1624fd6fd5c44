import type { Random } from '../random/random.ts';
import { type AudioFormat, encodeClip } from './audio-format.ts';
import { type ClipWindow, clipWindow, type Delivery, deliver } from './delivery.ts';
import {
  type DeliverySchedule,
  drawGapMs,
  encodedSchedule,
  heldBack,
  type Passing,
  scheduleDelivery,
  truncateSchedule,
} from './delivery-schedule.ts';
import { shareBytes } from './http-speech.ts';
import type { PlantedFault } from './planted-fault.ts';
import type { OpenRequest, ProviderServer } from './provider-server.ts';
import type { FaultMoment, StandInFaultKind } from './stand-in-changes.ts';
import type { TimingProfile } from './timing-profile.ts';

/** Something to be said in one go: a generation, a sentence, a segment. */
export interface Passage extends Passing {
  /** s16le mono at the rate of `format`, as `renderClip` gives it. */
  readonly clip: Buffer;
  /** What is sent. */
  readonly format: AudioFormat;
  readonly profile: TimingProfile;
  /** Names the draws of this passage among those of its request. */
  readonly label: string;
  /** Nothing leaves before the passage is finished. */
  readonly whole?: boolean;
}

export interface PassageListener {
  /** The instant of the first byte; not before a fault that leaves no audio. */
  readonly begin?: () => void;
  readonly chunk: (audio: Buffer, window: ClipWindow) => void;
  readonly end: () => void;
  /** A planted fault strikes now, and `end` is not called. */
  readonly struck: (kind: StandInFaultKind, moment: FaultMoment) => void;
}

/**
 * The voice engine behind one request for speech that gets its text bit by bit: passages follow each
 * other and never overlap. A passage pays its first-byte time from the moment it is asked for and,
 * while another one is being delivered, waits for its end and one gap between chunks.
 *
 * A fault that is planted before or in mid audio strikes the first passage, which then ends early.
 */
export class SpeechEngine {
  readonly #server: ProviderServer;
  readonly #entry: OpenRequest;
  readonly #random: Random;
  readonly #deliveries = new Set<Delivery>();
  #passages = 0;
  /** In the passages that have ended. */
  #saidSeconds = 0;
  /** The last planned chunk leaves here. */
  #freeUs = 0;

  constructor(server: ProviderServer, entry: OpenRequest, random: Random) {
    this.#server = server;
    this.#entry = entry;
    this.#random = random;
  }

  /** Passages asked for so far. */
  get passages(): number {
    return this.#passages;
  }

  /** Whether a passage has still something to send. */
  get busy(): boolean {
    return this.#deliveries.size > 0;
  }

  /** Plans a passage; never calls back before it returns. Gives the number of chunks planned. */
  say(passage: Passage, listener: PassageListener): number {
    const { clip, format } = passage;
    const { clock } = this.#server.options;
    this.#passages++;
    const { originUs, schedule: drawn } = this.#place(passage, clock.nowUs());
    const encoded = encodeClip(this.#server, clip, format);
    const all = encodedSchedule(drawn, clip.length, encoded.length);
    const whole = passage.whole === true ? heldBack(all) : all;
    const fault = this.#passages === 1 ? this.#faultInAudio() : undefined;
    const schedule =
      fault === undefined
        ? whole
        : truncateSchedule(whole, shareBytes(encoded.length, fault.share));
    this.#freeUs = originUs + schedule.endUs;
    const bytesPerMs = encoded.length / ((clip.length * 500) / format.rateHz);
    const delivery = deliver(clock, schedule, originUs, encoded, {
      begin: () => {
        if (fault?.moment !== 'first-audio') listener.begin?.();
      },
      chunk: (audio, offset) => {
        this.#entry.audioBytes += audio.length;
        const sentMs = (offset + audio.length) / bytesPerMs;
        this.#entry.audioSeconds = this.#saidSeconds + sentMs / 1000;
        listener.chunk(audio, clipWindow(audio, offset, encoded, bytesPerMs));
      },
      end: () => {
        this.#deliveries.delete(delivery);
        this.#saidSeconds = this.#entry.audioSeconds;
        const struck = fault && this.#server.strike(this.#entry, fault.moment);
        if (struck === undefined) listener.end();
        else listener.struck(struck, fault!.moment);
      },
    });
    this.#deliveries.add(delivery);
    return schedule.chunks.length;
  }

  /** Forgets everything planned. */
  stop(): void {
    for (const delivery of this.#deliveries) delivery.cancel();
    this.#deliveries.clear();
  }

  #place(
    { clip, format, profile, label, chunksBefore = 0, characters = 0 }: Passage,
    nowUs: number,
  ): { originUs: number; schedule: DeliverySchedule } {
    const random = this.#random.fork(`${label}/${this.#passages}`);
    const schedule = scheduleDelivery(clip.length, format.rateHz, profile, random, {
      chunksBefore,
      characters,
    });
    let gapUs = Math.round(
      drawGapMs(profile, chunksBefore > 0 ? chunksBefore - 1 : 'steady', random) * 1000,
    );
    if (chunksBefore > 0) {
      // What goes on at the pace of a stretch has to be produced, too.
      const firstSeconds = (schedule.chunks[0]?.bytes ?? 0) / (2 * format.rateHz);
      gapUs = Math.max(gapUs, Math.round((firstSeconds / profile.speed) * 1e6));
    }
    const waits = chunksBefore > 0 || this.#freeUs > nowUs;
    const queuedUs = waits ? this.#freeUs + gapUs : nowUs;
    return { originUs: Math.max(nowUs, queuedUs - schedule.firstByteUs), schedule };
  }

  #faultInAudio(): PlantedFault | undefined {
    const fault = this.#server.faultOf(this.#entry);
    return fault?.moment === 'first-audio' || fault?.moment === 'mid-audio' ? fault : undefined;
  }
}
