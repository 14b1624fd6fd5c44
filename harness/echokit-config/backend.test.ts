import test from 'ava';
import { type BackendSection, chooseBackend, type SectionState, sectionList } from './backend.ts';

const states = (
  readable: readonly BackendSection[],
  unreadable: readonly BackendSection[] = [],
): Partial<Record<BackendSection, SectionState>> =>
  Object.fromEntries([
    ...readable.map((section) => [section, 'readable']),
    ...unreadable.map((section) => [section, 'unreadable']),
  ]);

// EchoKit device protocol reference, section 9.1: "first match".
for (const [present, taken, ignored] of [
  [['llm', 'tts', 'asr'], ['llm', 'tts', 'asr'], []],
  [['claude', 'asr', 'tts'], ['claude', 'asr', 'tts'], []],
  [['gemini', 'tts'], ['gemini', 'tts'], []],
  [['gemini'], ['gemini'], []],
  [
    ['llm', 'tts', 'asr', 'claude', 'gemini'],
    ['llm', 'tts', 'asr'],
    ['claude', 'gemini'],
  ],
  [['claude', 'asr', 'tts', 'gemini'], ['claude', 'asr', 'tts'], ['gemini']],
  [['gemini', 'tts', 'asr'], ['gemini', 'tts'], ['asr']],
  [['gemini', 'llm'], ['gemini'], ['llm']],
] as const) {
  test(`of ${sectionList(present)} EchoKit takes ${sectionList(taken)}`, (t) => {
    t.deepEqual(chooseBackend(states(present)), { taken, ignored });
  });
}

test('a mistake in a table lets EchoKit take another backend', (t) => {
  t.deepEqual(chooseBackend(states(['tts', 'gemini', 'asr'], ['llm'])), {
    taken: ['gemini', 'tts'],
    ignored: ['llm', 'asr'],
    passedOver: { sections: ['llm', 'tts', 'asr'], unreadable: ['llm'] },
  });
  t.deepEqual(chooseBackend(states(['gemini'], ['tts'])), {
    taken: ['gemini'],
    ignored: ['tts'],
    passedOver: { sections: ['gemini', 'tts'], unreadable: ['tts'] },
  });
});

test('without a whole set there is no backend, and what it lacks is named', (t) => {
  t.deepEqual(chooseBackend(states(['llm', 'tts'])), {
    taken: undefined,
    ignored: [],
    lacking: { sections: ['llm', 'tts', 'asr'], absent: ['asr'], unreadable: [] },
  });
  t.deepEqual(chooseBackend(states(['asr'], ['claude'])).lacking, {
    sections: ['claude', 'asr', 'tts'],
    absent: ['tts'],
    unreadable: ['claude'],
  });
  t.deepEqual(chooseBackend({}).lacking!.absent, ['llm', 'tts', 'asr']);
});
