/** A board at the other end of a TCP connection: what every server in front of one has to do. */
import type { Duplex } from 'node:stream';
import type { Endpoint, Listener, Network } from '../network/network.ts';
import type { Attachment, VirtualBoard } from './virtual-board.ts';

/** A client holds back this much before what the board prints for it is lost. */
const backlogMaximumBytes = 256 * 1024;

/** What came of one connection. */
export interface Client {
  readonly stream: Duplex;
  readonly attachment: Attachment;
}

/**
 * Lets one client at a time have the board. A second one, or one that comes while there is no port, is told so and hung
 * up on, as ser2net does it. A client that goes leaves both lines off.
 *
 * @param encode what the board prints, as it goes over the connection
 * @param serve is given each client once, before its first byte
 */
export function listenForBoard(
  network: Network,
  endpoint: Endpoint,
  board: VirtualBoard,
  encode: (bytes: Uint8Array) => Uint8Array,
  serve: (client: Client) => void,
): Promise<Listener> {
  return network.listen(endpoint, (stream) => {
    // A peer that resets the connection is a client that has gone.
    stream.on('error', () => {});
    const attachment = board.attach({
      onBytes: (bytes) => {
        if (stream.writableLength < backlogMaximumBytes) stream.write(Buffer.from(encode(bytes)));
      },
      onGone: () => stream.destroy(),
    });
    if (attachment === undefined) {
      stream.end(
        `${board.portPresent ? 'Somebody else has this board.' : 'There is no board here.'}\r\n`,
      );
      stream.resume();
      return;
    }
    stream.on('close', () => attachment.detach());
    stream.on('end', () => stream.end());
    serve({ stream, attachment });
  });
}

/** Bytes as they are: `socket://`. The lines stay off. */
export function listenOnSocket(
  network: Network,
  endpoint: Endpoint,
  board: VirtualBoard,
): Promise<Listener> {
  return listenForBoard(
    network,
    endpoint,
    board,
    (bytes) => bytes,
    ({ stream, attachment }) => {
      stream.on('data', (bytes: Buffer) => attachment.write(Uint8Array.from(bytes)));
    },
  );
}
