/**
 * Faults of an answer that need no words of the service: they happen to the bytes between it and its client, and
 * are the same for all services. Data; `wire-fault-edit.ts` does them.
 */
export type WireFault =
  /** In the place of the answer: an HTTP status with a body of JSON. */
  | {
      readonly kind: 'refuse';
      readonly status: number;
      /** `Retry-After`. Absent: none. */
      readonly retryAfterS?: number;
      /** `Location`. Absent: none. */
      readonly location?: string;
    }
  /** The head comes so much later. */
  | { readonly kind: 'late-head'; readonly ms: number }
  /** The head names another type of content. */
  | { readonly kind: 'mime'; readonly type: string }
  /** Whatever names the sampling rate names this one. */
  | { readonly kind: 'rate'; readonly rateHz: number }
  /** The size line of a chunk is off by so many bytes. */
  | { readonly kind: 'chunk-size'; readonly nth: number; readonly by: number }
  /** `Content-Length` is off by so many bytes. */
  | { readonly kind: 'length'; readonly by: number }
  /** A message with sound, and all behind it, comes so much later. */
  | { readonly kind: 'delay'; readonly nth: number; readonly ms: number }
  | { readonly kind: 'duplicate'; readonly nth: number }
  /** A message with sound changes its place with the next one. */
  | { readonly kind: 'reorder'; readonly nth: number }
  | { readonly kind: 'drop'; readonly nth: number }
  /** A message of JSON is cut in half. */
  | { readonly kind: 'broken-json'; readonly nth: number }
  /** Sound is cut into pieces of so many bytes. */
  | { readonly kind: 'pieces'; readonly bytes: number }
  /** One byte of the sound is missing. */
  | { readonly kind: 'lost-byte'; readonly nth: number }
  | { readonly kind: 'byte-swap' }
  | { readonly kind: 'gain'; readonly db: number }
  /** From this message on, so many of them are zeros, or noise. */
  | { readonly kind: 'silence' | 'noise'; readonly nth: number; readonly count: number }
  /** Every message with sound begins with the header of a WAV file. */
  | { readonly kind: 'header-each' }
  /** The sizes in the header of the WAV file are this one. */
  | { readonly kind: 'wav-sizes'; readonly bytes: number }
  /** Only so much of the header of the WAV file comes; then the connection ends in order. */
  | { readonly kind: 'cut-header'; readonly bytes: number }
  /** The WebSocket is closed with this code behind a message with sound. */
  | { readonly kind: 'close-code'; readonly nth: number; readonly code: number }
  /** Behind a message with sound the connection is reset. */
  | { readonly kind: 'reset'; readonly nth: number }
  /** From a message with sound on the connection looks open, and nothing passes any more. */
  | { readonly kind: 'half-open'; readonly nth: number }
  /** A ping, and nothing behind it before its pong. */
  | { readonly kind: 'await-pong'; readonly nth: number }
  /** The sound leaves at this rate. */
  | { readonly kind: 'drip'; readonly bytesPerSecond: number }
  /** All sound is held back until something else follows it. */
  | { readonly kind: 'hold' };

export type WireFaultKind = WireFault['kind'];
