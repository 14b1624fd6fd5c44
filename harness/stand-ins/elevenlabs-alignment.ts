import { alignCharacters, type CharacterAlignment } from './character-alignment.ts';
import type { ClipWindow } from './delivery.ts';

/** When the characters of one clip are spoken, in the text as sent and as the engine read it. */
export interface ClipAlignment {
  readonly sent: CharacterAlignment;
  /** A leading space, white space collapsed. */
  readonly normalized: CharacterAlignment;
}

/** @param span of the clip in which the text is spoken, between the planted silences */
export function alignClip(text: string, span: ClipWindow): ClipAlignment {
  const sent = alignCharacters(text, span.fromMs, span.toMs);
  return { sent, normalized: normalized(text, sent) };
}

function normalized(text: string, { startMs }: CharacterAlignment): CharacterAlignment {
  const starts = [0];
  const characters = [' '];
  [...text].forEach((character, i) => {
    const space = /\s/.test(character);
    if (space && characters.at(-1) === ' ') return;
    characters.push(space ? ' ' : character);
    starts.push(startMs[i]!);
  });
  const durationMs = starts.map((start, i) => (starts[i + 1] ?? start) - start);
  return { characters, startMs: starts, durationMs };
}

/** The characters that start in a window; `undefined` when there are none. */
export function charactersIn(
  { characters, startMs, durationMs }: CharacterAlignment,
  { fromMs, toMs }: ClipWindow,
): CharacterAlignment | undefined {
  const inside = startMs.flatMap((start, i) => (start >= fromMs && start < toMs ? [i] : []));
  if (inside.length === 0) return undefined;
  return {
    characters: inside.map((i) => characters[i]!),
    startMs: inside.map((i) => startMs[i]!),
    durationMs: inside.map((i) => durationMs[i]!),
  };
}

/** As the sockets of text-to-speech name it; times count from the beginning of the window. */
export function camelCaseAlignment(all: CharacterAlignment, window: ClipWindow): object | null {
  const part = charactersIn(all, window);
  if (part === undefined) return null;
  return {
    chars: part.characters,
    charStartTimesMs: part.startMs.map((start) => Math.round(start - window.fromMs)),
    charDurationsMs: part.durationMs,
  };
}

/** As the dialogue socket names it (section 6.4). */
export function snakeCaseAlignment(all: CharacterAlignment, window: ClipWindow): object | null {
  const part = charactersIn(all, window);
  if (part === undefined) return null;
  return {
    chars: part.characters,
    char_start_times_ms: part.startMs.map((start) => Math.round(start - window.fromMs)),
    char_durations_ms: part.durationMs,
  };
}

/** As HTTP names it (section 6.5): seconds from the beginning of the clip. */
export function secondsAlignment(all: CharacterAlignment, window: ClipWindow): object | null {
  const part = charactersIn(all, window);
  if (part === undefined) return null;
  return {
    characters: part.characters,
    character_start_times_seconds: part.startMs.map((start) => start / 1000),
    character_end_times_seconds: part.startMs.map((s, i) => (s + part.durationMs[i]!) / 1000),
  };
}
