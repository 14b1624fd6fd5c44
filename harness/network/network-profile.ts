import { idealLink, type LinkProfile } from './link.ts';

/**
 * Named links between a board and its server. Engineering choices, not measurements, except where
 * a source is named; a report prints the values it used.
 */
export const networkProfiles: Readonly<Record<string, LinkProfile>> = {
  /** Nothing in the way: for checking the program against itself. */
  ideal: idealLink,
  /**
   * A board on the desk: a few milliseconds, Wi-Fi retransmissions as jitter, and the TCP receive
   * window of the board (EchoKit device protocol reference, section 6.7: 5760 bytes).
   */
  'good-wifi': {
    latencyUs: 4_000,
    jitterUs: 6_000,
    bytesPerSecond: 1_000_000,
    windowBytes: 5760,
  },
};

export const networkNames: readonly string[] = Object.keys(networkProfiles);
