/** One of the processes of `explore`: holds conversations, one seed after the other, as it is asked. */
import { Explorer, exploredProviders } from '../exploration/explorer.ts';
import { drawSchedule } from '../exploration/schedule.ts';
import { openLaboratory } from '../runner/laboratory.ts';
import { cacheFolder } from './cache-folder.ts';
import type { ExploreAnswer, ExploreRequest } from './explore-processes.ts';

const [folder] = process.argv.slice(2);
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
    const { heapUsed, rss } = process.memoryUsage();
    answer({ kind: 'explored', explored, heapBytes: heapUsed, residentBytes: rss });
    return;
  }
  const schedule = drawSchedule(seed, [...exploredProviders.keys()]);
  answer({ kind: 'shrunk', found: await explorer.shrink(schedule, violation!) });
}
