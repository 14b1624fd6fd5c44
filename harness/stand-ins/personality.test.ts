import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { createRandom } from '../random/random.ts';
import { scheduleDelivery } from './delivery-schedule.ts';
import { parsePersonality } from './personality.ts';
import { findPersonality, personalities, personalityNames } from './personality-catalog.ts';
import { exactProfile, laboratory } from './test-client.ts';

const folder = fileURLToPath(new URL('./personalities/', import.meta.url));

/** TTS provider protocol reference, section 11.2, row by row: connect, p50, p95, first, speed, lead. */
const table: Readonly<Record<string, readonly number[]>> = {
  'openai-mini': [120, 600, 1500, 0.25, 5, 80],
  'openai-tts-1-hd': [120, 2300, 4000, 0.5, 6, 50],
  'groq-orpheus': [90, 200, 700, 0.4, 8, 60],
  'groq-throttled': [90, 12_000, 27_000, 0.4, 8, 60],
  'elevenlabs-flash-ws': [200, 180, 320, 0.35, 8, 60],
  'elevenlabs-v4-dialogue': [200, 240, 400, 1.23, 3, 40],
  'fish-balanced-ws': [330, 300, 600, 0.46, 6, 50],
  'fish-normal-http': [150, 500, 1200, 1, 4, 50],
  'gsv-stream-gpu': [5, 450, 900, 1, 3, 20],
  'gsv-full': [5, 300, 300, Number.POSITIVE_INFINITY, 3, 20],
  'cosyvoice-v2': [250, 790, 1500, 0.5, 4, 80],
  'kokoro-gpu': [3, 300, 500, Number.POSITIVE_INFINITY, 40, 40],
};

test('the personalities of the reference have its numbers', (t) => {
  for (const [name, expected] of Object.entries(table)) {
    const { connectMs, firstByteMs, firstChunkSeconds, speed, leadSilenceMs } =
      personalities().get(name)!.timing;
    const { p50, p95 } = firstByteMs;
    t.deepEqual([connectMs, p50, p95, firstChunkSeconds, speed, leadSilenceMs], expected, name);
  }
});

test('every personality has a source, a day and a row in the README', (t) => {
  const files = readdirSync(folder).map((file) => file.replace('.toml', ''));
  t.deepEqual([...personalities().keys()], files.sort());
  const readme = readFileSync(new URL('./README.md', import.meta.url), 'utf8');
  for (const { name, sources, date, timing } of personalities().values()) {
    t.is(timing.name, name);
    t.regex(sources[0]!, /section/, name);
    t.regex(date, /^20\d\d-\d\d-\d\d$/, name);
    t.regex(readme, new RegExp(`^\\| \\**\`${name}\``, 'm'), name);
  }
});

test('a face has the timing of a personality that its platform may have', (t) => {
  let faces = 0;
  for (const { name, platforms, behavior } of personalities().values()) {
    for (const other of Object.values(behavior.timingOf ?? {})) {
      faces++;
      for (const platform of platforms) {
        t.notThrows(() => findPersonality(other, platform), `${name} on ${platform}`);
      }
    }
  }
  t.true(faces >= 3);
});

test('the package holds the files, and not only their source', (t) => {
  const { files } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { files: string[] };
  t.true(files.includes('harness/stand-ins/personalities'));
});

test('a stand-in has the personality that was asked for', async (t) => {
  const usual = await laboratory('openai');
  t.is(usual.standIn.personality.name, 'openai-mini');
  const slow = await laboratory('openai', { personality: 'openai-tts-1-hd' });
  t.is(slow.standIn.personality.name, 'openai-tts-1-hd');
  const { clock, post } = await laboratory('groq', {
    personality: 'groq-throttled',
    changes: { leadSilenceMs: 0 },
  });
  const body = {
    model: 'canopylabs/orpheus-v1-english',
    voice: 'troy',
    input: 'Late.',
    response_format: 'wav',
  };
  const { headUs } = await clock.run(post('/openai/v1/audio/speech', body));
  t.true(headUs > 3e6, `${headUs} µs`);
});

