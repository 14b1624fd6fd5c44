import type { Defect, Finding } from './defect.ts';
import { alignExactly } from './exact-alignment.ts';
import type { ProviderSound } from './provider-sound.ts';
import { convertRate } from './rate-conversion.ts';
import { findAlone } from './single-sound.ts';
import { compareSounds } from './stage-comparison.ts';
import { findPauses } from './waveform-faults.ts';

export interface FileSound extends ProviderSound {
  /** As the user called it. */
  readonly file: string;
}

const comparedHz = 16_000;

/** A stretch of digital silence in a file, and no defect. */
export interface FilePause {
  readonly atMs: number;
  readonly lengthMs: number;
  /** It begins or ends in the middle of a loud sound. */
  readonly abrupt: boolean;
}

export interface FileInspection {
  readonly defects: readonly Defect[];
  /** Of a file alone. */
  readonly pauses: readonly FilePause[];
}

/**
 * What is wrong with a file, alone or against one that is right. Alone, long silences are told apart: whether somebody waited, or
 * samples are missing, nobody can hear.
 *
 * @param text what is said in it; null: not known
 */
export function inspectFile(
  sound: FileSound,
  reference: FileSound | null,
  text: string | null,
): FileInspection {
  const { samples, rateHz } = sound;
  if (reference !== null)
    return { defects: placed(against(sound, reference), rateHz / comparedHz, sound), pauses: [] };
  const findings = findAlone({ samples, rateHz, text, whole: true, pauses: true, earlier: [] });
  const pauses = findPauses(samples, rateHz).map(({ at, samples: count, abrupt }) => ({
    atMs: (at * 1000) / rateHz,
    lengthMs: (count * 1000) / rateHz,
    abrupt,
  }));
  return { defects: placed(findings, 1, sound), pauses };
}

/** @param scale samples of the file for one of the findings */
function placed(found: readonly Finding[], scale: number, { file, rateHz }: FileSound): Defect[] {
  return found.map((finding) => {
    const at = Math.round(finding.at * scale);
    return {
      kind: finding.kind,
      stage: null,
      place: {
        turn: null,
        sentence: null,
        request: null,
        file,
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
