import { fishLivePath, openFishLive } from './fish-live.ts';
import { answerFish, fishSpeechPath, fishTimedPath } from './fish-speech.ts';
import { ProviderServer } from './provider-server.ts';
import { SocketHost } from './provider-socket.ts';
import type { StandIn, StandInOptions } from './stand-in-contract.ts';

/**
 * Fish Audio (TTS provider protocol reference, section 7): synthesis over HTTP, as bytes or timed
 * events, and the live socket. References exist unless their id starts with `unknown`.
 *
 * One request for speech is one HTTP request, or one session of the live socket. Faults in mid audio
 * strike the first segment of a session.
 */
export function createFishStandIn(options: StandInOptions): StandIn {
  return new ProviderServer(options, 'fish-normal-http', (server) => {
    const sockets = new SocketHost(server);
    return {
      isCounted: (method, path) =>
        method === 'POST' && (path === fishSpeechPath || path === fishTimedPath),
      answer: (exchange) => answerFish(server, exchange),
      upgrade: (upgrade) => {
        if (upgrade.url.pathname === fishLivePath) {
          openFishLive(server, sockets, upgrade);
          return;
        }
        const refusal = { message: 'Not Found', status: 404 };
        upgrade.entry.error = refusal.message;
        server.refuseUpgrade(upgrade.stream, upgrade.entry, refusal.status, refusal);
      },
      close: () => sockets.terminate(),
    };
  });
}
