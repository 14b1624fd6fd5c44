/** What steady noise does to the board's voice detection; the table is in the README of the board. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { MicrophoneNoise } from '../device/acoustics.ts';
import { diy } from '../device/device-profile.ts';
import { Microphone } from '../device/microphone.ts';
import { findAudible } from '../metrics/audibility.ts';
import { createRandom } from '../random/random.ts';
import { openLaboratory } from './laboratory.ts';
import { userVoice } from './run-cell.ts';
import { ownCacheFolder } from './test-cache.contract.ts';

const { voice, voiceDetection } = await openLaboratory(await ownCacheFolder());
const readme = readFileSync(new URL('../device/README.md', import.meta.url), 'utf8');

const clip = voice.speak('How far is it?', userVoice).samples;
const spoken = findAudible(clip)!;
/** Noise alone, then the user, then noise alone. */
const beforeUs = 30_000_000;
const afterUs = 5_000_000;
const seeds = [1, 2, 3];
const levels = ['none', -60, -40, -30, -26, -24, -22, -12] as const;

interface Heard {
  readonly falseStarts: number;
  /** From the first and the last audible sample of the user; undefined: it never came. */
  readonly onsetMs: number | undefined;
  readonly endMs: number | undefined;
}

function listen(level: number | 'none', seed: number): Heard {
  const { constants } = diy;
  const ear = new Microphone({
    startUs: 0,
    chunkSamples: constants.frontEndChunkSamples,
    preRollChunks: constants.preRollChunks,
    speechMinimumMs: constants.speechMinimumMs,
    noiseMinimumMs: constants.noiseMinimumMs,
    detector: voiceDetection.create({
      aggressiveness: constants.voiceAggressiveness,
      energyGateDbfs: constants.voiceEnergyGateDbfs,
    }),
    ambience:
      level === 'none' ? [] : [new MicrophoneNoise(createRandom(seed, 'gate noise'), level)],
  });
  ear.play(clip, beforeUs);
  const onsets: number[] = [];
  const ends: number[] = [];
  const chunkUs = constants.frontEndChunkSamples * 62.5;
  for (let atUs = chunkUs; atUs <= beforeUs + clip.length * 62.5 + afterUs; atUs += chunkUs) {
    for (const { type } of ear.advanceTo(atUs)) {
      // The gate is closed as by a server, so that the end of the speech shows.
      if (type === 'speechStarted') ear.closeGate();
      if (type === 'speechStarted') onsets.push(atUs);
      if (type === 'speechEnded') ends.push(atUs);
    }
  }
  const ms = (instants: number[], sample: number): number | undefined => {
    const found = instants.find((atUs) => atUs >= beforeUs);
    return found === undefined ? undefined : (found - beforeUs) / 1000 - sample / 16;
  };
  const onsetMs = ms(onsets, spoken.first);
  return {
    falseStarts: onsets.filter((atUs) => atUs < beforeUs).length,
    onsetMs,
    endMs: onsetMs === undefined ? undefined : ms(ends, spoken.last + 1),
  };
}

function range(values: readonly (number | undefined)[]): string {
  const known = values.filter((value) => value !== undefined).map(Math.round);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const never = values.length - known.length;
  const missing = never === 0 ? '' : `never in ${never} of ${values.length}`;
  if (known.length === 0) return 'never';
  return [low === high ? `${low}` : `${low}–${high}`, missing].filter((x) => x !== '').join(', ');
}

const heard = new Map(
  levels.map((level) => [level, seeds.map((seed) => listen(level, level === 'none' ? 0 : seed))]),
);

test('the table of noise in the README of the board is what its voice detection does', (t) => {
  const rows = levels.map((level) => {
    const runs = heard.get(level)!;
    return [
      level === 'none' ? 'none' : `${level}`.replace('-', '−'),
      runs.map(({ falseStarts }) => falseStarts).join(', '),
      range(runs.map(({ onsetMs }) => onsetMs)),
      range(runs.map(({ endMs }) => endMs)),
    ];
  });
  const lines = readme.split('\n');
  const from = lines.findIndex((line) => line.startsWith('| noise, dBFS'));
  const written = lines.slice(from + 2, from + 2 + rows.length).map((line) =>
    line
      .split('|')
      .slice(1, 5)
      .map((cell) => cell.trim()),
  );
  t.deepEqual(written, rows);
});

test('the user of the table has the level that the README tells', (t) => {
  const said = clip.subarray(spoken.first, spoken.last + 1);
  const power = said.reduce((sum, s) => sum + s * s, 0) / said.length;
  const dbfs = Math.round(10 * Math.log10(power / 32_768 ** 2));
  t.regex(readme, new RegExp(`a user of −${-dbfs} dBFS`));
});

test('noise 10 dB below the user neither opens the gate for long nor hides the user', (t) => {
  for (const level of ['none', -60, -40, -30] as const) {
    for (const { falseStarts, onsetMs, endMs } of heard.get(level)!) {
      t.is(falseStarts, 0);
      // 200 ms of voice and 400 ms of quiet, each to the end of a chunk of 32 ms and a frame of 10 ms.
      t.true(onsetMs! >= 200 && onsetMs! < 270, `${onsetMs}`);
      t.true(endMs! >= 380 && endMs! < 480, `${endMs}`);
    }
  }
});
