import { readFileSync } from 'node:fs';
import test from 'ava';
import { stateDiagram, transitionRows } from './transition-diagram.ts';
import { machineEvents, rareEvents, transitionTable } from './transition-table.ts';

const readme = readFileSync(new URL('README.md', import.meta.url), 'utf8');

/** The formatter of the documents aligns columns; a program that draws need not. */
function loose(text: string): string {
  return text.replaceAll(/-{3,}/g, '---').replaceAll(/[ ]+/g, ' ');
}

test('the README shows the diagram and the table that the data make', (t) => {
  t.true(
    loose(readme).includes(loose(stateDiagram(transitionTable))),
    stateDiagram(transitionTable),
  );
  t.true(loose(readme).includes(loose(transitionRows(transitionTable))));
});

test('the README says of every event that a board does not meet what it takes', (t) => {
  for (const [event, need] of Object.entries(rareEvents)) {
    t.true(readme.includes(`\`${event}\`: ${need}`), event);
  }
});

// EchoKit device protocol reference, section 5.2: its rows, in the words of the table here.
test('every row of the reference is there', (t) => {
  const rows =
    'k0Short k0Long volumeUp volumeDown idleTimer sentencePlayed micChunk micEnd vowel ASR Action StartAudio audio ' +
    'EndAudio EndVad EndResponse HelloStart HelloChunk HelloEnd StartVideo EndVideo newServerUrl';
  t.deepEqual(
    machineEvents.filter((event) => !['linkLost', 'answerTimer'].includes(event)),
    rows.split(' ') as unknown as (typeof machineEvents)[number][],
  );
});
