/** One process of a part of `bench` over real sockets: provider, server or boards, as it is asked. */
import { type SessionRequest, SessionRole } from '../bench/session-roles.ts';
import type { ProcessAnswer } from './bench-processes.ts';

const [startNs = '0'] = process.argv.slice(2);
const say = (message: ProcessAnswer): void => void process.send?.(message);

// The owner stops the bench; Ctrl-C at a terminal reaches every process of it.
process.on('SIGINT', () => {});
process.once('disconnect', () => process.exit());

const role = new SessionRole(BigInt(startNs));

process.on('message', (request: SessionRequest) => {
  role.answer(request).then(
    (answer) => say({ answer }),
    (error: unknown) => {
      const { message, stack } = error instanceof Error ? error : new Error(String(error));
      say({ error: { message, stack } });
    },
  );
});
