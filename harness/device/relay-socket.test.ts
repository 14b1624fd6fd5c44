import http from 'node:http';
import test from 'ava';
import { WebSocketServer } from 'ws';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { createStreamPair } from '../network/memory-stream.ts';
import { createRandom } from '../random/random.ts';
import { openRelaySocket } from './relay-socket.ts';

test('a server that does not read is given up when 4 MiB wait for it, and one that reads is not', async (t) => {
  for (const reads of [true, false]) {
    const clock = new SimulatedClock();
    const server = http.createServer();
    const sockets = new WebSocketServer({ server });
    let received = 0;
    sockets.on('connection', (socket) => {
      socket.on('error', () => {});
      socket.on('message', (data) => {
        received += (data as Buffer).length;
      });
      if (!reads) socket.pause();
    });
    const dialer = {
      dial: async () => {
        const pair = createStreamPair(() => clock.noteActivity());
        server.emit('connection', pair.server);
        return pair.client;
      },
    };
    const closed: (readonly [number, string])[] = [];
    await clock.run(
      (async () => {
        const socket = await new Promise<ReturnType<typeof openRelaySocket>>((resolve) => {
          const opened = openRelaySocket(
            { url: 'ws://server/ws/abc', clock, dialer, random: createRandom(2) },
            {
              onOpen: () => resolve(opened),
              onBinary: () => {},
              onClosed: (...how) => closed.push(how),
            },
          );
        });
        for (let i = 0; i < 80; i++) {
          socket.send(new Uint8Array(65_536));
          await clock.sleep(100_000);
        }
        socket.drop();
      })(),
    );
    if (reads) {
      t.is(received, 80 * 65_536);
      t.deepEqual(closed, []);
    } else {
      t.is(closed.length, 1, `${received} received`);
      t.is(closed[0]![0], 1006);
      t.regex(closed[0]![1], /^the server has not read the last 4\d{6} bytes$/);
    }
  }
});
