/**
 * Which backend EchoKit takes. It tries four sets of tables in order and takes the first in which each
 * table can be read, without a word about the others (EchoKit device protocol reference, sections
 * 9.1 and 9.6). Pure.
 */
const backends = [
  ['llm', 'tts', 'asr'],
  ['claude', 'asr', 'tts'],
  ['gemini', 'tts'],
  ['gemini'],
] as const;

export const backendSections = ['llm', 'tts', 'asr', 'claude', 'gemini'] as const;
export type BackendSection = (typeof backendSections)[number];

/** `unreadable`: there, but with a mistake that EchoKit does not forgive. */
export type SectionState = 'absent' | 'readable' | 'unreadable';

export interface Backend {
  /** The tables it is made of; absent when EchoKit refuses the file. */
  readonly taken: readonly BackendSection[] | undefined;
  /** A set that is complete and comes first, but has tables that cannot be read. */
  readonly passedOver?: {
    readonly sections: readonly BackendSection[];
    readonly unreadable: readonly BackendSection[];
  };
  /** Tables that are there and have no part in it. */
  readonly ignored: readonly BackendSection[];
  /** When nothing was taken: the set that was most likely meant, and what it lacks. */
  readonly lacking?: {
    readonly sections: readonly BackendSection[];
    readonly absent: readonly BackendSection[];
    readonly unreadable: readonly BackendSection[];
  };
}

export function chooseBackend(
  states: Readonly<Partial<Record<BackendSection, SectionState>>>,
): Backend {
  const state = (section: BackendSection): SectionState => states[section] ?? 'absent';
  const having = (sections: readonly BackendSection[], wanted: SectionState): BackendSection[] =>
    sections.filter((section) => state(section) === wanted);
  const taken = backends.find((sections) => sections.every((each) => state(each) === 'readable'));
  if (taken === undefined) {
    // Nobody writes the table at the head of a set for another one.
    const meant = backends.find(([head]) => state(head) !== 'absent') ?? backends[0];
    const absent = having(meant, 'absent');
    const unreadable = having(meant, 'unreadable');
    return { taken, ignored: [], lacking: { sections: meant, absent, unreadable } };
  }
  const earlier = backends.slice(0, backends.indexOf(taken));
  const complete = earlier.find((sections) => having(sections, 'absent').length === 0);
  const isTaken = (section: BackendSection): boolean => taken.some((each) => each === section);
  const ignored = backendSections.filter((each) => state(each) !== 'absent' && !isTaken(each));
  if (complete === undefined) return { taken, ignored };
  const unreadable = having(complete, 'unreadable');
  return { taken, ignored, passedOver: { sections: complete, unreadable } };
}

/** `[llm], [tts] and [asr]`. */
export function sectionList(sections: readonly string[]): string {
  const names = sections.map((section) => `[${section}]`);
  const last = names.pop() ?? '';
  return names.length === 0 ? last : `${names.join(', ')} and ${last}`;
}
