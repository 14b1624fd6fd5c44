import type { Defect, Finding } from './defect.ts';
import { alignExactly } from './exact-alignment.ts';
import type { ProviderSound } from './provider-sound.ts';
import { convertRate } from './rate-conversion.ts';
import { findAlone } from './single-sound.ts';
import { compareSounds } from './stage-comparison.ts';

export interface FileSound extends ProviderSound {
  /** As the user called it. */
  readonly file: string;
}

const comparedHz = 16_000;

/**
 * What is wrong with a file, alone or against one that is right.
 *
 * @param text what is said in it; null: not known
 */
export function inspectFile(
  sound: FileSound,
  reference: FileSound | null,
  text: string | null,
): Defect[] {
  const { samples, rateHz } = sound;
  const alone = findAlone({ samples, rateHz, text, whole: true, earlier: [] });
  const found =
    reference === null
      ? alone.map((finding) => ({ finding, scale: 1 }))
      : against(sound, reference).map((finding) => ({ finding, scale: rateHz / comparedHz }));
  return found.map(({ finding, scale }) => {
    const at = Math.round(finding.at * scale);
    return {
      kind: finding.kind,
      stage: null,
      place: {
        turn: null,
        sentence: null,
        request: null,
        file: sound.file,
        sample: at,
        rateHz,
        atMs: (at * 1000) / rateHz,
      },
      lengthMs: (finding.samples * scale * 1000) / rateHz,
      evidence: finding.evidence,
    };
  });
}

/** Indices at 16 kHz. */
function against(sound: FileSound, reference: FileSound): Finding[] {
  const before = convertRate(reference.samples, comparedHz / reference.rateHz);
  const now = convertRate(sound.samples, comparedHz / sound.rateHz);
  const alike = alignExactly(before, now).stretches.reduce((sum, { at, end }) => sum + end - at, 0);
  return compareSounds({
    before,
    sound: now,
    kept: alike > now.length / 2 ? 'samples' : 'shape',
    whole: true,
    earlier: [],
  });
}
