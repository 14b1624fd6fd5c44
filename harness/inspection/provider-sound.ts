import type { RecordedCell } from '../metrics/recorded-cell.ts';
import { readRequestTraffic, type TrafficPiece } from '../trace/request-traffic.ts';
import { firstChannel, wavParts } from './wav-sound.ts';

/** What a provider has sent, as its own bytes say. */
export interface ProviderSound {
  /** The first channel. */
  readonly samples: Int16Array;
  /** As declared. */
  readonly rateHz: number;
}

/**
 * The sounds in the traffic of a recording, for the requests whose bytes are 16-bit PCM: plain, in a WAV file, or in Base64 in JSON
 * messages. Of compressed sounds nothing is returned; nor where the bytes are not as many as the adapter took, since
 * then they are something else.
 *
 * @param folder of the recording
 */
export function readProviderSounds(folder: string, cell: RecordedCell): Map<number, ProviderSound> {
  const sounds = new Map<number, ProviderSound>();
  for (const [request, format] of formatsOf(cell)) {
    const pieces = readRequestTraffic(folder, request, 'received');
    const sound = pieces === null ? null : soundOf(pieces, format);
    if (sound !== null) sounds.set(request, sound);
  }
  return sounds;
}

interface Format {
  readonly rateHz: number;
  readonly channels: number;
  bytes: number;
  /** As the adapter counted them; null before the end. */
  frames: number | null;
}

function formatsOf({ events }: RecordedCell): Map<number, Format> {
  const formats = new Map<number, Format>();
  for (const event of events) {
    if (event.source !== 'provider') continue;
    const known = formats.get(event.request);
    if (event.type === 'end' && known !== undefined) known.frames = event.sourceFrames;
    if (event.type !== 'chunk' || event.sourceBytes === 0) continue;
    if (known !== undefined) {
      known.bytes += event.sourceBytes;
      continue;
    }
    const { sourceRateHz: rateHz, sourceChannels: channels, sourceBytes: bytes } = event;
    formats.set(event.request, { rateHz, channels, bytes, frames: null });
  }
  return formats;
}

function soundOf(
  pieces: readonly TrafficPiece[],
  { rateHz, channels, bytes, frames }: Format,
): ProviderSound | null {
  if (rateHz === 0) return null;
  const kinds = new Set(pieces.map(({ kind }) => kind));
  const wordsOf = (): Buffer => Buffer.concat(pieces.flatMap(({ data }) => audioInJson(data)));
  const body = Buffer.concat(
    pieces.filter(({ kind }) => kind !== 'ws-text').map(({ data }) => data),
  );
  // Messages in text carry sound only where there are none in bytes.
  const payload = !kinds.has('ws-text') || body.length > 0 ? unwrapped(body) : wordsOf();
  const complete = payload.length === bytes || payload.length === bytes + (bytes % 2);
  if (!complete || bytes === 0) return null;
  const frameBytes = 2 * channels;
  if (frames !== null && Math.abs(frames - Math.floor(bytes / frameBytes)) > 1) return null;
  return { samples: firstChannel(payload, channels), rateHz };
}

/** The body without the headers of a WAV file, or what its events carry. */
function unwrapped(body: Buffer): Buffer {
  const wav = wavParts(body);
  if (wav !== null) return wav.data;
  if (/^(event|data|id|:)/.test(body.toString('latin1', 0, 6))) {
    const lines = body.toString('utf8').split(/\r\n|\n|\r/);
    const data = lines.flatMap((line) => (line.startsWith('data:') ? [line.slice(5)] : []));
    return Buffer.concat(data.flatMap((line) => audioInJson(Buffer.from(line))));
  }
  return body;
}

/** Long strings of Base64 in a JSON message, wherever they are. */
function audioInJson(data: Buffer): Buffer[] {
  const found: Buffer[] = [];
  const visit = (value: unknown): void => {
    if (typeof value === 'string') {
      if (value.length >= 64 && /^[A-Za-z0-9+/]+=*$/.test(value))
        found.push(Buffer.from(value, 'base64'));
    } else if (typeof value === 'object' && value !== null) Object.values(value).forEach(visit);
  };
  try {
    visit(JSON.parse(data.toString('utf8')));
  } catch {
    // No JSON, no sound.
  }
  return found;
}
