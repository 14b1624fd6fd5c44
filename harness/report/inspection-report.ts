/** What `inspect` found, as a JSON document. */
import { type Defect, defectKinds } from '../inspection/defect.ts';
import type { FilePause } from '../inspection/file-inspection.ts';
import type { SoundView } from '../inspection/sound-view.ts';

/** Raised when a field changes its meaning. */
export const inspectionSchemaVersion = 1;

/** One recording, or one file. */
export interface InspectedSound {
  /** Folder or file, as the user would type it. */
  readonly name: string;
  /** The recording was stopped before its end. */
  readonly partial: boolean;
  readonly views: readonly SoundView[];
  /** Requests whose bytes could not be read as sound; they are looked at from the adapter on. */
  readonly unreadRequests: readonly number[];
  /** Something was sent, but what the speaker played is not in the recording: its stage was not looked at. */
  readonly unheard: boolean;
  /** Long silences of a file alone, which are no defects. A recording has none: there each is a gap, or meant. */
  readonly pauses: readonly FilePause[];
  readonly defects: readonly Defect[];
}

export interface InspectionReport {
  readonly schemaVersion: number;
  readonly sounds: readonly {
    readonly name: string;
    readonly partial: boolean;
    readonly sentences: number;
    readonly unreadRequests: readonly number[];
    readonly unheard: boolean;
    readonly pauses: readonly FilePause[];
    readonly defects: readonly Defect[];
  }[];
  /** How many of each kind there are; kinds without any are left out. */
  readonly kinds: Readonly<Record<string, number>>;
}

export function buildInspectionReport(sounds: readonly InspectedSound[]): InspectionReport {
  const all = sounds.flatMap(({ defects }) => defects);
  const counts = Object.keys(defectKinds).map(
    (kind) => [kind, all.filter((defect) => defect.kind === kind).length] as const,
  );
  return {
    schemaVersion: inspectionSchemaVersion,
    sounds: sounds.map(({ name, partial, views, unreadRequests, unheard, pauses, defects }) => ({
      name,
      partial,
      sentences: views.length,
      unreadRequests,
      unheard,
      pauses,
      defects,
    })),
    kinds: Object.fromEntries(counts.filter(([, count]) => count > 0)),
  };
}
