/**
 * Boards as data. Every constant has its source: a section of the EchoKit device protocol
 * reference, or the reason why a value was chosen. A profile is a board with a firmware on it.
 */
import {
  type FirmwareGeneration,
  firmwareGenerations,
  newestFirmware,
} from './firmware-generation.ts';
import type { PlayerRhythm } from './player.ts';
import type { QuirkId } from './quirk.ts';

export interface DeviceProfile {
  /** The board, and `@` and the firmware unless it is the newest: `diy`, `box@0.2.2`. */
  readonly name: string;
  readonly firmware: FirmwareGeneration;
  /** Quirks that this board does not have. The firmware has them all. */
  readonly quirksOff: readonly QuirkId[];
  /** An avatar GIF is stored: every mouth shape redraws the screen (section 4.5). None is by default. */
  readonly avatar: boolean;
  /** Section 6.6 reckons with even cycles; that they come in pairs is inferred (6.3). */
  readonly playerRhythm: PlayerRhythm;
  /**
   * Audio of a sentence that the player queues before it plays the first of it. No firmware does; 0 unless somebody
   * asks what it would change.
   */
  readonly prebufferMs: number;
  /** The timing constants were compared with a real board. Reports say so when they were not. */
  readonly calibrated: boolean;
  readonly constants: DeviceConstants;
  readonly sources: { readonly [Name in keyof DeviceConstants]: string };
}

export interface DeviceConstants {
  /** Log tag of the board's own module. */
  readonly boardTag: string;
  /** Time the main loop stands still for every change of state, text or volume on the screen. */
  readonly redrawUs: number;
  /** Samples the audio front end hands out at a time: 256 or 512. */
  readonly frontEndChunkSamples: 256 | 512;
  /** Strictness of the WebRTC detector. */
  readonly voiceAggressiveness: 0 | 1 | 2 | 3;
  readonly voiceEnergyGateDbfs: number;
  /** Unbroken voice that switches "speech" on. */
  readonly speechMinimumMs: number;
  /** Unbroken quiet that switches "speech" off. */
  readonly noiseMinimumMs: number;
  /** Chunks from before the speech that are sent with it. */
  readonly preRollChunks: number;
  /** Pending samples that are sent as one frame. */
  readonly uploadFrameSamples: number;
  /** Captured samples that must be exceeded before anything is sent. */
  readonly uploadMinimumSamples: number;
  /** Captured samples that end the request when no `ASR` event has come. */
  readonly noAsrLimitSamples: number;
  /** Captured samples over an answer that interrupt it, when barge-in is switched on. */
  readonly interruptSamples: number;
  /** Decoded server events between the socket task and the main loop. */
  readonly inboundEvents: number;
  /** Messages between the main loop and the socket task. */
  readonly outboundMessages: number;
  /** Keys and microphone chunks before the main loop. */
  readonly localEvents: number;
  readonly sendTimeoutUs: number;
  readonly idleUs: number;
  /** A key held this long is a long press. */
  readonly longPressUs: number;
  /** From a restart until the board connects. */
  readonly bootUs: number;
  readonly reconnectTries: number;
  readonly reconnectPauseUs: number;
  /** Download ratio before anything was measured. */
  readonly downloadRatioAtBoot: number;
  /** The ratio is measured again when more whole seconds than this have passed. */
  readonly ratioAgeSeconds: number;
  /** The volume counter of the screen at boot; the player itself starts at full gain. */
  readonly volumeAtBoot: number;
  /** Bytes of the built-in hello sound, a WAV file whose header is played too. */
  readonly helloBytes: number;
}

interface Board {
  readonly name: string;
  readonly constants: DeviceConstants;
  readonly sources: DeviceProfile['sources'];
}

