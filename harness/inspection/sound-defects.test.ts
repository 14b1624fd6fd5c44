import test from 'ava';
import { installed as ffmpeg } from '../audio-files/installed-ffmpeg.contract.ts';
import { loadOpus } from '../opus/opus-codec.ts';
import { createRandom } from '../random/random.ts';
import { loadOfflineVoice } from '../stand-ins/offline-voice.ts';
import type { Defect } from './defect.ts';
import { inspectCell } from './inspection.ts';
import {
  cleanClip,
  cleanForms,
  inForm,
  type PlantedDefect,
  plantDefect,
  plantedPlaces,
  shortClip,
} from './planted-defects.contract.ts';
import { type PlantedSentence, recordPlanted } from './planted-recording.contract.ts';

/**
 * `-- --defects=500 --clips=1000`, as `npm run test:sound-defects` has it. `-- --defect=17` plants one; `--first=250` begins
 * there, so that several processes can share the work, or that seeds are tried which nobody has seen. A number is the seed
 * of everything in its defect or clip, so it means the same on every machine.
 */
const asked = (name: string): number | undefined => {
  const text = process.argv.find((argument) => argument.startsWith(`--${name}=`));
  return text === undefined ? undefined : Number(text.split('=')[1]);
};
const oneDefect = asked('defect');
const defectCount = asked('defects') ?? 8;
const clipCount = asked('clips') ?? 4;
const first = asked('first') ?? 0;
const numbers =
  oneDefect === undefined ? Array.from({ length: defectCount }, (_, i) => first + i) : [oneDefect];
/** Coprime with the number of places, so that few defects are of many kinds, and many of all. */
const stride = 5;
/** Share of conversations that go to the board without Opus. */
const rawShare = 0.25;
/** How far from the truth a place may be: one period of a voice looks like the next two. */
const toleranceMs = 20;

const voice = await loadOfflineVoice();
const opus = await loadOpus();

interface Outcome {
  readonly planted: PlantedDefect;
  readonly found: Defect | undefined;
  readonly others: readonly Defect[];
  readonly label: string;
}

function plantAndInspect(number: number): Outcome {
  const { kind, stage } = plantedPlaces[(number * stride) % plantedPlaces.length]!;
  const random = createRandom(number, 'sound defect');
  const first = kind === 'leak' ? cleanClip(voice, random) : shortClip(voice, random);
  let second = cleanClip(voice, random, first);
  // One service has one rate: what it keeps of an answer can begin the next only in the same form.
  if (kind === 'leak') {
    const { text, voice: name } = second;
    const { rateHz } = first;
    second = { ...second, rateHz, clip: voice.speakAt(text, name, rateHz).samples };
  }
  // Without Opus a message holds a second, so there are hardly any that could be lost or late.
  const inPackets = stage === 'received' || kind === 'gap';
  const raw = random.next() < rawShare && !inPackets;
  const planted = plantDefect(kind, stage, second, random, raw);
  const { cell, providerSounds } = recordPlanted([first, planted.sentence], raw ? null : opus);
  const defects = inspectCell(cell, providerSounds);
  const found = defects.find(
    (defect) =>
      defect.kind === kind &&
      defect.stage === stage &&
      defect.place.sentence === 2 &&
      (planted.atMs === null || Math.abs(defect.place.atMs - planted.atMs) <= toleranceMs),
  );
  const others = defects.filter((defect) => defect !== found);
  const label = `defect ${number}: ${kind}, ${stage}, voice ${second.voice}, ${second.rateHz} Hz, ${raw ? 'PCM' : 'Opus'}${planted.size === null ? '' : `, ${planted.size}`}`;
  return { planted, found, others, label };
}

