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
} from './planted-defects.contract.ts';
import { recordPlanted } from './planted-recording.contract.ts';

/**
 * `-- --defects=500 --clips=1000`, as `npm run test:sound-defects` has it. `-- --defect=17` plants one; `--first=250` begins
 * there, so that several processes can share the work.
 */
const asked = (name: string): number | undefined => {
  const text = process.argv.find((argument) => argument.startsWith(`--${name}=`));
  return text === undefined ? undefined : Number(text.split('=')[1]);
};
const oneDefect = asked('defect');
const defectCount = asked('defects') ?? 9;
const clipCount = asked('clips') ?? 6;
const first = asked('first') ?? 0;
const numbers =
  oneDefect === undefined ? Array.from({ length: defectCount }, (_, i) => first + i) : [oneDefect];
/** Coprime with the number of places, so that few defects are of many kinds, and many of all. */
const stride = 5;
/** Share of conversations that go to the board without Opus. */
const rawShare = 0.25;
/** How far from the truth a place may be: a repeated period of a voice looks the same a little earlier. */
const toleranceMs = 60;

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
  const first = cleanClip(voice, random);
  let second = cleanClip(voice, random, first);
  // One service has one rate: what it keeps of an answer can begin the next only in the same form.
  if (kind === 'leak') {
    const { text, voice: name } = second;
    const { rateHz } = first;
    second = { ...second, rateHz, clip: voice.speakAt(text, name, rateHz).samples };
  }
  const planted = plantDefect(kind, stage, second, random);
  // Without Opus a message holds a second, so there are hardly any that could be lost or late.
  const inPackets = stage === 'received' || kind === 'gap';
  const raw = random.next() < rawShare && !inPackets;
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
  const label = `defect ${number}: ${kind}, ${stage}, voice ${second.voice}, ${second.rateHz} Hz, ${raw ? 'PCM' : 'Opus'}`;
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
    t.deepEqual(
      missed.map(
        ({ label, others }) => `${label}: told was ${others.map(words).join('; ') || 'nothing'}`,
      ),
      [],
    );
    const several = outcomes.filter(({ others }) => others.length > 0).length;
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
    const forms = [0, 1].map((i) => cleanForms[(clip + i) % cleanForms.length]!);
    for (const form of forms) counts.set(form, (counts.get(form) ?? 0) + 1);
    const sentences = forms.map((form) => inForm(form, cleanClip(voice, random), random, ffmpeg));
    const { cell, providerSounds } = recordPlanted(
      sentences,
      random.next() < rawShare ? null : opus,
    );
    const defects = inspectCell(cell, providerSounds);
    const wrong = new Set(defects.map(({ place }) => place.sentence));
    for (const sentence of wrong) {
      const { voice: name, rateHz } = sentences[(sentence ?? 1) - 1]!;
      const own = defects.filter(({ place }) => place.sentence === sentence);
      told.push(
        `clip ${clip + (sentence ?? 1) - 1} (${forms[(sentence ?? 1) - 1]}, ${name}, ${rateHz} Hz): ${own.map(words).join('; ')}`,
      );
    }
  }
  for (const [form, count] of counts) t.log(`${form}: ${count} clips`);
  for (const line of told) t.log(line);
  t.true(
    told.length <= clipCount / 1000,
    `${told.length} of ${clipCount} clean clips:\n${told.join('\n')}`,
  );
});

function words({ kind, stage, place, evidence }: Defect): string {
  return `${kind}, ${stage}, sentence ${place.sentence} at ${place.atMs.toFixed(0)} ms: ${evidence}`;
}