/** The self-made board (`boards`, base). */
const diyBoard: Board = {
  name: 'diy',
  constants: {
    boardTag: 'echokit::boards::base',
    redrawUs: 23_040,
    frontEndChunkSamples: 512,
    voiceAggressiveness: 3,
    voiceEnergyGateDbfs: -50,
    speechMinimumMs: 200,
    noiseMinimumMs: 400,
    preRollChunks: 16,
    uploadFrameSamples: 8192,
    uploadMinimumSamples: 4800,
    noAsrLimitSamples: 160_000,
    interruptSamples: 9600,
    inboundEvents: 32,
    outboundMessages: 32,
    localEvents: 64,
    sendTimeoutUs: 30_000_000,
    idleUs: 300_000_000,
    longPressUs: 1_000_000,
    bootUs: 5_000_000,
    reconnectTries: 3,
    reconnectPauseUs: 300_000,
    downloadRatioAtBoot: 0.5,
    ratioAgeSeconds: 15,
    volumeAtBoot: 3,
    helloBytes: 22_478,
  },
  sources: {
    boardTag: '8.2',
    redrawUs:
      '6.5: 240×240 pixels of 16 bits at 40 MHz SPI take 23.04 ms; a lower bound, not measured',
    frontEndChunkSamples: '6.2: 512 by a comment in the firmware, 256 possible',
    voiceAggressiveness: '6.2 says mode 4; 3 is the strictest the WebRTC detector itself knows',
    voiceEnergyGateDbfs: 'chosen: the level below which this harness calls sound inaudible',
    speechMinimumMs: '6.2',
    noiseMinimumMs: '6.2',
    preRollChunks: '6.2',
    uploadFrameSamples: '3.3',
    uploadMinimumSamples: '3.3: 0.3 s',
    noAsrLimitSamples: '3.3: 10.0 s',
    interruptSamples: '5.6: 0.6 s',
    inboundEvents: '6.1',
    outboundMessages: '6.1',
    localEvents: '6.1',
    sendTimeoutUs: '5.5',
    idleUs: '5.5',
    longPressUs: '5.5',
    bootUs:
      'chosen: a second or two for boot loader, memory test and splash, the rest for Wi-Fi and DHCP, which have 15 s each (Appendix A); not measured',
    reconnectTries: '5.3',
    reconnectPauseUs: '5.3',
    downloadRatioAtBoot: '5.8',
    ratioAgeSeconds: '5.8',
    volumeAtBoot: '5.1',
    helloBytes: '4.3',
  },
};

/** Differences of the other released boards: section 6.8. */
const boards: readonly Board[] = [
  diyBoard,
  {
    name: 'box',
    constants: { ...diyBoard.constants, boardTag: 'echokit::boards::atom_box', redrawUs: 5_000 },
    sources: {
      ...diyBoard.sources,
      redrawUs:
        'chosen: only changed tiles of the 320×240 screen are sent, over a parallel bus (6.5, 6.8); not measured',
    },
  },
  {
    name: 'cube2',
    constants: { ...diyBoard.constants, boardTag: 'echokit::boards::cube2' },
    sources: diyBoard.sources,
  },
];

function profileOf(board: Board, firmware: FirmwareGeneration): DeviceProfile {
  const { constants, sources } = board;
  const name = firmware === newestFirmware ? board.name : `${board.name}@${firmware.version}`;
  return {
    name,
    firmware,
    quirksOff: [],
    avatar: false,
    playerRhythm: 'even',
    prebufferMs: 0,
    calibrated: false,
    constants,
    sources,
  };
}

/** Every board with every firmware, by name; the ones with the newest firmware first. */
export const deviceProfiles: { readonly [name: string]: DeviceProfile } = Object.fromEntries(
  Object.values(firmwareGenerations)
    .toReversed()
    .flatMap((firmware) => boards.map((board) => profileOf(board, firmware)))
    .map((profile) => [profile.name, profile]),
);

/** The self-made board with the newest firmware. */
export const diy: DeviceProfile = deviceProfiles['diy']!;

/**
 * A sound of the length of the firmware's built-in beep, bytes of a 16 kHz mono WAV file. The
 * original recording is not part of this program; every figure that depends on it depends on its
 * length only.
 */
export function builtInHello(profile: DeviceProfile): Uint8Array {
  const bytes = profile.constants.helloBytes;
  const headerBytes = 44;
  const file = Buffer.alloc(bytes);
  file.write('RIFF', 0, 'latin1');
  file.writeUInt32LE(bytes - 8, 4);
  file.write('WAVEfmt ', 8, 'latin1');
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(16_000, 24);
  file.writeUInt32LE(32_000, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write('data', 36, 'latin1');
  file.writeUInt32LE(bytes - headerBytes, 40);
  const samples = (bytes - headerBytes) / 2;
  for (let i = 0; i < samples; i++) {
    const fade = Math.min(1, i / 160, (samples - i) / 160);
    file.writeInt16LE(
      Math.round(6000 * fade * Math.sin((2 * Math.PI * 880 * i) / 16_000)),
      headerBytes + 2 * i,
    );
  }
  return file;
}