test.serial(
  `${numbers.length} planted defects are found, each with its kind, stage and place`,
  (t) => {
    const outcomes = numbers.map(plantAndInspect);
    const rows = plantedPlaces.flatMap(({ kind, stage }): string[] => {
      const own = outcomes.filter(
        ({ planted }) => planted.kind === kind && planted.stage === stage,
      );
      if (own.length === 0) return [];
      const found = own.filter((outcome) => outcome.found !== undefined);
      const errors = found
        .flatMap(({ planted, found: defect }) =>
          planted.atMs === null ? [] : [Math.abs(defect!.place.atMs - planted.atMs)],
        )
        .sort((a, b) => a - b);
      const places =
        errors.length === 0
          ? ''
          : `, off by ${errors[Math.floor(errors.length / 2)]!.toFixed(1)} ms (median), ${errors.at(-1)!.toFixed(1)} ms (most)`;
      const more = own.filter(({ others }) => others.length > 0).length;
      const also = more === 0 ? '' : `, in ${more} something else as well`;
      return [`${`${kind}, ${stage}`.padEnd(26)} ${found.length} of ${own.length}${places}${also}`];
    });
    for (const row of rows) t.log(row);
    for (const { label, others, found } of outcomes) {
      if (found !== undefined && others.length > 0)
        t.log(`${label}: also ${others.map(words).join('; ')}`);
    }
    const missed = outcomes.filter(({ found }) => found === undefined);
    const several = outcomes.filter(({ others }) => others.length > 0).length;
    t.log(
      `all: ${outcomes.length - missed.length} of ${outcomes.length}, ${several} told as more than they are`,
    );
    t.deepEqual(
      missed.map(
        ({ label, others }) => `${label}: told was ${others.map(words).join('; ') || 'nothing'}`,
      ),
      [],
    );
    t.true(
      several <= 0.02 * outcomes.length,
      `${several} of ${outcomes.length} were told as more than they are`,
    );
  },
);

test.serial(`of ${clipCount} clean clips at most one in 1000 is told to have a defect`, (t) => {
  const told: string[] = [];
  const counts = new Map<string, number>();
  for (let clip = 2 * first; clip < 2 * first + clipCount; clip += 2) {
    const random = createRandom(clip, 'clean clip');
    const forms = [clip / 2, (3 * clip) / 2 + 1].map((i) => cleanForms[i % cleanForms.length]!);
    const sentences = forms.map((form) => inForm(form, cleanClip(voice, random), random, ffmpeg));
    const stalled = sentences.some(({ delivery }) => delivery !== undefined);
    const raw = random.next() < rawShare && !stalled;
    const { cell, providerSounds } = recordPlanted(sentences, raw ? null : opus);
    const defects = inspectCell(cell, providerSounds);
    for (const [i, { voice: name, rateHz, delivery }] of sentences.entries()) {
      const form = forms[i]!;
      counts.set(form, (counts.get(form) ?? 0) + 1);
      const own = defects.filter(({ place }) => (place.sentence ?? 1) === i + 1);
      // A network that stalls makes one gap, and that is told.
      const gaps = own.filter(({ kind, place }) => kind === 'gap' && isAt(place, delivery));
      const expected = delivery === undefined ? 0 : 1;
      if (own.length === expected && gaps.length === expected) continue;
      const what = own.map(words).join('; ') || 'no gap';
      told.push(
        `clip ${clip + i} (${form}, ${name}, ${rateHz} Hz, ${raw ? 'PCM' : 'Opus'}): ${what}`,
      );
    }
  }
  for (const [form, count] of counts) t.log(`${form}: ${count} clips`);
  t.log(`all: ${told.length} of ${clipCount} told to have a defect`);
  for (const line of told) t.log(line);
  t.true(
    told.length <= clipCount / 1000,
    `${told.length} of ${clipCount} clean clips:\n${told.join('\n')}`,
  );
});

/** It begins where the board had played the frames before the one that was late. */
function isAt({ atMs }: Defect['place'], delivery: PlantedSentence['delivery']): boolean {
  return delivery?.kind === 'stall' && Math.abs(atMs - delivery.frame * 120) <= 16;
}

function words({ kind, stage, place, evidence }: Defect): string {
  return `${kind}, ${stage}, sentence ${place.sentence} at ${place.atMs.toFixed(0)} ms: ${evidence}`;
}
