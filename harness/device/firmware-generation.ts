/**
 * What the firmware releases differ in (EchoKit device protocol reference, section 0.3), as data. Of
 * the older ones only their protocol is known; what is inferred says so in `sources`.
 */
import type { ServerEventDialect } from '../../firmware-protocol/server-event.ts';

export interface FirmwareGeneration {
  readonly version: string;
  /** What the board asks for in the query string; also what audio it expects. */
  readonly query: { readonly opus: boolean; readonly vowel: boolean; readonly streamAsr: boolean };
  /** Who ends an utterance: the server with `EndVad`, or the board with `Submit`. */
  readonly endOfUtterance: 'server' | 'board';
  /** The server events it knows. */
  readonly dialect: ServerEventDialect;
  /** What a message does that cannot be decoded: it is logged, or it ends the connection. */
  readonly undecodable: 'skip' | 'disconnect';
  /** Whether the handshake offers permessage-deflate, which no firmware can decode. */
  readonly offersCompression: boolean;
  readonly sources: {
    readonly [Name in keyof Omit<FirmwareGeneration, 'version' | 'sources'>]: string;
  };
}

const byBoard =
  '0.3; inferred: `Submit` follows the end of local speech, silence is not uploaded, and there is no 10 s rule';

const generations: readonly FirmwareGeneration[] = [
  {
    version: '0.2.0',
    query: { opus: false, vowel: false, streamAsr: false },
    endOfUtterance: 'board',
    dialect: 'firmware-0.2',
    undecodable: 'disconnect',
    offersCompression: false,
    sources: {
      query: '0.3',
      endOfUtterance: byBoard,
      dialect: '0.3, inferred from the audio it expects',
      undecodable: '0.3: it kills its connection',
      offersCompression: '0.3',
    },
  },
  {
    version: '0.2.2',
    query: { opus: true, vowel: false, streamAsr: false },
    endOfUtterance: 'board',
    dialect: 'firmware-0.2',
    undecodable: 'skip',
    offersCompression: true,
    sources: {
      query: '0.3',
      endOfUtterance: byBoard,
      dialect: '0.3, inferred from the audio it expects',
      undecodable: '0.3: now only logged',
      offersCompression: '0.3: added in 0.2.1',
    },
  },
  {
    version: '0.3.0',
    query: { opus: true, vowel: true, streamAsr: false },
    endOfUtterance: 'board',
    dialect: 'firmware-0.3.0',
    undecodable: 'skip',
    offersCompression: true,
    sources: {
      query: '0.3',
      endOfUtterance: byBoard,
      dialect: '0.3: knows no `EndVad`',
      undecodable: '0.3',
      offersCompression: '0.3',
    },
  },
  {
    version: '0.3.2',
    query: { opus: true, vowel: true, streamAsr: true },
    endOfUtterance: 'server',
    dialect: 'firmware',
    undecodable: 'skip',
    offersCompression: true,
    sources: {
      query: '0.3, 1.2; 0.3.1 behaves the same (0.1)',
      endOfUtterance: '0.3: the device never sends `Submit`',
      dialect: '2.2, 8.4',
      undecodable: '2.2',
      offersCompression: '1.4',
    },
  },
];

/** By version, oldest first. */
export const firmwareGenerations: { readonly [version: string]: FirmwareGeneration } =
  Object.fromEntries(generations.map((generation) => [generation.version, generation]));

export const newestFirmware = generations.at(-1)!;
