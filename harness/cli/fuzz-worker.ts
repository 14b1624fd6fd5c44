/** One of the processes of `npm run fuzz`: does the part that its arguments name, and tells what came of it. */
import { type FuzzPart, runPart } from '../fuzzing/fuzz-run.ts';
import { fuzzTargets } from '../fuzzing/targets.ts';

const part = JSON.parse(process.argv[2]!) as FuzzPart;
const target = fuzzTargets.find(({ name }) => name === part.target)!;
// Whoever has asked is gone.
process.once('disconnect', () => process.exit());
const { violations, ...result } = await runPart(target, part, globalThis.gc);
process.send!(
  {
    ...result,
    violations: violations.map((one) => ({
      ...one,
      input: Buffer.from(one.input).toString('base64'),
    })),
  },
  () => process.disconnect(),
);
