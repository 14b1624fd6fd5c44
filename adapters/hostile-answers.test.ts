import test from 'ava';
import fc from 'fast-check';
import { Resampler } from './audio/resampler.ts';
import { hostileAnswers } from './hostile-answers.contract.ts';
import {
  difference,
  expectedSamples,
  leastFrames,
  plantedSamples,
  tonesHz,
} from './planted-sound.contract.ts';
import { type FishConfig, fishAdapter } from './platforms/fish.ts';
import { groqAdapter } from './platforms/groq.ts';
import { gsvAdapter } from './platforms/gsv.ts';
import { type OpenAiConfig, openAiAdapter } from './platforms/openai.ts';
import { streamGsvAdapter } from './platforms/stream-gsv.ts';

const openAiConfig: OpenAiConfig = {
  url: 'http://box.lan:8880/v1/audio/speech',
  apiKey: 'sk_x',
  model: 'm',
  voice: 'v',
};
const gsvUrl = 'http://localhost:9094/v1/audio';
const fishConfig: FishConfig = {
  url: 'https://api.fish.audio/v1/tts',
  apiKey: 'fish_x',
  speaker: 'v',
  model: 's1',
};
const options = { seed: 20_260, numRuns: 200 };

// A new HTTP adapter is one line.
hostileAnswers(
  test,
  { name: 'openai', adapter: openAiAdapter, config: openAiConfig, bodies: ['wav'] },
  options,
);
hostileAnswers(
  test,
  {
    name: 'openai with stream = "pcm"',
    adapter: openAiAdapter,
    config: { ...openAiConfig, stream: 'pcm' },
    bodies: ['raw', 'wav'],
    rawRate: 'declared',
  },
  options,
);
hostileAnswers(
  test,
  {
    name: 'openai with stream = "sse"',
    adapter: openAiAdapter,
    config: { ...openAiConfig, stream: 'sse' },
    bodies: ['events', 'events', 'raw', 'wav'],
    rawRate: 'declared',
  },
  { ...options, numRuns: 400 },
);
hostileAnswers(
  test,
  { name: 'groq', adapter: groqAdapter, config: openAiConfig, bodies: ['wav'] },
  options,
);
hostileAnswers(
  test,
  {
    name: 'gsv',
    adapter: gsvAdapter,
    config: { url: `${gsvUrl}/speech`, speaker: 'texan' },
    bodies: ['wav'],
  },
  options,
);
hostileAnswers(
  test,
  {
    name: 'stream_gsv',
    adapter: streamGsvAdapter,
    config: { url: `${gsvUrl}/stream_speech`, speaker: 'texan' },
    bodies: ['raw', 'wav'],
    rawRate: 16_000,
    contentType: 'audio/pcm;rate=32000',
  },
  options,
);

hostileAnswers(
  test,
  { name: 'fish', adapter: fishAdapter, config: fishConfig, bodies: ['wav'] },
  options,
);
hostileAnswers(
  test,
  {
    name: 'fish with stream = "pcm"',
    adapter: fishAdapter,
    config: { ...fishConfig, stream: 'pcm' },
    bodies: ['raw', 'wav'],
    rawRate: 16_000,
  },
  options,
);

test('the planted sound is told from the same sound a sample later, shorter or with a header in it', (t) => {
  for (const rateHz of [8_000, 16_000, 44_100]) {
    const sound = { rateHz, frames: 600, tonesHz: [440, 2_900] };
    const truth = [...expectedSamples(sound)];
    t.is(difference(sound, truth), undefined);
    t.not(difference(sound, [0, ...truth.slice(0, -1)]), undefined);
    t.not(difference(sound, truth.slice(1)), undefined);
    t.not(difference(sound, [...truth, 0]), undefined);
    t.not(
      difference(
        sound,
        truth.map((value, i) => (i === 100 ? value + 4 : value)),
      ),
      undefined,
    );
  }
});

test('the sound at another rate is the same sound: conversion adds less than the tolerance', (t) => {
  const property = fc.property(
    fc.constantFrom(8_000, 22_050, 24_000, 32_000, 44_100, 48_000),
    fc.integer({ min: leastFrames(8_000), max: 2_000 }),
    tonesHz,
    (rateHz, frames, tones) => {
      const sound = { rateHz, frames, tonesHz: tones };
      const resampler = new Resampler(rateHz);
      const head = resampler.push(Float64Array.from(plantedSamples(sound)));
      const samples = [...head, ...resampler.flush()].map(Math.round);
      const problem = difference(sound, samples);
      if (problem !== undefined) throw new Error(problem);
    },
  );
  t.notThrows(() => fc.assert(property, { seed: 4, numRuns: 500, includeErrorInReport: true }));
});
