/** A virtual board on a port in this process, as the board of a conversation in virtual time. */
import { type DeviceProfile, diy } from '../device/device-profile.ts';
import { createRandom } from '../random/random.ts';
import { resetStrategies } from '../serial/reset-strategy.ts';
import { MemoryPorts } from '../virtual-board/memory-ports.ts';
import { VirtualBoard } from '../virtual-board/virtual-board.ts';
import type { BoardSource } from './board-on-cable.ts';
import type { Laboratory } from './laboratory.ts';
import { directVoice } from './voice-path.ts';

export interface BoardInMemoryOptions {
  readonly laboratory: Laboratory;
  /** Default: `diy`. */
  readonly profile?: DeviceProfile;
  readonly seed: number;
  /** It reaches its server through the cable, at this rate. Absent: over Wi-Fi, and the cable carries its console. */
  readonly linkBaud?: number;
}

/** Where the board believes its server to be. */
const serverAddress = { host: 'server.test', port: 8080 };

/** A source that plugs in a fresh board for each try, and the boards that it has plugged in, to be closed. */
export function boardInMemory({
  laboratory,
  profile = diy,
  seed,
  linkBaud,
}: BoardInMemoryOptions): { readonly source: BoardSource; close(): Promise<void> } {
  const boards: VirtualBoard[] = [];
  const numbers = createRandom(seed, 'sessions of links');
  const source: BoardSource = ({ clock, network }) => {
    const board = new VirtualBoard({
      profile,
      mac: '02ec0e0000b1',
      serverUrl: `ws://${serverAddress.host}:${serverAddress.port}/ws/`,
      wiring: 'bridge',
      clock,
      dialer: network,
      random: createRandom(seed, `virtual board ${boards.length + 1}`),
      opus: laboratory.opus,
      voiceDetection: laboratory.voiceDetection,
      ...(linkBaud !== undefined && { serialLink: { baud: linkBaud } }),
    });
    boards.push(board);
    const ports = new MemoryPorts({ clock });
    ports.plug('tty0', board);
    board.powerOn();
    return {
      name: 'virtual board',
      openPort: () => ports.open(ports.names()[0] ?? 'tty0', linkBaud),
      wiring: 'bridge',
      reset: resetStrategies['run-bridge'],
      suffer: (failure) => board.fail(failure),
      ask: () => {},
      tell: () => {},
      ownAddresses: [serverAddress.host],
      ...(linkBaud === undefined
        ? { serverAddress, voice: directVoice(clock, (samples) => board.hear(samples)) }
        : {
            link: {
              baud: linkBaud,
              carriesWords: true,
              drawBytes: (count: number) => numbers.bytes(count),
            },
          }),
    };
  };
  return {
    source,
    close: async () => {
      for (const board of boards.splice(0)) await board.close();
    },
  };
}
