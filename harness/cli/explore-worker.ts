/** One of the processes of `explore`: holds conversations, one seed after the other, as it is asked. */
import { Explorer, exploredProviders } from '../exploration/explorer.ts';
import { drawSchedule } from '../exploration/schedule.ts';
import { openLaboratory } from '../runner/laboratory.ts';
import { cacheFolder } from './cache-folder.ts';
import type { ExploreAnswer, ExploreRequest, ProcessUsage } from './explore-processes.ts';

/** Memory is measured behind each of so many seeds. */
const seedsPerCollection = 100;

const [folder] = process.argv.slice(2);
let seeds = 0;
const explorer = new Explorer(await openLaboratory(cacheFolder()), folder);
const answer = (message: ExploreAnswer): void => void process.send!(message);

process.on('message', (request: ExploreRequest) => {
  void serve(request);
});
// What is thrown outside of any call ends the conversation that it happened in, and not the search.
process.on('uncaughtException', (error) => explorer.blame(error));
process.on('unhandledRejection', (error) => explorer.blame(error));
// Whoever has asked is gone.
process.once('disconnect', () => process.exit());
answer({ kind: 'ready' });

async function serve({ kind, seed, violation }: ExploreRequest): Promise<void> {
  if (kind === 'explore') {
    const explored = await explorer.explore(seed);
    seeds += 1;
    answer({ kind: 'explored', explored, usage: usage(seeds % seedsPerCollection === 0) });
    return;
  }
  const schedule = drawSchedule(seed, [...exploredProviders.keys()]);
  answer({ kind: 'shrunk', found: await explorer.shrink(schedule, violation!) });
}

function usage(collected: boolean): ProcessUsage {
  const { user, system } = process.cpuUsage();
  if (collected) globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  return {
    cpuMs: (user + system) / 1000,
    residentBytes: rss,
    ...(collected && { memoryBytes: heapUsed + external }),
  };
}
