import type { DeviceLink } from './device-link.ts';

/** Bytes of one `HelloChunk` (EchoKit device protocol reference, section 4.3). */
export const helloChunkBytes = 2048;

/**
 * Sends the hello sound: the WAV file as it is, header included, because boards play the bytes they
 * get and the reference server does the same.
 */
export async function sendHello(link: DeviceLink, file: Uint8Array): Promise<void> {
  await link.send({ type: 'HelloStart' }, { turn: 0 });
  for (let at = 0; at < file.length; at += helloChunkBytes) {
    const data = file.subarray(at, at + helloChunkBytes);
    await link.send({ type: 'HelloChunk', data }, { turn: 0 });
  }
  await link.send({ type: 'HelloEnd' }, { turn: 0 });
}
