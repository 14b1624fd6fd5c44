import type { Random } from '../random/random.ts';
import { type Delivery, deliver } from './delivery.ts';
import {
  type DeliverySchedule,
  drawGapMs,
  heldBack,
  type Passing,
  scheduleDelivery,
  truncateSchedule,
} from './delivery-schedule.ts';
import { shareBytes } from './http-speech.ts';
import type { OpenRequest, ProviderServer } from './provider-server.ts';
import type { StandInFaultKind } from './stand-in-changes.ts';
import type { TimingProfile } from './timing-profile.ts';

/** Something to be said in one go: a generation, a sentence, a segment. */
export interface Passage extends Passing {
  /** s16le mono, as `renderClip` gives it. */
  readonly clip: Buffer;
  readonly rateHz: number;
  readonly profile: TimingProfile;
  /** Names the draws of this passage among those of its request. */
  readonly label: string;
  /** Nothing leaves before the passage is finished. */
  readonly whole?: boolean;
}

export interface PassageListener {
  /** The instant of the first byte; also for a passage without audio. */
  readonly begin?: (fault: StandInFaultKind | undefined) => void;
  /** `offset` counts the bytes of the clip before this chunk. */
  readonly chunk: (audio: Buffer, offset: number) => void;
  /** All has been sent that will be. `fault`: what the planted fault does now. */
  readonly end: (fault: StandInFaultKind | undefined) => void;
}

/**
 * The voice engine behind one request for speech that gets its text bit by bit: passages follow each
 * other and never overlap. A passage pays its first-byte time from the moment it is asked for and,
 * while another one is being delivered, waits for its end and one gap between chunks.
 *
 * A planted fault in mid audio (`cut`, `early-end`, `stall`, `empty`) strikes the first passage,
 * which then ends early.
 */
export class SpeechEngine {
  readonly #server: ProviderServer;
  readonly #entry: OpenRequest;
  readonly #random: Random;
  readonly #deliveries = new Set<Delivery>();
  #passages = 0;
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
    const { clip, rateHz } = passage;
    const { clock } = this.#server.options;
    this.#passages++;
    const nowUs = clock.nowUs();
    const { originUs, schedule: drawn } = this.#place(passage, nowUs);
    const fault = this.#passages === 1 ? this.#midAudioFault() : undefined;
    const share = fault?.kind === 'empty' ? 0 : (fault?.afterFraction ?? 1);
    const whole = passage.whole === true ? heldBack(drawn) : drawn;
    const schedule =
      fault === undefined ? whole : truncateSchedule(whole, shareBytes(clip.length, share));
    this.#freeUs = originUs + schedule.endUs;
    const delivery = deliver(clock, schedule, originUs, clip, {
      begin: () => listener.begin?.(fault?.kind),
      chunk: (audio, offset) => {
        this.#entry.audioBytes += audio.length;
        this.#entry.audioSeconds = this.#entry.audioBytes / (2 * rateHz);
        listener.chunk(audio, offset);
      },
      end: () => {
        this.#deliveries.delete(delivery);
        listener.end(fault?.kind);
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
    { clip, rateHz, profile, label, chunksBefore = 0, characters = 0 }: Passage,
    nowUs: number,
  ): { originUs: number; schedule: DeliverySchedule } {
    const random = this.#random.fork(`${label}/${this.#passages}`);
    const schedule = scheduleDelivery(clip.length, rateHz, profile, random, {
      chunksBefore,
      characters,
    });
    let gapUs = Math.round(
      drawGapMs(profile, chunksBefore > 0 ? chunksBefore - 1 : 'steady', random) * 1000,
    );
    if (chunksBefore > 0) {
      // What goes on at the pace of a stretch has to be produced, too.
      const firstSeconds = (schedule.chunks[0]?.bytes ?? 0) / (2 * rateHz);
      gapUs = Math.max(gapUs, Math.round((firstSeconds / profile.speed) * 1e6));
    }
    const waits = chunksBefore > 0 || this.#freeUs > nowUs;
    const queuedUs = waits ? this.#freeUs + gapUs : nowUs;
    return { originUs: Math.max(nowUs, queuedUs - schedule.firstByteUs), schedule };
  }

  #midAudioFault() {
    const kind = this.#server.strike(this.#entry, 'cut', 'early-end', 'stall', 'empty');
    return kind === undefined ? undefined : this.#server.faultFor(this.#entry);
  }
}