test('an unknown personality is refused with the nearest name, one of another platform with its own', (t) => {
  const code = 'STAND_IN_NO_PERSONALITY';
  const typo = t.throws(() => findPersonality('openai-mimi', 'openai'), { code });
  t.is(
    typo!.message,
    'The platform openai has no personality "openai-mimi". Did you mean "openai-mini"? ' +
      `Known: ${personalityNames('openai').join(', ')}.`,
  );
  const foreign = t.throws(() => findPersonality('groq-orpheus', 'openai'), { code });
  t.regex(foreign!.message, /"groq-orpheus" is one of groq\./);
});

const good = readFileSync(`${folder}gsv-full.toml`, 'utf8');
const wrong: readonly (readonly [string, string, string, RegExp])[] = [
  ['no TOML', 'speed = 3', 'speed = ', /^x\.toml:\d+:\d+: this is not valid TOML/],
  [
    'a misspelled key',
    'connect_ms',
    'conect_ms',
    /unknown key "timing.conect_ms": did you mean "connect_ms"\?/,
  ],
  ['text for a number', 'speed = 3', 'speed = "3"', /x\.toml: timing\.speed: .*number/],
  ['a negative span', 'connect_ms = 5', 'connect_ms = -5', /timing\.connect_ms: /],
  [
    'a range the wrong way round',
    '[[0, 0]]',
    '[[2, 1]]',
    /timing\.gap_ms\.0: the smaller number comes first/,
  ],
  ['a p95 below p50', 'p95 = 300', 'p95 = 200', /timing\.first_byte_ms: p95 is below p50/],
  [
    'first pieces in falling order',
    'jitter_ms = 2',
    'jitter_ms = 2\nfirst_pieces = [{ characters = 80, seconds = 2, first_byte_ms = 1 }, { characters = 40, seconds = 1, first_byte_ms = 1 }]',
    /timing\.first_pieces: characters must rise/,
  ],
  ['no source', 'sources = [', 'sources = []\nother = [', /sources: .*\n.*unknown key "other"/],
  ['no day', 'date = 2026-11-26', 'date = "recently"', /date: must be a day/],
  [
    'an unknown switch',
    '[timing]',
    '[behavior]\nwhole_clip = 1\n[timing]',
    /"behavior.whole_clip": keys: /,
  ],
];
for (const [what, from, to, message] of wrong) {
  test(`a file with ${what} is refused at its key`, (t) => {
    t.true(good.includes(from));
    const error = t.throws(() => parsePersonality(good.replace(from, to), 'x', 'x.toml'), {
      code: 'STAND_IN_BAD_PERSONALITY',
    });
    t.regex(error!.message, message);
  });
}

test('a list of gaps is used up, its last entry repeats', (t) => {
  const profile = exactProfile({
    firstByteMs: { p50: 100, p95: 100 },
    cadenceMs: [
      { minimum: 1250, maximum: 1250 },
      { minimum: 300, maximum: 300 },
    ],
  });
  const { chunks } = scheduleDelivery(4 * 0.5 * 32_000, 16_000, profile, createRandom(1));
  t.deepEqual(
    chunks.map(({ atUs }) => atUs / 1000),
    [100, 1350, 1650, 1950],
  );
});

test('stalls hold up their share of the chunks, by their length, and what follows', (t) => {
  const profile = exactProfile({
    firstChunkSeconds: 0.1,
    nextChunkSeconds: [{ minimum: 0.1, maximum: 0.1 }],
    stalls: { share: 0.05, ms: { minimum: 300, maximum: 800 } },
  });
  const { chunks } = scheduleDelivery(400 * 32_000, 16_000, profile, createRandom(2));
  const gaps = chunks.slice(1).map(({ atUs }, i) => (atUs - chunks[i]!.atUs) / 1000);
  const stalled = gaps.filter((gap) => gap !== 80);
  t.true(stalled.every((gap) => gap >= 380 && gap <= 880));
  t.true(
    Math.abs(stalled.length / gaps.length - 0.05) < 0.01,
    `${stalled.length} of ${gaps.length}`,
  );
});
