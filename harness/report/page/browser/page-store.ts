/** The data of the page: what is small at once, a conversation and its sound when they are wanted. */
import { inflateSync, strFromU8 } from 'fflate';
import {
  conversationId,
  type PageConversation,
  type PageSummary,
  soundId,
  summaryId,
  type Timeline,
  type TrackName,
} from '../page-data.ts';
import { decodeSound } from '../sound-decoder.ts';

export const rateHz = 16_000;
export const samplesPerMs = rateHz / 1000;

export const summary = JSON.parse(textOf(summaryId) ?? '{}') as PageSummary;

/** The file is longer than what has come of it so far. */
function whenParsed(): Promise<void> {
  if (document.readyState !== 'loading') return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener('DOMContentLoaded', () => resolve(), { once: true });
  });
}

function textOf(id: string): string | undefined {
  return document.getElementById(id)?.textContent ?? undefined;
}

export async function readConversation(index: number): Promise<PageConversation> {
  const id = conversationId(index);
  let text = textOf(id);
  // The end of an element is there when the next one is.
  if (text === undefined || document.readyState === 'loading') {
    await whenParsed();
    text = textOf(id);
  }
  return JSON.parse(strFromU8(inflateSync(bytesOf(text ?? '')))) as PageConversation;
}

/** Whether what a track has can be looked at here, and not only be played from a file. */
export const hasSound = summary.sound.kind === 'kept';

/** The sound of a track from the beginning of the conversation to its end; pauses are zeros. */
export async function readTrack({ tracks, endMs }: Timeline, name: TrackName): Promise<Int16Array> {
  await whenParsed();
  const whole = new Int16Array(Math.ceil(endMs * samplesPerMs));
  const { clips } = tracks[name];
  for (let i = 0; i + 1 < clips.length; i += 2) {
    const clip = readClip(clips[i + 1]!);
    const at = clips[i]!;
    const room = whole.length - at;
    whole.set(
      room < clip.length ? clip.subarray(0, Math.max(0, room)) : clip,
      Math.min(at, whole.length),
    );
  }
  return whole;
}

function readClip(clip: number): Int16Array {
  const { sound } = summary;
  if (sound.kind !== 'kept') return new Int16Array(0);
  return decodeSound(bytesOf(textOf(soundId(clip)) ?? ''), sound.samples[clip] ?? 0, sound.shift);
}

export function bytesOf(base64: string): Uint8Array {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** A file that the browser can play. */
export function wavOf(samples: Int16Array): Blob {
  const header = new DataView(new ArrayBuffer(44));
  const word = (at: number, text: string): void => {
    for (let i = 0; i < 4; i++) header.setUint8(at + i, text.charCodeAt(i));
  };
  const bytes = samples.length * 2;
  word(0, 'RIFF');
  header.setUint32(4, bytes + 36, true);
  word(8, 'WAVE');
  word(12, 'fmt ');
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, rateHz, true);
  header.setUint32(28, rateHz * 2, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  word(36, 'data');
  header.setUint32(40, bytes, true);
  const data = new DataView(new ArrayBuffer(bytes));
  for (let i = 0; i < samples.length; i++) data.setInt16(i * 2, samples[i]!, true);
  return new Blob([header, data], { type: 'audio/wav' });
}
