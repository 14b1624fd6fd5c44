/** The smallest input that can be found that still breaks the same rule in the same way. */
import { createRandom } from '../random/random.ts';
import { shrunkenList } from '../random/shrunken-list.ts';
import type { Decode, FuzzTarget } from './fuzz-target.ts';
import { tryInput, type Violation } from './trial.ts';

/** Bytes that say nothing of themselves, in the order in which they are preferred. */
const plainBytes = [0x61, 0x30, 0x20, 0x00];
const plainedMax = 300;
/** Of the processor: an input that takes seconds itself is not tried hundreds of times. */
const spentUsMax = 20_000_000;

/**
 * @param onTry called before each input that is tried
 * @param tries how many may be tried for it
 */
export async function shrunken(
  target: FuzzTarget,
  decode: Decode,
  input: Uint8Array,
  violation: Violation,
  seed: number,
  onTry: (input: Uint8Array) => void = () => {},
  tries = 600,
): Promise<{ readonly input: Uint8Array; readonly violation: Violation }> {
  let left = tries;
  const begun = process.cpuUsage();
  let smallest = { input, violation };
  const stillDoes = async (candidate: readonly number[]): Promise<boolean> => {
    const { user, system } = process.cpuUsage(begun);
    if (left <= 0 || user + system > spentUsMax) return false;
    left -= 1;
    const bytes = Uint8Array.from(candidate);
    onTry(bytes);
    // The same draws for all, so that a cut that shows it stays where it is as long as the bytes allow.
    const found = await tryInput(target, decode, bytes, createRandom(seed, 'shrinking'));
    if (found?.rule !== violation.rule || found.mark !== violation.mark) return false;
    smallest = { input: bytes, violation: found };
    return true;
  };
  const head = target.headBytes ?? 0;
  const body = await shrunkenList(
    [...input.subarray(head)],
    (some) => stillDoes([...input.subarray(0, head), ...some]),
    tries,
  );
  const bytes = [...input.subarray(0, head), ...body];
  if (bytes.length > plainedMax) return smallest;
  for (let at = head; at < bytes.length; at++) {
    for (const plain of plainBytes) {
      if (bytes[at] === plain) break;
      if (!(await stillDoes(bytes.with(at, plain)))) continue;
      bytes[at] = plain;
      break;
    }
  }
  return smallest;
}
