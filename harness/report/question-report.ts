/** Answers of recordings, for a person. */
import picocolors from 'picocolors';
import { type BlamedCell, blameLines } from './blame-report.ts';
import { type PrebufferReport, prebufferTables } from './prebuffer-report.ts';

export interface Answers {
  readonly recordings: readonly BlamedCell[];
  readonly prebuffer?: readonly PrebufferReport[];
}

/** Text without a line feed at its end. */
export function renderQuestions(
  { recordings, prebuffer }: Answers,
  { color, width }: { readonly color: boolean; readonly width: number },
): string {
  const colors = picocolors.createColors(color);
  const blamed = blameLines(recordings, width, colors);
  const curves = prebuffer === undefined ? [] : prebufferTables(prebuffer, width, colors);
  return [blamed, curves]
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n');
}
