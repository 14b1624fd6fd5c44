import { type ClipWindow, clipWindow, deliver } from './delivery.ts';
import { type DeliverySchedule, truncateSchedule } from './delivery-schedule.ts';
import type { Exchange, ProviderServer } from './provider-server.ts';

export interface HttpSpeech {
  /** As it goes over the wire, without a header that `begin` writes. */
  readonly clip: Buffer;
  /** Of the clip. */
  readonly bytesPerSecond: number;
  readonly schedule: DeliverySchedule;
  /** Instant the schedule counts from. */
  readonly originUs: number;
  /** At the first audio byte: the response head, when it has not gone out before, and a header. */
  readonly begin: () => void;
  /** How a piece of audio looks on the wire; default: as it is. */
  readonly frame?: (audio: Buffer, window: ClipWindow) => string | Buffer;
  /** What closes a complete answer, for example the last event of a stream. */
  readonly trailer?: () => string;
}

/**
 * Sends a clip as the chunked body of an answer, with the faults that strike in mid audio: `cut`
 * breaks the connection, `early-end` ends the body properly, `stall` leaves it open, `empty` sends
 * no audio. Stops when the client goes away.
 */
export function sendSpeech(server: ProviderServer, exchange: Exchange, speech: HttpSpeech): void {
  const { response, entry } = exchange;
  const struck = server.strike(entry, 'cut', 'early-end', 'stall', 'empty');
  const fraction = struck === 'empty' ? 0 : (server.faultFor(entry)?.afterFraction ?? 1);
  const schedule =
    struck === undefined
      ? speech.schedule
      : truncateSchedule(speech.schedule, shareBytes(speech.clip.length, fraction));
  const delivery = deliver(server.options.clock, schedule, speech.originUs, speech.clip, {
    begin: speech.begin,
    chunk: (audio, offset) => {
      entry.audioBytes += audio.length;
      entry.audioSeconds = entry.audioBytes / speech.bytesPerSecond;
      const { clip, bytesPerSecond, frame } = speech;
      const window = clipWindow(audio, offset, clip, bytesPerSecond / 1000);
      response.write(frame === undefined ? audio : frame(audio, window));
    },
    end: () => {
      if (struck === 'stall') return;
      if (struck === 'cut') {
        server.conclude(entry, 'cut');
        // What has been written arrives first; the body's terminating chunk never does.
        response.socket?.end(() => response.destroy());
        return;
      }
      response.end(speech.trailer?.());
    },
  });
  response.once('close', () => delivery.cancel());
}

/** A share of a clip in bytes, rounded down to whole samples. */
export function shareBytes(clipBytes: number, fraction: number): number {
  return Math.floor((clipBytes / 2) * fraction) * 2;
}
