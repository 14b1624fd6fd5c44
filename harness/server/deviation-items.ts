/**
 * What a server can be made to do that neither this one nor the EchoKit server does by itself, as
 * data: to see what a board makes of it, and whether the metrics find it.
 */

/** Query parameters of a board (EchoKit device protocol reference, section 1.3) that can be overlooked. */
export const ignorableParameters = ['reconnect', 'opus', 'vowel', 'stream_asr'] as const;
export type IgnorableParameter = (typeof ignorableParameters)[number];

/**
 * Messages that can be sent between others without upsetting the count of sentences and samples.
 * Texts in them are empty; boards do not know the last two (section 2.3).
 */
export const insertableMessages = [
  'ASR',
  'Action',
  'EndVad',
  'EndResponse',
  'StartVideo',
  'EndVideo',
  'Choices',
  'DisplayText',
] as const;
export type InsertableMessage = (typeof insertableMessages)[number];

/** Lengths of an Opus packet that a board can decode and that hold whole samples (section 4.1). */
export const packetLengthsMs = [10, 20, 40, 60, 80, 100, 120] as const;
export type PacketLengthMs = (typeof packetLengthsMs)[number];
