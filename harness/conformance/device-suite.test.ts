import { readFileSync } from 'node:fs';
import test from 'ava';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import {
  type DeviceConstants,
  type DeviceProfile,
  deviceProfiles,
  diy,
} from '../device/device-profile.ts';
import { MemoryNetwork } from '../network/memory-network.ts';
import { createRandom } from '../random/random.ts';
import { opus, voiceDetection } from '../server/server-laboratory.contract.ts';
import { speechLike } from '../voice-detection/speech-like.contract.ts';
import { type CaseResult, chosenCases } from './conformance-case.ts';
import { deviceCases, runDeviceSuite } from './device-suite.ts';

async function examine(
  profile: DeviceProfile,
  only: readonly string[] = [],
): Promise<readonly CaseResult[]> {
  const clock = new SimulatedClock();
  return clock.run(
    runDeviceSuite(
      {
        clock,
        network: new MemoryNetwork(clock, createRandom(1)),
        endpoint: { host: 'conformance', port: 80 },
        random: createRandom(1, 'conformance'),
        opus,
        voiceDetection,
        speech: speechLike(2),
        profile,
        long: true,
      },
      { cases: chosenCases(deviceCases, only), signal: new AbortController().signal },
    ),
  );
}

for (const board of ['diy', 'box', 'cube2']) {
  test(`the emulated ${board} conforms in every case`, async (t) => {
    const results = await examine(deviceProfiles[board]!);
    t.is(results.length, deviceCases.length);
    t.deepEqual(
      results
        .filter(({ status }) => status !== 'pass')
        .map(({ id, status, detail }) => `${id}: ${status}: ${detail}`),
      [],
    );
  });
}

const withConstants = (constants: Partial<DeviceConstants>): DeviceProfile => ({
  ...diy,
  constants: { ...diy.constants, ...constants },
});

/** Boards that are not as they ought to be, and which cases must show it. */
const mutations: Readonly<Record<string, readonly [DeviceProfile, readonly string[]]>> = {
  'asks for raw audio': [
    {
      ...diy,
      firmware: { ...diy.firmware, query: { opus: false, vowel: false, streamAsr: true } },
    },
    ['request/first-query', 'request/later-query', 'packet/broken', 'packet/empty'],
  ],
  'offers no compression': [
    { ...diy, firmware: { ...diy.firmware, offersCompression: false } },
    ['request/header-sec-websocket-extensions'],
  ],
  'drops the connection for a message it cannot decode': [
    { ...diy, firmware: { ...diy.firmware, undecodable: 'disconnect' } },
    ['form/empty-message', 'end-response/lower-case'],
  ],
  'does not know EndVad': [
    { ...diy, firmware: { ...diy.firmware, dialect: 'firmware-0.3.0' } },
    ['form/endvad', 'upload/ends-with-vad'],
  ],
  'ends utterances itself': [
    { ...diy, firmware: { ...diy.firmware, endOfUtterance: 'board' } },
    ['upload/no-submit', 'upload/silence-too'],
  ],
  'sends smaller messages': [
    withConstants({ uploadFrameSamples: 4096 }),
    ['upload/frames', 'upload/pace', 'upload/rest-thrown-away'],
  ],
  'keeps no sound from before': [withConstants({ preRollChunks: 0 }), ['upload/pre-roll']],
  'is more patient': [
    withConstants({ noAsrLimitSamples: 240_000 }),
    ['upload/gives-up', 'upload/gives-up-in-silence'],
  ],
  'tries twice': [
    withConstants({ reconnectTries: 2 }),
    ['answer/refused-by-404', 'answer/refused-by-end'],
  ],
  'tries without a pause': [withConstants({ reconnectPauseUs: 0 }), ['answer/refused-by-200']],
  'has an idle timer of 100 s': [
    withConstants({ idleUs: 100_000_000 }),
    ['connection/idle-timer', 'connection/idle-timer-restarts'],
  ],
  'reads on for ever': [withConstants({ inboundEvents: 1000 }), ['sentence/stops-reading']],
  'hardly reads ahead': [withConstants({ inboundEvents: 2 }), ['sentence/reads-ahead']],
  'measures every time': [withConstants({ ratioAgeSeconds: -1 }), ['ratio/after-10-s']],
  'is slow to interrupt': [withConstants({ interruptSamples: 24_000 }), ['interrupt/start-chat']],
  'plays the rest with its sentence': [
    { ...diy, quirksOff: ['Q2'] },
    ['rest/of-1', 'rest/begins-the-next'],
  ],
  'skips the header of the hello': [{ ...diy, quirksOff: ['Q4'] }, ['hello/header-played']],
  'counts its volume right': [
    { ...diy, quirksOff: ['Q5'] },
    ['volume/first-up-halves', 'volume/first-down-is-an-eighth'],
  ],
  'notices that its connection is gone': [
    { ...diy, quirksOff: ['Q6'] },
    ['connection/loss-in-listening'],
  ],
};

for (const [wrong, [profile, shownBy]] of Object.entries(mutations)) {
  test(`a board that ${wrong} fails the cases that are about it`, async (t) => {
    const results = await examine(profile, shownBy);
    t.is(results.length, shownBy.length);
    t.deepEqual(
      results.filter(({ status }) => status !== 'fail').map(({ id, status }) => `${id}: ${status}`),
      [],
    );
    for (const { detail, evidence } of results) {
      t.true(detail.length > 10, detail);
      t.true(evidence.length > 0);
    }
  });
}

test('every case has an id of its own, a sentence and a clause of the protocol documentation', (t) => {
  const text = readFileSync(new URL('../../firmware-protocol/README.md', import.meta.url), 'utf8');
  const clauses = new Set([...text.matchAll(/^- \*\*(FP-[\d.]+)\*\*/gm)].map(([, id]) => id));
  t.is(new Set(deviceCases.map(({ id }) => id)).size, deviceCases.length);
  for (const { id, title, clause } of deviceCases) {
    t.regex(id, /^[a-z-]+\/[a-z0-9-]+$/);
    t.regex(title, /^.{15,}\.$/s, id);
    t.true(clauses.has(clause), `${id}: ${clause}`);
  }
});
