/**
 * The frame of a recording made by hand: events in any order and the audio beside them become what a run would have left. What
 * happens in it, its maker decides (`planted-cell.contract.ts` here, `planted-recording.contract.ts` of the inspection).
 */
import type { TraceEvent } from '../trace/trace-event.ts';
import type { RecordedCell } from './recorded-cell.ts';

type WithoutSeq<Event> = Event extends TraceEvent ? Omit<Event, 'seq'> : never;
export type PlantedEvent = WithoutSeq<TraceEvent>;

/** One message of the server to the board, and when it was where. */
export interface PlantedMessage {
  readonly turn: number;
  readonly sentence?: number;
  readonly event: string;
  readonly writtenUs: number;
  /** Absent: it was lost on the way. */
  readonly receivedUs?: number;
  /** Absent: the main loop has not taken it. */
  readonly handledUs?: number;
  /** Of audio: as the server framed it. */
  readonly samples?: number;
  readonly disposition?: 'played' | 'dropped';
  /** What the decoder made up for a packet without content. */
  readonly concealedSamples?: number;
}

/** One request to a provider, whose adapter yields 16 kHz. */
export interface PlantedRequest {
  readonly turn: number;
  readonly sentence: number;
  readonly request: number;
  readonly writtenUs: number;
  readonly decidedUs: number;
  readonly connectedUs: number;
  readonly characters: number;
}

export class PlantedTrace {
  readonly events: PlantedEvent[] = [];
  #frame = 0;

  /** @param quirksOff of the board */
  boot(speakerStartUs: number, quirksOff?: readonly string[]): void {
    this.push({
      source: 'device',
      type: 'boot',
      atUs: 0,
      profile: 'diy',
      firmware: '0.3.2',
      deviceId: 'planted',
      speakerStartUs,
      ...(quirksOff !== undefined && { quirksOff }),
    } as PlantedEvent);
  }

  push(...events: readonly PlantedEvent[]): void {
    this.events.push(...events);
  }

  /** @returns the number of its frame */
  message({
    event,
    writtenUs,
    receivedUs,
    handledUs,
    samples,
    disposition,
    concealedSamples,
    ...place
  }: PlantedMessage): number {
    const frame = ++this.#frame;
    const written = { connection: 1, frame, event, bytes: 9 };
    const size = samples === undefined ? {} : { samples };
    this.push({ source: 'server', type: 'frame', atUs: writtenUs, ...written, ...place, ...size });
    if (receivedUs !== undefined) {
      const made = concealedSamples === undefined ? {} : { concealedSamples };
      this.push({ source: 'device', type: 'frameReceived', atUs: receivedUs, ...written, ...made });
    }
    if (handledUs !== undefined)
      this.handled(handledUs, frame, event, disposition && { ...size, disposition });
    return frame;
  }

  /** The main loop takes it. */
  handled(
    atUs: number,
    frame: number,
    event: string,
    audio: { readonly samples?: number; readonly disposition?: 'played' | 'dropped' } = {},
  ): void {
    const taken = { connection: 1, frame, event, ...audio };
    this.push({ source: 'device', type: 'frameHandled', atUs, ...taken });
  }

  request({ turn, sentence, request, writtenUs, ...when }: PlantedRequest): void {
    this.push({
      source: 'provider',
      type: 'request',
      atUs: writtenUs,
      request,
      platform: 'planted',
      url: 'http://planted/',
      reused: when.decidedUs === when.connectedUs,
      ...when,
      turn,
      sentence,
    });
  }

  /** Everything in the order of its instants; what is at the same one stays in the order in which it was planted. */
  cell(audio: Pick<RecordedCell, 'speaker' | 'sent' | 'provider'>): RecordedCell {
    const events = this.events
      .map((event, order) => ({ event, order }))
      .sort((a, b) => a.event.atUs - b.event.atUs || a.order - b.order)
      .map(({ event }, i) => ({ ...event, seq: i + 1 }) as TraceEvent);
    return {
      header: {
        type: 'header',
        formatVersion: 1,
        scenario: 'planted',
        provider: 'planted',
        device: 'diy',
        network: 'planted',
        seed: 0,
        time: 'virtual',
      },
      events,
      user: new Int16Array(0),
      ...audio,
    };
  }
}
