import { type ClipWindow, clipWindow, deliver } from './delivery.ts';
import { type DeliverySchedule, truncateSchedule } from './delivery-schedule.ts';
import type { Exchange, ProviderServer } from './provider-server.ts';
import type { FaultMoment, StandInFaultKind } from './stand-in-changes.ts';
import { breakOff, strayPage } from './wordless-faults.ts';

export interface HttpSpeech {
  /** As it goes over the wire, without a header in front of it. */
  readonly clip: Buffer;
  /** Of the clip. */
  readonly bytesPerSecond: number;
  readonly schedule: DeliverySchedule;
  /** Instant the schedule counts from. */
  readonly originUs: number;
  /** At the first audio byte: the response head, when it has not gone out before. */
  readonly begin: () => void;
  /** Header of a container, sent as audio in front of the clip. */
  readonly header?: Buffer;
  /** How a piece of audio looks on the wire; default: as it is. */
  readonly frame?: (audio: Buffer, window: ClipWindow) => string | Buffer;
  /** What closes a complete answer, for example the last event of a stream. */
  readonly trailer?: () => string;
  /** For an answer of events: what they can say that is no audio. Absent: the body has no words. */
  readonly events?: AnswerEvents;
}

export interface AnswerEvents {
  /** An event that is none of the protocol. */
  readonly garbage: (moment: FaultMoment) => string;
  /** The last event of an answer that failed. */
  readonly failure: (kind: StandInFaultKind) => string;
}

/**
 * Sends a clip as the body of an answer, with the faults that strike behind its head: `cut` breaks
 * the connection, `early-end` ends the body properly, `stall` leaves it open, `empty` sends no audio,
 * `protocol` sends something else. Stops when the client goes away.
 */
export function sendSpeech(server: ProviderServer, exchange: Exchange, speech: HttpSpeech): void {
  const { response, entry } = exchange;
  const { clip, bytesPerSecond, header = Buffer.alloc(0), frame } = speech;
  const fault = server.faultOf(entry);
  const schedule =
    fault === undefined || fault.moment === 'end'
      ? speech.schedule
      : truncateSchedule(speech.schedule, shareBytes(clip.length, fault.share));
  // Something else comes in the place of a sound, and not behind the header of one.
  const replaced = fault?.moment === 'first-audio' && !soundless.has(fault.kind);
  const write = (audio: Buffer, window: ClipWindow): void => {
    response.write(frame === undefined ? audio : frame(audio, window));
  };
  const delivery = deliver(server.options.clock, schedule, speech.originUs, clip, {
    begin: () => {
      speech.begin();
      if (header.length > 0 && !replaced) write(header, { fromMs: 0, toMs: 0 });
    },
    chunk: (audio, offset) => {
      entry.audioBytes += audio.length;
      entry.audioSeconds = entry.audioBytes / bytesPerSecond;
      write(audio, clipWindow(audio, offset, clip, bytesPerSecond / 1000));
    },
    end: () => {
      const struck = fault && server.strike(entry, fault.moment);
      if (struck === undefined) response.end(speech.trailer?.());
      else strikeBody(server, exchange, speech, struck, fault!.moment);
    },
  });
  response.once('close', () => delivery.cancel());
}

/** Faults that leave a sound without its samples. */
const soundless: ReadonlySet<StandInFaultKind> = new Set(['cut', 'stall', 'empty']);

function strikeBody(
  server: ProviderServer,
  exchange: Exchange,
  { trailer, events }: HttpSpeech,
  kind: StandInFaultKind,
  moment: FaultMoment,
): void {
  const { response } = exchange;
  switch (kind) {
    case 'stall':
      break;
    case 'cut':
      breakOff(server, exchange);
      break;
    case 'protocol':
      if (events !== undefined) response.write(events.garbage(moment));
      else if (moment === 'first-audio') response.end(strayPage);
      // In the place of the size of the next chunk.
      else response.socket?.write(strayPage);
      break;
    case 'early-end':
    case 'empty':
      response.end(moment === 'end' ? '' : trailer?.());
      break;
    default:
      response.end(events?.failure(kind));
  }
}

/** A share of a clip in bytes, rounded down to whole samples. */
export function shareBytes(clipBytes: number, fraction: number): number {
  return Math.floor((clipBytes / 2) * fraction) * 2;
}
