/** What can be wrong with a sound, where on its way it happened, and where in the sound it is. */

/**
 * The way of the sound. `provider`: as its bytes say; `normalised`: as the adapter yielded it, 16 kHz mono; `sent`: as
 * the server framed it; `received`: as it arrived at the board; `played`: as it left the speaker.
 */
export const soundStages = ['provider', 'normalised', 'sent', 'received', 'played'] as const;
export type SoundStage = (typeof soundStages)[number];

export const defectKinds = {
  dropped: 'samples of the sound are missing',
  repeated: 'samples are heard twice',
  inserted: 'samples that do not belong there: silence, noise, or what a decoder made up',
  gap: 'the board had nothing to play in the middle of a sentence (underrun)',
  click: 'a step or spike that speech does not make',
  clipping: 'tops of the waveform are cut off flat',
  'wrong-rate': 'played faster or slower than it was spoken: another sampling rate was declared',
  'byte-swap': 'the two bytes of the samples are swapped, or taken one byte too early or late',
  leak: 'a piece of an earlier answer',
  'missing-words': 'too short for its words, or a piece of speech of at least 150 ms is missing',
  altered: 'samples are other ones than before, in a way that is none of the above',
} as const;
export type DefectKind = keyof typeof defectKinds;

export interface Defect {
  readonly kind: DefectKind;
  /** The first stage that has it: what is wrong from there on is not told again. Null: a file of which nobody knows. */
  readonly stage: SoundStage | null;
  readonly place: DefectPlace;
  /** How much of the sound it concerns, in ms. */
  readonly lengthMs: number;
  /** The numbers that show it, in words. */
  readonly evidence: string;
  /** What the trace says about it; absent: nothing. */
  readonly because?: string;
}

export interface DefectPlace {
  /** Turn of the scenario; null: none, or a plain file. */
  readonly turn: number | null;
  readonly sentence: number | null;
  readonly request: number | null;
  /** Where to listen: a file of the recording. */
  readonly file: string;
  /** Index of the first sample in the audio of that file, at {@link rateHz}. */
  readonly sample: number;
  readonly rateHz: number;
  /** The same in the sentence, or in the file where there is no sentence, in ms. */
  readonly atMs: number;
}

/** What a detector found in one sound, before anybody knows which file and sentence that was. */
export interface Finding {
  readonly kind: DefectKind;
  /** Index into the sound. */
  readonly at: number;
  readonly samples: number;
  readonly evidence: string;
}
