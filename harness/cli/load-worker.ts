/** One process of a load run in real time: provider, server or boards, as it is asked. */
import { LoadRole, type RoleRequest } from '../load/load-role.ts';
import { openLaboratory } from '../runner/laboratory.ts';
import { cacheFolder } from './cache-folder.ts';
import { ffmpegPath } from './ffmpeg-path.ts';
import type { PartAnswer } from './load-processes.ts';

const [startNs = '0'] = process.argv.slice(2);
const say = (message: PartAnswer): void => void process.send?.(message);

// The owner stops the run; Ctrl-C at a terminal reaches every process of it.
process.on('SIGINT', () => {});
const orphaned = (): void => process.exit();
process.once('disconnect', orphaned);

const opened = openLaboratory(cacheFolder(), ffmpegPath()).then(
  (laboratory) => new LoadRole({ laboratory, startNs: BigInt(startNs) }),
);

process.on('message', (request: RoleRequest | 'leave') => {
  if (request === 'leave') {
    // Whatever is still open shows now: it keeps this process from ending.
    process.off('disconnect', orphaned);
    process.removeAllListeners('SIGINT');
    process.disconnect();
    return;
  }
  void opened
    .then((role) => role.answer(request))
    .then(
      (answer) => say({ answer }),
      (error: unknown) => {
        const { message, stack } = error instanceof Error ? error : new Error(String(error));
        say({ error: { message, stack } });
      },
    );
});
